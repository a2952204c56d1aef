"""Uploads over HTTP with our client, and with the vendor's client and its helpers."""

from __future__ import annotations

import hashlib
import importlib
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio.to_thread
import msgspec
import pytest

from cloudtower_async import EVERYTHING, BadRequest, Cloudtower, NotFound
from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import our_client
from tests.simulator.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
CHUNK = 4096


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clock=Clock(running=False), task_duration=2.0) as sim:
        sim.uploads.chunk_size = CHUNK
        yield sim


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with our_client(sim) as tower:
        yield tower


def first(sim: Simulator, resource: str = "Cluster") -> str:
    return next(iter(sim.store.table(resource)))


async def send_library_image(tower: Cloudtower) -> str:
    upload = tower.content_library_image.create_content_library_image
    (task,) = await upload(
        clusters=EVERYTHING, file=CONTENT[:CHUNK], name="tools.iso", size=str(len(CONTENT))
    )
    assert (task.status, task.current_chunk, task.chunk_size) == ("UPLOADING", 1, CHUNK)
    for start in range(CHUNK, len(CONTENT), CHUNK):
        chunk = CONTENT[start : start + CHUNK]
        (again,) = await upload(clusters=EVERYTHING, file=chunk, upload_task_id=task.id)
        assert again.id == task.id
        assert again.current_chunk == start // CHUNK + 1
    return task.id


@pytest.mark.parametrize("volumes", [False, True])
async def test_an_image_of_the_content_library(
    sim: Simulator, tower: Cloudtower, volumes: bool
) -> None:
    sim.uploads.as_volumes = volumes
    identifier = await send_library_image(tower)
    where: Any = {"id": identifier}
    assert (await tower.upload_task.get_upload_tasks(where=where))[0].status == "UPLOADING"
    sim.clock.advance(2.0)
    (task,) = await tower.upload_task.get_upload_tasks(where=where)
    assert (task.status, task.current_chunk, task.size) == ("SUCCESSED", 3, len(CONTENT))
    assert task.finished_at is not None
    upload = sim.uploads[identifier]
    assert (upload.name, upload.received, upload.size) == ("tools.iso", 10_240, 10_240)
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    args: Any = task.args
    made, other = args["uploadIscsiLunZbsVolumeIds"], args["uploadElfImageLocalIds"]
    wanted: Any = {"iscsi_luns_some": {"zbs_volume_id": (made or [""])[0]}}
    if not volumes:
        made, other = other, made
        wanted = {"elf_images_some": {"local_id": made[0]}}
    assert len(made) == len(sim.store.table("Cluster"))
    assert other == []
    (image,) = await tower.content_library_image.get_content_library_images(where=wanted)
    assert (image.name, image.size) == ("tools.iso", len(CONTENT))
    assert len(image.clusters or []) == len(made)


async def test_an_image_for_no_cluster_changes_nothing(sim: Simulator, tower: Cloudtower) -> None:
    found = await tower.content_library_image.create_content_library_image(
        clusters='{"name": "nowhere"}', file=b"x", name="x", size="1"
    )
    assert found == []


async def test_an_image_of_one_cluster(sim: Simulator, tower: Cloudtower) -> None:
    (task,) = await tower.elf_image.create_elf_image(
        cluster_id=first(sim), file=CONTENT, name="whole.iso", size="10", size_unit="KB"
    )
    sim.clock.advance(2.0)
    where: Any = {"id": task.id}
    args: Any = (await tower.upload_task.get_upload_tasks(where=where))[0].args
    uuid = args["attributes"]["uuid"]
    (image,) = await tower.elf_image.get_elf_images(where={"local_id": uuid})
    assert (image.name, image.size) == ("whole.iso", len(CONTENT))
    assert image.cluster is not None
    assert image.cluster.id == first(sim)


async def test_an_image_with_the_vm_tools(sim: Simulator, tower: Cloudtower) -> None:
    upload = tower.svt_image.upload_svt_image
    (task,) = await upload(
        cluster_id=first(sim), file=CONTENT[:CHUNK], name="svt.iso", size="5000", version="3"
    )
    # Our client sends the file before the task's id; the digest is still right.
    await upload(file=CONTENT[CHUNK:5000], upload_task_id=task.id)
    sim.clock.advance(2.0)
    (image,) = await tower.svt_image.get_svt_images(where={"name": "svt.iso"})
    assert (image.version, image.size) == (3, 5000)
    assert sim.uploads[task.id].sha256 == hashlib.sha256(CONTENT[:5000]).hexdigest()
    with pytest.raises(BadRequest, match="version"):
        await upload(cluster_id=first(sim), file=b"x", name="x", size="1", version="new")


