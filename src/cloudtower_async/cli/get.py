"""The command ``get``: show resources as a table or in a format for programs."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import anyio
from cyclopts import Parameter, validators

from ..calls import registry
from ..calls.arg_types import ArgType, arguments_of, member
from ..queries.projection import select_fields
from ..spelling import did_you_mean
from .columns import Columns
from .connect import ConnectOptions, connect
from .errors import UsageError
from .formats import Format, RawCsv, formatter_for
from .resource_names import query_for
from .streams import write_chunks
from .where_option import parse_where

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from msgspec import Struct

    from ..client import Cloudtower
    from .formats import Formatter


def get(
    resource: str,
    /,
    *,
    where: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    output: Annotated[Format, Parameter(name=("--output", "-o"))] = "table",
    columns: str | None = None,
    order_by: str | None = None,
    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    raw_csv: RawCsv = False,
    language: Literal["en-US", "zh-CN"] | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show resources: vms, hosts, vm-snapshots, content-library-images, …

    Args:
        resource: Name in the API, singular or plural: vm, vms, content-library-vm-template. The
            command resources lists them.
        where: Filter, as key=value (name_contains=web, cluster.name=prod, id_in=a,b) or as the
            API's JSON; repeat it for more, all of which must match.
        output: table, or a format for programs. Formats for programs are streamed; a table is
            written after the last resource.
        columns: Comma-separated fields, also those of related resources: id,name,cluster.name. The
            command resources lists them. Default: a selection for csv and table, all for others.
        order_by: Field to sort by: name, name_DESC. Default: id.
        limit: Maximum number of resources to show.
        raw_csv: Do not change texts that a spreadsheet would run as formulas. By default, texts
            that begin with =, +, - or @ get an apostrophe in front.
        language: Language of texts. [default: en-US]
        connection: How to reach the server.
    """
    method = query_for(resource)
    operation = registry.operation(method)
    arguments = arguments_of(operation).record
    chosen = Columns(
        get_args(operation.answer())[0],
        None if columns is None else [name.strip() for name in columns.split(",")],
        or_else=f"; `cloudtower-async resources {resource}` lists them",
    )
    query: dict[str, Any] = {
        "where": parse_where(where or (), operation),
        "order_by": _order(order_by, cast(ArgType, member(arguments, "orderBy")).choices),
        "first": limit,
    }
    pages = formatter_for(output, raw_csv=raw_csv)
    tower = connect(
        connection or ConnectOptions(), language=language, all_languages=output != "table"
    )
    # These show the columns only, so only these are decoded.
    selected = columns is not None or output in ("table", "csv")
    struct = chosen.struct(query["order_by"]) if selected else None
    anyio.run(_get, tower, method, struct, query, pages, chosen, columns is not None)


async def _get(
    tower: Cloudtower,
    method: str,
    struct: type[Struct] | None,
    query: dict[str, Any],
    pages: Formatter,
    columns: Columns,
    chosen: bool,
) -> None:
    namespace, _, name = method.partition(".")
    async with tower:
        ask: Any = getattr(getattr(tower, namespace), name)
        if struct is not None:
            ask = select_fields(ask, struct)
        rows: AsyncGenerator[object] = tower.iterate(ask, **query)
        async with aclosing(rows), aclosing(pages(rows, columns, chosen)) as chunks:
            await write_chunks(chunks)


def _order(typed: str | None, known: frozenset[str]) -> str | None:
    if typed is None or typed in known:
        return typed
    ascending = f"{typed}_ASC"
    if ascending in known:
        return ascending
    fields = {name.removesuffix("_ASC") for name in known if name.endswith("_ASC")}
    raise UsageError(f"--order-by: there is no {typed!r}{did_you_mean(typed, known | fields)}")
