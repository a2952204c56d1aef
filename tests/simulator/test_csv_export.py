"""CSV, OVF and NVRAM over HTTP."""

from __future__ import annotations

import base64
import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import BadRequest, Cloudtower, NotFound
from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import our_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

OVF = b"""<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    xmlns:vmw="http://www.vmware.com/schema/ovf">
  <DiskSection>
    <Disk ovf:diskId="d1" ovf:capacity="40" ovf:capacityAllocationUnits="byte * 2^30"/>
    <Disk ovf:diskId="d2" ovf:capacity="1048576"/>
  </DiskSection>
  <VirtualSystem ovf:id="web-01">
    <Name>web</Name>
    <AnnotationSection><Annotation>A web server</Annotation></AnnotationSection>
    <VirtualHardwareSection>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>4</rasd:VirtualQuantity><vmw:CoresPerSocket>2</vmw:CoresPerSocket></Item>
      <Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
      <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
      <Item><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:ElementName>Hard disk 1</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:Parent>3</rasd:Parent></Item>
      <Item><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>
        <rasd:ElementName>Hard disk 2</rasd:ElementName>
        <rasd:HostResource>/disk/d2</rasd:HostResource></Item>
      <Item><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceType>15</rasd:ResourceType></Item>
      <Item><rasd:InstanceID>7</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType>
        <rasd:Address>52:54:00:00:00:01</rasd:Address></Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clock=Clock(running=False)) as sim:
        yield sim


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with our_client(sim) as tower:
        yield tower


async def table(tower: Cloudtower, key: str, arguments: object, *paths: str) -> list[list[str]]:
    columns: Any = [{"name": path.upper(), "path": path} for path in paths]
    chosen: Any = {key: arguments}
    content = await tower.table_reporter.export_csv(columns=columns, filter=chosen, name="table")
    return list(csv.reader(io.StringIO(content.decode())))


async def test_a_table_of_vms(sim: Simulator, tower: Cloudtower) -> None:
    arguments = {"where": {"status": "RUNNING"}, "orderBy": "name_ASC", "first": 3}
    head, *rows = await table(
        tower, "vms", arguments, "name", "cluster.name", "vm_disks.id", "host.none", "cluster"
    )
    assert head == ["NAME", "CLUSTER.NAME", "VM_DISKS.ID", "HOST.NONE", "CLUSTER"]
    vms = await tower.vm.get_vms(where={"status": "RUNNING"}, order_by="name_ASC", first=3)
    assert [row[:4] for row in rows] == [
        [
            vm.name,
            vm.cluster.name if vm.cluster else "",
            ", ".join(disk.id for disk in vm.vm_disks or []),
            "",
        ]
        for vm in vms
    ]
    assert rows[0][4].startswith('{"id":')


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("contentLibraryVmTemplates", "ContentLibraryVmTemplate"),
        ("vdses", "Vds"),
        ("vmEntityFilters", "EntityFilter"),
        ("vmVolumes", "VmVolume"),
    ],
)
async def test_tables_of_other_things(
    sim: Simulator, tower: Cloudtower, key: str, resource: str
) -> None:
    _, *rows = await table(tower, key, {}, "id")
    assert [row[0] for row in rows] == list(sim.store.table(resource))


async def test_tables_of_nothing_are_refused(tower: Cloudtower) -> None:
    none: list[Any] = [{}, {"vms": {}, "hosts": {}}, {"cars": {}}, {"vms": {"order": 1}}]
    for wrong in none:
        with pytest.raises(BadRequest):
            await tower.request("export-csv", {"columns": [], "filter": wrong, "name": "table"})


async def test_an_ovf_descriptor_is_read(sim: Simulator, tower: Cloudtower) -> None:
    cluster = next(iter(sim.store.table("Cluster")))
    found = await tower.ovf.parse_ovf(cluster_id=cluster, file=OVF)
    assert (found.name, found.description) == ("web", "A web server")
    assert (found.vcpu, found.cpu.sockets, found.cpu.cores) == (4, 2, 2)
    assert found.memory == 2 * 2**30
    assert found.firmware == "UEFI"
    assert [(disk.name, disk.size, disk.type, disk.bus) for disk in found.disks] == [
        ("Hard disk 1", 40 * 2**30, "DISK", "SCSI"),
        ("Hard disk 2", 2**20, "DISK", "VIRTIO"),
        ("", 0, "CD_ROM", "VIRTIO"),
    ]
    assert [nic.mac for nic in found.nics] == ["52:54:00:00:00:01"]


async def test_a_bare_descriptor_is_read(sim: Simulator, tower: Cloudtower) -> None:
    cluster = next(iter(sim.store.table("Cluster")))
    content = b'<Envelope><VirtualSystem id="bare"/></Envelope>'
    found = await tower.ovf.parse_ovf(cluster_id=cluster, file=content)
    assert (found.name, found.vcpu, found.firmware) == ("bare", 1, "BIOS")
    assert (found.disks, found.nics) == ([], [])


@pytest.mark.parametrize(
    "content",
    [
        b"no xml",
        b"<Envelope/>",
        OVF.replace(b"byte * 2^30", b"acres"),
        OVF.replace(b'"40"', b'"${size}"'),
        b"<a>" + b"x" * 2**21 + b"</a>",
    ],
)
async def test_invalid_descriptors_are_rejected(
    sim: Simulator, tower: Cloudtower, content: bytes
) -> None:
    cluster = next(iter(sim.store.table("Cluster")))
    with pytest.raises(BadRequest, match="file"):
        await tower.ovf.parse_ovf(cluster_id=cluster, file=content)
    with pytest.raises(NotFound):
        await tower.ovf.parse_ovf(cluster_id="none", file=content)


async def test_a_file_has_to_be_a_file(sim: Simulator, tower: Cloudtower) -> None:
    cluster = next(iter(sim.store.table("Cluster")))
    with pytest.raises(BadRequest, match="file"):
        await tower.request("/parse-ovf", {"cluster_id": cluster, "file": "x"})


async def test_nvram_comes_back(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.store.select("Vm", {"status": "RUNNING"})[0]
    others = sim.store.select("Cluster", {"id_not": vm["cluster"]})
    where: Any = {"vm": {"id": vm["id"]}, "cluster": {"id": vm["cluster"]}}
    with pytest.raises(NotFound):
        await tower.vm.download_nvram(**where)
    data = base64.b64encode(b"nvram").decode()
    assert await tower.vm.upload_nvram(**where, data=data) == "EOK"
    found = await tower.vm.download_nvram(**where)
    assert found.ec == "EOK"
    assert found.data is not None
    assert (found.data.data, found.data.resource_uuid) == (data, vm["local_id"])
    assert found.data.created_time == sim.clock.started_at.timestamp()
    with pytest.raises(BadRequest, match="data"):
        await tower.vm.upload_nvram(**where, data="not Base64!")
    elsewhere: Any = {"vm": {"id": vm["id"]}, "cluster": {"id": others[0]["id"]}}
    with pytest.raises(NotFound):
        await tower.vm.download_nvram(**elsewhere)
