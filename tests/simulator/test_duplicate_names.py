"""Names of VMs and placement groups that are in use, and VMs that appear late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import Client, connected
from tests.simulator.machines import DURATION, a_vm, create, do, ended, new_vm, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cloudtower_async.simulator.behavior import TakenNames

pytestmark = pytest.mark.anyio


def simulator(**options: Any) -> Simulator:  # noqa: ANN401
    return Simulator(clock=Clock(running=False), task_duration=DURATION, **options)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(simulator()) as client:
        yield client


async def fails(
    client: Client, choice: TakenNames, path: str, body: object, call: str, task: str
) -> None:
    """Send a mutation that fails because its name is in use.

    Args:
        client: Client of the simulator.
        choice: Value of the option ``taken_names``.
        path: Path of the mutation.
        body: Body of the mutation.
        call: Expected error code of a rejected request.
        task: Expected error code of a failed task.
    """
    answer = await client.send(path, body)
    if choice == "refused":
        assert (answer.status, answer.json["code"]) == (400, call), answer.content
        assert "is taken" in answer.json["message"]
        return
    assert answer.status == 200, answer.content
    found = await ended(client, answer.json)
    assert [one["error_code"] for one in found if one["status"] == "FAILED"] == [task]


VM = ("VM_DUPLICATE", "VM_DUPLICATED_NAME")
GROUP = ("PLACEMENT_GROUP_DUPLICATE_NAME", "PLACEMENT_GROUP_DUPLICATE_NAME")


@pytest.mark.parametrize("choice", ["refused", "task_fails"])
async def test_a_vm_cannot_have_a_name_that_is_taken(choice: TakenNames) -> None:
    async with connected(simulator(taken_names=choice)) as client:
        taken = a_vm(client, "RUNNING")["name"]
        other = await create(client)
        number = len(client.sim.store.table("Vm"))
        elsewhere = client.sim.store.select("Cluster")[1]
        vlan = client.sim.store.select("Vlan", {"vds": {"cluster": {"id": elsewhere["id"]}}})[0]
        there = new_vm(
            client,
            name=taken,
            cluster_id=elsewhere["id"],
            vm_nics=[{"connect_vlan_id": vlan["id"]}],
        )
        clone = {"src_vm_id": other["id"], "name": taken}
        rename = {"where": {"id": other["id"]}, "data": {"name": taken}}
        for path, body in (
            ("create-vm", [new_vm(client, name=taken)]),
            ("create-vm", [there]),
            ("clone-vm", [clone]),
            ("update-vm-basic-info", rename),
        ):
            await fails(client, choice, path, body, *VM)
        assert len(client.sim.store.table("Vm")) == number
        assert other["name"] != taken
        twins = [new_vm(client, name="twin"), new_vm(client, name="twin")]
        await fails(client, choice, "create-vm", twins, *VM)
        made = client.sim.store.select("Vm", {"name": "twin"})
        assert len(made) == (0 if choice == "refused" else 1)


@pytest.mark.parametrize("choice", ["refused", "task_fails"])
async def test_a_placement_group_cannot_have_a_name_that_is_taken(choice: TakenNames) -> None:
    async with connected(simulator(taken_names=choice)) as client:
        one, other, *_ = client.sim.store.select("VmPlacementGroup")
        number = len(client.sim.store.table("VmPlacementGroup"))
        new = {"name": one["name"], "enabled": True, "cluster_id": one["cluster"]}
        await fails(client, choice, "create-vm-placement-group", [new], *GROUP)
        rename = {"where": {"id": other["id"]}, "data": {"name": one["name"]}}
        await fails(client, choice, "update-vm-placement-group", rename, *GROUP)
        assert len(client.sim.store.table("VmPlacementGroup")) == number
        assert other["name"] != one["name"]


async def test_a_name_stays_with_its_vm_and_is_free_when_the_vm_is_gone(client: Client) -> None:
    vm = await create(client, name="mine")
    same = {"where": {"id": vm["id"]}, "data": {"name": "mine", "description": "still"}}
    await do(client, "update-vm-basic-info", same)
    assert vm["description"] == "still"
    await do(client, "move-vm-to-recycle", {"where": {"id": vm["id"]}})
    again = await create(client, name="mine")
    await do(client, "delete-vm", {"where": {"id": again["id"]}})
    assert (await create(client, name="mine"))["id"] != vm["id"]


async def test_the_later_of_two_concurrent_renames_fails(client: Client) -> None:
    vms = [await create(client), await create(client)]
    body = {"where": {"id_in": [vm["id"] for vm in vms]}, "data": {"name": "both"}}
    found = await ended(client, await send(client, "update-vm-basic-info", body))
    assert sorted(task["status"] for task in found) == ["FAILED", "SUCCESSED"]
    assert {task["error_code"] for task in found} == {None, "VM_DUPLICATED_NAME"}
    assert len(client.sim.store.select("Vm", {"name": "both"})) == 1


@pytest.mark.parametrize("delay", [None, 60.0])
async def test_a_vm_whose_creation_timed_out_may_appear_later(delay: float | None) -> None:
    async with connected(simulator(late_creates=delay)) as client:
        client.sim.tasks.fail_next()
        body = [new_vm(client, name="late", status="RUNNING")]
        [first] = await send(client, "create-vm", body)
        [task] = await ended(client, [first])
        assert task["status"] == "FAILED"
        where = {"where": {"name": "late"}}
        assert await client.ask("get-vms", where) == []
        second = await create(client, name="late")  # a repeated creation results in two VMs
        client.sim.clock.advance(60.0)
        found = await client.ask("get-vms", where)
        assert len(found) == (1 if delay is None else 2)
        ids = {vm["id"] for vm in found}
        assert second["id"] in ids
        assert first["data"]["id"] not in ids
        if delay is not None:
            [late] = [vm for vm in found if vm["id"] != second["id"]]
            assert (late["status"], late["entityAsyncStatus"]) == ("RUNNING", None)
            assert len(late["vm_disks"]) == 2


async def test_a_creation_that_fails_for_a_reason_does_not_appear_later() -> None:
    async with connected(simulator(late_creates=1.0)) as client:
        huge = [new_vm(client, name="huge", status="RUNNING", memory=10_000)]
        await ended(client, await send(client, "create-vm", huge))
        client.sim.clock.advance(60.0)
        assert await client.ask("get-vms", {"where": {"name": "huge"}}) == []


@pytest.mark.parametrize("option", [{"taken_names": "x"}, {"late_creates": -1}])
def test_an_unknown_choice_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Simulator(**option)
