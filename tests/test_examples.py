"""The examples run in separate processes against a simulator."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.recipes import build_dashboard
from cloudtower_async.testing import Simulator
from tests.support import login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from subprocess import CompletedProcess

pytestmark = [pytest.mark.subprocess, pytest.mark.anyio]

EXAMPLES = Path(__file__).parent.parent / "examples"


async def run(example: str, *arguments: str, **environment: str) -> CompletedProcess[bytes]:
    return await anyio.run_process(
        [sys.executable, str(EXAMPLES / example), *arguments],
        env={**os.environ, **environment},
        check=False,
    )


OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1">
  <DiskSection><Disk diskId="d1" capacity="1048576"/></DiskSection>
  <VirtualSystem id="golden"><VirtualHardwareSection>
    <Item><ResourceType>3</ResourceType><VirtualQuantity>2</VirtualQuantity></Item>
    <Item><ResourceType>4</ResourceType><VirtualQuantity>2048</VirtualQuantity></Item>
    <Item><ResourceType>17</ResourceType><ElementName>system</ElementName>
      <HostResource>ovf:/disk/d1</HostResource></Item>
  </VirtualHardwareSection></VirtualSystem>
</Envelope>
"""


@asynccontextmanager
async def simulated() -> AsyncGenerator[tuple[Simulator, Cloudtower, dict[str, str]]]:
    """A simulator, a session with it, and the environment variables for it."""
    async with (
        Simulator(task_duration=0.05) as simulator,
        Cloudtower(
            simulator.url, username=simulator.username, password=simulator.password
        ) as tower,
    ):
        yield simulator, tower, login_variables(simulator)


async def test_start_stopped_vms() -> None:
    async with simulated() as (_, tower, environment):
        [cluster, *_] = await tower.cluster.get_clusters()
        stopped = await tower.vm.get_vms(
            where={"status": "STOPPED", "cluster": {"id": cluster.id}}, order_by="name_ASC"
        )
        done = await run("start_stopped_vms.py", cluster.name, **environment)
        assert done.stderr == b""
        names = [vm.name for vm in stopped]
        assert done.stdout.decode().splitlines() == [f"{len(stopped)} started", *names]
        assert not await tower.vm.get_vms(
            where={"status": "STOPPED", "cluster": {"id": cluster.id}}, first=1
        )


async def test_dashboard() -> None:
    async with simulated() as (simulator, tower, environment):
        [cluster, *_] = await tower.cluster.get_clusters(order_by="name_ASC")
        simulator.add_alert(cluster.id, severity="CRITICAL", message="the roof is on fire")
        done = await run("dashboard.py", **environment)
        assert (done.returncode, done.stderr) == (0, b"")
        board = await build_dashboard(tower)
        shown = done.stdout.decode()
        assert f"alerts   {board.alerts.counts.critical} critical, " in shown
        assert "\n         the roof is on fire\n" in shown
        assert f"\nCPU      {board.cpu.usage} of {board.cpu.total}, " in shown
        assert shown.count("\ncluster  ") == len(board.clusters) > 1
        one = await run("dashboard.py", cluster.name, **environment)
        assert f"\ncluster  {cluster.name}: CONNECTED, " in one.stdout.decode()
        assert one.stdout.count(b"\ncluster  ") == 1
        wrong = await run("dashboard.py", "nowhere", **environment)
        assert wrong.returncode == 1
        assert b"no resource has the name or the id 'nowhere'" in wrong.stderr


