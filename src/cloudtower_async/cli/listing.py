"""Lists of resources: read resources from the server and print them in the chosen format."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args

import anyio

from ..calls import registry
from ..calls.arg_types import ArgType, arguments_of, member
from ..queries.projection import select_fields
from .columns import with_tower
from .connect import ConnectOptions, connect
from .errors import UsageError
from .language import tr
from .output_options import ListOptions, OutputOptions, seconds_between
from .printing import Printer, each
from .resolve_names import both
from .resource_names import query_for
from .similar_names import did_you_mean
from .where_option import parse_where

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping

    import msgspec

    from ..client import Cloudtower

Within: TypeAlias = "Callable[[Cloudtower], Awaitable[Mapping[str, Any] | None]]"


def check_output(kind: type[msgspec.Struct], options: OutputOptions) -> None:
    """Check output options before any resource is read.

    Args:
        kind: Struct of the resources to print later.
        options: Output options: format, columns, order and so on.

    Raises:
        UsageError: A column is unknown, or an option is invalid.
    """
    Printer(kind, options)


async def print_resources(
    rows: AsyncIterable[object] | Iterable[object],
    kind: type[msgspec.Struct],
    options: OutputOptions | None = None,
) -> None:
    """Print resources.

    Args:
        rows: Resources to print.
        kind: Struct of the resources: `Vm`.
        options: Output options: format, columns, order and so on.

    Raises:
        UsageError: A column is unknown, or an option is invalid.
    """
    read = rows if isinstance(rows, AsyncIterable) else each(rows)
    await Printer(kind, options or OutputOptions()).print(read)


def list_resources(
    resource: str,
    listing: ListOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
    *,
    within: Within | None = None,
) -> None:
    """Read resources and print them. This is the whole implementation of a ``list`` command.

    Call this function outside an event loop, because it may prompt for a password.

    Args:
        resource: Name of the resources: ``vm``, ``vms``, ``content-library-images``.
        listing: Options such as --where.
        output: Output options.
        connection: Connection options.
        within: Function that returns a further filter for the resources, such as the VMs of one
            cluster. None means no further filter. Not applied with --profiles.

    Raises:
        UsageError: An option is invalid.
    """
    listing, output = listing or ListOptions(), output or OutputOptions()
    method = query_for(resource)
    operation = registry.operation(method)
    arguments = arguments_of(operation).record
    [kind] = get_args(operation.answer())
    if listing.profiles is not None:
        kind = with_tower(kind)
    printer = Printer(
        kind,
        output,
        or_else=tr("; `cloudtower-async resources {resource}` lists them", resource=resource),
    )
    interval = seconds_between(listing.interval, watch=listing.watch)
    if listing.watch and output.no_pager:
        raise UsageError(tr("--watch uses no pager: leave out --no-pager"))
    if listing.watch and printer.view is None:
        raise UsageError(tr("--watch goes with --output table and wide only"))
    if listing.watch and listing.profiles is not None:
        raise UsageError(tr("--watch watches one server: leave out --profiles"))
    query: dict[str, Any] = {
        "where": parse_where(listing.where or (), operation),
        "order_by": _order(listing.order_by, cast(ArgType, member(arguments, "orderBy")).choices),
        # If the command sorts the resources itself, it must read all of them.
        "first": None if printer.order else listing.limit,
    }
    if listing.profiles is not None:
        from .towers import list_on_towers

        ask = partial(_rows, method=method, query=query)
        list_on_towers(ask, printer, query["order_by"], listing, connection)
        return
    tower = connect(
        connection or ConnectOptions(),
        all_languages=printer.view is None,
    )
    try:
        anyio.run(_list, tower, method, query, printer, listing, interval, within)
    except KeyboardInterrupt:
        if not listing.watch:
            raise


async def _list(
    tower: Cloudtower,
    method: str,
    query: dict[str, Any],
    printer: Printer,
    listing: ListOptions,
    interval: float,
    within: Within | None,
) -> None:
    async with tower:
        if within is not None:
            query = {**query, "where": both(query["where"] or {}, await within(tower))}
        read = partial(_rows, tower, printer.struct(query["order_by"]), method, query)
        if listing.watch:
            from .watching import watch

            await watch(read, printer, listing.limit, interval)
            return
        async with aclosing(read()) as rows:
            await printer.print(rows, listing.limit)


def _rows(
    tower: Cloudtower, struct: type[msgspec.Struct] | None, method: str, query: dict[str, Any]
) -> AsyncGenerator[object]:
    """Yield resources, read page by page. If `struct` is not None, read only its fields."""
    namespace, _, name = method.partition(".")
    ask: Any = getattr(getattr(tower, namespace), name)
    if struct is not None:
        ask = select_fields(ask, struct)
    rows: AsyncGenerator[object] = tower.iterate(ask, **query)
    return rows


def _order(typed: str | None, known: frozenset[str]) -> str | None:
    if typed is None or typed in known:
        return typed
    ascending = f"{typed}_ASC"
    if ascending in known:
        return ascending
    fields = {name.removesuffix("_ASC") for name in known if name.endswith("_ASC")}
    raise UsageError(
        tr(
            "--order-by: there is no {typed!r}{meant}",
            typed=typed,
            meant=did_you_mean(typed, known | fields),
        )
    )
