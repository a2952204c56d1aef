"""Lists of resources of several servers, for the option ``--profiles``."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias

import anyio

from ..concurrency import map_concurrently
from ..errors import CloudtowerError
from .columns import TOWER, with_tower, without_tower
from .language import content_language, tr
from .messages import error_line
from .printing import each
from .profiles_option import profile_sessions
from .streams import print_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    import msgspec

    from ..client import Cloudtower
    from ..options import SessionOptions
    from .connect import ConnectOptions
    from .output_options import ListOptions
    from .printing import Printer

Read: TypeAlias = "Callable[[Cloudtower, type[msgspec.Struct] | None], AsyncGenerator[object]]"

_AT_A_TIME = 10  # servers that are read concurrently


def list_on_towers(
    read: Read,
    printer: Printer,
    order_by: str | None,
    listing: ListOptions,
    connection: ConnectOptions | None,
) -> None:
    """Read the resources of several servers and print them as one list, profile by profile.

    If a server fails, the error is printed to standard error, and the resources of the other
    servers are listed. Call this function outside an event loop, because it reads files.

    Args:
        read: Function that reads the resources of a session. If its second argument is a struct,
            the function reads only the fields of the struct.
        printer: Printer for the resources, with the name of the profile in the column `TOWER`.
        order_by: Value of ``orderBy`` in the requests. None means that the servers sort by id.
        listing: Options such as --where. ``profiles`` must be set.
        connection: Connection options. Only ``--verbose`` is allowed.

    Raises:
        UsageError: A profile is unknown, or an option is invalid.
        InvalidSettings: A profile is invalid or has no token.
        CloudtowerError: A server has failed. The resources of the other servers were printed.
    """
    language = content_language()
    options: SessionOptions = {} if language is None else {"content_language": language}
    sessions = profile_sessions(
        listing.profiles or "",
        options,
        connection=connection,
        all_languages=printer.view is None,
    )
    anyio.run(_list, sessions, read, printer, order_by, listing.limit)


async def _list(
    sessions: Mapping[str, Cloudtower],
    read: Read,
    printer: Printer,
    order_by: str | None,
    limit: int | None,
) -> None:
    struct = printer.struct(order_by)
    sent = None if struct is None else without_tower(struct)
    kind = printer.kind if sent is None else with_tower(sent)
    fields = [name for name in kind.__struct_fields__ if name != TOWER]
    failed: list[str] = []

    async def read_all(name: str) -> list[object]:
        rows: list[object] = []
        try:
            async with sessions[name] as tower, aclosing(read(tower, sent)) as found:
                async for row in found:
                    values = {field: getattr(row, field) for field in fields}
                    rows.append(kind(**{TOWER: name, **values}))
        except CloudtowerError as exc:
            print_error(f"cloudtower-async: {name}: {error_line(exc)}")
            failed.append(name)
            return []
        return rows

    found = await map_concurrently(read_all, sessions, _AT_A_TIME)
    rows = [row for part in found for row in part]
    await printer.print(each(rows if printer.order else rows[:limit]), limit)
    if failed:
        names = ", ".join(name for name in sessions if name in failed)
        raise CloudtowerError(
            tr(
                "{failed} of {total} Towers failed: {names}",
                failed=len(failed),
                total=len(sessions),
                names=names,
            )
        )
