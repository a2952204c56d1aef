"""`python -m benchmarks.uploads`: upload a large file to a simulator in another process.

The file is sparse, and its chunks differ only in their first bytes. Three quantities are measured.
The first quantity is the speed of an upload, compared with bare aiohttp that posts the same chunks.
Both uploads alternate chunk by chunk, so that other load on the machine affects both. The second
quantity is the additional memory of an upload, in chunks. The third quantity is whether the content
arrives although one request in ten fails. For this, the hash of the content and the number of
received chunks are checked. A fault either occurs after the chunk was received, or is an error that
prevents execution (401, 429). `late_chunks` covers chunks that arrive late or never.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import aiohttp
import anyio
import anyio.to_thread
import msgspec

from .apart import heard, talking, tell
from .figures import Figure, print_as_lines
from .measures import Times

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async import Cloudtower

    from .apart import Server

CHUNK = 8 * 1024 * 1024
GIB = 2**30
SHARE = 0.1  # share of requests that fail
MOST_CHUNKS, LEAST_SHARE = 4.0, 0.8  # goals of the figures


class Found(msgspec.Struct):
    """Uploads that the server has received since the last question.

    Attributes:
        sha256: SHA-256 of each file.
        taken: Total number of received chunks.
        uploads: Number of started uploads.
        requests: Number of requests with chunks.
    """

    sha256: list[str]
    taken: int
    uploads: int
    requests: int


async def serve() -> None:
    """Run the simulator: print its address, then answer each line of standard input."""
    from cloudtower_async.simulator.faults import EVERY_FAULT
    from cloudtower_async.testing import Simulator

    # Exclude faults that lose chunks, because each lost chunk would cost the settling time.
    faults = [one for one in EVERY_FAULT if one.executed or one.status in (401, 429)]
    async with Simulator(clusters=1, vms=2, keep_requests=None) as sim:
        cluster = next(iter(sim.store.table("Cluster")))
        known = set(sim.store.table("UploadTask"))
        tell(Place(sim.url, sim.username, sim.password, cluster))
        while line := await heard():
            sim.faults.at_random(float(line), faults, seed=7)
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
            tell(found)


class Place(msgspec.Struct, frozen=True):
    """Address of the server, credentials, and cluster for the upload."""

    url: str
    username: str
    password: str
    cluster: str


def found_by(server: Server[Place], share: float = 0.0) -> Found:
    """Return the uploads since the last question.

    From now on, the server lets this share of requests fail.
    """
    server.say(str(share))
    return server.hear(Found)


def make_file(path: Path, size: int) -> str:
    """Write the sparse file, and return its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, CHUNK):
            file.seek(start)
            file.write(b"%20d" % start)
        file.truncate(size)
    with path.open("rb") as file:
        while content := file.read(CHUNK // 64):  # small reads need little memory
            digest.update(content)
    return digest.hexdigest()


def _memory(field: str, process: int | str = "self") -> int:
    """Return the memory of a process in bytes.

    Args:
        field: ``VmRSS`` for the current memory, ``VmHWM`` for the peak memory.
        process: Id of the process. The default is this process.
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    [kilobytes] = re.findall(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(kilobytes)


def forget_peak() -> int:
    """Reset the peak memory of this process, and return the current memory in bytes."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _memory("VmRSS")


class Made(msgspec.Struct):
    """The file to upload."""

    path: Path
    size: int
    sha256: str

    @property
    def chunks(self) -> int:
        """Number of chunks of the upload."""
        return -(-self.size // CHUNK)


async def side_by_side(server: Server[Place], tower: Cloudtower, file: Made) -> Figure:
    """Upload with our client and with bare aiohttp in alternation; return the ratio of speeds."""
    from cloudtower_async import ElfImage

    place, ours, bare = server.place, Times(), Times()
    login = await tower.user.login(username=place.username, password=place.password)
    upload = tower.upload(file.path, ElfImage(cluster_id=place.cluster))
    async with (
        aiohttp.ClientSession(headers={"authorization": login.data.token}) as session,
        upload,
    ):
        steps = _bare(session, place, file)
        for _ in range(file.chunks):
            with ours.measured():
                await anext(upload)
            with bare.measured():
                await anext(steps)
        async for _ in upload:
            pass
        await steps.aclose()
    _check(found_by(server), file, uploads=2)
    fast, bare_fast = (file.size / sum(times.wall) / 1e6 for times in (ours, bare))
    return Figure(
        what="throughput of an upload: ours / bare",
        value=fast / bare_fast,
        goal=LEAST_SHARE,
        better="more",
        note=f"{file.size / GIB:.3g} GiB; the clients take turns after each chunk: "
        f"ours {fast:,.0f} MB/s, bare {bare_fast:,.0f} MB/s; ratio of CPU time, bare / ours: "
        f"{sum(bare.cpu) / sum(ours.cpu):.2f}",
    )


async def _bare(session: aiohttp.ClientSession, place: Place, made: Made) -> AsyncGenerator[None]:
    """Post the chunks one by one with bare aiohttp, and yield after each chunk."""
    url = f"{place.url}/v2/api/upload-elf-image"
    fields = {"cluster_id": place.cluster, "name": "bare", "size": str(made.size)}
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


async def alone(server: Server[Place], tower: Cloudtower, file: Made, share: float) -> Figure:
    """Upload a file while a share of requests fails, and return the figure of the peak memory."""
    from cloudtower_async import ElfImage

    found_by(server, share)
    before = forget_peak()
    times = Times()
    with times.measured():
        target = ElfImage(cluster_id=server.place.cluster)
        await tower.upload(file.path, target, timeout=None, settling_time=30.0)
    peak = (_memory("VmHWM") - before) / CHUNK
    found = found_by(server)
    _check(found, file, uploads=1)
    return Figure(
        what=f"upload with {share:.0%} failed requests: memory in addition to an idle session / "
        "size of a chunk",
        value=peak,
        goal=MOST_CHUNKS,
        note=f"{file.size / GIB:.3g} GiB in {times.wall[0]:.0f} s; "
        f"{before / 1e6:.0f} MB when idle; {found.requests:,} requests for {file.chunks:,} chunks; "
        "each chunk was accepted once, and the hash is correct; peak memory of the server "
        f"{_memory('VmHWM', server.pid) / 1e6:.0f} MB",
    )


def _check(found: Found, file: Made, *, uploads: int) -> None:
    """Exit if content on the server is missing, duplicate or wrong."""
    wanted = [file.sha256] * uploads
    if found.sha256 != wanted or found.taken != file.chunks * uploads:
        raise SystemExit(f"not what was to arrive: {found}")


async def measure(path: Path, size: int) -> None:
    """Run all parts, and print their figures."""
    from cloudtower_async import Cloudtower, ElfImage, RetryPolicy

    made = Made(path, size, await anyio.to_thread.run_sync(make_file, path, size))
    retry = RetryPolicy(attempts=8, budget=100_000)
    with talking("uploads", "--serve", place=Place) as there:
        place = there.place
        async with Cloudtower(
            place.url, username=place.username, password=place.password, retry=retry, timeout=10.0
        ) as tower:
            # Upload a small file first, so that modules loaded at the first use are not measured.
            target = ElfImage(cluster_id=place.cluster)
            await tower.upload(io.BytesIO(bytes(3)), target, name="first")
            print_as_lines([await alone(there, tower, made, 0.0)])
            print_as_lines([await alone(there, tower, made, SHARE)])
            print_as_lines([await side_by_side(there, tower, made)])


def main() -> None:
    """Run the measurement or the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4.0, help="size of the file in GiB")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve)
        return
    with TemporaryDirectory() as folder:
        anyio.run(measure, Path(folder, "large.img"), int(options.gib * GIB))


if __name__ == "__main__":
    main()
