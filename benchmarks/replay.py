"""Server for a separate process that answers from memory, as fast as possible in Python.

A new request is forwarded to a simulator, and the answer is cached. Later requests with the same
path and body cost almost nothing, so that a benchmark measures only the client. VMs are as large as
on real servers.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import aiohttp

from .apart import Address, heard, tell
from .full import full_vms

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from cloudtower_async.testing import Simulator

Change: TypeAlias = "Callable[[bytes, bytes], bytes]"


def large_vms(path: bytes, content: bytes) -> bytes:
    """Return an answer in which VMs are as large as on real servers."""
    return full_vms(content) if path.endswith(b"/get-vms") else content


class Memory:
    """Cached answers by path and body.

    Args:
        simulator: Address of the simulator that produces the answers.
        session: Session for requests to the simulator.
        change: Function that changes an answer. Its arguments are the path and the content.
    """

    def __init__(self, simulator: str, session: aiohttp.ClientSession, change: Change) -> None:
        self.answers: dict[tuple[bytes, bytes], bytes] = {}
        self._change = change
        self._simulator = simulator
        self._session = session

    async def learn(self, path: bytes, body: bytes, token: str) -> bytes:
        """Request an answer from the simulator, cache the answer, and return it."""
        headers = {"authorization": token, "content-type": "application/json"}
        url = self._simulator + path.decode()
        async with self._session.post(url, data=body, headers=headers) as response:
            content = self._change(path, await response.read())
            head = (
                f"HTTP/1.1 {response.status} OK\r\ncontent-type: application/json\r\n"
                f"x-tower-request-id: replayed\r\ncontent-length: {len(content)}\r\n\r\n"
            )
        answer = self.answers[path, body] = head.encode() + content
        return answer


class Replay(asyncio.Protocol):
    """Protocol of one connection with a client.

    Args:
        memory: Cached answers.
        group: Task group for requests whose answers are not cached.
    """

    def __init__(self, memory: Memory, group: asyncio.TaskGroup) -> None:
        self._memory = memory
        self._group = group
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (end := self._came.find(b"\r\n\r\n")) >= 0:
            head = self._came[:end]
            length = int(_header(head, b"content-length") or b"0")
            if len(self._came) < end + 4 + length:
                return
            body = self._came[end + 4 : end + 4 + length]
            self._came = self._came[end + 4 + length :]
            path = head.split(b" ", 2)[1]
            known = self._memory.answers.get((path, body))
            if known is not None:
                self._transport.write(known)
            else:
                token = _header(head, b"authorization").decode()
                self._group.create_task(self._learn(path, body, token))

    async def _learn(self, path: bytes, body: bytes, token: str) -> None:
        answer = await self._memory.learn(path, body, token)
        if not self._transport.is_closing():
            self._transport.write(answer)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name + b":")
    return b"" if at < 0 else head[at:].split(b"\r\n", 2)[1].partition(b":")[2].strip()


async def serve(sim: Simulator, change: Change = large_vms) -> None:
    """Serve cached answers of a running simulator until the input ends.

    Args:
        sim: Simulator that produces the answers.
        change: Function that changes an answer. Its arguments are the path and the content.
    """
    async with (
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
    ):
        memory = Memory(sim.url, session, change)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Replay(memory, group), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        tell(Address(f"http://127.0.0.1:{port}", sim.username, sim.password))
        await heard()
        server.close()


async def serve_fleet(size: str) -> None:
    """Serve cached answers of a simulator with a fleet of this size."""
    from cloudtower_async.testing import Simulator

    async with Simulator(size, keep_requests=10) as sim:
        await serve(sim)


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Run a server, on uvloop if it is installed."""
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(serving)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serving)


def main() -> None:
    """Parse the size of the fleet and run the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size")
    run(serve_fleet(parser.parse_args().size))


if __name__ == "__main__":
    main()
