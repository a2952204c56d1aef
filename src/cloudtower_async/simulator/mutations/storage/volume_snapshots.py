"""Snapshots of volumes, LUNs and namespaces: their sources and shared fields."""

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
    """A kind of snapshot.

    Args:
        resource: Resource type of the snapshots.
        source: Resource type of their sources.
        field: Relation of a snapshot to its source.
        asked: Path of the flag in a body that deletes the snapshots together with their source.
        others: Fields of the source, by their names in a snapshot.
    """

    resource: str
    source: str
    field: str
    asked: tuple[str, str]
    others: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Grouped:
    """One kind of members of a consistency group, with the snapshots of these members.

    Args:
        resource: Resource type of the snapshots.
        members: Relation of the group to the members.
        taken: Relation of a snapshot of the group to the snapshots of the members.
        parent: Relation to the owner of the members and of their snapshots.
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
"""Fields that a snapshot or a copy does not share with its source."""


def frozen_fields(store: Store, resource: str, snapshot: Document) -> Fields:
    """Return the fields that a new snapshot copies from its source; none for other resources."""
    kind = KINDS.get(resource)
    if kind is None:
        return {}
    source = store.get(kind.source, snapshot[kind.field])
    return {ours: source[theirs] for ours, theirs in _shared(store, kind).items()}


def former_fields(store: Store, resource: str, snapshot: Document) -> Fields:
    """Return the fields that the source had at the time of the snapshot."""
    names = _shared(store, KINDS[resource])
    found = {theirs: snapshot[ours] for ours, theirs in names.items()}
    return {name: _whole(name, value) for name, value in found.items() if value is not None}


def _whole(name: str, value: object) -> object:
    """Round a size up to whole bytes, because snapshots may have fractions."""
    return math.ceil(value) if name.endswith("size") and isinstance(value, float) else value


def removed_with(
    store: Store, resource: str, document: Document, body: Body
) -> list[tuple[str, str]]:
    """Return the snapshots that the body asks to delete together with a document."""
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
    """Take a snapshot of each member of a group."""
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
    """Restore the members of the group that still exist."""
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
    """Return the field names of the source by the field names of the snapshot."""
    both = {*store.resources[kind.resource].fields} & {*store.resources[kind.source].fields}
    return {name: name for name in both - OWN - {"description", "type"}} | dict(kind.others)
