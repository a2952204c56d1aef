"""Parts of rows that several reports share."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ...dates import parse_time


class NamedResource(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Id and name of a related resource."""

    id: str
    name: str


def moment(text: str | None) -> datetime | None:
    """Parse a date from the server. Return None if it is missing or invalid."""
    try:
        return parse_time(text)
    except ValueError:
        return None