async def test_a_package(sim: Simulator, tower: Cloudtower) -> None:
    await tower.cloud_tower_application.upload_cloud_tower_application_package(
        file=b"abc", name="backup-9", size="3"
    )
    sim.clock.advance(2.0)
    where: Any = {"name": "backup-9"}
    packages = tower.cloud_tower_application_package
    found = await packages.get_cloud_tower_application_packages(where=where)
    assert [package.name for package in found] == ["backup-9"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vm.ovf", "OVF"),
        ("disk-1.VMDK", "VM_VOLUME_VMDK"),
        ("disk.qcow2", "VM_VOLUME_QCOW2"),
        ("disk.img", "VM_VOLUME_RAW"),
    ],
)
async def test_a_file_for_an_import(
    sim: Simulator, tower: Cloudtower, name: str, kind: str
) -> None:
    task = await tower.ovf.upload_elf_file(
        cluster_id=first(sim), file=io.BytesIO(b"abc"), name=name, size="3"
    )
    assert task.resource_type == kind
    sim.clock.advance(2.0)
    where: Any = {"id": task.id}
    assert (await tower.upload_task.get_upload_tasks(where=where))[0].status == "SUCCESSED"


async def test_an_upload_is_cancelled_once(sim: Simulator, tower: Cloudtower) -> None:
    (task,) = await tower.elf_image.create_elf_image(
        cluster_id=first(sim), file=b"abc", name="x.iso", size="3"
    )
    where: Any = {"id": task.id}
    assert await tower.upload_task.cancel_upload_task(where=where) == [task.id]
    assert await tower.upload_task.cancel_upload_task(where=where) == []  # 304
    sim.clock.advance(2.0)
    assert (await tower.upload_task.get_upload_tasks(where=where))[0].status == "FAILED"
    with pytest.raises(BadRequest, match="has ended"):
        await tower.elf_image.create_elf_image(file=b"d", upload_task_id=task.id)
    assert await tower.elf_image.get_elf_images(where={"name": "x.iso"}) == []


async def test_an_upload_fails_on_demand(sim: Simulator, tower: Cloudtower) -> None:
    sim.uploads.fail_next()
    for status in ("FAILED", "SUCCESSED"):
        (task,) = await tower.elf_image.create_elf_image(
            cluster_id=first(sim), file=b"abc", name="x.iso", size="3"
        )
        sim.clock.advance(2.0)
        where: Any = {"id": task.id}
        assert (await tower.upload_task.get_upload_tasks(where=where))[0].status == status


async def test_invalid_chunks_are_rejected(sim: Simulator, tower: Cloudtower) -> None:
    upload = tower.elf_image.create_elf_image
    forms: list[dict[str, Any]] = [
        {"file": b"abc"},
        {"file": b"abc", "name": "x"},
        {"file": b"abc", "name": "x", "size": "three"},
        {"file": b"abc", "name": "x", "size": "2"},
        {"file": b"", "name": "x", "size": "2"},
        {"file": b"abc", "name": "x", "size": "3"},
        {"file": b"abc", "name": "x", "size": "3", "size_unit": "MiB"},
    ]
    for form in forms:
        with pytest.raises(BadRequest):
            await upload(**form)
    unknown: list[dict[str, Any]] = [
        {"cluster_id": "none", "size": "1"},
        {"upload_task_id": "none"},
    ]
    for missing in unknown:
        with pytest.raises(NotFound):
            await upload(file=b"x", name="x", **missing)
    with pytest.raises(BadRequest, match="clusters"):
        await tower.content_library_image.create_content_library_image(
            clusters="{", file=b"x", name="x", size="1"
        )
    (task,) = await upload(cluster_id=first(sim), file=b"a", name="x", size="9000")
    for chunk in (CONTENT[: CHUNK + 1], b""):
        with pytest.raises(BadRequest):
            await upload(file=chunk, upload_task_id=task.id)
    assert sim.uploads[task.id].received == 1


async def test_malformed_forms_are_rejected(sim: Simulator, tower: Cloudtower) -> None:
    token = sim.accounts.log_in(sim.username, sim.password, "LOCAL") or ""
    address = f"{sim.url}/v2/api/upload-elf-image"
    start = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
    async with aiohttp.ClientSession(headers={"authorization": token}) as session:
        for kind, body in (
            ("application/json", b'{"file": "x"}'),
            ("application/json", b"[]"),
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=x", start + b"\xff\r\n--x--\r\n"),
            ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n--x--\r\n"),
        ):
            headers = {"content-type": kind}
            async with session.post(address, data=body, headers=headers) as response:
                assert response.status == 400, body


