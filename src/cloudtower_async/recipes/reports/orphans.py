"""Find unused snapshots, volumes and templates."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec

from ... import (
    inputs,
    models,
)
from ...client import Cloudtower
from ...concurrency import map_concurrently
from ...queries.projection import select_fields
from ...types import EVERYTHING, NULL, Everything
from ...validators import check_seconds
from .rows import NamedResource, moment

_Clusters: TypeAlias = "inputs.ClusterWhereInput | Everything"
_Finder: TypeAlias = "Callable[[Cloudtower, _Clusters], Coroutine[Any, Any, list[Orphan]]]"

OrphanKind: TypeAlias = Literal[
    "vm_snapshot", "volume_snapshot", "volume", "vm_template", "content_library_template"
]
"""Kind of a resource that `find_orphans` reports."""

_REASONS: dict[OrphanKind, str] = {
    "vm_snapshot": "its VM was deleted",
    "volume_snapshot": "its volume was deleted",
    "volume": "no VM has it as a disk",
    "vm_template": "no template of the content library refers to it",
    "content_library_template": "no cluster has a copy of it",
}


class Orphan(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A resource that nothing seems to use.

    Attributes:
        kind: Kind of resource.
        id: Id of the resource.
        name: Name of the resource.
        reason: Why the resource counts as an orphan.
        cluster_id: Id of the resource's cluster; None if unknown, and for templates of the content
            library.
        cluster_name: Name of the cluster; None if `cluster_id` is None.
        size: Provisioned size in bytes; None if unknown.
        unique_size: Space in bytes that is freed when the resource is deleted, because only this
            resource uses it. None if unknown; always None for VM snapshots and templates.
        created_at: Time of creation, in UTC; None if unknown.
        snapshot_group: Name of the snapshot group that a VM snapshot belongs to; None if it belongs
            to no group. If the group comes from a snapshot plan, the plan may still delete the
            snapshot.
    """

    kind: OrphanKind
    id: str
    name: str
    reason: str
    cluster_id: str | None
    cluster_name: str | None
    size: int | float | None
    unique_size: int | float | None
    created_at: datetime | None
    snapshot_group: str | None


class _Row(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    gc=False,
    rename={"entity_async_status": "entityAsyncStatus"},
):
    """Fields that all kinds of reported resources have."""

    id: str
    name: str
    cluster: NamedResource
    entity_async_status: models.EntityAsyncStatus | None = None
    local_created_at: str | None = None
    size: int | float | None = None


class _VmSnapshotRow(_Row, kw_only=True, frozen=True, gc=False):
    vm: NamedResource | None = None
    snapshot_group: NamedResource | None = None


class _VolumeSnapshotRow(_Row, kw_only=True, frozen=True, gc=False):
    vm_volume: NamedResource | None = None
    unique_size: int | float | None = None


class _VolumeRow(_Row, kw_only=True, frozen=True, gc=False):
    mounting: bool
    unique_size: int | float | None = None
    vm_disks: list[msgspec.Raw] | None = None


class _VmTemplateRow(_Row, kw_only=True, frozen=True, gc=False):
    content_library_vm_template: NamedResource | None = None


class _LibraryTemplateRow(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    gc=False,
    rename={"created_at": "createdAt", "entity_async_status": "entityAsyncStatus"},
):
    id: str
    name: str
    created_at: str | None = None
    entity_async_status: models.EntityAsyncStatus | None = None
    size: int | float | None = None
    clusters: list[msgspec.Raw] | None = None
    vm_template_uuids: list[str] | None = None
    vm_templates: list[msgspec.Raw] | None = None
    zbs_storage_info: list[msgspec.Raw] | None = None


