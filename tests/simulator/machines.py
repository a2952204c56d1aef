"""Helpers for tests of VMs: running a mutation to its end, and fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from cloudtower_async.calls.registry import operation_at

if TYPE_CHECKING:
    from tests.simulator.client import Client

GIB = 2**30
DURATION = 10.0

Document = dict[str, Any]


async def send(client: Client, path: str, body: object) -> Any:  # noqa: ANN401
    """Send a mutation that succeeds; return its answer, which fits the schema."""
    answer = await client.send(path, body)
    assert answer.status == 200, answer.content
    operation_at(f"/{path}").decoder.decode(answer.content)
    return answer.json


async def do(client: Client, path: str, body: object) -> list[Document]:
    """Send a mutation and let time pass; return its tasks, which have succeeded."""
    tasks = await ended(client, await send(client, path, body))
    assert [task["status"] for task in tasks] == ["SUCCESSED"] * len(tasks), tasks
    return tasks


async def ended(client: Client, answer: Any) -> list[Document]:  # noqa: ANN401
    """Let time pass and return the tasks of an answer."""
    client.sim.clock.advance(DURATION)
    items = cast("list[Document]", answer if isinstance(answer, list) else [answer])
    ids = [item["task_id"] for item in items]
    found = await client.ask("get-tasks", {"where": {"id_in": ids}})
    await client.ask("get-vms", {"first": 1})
    return list(found)


async def refused(client: Client, path: str, body: object, status: int = 400) -> str:
    """Send a mutation that is rejected and changes nothing; check the message."""
    before = client.sim.store.select("Vm")
    busy = [vm["entityAsyncStatus"] for vm in before]
    answer = await client.send(path, body)
    assert answer.status == status, answer.content
    assert [vm["entityAsyncStatus"] for vm in client.sim.store.select("Vm")] == busy
    message: str = answer.json["message"]
    return message


async def matches_nothing(client: Client, path: str, body: object) -> None:
    """Send a mutation whose filter matches nothing: it succeeds, and changes nothing."""
    before = client.sim.store.select("Vm")
    assert await client.ask(path, body) == []
    assert client.sim.store.select("Vm") == before


def a_vm(client: Client, status: str, **where: object) -> Document:
    """Return a VM with this status in the first cluster."""
    store = client.sim.store
    cluster = store.select("Cluster")[0]["id"]
    wanted = {"status": status, "cluster": {"id": cluster}, "in_recycle_bin": False, **where}
    return store.select("Vm", wanted)[0]


def new_vm(client: Client, **values: object) -> Document:
    """Return arguments of create-vm with an unused name."""
    store = client.sim.store
    number = len(store.select("Vm", {"name_starts_with": "new"}))
    cluster = store.select("Cluster")[0]["id"]
    vlan = store.select("Vlan", {"vds": {"cluster": {"id": cluster}}})[0]["id"]
    volume = {
        "name": "data",
        "size": 10,
        "size_unit": "GB",
        "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
    }
    disk = {"boot": 1, "bus": "VIRTIO", "vm_volume": volume}
    return {
        "cluster_id": cluster,
        "name": f"new-{number + 1}" if number else "new",
        "ha": True,
        "cpu_cores": 2,
        "cpu_sockets": 2,
        "memory": 4,
        "memory_unit": "GB",
        "firmware": "BIOS",
        "status": "STOPPED",
        "vm_disks": {"mount_new_create_disks": [disk], "mount_cd_roms": [{"boot": 2}]},
        "vm_nics": [{"connect_vlan_id": vlan}],
        **values,
    }


async def create(client: Client, **values: object) -> Document:
    """Create a VM with only the given properties."""
    [answer] = await send(client, "create-vm", [new_vm(client, **values)])
    [task] = await ended(client, [answer])
    assert task["status"] == "SUCCESSED", task
    return client.sim.store.get("Vm", answer["data"]["id"])


def parts(client: Client, vm: Document, kind: str = "DISK") -> list[Document]:
    """Return the current disks or CD-ROMs of a VM."""
    disks = [client.sim.store.get("VmDisk", one) for one in vm.get("vm_disks") or ()]
    return [disk for disk in disks if disk["type"] == kind]


def nics(client: Client, vm: Document) -> list[Document]:
    """Return the current NICs of a VM."""
    return [client.sim.store.get("VmNic", one) for one in vm.get("vm_nics") or ()]


def figures(client: Client) -> list[tuple[object, ...]]:
    """Return the totals of hosts and clusters."""
    names = (
        *("vm_num", "running_vm_num", "stopped_vm_num", "provisioned_memory_bytes"),
        *("used_data_space", "provisioned_cpu_cores", "commited_memory_bytes"),
    )
    store = client.sim.store
    documents = [*store.table("Host").values(), *store.table("Cluster").values()]
    return [tuple(one[name] for name in names) for one in documents]


def assert_in_step(client: Client) -> None:
    """Check that the figures of hosts and clusters are the sums of their VMs."""
    store = client.sim.store
    for host in store.table("Host").values():
        vms = store.select("Vm", {"host": {"id": host["id"]}})
        assert host["vm_num"] == len(vms)
        assert host["provisioned_memory_bytes"] == sum(vm["memory"] for vm in vms)
    for cluster in store.table("Cluster").values():
        vms = store.select("Vm", {"cluster": {"id": cluster["id"]}})
        hosts = store.select("Host", {"cluster": {"id": cluster["id"]}})
        running = [vm for vm in vms if vm["status"] == "RUNNING"]
        assert cluster["vm_num"] == len(vms)
        assert cluster["running_vm_num"] == len(running)
        assert cluster["used_data_space"] == sum(host["used_data_space"] for host in hosts)
