"""Details of resources, for the commands ``… show``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import anyio
from rich.cells import cell_len

from ..calls import registry
from ..control_characters import printable
from .connect import ConnectOptions, connect
from .errors import UsageError
from .human import text_for
from .language import tr
from .listing import check_output, print_resources
from .nouns import plural
from .output_options import OutputOptions
from .resolve_names import find, select
from .streams import write_output

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import msgspec

    from ..client import Cloudtower


def show_resources(
    query: str,
    names: Sequence[str],
    where: Sequence[str] | None,
    noun: str,
    output: OutputOptions | None,
    connection: ConnectOptions | None,
    *,
    by_name: bool = True,
) -> None:
    """Print resources in detail, with a line for each field, or in the chosen output format.

    Args:
        query: Name of the query: ``"vm.get_vms"``.
        names: Names or ids of the resources.
        where: Values of the option ``--where``.
        noun: Noun for a resource in messages: ``"VM"``.
        output: Output options.
        connection: Connection options.
        by_name: Whether the resources have names. If False, `names` must be ids.
    """
    options = output or OutputOptions()
    details = options.output == "table" and not (options.columns or options.quiet)
    [kind] = get_args(registry.operation(query).answer())
    check_output(kind, options)
    if details and options != OutputOptions():
        raise UsageError(
            tr(
                "details are not a table: leave out --sort, --no-headers and --no-pager, or "
                "pass --columns"
            )
        )
    tower = connect(connection or ConnectOptions(), all_languages=options.output != "table")
    show = _print_details if details else partial(print_resources, kind=kind, options=options)
    anyio.run(_show, tower, query, names, where, noun, show, by_name)


async def _show(
    tower: Cloudtower,
    query: str,
    names: Sequence[str],
    where: Sequence[str] | None,
    noun: str,
    show: Callable[[list[Any]], Awaitable[None]],
    by_name: bool,
) -> None:
    async with tower:
        if by_name:
            found = await select(tower, query, names, where, noun=noun)
        elif not names:
            raise UsageError(tr("pass the ids of the {nouns}", nouns=plural(noun)))
        else:
            found = await find(tower, query, names, noun=noun, by_name=False)
    await show(found)


async def _print_details(resources: list[Any]) -> None:
    text = "\n".join(map(_details, resources))
    await anyio.to_thread.run_sync(write_output, text.encode(errors="replace"))


def _details(resource: msgspec.Struct) -> str:
    """Return a text with a line for each field that has a value."""
    found = {name: _text(name, getattr(resource, name)) for name in resource.__struct_fields__}
    first = {name: found.pop(name) for name in ("name", "status", "id") if name in found}
    lines = {name: printable(text) for name, text in (first | found).items() if text}
    width = max(map(cell_len, lines), default=0)
    return "".join(f"{name:{width}}  {text}\n" for name, text in lines.items())


def _text(name: str, value: object) -> str:
    if value is None or isinstance(value, dict):  # arguments of a task may hold secrets
        return ""
    to_text, _ = text_for(name)
    return to_text(value)
