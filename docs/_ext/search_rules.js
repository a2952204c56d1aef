// Rules of the search page. All scores but the first are the defaults of Sphinx.
var Scorer = {
  // Chinese pages contain English words, and the changelog names every feature: list them last.
  score: ([page, , , , score]) => (/^(zh\/|changelog$)/.test(page) ? score - 100 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

// Split a query into English words and pairs of neighboring Chinese characters, as chinese.py does.
var splitQuery = (query) => {
  const words = query.match(
    /[\u4e00-\u9fff]+|(?:(?![\u4e00-\u9fff])[\p{Letter}\p{Number}_\p{Emoji_Presentation}])+/gu,
  );
  return (words || []).flatMap((word) =>
    /^[\u4e00-\u9fff]{2}/.test(word)
      ? [...word].slice(1).map((end, index) => word[index] + end)
      : [word],
  );
};
