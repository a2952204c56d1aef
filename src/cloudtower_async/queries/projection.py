"""Queries that decode only the fields that a caller selects."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, get_args

import msgspec

from ..calls.executor import Executor
from ..calls.namespace import executor_of
from ..calls.operation import Kind
from ..calls.registry import bound_method, require_operation
from ..errors import InvalidInput

if TYPE_CHECKING:
    from ..calls.operation import Operation

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)

MAX_CACHED = 256
"""Maximum number of cached decoders; each decoder belongs to one query and one struct."""


def select_fields(
    method: Callable[P, Awaitable[list[Any]]], struct: type[S]
) -> Callable[P, Coroutine[Any, Any, list[S]]]:
    """Return a query that decodes only the fields of a given struct.

    The new query takes the same arguments as `method`. Call the new query directly, or pass the new
    query to `iterate`, `fetch_all`, `get_one`, `resolve`, `count`, `loader` or `watch`. These
    functions need the field ``id`` in the struct; a direct call does not. With the new query,
    `watch` only reports changes of the selected fields.

    The server still sends all fields, but the other fields are not decoded, which saves time and
    memory. Invalid values in the other fields are not detected, even with ``strict=True``.

    Args:
        method: A query method, such as ``tower.vm.get_vms``.
        struct: A `msgspec.Struct` whose fields have the names of the API. The type of each field
            must accept every value that the API may send for the field. Use the type of the API's
            field, a wider type, or `msgspec.Raw` for the undecoded JSON. A nested struct selects
            fields of a nested object. A field that may be None needs a default.

    Raises:
        InvalidInput: The method is not a query of resources, the API lacks a field of the struct,
            or a field cannot hold every value that the API may send.

    Example:
        ::

            class MyVm(msgspec.Struct, kw_only=True, frozen=True, gc=False):
                id: str
                name: str
                memory: int
                cpu_usage: float | None = None

            get_my_vms = select_fields(tower.vm.get_vms, MyVm)
            async for vm in tower.iterate(get_my_vms, where={"status": "RUNNING"}):
                print(vm.name, vm.memory)
    """
    operation = require_operation("select_fields", method)
    if not isinstance(struct, type) or not issubclass(struct, msgspec.Struct):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"select_fields: expected a subclass of msgspec.Struct, got {struct!r}")
    selecting = _SelectingExecutor(
        executor_of(method), operation, selected_operation(operation, struct)
    )
    return cast("Callable[P, Coroutine[Any, Any, list[S]]]", bound_method(operation, selecting))


def row_struct(operation: Operation[object], method: object) -> type[msgspec.Struct]:
    """Return the struct into which a query decodes each resource.

    Args:
        operation: Operation that `method` calls.
        method: Method of a namespace, or a result of `select_fields`.
    """
    executor = executor_of(method)
    if isinstance(executor, _SelectingExecutor):
        operation = executor.selected
    struct: type[msgspec.Struct] = get_args(operation.answer())[0]
    return struct


class _SelectingExecutor(Executor):
    """Executor that decodes the answers of one operation into the struct of the caller.

    Args:
        executor: Executor of the session.
        operation: The original operation.
        selected: The result of `selected_operation`.
    """

    def __init__(
        self, executor: Executor, operation: Operation[object], selected: Operation[Any]
    ) -> None:
        vars(self).update(vars(executor))  # the same connections, limits and defaults
        self._operation = operation
        self.selected = selected

    def call(
        self,
        operation: Operation[R],
        arguments: Mapping[str, object] | Sequence[object] | None = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, R]:
        if operation is self._operation:
            operation = self.selected
        return super().call(operation, arguments, content_language, external_cloudtower_id, timeout)


@functools.lru_cache(MAX_CACHED)
def selected_operation(operation: Operation[object], struct: type[S]) -> Operation[list[S]]:
    """Check a struct, and return an operation that decodes the answer to a list of this struct."""
    # Imported here, because `struct_check` loads `msgspec.inspect`, which few programs need.
    from .struct_check import check_struct

    rows: object = (get_args(operation.answer()) or (None,))[0]
    if (
        operation.kind is not Kind.QUERY
        or not isinstance(rows, type)
        or not issubclass(rows, msgspec.Struct)
    ):
        raise InvalidInput(f"select_fields: {operation.name} is not a query of many resources")
    check_struct(f"select_fields: {operation.name}", rows, struct)
    return operation.answering(lambda: list[struct])  # type: ignore[valid-type]
