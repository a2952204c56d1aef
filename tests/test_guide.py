"""Every section of the vendor's guide to its SDK, over HTTP against the simulator."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trustme

from cloudtower_async import (
    Cloudtower,
    InvalidInput,
    LoginFailed,
    TaskFailed,
    TaskTimeout,
    TLSFailed,
    Unauthorized,
)
from cloudtower_async.models import ConsistentType, VmDiskType
from cloudtower_async.recipes import build_dashboard
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from cloudtower_async.models import IscsiLunSnapshot, Vm, VmSnapshot

pytestmark = pytest.mark.anyio

QUICK = 0.02  # seconds between polls


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=3, vms=40, seed=5, task_duration=0.05) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        yield tower


async def stopped(tower: Cloudtower, number: int) -> list[Vm]:
    vms = await tower.vm.get_vms(where={"status": "STOPPED"}, order_by="name_ASC", first=number)
    assert len(vms) == number
    return vms


async def test_create_an_instance_with_and_without_scheme_and_api_path(sim: Simulator) -> None:
    for endpoint in (sim.url, f"{sim.url}/", f"{sim.url}/v2/api", f"{sim.url}/v2/api/"):
        async with Cloudtower(endpoint, username=sim.username, password=sim.password) as tower:
            assert tower.endpoint == sim.url
            assert await tower.cluster.get_clusters(first=1)


async def test_create_an_instance_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    ca_file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with Simulator(vms=4, tls=context) as sim:
        session = partial(Cloudtower, sim.url, username=sim.username, password=sim.password)
        with pytest.raises(TLSFailed, match="its authority is not known here"):
            async with session():
                pass
        async with session(verify_tls=False) as tower:
            assert await tower.vm.get_vms(first=1)
        async with session(ca_file=ca_file) as tower:
            assert await tower.vm.get_vms(first=1)


async def test_log_in_by_hand_and_continue_with_the_token(
    sim: Simulator, tower: Cloudtower
) -> None:
    answer = await tower.user.login(username=sim.username, password=sim.password, source="LOCAL")
    async with Cloudtower(sim.url, token=answer.data.token) as by_token:
        assert await by_token.vm.get_vms(first=1)


async def test_a_wrong_password_and_a_wrong_token_say_so(sim: Simulator) -> None:
    with pytest.raises(LoginFailed):
        async with Cloudtower(sim.url, username=sim.username, password="wrong"):
            pass
    async with Cloudtower(sim.url, token="wrong") as tower:
        with pytest.raises(Unauthorized):
            await tower.vm.get_vms()


async def test_obtain_resources(tower: Cloudtower) -> None:
    (one,) = await tower.vm.get_vms(first=1)
    assert await tower.vm.get_vms(where={"id": one.id}) == [one]
    assert await tower.vm.get_vms(where={"id": "none"}) == []


async def test_update_a_resource_and_wait_for_its_task(tower: Cloudtower) -> None:
    (vm,) = await stopped(tower, 1)
    (started,) = await tower.vm.start_vm(where={"id": vm.id})
    assert started.data.id == vm.id
    assert started.task_id is not None
    (task,) = await tower.wait(started.task_id, interval=QUICK)
    assert task.status == "SUCCESSED"
    (vm,) = await tower.vm.get_vms(where={"id": vm.id})
    assert vm.status == "RUNNING"


async def test_wait_for_many_tasks(tower: Cloudtower) -> None:
    vms = await stopped(tower, 3)
    started = await tower.vm.start_vm(where={"id_in": [vm.id for vm in vms]})
    await tower.wait(started, interval=QUICK)
    now = await tower.vm.get_vms(where={"id_in": [vm.id for vm in vms]})
    assert [vm.status for vm in now] == ["RUNNING"] * 3


async def test_a_failed_task_and_a_time_out_are_errors(sim: Simulator, tower: Cloudtower) -> None:
    first, second = await stopped(tower, 2)
    sim.tasks.fail_next()
    with pytest.raises(TaskFailed):
        await tower.wait(await tower.vm.start_vm(where={"id": first.id}), interval=QUICK)
    started = await tower.vm.start_vm(where={"id": second.id})
    assert started[0].task_id is not None
    sim.tasks.pause(started[0].task_id)
    with pytest.raises(TaskTimeout):
        await tower.wait(started, timeout=0.1, interval=QUICK)


async def test_set_the_language_of_a_call_and_of_a_session(
    sim: Simulator, tower: Cloudtower
) -> None:
    english = await tower.alert.get_alerts(order_by="id_ASC")
    chinese = await tower.alert.get_alerts(order_by="id_ASC", content_language="zh-CN")
    assert [alert.id for alert in english] == [alert.id for alert in chinese]
    assert all(alert.message.isascii() for alert in english)
    assert not any(alert.message.isascii() for alert in chinese)
    of_session = await tower.with_options(content_language="zh-CN").alert.get_alerts(
        order_by="id_ASC"
    )
    assert of_session == chinese
    with pytest.raises(InvalidInput, match="content_language"):
        await tower.alert.get_alerts(content_language="fr-FR")  # type: ignore[arg-type]


async def back_up(
    tower: Cloudtower, vm_name: str, snapshot_name: str
) -> tuple[VmSnapshot, list[IscsiLunSnapshot]]:
    """Take a snapshot as the guide does. If VM tools run, it is file system consistent."""
    (vm,) = await tower.vm.get_vms(where={"name": vm_name}, first=1)
    running_tools = vm.vm_tools_status == "RUNNING"
    created = await tower.vm_snapshot.create_vm_snapshot(
        data=[
            {
                "vm_id": vm.id,
                "name": snapshot_name,
                "consistent_type": (
                    ConsistentType.FILE_SYSTEM_CONSISTENT
                    if running_tools
                    else ConsistentType.CRASH_CONSISTENT
                ),
            }
        ]
    )
    await tower.wait(created, interval=QUICK)
    (snapshot,) = await tower.vm_snapshot.get_vm_snapshots(where={"id": created[0].data.id})
    names = [
        disk.snapshot_local_id
        for disk in snapshot.vm_disks or []
        if disk.type == VmDiskType.DISK and disk.snapshot_local_id
    ]
    return snapshot, await tower.iscsi_lun_snapshot.get_iscsi_lun_snapshots(
        where={"name_in": names}
    )


@pytest.mark.parametrize(
    ("tools", "consistency"),
    [("RUNNING", "FILE_SYSTEM_CONSISTENT"), ("NOT_RUNNING", "CRASH_CONSISTENT")],
)
async def test_back_up_a_virtual_machine(tower: Cloudtower, tools: str, consistency: str) -> None:
    vms = await tower.vm.get_vms(where={"vm_disks_some": {"type": "DISK"}})
    vm = next(vm for vm in vms if vm.vm_tools_status == tools)
    snapshot, lun_snapshots = await back_up(tower, vm.name, "nightly")
    assert snapshot.name == "nightly"
    assert snapshot.consistent_type == consistency
    assert snapshot.vm is not None
    assert snapshot.vm.id == vm.id
    disks = [disk for disk in snapshot.vm_disks or [] if disk.type == "DISK"]
    assert disks
    assert {lun.name for lun in lun_snapshots} == {disk.snapshot_local_id for disk in disks}


async def test_build_the_dashboard(tower: Cloudtower) -> None:
    board = await build_dashboard(tower)
    clusters = await tower.cluster.get_clusters()
    assert [cluster.name for cluster in board.clusters] == sorted(c.name for c in clusters)
    known = [c.total_data_capacity for c in clusters if c.total_data_capacity is not None]
    assert board.storage.total.value == sum(known)
    one = clusters[0]
    chosen = await build_dashboard(tower, cluster_ids=[one.id])
    assert [cluster.id for cluster in chosen.clusters] == [one.id]
