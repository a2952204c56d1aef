"""State of the simulated server: documents by resource type and id.

A document is a dict with the API's field names. It has all plain fields; unknown values are null.
Relations hold the id of the other document, or a list of ids. The store keeps both ends consistent,
and replaces the ids by nested objects in answers.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ..http_errors import DocumentNotFoundError
from .change_tracker import ChangeTracker, TrackedDocument
from .filters import Sources, compile_where
from .indexes import Indexes
from .paging import Page, take_page
from .schema import describe, where_conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping
    from threading import RLock

    from .change_tracker import RowChange
    from .filters import Document
    from .schema import Relation, ResourceSchema

LANGUAGES = ("en-US", "zh-CN")
EVERY_LANGUAGE = "*"

F = TypeVar("F", bound="Callable[..., Any]")

_TRANSLATED = {
    "Alert": ("message", "cause", "impact", "solution"),
    "GlobalAlertRule": ("message", "cause", "impact", "solution"),
    "Task": ("description",),
}


_OWNED = {"VmVolume": ("lun",)}
"""Relations, by resource type, to documents that are removed with the resource."""


def _alone(method: F) -> F:
    """Hold the lock of the store during a method."""

    @wraps(method)
    def locked(store: Store, *args: Any, **values: Any) -> Any:  # noqa: ANN401
        with store.lock:
            return method(store, *args, **values)

    return cast("F", locked)


class Store:
    """Store of the documents of all resources.

    The server may run in another thread than the test, so each call is atomic. Hold ``lock`` to
    make several calls atomic.

    A document is a dict with the API's field names. Relations hold the id of the other document, or
    a list of ids.

    Args:
        resources: Names of the resources in the schema.

    Example:
        ::

            [vm, *_] = simulator.store.select("Vm", {"status": "RUNNING"})
            simulator.store.change("Vm", vm["id"], name="web-1")
    """

    def __init__(self, resources: Iterable[str]) -> None:
        self.resources: dict[str, ResourceSchema] = {name: describe(name) for name in resources}
        self.translations: dict[str, str] = {}
        """Texts in zh-CN by their en-US equivalents, which documents contain and filters use."""
        self._tables: dict[str, dict[str, TrackedDocument]] = {name: {} for name in self.resources}
        self._tracker = ChangeTracker(self.resources, self._tables)
        self.lock: RLock = self._tracker.lock
        """Exclusive lock of the store. Do not send requests while holding it: they would wait."""
        self._indexes = Indexes(self.resources, self._tables, self._tracker)
        self._watcher: Callable[[RowChange], None] | None = None
        self._due: dict[tuple[Callable[[Store, str], None], str], None] | None = None
        self._sources = Sources(where_conditions, self.table)
        self._blank: dict[str, dict[str, Any]] = {
            name: dict.fromkeys(resource.fields) for name, resource in self.resources.items()
        }
        self._relations = {
            name: {relation.field: relation for relation in resource.relations}
            for name, resource in self.resources.items()
        }

    @contextmanager
    def together(self) -> Generator[None]:
        """Defer derived fields to the end of the block, so that they are computed only once."""
        with self.lock:
            if self._due is not None:  # the outer block computes the fields
                yield
                return
            due = self._due = {}
            try:
                yield
            finally:
                self._due = None
                for work_out, identifier in due:
                    work_out(self, identifier)

    def follows(self, work_out: Callable[[Store, str], None], identifier: str) -> None:
        """Compute derived fields after a change: now, or at the end of a ``together`` block.

        Args:
            work_out: Function that computes the fields, given the id. The document may be gone.
            identifier: Id of the document with the derived fields.
        """
        if self._due is None:
            work_out(self, identifier)
        else:
            self._due[work_out, identifier] = None

    def table(self, resource: str) -> Mapping[str, Document]:
        """Return the documents of a resource by id; unknown resources have no documents."""
        return self._tables.get(resource, {})

    def relation(self, resource: str, field: str) -> Relation:
        """Return a relation of a resource."""
        return self._relations[resource][field]

    @_alone
    def watch(self, watcher: Callable[[RowChange], None]) -> None:
        """Call `watcher` for every change from now on, including changes in place."""
        self._watcher = watcher
        self._tracker.start()

    @_alone
    def report(self) -> None:
        """Call the watcher once for each row that has changed since the last report."""
        if self._watcher is not None:
            for change in self._tracker.take():
                self._watcher(change)

    def get(self, resource: str, identifier: str) -> Document:
        """Return one document. Set its relations with ``change`` only, never in place.

        Raises:
            DocumentNotFoundError: The document does not exist. This error is a KeyError.
        """
        return self._one(resource, identifier)

    @_alone
    def add(self, resource: str, values: Mapping[str, Any]) -> Document:
        """Add a document with its relations, and return it. Fields that are left out become null.

        Raises:
            KeyError: The resource lacks a field.
            DocumentNotFoundError: A related document does not exist.
            ValueError: A document with this id already exists.
        """
        if values["id"] in self._tables[resource]:
            raise ValueError(f"there is a {resource} {values['id']} already")
        relations, blank = self._relations[resource], self._blank[resource]
        tied = values.keys() & relations.keys()
        document = TrackedDocument(blank, resource, self._tracker)
        document.fill(values)
        if len(document) > len(blank) + len(tied):
            unknown = values.keys() - blank.keys() - tied
            raise KeyError(f"{resource} has no field {', '.join(sorted(unknown))}")
        self._check_ends(resource, values, tied)
        self._tracker.add(resource, document["id"])
        self._tables[resource][document["id"]] = document
        for field in values:
            if field in tied:
                self._bind(relations[field], document, values[field])
        return document

    @_alone
    def change(self, resource: str, identifier: str, **values: object) -> Document:
        """Set the named fields of a document, and the other ends of named relations.

        Fields that depend on these stay as they are: a VM with a new ``status`` keeps its load. To
        change the power state of a VM, call ``start_vm`` or ``poweroff_vm``.

        Args:
            resource: Resource type: ``"Vm"``.
            identifier: Id of the document.
            values: New values by the API names of the fields; the value of a relation is an id or a
                list of ids.

        Raises:
            DocumentNotFoundError: The document, or a related document, does not exist.
        """
        document = self._one(resource, identifier)
        relations = self._relations[resource]
        self._check_ends(resource, values, values.keys() & relations.keys())
        for field, value in values.items():
            if relation := relations.get(field):
                self._release(relation, document)
                self._bind(relation, document, value)
            else:
                document[field] = value
        return document

    @_alone
    def remove(self, resource: str, identifier: str) -> None:
        """Remove a document, also from its related documents.

        Raises:
            DocumentNotFoundError: The document does not exist.
        """
        document = self._one(resource, identifier)
        document.touch()
        for relation in self._relations[resource].values():
            self._release(relation, document)
        del self._tables[resource][identifier]
        for field in _OWNED.get(resource, ()):
            owned = self._relations[resource][field].target
            if document.get(field) in self._tables[owned]:
                self.remove(owned, document[field])

    @_alone
    def select(
        self,
        resource: str,
        where: object = None,
        page: Page | None = None,
        *,
        without: Collection[str] = (),
    ) -> list[Document]:
        """Return the requested page of the sorted matching documents.

        Args:
            resource: Resource type.
            where: Filter; None: all documents.
            page: Requested page; None: all documents.
            without: Ids of documents to leave out.

        Raises:
            BadRequestError: The where has an unknown key, or a value of the wrong type.
        """
        table = self._tables[resource]
        found: Iterable[Document] = table.values()
        if where is not None:
            matches = compile_where(where, resource, self._sources)
            if (
                ids := self._indexes.narrow(resource, where, where_conditions(resource))
            ) is not None:
                found = [table[one] for one in ids if one in table]
            found = filter(matches, found)
        if without:
            found = [document for document in found if document["id"] not in without]
        return take_page(found, page or Page(), table)

    @_alone
    def render(self, resource: str, document: Document, language: str) -> dict[str, Any]:
        """Return a document in the form of the API's answers."""
        shown = document.copy()
        for relation in self.resources[resource].relations:
            if document.get(relation.field):
                shown[relation.field] = self._nested(relation, document)
            else:
                shown[relation.field] = [] if relation.many else None
        for field in self.resources[resource].hidden:
            shown.pop(field, None)
        for field in _TRANSLATED.get(resource, ()):
            shown[field] = self.translate(document[field], language)
        return shown

    def add_translation(self, texts: tuple[str, str], name: str) -> str:
        """Return the English text, and store the Chinese text as its translation.

        Args:
            texts: The text in en-US and zh-CN; ``{name}`` stands for the name.
            name: Text that replaces ``{name}``.
        """
        english, chinese = (text.format(name=name) for text in texts)
        self.translations[english] = chinese
        return english

    def translate(self, text: str, language: str) -> str:
        """Return a text of a document in the language of the answer."""
        if language == "en-US":
            return text
        chinese = self.translations.get(text, text)
        if language == "zh-CN":
            return chinese
        return msgspec.json.encode({"en-US": text, "zh-CN": chinese}).decode()

    def _nested(self, relation: Relation, document: Document) -> object:
        # Do not show deleted documents that are still mentioned: an alert outlives its VM.
        table = self._tables.get(relation.target, {})
        deeper = self._relations[relation.target]
        shown = [
            {
                field: self._nested(deeper[field], table[end])
                if field in deeper
                else table[end][field]
                for field in relation.nested
            }
            for end in _ends(relation, document)
            if end in table
        ]
        if relation.many:
            return shown
        return shown[0] if shown else None

    def _one(self, resource: str, identifier: str) -> TrackedDocument:
        try:
            return self._tables[resource][identifier]
        except KeyError:
            raise DocumentNotFoundError(resource, identifier) from None

    def _check_ends(self, resource: str, values: Mapping[str, Any], tied: Iterable[str]) -> None:
        """Raise an error, before any change, if a related document does not exist."""
        relations = self._relations[resource]
        for field in tied:
            relation = relations[field]
            table = self._tables.get(relation.target, {})
            for end in _ends(relation, values):
                if end not in table:
                    raise DocumentNotFoundError(relation.target, end)

    def _bind(self, relation: Relation, document: Document, ends: object) -> None:
        """Set a relation, and its inverse."""
        document[relation.field] = ends
        if relation.many:
            document[relation.field] = _ends(relation, document)  # a separate list
            _count(relation, document)
        targets = self._tables[relation.target]
        back = self._back(relation)
        for end in _ends(relation, document):
            other = targets[end]
            if back is None:
                continue
            if back.many:
                other.setdefault(back.field, []).append(document["id"])
                _count(back, other)
                continue
            if before := other.get(back.field):  # it belonged to another document
                self._forget(relation, before, end)
            other[back.field] = document["id"]

    def _release(self, relation: Relation, document: Document) -> None:
        """Remove the document from the other ends of a relation."""
        if back := self._back(relation):
            for end in _ends(relation, document):
                self._forget(back, end, document["id"])

    def _forget(self, relation: Relation, identifier: str, end: str) -> None:
        """Remove one end from the relation of a document."""
        document = self._tables[relation.owner][identifier]
        if relation.many:
            document.touch()
            document[relation.field].remove(end)
            _count(relation, document)
        else:
            document[relation.field] = None

    def _back(self, relation: Relation) -> Relation | None:
        """Return the inverse relation, or None if there is no inverse in the store."""
        if relation.inverse is None or relation.target not in self._relations:
            return None
        return self._relations[relation.target][relation.inverse]


def _ends(relation: Relation, document: Mapping[str, Any]) -> list[str]:
    ends = document.get(relation.field)
    if not ends:
        return []
    return list(ends) if relation.many else [ends]


def _count(relation: Relation, document: Document) -> None:
    """Update the field that counts a relation, and the sum of the counts (`total_num`)."""
    if relation.count is None:
        return
    before = document[relation.count] or 0
    now = document[relation.count] = len(document[relation.field])
    if "total_num" in document:
        document["total_num"] = (document["total_num"] or 0) + now - before
