"""Templates from files, over HTTP against the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import BadRequest, Forbidden, InvalidInput, NotFound, TaskFailed
from cloudtower_async.recipes import Nic, Progress, create_vm_from_template, import_template
from tests.recipes.towers import simulated, steps
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from pathlib import Path

    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio

MIB = 2**20

OVF = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <DiskSection>
    <Disk ovf:diskId="d1" ovf:capacity="10" ovf:capacityAllocationUnits="byte * 2^30"/>
    <Disk ovf:diskId="d2" ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^30"/>
  </DiskSection>
  <VirtualSystem ovf:id="golden">
    <VirtualHardwareSection>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:ElementName>system</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/d1</rasd:HostResource></Item>
      <Item><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:ElementName>data</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/d2</rasd:HostResource></Item>
      <Item><rasd:InstanceID>7</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType>
        <rasd:Address>52:54:00:11:22:33</rasd:Address></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def files(folder: Path, text: str = OVF) -> dict[str, Any]:
    ovf, system, data = (folder / name for name in ("g.ovf", "system.vmdk", "data.vmdk"))
    ovf.write_text(text, encoding="utf-8")
    system.write_bytes(bytes(3 * MIB))
    data.write_bytes(bytes(MIB))
    return {"ovf": ovf, "disks": [system, data]}


def a_cluster(sim: Simulator) -> dict[str, Any]:
    return sim.store.select("Cluster", {"hypervisor": "ELF"})[0]


async def test_a_template_is_created_from_files_and_a_vm_from_the_template(tmp_path: Path) -> None:
    heard: list[Progress] = []
    async with simulated() as (sim, tower):
        cluster = a_cluster(sim)
        template = await import_template(
            tower, "golden", cluster=cluster["name"], on_progress=heard.append, **files(tmp_path)
        )
        assert (template.name, template.vcpu, template.memory) == ("golden", 2, 2048 * MIB)
        found = template.vm_disks or []
        assert [(disk.disk_name, disk.size) for disk in found] == [
            ("system", 10 * 1024 * MIB),
            ("data", 1024 * MIB),
        ]
        assert len(template.vm_nics or ()) == 1
        network = sim.store.select(
            "Vlan", {"type": "VM", "vds": {"cluster": {"id": cluster["id"]}}}
        )[0]
        vm = await create_vm_from_template(
            tower,
            "blog-1",
            template="golden",
            cluster=cluster["id"],
            nics=[Nic(vlan=network["id"])],
        )
        assert len(vm.vm_disks or ()) == 2
    assert steps(heard) == ["upload", "import", "done"]
    assert [one.fraction for one in heard if one.step == "upload"] == [0.75, 1]


async def test_invalid_imports_are_rejected_before_any_request(tmp_path: Path) -> None:
    given = files(tmp_path)
    async with simulated() as (sim, tower):
        before = len(sim.requests)
        for wrong, said in (
            ({"name": ""}, "name: must not be empty"),
            ({"ovf": tmp_path / "no.ovf"}, r"no\.ovf: No such file"),
            ({"disks": [tmp_path / "no.vmdk"]}, r"no\.vmdk: No such file"),
        ):
            arguments: dict[str, Any] = {"name": "n", "cluster": "c", **given, **wrong}
            with pytest.raises(InvalidInput, match=f"import_template: .*{said}"):
                await import_template(tower, **arguments)
        assert len(sim.requests) == before
        with pytest.raises(NotFound, match="there is no cluster 'c'"):
            await import_template(tower, "n", cluster="c", **given)
        cluster = a_cluster(sim)["id"]
        with pytest.raises(InvalidInput, match=r"disks: the OVF has 2 \(system, data\), got 1 "):
            await import_template(
                tower, "n", cluster=cluster, ovf=given["ovf"], disks=given["disks"][:1]
            )
        with pytest.raises(BadRequest, match="no OVF descriptor"):
            await import_template(tower, "n", cluster=cluster, **files(tmp_path, "<nothing/>"))
        assert sim.sent("upload-elf-file") == []


async def test_failures_are_raised(tmp_path: Path) -> None:
    given = files(tmp_path)
    async with simulated() as (sim, tower):
        cluster = a_cluster(sim)["id"]
        heard: list[Progress] = []

        def fail(news: Progress) -> None:
            heard.append(news)
            if news.step == "import" and news.fraction == 0:
                sim.tasks.fail_next()

        with pytest.raises(TaskFailed):
            await import_template(tower, "golden", cluster=cluster, on_progress=fail, **given)
        assert steps(heard) == ["upload", "import", "failed"]
        where = {"name": "golden"}
        assert sim.store.select("ContentLibraryVmTemplate", where) == []
        sim.faults.fail("upload-elf-file", status=403)
        before = len(sim.sent("import-content-library-vm-template"))
        with pytest.raises(Forbidden):
            await import_template(tower, "golden", cluster=cluster, **given)
        assert len(sim.sent("import-content-library-vm-template")) == before


async def test_cancelled_while_it_uploads_it_sends_nothing_more(tmp_path: Path) -> None:
    async with simulated() as (sim, tower):
        before = tasks_of_clients()
        with anyio.CancelScope() as scope:
            await import_template(
                tower,
                "golden",
                cluster=a_cluster(sim)["id"],
                on_progress=lambda _: scope.cancel(),
                **files(tmp_path),
            )
        assert scope.cancelled_caught
        assert tasks_of_clients() == before
        assert len(sim.sent("upload-elf-file")) == 1
        assert sim.sent("import-content-library-vm-template") == []
