"""Finds the arguments and filter fields that are dates, and renders `date_fields.py`."""

from __future__ import annotations

import re
from dataclasses import replace

from . import emit_inputs, layout
from .schema import Api, ListOf, Node, Record, Scalar

_COMPARISON = re.compile(r"_(not_in|not|in|lte?|gte?)$")


def module(api: Api) -> str:
    """Return the text of `date_fields.py`."""
    rows = "\n".join(f"    {name!r}: {keys!r}," for name, keys in sorted(date_fields(api).items()))
    return f'''"""Names of arguments and filter fields whose values are dates."""

from __future__ import annotations

DATE_FIELDS: dict[str, str] = {{
{rows}
}}
"""Names of date fields, by the name of their TypedDict. Filters compare such fields with dates."""
'''


def date_fields(api: Api) -> dict[str, str]:
    """Return the fields that are dates, by name of the record.

    The schema rarely declares that a field is a date. Therefore, the keys of filters are used. For
    example, filters have the key `local_created_at_lt`, but no key `local_created_at_contains`, so
    `local_created_at` is a date. For a string, a filter has both keys. An argument is a date if at
    least one filter has a date with this name, and no filter has a string with this name.
    """
    inputs = [kind for name in layout.inputs(api) if isinstance(kind := api.types[name], Record)]
    filters = [record for record in inputs if emit_inputs.is_filter(record.name)]
    found = {record.name: _compared(record, as_dates=True) for record in filters}
    dates = set[str]().union(*found.values())
    texts = set[str]().union(*(_compared(record, as_dates=False) for record in filters))
    for record in inputs:
        if record not in filters:
            found[record.name] = {
                prop.wire
                for prop in record.properties
                if isinstance(prop.node, Scalar)
                and prop.node.python == "str"
                and (prop.node.is_date or prop.wire in dates - texts)
            }
    return {name: " ".join(sorted(fields)) for name, fields in found.items() if fields}


def mark(api: Api) -> None:
    """Mark the arguments that are dates, so that their annotations accept dates."""
    for name, fields in date_fields(api).items():
        record = api.types[name]
        assert isinstance(record, Record)
        known = fields.split()
        api.types[name] = replace(
            record,
            properties=tuple(
                replace(prop, node=_as_date(prop.node))
                if _COMPARISON.sub("", prop.wire) in known
                else prop
                for prop in record.properties
            ),
        )


def _as_date(node: Node) -> Node:
    if isinstance(node, ListOf):
        return replace(node, items=_as_date(node.items))
    return replace(node, is_date=True) if isinstance(node, Scalar) else node


def _compared(record: Record, *, as_dates: bool) -> set[str]:
    """Return the date fields of a filter. If `as_dates` is false, return the string fields."""
    keys = {
        prop.wire
        for prop in record.properties
        if isinstance(prop.node, Scalar) and prop.node.python == "str"
    }
    return {
        name for name in keys if f"{name}_lt" in keys and (f"{name}_contains" in keys) != as_dates
    }
