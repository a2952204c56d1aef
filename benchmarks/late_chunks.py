"""`python -m benchmarks.late_chunks`: uploads through a proxy that times out before the server.

The proxy responds with 504, and the server behind the proxy receives the chunk up to ten seconds
later, or never. The delays are real. 200 uploads run, up to 50 of them concurrently. Each upload
must arrive complete or fail. No upload may be reported as a success if the content on the server
differs. Every fourth upload has a ``settling_time`` that is shorter than the delays. These uploads
may fail.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import logging
import random
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
from aiohttp import web

from .figures import Figure, print_as_lines

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from cloudtower_async import Cloudtower

Outcome: TypeAlias = Literal["right", "wrong", "failed"]

CHUNK = 1024
CHUNKS = 6
NEVER = float("inf")
JUST_BEFORE = -1.0
"""Special delay: the chunk is received just before the next chunk."""
_TOKEN = "any"  # noqa: S105 - the server takes every token


class LateServer:
    """Server that accepts uploads of ELF images, and misbehaves as configured.

    Args:
        clock: Clock for delays. None means that the number of polls of upload tasks is the clock.

    Attributes:
        late: Delays by number of the request with a chunk, counted from 1. The request gets 504,
            and the chunk is received after this delay.
        chunk_size: Chunk size in bytes that upload tasks request.
        count_from: Value of ``current_chunk`` after the first chunk.
        count: Function that takes the correct value of ``current_chunk``, and returns the value to
            send instead.
        answers: Answers to send instead of the upload task, by number of the request with a chunk.
            If the answer is an ``int``, the chunk is refused with this HTTP status. Otherwise, the
            chunk is received.
        name: Name of the file in the arguments of upload tasks. None means the name from the
            client.
        listed: Whether the server lists images.
        refuse_polls: Whether reading upload tasks fails with 503.
        size_shown: Function that takes the correct size of an image, and returns the size to send
            instead.
        requests: Requested paths, in order.
        chunks: Sizes of the received chunks in bytes, in order.
        statuses: Status of each upload task, by id.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.late: dict[int, float] = {}
        self.chunk_size: object = CHUNK
        self.count_from = 1
        self.count: Callable[[int], object] = lambda count: count
        self.answers: dict[int, object] = {}
        self.name: str | None = None
        self.listed = True
        self.refuse_polls = False
        self.size_shown: Callable[[int], object] = lambda size: size
        self.requests: list[str] = []
        self.chunks: list[int] = []
        self.statuses: dict[str, str] = {}
        self._polls = 0
        self._clock = clock or (lambda: self._polls)
        self._coming: list[tuple[float, str, bytes]] = []
        self._first: dict[str, dict[str, str]] = {}
        self._content: dict[str, bytearray] = {}
        self._counts: dict[str, int] = {}
        self._number = 0

    def sha256(self, upload_task_id: str) -> str:
        """Return the SHA-256 of the content of an upload task, as hexadecimal text."""
        return hashlib.sha256(self._content[upload_task_id]).hexdigest()

    async def answer(self, request: web.Request) -> web.Response:
        """Return the response to a request."""
        path = request.path.removeprefix("/v2/api/")
        self.requests.append(path)
        if path == "upload-elf-image":
            return await self._chunk(request)
        body: dict[str, Any] = await request.json() if request.can_read_body else {}
        where: dict[str, Any] = body.get("where") or {}
        if path == "get-upload-tasks":
            self._polls += 1
            if self.refuse_polls:
                return web.Response(status=503)
        self._take_late()
        match path:
            case "get-upload-tasks":
                ids = [where["id"]] if "id" in where else list(self.statuses)
                return web.json_response([self._task(one) for one in ids if one in self.statuses])
            case "cancel-upload-task":
                self.statuses[where["id"]] = "FAILED"
                return web.json_response([where["id"]])
            case "get-elf-images":
                task = where["local_id"].removeprefix("local-")
                return web.json_response([self._image(task)] if self.listed else [])
            case _:
                return web.json_response({}, status=404)

    async def _chunk(self, request: web.Request) -> web.Response:
        form: dict[str, Any] = dict(await request.post())
        content = form.pop("file").file.read()
        self._take_late()
        self._take_late(JUST_BEFORE)
        self._number += 1
        task = form.get("upload_task_id")
        lateness = self.late.get(self._number)
        answer = self.answers.get(self._number)
        if isinstance(answer, int):
            return web.json_response({"message": "refused"}, status=answer)
        if task is None:
            task = f"task-{len(self._first)}"
            self._first[task] = form
        if lateness is not None:
            due = lateness if lateness == JUST_BEFORE else self._clock() + lateness
            self._coming.append((due, task, content))
            return web.Response(status=504)
        if not self._take(task, content):
            return web.json_response({"message": "the upload task has ended"}, status=400)
        return web.json_response([self._task(task)] if answer is None else answer)

    def _take_late(self, now: float | None = None) -> None:
        """Receive the late chunks that are due."""
        least, most = (now, now) if now is not None else (0.0, self._clock())
        due = sorted(one for one in self._coming if least <= one[0] <= most)
        self._coming = [one for one in self._coming if one not in due]
        for _, task, content in due:
            self._take(task, content)

    def _take(self, task: str, content: bytes) -> bool:
        size = int(self._first[task]["size"])
        there = self._content.setdefault(task, bytearray())
        if self.statuses.get(task, "UPLOADING") != "UPLOADING" or len(there) + len(content) > size:
            return False
        there += content
        self.chunks.append(len(content))
        self._counts[task] = self._counts.get(task, self.count_from - 1) + 1
        self.statuses[task] = "SUCCESSED" if len(there) == size else "UPLOADING"
        return True

    def _task(self, task: str) -> dict[str, object]:
        form = self._first[task]
        attributes = {"uuid": f"local-{task}", "name": self.name or form["name"]}
        return {
            "id": task,
            "args": {"attributes": attributes},
            "chunk_size": self.chunk_size,
            "current_chunk": self.count(self._counts[task]),
            "resource_type": "ELF_IMAGE",
            "size": int(form["size"]),
            "status": self.statuses[task],
            "updatedAt": "2024-01-01T00:00:00.000Z",
        }

    def _image(self, task: str) -> dict[str, object]:
        return {
            "id": f"image-{task}",
            "description": "",
            "entityAsyncStatus": None,
            "labels": [],
            "local_created_at": "2024-01-01T00:00:00.000Z",
            "local_id": f"local-{task}",
            "name": self._first[task]["name"],
            "path": "x",
            "size": self.size_shown(len(self._content[task])),
        }


