// Rules of the search page.

// Pages to list after the guides that answer the same query.
const LATER = /^(reference\/|contributing$|migrating|upgrading$)/;
// Chinese pages contain English words, and the changelog names every feature: list them last.
const LAST = /^(zh\/|changelog$)/;

// A match in a title has the score 20. The default is 15. The other scores are the defaults.
var Scorer = {
  score: ([page, , , , score]) => score - (LAST.test(page) ? 100 : LATER.test(page) ? 5 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 20,
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
