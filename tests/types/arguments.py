"""Types of the arguments of calls in many namespaces, right and wrong.

Not run; see `calls.py`.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower


async def accepted(tower: Cloudtower) -> None:
    """Valid filters with suffixes and relations, valid data, list items and sort orders."""
    await tower.alert.get_alerts(where={"ended": False, "severity_in": ["CRITICAL"]})
    await tower.alert.resolve_alert(where={"id_in": ["a1"]})
    await tower.cluster.get_clusters(where={"name_not": "c", "hosts_some": {"id": "h1"}})
    await tower.datacenter.get_datacenters(where={"clusters_every": {"type": "SMTX_OS"}})
    await tower.datacenter.create_datacenter([{"name": "d", "organization_id": "o1"}])
    await tower.disk.get_disks(where={"host": {"cluster": {"name": "c"}}}, order_by="size_DESC")
    await tower.elf_image.get_elf_images(where={"cluster": {"id_in": ["c1"]}}, skip=3)
    await tower.global_alert_rule.get_global_alert_rules(where={"disabled": True})
    await tower.host.get_hosts(where={"cluster": {"name_contains": "c"}}, first=2)
    await tower.iscsi_target.get_iscsi_targets(where={"name_starts_with": "t"})
    await tower.iscsi_lun.get_iscsi_luns(where={"iscsi_target": {"name": "t"}})
    await tower.label.get_labels(where={"key": "k", "value_not": None})
    await tower.label.create_label([{"key": "k", "value": "v"}])
    await tower.label.delete_label(where={"id": "l1"})
    await tower.nfs_export.get_nfs_exports(where={"OR": [{"name": "n"}, {"id": "n1"}]})
    await tower.nic.get_nics(where={"host": {"id": "h1"}}, order_by="name_ASC")
    await tower.organization.get_organizations(where={"NOT": [{"name": "o"}]})
    await tower.organization.create_organization([{"name": "o"}])
    await tower.task.get_tasks(where={"status": "FAILED", "progress_gt": 0.5})
    await tower.user.get_users(where={"username_in": ("root",)})
    now = datetime.now(UTC)
    await tower.vm.get_vms(
        where={"local_created_at_gte": now, "deleted_at_in": [now, "2026-01-01"]}
    )
    await tower.task.get_tasks(where={"finished_at_in": [now], "started_at": None})
    await tower.task.get_tasks(where={"finished_at_in": ["2026-11-29T10:00:00.000Z"]})
    await tower.task.update_task(where={"id": "t"}, data={"finished_at": now})
    texts: list[str] = []
    moments: list[datetime] = []
    await tower.alert.get_alerts(where={"create_time_in": texts, "create_time_not_in": moments})
    await tower.vds.get_vdses(where={"vlans_some": {"vlan_id": 3}})
    await tower.vlan.get_vlans(where={"vds": {"cluster": {"id": "c1"}}})
    await tower.vm_disk.get_vm_disks(where={"vm": {"cluster": {"name": "c"}}})
    await tower.vm_nic.get_vm_nics(where={"vlan": {"name": "v"}, "mac_address_in": {"m"}})
    await tower.vm_volume.get_vm_volumes(where={"vm_disks_none": {"id": "d1"}})
    await tower.vm_snapshot.get_vm_snapshots(where={"vm": {"id": "v1"}}, last=1)
    await tower.vm.update_vm(where={"id": "v1"}, data={"description": "d"})
    await tower.vm.start_vm(where={"host": {"cluster": {"id_in": ["c1"]}}})
    await tower.vm_folder.get_vm_folders(where={"cluster": {"id": "c1"}})
    await tower.zone.get_zones(where={"id": "z1"})


async def wrong_keys(tower: Cloudtower) -> None:
    """Unknown keys, also in nested filters."""
    await tower.alert.get_alerts(where={"endet": False})  # type: ignore[typeddict-unknown-key]
    await tower.alert.resolve_alert(where={"ids": ["a1"]})  # type: ignore[typeddict-unknown-key]
    await tower.cluster.get_clusters(where={"hosts_some": {"idd": "h1"}})  # type: ignore[typeddict-unknown-key]
    await tower.datacenter.get_datacenters(where={"cluster": {}})  # type: ignore[typeddict-unknown-key]
    await tower.disk.get_disks(where={"host": {"cluster": {"nam": "c"}}})  # type: ignore[typeddict-unknown-key]
    await tower.elf_image.get_elf_images(where={"cluster": {"idin": []}})  # type: ignore[typeddict-unknown-key]
    await tower.host.get_hosts(where={"cluster": {"nmae": "c"}})  # type: ignore[typeddict-unknown-key]
    await tower.iscsi_lun.get_iscsi_luns(where={"target": {}})  # type: ignore[typeddict-unknown-key]
    await tower.nfs_export.get_nfs_exports(where={"OR": [{"nme": "n"}]})  # type: ignore[typeddict-unknown-key]
    await tower.organization.get_organizations(where={"NOT": [{"n": "o"}]})  # type: ignore[typeddict-unknown-key]
    await tower.vlan.get_vlans(where={"vds": {"cluster": {"x": "c1"}}})  # type: ignore[typeddict-unknown-key]
    await tower.vm_disk.get_vm_disks(where={"vm": {"cluster": {"x": 1}}})  # type: ignore[typeddict-unknown-key]
    await tower.vm.update_vm(where={"id": "v1"}, data={"desc": "d"})  # type: ignore[typeddict-unknown-key]
    await tower.vm.start_vm(where={"host": {"cluster": {"idin": []}}})  # type: ignore[typeddict-unknown-key]
    await tower.vm.get_vms(wehre={"id": "v1"})  # type: ignore[call-arg]


async def wrong_values(tower: Cloudtower) -> None:
    """Values of a wrong type, and strings that an enum lacks."""
    await tower.cluster.update_cluster(where={"id": 1}, data={})  # type: ignore[typeddict-item]
    await tower.disk.get_disks(order_by="size_UP")  # type: ignore[arg-type]
    await tower.global_alert_rule.get_global_alert_rules(where={"disabled": 3})  # type: ignore[typeddict-item]
    await tower.iscsi_target.get_iscsi_targets(where={"id_in": "t1"})  # type: ignore[typeddict-item]
    await tower.label.get_labels(where={"key": 3})  # type: ignore[typeddict-item]
    await tower.vm.get_vms(where={"name": datetime.now(UTC)})  # type: ignore[typeddict-item]
    await tower.vm.get_vms(where={"deleted_at": date(2026, 1, 1)})  # type: ignore[typeddict-item]
    await tower.vm.get_vms(where={"deleted_at_in": "2026-01-01"})  # type: ignore[typeddict-item]
    await tower.nic.get_nics(where={"host": "h1"})  # type: ignore[typeddict-item]
    await tower.task.get_tasks(where={"status": "DONE"})  # type: ignore[typeddict-item]
    await tower.user.get_users(where={"username_in": "root"})  # type: ignore[typeddict-item]
    await tower.vds.get_vdses(where={"vlans_some": []})  # type: ignore[typeddict-item]
    await tower.vm_nic.get_vm_nics(where=[{"id": "n1"}])  # type: ignore[arg-type]
    await tower.vm_volume.get_vm_volumes(first="3")  # type: ignore[arg-type]
    await tower.vm_snapshot.get_vm_snapshots(where={"AND": {"id": "s"}})  # type: ignore[typeddict-item]
    await tower.vm_folder.get_vm_folders(where={"cluster": "c1"})  # type: ignore[typeddict-item]
    await tower.zone.get_zones(where="z1")  # type: ignore[arg-type]


async def missing_keys(tower: Cloudtower) -> None:
    """Missing required keys."""
    await tower.label.create_label([{"value": "v"}])  # type: ignore[typeddict-item]
    await tower.datacenter.create_datacenter([{"name": "d"}])  # type: ignore[typeddict-item]
    await tower.organization.create_organization([{}])  # type: ignore[typeddict-item]
    await tower.vm.create_vm([{"name": "v"}])  # type: ignore[typeddict-item]
    await tower.vm.update_vm(where={"id": "v1"})  # type: ignore[call-arg]
    await tower.label.delete_label()  # type: ignore[call-arg]