@asynccontextmanager
async def serving(server: LateServer) -> AsyncGenerator[str]:
    """Run the server on a free port during a ``with`` block, and yield its root address."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def content_of(seed: int) -> bytes:
    """Return the content of a file in which no two chunks are equal."""
    return random.Random(seed).randbytes((CHUNKS - 1) * CHUNK + 100)  # noqa: S311 - no secret


async def run(
    server: LateServer,
    tower: Cloudtower,
    seed: int,
    *,
    latest: float,
    lost: bool,
    **options: Any,  # noqa: ANN401 - upload options
) -> Outcome:
    """Upload a file while one to three of its chunks are late, and return the outcome.

    Args:
        server: Server that has no uploads yet.
        tower: Session with the server.
        seed: Seed of the content and the late chunks. The same seed results in the same file.
        latest: Maximum delay of a chunk by the clock of the server.
        lost: Whether chunks may also be lost.
        options: Options of the upload.
    """
    from cloudtower_async import CallError, ElfImage, UploadError

    chance = random.Random(seed)  # noqa: S311 - no secret
    for number in chance.sample(range(1, CHUNKS + 1), chance.randint(1, 3)):
        is_lost = lost and chance.random() < 0.25
        server.late[number] = NEVER if is_lost else chance.uniform(0, latest)
    content = content_of(seed)
    try:
        await tower.upload(
            io.BytesIO(content),
            ElfImage(cluster_id="c1"),
            name=f"{seed}.iso",
            chunk_size=CHUNK,
            **options,
        )
    except (UploadError, CallError):
        return "failed"
    [task] = [one for one, status in server.statuses.items() if status == "SUCCESSED"]
    return "right" if server.sha256(task) == hashlib.sha256(content).hexdigest() else "wrong"


async def measure(runs: int, at_a_time: int, latest: float) -> None:
    """Run all uploads, and print the figure."""
    from cloudtower_async import Cloudtower

    logging.getLogger("cloudtower_async").setLevel(logging.ERROR)  # hide warnings about late chunks
    outcomes: Counter[tuple[str, Outcome]] = Counter()
    limit = anyio.Semaphore(at_a_time)

    async def one(seed: int) -> None:
        short = seed % 4 == 0
        async with limit:
            server = LateServer(anyio.current_time)
            async with serving(server) as url, Cloudtower(url, token=_TOKEN) as tower:
                outcome = await run(
                    server,
                    tower,
                    seed,
                    latest=latest,
                    lost=True,
                    settling_time=latest / 5 if short else latest * 1.5,
                    interval=latest / 20,
                )
            outcomes["too short" if short else "long enough", outcome] += 1

    async with anyio.create_task_group() as group:
        for seed in range(runs):
            group.start_soon(one, seed)
    wrong = sum(number for (_, outcome), number in outcomes.items() if outcome == "wrong")
    told = "; ".join(
        f"settling time {which}: {outcomes[which, 'right']} complete, "
        f"{outcomes[which, 'failed']} failed"
        for which in ("long enough", "too short")
    )
    figure = Figure(
        what="uploads with late chunks: successes with wrong content",
        value=wrong,
        goal=0,
        note=f"{runs} uploads; status 504, and the chunk arrives up to {latest:g} s later or "
        f"never; {told}",
    )
    print_as_lines([figure])
    if wrong:
        raise SystemExit(1)


def main() -> None:
    """Parse the arguments and run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--at-a-time", type=int, default=50)
    parser.add_argument("--latest", type=float, default=10.0, help="maximum delay in seconds")
    options = parser.parse_args()
    anyio.run(measure, options.runs, options.at_a_time, options.latest)


if __name__ == "__main__":
    main()
