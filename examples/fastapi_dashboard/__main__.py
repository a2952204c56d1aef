"""Serve the dashboard until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import uvicorn

from cloudtower_async import Cloudtower, InvalidSettings

from .app import create_app, let_go
from .demo import simulated
from .guard import LOCAL

if TYPE_CHECKING:
    from socket import socket

    from fastapi import FastAPI


class Server(uvicorn.Server):
    """Lets the browsers go when it ends. Those that do not even read lose their connection."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        super().__init__(uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=2))
        self._app = app

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        let_go(self._app)
        await super().shutdown(sockets)


async def serve(host: str, port: int, interval: float, names: list[str]) -> None:
    async with AsyncExitStack() as stack:
        if os.environ.get("CLOUDTOWER_ENDPOINT"):
            tower = Cloudtower.from_env()
        else:
            sim = await stack.enter_async_context(simulated())
            tower = Cloudtower(sim.url, username=sim.username, password=sim.password)
        app = create_app(tower, interval=interval, hosts=[*LOCAL, host, *names])
        page = f"http://{host}:{port}"
        print(f"The dashboard of the CloudTower at {tower.endpoint} is on {page}", file=sys.stderr)
        await Server(app, host, port).serve()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.fastapi_dashboard")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two polls")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="host name under which browsers find the page, besides --host; repeat it for more",
    )
    options = parser.parse_args()
    try:
        anyio.run(serve, options.host, options.port, options.interval, options.name)
    except InvalidSettings as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
