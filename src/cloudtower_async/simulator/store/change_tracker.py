"""Change tracking of the store for the change feed: database rows before and after each change.

A row contains the plain fields of a document and the ids in its to-one relations. Each many-to-many
relation has its own table (``_LabelToVm``), whose rows contain two ids.

Any code can change documents in place. Before a document changes, the tracker stores its state.
Later, ``take`` compares this state with the current state. If a change was undone in the meantime,
``take`` does not return the change.
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
        table: Resource type, or the name of the table of a many-to-many relation.
        id: Id of the resource. For a row of a many-to-many relation, the id is None.
        before: Row before the change as JSON, or None for an insertion.
        after: Row after the change as JSON, or None for a deletion.
    """

    table: str
    id: str | None
    before: bytes | None
    after: bytes | None


class TrackedDocument(dict[str, Any]):
    """Document that notifies the tracker before the document changes.

    Nested lists and objects do not notify the tracker. To change a nested list or object, replace
    the whole value.
    """

    __slots__ = ("_resource", "_tracker")

    def __init__(self, values: Mapping[str, Any], resource: str, tracker: ChangeTracker) -> None:
        super().__init__(values)
        self._resource = resource
        self._tracker = tracker

    def fill(self, values: Mapping[str, Any]) -> None:
        """Set fields without recording a change, because the document is not in the store yet."""
        super().update(values)

    def touch(self) -> None:
        """Record the current state of the document before the document changes."""
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
        """Record the state of the document, then update the document like a dict."""
        with self._tracker.lock:
            self.touch()
            super().update(*args, **values)

    def setdefault(self, key: str, default: Any = None, /) -> Any:  # noqa: ANN401
        """Record the state of the document, then do the same as ``dict.setdefault``."""
        with self._tracker.lock:
            self.touch()
            return super().setdefault(key, default)


@dataclass(frozen=True, slots=True)
class _Link:
    """To-many relation that is stored in a separate table.

    Args:
        field: Field of the document.
        table: Name of the table, such as ``_LabelToVm``.
        turned: Whether column A has the id of the related document. Otherwise, column B has it.
    """

    field: str
    table: str
    turned: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    columns: tuple[str, ...]
    links: tuple[_Link, ...]


_Row = tuple[bytes, tuple[tuple[str, ...], ...]]


class ChangeTracker:
    """Tracker that records the states of documents before the documents change.

    Args:
        resources: Schemas of all resource types.
        tables: For each resource type, the documents by id.
    """

    def __init__(
        self,
        resources: Mapping[str, ResourceSchema],
        tables: Mapping[str, Mapping[str, TrackedDocument]],
    ) -> None:
        self.lock: RLock = RLock()
        """Lock that protects each change of a document, so that no change is missed."""
        self.active: bool = False
        """Whether the states of documents are recorded. ``start`` sets this attribute."""
        self.listening: bool = False
        """Whether documents notify the tracker. ``start`` and ``follow`` set this attribute."""
        self._shapes = {name: _shape(resource, resources) for name, resource in resources.items()}
        self._tables = tables
        self._before: dict[tuple[str, str], _Row | None] = {}
        self._followed: dict[str, set[str]] = {}

    def start(self) -> None:
        """Start recording the states of documents."""
        self.active = self.listening = True

    def follow(self, resource: str) -> set[str]:
        """Return a set to which the tracker adds the ids of changed documents.

        The set contains only documents of one resource type. Later calls return the same set.
        """
        self.listening = True
        return self._followed.setdefault(resource, set())

    def touch(self, resource: str, document: TrackedDocument) -> None:
        """Record that a document is about to change.

        If the document is in the store, the tracker keeps the current state of the document.
        """
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
        """Yield the changes since the last call of this method."""
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
        # Both documents contain the relation, but only one row is needed.
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
