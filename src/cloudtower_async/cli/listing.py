"""Lists of resources: read them from the server, and print them in the chosen format."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast, get_args

import anyio

from ..calls import registry
from ..calls.arg_types import ArgType, arguments_of, member
from ..queries.projection import select_fields
from ..spelling import did_you_mean
from .columns import Columns
from .connect import ConnectOptions, connect
from .errors import UsageError
from .formats import formatter_for
from .output_options import ListOptions, OutputOptions
from .resource_names import query_for
from .streams import write_chunks
from .where_option import parse_where

if TYPE_CHECKING:
    import msgspec

    from ..client import Cloudtower


def check_output(kind: type[msgspec.Struct], options: OutputOptions) -> None:
    """Check the options of an output before anything is read.

    Args:
        kind: Struct of the resources to print later.
        options: Format, columns, order and so on.

    Raises:
        UsageError: A column or an option cannot be used.
    """
    _columns(kind, options)
    formatter_for(cast("Any", options.output), raw_csv=options.raw_csv)


async def print_resources(
    rows: AsyncIterable[object] | Iterable[object],
    kind: type[msgspec.Struct],
    options: OutputOptions | None = None,
) -> None:
    """Print resources that were already read.

    Args:
        rows: The resources.
        kind: Struct of the resources: `Vm`.
        options: Format, columns, order and so on.

    Raises:
        UsageError: A column or an option cannot be used.
    """
    options = options or OutputOptions()
    output = "table" if options.output in ("wide", "name") else options.output
    columns = _columns(kind, options)
    format_rows = formatter_for(cast("Any", output), raw_csv=options.raw_csv)
    read = rows if isinstance(rows, AsyncIterable) else _each(rows)
    async with aclosing(format_rows(read, columns, options.columns is not None)) as chunks:
        await write_chunks(chunks)


async def _each(rows: Iterable[object]) -> AsyncGenerator[object]:
    for row in rows:
        yield row


def _columns(kind: type[msgspec.Struct], options: OutputOptions, or_else: str = "") -> Columns:
    names = options.columns and [name.strip() for name in options.columns.split(",")]
    return Columns(kind, names or None, or_else=or_else)


def list_resources(
    resource: str,
    listing: ListOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Read resources and print them; this is the whole of a command that lists.

    Call this outside the event loop, because it may ask for a password.

    Args:
        resource: Name of the resources: ``vm``, ``vms``, ``content-library-images``.
        listing: Which resources to list.
        output: How to print them.
        connection: How to reach the server.

    Raises:
        UsageError: An option cannot be used.
    """
    listing, output = listing or ListOptions(), output or OutputOptions()
    method = query_for(resource)
    operation = registry.operation(method)
    arguments = arguments_of(operation).record
    [kind] = get_args(operation.answer())
    columns = _columns(kind, output, f"; `cloudtower-async resources {resource}` lists them")
    query: dict[str, Any] = {
        "where": parse_where(listing.where or (), operation),
        "order_by": _order(listing.order_by, cast(ArgType, member(arguments, "orderBy")).choices),
        "first": listing.limit,
    }
    formatter_for(cast("Any", output.output), raw_csv=output.raw_csv)
    tower = connect(
        connection or ConnectOptions(),
        language=listing.language,
        all_languages=output.output != "table",
    )
    # These show the columns only, so only these are decoded.
    selected = output.columns is not None or output.output in ("table", "csv")
    struct = columns.struct(query["order_by"]) if selected else None
    anyio.run(_list, tower, method, struct, query, kind, output)


async def _list(
    tower: Cloudtower,
    method: str,
    struct: type[msgspec.Struct] | None,
    query: dict[str, Any],
    kind: type[msgspec.Struct],
    options: OutputOptions,
) -> None:
    namespace, _, name = method.partition(".")
    async with tower:
        ask: Any = getattr(getattr(tower, namespace), name)
        if struct is not None:
            ask = select_fields(ask, struct)
        rows: AsyncGenerator[object] = tower.iterate(ask, **query)
        async with aclosing(rows):
            await print_resources(rows, kind, options)


def _order(typed: str | None, known: frozenset[str]) -> str | None:
    if typed is None or typed in known:
        return typed
    ascending = f"{typed}_ASC"
    if ascending in known:
        return ascending
    fields = {name.removesuffix("_ASC") for name in known if name.endswith("_ASC")}
    raise UsageError(f"--order-by: there is no {typed!r}{did_you_mean(typed, known | fields)}")
