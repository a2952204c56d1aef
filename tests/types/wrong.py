"""One mistake per function, with the key or value that a type checker must name.

Not run, and not part of the project's own type checks: `checkers.py` reads what checkers report.
A comment contains the key that has to be named and, for wrong values, the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloudtower_async import Cloudtower, ContentLibraryImage, models, select_fields
from cloudtower_async.inputs import (
    ClusterWhereInput,
    DiskWhereInput,
    HostWhereInput,
    VmCreationParams,
    VmWhereInput,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloudtower_async.types import WithTask


class MyVm(msgspec.Struct, kw_only=True):
    """Some fields of a VM."""

    id: str
    memory: int


# Keys of filters


async def key_of_filter(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"nmae": "web"})  # culprit: nmae


async def key_beside_others(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"status": "RUNNING", "nmae": "x", "ha": True})  # culprit: nmae


async def key_in_relation(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"cluster": {"nmae": "x"}})  # culprit: nmae


async def key_in_relation_of_host(tower: Cloudtower) -> None:
    await tower.host.get_hosts(where={"cluster": {"idin": ["c1"]}})  # culprit: idin


async def key_in_relation_beside_others(tower: Cloudtower) -> None:
    await tower.disk.get_disks(
        where={
            "type": "HDD",
            "host": {
                "name_contains": "a",
                "nmae": "x",  # culprit: nmae
            },
        }
    )


async def key_two_deep(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"host": {"cluster": {"idin": ["c1"]}}})  # culprit: idin


async def key_two_deep_of_vlan(tower: Cloudtower) -> None:
    await tower.vlan.get_vlans(where={"vds": {"cluster": {"nam": "c"}}})  # culprit: nam


async def key_in_some(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"vm_disks_some": {"nmae": "sda"}})  # culprit: nmae


async def key_in_every(tower: Cloudtower) -> None:
    await tower.cluster.get_clusters(where={"hosts_every": {"idd": "h1"}})  # culprit: idd


async def key_in_none(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"labels_none": {"kye": "env"}})  # culprit: kye


async def key_in_some_in_relation(tower: Cloudtower) -> None:
    await tower.vm_disk.get_vm_disks(where={"vm": {"vm_nic_some": {}}})  # culprit: vm_nic_some


async def key_in_relation_in_some(tower: Cloudtower) -> None:
    await tower.cluster.get_clusters(where={"vms_some": {"host": {"x": 1}}})  # culprit: x


async def key_in_or(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"OR": [{"nmae": "web"}]})  # culprit: nmae


async def key_in_and_of_mutation(tower: Cloudtower) -> None:
    await tower.vm.start_vm(where={"AND": [{"id": "a"}, {"idd": "b"}]})  # culprit: idd


async def key_in_relation_in_not(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"NOT": [{"cluster": {"nmae": "x"}}]})  # culprit: nmae


async def key_of_mutation_two_deep(tower: Cloudtower) -> None:
    await tower.vm.start_vm(where={"host": {"cluster": {"idin": []}}})  # culprit: idin


async def key_of_lun(tower: Cloudtower) -> None:
    await tower.iscsi_lun.get_iscsi_luns(where={"target": {"name": "t"}})  # culprit: target


async def key_of_operator(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"name_startswith": "web"})  # culprit: name_startswith


async def key_of_relation_as_to_many(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"cluster_some": {"name": "c"}})  # culprit: cluster_some


async def key_in_variable(tower: Cloudtower) -> None:
    where: VmWhereInput = {"cluster": {"nmae": "x"}}  # culprit: nmae
    await tower.vm.get_vms(where=where)


async def key_stored_later(tower: Cloudtower) -> None:
    where: VmWhereInput = {}
    where["nmae"] = "web"  # culprit: nmae
    await tower.vm.get_vms(where=where)


async def key_of_alert(tower: Cloudtower) -> None:
    await tower.alert.get_alerts(where={"endet": False})  # culprit: endet


async def key_of_task(tower: Cloudtower) -> None:
    await tower.task.get_tasks(where={"cluster": {"nmae": "c"}})  # culprit: nmae


# Constructors of filters


async def key_of_constructor(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where=VmWhereInput(nmae="web"))  # culprit: nmae


async def key_of_inner_constructor(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where=VmWhereInput(cluster=ClusterWhereInput(nmae="x")))  # culprit: nmae


async def filter_of_another_resource(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where=VmWhereInput(host=DiskWhereInput(name="x")))  # culprit: host


async def value_in_constructor(tower: Cloudtower) -> None:
    await tower.host.get_hosts(where=HostWhereInput(name=3))  # culprit: name


# Values of filters


async def text_for_number(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"vcpu_gt": "2"})  # culprit: vcpu_gt: "2"


async def number_for_text(tower: Cloudtower) -> None:
    await tower.label.get_labels(where={"key": 3})  # culprit: key: 3


async def text_for_texts(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"name_in": "web"})  # culprit: name_in: "web"


async def text_for_texts_in_relation(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"cluster": {"id_in": "c1"}})  # culprit: id_in: "c1"


async def id_for_relation(tower: Cloudtower) -> None:
    await tower.nic.get_nics(where={"host": "h1"})  # culprit: host: "h1"


async def list_for_relation(tower: Cloudtower) -> None:
    await tower.vds.get_vdses(where={"vlans_some": []})  # culprit: vlans_some: []


async def none_for_to_many(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"vm_disks_some": None})  # culprit: vm_disks_some: None


async def enum_value(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"status": "RUNING"})  # culprit: RUNING


async def enum_value_in_list(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"status_in": ["RUNING"]})  # culprit: status_in: "RUNING"


async def enum_value_in_relation(tower: Cloudtower) -> None:
    await tower.vm_disk.get_vm_disks(where={"vm": {"status": "RUNING"}})  # culprit: RUNING


async def enum_of_another_field(tower: Cloudtower) -> None:
    await tower.vm.get_vms(where={"status": models.TaskStatus.FAILED})  # culprit: TaskStatus


async def order(tower: Cloudtower) -> None:
    await tower.disk.get_disks(order_by="size_UP")  # culprit: size_UP


# Data of mutations


async def missing_key(tower: Cloudtower) -> None:
    await tower.vm.clone_vm([{"name": "copy"}])  # culprit: src_vm_id


async def missing_key_in_item(tower: Cloudtower) -> None:
    await tower.label.create_label([{"value": "v"}])  # culprit: key


async def key_of_data(tower: Cloudtower) -> None:
    await tower.vm.update_vm(where={"id": "v1"}, data={"desc": "d"})  # culprit: desc


async def key_of_creation(tower: Cloudtower) -> None:
    await tower.vm.create_vm(
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
                "vm_disks": {},
                "vm_nics": [{"vlan_id": "v1"}],  # culprit: vlan_id
            }
        ]
    )


async def value_of_creation() -> VmCreationParams:
    return {
        "name": "web-1",
        "cluster_id": "c1",
        "cpu_cores": 1,
        "cpu_sockets": 2,
        "memory": "4 GiB",  # culprit: memory: "4 GiB"
        "ha": True,
        "firmware": "BIOS",
        "status": "STOPPED",
        "vm_disks": {},
        "vm_nics": [],
    }


async def enum_value_of_creation() -> VmCreationParams:
    return {
        "name": "web-1",
        "cluster_id": "c1",
        "cpu_cores": 1,
        "cpu_sockets": 2,
        "memory": 4 << 30,
        "ha": True,
        "firmware": "EFI",  # culprit: EFI
        "status": "STOPPED",
        "vm_disks": {},
        "vm_nics": [],
    }


async def mutation_without_filter(tower: Cloudtower) -> None:
    await tower.vm.start_vm()  # culprit: where


async def argument(tower: Cloudtower) -> None:
    await tower.vm.get_vms(wehre={"id": "v1"})  # culprit: wehre


# Helpers that take a method and its arguments


async def key_through_iterate(tower: Cloudtower) -> None:
    async for vm in tower.iterate(
        tower.vm.get_vms, where={"cluster": {"nmae": "x"}}
    ):  # culprit: nmae
        print(vm.name)


async def key_through_fetch_all(tower: Cloudtower) -> None:
    await tower.fetch_all(tower.disk.get_disks, where={"vcpu": 2})  # culprit: vcpu


async def key_through_watch(tower: Cloudtower) -> None:
    async with tower.watch(tower.vm.get_vms, where={"host": {"nmae": "x"}}):  # culprit: nmae
        pass


async def key_of_upload_target(tower: Cloudtower) -> None:
    await tower.upload("x.iso", ContentLibraryImage(clusters={"nmae": "c"}))  # culprit: nmae


async def mutation_through_fetch_all(tower: Cloudtower) -> None:
    await tower.fetch_all(tower.vm.delete_vm, where={"id": "v1"})  # culprit: WithTask


async def query_through_settle(tower: Cloudtower) -> None:
    await tower.settle(tower.vm.get_vms())  # culprit: Vm


async def attribute_of_settled(tower: Cloudtower, started: Sequence[WithTask[models.Vm]]) -> None:
    for vm in await tower.settle(list(started)):
        print(vm.nmae)  # culprit: nmae


async def attribute_of_answer(tower: Cloudtower) -> None:
    print((await tower.vm.get_vms())[0].nmae)  # culprit: nmae


async def optional_of_answer(tower: Cloudtower) -> None:
    print((await tower.vm.get_vms())[0].cluster.name)  # culprit: name


async def field_of_selected(tower: Cloudtower) -> None:
    rows = await select_fields(tower.vm.get_vms, MyVm)()
    print(rows[0].vcpu)  # culprit: vcpu


async def key_through_selected(tower: Cloudtower) -> None:
    mine = select_fields(tower.vm.get_vms, MyVm)
    await tower.fetch_all(mine, where={"cluster": {"nmae": "x"}})  # culprit: nmae