async def test_chunks_at_the_same_time_come_one_after_the_other(
    sim: Simulator, tower: Cloudtower
) -> None:
    (task,) = await tower.elf_image.create_elf_image(
        cluster_id=first(sim), file=b"a", name="x", size="9000"
    )

    async def send() -> None:
        await tower.elf_image.create_elf_image(file=b"bc", upload_task_id=task.id)

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        group.start_soon(send)
    assert sim.uploads[task.id].received == 5
    assert sim.uploads[task.id].sha256 == hashlib.sha256(b"abcbc").hexdigest()


async def test_the_first_chunk_may_be_larger_than_any_other(
    sim: Simulator, tower: Cloudtower
) -> None:
    large = bytes(range(256)) * (40 * 1024)  # 10 MiB
    (task,) = await tower.elf_image.create_elf_image(
        cluster_id=first(sim), file=large, name="x", size=str(len(large) + 3)
    )
    with pytest.raises(BadRequest, match="at most 4096 bytes"):
        await tower.elf_image.create_elf_image(file=large, upload_task_id=task.id)
    await tower.elf_image.create_elf_image(file=b"end", upload_task_id=task.id)
    assert sim.uploads[task.id].sha256 == hashlib.sha256(large + b"end").hexdigest()
    # The log stores the first chunk as received.
    forms = [request.body for request in sim.requests if request.path == "upload-elf-image"]
    assert forms[0]["file"].sha256 == hashlib.sha256(large).hexdigest()


@pytest.mark.parametrize(("gone", "mistake"), [("Cluster", False), ("IscsiTarget", True)])
async def test_an_error_at_the_end_fails_the_upload(
    sim: Simulator,
    tower: Cloudtower,
    caplog: pytest.LogCaptureFixture,
    gone: str,
    mistake: bool,
) -> None:
    sim.uploads.as_volumes = True
    cluster = sim.add_cluster(hosts=0)["id"]
    where = msgspec.json.encode({"id": cluster}).decode()
    (task,) = await tower.content_library_image.create_content_library_image(
        clusters=where, file=b"abc", name="lost.iso", size="3"
    )
    owner = "id" if gone == "Cluster" else "cluster"
    for one in sim.store.select(gone):
        if one[owner] == cluster:
            sim.store.remove(gone, one["id"])
    sim.clock.advance(2.0)
    assert len(await tower.vm.get_vms(first=1)) == 1  # other requests do not fail
    (shown,) = await tower.upload_task.get_upload_tasks(where={"id": task.id})
    assert shown.status == "FAILED"
    assert isinstance(sim.uploads[task.id].error, LookupError)
    assert ("the upload of lost.iso" in caplog.text) is mistake


async def test_a_form_is_in_the_journal_without_its_content(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("upload-elf-image", status=400)
    with pytest.raises(BadRequest):
        await tower.elf_image.create_elf_image(file=CONTENT, name="x", size="9")
    body = sim.requests[-1].body
    assert (body["name"], body["size"]) == ("x", "9")
    assert body["file"].size == len(CONTENT)
    assert body["file"].sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_the_vendors_helpers_find_what_was_uploaded(sim: Simulator, tmp_path: Path) -> None:
    source = tmp_path / "vendor.iso"
    source.write_bytes(CONTENT)
    utils = importlib.import_module("cloudtower.image_utils")

    def upload() -> list[Any]:
        vendor = Vendor(sim)
        size = str(len(CONTENT))
        (library,) = vendor.api("content_library_image").create_content_library_image(
            str(source), clusters="{}", name="vendor.iso", size=size
        )
        (elf,) = vendor.api("elf_image").create_elf_image(
            CONTENT, cluster_id=first(sim), name="vendor.iso", size=size
        )
        sim.clock.advance(2.0)
        found: list[Any] = []
        for task, name in (
            (library, "get_content_library_image_by_upload_task"),
            (elf, "get_elf_image_by_upload_task"),
        ):
            images = getattr(utils, name)(vendor.client, {"where": {"id": task.id}})
            found.append(images[task.id])
        return found

    found = await anyio.to_thread.run_sync(upload)
    assert [image.name for image in found] == ["vendor.iso"] * 2
    assert [image.size for image in found] == [len(CONTENT)] * 2
