"""Serve the dashboard until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import AsyncExitStack

import anyio
import uvicorn

from cloudtower_async import Cloudtower, InvalidSettings

from .app import create_app
from .demo import simulated
from .guard import LOCAL


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
        # At shutdown, close connections after 2 seconds, even if a browser does not read.
        config = uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=2)
        await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.fastapi_dashboard")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two polls")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="further host name of the page; repeat the option for several names",
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
