"""Lookup of the resources that a command names, or that ``--where`` selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from ..calls import registry
from ..calls.empty_filter import matches_all
from ..control_characters import one_line
from ..errors import NotFound
from ..queries.batches import batches
from .confirm import listed
from .errors import UsageError
from .language import tr
from .nouns import plural, singular
from .similar_names import did_you_mean
from .where_option import parse_where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..client import Cloudtower

Where: TypeAlias = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]
"""The option ``--where`` of commands that also accept names."""

_KNOWN = 2000
"""Maximum number of known names to read for suggestions about an unknown name."""


async def select(
    tower: Cloudtower,
    query: str,
    names: Sequence[str],
    where: Sequence[str] | None,
    *,
    noun: str,
    within: Mapping[str, Any] | None = None,
    by_name: bool = True,
) -> list[Any]:
    """Return the resources with these names or ids, or those that ``--where`` selects.

    Args:
        tower: The session.
        query: Name of the query: ``"vm.get_vms"``.
        names: Names and ids.
        where: Values of the option ``--where``.
        noun: Noun for a resource in messages: ``VM``.
        within: Filter that all resources must also match.
        by_name: Whether the resources have names. If False, `names` must be ids.

    Returns:
        The resources without duplicates, in the order of `names`, or sorted by name if `where` is
        passed.

    Raises:
        UsageError: `names` and `where` are both passed or both missing, `where` may match every
            resource, or a name is unknown or ambiguous.
        NotFound: No resource matches `where`.
    """
    if bool(names) is bool(where):
        raise UsageError(
            tr(
                "pass the {nouns} by name or id, or with --where; one of the two",
                nouns=plural(noun),
            )
            if by_name
            else tr("pass the {nouns} by id, or with --where; one of the two", nouns=plural(noun))
        )
    if not where:
        return await find(tower, query, names, noun=noun, within=within, by_name=by_name)
    wanted = parse_where(where, registry.operation(query))
    if matches_all(wanted):
        raise UsageError(
            tr("--where: this may match every {noun}; pass a narrower filter", noun=singular(noun))
        )
    found = await tower.fetch_all(_method(tower, query), where=both(wanted or {}, within))
    if not found:
        raise NotFound(
            tr("no {noun} matches --where", noun=singular(noun)),
            operation=query,
            endpoint=tower.endpoint,
            hint=tr("Check the filter."),
        )
    return sorted(_distinct(found), key=lambda one: (getattr(one, "name", None) or "", one.id))


async def find(
    tower: Cloudtower,
    query: str,
    names: Sequence[str],
    *,
    noun: str,
    within: Mapping[str, Any] | None = None,
    by_name: bool = True,
) -> list[Any]:
    """Return the resources with these names or ids, without duplicates.

    Args:
        tower: The session.
        query: Name of the query: ``"vm.get_vms"``.
        names: Names and ids. If a text is both an id and a name, the id takes precedence.
        noun: Noun for a resource in messages.
        within: Filter that all resources must also match.
        by_name: Whether the resources have names. If False, `names` must be ids.

    Raises:
        UsageError: A name is unknown or ambiguous.
    """
    found: list[Any] = []
    for some in batches(list(dict.fromkeys(names))):
        one_of: dict[str, Any] = {"id_in": list(some)}
        if by_name:
            one_of = {"OR": [one_of, {"name_in": list(some)}]}
        found += await tower.fetch_all(_method(tower, query), where=both(one_of, within))
    chosen: list[Any] = []
    faults: list[str] = []
    missing: list[str] = []
    for name in dict.fromkeys(names):
        matching = [one for one in found if one.id == name]
        if by_name and not matching:
            matching = [one for one in _distinct(found) if one.name == name]
        if len(matching) > 1:
            ids = listed([one.id for one in matching])
            faults.append(
                tr(
                    "several {nouns} are called {name!r}: pass an id, of {ids}",
                    nouns=plural(noun),
                    name=name,
                    ids=ids,
                )
            )
        elif matching:
            chosen += matching
        else:
            missing.append(name)
    if missing:
        known = await _known_names(tower, query, within) if by_name else []
        faults = [
            tr(
                "there is no {noun} {name!r}{meant}",
                noun=singular(noun),
                name=one_line(name),
                meant=did_you_mean(name, known),
            )
            for name in missing
        ] + faults
    if faults:
        raise UsageError("; ".join(faults))
    return _distinct(chosen)


async def find_one(
    tower: Cloudtower,
    query: str,
    name: str,
    *,
    noun: str,
    within: Mapping[str, Any] | None = None,
) -> Any:  # noqa: ANN401 - a resource of the kind that the query returns
    """Return the resource with this name or id; see `find`."""
    [one] = await find(tower, query, [name], noun=noun, within=within)
    return one


async def _known_names(
    tower: Cloudtower, query: str, within: Mapping[str, Any] | None
) -> list[str]:
    rows: list[Any] = await _method(tower, query)(where=dict(within or {}), first=_KNOWN)
    return sorted({one_line(row.name) for row in rows if row.name})


def _method(tower: Cloudtower, query: str) -> Any:  # noqa: ANN401
    namespace, _, name = query.partition(".")
    return getattr(getattr(tower, namespace), name)


def both(where: Mapping[str, Any], within: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a filter for resources that match both filters."""
    return {"AND": [where, within]} if within else dict(where)


def _distinct(resources: Sequence[Any]) -> list[Any]:
    """Return the resources without duplicates and without resources that have no id."""
    return list({one.id: one for one in resources if one.id}.values())
