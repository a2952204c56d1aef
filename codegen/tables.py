"""Tables in the guides that are generated from the code by `python -m codegen.reference`.

A page contains each table between the comments `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

from cloudtower_async import errors
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.retry.classify import ACTIONS, RetryAction, statuses_of
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = ("errors.md", "retries.md", "testing.md")
"""Guides that contain generated tables."""

_TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n\n).*?(<!-- end of table -->\n)", re.DOTALL)


def error_hints() -> Iterator[str]:
    """Yield the lines of a table with the call errors, their meanings and what to do."""
    yield from ("| error | meaning | what to do |", "| --- | --- | --- |")
    for name, error in vars(errors).items():
        if not (isinstance(error, type) and issubclass(error, errors.CallError)):
            continue
        if hint := vars(error).get("default_hint"):
            meaning = inspect.cleandoc(error.__doc__ or "").splitlines()[0]
            yield f"| `{name}` | {meaning} | {hint} |"


def decisions() -> Iterator[str]:
    """Yield the lines of a table with the kinds of failures, and whether calls are retried."""
    yield from (
        "| failure | HTTP status | query | mutation or upload | wait or watch |",
        "| --- | --- | --- | --- | --- |",
    )
    for kind, (query, mutation, poll) in ACTIONS.items():
        cells = (str(kind), statuses_of(kind), str(query), str(mutation), _POLLS[poll])
        yield f"| {' | '.join(cells)} |"


_POLLS = {
    RetryAction.RETRY: "continues to poll",
    RetryAction.LOG_IN: "continues to poll, unless the session has only a `token`",
    RetryAction.RAISE: str(RetryAction.RAISE),
}


def unmodelled() -> Iterator[str]:
    """Yield the lines of a table with the operations that the simulator does not model."""
    paths = {name: path for path, name in OPERATIONS.items()}
    yield from ("| operation | path |", "| --- | --- |")
    for name in Simulator().unmodelled():
        namespace, _, method = name.partition(".")
        page = f"reference/operations/{namespace}.md#{method}"
        yield f"| [`{name}`]({page}) | `{paths[name]}` |"


_TABLES = {
    "decisions": decisions,
    "error-hints": error_hints,
    "unmodelled": unmodelled,
}


def filled_in(page: str) -> str:
    """Return the text of a page with up-to-date tables."""

    def table(match: re.Match[str]) -> str:
        start, name, end = match.groups()
        return "".join((start, *(f"{line}\n" for line in _TABLES[name]()), "\n", end))

    return _TABLE.sub(table, page)
