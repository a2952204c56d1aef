"""`python -m benchmarks.uploads`: a large file to the simulator, which runs in another process.

The file is sparse; only the start of each chunk tells it from the others. Three things are
measured. How fast an upload is, next to bare aiohttp that posts the same chunks: the two take turns
chunk by chunk, so that whatever else the machine does slows down both. How much memory an upload
takes above what the process had before, in chunks. And whether the content arrives when one request
in ten goes wrong: its hash, and how often each chunk was taken.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import aiohttp
import anyio
import anyio.to_thread
import msgspec

from .figures import Figure, print_as_lines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from cloudtower_async import Cloudtower

CHUNK = 8 * 1024 * 1024
GIB = 2**30
LONGEST = 1800.0  # seconds that the server lives at most
SHARE = 0.1  # of requests that go wrong
MOST_CHUNKS, LEAST_SHARE = 4.0, 0.8  # what has to hold


class Found(msgspec.Struct):
    """What the server has of the files that were uploaded since it was last asked.

    Attributes:
        sha256: Of each.
        taken: Chunks that were taken, of all.
        uploads: How many were begun.
        requests: That carried chunks.
    """

    sha256: list[str]
    taken: int
    uploads: int
    requests: int


async def serve() -> None:
    """Run the simulator: tell where it is, then answer what is asked on the standard input."""
    from cloudtower_async.testing import Simulator
    from cloudtower_async.testing.faults import EVERY_FAULT

    async with Simulator(clusters=1, vms=2, keep_requests=None) as sim:
        cluster = next(iter(sim.store.table("Cluster")))
        known = set(sim.store.table("UploadTask"))
        print(sim.url, sim.password, cluster, flush=True)
        with anyio.move_on_after(LONGEST):
            while line := await anyio.to_thread.run_sync(
                sys.stdin.readline, abandon_on_cancel=True
            ):
                sim.faults.at_random(float(line), EVERY_FAULT, seed=7)
                new = [task for task in sim.store.table("UploadTask") if task not in known]
                known.update(new)
                found = Found(
                    [sim.uploads[task].sha256 for task in new],
                    sum(one.path == "upload-elf-image" for one in sim.executed),
                    len(new),
                    sum(one.path == "upload-elf-image" for one in sim.requests),
                )
                sim.executed.clear()
                sim.requests.clear()
                print(msgspec.json.encode(found).decode(), flush=True)


class Server:
    """The simulator in its own process, as a session and the bare client see it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout  # noqa: S101
        self.url, self.password, self.cluster = process.stdout.readline().split()

    def found(self, share: float = 0.0) -> Found:
        """What it has got since this was last asked; from now on a share of requests goes wrong."""
        assert self._process.stdin  # noqa: S101
        assert self._process.stdout  # noqa: S101
        self._process.stdin.write(f"{share}\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Found)

    def peak_mb(self) -> float:
        """The most memory that it has had, in MB."""
        return _memory("VmHWM", self._process.pid) / 1e6


@contextmanager
def server() -> Generator[Server]:
    """Start the simulator; it ends with the block."""
    command = [sys.executable, "-m", "benchmarks.uploads", "--serve"]
    with subprocess.Popen(  # noqa: S603 - our own code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Server(process)
        finally:
            process.terminate()


def make_file(path: Path, size: int) -> str:
    """Write the sparse file and return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, CHUNK):
            file.seek(start)
            file.write(b"%20d" % start)
        file.truncate(size)
    with path.open("rb") as file:
        while content := file.read(CHUNK // 64):  # so that none of it is in the memory of before
            digest.update(content)
    return digest.hexdigest()


def _memory(field: str, process: int | str = "self") -> int:
    """Memory of a process in bytes: VmRSS now, VmHWM at its peak."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    [kilobytes] = re.findall(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(kilobytes)


def forget_peak() -> int:
    """Let the peak begin at what is used now, and return that."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory("VmRSS")


class Times:
    """Seconds, of the clock and of this process's processor time."""

    wall = cpu = 0.0

    @contextmanager
    def measured(self) -> Generator[None]:
        """Add those of the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


class Made(msgspec.Struct):
    """The file."""

    path: Path
    size: int
    sha256: str

    @property
    def chunks(self) -> int:
        """That it goes out in."""
        return -(-self.size // CHUNK)


async def side_by_side(server: Server, tower: Cloudtower, file: Made) -> Figure:
    """Upload with us and without, taking turns: how fast ours is, as a share of the other."""
    login = await tower.user.login(username="root", password=server.password)
    ours, bare = Times(), Times()
    upload = tower.uploading(file.path, cluster_id=server.cluster, kind="elf_image")
    async with (
        aiohttp.ClientSession(headers={"authorization": login.data.token}) as session,
        upload,
    ):
        steps = _bare(session, server, file)
        for _ in range(file.chunks):
            with ours.measured():
                await anext(upload)
            with bare.measured():
                await anext(steps)
        async for _ in upload:
            pass
        await steps.aclose()
    _check(server.found(), file, uploads=2)
    fast, bare_fast = (file.size / times.wall / 1e6 for times in (ours, bare))
    return Figure(
        what="upload: throughput, of that of bare aiohttp",
        value=fast / bare_fast,
        goal=LEAST_SHARE,
        better="more",
        note=f"{file.size / GIB:.3g} GiB, chunk by chunk in turn: {fast:,.0f} and {bare_fast:,.0f} "
        f"MB/s; by processor time of the client {bare.cpu / ours.cpu:.2f}",
    )


async def _bare(session: aiohttp.ClientSession, server: Server, made: Made) -> AsyncGenerator[None]:
    """Post the chunks one by one, with nothing around it."""
    url = f"{server.url}/v2/api/upload-elf-image"
    fields = {"cluster_id": server.cluster, "name": "bare", "size": str(made.size)}
    file = await anyio.to_thread.run_sync(made.path.open, "rb")
    with file:
        while chunk := await anyio.to_thread.run_sync(file.read, CHUNK):
            form = aiohttp.FormData()
            for name, value in fields.items():
                form.add_field(name, value)
            form.add_field("file", io.BytesIO(chunk), filename="file")
            async with session.post(url, data=form) as response:
                [task] = await response.json()
            fields = {"upload_task_id": task["id"]}
            yield


async def alone(server: Server, tower: Cloudtower, file: Made, share: float) -> Figure:
    """Upload it while so many requests go wrong: the memory that it takes, in chunks."""
    server.found(share)
    before = forget_peak()
    times = Times()
    with times.measured():
        await tower.upload_image(
            file.path, cluster_id=server.cluster, kind="elf_image", timeout=None
        )
    peak = (_memory("VmHWM") - before) / CHUNK
    found = server.found()
    _check(found, file, uploads=1)
    return Figure(
        what=f"upload with {share:.0%} faults: memory above idle",
        value=peak,
        unit="chunks",
        goal=MOST_CHUNKS,
        note=f"{file.size / GIB:.3g} GiB in {times.wall:.0f} s; idle {before / 1e6:.0f} MB; "
        f"{found.requests:,} requests for {file.chunks:,} chunks, each taken once, hash equal; "
        f"server at most {server.peak_mb():.0f} MB",
    )


def _check(found: Found, file: Made, *, uploads: int) -> None:
    """End everything when content was lost, doubled or mixed up."""
    wanted = [file.sha256] * uploads
    if found.sha256 != wanted or found.taken != file.chunks * uploads:
        raise SystemExit(f"not what was to arrive: {found}")


async def measure(path: Path, size: int) -> None:
    """Do all of it."""
    from cloudtower_async import Cloudtower, RetryPolicy

    made = Made(path, size, await anyio.to_thread.run_sync(make_file, path, size))
    retry = RetryPolicy(attempts=8, budget=100_000)
    with server() as there:
        async with Cloudtower(
            there.url, username="root", password=there.password, retry=retry, timeout=10.0
        ) as tower:
            # What is loaded at first use is none of an upload's memory.
            await tower.upload_image(
                io.BytesIO(bytes(3)), name="first", cluster_id=there.cluster, kind="elf_image"
            )
            print_as_lines([await alone(there, tower, made, 0.0)])
            print_as_lines([await alone(there, tower, made, SHARE)])
            print_as_lines([await side_by_side(there, tower, made)])


def main() -> None:
    """Measure, or be the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4.0, help="of the file, in GiB")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve)
        return
    with TemporaryDirectory() as folder:
        anyio.run(measure, Path(folder, "large.img"), int(options.gib * GIB))


if __name__ == "__main__":
    main()
