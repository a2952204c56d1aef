"""Common options of the commands that list or show resources."""

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
    """Options for the output of resources."""

    output: Annotated[Output, Parameter(name=("--output", "-o"))] = "table"
    """Output format. table fits the width of the terminal. wide has more columns and is never cut.
    name prints one name per line. The other formats are for programs: values are not formatted, and
    the output is streamed."""

    columns: str | None = None
    """Comma-separated fields to show, also of related resources: name,memory,cluster.name. Tables
    also accept their headings, such as age. The `resources` command lists all columns. [default:
    selected fields for table, wide and csv; all fields for other formats]"""

    sort: str | None = None
    """Column or field to sort by. Append :desc for descending order: age:desc. All resources are
    read before the first is printed."""

    no_headers: Flag = False
    "Do not print the headings of a table or of CSV."

    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show_default=False)] = (
        False
    )
    "Print only the ids, one per line."

    no_pager: Flag = False
    "Do not show long tables in a pager. PAGER sets the pager, which is less by default."

    raw_csv: Flag = False
    """Do not change texts that a spreadsheet would run as formulas. By default, an apostrophe is
    put before texts that begin with =, +, - or @."""


@Parameter(name="*", group=_SELECTION)
@dataclasses.dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Options that select the resources to list, and that refresh the list."""

    where: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None
    """Filter, as key=value (name_contains=web, cluster.name=prod, id_in=a,b) or as the API's JSON.
    If you repeat the option, a resource must match all filters."""

    order_by: str | None = None
    "Field by which the server sorts: name, name_DESC. [default: id]"

    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None
    "Maximum number of resources to show."

    profiles: str | None = None
    """Comma-separated profiles, or all: list the resources of several servers. A column shows the
    profile. If a server fails, the resources of the other servers are listed, and the exit status
    is 1."""

    watch: Annotated[bool, Parameter(name=("--watch", "-w"), negative="", show_default=False)] = (
        False
    )
    "Keep refreshing the table until Ctrl-C, and mark the rows that have changed."

    interval: Interval = None
    "Seconds between two refreshes with --watch. [default: 5]"


def seconds_between(interval: float | None, *, watch: bool) -> float:
    """Return `interval`, or the default number of seconds between two refreshes.

    Args:
        interval: Value of ``--interval``, or None if the option is missing.
        watch: Value of ``--watch``.

    Raises:
        UsageError: ``--interval`` was passed without ``--watch``.
    """
    if interval is not None and not watch:
        raise UsageError(tr("--interval needs --watch: add --watch, or leave out --interval"))
    return _INTERVAL if interval is None else interval