async def find_orphans(
    tower: Cloudtower,
    clusters: inputs.ClusterWhereInput | Everything = EVERYTHING,
    *,
    min_age: float = 3600.0,
) -> list[Orphan]:
    """Find snapshots, volumes and templates that nothing uses.

    These resources are orphans:

    - VM snapshots whose VM was deleted
    - volume snapshots whose volume was deleted
    - volumes that are not mounted and are not a disk of a VM
    - cluster-local VM templates, if no content library template refers to them
    - content library templates without a copy in a cluster

    The snapshots and volumes of a VM in the recycle bin are still in use, so they do not count.

    The API shows which resources refer to each other. The API does not show whether a resource is
    needed: a volume may be kept on purpose. Review the list before you delete anything.

    Resources that are being created, changed or deleted are left out.

    Args:
        tower: Session to read with.
        clusters: Filter for the clusters to look in. A content library template without a copy
            belongs to no cluster. Such templates are only found with `EVERYTHING`.
        min_age: Minimum age in seconds: a resource that was just created may not be in use yet.
            Resources whose age is unknown are included.

    Returns:
        The orphans, sorted by kind, then by cluster and name.

    Raises:
        InvalidInput: An argument cannot be used.
        CallError: A listing cannot be read.

    Example:
        ::

            for orphan in await find_orphans(tower, {"name": "prod"}):
                print(orphan.kind, orphan.name, orphan.reason)
    """
    check_seconds("find_orphans", "min_age", min_age, zero_ok=True)
    now = datetime.now(UTC)
    finders = [_vm_snapshots, _volume_snapshots, _volumes, _vm_templates, _library_templates]

    async def find(finder: _Finder) -> list[Orphan]:
        found = [
            orphan
            for orphan in await finder(tower, clusters)
            if orphan.created_at is None or (now - orphan.created_at).total_seconds() >= min_age
        ]
        return sorted(found, key=lambda one: (one.cluster_name or "", one.name, one.id))

    return [orphan for found in await map_concurrently(find, finders) for orphan in found]


async def _vm_snapshots(tower: Cloudtower, clusters: _Clusters) -> list[Orphan]:
    where: inputs.VmSnapshotWhereInput = {"vm": NULL}
    if not isinstance(clusters, Everything):
        where["cluster"] = clusters
    listing = select_fields(tower.vm_snapshot.get_vm_snapshots, _VmSnapshotRow)
    return [
        _orphan("vm_snapshot", row, group=row.snapshot_group)
        async for row in tower.iterate(listing, where=where)
        if row.vm is None and row.entity_async_status is None
    ]


async def _volume_snapshots(tower: Cloudtower, clusters: _Clusters) -> list[Orphan]:
    where: inputs.VmVolumeSnapshotWhereInput = {"vm_volume": NULL}
    if not isinstance(clusters, Everything):
        where["cluster"] = clusters
    listing = select_fields(tower.vm_volume_snapshot.get_vm_volume_snapshots, _VolumeSnapshotRow)
    return [
        _orphan("volume_snapshot", row, unique_size=row.unique_size)
        async for row in tower.iterate(listing, where=where)
        if row.vm_volume is None and row.entity_async_status is None
    ]


async def _volumes(tower: Cloudtower, clusters: _Clusters) -> list[Orphan]:
    where: inputs.VmVolumeWhereInput = {"mounting": False}
    if not isinstance(clusters, Everything):
        where["cluster"] = clusters
    listing = select_fields(tower.vm_volume.get_vm_volumes, _VolumeRow)
    return [
        _orphan("volume", row, unique_size=row.unique_size)
        async for row in tower.iterate(listing, where=where)
        if row.mounting is False and not row.vm_disks and row.entity_async_status is None
    ]


async def _vm_templates(tower: Cloudtower, clusters: _Clusters) -> list[Orphan]:
    where: inputs.VmTemplateWhereInput = {"content_library_vm_template": NULL}
    if not isinstance(clusters, Everything):
        where["cluster"] = clusters
    listing = select_fields(tower.vm_template.get_vm_templates, _VmTemplateRow)
    return [
        _orphan("vm_template", row)
        async for row in tower.iterate(listing, where=where)
        if row.content_library_vm_template is None and row.entity_async_status is None
    ]


async def _library_templates(tower: Cloudtower, clusters: _Clusters) -> list[Orphan]:
    if not isinstance(clusters, Everything):
        return []
    listing = select_fields(
        tower.content_library_vm_template.get_content_library_vm_templates, _LibraryTemplateRow
    )
    return [
        _orphan("content_library_template", row)
        async for row in tower.iterate(listing)
        if row.entity_async_status is None
        and not (row.clusters or row.vm_templates or row.vm_template_uuids or row.zbs_storage_info)
    ]


def _orphan(
    kind: OrphanKind,
    row: _Row | _LibraryTemplateRow,
    *,
    unique_size: float | None = None,
    group: NamedResource | None = None,
) -> Orphan:
    if isinstance(row, _LibraryTemplateRow):
        cluster, created_at = None, row.created_at
    else:
        cluster, created_at = row.cluster, row.local_created_at
    return Orphan(
        kind=kind,
        id=row.id,
        name=row.name or row.id,  # a server that breaks its schema may send null
        reason=_REASONS[kind],
        cluster_id=cluster.id if cluster else None,
        cluster_name=(cluster.name or cluster.id) if cluster else None,
        size=row.size,
        unique_size=unique_size,
        created_at=moment(created_at),
        snapshot_group=(group.name or group.id) if group else None,
    )
