"""Snapshots of volumes, LUNs and namespaces. The source of a snapshot is the copied resource."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..generic.default_documents import new_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Body, Fields
    from ..context import Context


@dataclass(frozen=True, slots=True)
class SnapshotKind:
    """A resource type of snapshots.

    Args:
        resource: Resource type of the snapshots.
        source: Resource type of the sources.
        field: Relation of a snapshot to its source.
        asked: Path of a flag in the body. For example, ``("data", "remove_snapshot")`` stands for
            ``body["data"]["remove_snapshot"]``. If the flag is set, deleting a source also deletes
            its snapshots.
        others: Fields with different names in the snapshot and in the source. The keys are the
            names in the snapshot, and the values are the names in the source.
    """

    resource: str
    source: str
    field: str
    asked: tuple[str, str]
    others: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Grouped:
    """Members of a consistency group that have one resource type, such as all its LUNs.

    Args:
        resource: Resource type of the snapshots of the members.
        members: Relation of a consistency group to its members.
        taken: Relation of a consistency group snapshot to the snapshots of the members.
        parent: Relation of a member to its iSCSI target or NVMe subsystem. The snapshot of a member
            has the same relation.
    """

    resource: str
    members: str
    taken: str
    parent: str


_LUN, _NAMESPACE, _VOLUME = "IscsiLunSnapshot", "NvmfNamespaceSnapshot", "VmVolumeSnapshot"

KINDS: Mapping[str, SnapshotKind] = {
    kind.resource: kind
    for kind in (
        SnapshotKind(_LUN, "IscsiLun", "iscsi_lun", ("data", "remove_snapshot"), {}),
        SnapshotKind(
            _NAMESPACE, "NvmfNamespace", "nvmf_namespace", ("data", "remove_snapshot"), {}
        ),
        SnapshotKind(
            _VOLUME,
            "VmVolume",
            "vm_volume",
            ("effect", "include_snapshots"),
            {"volume_size": "size", "volume_sharing": "sharing"},
        ),
    )
}

_GROUPED = (
    Grouped(_LUN, "iscsi_luns", "Iscsi_lun_snapshots", "iscsi_target"),
    Grouped(_NAMESPACE, "namespaces", "nvmf_namespace_snapshots", "nvmf_subsystem"),
)

OWN = frozenset(
    {
        *("id", "local_id", "name", "entityAsyncStatus", "local_created_at", "zbs_volume_id"),
        *("lun_id", "namespace_id", "path", "mounting", "snapshot_num"),
    }
)
"""Fields that are not copied from a source to a snapshot or a copy."""


def frozen_fields(store: Store, resource: str, snapshot: Document) -> Fields:
    """Return the field values that a new snapshot copies from its source.

    If the resource type is not a type of snapshots, the result is empty.
    """
    kind = KINDS.get(resource)
    if kind is None:
        return {}
    source = store.get(kind.source, snapshot[kind.field])
    return {ours: source[theirs] for ours, theirs in _shared(store, kind).items()}


def former_fields(store: Store, resource: str, snapshot: Document) -> Fields:
    """Return the field values that the source had when the snapshot was created."""
    names = _shared(store, KINDS[resource])
    found = {theirs: snapshot[ours] for ours, theirs in names.items()}
    return {name: _whole(name, value) for name, value in found.items() if value is not None}


def _whole(name: str, value: object) -> object:
    """Return the value of a field. A size with a fraction is rounded up to whole bytes."""
    return math.ceil(value) if name.endswith("size") and isinstance(value, float) else value


def removed_with(
    store: Store, resource: str, document: Document, body: Body
) -> list[tuple[str, str]]:
    """Return the snapshots to delete together with a document, if the body requests this.

    Each item contains the resource type and the id of a snapshot.
    """
    found: list[tuple[str, str]] = []
    for kind in KINDS.values():
        part, key = kind.asked
        said: Body = body.get(part, {})
        if kind.source == resource and said.get(key):
            table = store.table(kind.resource).values()
            found += [
                (kind.resource, one["id"]) for one in table if one.get(kind.field) == document["id"]
            ]
    return found


def snapshot_members(context: Context, group_snapshot: Document) -> None:
    """Create a snapshot of each member of a consistency group, as part of a group snapshot."""
    store = context.store
    group = store.get("ConsistencyGroup", group_snapshot["consistency_group"])
    for part in _GROUPED:
        kind = KINDS[part.resource]
        for one in group.get(part.members) or ():
            parent = store.get(kind.source, one)[part.parent]
            ties = {kind.field: one, part.parent: parent}
            snapshot = new_document(context.factory, kind.resource) | ties
            snapshot |= {
                "name": group_snapshot["name"],
                **frozen_fields(store, kind.resource, snapshot),
            }
            snapshot["consistency_group_snapshot"] = group_snapshot["id"]
            store.add(kind.resource, snapshot)


def roll_back_members(store: Store, group_snapshot: Document) -> None:
    """Restore the members of a consistency group from a group snapshot. Skip deleted members."""
    for part in _GROUPED:
        kind = KINDS[part.resource]
        for one in group_snapshot.get(part.taken) or ():
            snapshot = store.get(kind.resource, one)
            source = store.table(kind.source).get(snapshot.get(kind.field) or "")
            if source is not None:
                store.change(
                    kind.source, source["id"], **former_fields(store, kind.resource, snapshot)
                )


def _shared(store: Store, kind: SnapshotKind) -> dict[str, str]:
    """Return the fields that a snapshot copies from its source.

    The result maps the name of each field in the snapshot to its name in the source.
    """
    both = {*store.resources[kind.resource].fields} & {*store.resources[kind.source].fields}
    return {name: name for name in both - OWN - {"description", "type"}} | dict(kind.others)
