"""``cloudtower-async upload``, in a separate process."""

from __future__ import annotations

import hashlib
import random
import re
import signal
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Clock, Simulator
from tests.cli.command import Terminal, run_with, start_with
from tests.support import login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from subprocess import CompletedProcess
    from typing import Any

pytestmark = [pytest.mark.subprocess, pytest.mark.anyio]

ESCAPE = "\x1b"
CHUNK = 1_000_000
CONTENT = random.Random(1).randbytes(8 * 1024 * 1024 + 2 * CHUNK)  # noqa: S311 - any bytes


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    # An upload ends after two requests.
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(clusters=2, vms=2, seed=3, clock=clock, task_duration=2.0) as simulator:
        simulator.uploads.chunk_size = CHUNK
        yield simulator


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.iso"
    path.write_bytes(CONTENT)
    return path


async def upload(
    sim: Simulator, *arguments: str, state: Path | None = None
) -> CompletedProcess[str]:
    """Run the command with pipes; it stores upload states below `state`."""
    given = {} if state is None else {"XDG_STATE_HOME": str(state)}
    return await run_with(sim, "upload", *arguments, **given)


def clusters(sim: Simulator) -> list[dict[str, Any]]:
    return list(sim.store.table("Cluster").values())


def tasks(sim: Simulator) -> list[dict[str, Any]]:
    """Return the upload tasks that this test started."""
    every = sim.store.table("UploadTask").values()
    return [task for task in every if task["size"] == len(CONTENT)]


async def test_in_a_pipe_progress_is_reported_in_lines(sim: Simulator, file: Path) -> None:
    first, second = clusters(sim)
    ended = await upload(sim, str(file), "--cluster", first["name"], "--cluster", second["id"])
    assert (ended.returncode, ended.stderr) == (0, "")
    *lines, last = ended.stdout.splitlines()
    [task] = tasks(sim)
    for line, share in zip(lines, ("81%", "90%", "100%"), strict=True):
        amounts = r"\d+\.\d MB/10\.4 MB \d+\.\d [kM]B/s \d:\d\d:\d\d"
        assert re.fullmatch(rf"{task['id']} {share} {amounts} tools\.iso", line)
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        [image] = await tower.content_library_image.get_content_library_images(
            where={"name": "tools.iso"}
        )
    assert last == f"content-library-image {image.id}"
    assert {one.id for one in image.clusters or []} == {first["id"], second["id"]}
    assert sim.uploads[task["id"]].sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_each_kind_of_upload_creates_its_resource(sim: Simulator, file: Path) -> None:
    cluster = clusters(sim)[0]["name"]
    for kind, where, table in (
        ("elf-image", ["--cluster", cluster], "ElfImage"),
        ("elf-file", ["--cluster", cluster], "UploadTask"),
        ("application-package", [], "CloudTowerApplicationPackage"),
    ):
        before = set(sim.store.table(table))
        ended = await upload(sim, str(file), "--kind", kind, "--name", "x", *where)
        assert (ended.returncode, ended.stderr) == (0, "")
        [new] = set(sim.store.table(table)) - before
        what = "upload-task" if kind == "elf-file" else kind
        assert ended.stdout.splitlines()[-1] == f"{what} {new}"


