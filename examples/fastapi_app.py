"""One session with a CloudTower for all requests of a FastAPI app.

Start it with ``uvicorn examples.fastapi_app:app``, the CLOUDTOWER_… variables set.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator  # noqa: TC003 - FastAPI reads the annotations
from contextlib import asynccontextmanager
from typing import Annotated, TypeAlias, cast

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from cloudtower_async import Cloudtower, CloudtowerError, errors

# What our callers are told, the first that fits. Anything else is 502: not their fault.
STATUSES: list[tuple[type[Exception], int]] = [
    (errors.NotFound, 404),
    (errors.Ambiguous, 409),
    (errors.ResourceLocked, 409),
    (errors.InvalidInput, 422),
    (errors.OutcomeUnknown, 504),  # it may have been carried out: not to be sent again blindly
    (TimeoutError, 504),  # CallTimeout, TaskTimeout, …
    (errors.ConnectionFailed, 503),
    (errors.TooManyRequests, 503),
]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Cloudtower]]:
    async with Cloudtower.from_env() as tower:
        yield {"tower": tower}


async def get_tower(request: Request) -> Cloudtower:
    return cast("Cloudtower", request.state.tower)


Tower: TypeAlias = Annotated[Cloudtower, Depends(get_tower)]
app = FastAPI(lifespan=lifespan)


@app.get("/vms/{name}")
async def show(tower: Tower, name: str) -> dict[str, str]:
    vm = await tower.get_one(tower.vm.get_vms, where={"name": name})
    return {"name": vm.name, "status": vm.status}


@app.post("/vms/{name}/start")
async def start(tower: Tower, name: str) -> dict[str, str]:
    vm = await tower.get_one(tower.vm.get_vms, where={"name": name})
    [vm] = await tower.settle(tower.vm.start_vm(where={"id": vm.id}))
    return {"name": vm.name, "status": vm.status}


@app.exception_handler(CloudtowerError)
async def failed(_request: Request, error: CloudtowerError) -> JSONResponse:
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 502)
    return JSONResponse({"detail": str(error)}, status)
