"""Correct uses of the package: no type checker reports anything here.

Not run: `nox -s types` checks it with mypy and pyright, `nox -s checkers` with three others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_type

import msgspec

from cloudtower_async import (
    EVERYTHING,
    NULL,
    Cloudtower,
    ContentLibraryImage,
    Fetched,
    Pending,
    Upload,
    Watch,
    models,
    select_fields,
)
from cloudtower_async.inputs import (
    ClusterWhereInput,
    HostWhereInput,
    LabelWhereInput,
    VmCreationParams,
    VmDiskParams,
    VmDiskWhereInput,
    VmFolderWhereInput,
    VmNicParams,
    VmOrderByInput,
    VmStatus,
    VmUpdateParamsData,
    VmWhereInput,
)
from cloudtower_async.testing import make
from cloudtower_async.types import OMITTED, Connection, WithTask

if TYPE_CHECKING:
    from cloudtower_async import Date


class ClusterName(msgspec.Struct, kw_only=True, frozen=True):
    name: str


class MyVm(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    memory: int
    cpu_usage: float | None = None
    cluster: ClusterName | None = None


# Filters as dicts


async def no_filter(tower: Cloudtower) -> None:
    assert_type(await tower.vm.get_vms(), list[models.Vm])


async def empty_filter(tower: Cloudtower) -> None:
    assert_type(await tower.vm.get_vms(where={}), list[models.Vm])


async def text(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"name_contains": "web", "description_not": ""})


async def number(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"vcpu_gt": 2, "memory_lte": 8 << 30})


async def truth(tower: Cloudtower) -> None:
    await tower.alert.get_alerts(where={"ended": False})


async def null(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"entityAsyncStatus": None, "name_not": None})


async def list_of_texts(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"id_in": ["v1", "v2"]})


async def other_collections(tower: Cloudtower, ids: frozenset[str]) -> None:
    await tower.vm.get_vms(where={"id_in": ids, "name_in": ("a",), "name_not_in": {"b"}})


async def comprehension(tower: Cloudtower, vms: list[models.Vm]) -> None:
    await tower.vm_disk.get_vm_disks(where={"vm": {"id_in": [vm.id for vm in vms]}})


async def text_of_enum(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"status": "RUNNING", "status_not_in": ["STOPPED"]})


async def member_of_enum(tower: Cloudtower, vm: models.Vm) -> None:
    await tower.vm.get_vms(where={"status_in": [models.VmStatus.RUNNING, vm.status, "STOPPED"]})


async def date(tower: Cloudtower) -> None:
    now = datetime.now(UTC)
    await tower.alert.get_alerts(where={"create_time_gte": now, "create_time_in": [now]})


async def date_as_text(tower: Cloudtower, since: Date) -> None:
    await tower.task.get_tasks(where={"started_at_gt": since, "finished_at_lt": "2026-01-01"})


async def relation(tower: Cloudtower) -> None:
    await tower.host.get_hosts(where={"cluster": {"name": "prod", "id_in": ["c1"]}})


async def relation_of_relation(tower: Cloudtower) -> None:
    await tower.disk.get_disks(where={"host": {"cluster": {"name_contains": "a"}}})


async def three_deep(tower: Cloudtower) -> None:
    await tower.vm_disk.get_vm_disks(where={"vm": {"host": {"cluster": {"name": "a"}}}})


async def some(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"labels_some": {"key": "env", "value_in": ["test"]}})


async def every(tower: Cloudtower) -> None:
    await tower.datacenter.get_datacenters(where={"clusters_every": {"type": "SMTX_OS"}})


async def none(tower: Cloudtower) -> None:
    await tower.vm_volume.get_vm_volumes(where={"vm_disks_none": {}})


async def some_in_relation(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"cluster": {"hosts_some": {"name": "a"}}})


async def relation_in_some(tower: Cloudtower) -> None:
    await tower.vds.get_vdses(where={"vlans_some": {"vds": {"name": "a"}, "vlan_id": 3}})


async def boolean_operators(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"OR": [{"ha": True}, {"AND": [{"vcpu": 2}]}], "NOT": []})


async def relation_in_or(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"OR": [{"cluster": {"name": "a"}}, {"host": {"id": "h"}}]})


async def no_relation(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"folder": NULL, "status": "STOPPED"})


async def no_relation_in_relation(tower: Cloudtower) -> None:
    await tower.vm_disk.get_vm_disks(where={"vm": {"folder": NULL}})


async def negated_relation(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"NOT": [{"folder": {}}]})


async def everything(tower: Cloudtower) -> None:
    await tower.upload_task.cancel_upload_task(where=EVERYTHING)


# Filters in variables


async def variable(tower: Cloudtower) -> None:
    where: VmWhereInput = {"name": "a", "cluster": {"name": "prod"}, "OR": [{"ha": True}]}
    await tower.vm.get_vms(where=where)


async def variable_in_filter(tower: Cloudtower) -> None:
    cluster: ClusterWhereInput = {"id_in": ["c1"], "hosts_some": {"name": "h"}}
    await tower.vm.get_vms(where={"cluster": cluster})


async def variables_in_variables(tower: Cloudtower) -> None:
    cluster: ClusterWhereInput = {"id_in": ["c1"]}
    host: HostWhereInput = {"cluster": cluster, "OR": [{"cluster": cluster}]}
    await tower.disk.get_disks(where={"host": host})


async def variable_in_to_many(tower: Cloudtower, label: LabelWhereInput) -> None:
    await tower.vm.get_vms(where={"labels_some": label, "labels_none": {"key": "x"}})


async def stored_later(tower: Cloudtower, cluster: ClusterWhereInput, name: str | None) -> None:
    where: VmWhereInput = {"status": "RUNNING"}
    where["cluster"] = cluster
    if name:
        where["name"] = name
    await tower.vm.get_vms(where=where)


async def merged(tower: Cloudtower, where: VmWhereInput) -> None:
    await tower.vm.get_vms(where={"AND": [where, {"ha": True}]})


async def optional_filter(tower: Cloudtower, where: VmWhereInput | None = None) -> None:
    await tower.vm.get_vms(where=where or {})


async def omitted_filter(tower: Cloudtower, where: VmWhereInput = OMITTED) -> None:
    await tower.vm.get_vms(where=where)


async def optional_relation(tower: Cloudtower, folder: VmFolderWhereInput | None) -> None:
    await tower.vm.get_vms(where={"folder": folder or NULL})


def returned(name: str) -> VmWhereInput:
    return {"cluster": {"name": name}}


def status(*, running: bool) -> VmStatus:
    return "RUNNING" if running else "STOPPED"


async def value_of_enum_type(tower: Cloudtower, running: bool) -> None:
    await tower.vm.get_vms(where={"status": status(running=running)})


async def order(tower: Cloudtower, order_by: VmOrderByInput = "name_ASC") -> None:
    await tower.vm.get_vms(order_by=order_by, first=5, skip=10, content_language="zh-CN")


# Filters from constructors


async def constructor(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where=VmWhereInput(name_contains="web", ha=True))


async def constructor_in_constructor(tower: Cloudtower) -> None:
    where = VmWhereInput(cluster=ClusterWhereInput(name="prod"), status="RUNNING")
    await tower.vm.get_vms(where=where)


async def constructors_three_deep(tower: Cloudtower) -> None:
    host = HostWhereInput(cluster=ClusterWhereInput(name="prod"))
    await tower.vm_disk.get_vm_disks(where=VmDiskWhereInput(vm=VmWhereInput(host=host)))


async def constructor_of_to_many(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where=VmWhereInput(labels_some=LabelWhereInput(key="env")))


async def constructors_in_or(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where=VmWhereInput(OR=[VmWhereInput(name="a"), {"name": "b"}]))


async def constructor_in_dict(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"cluster": ClusterWhereInput(name="prod")})


async def dict_in_constructor(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where=VmWhereInput(cluster={"name": "prod"}, folder=NULL))


# Mutations


async def started(tower: Cloudtower) -> None:
    answer = await tower.vm.start_vm(where={"host": {"cluster": {"id_in": ["c1"]}}})
    assert_type(answer, list[WithTask[models.Vm]])


async def updated(tower: Cloudtower, data: VmUpdateParamsData) -> None:
    await tower.vm.update_vm(where={"id": "v1"}, data=data)


async def created(tower: Cloudtower) -> None:
    answer = await tower.vm.create_vm(
        [
            {
                "name": "web-1",
                "cluster_id": "c1",
                "cpu_cores": 1,
                "cpu_sockets": 2,
                "memory": 4 << 30,
                "ha": True,
                "firmware": "BIOS",
                "status": "STOPPED",
                "vm_disks": {
                    "mount_new_create_disks": [
                        {
                            "boot": 0,
                            "bus": "VIRTIO",
                            "vm_volume": {
                                "name": "root",
                                "size": 10 << 30,
                                "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
                            },
                        }
                    ]
                },
                "vm_nics": [{"connect_vlan_id": "v1", "model": "VIRTIO", "enabled": True}],
                "vm_placement_group": {"name": "apart"},
            }
        ]
    )
    assert_type(answer, list[WithTask[models.Vm]])


def creation(name: str, nics: list[VmNicParams]) -> VmCreationParams:
    return VmCreationParams(
        name=name,
        cluster_id="c1",
        cpu_cores=1,
        cpu_sockets=2,
        memory=4 << 30,
        ha=False,
        firmware=models.VmFirmware.UEFI,
        status="RUNNING",
        vm_disks=VmDiskParams(mount_cd_roms=[{"boot": 1, "index": 0}]),
        vm_nics=nics,
    )


async def created_from_list(tower: Cloudtower, wanted: list[VmCreationParams]) -> None:
    await tower.vm.create_vm(wanted)
    await tower.vm.create_vm([creation(f"web-{n}", []) for n in range(3)])


async def tuple_of_dicts(tower: Cloudtower) -> None:
    await tower.label.create_label(({"key": "env", "value": "test"},))


async def metrics(tower: Cloudtower) -> None:
    answer = await tower.metrics.get_vm_metrics(
        metrics=["elf_vm_cpu_overall_usage_percent"], range="24h", vms={"id": "v1"}
    )
    assert_type(answer[0].data, models.Metric)


# Answers


async def attributes(tower: Cloudtower) -> None:
    vm = (await tower.vm.get_vms())[0]
    assert_type(vm.name, str)
    assert_type(vm.status, models.VmStatus)
    assert_type(vm.cluster, models.NestedCluster | None)
    assert_type(vm.labels, list[models.NestedLabel] | None)


async def connection(tower: Cloudtower) -> None:
    assert_type(await tower.vm.get_vms_connection(where={"ha": True}), Connection)


async def iterated(tower: Cloudtower) -> None:
    async for vm in tower.iterate(tower.vm.get_vms, where={"cluster": {"name": "a"}}):
        assert_type(vm, models.Vm)


async def iterated_by_hundreds(tower: Cloudtower) -> None:
    hosts = tower.iterate(tower.host.get_hosts, 100, order_by="name_ASC")
    assert_type(hosts, AsyncGenerator[models.Host, None])


async def fetched(tower: Cloudtower) -> None:
    vms = await tower.fetch_all(tower.vm.get_vms, concurrency=4, where={"host": {"id": "h"}})
    assert_type(vms, Fetched[models.Vm])
    assert_type(vms[0], models.Vm)


async def fetched_in_function(
    tower: Cloudtower, method: Callable[..., Awaitable[list[models.Host]]]
) -> None:
    assert_type(await tower.fetch_all(method), Fetched[models.Host])


async def one(tower: Cloudtower) -> None:
    assert_type(await tower.get_one(tower.vm.get_vms, where={"name": "a"}), models.Vm)
    assert_type(await tower.resolve(tower.cluster.get_clusters, "prod"), models.Cluster)


async def counted(tower: Cloudtower) -> None:
    assert_type(await tower.count(tower.disk.get_disks, where={"host": {"id": "h"}}), int)


async def watched(tower: Cloudtower) -> None:
    async with tower.watch(tower.vm.get_vms, where={"cluster": {"name": "a"}}) as vms:
        assert_type(vms, Watch[models.Vm])
        async for event in vms:
            assert_type(event.new, models.Vm | None)


async def settled_call(tower: Cloudtower) -> None:
    vms = await tower.settle(tower.vm.start_vm(where={"cluster": {"id": "c1"}}))
    assert_type(vms, list[models.Vm])


async def settled_answer(tower: Cloudtower, answer: list[WithTask[models.Vm]]) -> None:
    assert_type(await tower.settle(answer), list[models.Vm])
    assert_type(await tower.settle(answer[0], timeout=None), models.Vm)


async def settled_deletion(tower: Cloudtower) -> None:
    gone = await tower.settle(tower.vm.delete_vm(where={"id": "v1"}))
    assert_type(gone, list[models.DeleteVm])


async def pending(tower: Cloudtower, answer: list[WithTask[models.Vm]]) -> None:
    assert_type(tower.pending(answer), Pending[list[models.Vm]])
    assert_type(await tower.settle(tower.pending(answer)), list[models.Vm])


async def waited(tower: Cloudtower, answer: list[WithTask[models.Vm]]) -> None:
    assert_type(await tower.wait(answer), list[models.Task])


async def uploaded(tower: Cloudtower) -> None:
    upload = tower.upload("x.iso", ContentLibraryImage(clusters={"name": "prod"}))
    assert_type(upload, Upload[models.ContentLibraryImage])
    assert_type(await upload, models.ContentLibraryImage)


# Selected fields


async def selected(tower: Cloudtower) -> None:
    get_my_vms = select_fields(tower.vm.get_vms, MyVm)
    rows = await get_my_vms(where={"cluster": {"name": "a"}}, first=3)
    assert_type(rows, list[MyVm])
    assert_type(rows[0].cpu_usage, float | None)
    assert_type(rows[0].cluster, ClusterName | None)


async def selected_in_tasks(tower: Cloudtower) -> None:
    get_my_vms = select_fields(tower.vm.get_vms, MyVm)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(get_my_vms(first=3))
    assert_type(task.result(), list[MyVm])


async def selected_and_fetched(tower: Cloudtower) -> None:
    get_my_vms = select_fields(tower.vm.get_vms, MyVm)
    assert_type(await tower.fetch_all(get_my_vms, where={"ha": True}), Fetched[MyVm])


async def selected_and_iterated(tower: Cloudtower) -> None:
    get_my_vms = select_fields(tower.vm.get_vms, MyVm)
    assert_type(tower.iterate(get_my_vms, order_by="name_ASC"), AsyncGenerator[MyVm, None])


async def selected_and_found(tower: Cloudtower) -> None:
    get_my_vms = select_fields(tower.vm.get_vms, MyVm)
    assert_type(await tower.get_one(get_my_vms, where={"name": "a"}), MyVm)
    assert_type(await tower.resolve(get_my_vms, "a"), MyVm)
    assert_type(await tower.count(get_my_vms), int)


async def selected_and_watched(tower: Cloudtower) -> None:
    async with tower.watch(select_fields(tower.vm.get_vms, MyVm)) as vms:
        assert_type(vms.snapshot, dict[str, MyVm])


async def selected_and_loaded(tower: Cloudtower) -> None:
    loader = tower.loader(select_fields(tower.vm.get_vms, MyVm))
    assert_type(await loader.get("v1"), MyVm)
    assert_type(await loader.get_many(["v1", "v2"]), dict[str, MyVm])


# Doubles


def double() -> models.Vm:
    return make(models.Vm, name="web-1", cluster=None)
