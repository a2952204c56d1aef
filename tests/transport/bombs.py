"""Processes that measure a decompression bomb: a server, and a client that receives it."""

from __future__ import annotations

import asyncio
import sys
import zlib
from pathlib import Path

from aiohttp import web

INFLATED = 300_000_000
"""Size of the bomb in bytes after decompression."""


def gzip_bomb() -> bytes:
    """Compress a large number of spaces."""
    packer = zlib.compressobj(9, wbits=31)
    piece = b" " * 10**6
    return b"".join(packer.compress(piece) for _ in range(INFLATED // 10**6)) + packer.flush()


async def serve() -> None:
    """Answer every request with the bomb, until standard input ends."""
    bomb = gzip_bomb()

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        status = 500 if request.path.endswith("/failing") else 200
        return web.Response(body=bomb, status=status, headers={"content-encoding": "gzip"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def memory(what: str) -> int:
    """Return the memory of this process in kilobytes: ``VmRSS`` now, ``VmHWM`` at its peak."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{what}:")[1].split()[0])


async def meet(scene: str, port: str) -> None:
    """Print the error that the bomb causes, and the growth of memory in kilobytes."""
    from cloudtower_async import Cloudtower, CloudtowerError, RetryPolicy

    url, once = f"http://127.0.0.1:{port}", RetryPolicy(attempts=1)
    tower = Cloudtower(url, username="root", password="p", retry=once)
    if scene != "login":
        tower = Cloudtower(url, token="t", retry=once, max_response_bytes=64 * 2**20)
    await tower.preload("vm")
    idle, error = memory("VmRSS"), None
    try:
        if scene == "failing":
            await tower.request("failing", method="GET")
        elif scene == "mutation":
            await tower.vm.start_vm(where={"id": "a"})
        else:
            await tower.vm.get_vms()
    except CloudtowerError as exc:
        error = exc
    await tower.close()
    print(type(error).__name__, memory("VmHWM") - idle)


if __name__ == "__main__":
    asyncio.run(serve() if sys.argv[1] == "serve" else meet(*sys.argv[1:]))