async def test_an_error_is_one_line_and_the_upload_can_be_resumed(
    sim: Simulator, file: Path, tmp_path: Path
) -> None:
    where = ["--cluster", clusters(sim)[0]["name"], "--kind", "elf-image"]
    sim.faults.slow(0.0, "upload-elf-image")
    sim.faults.fail("upload-elf-image", status=403)
    ended = await upload(sim, str(file), *where, state=tmp_path)
    [task] = tasks(sim)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "the upload was interrupted" in ended.stderr
    assert f"upload task {task['id']}, 8,388,608 of" in ended.stderr
    assert ended.stderr.endswith(f" bytes sent]. Continue with --resume {task['id']}\n")
    [stored] = await anyio.to_thread.run_sync(files_below, tmp_path / "cloudtower-async")
    assert stored.stat().st_mode & 0o077 == 0

    other = tmp_path / "other"
    other.write_bytes(bytes(len(CONTENT)))
    other_where = [*where, "--name", "tools.iso", "--resume", task["id"]]
    ended = await upload(sim, str(other), *other_where, state=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "the upload is of another file: its modification time in ns was" in ended.stderr
    ended = await upload(sim, str(file), "--resume", "none", *where, state=tmp_path)
    assert ended.returncode == 2
    assert "--resume none: the state of this upload is not stored on this machine" in ended.stderr
    assert len(sim.sent("upload-elf-image")) == 2

    ended = await upload(sim, str(file), "--resume", task["id"], *where, state=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sim.uploads[task["id"]].sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert not await anyio.to_thread.run_sync(files_below, tmp_path / "cloudtower-async")


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_state_that_cannot_be_stored_is_reported(
    sim: Simulator, file: Path, tmp_path: Path
) -> None:
    sim.faults.slow(0.0, "upload-elf-image")
    sim.faults.fail("upload-elf-image", status=403)
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    where = ["--cluster", clusters(sim)[0]["name"], "--kind", "elf-image"]
    ended = await upload(sim, str(file), *where, state=in_the_way)
    assert ended.returncode == 1
    assert "Start again: the state of the upload could not be stored: " in ended.stderr


async def test_a_killed_upload_is_resumed(sim: Simulator, file: Path, tmp_path: Path) -> None:
    where = ["--cluster", clusters(sim)[0]["name"], "--kind", "elf-image"]
    sim.faults.slow(0.0, "upload-elf-image")
    sim.faults.hang("upload-elf-image", executed=True)
    arguments = ("upload", str(file), *where)
    async with start_with(sim, *arguments, XDG_STATE_HOME=str(tmp_path)) as process:
        while len(sim.sent("upload-elf-image")) < 2:
            await anyio.wait_all_tasks_blocked()
        process.kill()
    [task] = tasks(sim)
    more = ["--resume", task["id"], "--settling-time", "0.1", *where]
    ended = await upload(sim, str(file), *more, state=tmp_path)
    assert ended.returncode == 0
    assert sim.uploads[task["id"]].sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
async def test_a_signal_cancels_it_and_gives_the_terminal_back(
    sim: Simulator, file: Path, number: signal.Signals, status: int
) -> None:
    cluster = clusters(sim)[0]["name"]
    sim.clock.per_request = 0.0  # the server never completes the upload

    async def poll() -> None:
        # Every chunk has been sent and stored, so the signal interrupts nothing else.
        while sim.requests[-1].path != "get-upload-tasks":
            await anyio.wait_all_tasks_blocked()

    def interrupt() -> tuple[int, str]:
        with Terminal(
            "upload", str(file), "--cluster", cluster, variables=login_variables(sim)
        ) as terminal:
            terminal.read_until("100%")
            anyio.from_thread.run(poll)
            terminal.process.send_signal(number)
            return terminal.wait(), terminal.shown

    ended, shown = await anyio.to_thread.run_sync(interrupt)
    assert ended == status
    [task] = tasks(sim)
    assert task["status"] == "FAILED"
    assert f"upload task {task['id']}" in shown  # for --resume, if the process is killed
    assert f"{ESCAPE}[?25h" in shown  # the cursor is visible again
    assert "━━━━━" in shown
    assert "tools.iso" in shown
    assert "10.4 MB/10.4 MB" in shown
    assert "Traceback" not in shown


async def test_invalid_arguments_are_reported_before_any_request(
    sim: Simulator, file: Path
) -> None:
    first, second = (cluster["name"] for cluster in clusters(sim))
    for arguments, told in (
        ([str(file)], "--cluster: pass the name or id"),
        ([str(file), "--cluster", "none"], "there is no cluster 'none'"),
        ([str(file.parent / "none"), "--cluster", first], "No such file"),
        ([str(file), "--cluster", first, "--kind", "iso"], "--kind"),
        (
            [str(file), "--cluster", first, "--cluster", second, "--kind", "elf-image"],
            "elf-image takes one cluster only",
        ),
        (
            [str(file), "--cluster", first, "--kind", "application-package"],
            "an application package belongs to no cluster",
        ),
    ):
        ended = await upload(sim, *arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert told in ended.stderr
        assert ended.stderr.count("\n") == 1
    clusters(sim)[1]["name"] = first
    ended = await upload(sim, str(file), "--cluster", first, "--kind", "elf-image")
    assert "several clusters are called" in ended.stderr
    assert tasks(sim) == []
