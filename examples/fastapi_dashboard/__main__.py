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


async def serve(host: str, port: int, interval: float) -> None:
    async with AsyncExitStack() as stack:
        if os.environ.get("CLOUDTOWER_ENDPOINT"):
            tower = Cloudtower.from_env()
        else:
            sim = await stack.enter_async_context(simulated())
            tower = Cloudtower(sim.url, username=sim.username, password=sim.password)
        config = uvicorn.Config(
            create_app(tower, interval=interval),
            host=host,
            port=port,
            timeout_graceful_shutdown=1,  # seconds: browsers would listen for ever
        )
        print(f"The dashboard of {tower.endpoint}: http://{host}:{port}/", file=sys.stderr)
        await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.fastapi_dashboard")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two polls")
    options = parser.parse_args()
    try:
        anyio.run(serve, options.host, options.port, options.interval)
    except InvalidSettings as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
