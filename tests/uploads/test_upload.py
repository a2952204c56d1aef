"""Uploads to the simulator, which hashes the content: it arrives complete, or the upload fails."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import logging
import random
import weakref
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from cloudtower_async import (
    EVERYTHING,
    CallTimeout,
    Cloudtower,
    CloudTowerApplicationPackage,
    CloudtowerError,
    ContentLibraryImage,
    ElfFile,
    ElfImage,
    EmptyFilter,
    Forbidden,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    RetryPolicy,
    SessionClosed,
    SourceChanged,
    SvtImage,
    UploadFailed,
    UploadInterrupted,
    UploadState,
    UploadTimeout,
    models,
)
from cloudtower_async.simulator.faults import EVERY_FAULT, Fault
from cloudtower_async.testing import Clock, Simulator
from tests.support import Countdown, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from cloudtower_async import Upload, UploadProgress, UploadTarget

pytestmark = pytest.mark.anyio

CHUNK = 4096
CONTENT = random.Random(1).randbytes(5 * CHUNK + 100)  # noqa: S311 - any bytes
CHUNKS = 6
ELF: dict[str, Any] = {
    "chunk_size": CHUNK,
    "interval": 0.002,
    "settling_time": 0.01,
    "name": "x.iso",
}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(clusters=2, vms=2, seed=3, clock=clock, task_duration=2.0) as sim:
        sim.uploads.chunk_size = CHUNK
        yield sim


@asynccontextmanager
async def session(sim: Simulator, **options: Any) -> AsyncGenerator[Cloudtower]:  # noqa: ANN401
    options.setdefault("retry", RetryPolicy(backoff=0.001))
    async with Cloudtower(
        sim.url, username=sim.username, password=sim.password, **options
    ) as tower:
        yield tower


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tools.iso"
    file.write_bytes(CONTENT)
    return file


def upload(
    tower: Cloudtower,
    source: Any,  # noqa: ANN401
    target: UploadTarget[Any] | None = None,
    *,
    cluster_id: str = "",
    **options: Any,  # noqa: ANN401
) -> Upload[Any]:
    """Upload an ELF image to a cluster, unless a target is given."""
    return tower.upload(source, target or ElfImage(cluster_id=cluster_id), **ELF | options)


def cluster(sim: Simulator) -> str:
    return next(iter(sim.store.table("Cluster")))


async def stream(content: bytes = CONTENT, piece: int = 1000) -> AsyncGenerator[bytes]:
    for start in range(0, len(content), piece):
        yield content[start : start + piece]


def without_time(state: UploadState | None) -> UploadState:
    """Return the state of an upload of a stream, which has no modification time."""
    assert state is not None
    return msgspec.structs.replace(state, modified_ns=None)


def begun(sim: Simulator) -> list[dict[str, Any]]:
    """Return the upload tasks that were started in this test."""
    tasks = sim.store.table("UploadTask").values()
    return [task for task in tasks if task["size"] in (len(CONTENT), len(CONTENT) + CHUNK)]


def statuses(sim: Simulator) -> list[str]:
    return [task["status"] for task in begun(sim)]


def taken(sim: Simulator) -> list[Any]:
    """Return the forms with chunks that the server accepted."""
    return [one.body for one in sim.executed if one.path == "upload-elf-image"]


def arrived_once(sim: Simulator) -> None:
    """Check that the content arrived in one upload, each chunk once."""
    [task] = begun(sim)
    upload = sim.uploads[task["id"]]
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert [form["file"].size for form in taken(sim)] == [CHUNK] * 5 + [100]


async def test_an_image_of_the_content_library_goes_to_the_clusters_of_a_filter(
    sim: Simulator, tower: Cloudtower, path: Path
) -> None:
    told: list[UploadProgress] = []
    image = await upload(
        tower,
        path,
        ContentLibraryImage(clusters={"id": cluster(sim)}, description="for VMs"),
        on_progress=told.append,
        name=None,
    )
    assert isinstance(image, models.ContentLibraryImage)
    assert (image.name, image.description, image.size) == ("tools.iso", "for VMs", len(CONTENT))
    assert [one.id for one in image.clusters or []] == [cluster(sim)]
    assert [one.sent for one in told] == [*range(CHUNK, 5 * CHUNK + 1, CHUNK), len(CONTENT)]
    assert {one.total for one in told} == {len(CONTENT)}
    assert {one.upload_task_id for one in told} == {begun(sim)[0]["id"]}
    assert all(one.rate > 0 for one in told)
    assert told[0].seconds_left == pytest.approx((len(CONTENT) - CHUNK) / told[0].rate)
    assert told[-1].seconds_left == 0
    assert sim.uploads[told[0].upload_task_id].sha256 == hashlib.sha256(CONTENT).hexdigest()
    first, *later = sim.sent("upload-content-library-image")
    assert (first["name"], first["size"]) == ("tools.iso", str(len(CONTENT)))
    assert all(form.keys() == {"file", "upload_task_id", "clusters"} for form in later)


@pytest.mark.parametrize("volumes", [False, True])
async def test_an_image_can_be_uploaded_to_every_cluster(
    sim: Simulator, tower: Cloudtower, volumes: bool
) -> None:
    sim.uploads.as_volumes = volumes
    image = await upload(tower, io.BytesIO(CONTENT), ContentLibraryImage(clusters=EVERYTHING))
    assert len(image.clusters or []) == 2


async def test_an_image_of_one_cluster(sim: Simulator, tower: Cloudtower, path: Path) -> None:
    image = await upload(tower, path, cluster_id=cluster(sim), name=None)
    assert isinstance(image, models.ElfImage)
    assert image.name == "tools.iso"
    arrived_once(sim)


async def test_a_file_for_an_import_is_named_by_its_upload_task(
    sim: Simulator, tower: Cloudtower
) -> None:
    target = ElfFile(cluster_id=cluster(sim))
    task = await upload(tower, io.BytesIO(CONTENT), target, name="a.qcow2")
    assert isinstance(task, models.UploadTask)
    assert (task.status, task.resource_type) == ("SUCCESSED", "VM_VOLUME_QCOW2")


async def test_the_vm_tools_bring_their_version(sim: Simulator, tower: Cloudtower) -> None:
    label = b"4".ljust(128)
    content = bytes(32 * 1024 + 190) + label + bytes(100)
    target = SvtImage(cluster_id=cluster(sim))
    options: Any = {"name": "svt.iso", "chunk_size": 2 * len(content)}
    image = await upload(tower, io.BytesIO(content), target, **options)
    assert isinstance(image, models.SvtImage)
    assert (image.name, image.version) == ("svt.iso", 4)
    again = await upload(tower, io.BytesIO(content), target, **options)
    assert again.id != image.id
    for bad in (content[: 32 * 1024], bytes(len(content)), b"\xff" * len(content)):
        with pytest.raises(InvalidInput, match="no image of the VM tools"):
            await upload(tower, io.BytesIO(bad), target, **options)
    assert len(sim.sent("upload-svt-image")) == 2


async def test_new_packages_are_distinguished_from_existing_ones(
    sim: Simulator, tower: Cloudtower
) -> None:
    seen: dict[str, str] = {}

    async def send(name: str) -> None:
        package = CloudTowerApplicationPackage()
        seen[name] = (await upload(tower, io.BytesIO(CONTENT), package, name=name)).name

    async with anyio.create_task_group() as group:
        group.start_soon(send, "one")
        group.start_soon(send, "two")
    assert seen == {"one": "one", "two": "two"}


async def test_the_first_chunk_has_a_different_size(sim: Simulator, tower: Cloudtower) -> None:
    await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim), chunk_size=10_000)
    assert [form["file"].size for form in taken(sim)] == [10_000, CHUNK, CHUNK, 2388]


class Dribble(io.RawIOBase):
    """A pipe that returns little data at a time."""

    def __init__(self) -> None:
        self._content = io.BytesIO(CONTENT)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(min(size, 700))


async def test_content_is_read_from_files_at_their_position_pipes_and_streams(
    sim: Simulator, tower: Cloudtower
) -> None:
    file = io.BytesIO(b"before" + CONTENT)
    file.seek(6)
    sources: list[Any] = [file, Dribble(), stream(), stream(piece=3 * CHUNK), stream(piece=1)]
    for source in sources:
        await upload(tower, source, cluster_id=cluster(sim), size=len(CONTENT))
        [task] = [task for task in begun(sim) if task["status"] == "SUCCESSED"]
        assert sim.uploads[task["id"]].sha256 == hashlib.sha256(CONTENT).hexdigest()
        sim.store.remove("UploadTask", task["id"])
    assert not file.closed


async def test_a_stream_is_read_in_one_task_no_more_than_a_chunk_ahead_and_closed(
    sim: Simulator, tower: Cloudtower
) -> None:
    tasks: set[int] = set()
    ahead: list[int] = []
    ended: list[str] = []

    async def pieces() -> AsyncGenerator[bytes]:
        try:
            for start in range(0, len(CONTENT), 512):
                tasks.add(anyio.get_current_task().id)
                ahead.append(start - sum(form["file"].size for form in taken(sim)))
                yield CONTENT[start : start + 512]
            ended.append("read")
        finally:
            ended.append("closed")

    await upload(tower, pieces(), cluster_id=cluster(sim), size=len(CONTENT))
    assert tasks == {anyio.get_current_task().id}
    assert max(ahead) < 2 * CHUNK
    assert ended == ["read", "closed"]
    arrived_once(sim)
    source = pieces()
    with pytest.raises(SourceChanged):
        await upload(tower, source, cluster_id=cluster(sim), size=CHUNK)
    assert ended[2:] == ["closed"]


async def test_invalid_sources_are_rejected_before_any_request(
    sim: Simulator, tower: Cloudtower, path: Path, tmp_path: Path
) -> None:
    where: Any = {"cluster_id": cluster(sim)}
    unknown: Any = None
    nowhere = ContentLibraryImage(clusters=unknown)
    empty = tmp_path / "empty.iso"
    empty.touch()
    with path.open(encoding="latin-1") as text:
        wrong: list[tuple[Any, dict[str, Any], str]] = [
            (tmp_path / "none.iso", where, "none.iso: No such file"),
            (tmp_path, where, "Is a directory"),
            (empty, where, "is empty"),
            (text, where, "binary mode"),
            (CONTENT, where, "expected a path, .* got bytes"),
            (stream(), where, "size: the size of the source is unknown"),
            (Dribble(), where, "size: the size of the source is unknown"),
            (path, {**where, "size": 3}, "size: 3 is given, but there are 20,580"),
            (path, {**where, "size": 0}, "size: expected a number of bytes"),
            (path, {**where, "chunk_size": -1}, "chunk_size: expected a number of bytes"),
            (path, {**where, "timeout": 0}, "timeout: expected a number of seconds"),
            (path, {**where, "interval": -1}, "interval: expected a number of seconds"),
            (path, {**where, "on_progress": 5}, "on_progress: expected a function, got int"),
            (path, {**where, "on_progress": anyio.sleep}, "on_progress: .* got an async function"),
            (path, {"target": ElfImage}, "target: expected an upload target, .* got <class"),
            (path, {"target": "elf_image"}, "target: expected .* got 'elf_image'"),
            (path, {"cluster_id": None}, "cluster_id: missing; ElfImage needs it"),
            (path, {"cluster_id": 5}, "cluster_id: expected a string, got a whole number"),
            (path, {"target": nowhere}, "clusters: missing; ContentLibraryImage needs it"),
            (stream(), {**where, "size": 3, "name": None}, "pass name="),
        ]
        for source, options, message in wrong:
            with pytest.raises(InvalidInput, match=message):
                await upload(tower, source, **options)
    misspelt: Any = {"nmae": "x"}
    with pytest.raises(InvalidInput, match=r"clusters\.nmae: no such field"):
        await upload(tower, path, ContentLibraryImage(clusters=misspelt))
    told = r"Cloudtower\.upload\(\) got an unexpected keyword argument 'nmae'; did you mean name\?"
    with pytest.raises(TypeError, match=told):
        await upload(tower, path, **where, **misspelt)
    empties: list[Any] = [{}, {"AND": []}, {"name": None}]
    for everything in empties:
        with pytest.raises(EmptyFilter):
            await upload(tower, path, ContentLibraryImage(clusters=everything))

    async def texts() -> AsyncGenerator[str]:
        yield "text"

    wrong_stream: Any = texts()
    with pytest.raises(InvalidInput, match="yields str, not bytes"):
        await upload(tower, wrong_stream, cluster_id=cluster(sim), size=4)
    assert [request.path for request in sim.requests] == ["login"]


async def test_rejections_of_the_server_are_its_errors(sim: Simulator, tower: Cloudtower) -> None:
    with pytest.raises(NotFound, match="there is no cluster none"):
        await upload(tower, io.BytesIO(CONTENT), cluster_id="none")
    target = ContentLibraryImage(clusters={"name": "none"})
    with pytest.raises(NotFound, match="no cluster matches"):
        await upload(tower, io.BytesIO(CONTENT), target)
    assert begun(sim) == []


@pytest.mark.parametrize("longer", [False, True])
async def test_a_file_that_changes_its_length_meanwhile_is_given_up(
    sim: Simulator, tower: Cloudtower, path: Path, longer: bool
) -> None:
    def change(progress: UploadProgress) -> None:
        if progress.sent == CHUNK:
            path.write_bytes(CONTENT + b"more" if longer else CONTENT[:-1])

    async with upload(tower, path, cluster_id=cluster(sim)) as steps:
        with pytest.raises(SourceChanged) as info:  # noqa: PT012 - somewhere in the loop
            async for progress in steps:
                await anyio.to_thread.run_sync(change, progress)
    how = "has become longer than" if longer else "ended after 20,579 of"
    assert f"tools.iso {how} its 20,580 bytes" in str(info.value)
    assert info.value.upload_task_id == steps.upload_task_id == begun(sim)[0]["id"]
    assert statuses(sim) == ["FAILED"]
    assert [one async for one in steps] == []
    with pytest.raises(CloudtowerError, match="has no result"):
        _ = steps.result


@pytest.mark.parametrize("by", [-1, 1])
async def test_a_stream_whose_length_differs_from_the_given_size_fails_the_upload(
    sim: Simulator, tower: Cloudtower, by: int
) -> None:
    size = len(CONTENT) + by
    with pytest.raises(SourceChanged, match="the source"):
        await upload(tower, stream(), cluster_id=cluster(sim), size=size)
    [task] = [t for t in sim.store.table("UploadTask").values() if t["size"] == size]
    assert task["status"] == "FAILED"


# Like EVERY_FAULT, except that hanging takes real time.
FAULTS = [fault for fault in EVERY_FAULT if fault.kind != "hang"]
TAKEN = [fault for fault in FAULTS if fault.executed]
LOST = [fault for fault in FAULTS if not fault.executed and fault.status != 401]


@pytest.mark.parametrize("faults", [TAKEN, LOST], ids=["taken", "lost"])
@pytest.mark.parametrize("seed", range(8))
async def test_under_faults_no_chunk_is_lost_or_duplicated(
    sim: Simulator, seed: int, faults: list[Fault]
) -> None:
    retry = RetryPolicy(attempts=12, backoff=0.001, cap=0.01)
    async with session(sim, retry=retry) as tower:
        sim.faults.at_random(0.4, faults, seed=seed)
        image = await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
        sim.faults.at_random(0)
    assert image.size == len(CONTENT)
    arrived_once(sim)
    assert len(sim.requests) > len(sim.executed) or faults is TAKEN


@pytest.mark.parametrize("seed", range(8))
async def test_faults_that_the_chunk_count_cannot_resolve_fail_the_upload(
    sim: Simulator, seed: int
) -> None:
    retry = RetryPolicy(attempts=12, backoff=0.001, cap=0.01)
    async with session(sim, retry=retry) as tower:
        sim.faults.at_random(0.4, FAULTS, seed=seed)
        try:
            await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
        except UploadFailed as exc:
            assert "unknown" in str(exc)  # noqa: PT017 - not each of them fails
        else:
            arrived_once(sim)
        finally:
            sim.faults.at_random(0)


async def test_uploads_of_as_large_files_at_the_same_time_are_not_mixed_up(sim: Simulator) -> None:
    contents = {f"{number}.iso": bytes([number]) * len(CONTENT) for number in range(6)}
    retry = RetryPolicy(attempts=12, backoff=0.001, cap=0.01)

    async def send(tower: Cloudtower, name: str) -> None:
        content = io.BytesIO(contents[name])
        await upload(tower, content, cluster_id=cluster(sim), name=name)

    async with session(sim, retry=retry) as tower:
        sim.faults.at_random(0.3, TAKEN, seed=5)
        async with anyio.create_task_group() as group:
            for name in contents:
                group.start_soon(send, tower, name)
        sim.faults.at_random(0)
    found = {sim.uploads[task["id"]].name: sim.uploads[task["id"]] for task in begun(sim)}
    assert statuses(sim) == ["SUCCESSED"] * 6
    for name, content in contents.items():
        assert found[name].sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("number", range(CHUNKS))
@pytest.mark.parametrize("executed", [False, True])
async def test_after_an_unknown_outcome_the_chunk_count_is_read(
    sim: Simulator, tower: Cloudtower, number: int, executed: bool
) -> None:
    steps = upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    async with steps:
        for _ in range(number):
            await anext(steps)
        sim.faults.reset("upload-elf-image", executed=executed)
        assert [one.sent async for one in steps][-1] == len(CONTENT)
    assert steps.result.name == "x.iso"
    arrived_once(sim)
    assert len(sim.sent("upload-elf-image")) == CHUNKS + (not executed)


async def test_a_concurrent_upload_of_someone_else_is_not_taken_for_ours(
    sim: Simulator,
) -> None:
    sim.faults.hang("upload-elf-image", executed=True)
    where: Any = {"cluster_id": cluster(sim)}

    async def send(tower: Cloudtower) -> None:
        await upload(tower, io.BytesIO(CONTENT), **where)

    async with (
        session(sim, timeout=0.3) as ours,
        session(sim) as other,
        anyio.create_task_group() as group,
    ):
        group.start_soon(send, ours)
        while not taken(sim):
            await other.api_info.get_api_version()
        await other.elf_image.create_elf_image(
            file=CONTENT[:3], name="other", size=str(len(CONTENT)), **where
        )
    assert statuses(sim) == ["SUCCESSED", "UPLOADING"]
    assert sim.uploads[begun(sim)[0]["id"]].sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_a_count_that_does_not_agree_is_not_relied_upon(
    sim: Simulator, tower: Cloudtower
) -> None:
    steps = upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    async with steps:
        await anext(steps)
        begun(sim)[0]["current_chunk"] = -1  # as if the server counted differently
        await anext(steps)
        sim.faults.reset("upload-elf-image", executed=True)
        with pytest.raises(UploadFailed, match=r"unknown: .* does not count .* Start again"):
            await anext(steps)
    assert statuses(sim) == ["FAILED"]


async def test_a_duplicated_chunk_fails_the_upload(sim: Simulator, tower: Cloudtower) -> None:
    steps = upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    async with steps:
        await anext(steps)
        await tower.elf_image.create_elf_image(file=b"x", upload_task_id=steps.upload_task_id)
        with pytest.raises(UploadFailed, match="has 3 chunks where 2 were sent"):
            await anext(steps)
    assert statuses(sim) == ["FAILED"]


@pytest.mark.parametrize("as_stream", [False, True])
@pytest.mark.parametrize("number", [1, 3, 5])
async def test_an_interrupted_upload_resumes(
    sim: Simulator, tower: Cloudtower, path: Path, number: int, as_stream: bool
) -> None:
    steps = upload(tower, path, cluster_id=cluster(sim))
    async with steps:
        for _ in range(number):
            await anext(steps)
        sim.faults.fail("upload-elf-image", status=503, times=100)
        with pytest.raises(UploadInterrupted, match="503") as info:
            await anext(steps)
    error = info.value
    assert isinstance(error.__cause__, OutcomeUnknown)
    assert (error.sent, error.total) == (number * CHUNK, len(CONTENT))
    assert f"upload task {error.upload_task_id}, {number * CHUNK:,} of 20,580" in str(error)
    sim.faults.clear()
    told: list[UploadProgress] = []
    image = await upload(
        tower,
        stream() if as_stream else path,
        cluster_id=cluster(sim),
        resume=without_time(error.state) if as_stream else error.state,
        size=len(CONTENT),
        on_progress=told.append,
    )
    assert told[0].sent == (number + 1) * CHUNK or number == CHUNKS - 1
    assert image.name == "x.iso"
    arrived_once(sim)


@pytest.mark.parametrize("number", [1, CHUNKS - 1])
async def test_an_error_and_its_chunks_are_released_without_garbage_collection(
    sim: Simulator, tower: Cloudtower, number: int
) -> None:
    async def interrupted() -> weakref.ref[BaseException]:
        try:
            async with upload(tower, stream(), size=len(CONTENT), cluster_id=cluster(sim)) as it:
                for _ in range(number):
                    await anext(it)
                sim.faults.fail("upload-elf-image", status=403)
                await anext(it)
        except UploadInterrupted as error:
            # A reference to the error keeps its cause alive.
            return weakref.ref(cast("BaseException", error.__cause__))
        raise AssertionError

    gc.disable()
    try:
        assert (await interrupted())() is None
    finally:
        gc.enable()


async def test_an_upload_cancelled_by_someone_else_fails(sim: Simulator, tower: Cloudtower) -> None:
    async with upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim)) as steps:
        await anext(steps)
        await tower.upload_task.cancel_upload_task(where={"id": steps.upload_task_id})
        with pytest.raises(UploadInterrupted, match="has ended") as info:
            await anext(steps)
    with pytest.raises(UploadFailed, match="given up the upload"):
        await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim), resume=info.value.state)


async def test_a_failure_at_the_end_is_reported(sim: Simulator, tower: Cloudtower) -> None:
    sim.uploads.fail_next()
    with pytest.raises(UploadFailed, match="the server has given up the upload") as info:
        await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    assert info.value.sent == len(CONTENT)


async def test_processing_has_a_time_out_and_the_wait_can_be_resumed(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.clock.per_request = 0.0
    with pytest.raises(
        UploadTimeout, match=r"the server was still processing it after 0\.05 s"
    ) as at:
        await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim), timeout=0.05)
    assert isinstance(at.value, TimeoutError)
    assert statuses(sim) == ["UPLOADING"]
    resumed: Any = {**ELF, "cluster_id": cluster(sim), "resume": at.value.state}
    async with upload(tower, io.BytesIO(CONTENT), **resumed) as steps:
        sim.clock.advance(10)
        assert [one async for one in steps] == []
    # Also when it ended long ago.
    again = await upload(tower, io.BytesIO(CONTENT), **resumed)
    assert again.id == steps.result.id
    sim.store.remove("ElfImage", again.id)
    with pytest.raises(UploadTimeout, match="the result did not appear"):
        await upload(tower, io.BytesIO(CONTENT), timeout=0.05, **resumed)


async def test_faults_while_the_server_processes_the_upload_are_outlasted(sim: Simulator) -> None:
    async with session(sim, retry=RetryPolicy(attempts=1)) as tower:
        async with upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim)) as steps:
            for _ in range(CHUNKS):
                await anext(steps)
            sim.faults.fail("get-upload-tasks", status=503, times=3)
            sim.faults.fail("get-elf-images", status=503, times=3)
            assert [one async for one in steps] == []
        assert steps.result.name == "x.iso"


async def test_reads_of_an_upload_are_retried_after_every_transient_failure(
    sim: Simulator, tower: Cloudtower
) -> None:
    # A user's query raises both immediately.
    sim.faults.fail("get-upload-tasks", status=500)
    sim.faults.fail("get-upload-tasks", status=200, body=b'[{"id":')
    await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    arrived_once(sim)


async def test_permanent_errors_end_the_wait(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("get-elf-images", status=403)
    with pytest.raises(UploadInterrupted, match="403") as info:
        await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    assert isinstance(info.value.__cause__, Forbidden)


async def test_an_upload_that_is_never_awaited_warns(sim: Simulator, tower: Cloudtower) -> None:
    with pytest.warns(RuntimeWarning, match="to ElfImage was never awaited: nothing was sent"):
        upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))


async def test_an_upload_that_is_not_entered_cannot_be_iterated(
    sim: Simulator, tower: Cloudtower
) -> None:
    steps = upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    with pytest.raises(CloudtowerError, match="async with"):
        await anext(steps)
    await steps


async def test_awaiting_an_entered_upload_sends_the_rest(sim: Simulator, tower: Cloudtower) -> None:
    async with upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim)) as steps:
        await anext(steps)
        image = await steps
    assert image == steps.result == await steps
    arrived_once(sim)


async def test_an_upload_runs_once(sim: Simulator, tower: Cloudtower, path: Path) -> None:
    sending = upload(tower, path, cluster_id=cluster(sim))
    image = await sending
    with pytest.raises(CloudtowerError, match="runs once"):
        await sending.__aenter__()
    assert await sending == image
    arrived_once(sim)
    missing = upload(tower, path.with_name("none"), cluster_id=cluster(sim))
    with pytest.raises(InvalidInput, match="No such file"):
        await missing
    with pytest.raises(CloudtowerError, match="has not begun"):
        await missing


async def test_leaving_before_the_end_cancels_it(sim: Simulator, tower: Cloudtower) -> None:
    async with upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim)) as steps:
        async for _ in steps:
            break
    assert statuses(sim) == ["FAILED"]
    sent = len(sim.sent("upload-elf-image"))
    with pytest.raises(CloudtowerError, match="no result"):
        await steps
    assert len(sim.sent("upload-elf-image")) == sent

    def refuse(_: UploadProgress) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim), on_progress=refuse)
    assert statuses(sim) == ["FAILED"] * 2


async def test_a_step_that_is_cancelled_ends_it(sim: Simulator, tower: Cloudtower) -> None:
    async with upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim)) as steps:
        await anext(steps)
        sim.faults.hang("upload-elf-image")
        with anyio.move_on_after(0.01):
            await anext(steps)
        assert [step async for step in steps] == []
        with pytest.raises(CloudtowerError, match="failed or was cancelled"):
            _ = steps.result


async def test_a_source_that_cannot_be_closed_does_not_leave_it_open(
    sim: Simulator, tower: Cloudtower
) -> None:
    async def broken() -> AsyncGenerator[bytes]:
        try:
            yield CONTENT
        finally:
            raise OSError("cannot be closed")

    with pytest.raises(OSError, match="cannot be closed"):
        async with upload(tower, broken(), size=len(CONTENT), cluster_id=cluster(sim)) as steps:
            await anext(steps)
    assert statuses(sim) == ["FAILED"]


async def test_a_cancellation_is_raised_even_if_the_chunk_count_cannot_be_read(
    sim: Simulator, tower: Cloudtower, caplog: pytest.LogCaptureFixture
) -> None:
    sim.faults.delay(0.05, "upload-elf-image")
    sim.faults.fail("upload-elf-image", status=403)

    async def cancel() -> None:
        while not sim.sent("upload-elf-image"):
            await anyio.lowlevel.checkpoint()
        sim.faults.fail("get-upload-tasks", status=403, times=9)
        scope.cancel()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel)
            await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
    assert scope.cancelled_caught
    assert "could not be determined" in caplog.text


async def test_a_failed_cancellation_is_retried_and_reported(
    sim: Simulator, tower: Cloudtower, caplog: pytest.LogCaptureFixture
) -> None:
    for fault, status in (
        (partial(sim.faults.reset, times=2), "FAILED"),
        (partial(sim.faults.reset, times=100), "UPLOADING"),
        (partial(sim.faults.fail, status=403), "UPLOADING"),
    ):
        fault("cancel-upload-task")
        async with upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim)) as steps:
            await anext(steps)
        sim.faults.clear()
        assert statuses(sim)[-1] == status
    told = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len([one for one in told if "could not be cancelled" in one.getMessage()]) == 2


async def test_closing_the_session_ends_it(sim: Simulator) -> None:
    tower = Cloudtower(sim.url, username=sim.username, password=sim.password)
    sim.faults.hang("upload-elf-image")
    before = tasks_of_clients()
    ended: list[bool] = []

    async def send() -> None:
        with pytest.raises(SessionClosed):
            await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))
        ended.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        while not sim.sent("upload-elf-image"):
            await anyio.wait_all_tasks_blocked()
        await tower.close()
    assert ended == [True]
    assert tasks_of_clients() == before


async def test_each_chunk_has_the_time_out_of_a_call(sim: Simulator) -> None:
    async with session(sim, timeout=0.2, retry=RetryPolicy(attempts=1)) as tower:
        sim.faults.hang("upload-elf-image")
        with pytest.raises(CallTimeout):
            await upload(tower, io.BytesIO(CONTENT), cluster_id=cluster(sim))


def open_files(path: Path) -> list[Path]:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [link for link in links if link.exists() and link.resolve() == path]


@pytest.mark.parametrize("trouble", [False, True])
async def test_cancelled_at_any_moment_it_leaves_nothing_open(
    sim: Simulator, tower: Cloudtower, path: Path, trouble: bool
) -> None:
    before = tasks_of_clients()
    moments = 0
    for rounds in range(1, 3_000):
        if trouble:
            sim.faults.reset("upload-elf-image", executed=rounds % 2 == 0)
        sending = asyncio.ensure_future(
            upload(tower, path, cluster_id=cluster(sim), chunk_size=3 * CHUNK)
        )
        countdown = Countdown(rounds, sending.cancel)
        await asyncio.wait([sending])
        countdown.stop()
        assert tasks_of_clients() == before
        with anyio.fail_after(60):  # a thread that was just opening the file closes it
            while await anyio.to_thread.run_sync(open_files, path):
                pass
        if not countdown.fired:
            assert (await sending).name == "x.iso"
            break
        # At the very end it may be too late for the server to cancel it.
        assert statuses(sim) in ([], ["FAILED"], ["SUCCESSED"])
        assert sending.cancelled()
        sim.faults.clear()
        for task in begun(sim):
            sim.store.remove("UploadTask", task["id"])
        moments += 1
    assert moments > 50
    arrived = sim.uploads[begun(sim)[0]["id"]]
    assert arrived.sha256 == hashlib.sha256(CONTENT).hexdigest()
