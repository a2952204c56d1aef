"""Chinese pages: their language, links between the languages, and search."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_WORDS = re.compile(r"[\u4e00-\u9fff]+|[^\W\u4e00-\u9fff]+")


class SearchEnglishAndChinese(SearchEnglish):
    """Index English words, and pairs of neighboring Chinese characters.

    Chinese has no spaces between words. `splitQuery` in search_rules.js splits queries likewise.
    """

    def split(self, input: str) -> list[str]:  # noqa: A002 - Sphinx names it so
        found: list[str] = []
        for word in _WORDS.findall(input):
            if len(word) > 1 and "\u4e00" <= word[0] <= "\u9fff":
                found += [word[start : start + 2] for start in range(len(word) - 1)]
            else:
                found.append(word)
        return found


def link_languages(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Declare the language of a Chinese page, and link each page to the other language."""
    if pagename.startswith("zh/"):
        context["language"] = "zh-CN"
        other, language, text = pagename.removeprefix("zh/"), "en", "English"
    else:
        other, language, text = f"zh/{pagename}", "zh-CN", "中文"
    # The sources of the two start pages already contain this link, for readers of the repository.
    if other in app.env.found_docs and pagename not in ("index", "zh/index"):
        link = f'<a hreflang="{language}" href="{context["pathto"](other)}">{text}</a>'
        context["body"] = f"<p>{link}</p>{context['body']}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(SearchEnglishAndChinese)
    app.connect("html-page-context", link_languages)
    return {"parallel_read_safe": True}