async def test_backup_vms() -> None:
    async with simulated() as (simulator, tower, environment):
        vms = [simulator.add_vm(name=f"blog-{number}") for number in range(2)]
        done = await run("backup_vms.py", "blog-", "1", **environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode().splitlines()[-1] == "2 of 2 VMs backed up"
        for vm in vms:
            [snapshot] = await tower.vm_snapshot.get_vm_snapshots(where={"vm": {"id": vm["id"]}})
            assert snapshot.name.startswith("backup-")
        simulator.tasks.fail_next()
        failed = await run("backup_vms.py", "blog-0", "1", **environment)
        assert failed.returncode == 1
        assert failed.stderr.decode().startswith("blog-0: task ")


async def test_power_vms() -> None:
    async with simulated() as (simulator, _, environment):
        for number, status in enumerate(("STOPPED", "RUNNING")):
            simulator.add_vm(name=f"blog-{number}", status=status)
        done = await run("power_vms.py", "start", "blog-", **environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == b"blog-0 done RUNNING\nblog-1 already RUNNING\n"
        done = await run("power_vms.py", "stop", "blog-0", **environment)
        assert done.stdout == b"blog-0 done STOPPED\n"
        done = await run("power_vms.py", "restart", "blog-", **environment)
        assert done.returncode == 1
        assert done.stdout.startswith(b"blog-0 failed VM blog-0 is STOPPED")


async def test_host_maintenance() -> None:
    async with simulated() as (simulator, _, environment):
        cluster = simulator.add_cluster(hosts=3)
        host = simulator.store.get("Host", cluster["hosts"][0])
        for status in ("RUNNING", "SUSPENDED"):
            simulator.add_vm(name=status, host=host["id"], status=status, memory=1 << 20)
        done = await run("host_maintenance.py", "enter", host["name"], **environment)
        assert done.returncode == 1
        assert b"1 of its VMs cannot be moved: SUSPENDED" in done.stderr
        done = await run("host_maintenance.py", "enter", host["name"], "--stop", **environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.splitlines()[-2:] == [b"moved: RUNNING", b"stopped: SUSPENDED"]
        done = await run("host_maintenance.py", "leave", host["name"], **environment)
        assert done.stdout.splitlines()[-2:] == [b"back: RUNNING", b"started: SUSPENDED"]


async def test_create_vm() -> None:
    async with simulated() as (_, tower, environment):
        [cluster, *_] = await tower.cluster.get_clusters(where={"hypervisor": "ELF"})
        [vlan, *_] = await tower.vlan.get_vlans(
            where={"type": "VM", "vds": {"cluster": {"id": cluster.id}}}
        )
        done = await run(
            "create_vm.py", "blog-1", "rocky-9", cluster.name, vlan.name, **environment
        )
        assert (done.returncode, done.stderr) == (0, b"")
        [vm] = await tower.vm.get_vms(where={"name": "blog-1"})
        assert done.stdout.decode().splitlines()[-1] == f"blog-1 RUNNING {vm.id}"
        missing = await run("create_vm.py", "blog-2", "nothing", cluster.name, "x", **environment)
        assert missing.returncode == 1
        assert b"there is no template 'nothing' in cluster " in missing.stderr


async def test_create_blank_vm() -> None:
    async with simulated() as (_, tower, environment):
        [cluster, *_] = await tower.cluster.get_clusters(where={"hypervisor": "ELF"})
        [vlan, *_] = await tower.vlan.get_vlans(
            where={"type": "VM", "vds": {"cluster": {"id": cluster.id}}}
        )
        [image, *_] = await tower.content_library_image.get_content_library_images(
            where={"clusters_some": {"id": cluster.id}}
        )
        await tower.settle(
            tower.vm_volume.create_vm_volume(
                [
                    {
                        "name": "web-data",
                        "cluster_id": cluster.id,
                        "size": 2**30,
                        "size_unit": "B",
                        "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
                        "sharing": False,
                    }
                ]
            )
        )
        arguments = ("blog-1", cluster.name, image.name, vlan.name, "web-data")
        done = await run("create_blank_vm.py", *arguments, **environment)
        assert (done.returncode, done.stderr) == (0, b"")
        [vm] = await tower.vm.get_vms(where={"name": "blog-1"})
        assert done.stdout.decode().splitlines()[-1] == f"blog-1 RUNNING {vm.id}"
        disks = await tower.vm_disk.get_vm_disks(where={"vm": {"id": vm.id}}, order_by="boot_ASC")
        assert [disk.type for disk in disks] == ["DISK", "DISK", "CD_ROM"]
        assert [disk.vm_volume.name for disk in disks if disk.vm_volume] == ["blog-1-1", "web-data"]


async def test_import_template(tmp_path: Path) -> None:
    ovf, disk = tmp_path / "golden.ovf", tmp_path / "golden.vmdk"
    ovf.write_text(OVF, encoding="utf-8")
    disk.write_bytes(bytes(100_000))
    async with simulated() as (_, tower, environment):
        [cluster, *_] = await tower.cluster.get_clusters(where={"hypervisor": "ELF"})
        arguments = ("golden", cluster.name, str(ovf), str(disk))
        done = await run("import_template.py", *arguments, **environment)
        assert (done.returncode, done.stderr) == (0, b"")
        [template] = await tower.content_library_vm_template.get_content_library_vm_templates(
            where={"name": "golden"}
        )
        assert done.stdout.decode().splitlines()[-1] == f"golden {template.id}"
        failed = await run("import_template.py", *arguments, str(disk), **environment)
        assert failed.returncode == 1
        assert b"the OVF has 1" in failed.stderr


async def test_an_example_ends_with_one_line_when_the_server_is_not_there() -> None:
    done = await run("start_stopped_vms.py", "any", CLOUDTOWER_ENDPOINT="")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("no endpoint: ")
    assert len(done.stderr.splitlines()) == 1


async def test_an_example_that_is_called_wrongly_says_how_to_call_it() -> None:
    done = await run("backup_vms.py", "blog-", "all")
    assert done.returncode == 1
    told = " ".join(done.stderr.decode().split())  # Python 3.13 takes indentation from docstrings
    assert "PASSWORD=… \\ python examples/backup_vms.py blog- 7" in told
