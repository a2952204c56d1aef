"""Parse and format dates in the server's format, such as ``2026-11-29T10:00:00.000Z``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

DATE_TYPES = (datetime, date, time, timedelta)
"""Types of dates and times. Only an aware `datetime` can be sent."""

_STARTS_WITH_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:$|[T ])")


def parse_time(text: str | None) -> datetime | None:
    """Parse a date from an answer, and return a datetime in UTC.

    Args:
        text: A date in ISO 8601, with or without a fraction of a second. A date without a UTC
            offset is read as UTC, because the server writes all dates in UTC. A date without a time
            of day is read as midnight.

    Returns:
        The datetime in UTC, with a precision of one microsecond. None if the text is empty or None,
        which means that the server has no date.

    Raises:
        ValueError: The text is not a date in the years 1 to 9999.

    Example:
        ::

            parse_time("2026-11-29T10:00:00.000Z")  # datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
    """
    if not text:
        return None
    try:
        if _STARTS_WITH_DATE.match(text):
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"expected a date in ISO 8601, got {text!r:.80}")


def date_fault(value: object) -> str | None:
    """Return an error message if a date or a time cannot be sent, otherwise None."""
    if not isinstance(value, datetime):
        return (
            f"expected a string or a datetime with a time zone, got {type(value).__name__}; the "
            "server wants the time of day and the time zone, too"
        )
    try:
        if value.utcoffset() is None:
            return (
                "got a datetime without a time zone, so it is unknown which moment it means; give "
                "it one, as in datetime.now(UTC) or value.replace(tzinfo=UTC)"
            )
        date_text(value)
    except (ValueError, OverflowError):  # NaT of pandas raises an error, too
        return "got a datetime that has no date in UTC; give one of the years 1 to 9999"
    return None


def date_text(moment: datetime) -> str:
    """Return an aware datetime in the server's format: in UTC, truncated to milliseconds."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text}Z"
