"""One session with a CloudTower for all requests of a FastAPI app.

Start it with ``uvicorn examples.fastapi_app:app``, the CLOUDTOWER_… variables set.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator  # noqa: TC003 - FastAPI reads the annotations
from contextlib import asynccontextmanager
from typing import Annotated, TypeAlias, cast

import msgspec
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from cloudtower_async import Cloudtower, CloudtowerError, errors
from cloudtower_async.inputs import VmWhereInput
from cloudtower_async.models import VmStatus  # noqa: TC001 - FastAPI reads the annotations

# What our callers are told, the first that fits. Anything else is 502: not their fault.
STATUSES: list[tuple[type[Exception], int]] = [
    (errors.NotFound, 404),
    (errors.Ambiguous, 409),
    (errors.ResourceLocked, 409),
    (errors.InvalidInput, 422),  # EmptyFilter, too
    (errors.OutcomeUnknown, 504),  # it may have been carried out: not to be sent again blindly
    (TimeoutError, 504),  # CallTimeout, TaskTimeout, …
    (errors.ConnectionFailed, 503),
    (errors.TooManyRequests, 503),
]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Cloudtower]]:
    async with Cloudtower.from_env(timeout=20) as tower:
        yield {"tower": tower}


async def get_tower(request: Request) -> Cloudtower:
    return cast("Cloudtower", request.state.tower)


async def vm_filter(
    name_contains: str | None = None,
    status: VmStatus | None = None,
    vcpu_gte: int | None = None,
    cluster: str | None = None,
) -> VmWhereInput:
    where: VmWhereInput = {}
    if name_contains is not None:
        where["name_contains"] = name_contains
    if status is not None:
        where["status"] = status
    if vcpu_gte is not None:
        where["vcpu_gte"] = vcpu_gte
    if cluster is not None:
        where["cluster"] = {"name": cluster}
    return where


Tower: TypeAlias = Annotated[Cloudtower, Depends(get_tower)]
VmFilter: TypeAlias = Annotated[VmWhereInput, Depends(vm_filter)]
app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def health(tower: Tower) -> dict[str, str]:
    await tower.ping(timeout=2)
    return {"status": "ok"}


@app.get("/vms")
async def list_vms(tower: Tower, where: VmFilter) -> Response:
    vms = await tower.vm.get_vms(where=where, order_by="name_ASC", first=100)
    return Response(msgspec.json.encode(vms), media_type="application/json")


@app.post("/vms/start")
async def start_all(tower: Tower, where: VmFilter) -> list[str]:
    vms = await tower.settle(tower.vm.start_vm(where=where))
    return [vm.name for vm in vms]


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
