"""Sorting and paging as Prisma 1 defines them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async.simulator.http_errors import BadRequestError
from cloudtower_async.simulator.store.paging import Order, Page, in_order, take_page

if TYPE_CHECKING:
    from cloudtower_async.simulator.store.filters import Document

DOCUMENTS: list[Document] = [
    {"id": "c", "size": 2, "args": {"x": 1}},
    {"id": "a", "size": 3, "args": {"x": 1}},
    {"id": "e", "size": None, "args": {"w": 1}},
    {"id": "b", "size": 2, "args": None},
    {"id": "d", "size": 1, "args": {"y": 1}},
]
TABLE = {document["id"]: document for document in DOCUMENTS}
UP, DOWN = Order("size"), Order("size", descending=True)
BY_ARGS = Order("args")
BY_ID_DOWN = Order("id", descending=True)

# Up: d=1 b=2 c=2 a=3 e=null. Down: e=null a=3 b=2 c=2 d=1.
CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "abcde"),
    ({"order": BY_ID_DOWN}, "edcba"),
    ({"order": UP}, "dbcae"),
    ({"order": DOWN}, "eabcd"),
    ({"order": BY_ARGS}, "eacdb"),
    ({"first": 2}, "ab"),
    ({"first": 0}, ""),
    ({"first": 9}, "abcde"),
    ({"last": 2}, "de"),
    ({"last": 0}, ""),
    ({"last": 9}, "abcde"),
    ({"skip": 2}, "cde"),
    ({"skip": 9}, ""),
    ({"skip": 1, "first": 2}, "bc"),
    ({"skip": 4, "first": 2}, "e"),
    ({"skip": 1, "last": 2}, "cd"),
    ({"skip": 4, "last": 2}, "a"),
    ({"skip": 9, "last": 2}, ""),
    ({"after": "b"}, "cde"),
    ({"before": "d"}, "abc"),
    ({"after": "a", "before": "e"}, "bcd"),
    ({"after": "d", "before": "b"}, ""),
    ({"after": "e"}, ""),
    ({"after": "nobody"}, ""),
    ({"before": "nobody"}, ""),
    ({"after": "b", "first": 1}, "c"),
    ({"after": "b", "last": 1}, "e"),
    ({"before": "d", "first": 1}, "a"),
    ({"before": "d", "last": 1}, "c"),
    ({"after": "a", "before": "e", "skip": 1, "first": 1}, "c"),
    ({"after": "a", "before": "e", "skip": 1, "last": 1}, "c"),
    ({"after": "a", "skip": 1}, "cde"),
    ({"before": "e", "skip": 3}, "d"),
    ({"order": BY_ID_DOWN, "after": "c"}, "ba"),
    ({"order": BY_ID_DOWN, "before": "c"}, "ed"),
    ({"order": UP, "after": "b"}, "ca"),  # a null compares with nothing
    ({"order": UP, "before": "a"}, "dbc"),
    ({"order": UP, "after": "e"}, ""),
    ({"order": UP, "first": 2}, "db"),
    ({"order": UP, "last": 2}, "ae"),
    ({"order": UP, "last": 2, "skip": 1}, "ca"),
    ({"order": DOWN, "after": "b"}, "cd"),
    ({"order": DOWN, "before": "c"}, "ab"),
    ({"order": DOWN, "first": 2, "skip": 1}, "ab"),
    ({"order": DOWN, "last": 2}, "cd"),
    ({"order": BY_ARGS, "after": "c"}, "d"),
]


@pytest.mark.parametrize(("arguments", "ids"), CASES, ids=[str(case) for case, _ in CASES])
def test_page(arguments: dict[str, Any], ids: str) -> None:
    page = take_page(DOCUMENTS, Page(**arguments), TABLE)
    assert "".join(document["id"] for document in page) == ids


def test_a_cursor_may_be_a_document_that_does_not_match() -> None:
    some = [TABLE["a"], TABLE["c"], TABLE["e"]]
    assert [one["id"] for one in take_page(some, Page(after="b"), TABLE)] == ["c", "e"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": -1}, "first: must not be negative"),
        ({"last": -1}, "last: must not be negative"),
        ({"skip": -1}, "skip: must not be negative"),
        ({"first": 1, "last": 1}, "first, last: only one"),
    ],
)
def test_arguments_invalid_in_prisma_are_rejected(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        Page(**arguments)


@given(
    st.lists(st.none() | st.integers(0, 3), max_size=8),
    st.booleans(),
    st.integers(1, 3),
)
def test_all_pages_together_are_the_complete_result(
    sizes: list[int | None], descending: bool, size: int
) -> None:
    documents: list[Document] = [
        {"id": str(number), "size": value} for number, value in enumerate(sizes)
    ]
    table = {document["id"]: document for document in documents}
    order = Order("size", descending)
    pages = [
        take_page(documents, Page(order, first=size, skip=start), table)
        for start in range(0, len(documents), size)
    ]
    assert [document for page in pages for document in page] == in_order(documents, order)
