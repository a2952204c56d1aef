"""Paged reads with every query that supports pagination, in every sort order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec
import pytest

from cloudtower_async import Cloudtower, InvalidInput
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.registry import operation_at, operation_of
from cloudtower_async.queries.pages import PagedQuery, has_field, query_of
from tests.support import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet


def methods(tower: Cloudtower) -> list[Callable[..., Any]]:
    names = (name.partition(".") for name in OPERATIONS.values())
    return [getattr(getattr(tower, namespace), method) for namespace, _, method in names]


@pytest.fixture(scope="module")
def tower() -> Cloudtower:
    return Cloudtower("tower.example", token=TOKEN)


def queries(tower: Cloudtower) -> list[Callable[..., Any]]:
    found: list[Callable[..., Any]] = []
    for method in methods(tower):
        try:
            query_of("test", method)
        except InvalidInput:
            continue
        found.append(method)
    return found


def argument(method: Callable[..., Any], key: str) -> Any:  # noqa: ANN401
    """Return the type of an argument of a query, without None."""
    body: Any = query_of("test", method).body
    return get_args(get_type_hints(body())[key])[0]


def filters(method: Callable[..., Any]) -> AbstractSet[str]:
    return frozenset(argument(method, "where").__optional_keys__)


def test_every_method_leads_to_its_operation(tower: Cloudtower) -> None:
    for path, method in zip(OPERATIONS, methods(tower), strict=True):
        assert operation_of(method) is operation_at(path)


def test_every_query_with_a_counting_query_supports_pagination(tower: Cloudtower) -> None:
    found = {query_of("test", method).name for method in queries(tower)}
    counts = {name for name in OPERATIONS.values() if name.endswith("_connection")}
    assert {name.removesuffix("_connection") for name in counts} < found
    assert len(found) > len(counts) > 100


def test_every_query_can_be_read_by_ids_and_names(tower: Cloudtower) -> None:
    for method in queries(tower):
        assert {"id", "id_in", "id_gt", "id_lt"} <= filters(method)
        if has_field(query_of("test", method), "name"):
            assert "name" in filters(method)


def test_pages_come_in_every_order_that_filters_can_follow(tower: Cloudtower) -> None:
    refused = 0
    for method in queries(tower):
        asked = query_of("test", method)
        element: type[msgspec.Struct] = get_args(asked.answer())[0]
        fields = {field.encode_name for field in msgspec.structs.fields(element)}
        for order in get_args(argument(method, "orderBy")):
            field = order.rpartition("_")[0]
            try:
                stretches = PagedQuery("test", method, {"order_by": order}).key_ranges(None)
            except InvalidInput:
                refused += 1
                assert field not in fields or f"{field}_not" not in filters(method)
                continue
            assert field in fields
            for stretch in stretches:
                assert set(stretch.where or ()) <= filters(method)
    assert refused > 0
