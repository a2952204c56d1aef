"""Clones, copies and roll-backs of volumes, LUNs and namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..refusals import RefusedError
from ..tasks import Failure, Work
from . import exceptions
from .changes import GONE, change_at, on_each, refuse_busy, settle
from .generic import add, complete
from .values import Values, linked, values_of

if TYPE_CHECKING:
    from ..store.filters import Document
    from ..store.store import Store
    from .world import Effect, Outcomes, World

_OWN = frozenset(
    {
        *("id", "local_id", "name", "entityAsyncStatus", "local_created_at", "zbs_volume_id"),
        *("lun_id", "namespace_id", "path", "mounting", "snapshot_num"),
    }
)
"""What a copy has of its own."""

_OF = {kind: (source, field) for kind, (field, source, _) in exceptions.TAKEN_FROM.items()}


@dataclass(frozen=True, slots=True)
class Copy:
    """An operation that makes a new thing like another, or like what a snapshot was taken of.

    Args:
        path: Of the operation.
        source: The resource that is copied.
        key: The key of the body with its id; ``where`` where it is found by a filter.
        to: Where the copy goes: keys of the body and what relation they set.
    """

    path: str
    source: str
    key: str
    to: tuple[tuple[str, str], ...] = ()

    def __call__(self, world: World, body: Any) -> Outcomes:  # noqa: ANN401 - any JSON
        change = change_at(self.path)
        change.body.check(body, "body")
        items = cast("list[Values]", body)
        made = [self._made(world, change.resource, item) for item in items]
        return change.reply([add(world, change, one, {}) for one in made])

    def _made(self, world: World, resource: str, item: Values) -> Document:
        store = world.maker.store
        source = _one(world, self.source, item[self.key])
        like = source
        if self.source in _OF:
            kind, field = _OF[self.source]
            original = store.table(kind).get(source.get(field) or "", {})
            like = {**original, **as_taken(store, self.source, source)}
        described = store.resources[resource]
        ties = [one.field for one in described.relations if not one.many]
        kept = {name: like[name] for name in (*described.fields, *ties) if name in like}
        said = {"name": item.get("name"), **item.get("data", {})}
        said |= {name: item[name] for name in ("description",) if name in item}
        said |= {relation: item[key] for key, relation in self.to if key in item}
        values = values_of(world, resource, said, exceptions.RULES)
        return complete(
            world, resource, {name: kept[name] for name in kept if name not in _OWN} | values
        )


@dataclass(frozen=True, slots=True)
class Rollback:
    """An operation that makes things what they were when a snapshot was taken.

    Args:
        path: Of the operation.
        snapshot: The resource of the snapshot.
        key: The key of the body with its id.
        subject: The key with the id of what is rolled back; None where the snapshot says it.
    """

    path: str
    snapshot: str
    key: str
    subject: str | None = None

    def __call__(self, world: World, body: Any) -> Outcomes:  # noqa: ANN401 - any JSON
        change = change_at(self.path)
        change.body.check(body, "body")
        store = world.maker.store
        kind, field = _OF[self.snapshot]
        then: dict[str, Values] = {}
        for item in cast("list[Values]", body):
            snapshot = _one(world, self.snapshot, item[self.key])
            subject = snapshot.get(field)
            if subject is None or item.get(self.subject or "", subject) != subject:
                raise RefusedError(400, f"snapshot {snapshot['name']} is of something else")
            then[subject] = as_taken(store, self.snapshot, snapshot)
        documents = [store.get(kind, one) for one in then]
        refuse_busy(world, kind, documents)

        def work_on(some: list[Document]) -> Work:
            def succeed() -> Failure | None:
                for document in some:
                    if document["id"] not in store.table(kind):
                        return GONE
                    store.change(kind, document["id"], **then[document["id"]])
                return None

            return Work(succeed, settle=lambda: settle(world, kind, some))

        return on_each(world, change, documents, work_on, "UPDATING")


def as_taken(store: Store, kind: str, snapshot: Document) -> Values:
    """The fields of what a snapshot was taken of, as they were then."""
    source, _ = _OF[kind]
    others = {theirs: ours for ours, theirs in exceptions.TAKEN_FROM[kind][2].items()}
    known = set(store.resources[source].fields)
    shared = (known & {*store.resources[kind].fields}) - _OWN - {"description", "type"}
    values = {name: snapshot[name] for name in shared}
    values |= {theirs: snapshot[ours] for theirs, ours in others.items()}
    return {name: value for name, value in values.items() if value is not None}


def _one(world: World, resource: str, wanted: object) -> Document:
    ids = linked(world, resource, wanted)
    if not ids:
        raise RefusedError(404, f"no {resource} matches the where")
    return world.maker.store.get(resource, ids[0])


_OPERATIONS: tuple[Copy | Rollback, ...] = (
    Copy(
        "clone-iscsi-lun-from-snapshot",
        "IscsiLunSnapshot",
        "snapshot_id",
        (("iscsi_target_id", "iscsi_target"),),
    ),
    Copy(
        "clone-nvmf-namespace-from-snapshot",
        "NvmfNamespaceSnapshot",
        "snapshot_id",
        (("nvmf_subsystem_id", "nvmf_subsystem"), ("namespace_group_id", "namespace_group")),
    ),
    Copy("clone-vm-volume", "VmVolume", "where"),
    Copy(
        "copy-iscsi-lun",
        "IscsiLun",
        "src_lun_id",
        (("dest_iscsi_target_id", "iscsi_target"),),
    ),
    Copy("rebuild-vm-volume", "VmVolumeSnapshot", "volume_snapshot_id"),
    Rollback("rollback-iscsi-lun-from-snapshot", "IscsiLunSnapshot", "snapshot_id", "lun_id"),
    Rollback(
        "rollback-nvmf-namespace-from-snapshot",
        "NvmfNamespaceSnapshot",
        "snapshot_id",
        "namespace_id",
    ),
    Rollback("rollback-vm-volume", "VmVolumeSnapshot", "volume_snapshot_id"),
)

EFFECTS: dict[str, Effect] = {one.path: one for one in _OPERATIONS}
