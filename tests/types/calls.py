"""Types of calls. Not run: `nox -s types` checks it with mypy and pyright.

A line that both type checkers must reject has a comment `type: ignore`. If a checker accepts the
line, it reports the comment as unused: mypy by `warn_unused_ignores`, pyright by the comment below.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from cloudtower_async import models
from cloudtower_async.types import Connection, WithTask

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower
    from cloudtower_async.inputs import (
        ClusterWhereInput,
        DiskWhereInput,
        HostWhereInput,
        VmWhereInput,
    )


async def answers(tower: Cloudtower) -> None:
    """Each answer has its type, including its fields."""
    vms = await tower.vm.get_vms(where={"name_contains": "web"}, order_by="name_ASC", first=50)
    assert_type(vms, list[models.Vm])
    assert_type(vms[0].name, str)
    assert_type(vms[0].status, models.VmStatus)
    assert_type(vms[0].entity_async_status, models.EntityAsyncStatus | None)
    assert_type(vms[0].cluster, models.NestedCluster | None)
    assert_type(vms[0].labels, list[models.NestedLabel] | None)

    assert_type(await tower.vm.get_vms_connection(), Connection)
    assert_type((await tower.vm.get_vms_connection(where={"ha": True})).aggregate.count, int)
    assert_type(await tower.cluster.get_clusters(), list[models.Cluster])
    assert_type(await tower.host.get_hosts(last=3, before="h1"), list[models.Host])
    assert_type(await tower.disk.get_disks(where={"type": "HDD"}), list[models.Disk])
    assert_type(await tower.task.get_tasks(where={"id_in": ["t1"]}), list[models.Task])

    alerts = await tower.alert.get_alerts(where={"ended": False}, content_language="zh-CN")
    assert_type(alerts, list[models.Alert])

    started = await tower.vm.start_vm(where={"id_in": [vm.id for vm in vms]}, timeout=3)
    assert_type(started, list[WithTask[models.Vm]])
    assert_type(started[0].task_id, str | None)
    assert_type(started[0].data, models.Vm)
    deleted = await tower.vm.delete_vm(where={"id": "v1"})
    assert_type(deleted, list[WithTask[models.DeleteVm]])
    cloned = await tower.vm.clone_vm([{"name": "copy", "src_vm_id": "v1"}])
    assert_type(cloned, list[WithTask[models.Vm]])

    login = await tower.user.login(username="root", password="x", source="LOCAL")
    assert_type(login, WithTask[models.LoginResponse])
    assert_type(login.data.token, str)
    assert_type(await tower.api_info.get_api_version(), str)
    assert_type(
        await tower.elf_image.create_elf_image(file=b"", name="iso", size="0"),
        list[models.UploadTask],
    )
    changes = await tower.resource_change.get_resource_changes(start_revision="1", limit=10)
    assert_type(changes, models.ResourceChangeResponse)
    metrics = await tower.metrics.get_vm_metrics(
        metrics=["elf_vm_cpu_overall_usage_percent"], range="24h", vms={"id": "v1"}
    )
    assert_type(metrics[0].data, models.Metric)


async def arguments(tower: Cloudtower, vm: models.Vm) -> None:
    """Arguments that are valid."""
    where: VmWhereInput = {"name": "a", "cluster": {"name": "prod"}, "OR": [{"ha": True}]}
    await tower.vm.get_vms(where=where)
    # A filter in a variable fits into another filter, also if it is added later.
    of_cluster: ClusterWhereInput = {"id_in": ["c1"]}
    of_host: HostWhereInput = {"cluster": of_cluster, "OR": [{"cluster": of_cluster}]}
    of_host["cluster"] = of_cluster
    await tower.disk.get_disks(where={"host": of_host})
    await tower.vm.get_vms(where={"cluster": {"hosts_some": {"name_in": ("a", "b")}}})
    await tower.vm.get_vms(where={"host": {"cluster": {"id_in": ["c1"]}}, "name_not": None})
    await tower.vm.get_vms(where={"status": "RUNNING", "status_not": models.VmStatus.STOPPED})
    await tower.vm.get_vms(where={"status_in": [vm.status, "STOPPED"]})
    await tower.vm.get_vms(where={"id_in": {vm.id for vm in [vm]}, "id_not_in": frozenset("ab")})


async def mistakes(tower: Cloudtower, vm: models.Vm) -> None:
    """Mistakes that both checkers report."""
    # a wrong key, at each depth
    of_disk: DiskWhereInput = {"name": "sda"}
    await tower.vm.get_vms(where={"host": of_disk})  # type: ignore[typeddict-item]
    await tower.vm.get_vms(where={"nmae": "web"})  # type: ignore[typeddict-unknown-key]
    await tower.vm.get_vms(where={"cluster": {"nmae": "prod"}})  # type: ignore[typeddict-unknown-key]
    await tower.vm.get_vms(where={"host": {"cluster": {"idin": ["c1"]}}})  # type: ignore[typeddict-unknown-key]
    await tower.vm.get_vms(where={"vm_disks_some": {"nmae": "sda"}})  # type: ignore[typeddict-unknown-key]
    await tower.vm.get_vms(where={"OR": [{"nmae": "web"}]})  # type: ignore[typeddict-unknown-key]
    # a wrong value
    await tower.vm.get_vms(where={"vcpu_gt": "2"})  # type: ignore[typeddict-item]
    await tower.vm.get_vms(where={"status": "RUNING"})  # type: ignore[typeddict-item]
    await tower.vm.get_vms(order_by="name_UP")  # type: ignore[arg-type]
    await tower.vm.get_vms(first="50")  # type: ignore[arg-type]
    await tower.vm.get_vms(content_language="de-DE")  # type: ignore[arg-type]
    # a string where several are required
    await tower.vm.get_vms(where={"name_in": "web"})  # type: ignore[typeddict-item]
    await tower.vm.get_vms(where={"cluster": {"id_in": "c1"}})  # type: ignore[typeddict-item]
    # a missing required key
    await tower.vm.start_vm()  # type: ignore[call-arg]
    await tower.vm.clone_vm([{"name": "copy"}])  # type: ignore[typeddict-item]
    await tower.user.login(username="root")  # type: ignore[call-arg]
    # arguments of another call, or passed by position
    await tower.vm.get_vms(filter={"name": "web"})  # type: ignore[call-arg]
    await tower.vm.get_vms({"name": "web"})  # type: ignore[arg-type, call-arg]
    await tower.vm.clone_vm({"name": "copy", "src_vm_id": "v1"})  # type: ignore[arg-type]
    # wrong uses of an answer
    vm.name = "other"  # type: ignore[misc]
    _ = vm.nmae  # type: ignore[attr-defined]
    _ = tower.virtual_machine  # type: ignore[attr-defined]
    _ = models.Vmm  # type: ignore[attr-defined]
