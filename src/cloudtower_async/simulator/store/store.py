"""State of the simulated server: documents by resource type and id.

A document contains all plain fields. Unknown values are None. In responses, nested objects replace
the ids in relations.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ...dates import DATE_TYPES, date_fault, date_text
from ...spelling import did_you_mean
from ..http_errors import DocumentNotFoundError
from .change_tracker import ChangeTracker, TrackedDocument
from .filters import Sources, compile_where
from .indexes import Indexes
from .paging import Page, take_page
from .schema import describe, enums, where_conditions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping
    from datetime import datetime
    from threading import RLock

    from .change_tracker import RowChange
    from .filters import Document
    from .schema import Relation, ResourceSchema

LANGUAGES = ("en-US", "zh-CN")
EVERY_LANGUAGE = "*"

_PLAIN = frozenset((str, int, float, bool, list, dict, type(None)))
"""Types of values in a generated fleet. None of them is a type of dates."""

F = TypeVar("F", bound="Callable[..., Any]")

_TRANSLATED = {
    "Alert": ("message", "cause", "impact", "solution"),
    "GlobalAlertRule": ("message", "cause", "impact", "solution"),
    "Task": ("description",),
}


_OWNED = {"VmVolume": ("lun",)}
"""Relations by resource type. Removing a document also removes the documents in these relations."""


def _alone(method: F) -> F:
    """Decorate a method so that it holds the lock of the store."""

    @wraps(method)
    def locked(store: Store, *args: Any, **values: Any) -> Any:  # noqa: ANN401
        with store.lock:
            return method(store, *args, **values)

    return cast("F", locked)


class Store:
    """Store of all resources of the server. Each resource is a document.

    A document is a dict with the field names of the API. A relation contains the id of the related
    document, or a list of ids.

    The server and the test can run in different threads, so each method call is atomic. To make
    several calls atomic, use ``with simulator.store.lock:``.

    Args:
        resources: Names of the resource types in the API schema.

    Example:
        ::

            [vm, *_] = simulator.store.select("Vm", {"status": "RUNNING"})
            simulator.store.change("Vm", vm["id"], name="web-1")
    """

    def __init__(self, resources: Iterable[str]) -> None:
        self.resources: dict[str, ResourceSchema] = {name: describe(name) for name in resources}
        self.translations: dict[str, str] = {}
        """Chinese translations by English text. Documents contain the English texts."""
        self._tables: dict[str, dict[str, TrackedDocument]] = {name: {} for name in self.resources}
        self._tracker = ChangeTracker(self.resources, self._tables)
        self.lock: RLock = self._tracker.lock
        """Lock of the store. While you hold the lock, send no requests: the server may need it."""
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
        self._needed_by: dict[str, list[Relation]] = {name: [] for name in self.resources}
        """Required relations without an inverse, by their target."""
        for resource in self.resources.values():
            for relation in resource.relations:
                if relation.needed and self._back(relation) is None:
                    self._needed_by.setdefault(relation.target, []).append(relation)
        self._orphans: list[tuple[Relation, str]] = []
        """Documents that may have lost the target of a required relation: relation and id."""

    @contextmanager
    def together(self) -> Generator[None]:
        """Recalculate derived fields once at the end of the block, not after each change."""
        with self.lock:
            if self._due is not None:  # the outer block recalculates the fields
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
        """Recalculate derived fields after a change: now, or at the end of a ``together`` block.

        Args:
            work_out: Function that recalculates the fields. Its arguments are the store and the id.
                When the function is called, the document may no longer exist.
            identifier: Id of the document with the derived fields.
        """
        if self._due is None:
            work_out(self, identifier)
        else:
            self._due[work_out, identifier] = None

    def table(self, resource: str) -> Mapping[str, Document]:
        """Return the documents of a resource type by id.

        For an unknown resource type, the result is empty.
        """
        return self._tables.get(resource, {})

    def relation(self, resource: str, field: str) -> Relation:
        """Return the relation of a resource type with the given field name."""
        return self._relations[resource][field]

    @_alone
    def watch(self, watcher: Callable[[RowChange], None]) -> None:
        """Set the function that `report` calls for each changed row.

        `report` also finds in-place changes of documents.
        """
        self._watcher = watcher
        self._tracker.start()

    @_alone
    def report(self) -> None:
        """Pass each row that has changed since the last `report` to the function set by `watch`."""
        if self._watcher is not None:
            for change in self._tracker.take():
                self._watcher(change)

    def get(self, resource: str, identifier: str) -> Document:
        """Return the document with the given id.

        You can set fields of the document directly, except relations. To set a relation, call
        ``change``, which also updates the related documents.

        Raises:
            DocumentNotFoundError: The document does not exist. This error is a KeyError.
        """
        return self._one(resource, identifier)

    @_alone
    def add(self, resource: str, values: Mapping[str, Any]) -> Document:
        """Add a document with its relations, and return the document. Missing fields become None.

        Raises:
            KeyError: `values` contains a name that is not a field of the resource type.
            DocumentNotFoundError: A related document does not exist.
            ValueError: A document with this id already exists, or a date has no time zone.
        """
        if values["id"] in self._tables[resource]:
            raise ValueError(f"there is a {resource} {values['id']} already")
        values = _with_texts(resource, values)
        relations, blank = self._relations[resource], self._blank[resource]
        tied = values.keys() & relations.keys()
        document = TrackedDocument(blank, resource, self._tracker)
        document.fill(values)
        if len(document) > len(blank) + len(tied):
            self._check_names(resource, values)
        self._check_ends(resource, values, tied)
        self._tracker.add(resource, document["id"])
        self._tables[resource][document["id"]] = document
        for field in values:
            if field in tied:
                self._bind(relations[field], document, values[field])
        self._remove_orphans()
        return document

    @_alone
    def change(self, resource: str, identifier: str, **values: object) -> Document:
        """Set fields and relations of a document, and return the document.

        If a relation changes, the related documents are updated. If a related document loses a
        relation that it needs, the related document is removed. For example, ``vm_nics=[]`` removes
        the NICs of a VM, because a NIC needs a VM. Fields that depend on the new values are not
        updated: a VM with a new ``status`` keeps its CPU usage. To change the power state of a VM,
        call ``start_vm`` or ``poweroff_vm`` of a client.

        Args:
            resource: Resource type, for example ``"Vm"``.
            identifier: Id of the document.
            values: New values by the API names of the fields. The value of a relation is an id or a
                list of ids. A time is a text or a datetime with a time zone.

        Raises:
            DocumentNotFoundError: The document or a related document does not exist.
            KeyError: `values` contains a name that is not a field of the resource type.
            TypeError: The value of a relation is not an id or a list of ids.
            ValueError: The value of an enum field is not in the enum. To set such a value on
                purpose, pass for example ``VmStatus("NEW")``, which accepts any string.
                Also raised if a date has no time zone.
        """
        document = self._one(resource, identifier)
        given = _with_texts(resource, values)
        relations = self._relations[resource]
        self._check(
            resource,
            {name: v for name, v in given.items() if name not in document or document[name] != v},
        )
        for field, value in given.items():
            if relation := relations.get(field):
                self._release(relation, document)
                self._bind(relation, document, value)
            else:
                document[field] = value
        self._remove_orphans()
        return document

    @_alone
    def remove(self, resource: str, identifier: str) -> None:
        """Remove a document, and remove its id from its related documents.

        Related documents that cannot exist without the document are removed, too. Examples are the
        disks and NICs of a VM. The volumes of the disks are not removed.

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
        for relation in self._needed_by[resource]:
            self._orphans += [
                (relation, one)
                for one, other in self._tables[relation.owner].items()
                if other.get(relation.field) == identifier
            ]
        self._remove_orphans()

    @_alone
    def select(
        self,
        resource: str,
        where: object = None,
        page: Page | None = None,
        *,
        without: Collection[str] = (),
    ) -> list[Document]:
        """Return the documents that match a filter, sorted and paginated.

        Args:
            resource: Resource type.
            where: Filter. With None, all documents match.
            page: Sort order and page. With None, all matching documents are returned, sorted by id.
            without: Ids of documents to exclude.

        Raises:
            BadRequestError: The filter contains an unknown key or a value of the wrong type.
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
        """Return a document in the form that responses of the API contain."""
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
        """Store the Chinese translation of an English text, and return the English text.

        Args:
            texts: The text in English and in Chinese. Each text can contain ``{name}``.
            name: Text that replaces ``{name}`` in both texts.
        """
        english, chinese = (text.format(name=name) for text in texts)
        self.translations[english] = chinese
        return english

    def translate(self, text: str, language: str) -> str:
        """Translate an English text of a document into the language of a response.

        For the language ``*``, return a JSON object with the texts in both languages.
        """
        if language == "en-US":
            return text
        chinese = self.translations.get(text, text)
        if language == "zh-CN":
            return chinese
        return msgspec.json.encode({"en-US": text, "zh-CN": chinese}).decode()

    def _nested(self, relation: Relation, document: Document) -> object:
        # Omit related documents that were deleted. For example, an alert can outlive its VM.
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

    def checked(self, resource: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Check field values, and return the values with each datetime as a text.

        For invalid values, raise the same errors as ``change``.
        """
        values = _with_texts(resource, values)
        self._check(resource, values)
        return values

    def _check(self, resource: str, values: Mapping[str, Any]) -> None:
        self._check_names(resource, values)
        for field, enum in enums(resource).items():
            value = values.get(field)
            if type(value) is str and value not in enum.__members__.values():
                hint = did_you_mean(value, list(enum), few=True)
                raise ValueError(f"{resource}.{field}: {enum.__name__} has no {value!r}{hint}")
        self._check_ends(resource, values, values.keys() & self._relations[resource].keys())

    def _check_names(self, resource: str, names: Iterable[str]) -> None:
        fields, relations = self._blank[resource], self._relations[resource]
        for name in sorted({*names} - fields.keys() - relations.keys()):
            hint = did_you_mean(name, [*fields, *relations])
            raise KeyError(f"{resource} has no field {name}{hint}")

    def _check_ends(self, resource: str, values: Mapping[str, Any], tied: Iterable[str]) -> None:
        """Check that the related documents of the relations `tied` exist.

        Raises:
            DocumentNotFoundError: A related document does not exist.
            TypeError: The value of a relation is not an id or a list of ids.
        """
        relations = self._relations[resource]
        for field in tied:
            relation = relations[field]
            table = self._tables.get(relation.target, {})
            if relation.many and isinstance(values[field], str | dict):
                raise TypeError(f"{resource}.{field}: expected a list of ids")
            for end in _ends(relation, values):
                if not isinstance(end, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise TypeError(f"{resource}.{field}: expected an id, got {end!r:.60}")
                if end not in table:
                    named = any(one.get("name") == end for one in table.values())
                    raise DocumentNotFoundError(relation.target, end, is_name=named)

    def _bind(self, relation: Relation, document: Document, ends: object) -> None:
        """Set a relation of a document, and update the related documents."""
        document[relation.field] = ends
        if relation.many:
            document[relation.field] = _ends(relation, document)  # a copy of the caller's list
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
            if before := other.get(back.field):  # `other` was related to another document
                self._forget(relation, before, end)
            other[back.field] = document["id"]

    def _release(self, relation: Relation, document: Document) -> None:
        """Remove the id of a document from its related documents in a relation."""
        if back := self._back(relation):
            for end in _ends(relation, document):
                self._forget(back, end, document["id"])

    def _forget(self, relation: Relation, identifier: str, end: str) -> None:
        """Remove the id `end` from a relation of the document `identifier`."""
        document = self._tables[relation.owner][identifier]
        if relation.many:
            document.touch()
            document[relation.field].remove(end)
            _count(relation, document)
        else:
            document[relation.field] = None
            if relation.needed:
                self._orphans.append((relation, identifier))

    def _remove_orphans(self) -> None:
        """Remove the documents that have lost the target of a required relation."""
        while self._orphans:
            relation, identifier = self._orphans.pop()
            document = self._tables[relation.owner].get(identifier)
            if document and document.get(relation.field) not in self._tables[relation.target]:
                self.remove(relation.owner, identifier)

    def _back(self, relation: Relation) -> Relation | None:
        """Return the inverse relation, or None if there is none."""
        if relation.inverse is None or relation.target not in self._relations:
            return None
        return self._relations[relation.target][relation.inverse]


def _with_texts(resource: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values, with each datetime converted to a text in the server's format."""
    if _PLAIN.issuperset(map(type, values.values())):  # the fastest check, for generated fleets
        return values
    found = dict(values)
    for field, value in values.items():
        if isinstance(value, DATE_TYPES):
            if fault := date_fault(value):
                raise ValueError(f"{resource}.{field}: {fault}")
            found[field] = date_text(cast("datetime", value))
    return found


def _ends(relation: Relation, document: Mapping[str, Any]) -> list[str]:
    ends = document.get(relation.field)
    if not ends:
        return []
    return list(ends) if relation.many else [ends]


def _count(relation: Relation, document: Document) -> None:
    """Count the related documents, and store their number in the field `relation.count`.

    If this number changes and the document has a field ``total_num``, change ``total_num`` by the
    same amount.
    """
    if relation.count is None:
        return
    before = document[relation.count] or 0
    now = document[relation.count] = len(document[relation.field])
    if "total_num" in document:
        document["total_num"] = (document["total_num"] or 0) + now - before
