"""Mutations that clone, copy and roll back volumes, LUNs and namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ...http_errors import HttpError
from ..body_validation import check_body
from ..generic import schema_overrides
from ..generic.crud import add, complete
from ..generic.field_rules import resolve_ids, to_fields
from ..mutation import mutation_at, start_for_each
from . import volume_snapshots

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler, Results


@dataclass(frozen=True, slots=True)
class Copy:
    """Handler of an operation that creates a resource as a copy of a resource or a snapshot.

    Args:
        path: Path of the operation.
        source: Resource type of the original.
        key: Key of the body. Its value is the id of the original or a filter for the original.
        to: Relations of the copy that the body can set. Each pair contains a key of the body and
            the name of a relation.
    """

    path: str
    source: str
    key: str
    to: tuple[tuple[str, str], ...] = ()

    def __call__(self, context: Context, body: Any) -> Results:  # noqa: ANN401 - any JSON
        mutation = mutation_at(self.path)
        check_body(mutation.path, body)
        items = cast("list[Body]", body)
        made = [self._made(context, mutation.resource, item) for item in items]
        return mutation.reply([add(context, mutation, one, {}) for one in made])

    def _made(self, context: Context, resource: str, item: Body) -> Document:
        store = context.store
        source = _one(context, self.source, item[self.key])
        like = source
        if kind := volume_snapshots.KINDS.get(self.source):
            original = store.table(kind.source).get(source.get(kind.field) or "", {})
            like = {**original, **volume_snapshots.former_fields(store, self.source, source)}
        described = store.resources[resource]
        ties = [one.field for one in described.relations if not one.many]
        kept = {name: like[name] for name in (*described.fields, *ties) if name in like}
        said = {"name": item.get("name"), **item.get("data", {})}
        said |= {name: item[name] for name in ("description",) if name in item}
        said |= {relation: item[key] for key, relation in self.to if key in item}
        values = to_fields(context, resource, said, schema_overrides.RULES)
        return complete(
            context,
            resource,
            {name: kept[name] for name in kept if name not in volume_snapshots.OWN} | values,
        )


@dataclass(frozen=True, slots=True)
class Rollback:
    """Handler of an operation that rolls a resource back to a snapshot.

    Args:
        path: Path of the operation.
        snapshot: Resource type of the snapshot.
        key: Key of the body that contains the id of the snapshot.
        subject: Key of the body that contains the id of the resource to roll back. None if the body
            has no such key: then the source of the snapshot is rolled back.
    """

    path: str
    snapshot: str
    key: str
    subject: str | None = None

    def __call__(self, context: Context, body: Any) -> Results:  # noqa: ANN401 - any JSON
        mutation = mutation_at(self.path)
        check_body(mutation.path, body)
        store = context.store
        kind = volume_snapshots.KINDS[self.snapshot]
        values: dict[str, Fields] = {}
        for item in cast("list[Body]", body):
            snapshot = _one(context, self.snapshot, item[self.key])
            subject = snapshot.get(kind.field)
            if subject is None or item.get(self.subject or "", subject) != subject:
                raise HttpError(400, f"snapshot {snapshot['name']} is of something else")
            values[subject] = volume_snapshots.former_fields(store, self.snapshot, snapshot)
        documents = [store.get(kind.source, one) for one in values]

        def roll_back(document: Document) -> None:
            store.change(kind.source, document["id"], **values[document["id"]])

        return start_for_each(context, mutation, documents, roll_back)


def _one(context: Context, resource: str, wanted: object) -> Document:
    ids = resolve_ids(context, resource, wanted)
    if not ids:
        raise HttpError(404, f"no {resource} matches the filter")
    return context.store.get(resource, ids[0])


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

MUTATIONS: dict[str, Handler] = {one.path: one for one in _OPERATIONS}
