"""Change tracking of the store, for the change feed: database rows before and after.

A row holds plain fields, and the ids of to-one relations. A many-to-many relation is a separate
table (``_LabelToVm``) with rows of two ids.

Any code can change documents in place. A document reports that it is about to change, and the
tracker keeps its earlier state; ``take`` compares the states. A change that is undone is not
reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .schema import ResourceSchema

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class RowChange:
    """Row that was inserted, updated or deleted.

    Args:
        table: Resource type, or name of a table of relations.
        id: Id of the resource; None for a row of relations.
        before: The row as JSON; None for an insertion.
        after: The row as JSON; None for a deletion.
    """

    table: str
    id: str | None
    before: bytes | None
    after: bytes | None


class TrackedDocument(dict[str, Any]):
    """Document that notifies the tracker before it changes.

    Lists and objects inside the document do not notify the tracker: replace them instead of
    changing them.
    """

    __slots__ = ("_resource", "_tracker")

    def __init__(self, values: Mapping[str, Any], resource: str, tracker: ChangeTracker) -> None:
        super().__init__(values)
        self._resource = resource
        self._tracker = tracker

    def fill(self, values: Mapping[str, Any]) -> None:
        """Set fields of a document that is not in the store yet, without recording a change."""
        super().update(values)

    def touch(self) -> None:
        """Record the current state of the document, which is about to change."""
        if self._tracker.listening:
            self._tracker.touch(self._resource, self)

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401
        with self._tracker.lock:
            if self._tracker.listening:
                self._tracker.touch(self._resource, self)
            super().__setitem__(key, value)

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]  # noqa: ANN401
        with self._tracker.lock:
            self.touch()
            return super().__ior__(other)

    def update(self, *args: Any, **values: Any) -> None:  # noqa: ANN401
        """As of a dict."""
        with self._tracker.lock:
            self.touch()
            super().update(*args, **values)

    def setdefault(self, key: str, default: Any = None, /) -> Any:  # noqa: ANN401
        """As of a dict."""
        with self._tracker.lock:
            self.touch()
            return super().setdefault(key, default)


@dataclass(frozen=True, slots=True)
class _Link:
    """Relation that is a separate table."""

    field: str
    table: str
    turned: bool  # whether the first column is the other end


@dataclass(frozen=True, slots=True)
class _Shape:
    columns: tuple[str, ...]
    links: tuple[_Link, ...]


_Row = tuple[bytes, tuple[tuple[str, ...], ...]]


class ChangeTracker:
    """Tracker of the states of documents before they were touched.

    Args:
        resources: All resources.
        tables: Documents of the resources by id.
    """

    def __init__(
        self,
        resources: Mapping[str, ResourceSchema],
        tables: Mapping[str, Mapping[str, TrackedDocument]],
    ) -> None:
        self.lock: RLock = RLock()
        """Lock that is held while documents change, so that no report misses a change."""
        self.active: bool = False
        """Whether changes are recorded; False until a reader needs them."""
        self.listening: bool = False
        """Whether touched documents are reported."""
        self._shapes = {name: _shape(resource, resources) for name, resource in resources.items()}
        self._tables = tables
        self._before: dict[tuple[str, str], _Row | None] = {}
        self._followed: dict[str, set[str]] = {}

    def start(self) -> None:
        """Start recording the states of documents."""
        self.active = self.listening = True

    def follow(self, resource: str) -> set[str]:
        """Return the set of ids of touched documents of a resource, which grows from now on."""
        self.listening = True
        return self._followed.setdefault(resource, set())

    def touch(self, resource: str, document: TrackedDocument) -> None:
        """Record that a document is about to change; keep its state only if the store has it."""
        identifier = document["id"]
        if (followed := self._followed.get(resource)) is not None:
            followed.add(identifier)
        if not self.active:
            return
        key = resource, identifier
        if key not in self._before and self._tables[resource].get(identifier) is document:
            self._before[key] = _row(self._shapes[resource], document)

    def add(self, resource: str, identifier: str) -> None:
        """Record that a document is about to be added."""
        if (followed := self._followed.get(resource)) is not None:
            followed.add(identifier)
        if self.active:
            self._before.setdefault((resource, identifier), None)

    def take(self) -> Iterator[RowChange]:
        """Return the changes since the last call."""
        touched, self._before = self._before, {}
        for (resource, identifier), before in touched.items():
            shape = self._shapes[resource]
            document = self._tables[resource].get(identifier)
            after = None if document is None else _row(shape, document)
            if before == after:
                continue
            old, old_links = before or (None, ((),) * len(shape.links))
            new, new_links = after or (None, ((),) * len(shape.links))
            if old != new:
                yield RowChange(resource, identifier, old, new)
            for link, was, now in zip(shape.links, old_links, new_links, strict=True):
                for end in _without(was, now):
                    yield RowChange(link.table, None, _pair(link, identifier, end), None)
                for end in _without(now, was):
                    yield RowChange(link.table, None, None, _pair(link, identifier, end))


def _shape(resource: ResourceSchema, resources: Mapping[str, ResourceSchema]) -> _Shape:
    columns = [*resource.fields]
    links: list[_Link] = []
    for relation in resource.relations:
        if not relation.many:
            columns.append(relation.field)
            continue
        back = next(
            (
                other
                for other in resources[relation.target].relations
                if other.field == relation.inverse
            ),
            None,
        )
        # One end is enough, because both ends hold the relation.
        if back is None or (
            back.many and (relation.owner, relation.field) < (back.owner, back.field)
        ):
            first, second = sorted((relation.owner, relation.target))
            turned = first != relation.owner
            links.append(_Link(relation.field, f"_{first}To{second}", turned))
    return _Shape(tuple(columns), tuple(links))


def _row(shape: _Shape, document: Mapping[str, Any]) -> _Row:
    get = document.get
    row = _encode({column: get(column) for column in shape.columns})
    return row, tuple(tuple(get(link.field) or ()) for link in shape.links)


def _without(ends: Iterable[str], others: Iterable[str]) -> Iterable[str]:
    gone = set(others)
    return [end for end in ends if end not in gone]


def _pair(link: _Link, identifier: str, end: str) -> bytes:
    first, second = (end, identifier) if link.turned else (identifier, end)
    return _encode({"A": first, "B": second})
