"""Options that every command which lists or shows resources has in common."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, TypeAlias

from cyclopts import Group, Parameter, validators

from .errors import UsageError
from .language import tr

Output: TypeAlias = Literal["table", "wide", "name", "json", "jsonl", "csv", "yaml"]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Interval = Annotated[float | None, Parameter(validator=validators.Number(gt=0))]

_INTERVAL = 5.0  # seconds

_OUTPUT = Group("Output", sort_key=0)
_SELECTION = Group("Selection", sort_key=1)


@Parameter(name="*", group=_OUTPUT)
@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options for how resources are shown."""

    output: Annotated[Output, Parameter(name=("--output", "-o"))] = "table"
    """table fits the terminal; wide also has the id and is never cut; name prints one name per
    line. The other formats are for programs: their values are raw, and they are streamed."""

    columns: str | None = None
    """Comma-separated fields, including those of related resources: name,memory,cluster.name. The
    command resources lists them. [default: a selection for table, wide and csv; all for other
    formats]"""

    sort: str | None = None
    "Column or field to sort by; age:desc for descending order. Everything is read first."

    no_headers: Flag = False
    "Leave out the headings of a table or of CSV."

    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show_default=False)] = (
        False
    )
    "Print ids only, one per line."

    no_pager: Flag = False
    "Do not show a long table in a pager. PAGER names the pager; by default it is less."

    raw_csv: Flag = False
    """Do not change texts that a spreadsheet would run as formulas. By default, texts that begin
    with =, +, - or @ get an apostrophe in front."""


@Parameter(name="*", group=_SELECTION)
@dataclasses.dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Options for which resources are listed, and how often."""

    where: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None
    """Filter, as key=value (name_contains=web, cluster.name=prod, id_in=a,b) or as the API's
    JSON. Repeat the option for more filters, all of which must match."""

    order_by: str | None = None
    "Field by which the server sorts: name, name_DESC. [default: id]"

    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None
    "Maximum number of resources to show."

    profiles: str | None = None
    """List the resources of several servers: comma-separated names of profiles, or all. A column
    shows the profile. If a server fails, the others are listed, and the exit status is 1."""

    watch: Annotated[bool, Parameter(name=("--watch", "-w"), negative="", show_default=False)] = (
        False
    )
    "Keep refreshing the table until Ctrl-C, and mark the rows that have changed."

    interval: Interval = None
    "Seconds between two refreshes with --watch. [default: 5]"


def seconds_between(interval: float | None, *, watch: bool) -> float:
    """Return the seconds between two refreshes.

    Args:
        interval: Value of ``--interval``; None: not given.
        watch: Whether ``--watch`` was given.

    Raises:
        UsageError: An interval was given without --watch.
    """
    if interval is not None and not watch:
        raise UsageError(tr("--interval needs --watch: add --watch, or leave out --interval"))
    return _INTERVAL if interval is None else interval
