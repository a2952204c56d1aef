"""A Redis server on loopback."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.support import unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from anyio.abc import Process

REDIS_SERVER = shutil.which("redis-server")

needs_redis = [
    pytest.mark.subprocess,
    pytest.mark.skipif(
        REDIS_SERVER is None or os.name != "posix", reason="there is no redis-server here"
    ),
]


@asynccontextmanager
async def redis_process(
    folder: Path, port: int, *, durable: bool = False
) -> AsyncGenerator[Process]:
    """Run a Redis server until the block ends; with `durable`, its data survive a kill."""
    command = f"{REDIS_SERVER} --bind 127.0.0.1 --port {port} --dir {folder} --daemonize no"
    if durable:
        command += " --appendonly yes --appendfsync always"
    async with await anyio.open_process([*command.split(), "--save", ""]) as server:
        try:
            assert server.stdout is not None
            told = b""
            while b"Ready to accept connections" not in told:
                told += await server.stdout.receive()
            yield server
        finally:
            if server.returncode is None:
                server.kill()


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncGenerator[str]:
    """Run a Redis server; yield its address."""
    port = unused_port()
    async with redis_process(folder, port):
        yield f"redis://127.0.0.1:{port}/0"
