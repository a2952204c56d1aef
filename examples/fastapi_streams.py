"""Live VMs over server-sent events and WebSockets, with one poll loop for all browsers.

Start it with ``uvicorn examples.fastapi_streams:app`` after setting the CLOUDTOWER_…
variables. WebSockets need ``pip install websockets``.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
)
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias, cast

import anyio
import msgspec
from fastapi import Depends, FastAPI, WebSocket
from fastapi.requests import HTTPConnection  # noqa: TC002 - as above
from fastapi.sse import EventSourceResponse, ServerSentEvent

from cloudtower_async import Cloudtower, Watch
from cloudtower_async.models import Vm

from .server_shutdown import on_stop_signal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.abc import TaskStatus

SERVICE_RESTART = 1012  # WebSocket close code: service restart


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Watch[Vm]]]:
    stopping = anyio.Event()

    async def keep_view(*, task_status: TaskStatus[Watch[Vm]]) -> None:
        # Leaving the view ends every stream.
        async with Cloudtower.from_env() as tower, tower.watch(tower.vm.get_vms) as view:
            task_status.started(view)
            await stopping.wait()

    async with anyio.create_task_group() as group:
        view: Watch[Vm] = await group.start(keep_view)
        with on_stop_signal(stopping.set):
            yield {"view": view}
        stopping.set()


async def get_view(connection: HTTPConnection) -> Watch[Vm]:
    return cast("Watch[Vm]", connection.state.view)


View: TypeAlias = Annotated["Watch[Vm]", Depends(get_view)]
app = FastAPI(lifespan=lifespan)


def as_json(vms: Mapping[str, Vm]) -> str:
    return msgspec.json.encode({vm.name: vm.status for vm in vms.values()}).decode()


@app.get("/events", response_class=EventSourceResponse)
async def events(view: View) -> AsyncIterator[ServerSentEvent]:
    async with view.subscribe() as states:
        async for vms in states:
            yield ServerSentEvent(raw_data=as_json(vms))


@app.websocket("/live")
async def live(websocket: WebSocket, view: View) -> None:
    await websocket.accept()

    async def notice_disconnect() -> None:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group, view.subscribe() as states:
        group.start_soon(notice_disconnect)
        async for vms in states:
            await websocket.send_text(as_json(vms))
        await websocket.close(SERVICE_RESTART)
        group.cancel_scope.cancel()
