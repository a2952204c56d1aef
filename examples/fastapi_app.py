"""One session with a CloudTower for all requests of a FastAPI app.

Start it with ``uvicorn examples.fastapi_app:app``, the CLOUDTOWER_… variables set.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator  # noqa: TC003 - FastAPI reads the annotations
from contextlib import asynccontextmanager
from typing import Annotated, TypeAlias, cast
from urllib.parse import urlsplit

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from cloudtower_async import Cloudtower, CloudtowerError, errors
from cloudtower_async.inputs import VmWhereInput  # noqa: TC001
from cloudtower_async.models import Vm, VmStatus  # noqa: TC001 - FastAPI reads the annotations

# Host names under which the app may be reached: another one is a trick of another site.
HOSTS = os.environ.get("APP_HOSTS", "localhost,127.0.0.1").split(",")

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


class VmFilter(BaseModel):
    """What callers may ask for: a query string for reading, a JSON body for changing."""

    model_config = ConfigDict(extra="forbid")

    name_contains: str | None = None
    status: VmStatus | None = None
    vcpu_gte: int | None = None
    cluster: str | None = None

    def where(self) -> VmWhereInput:
        where: VmWhereInput = {}
        if self.name_contains is not None:
            where["name_contains"] = self.name_contains
        if self.status is not None:
            where["status"] = self.status
        if self.vcpu_gte is not None:
            where["vcpu_gte"] = self.vcpu_gte
        if self.cluster is not None:
            where["cluster"] = {"name": self.cluster}
        return where


async def only_from_here(request: Request) -> None:
    """Refuse what a page of another site may send with the browser of one of our users."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers["host"]:
        raise HTTPException(403, "this comes from another site")
    # Forms of other sites cannot send JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send a JSON body, as application/json")
    if request.query_params:
        raise HTTPException(422, "send what to change in the body, not in the query string")


async def start_vms(tower: Cloudtower, where: VmWhereInput) -> list[Vm]:
    vms = await tower.settle(tower.vm.start_vm(where=where))
    if not vms:  # a server may answer so instead of with 404
        raise HTTPException(404, "no VM matches")
    return vms


Tower: TypeAlias = Annotated[Cloudtower, Depends(get_tower)]
CHANGES = [Depends(only_from_here)]
app = FastAPI(lifespan=lifespan)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)


@app.get("/healthz")
async def health(tower: Tower) -> dict[str, str]:
    await tower.ping(timeout=2)
    return {"status": "ok"}


@app.get("/vms")
async def list_vms(tower: Tower, wanted: Annotated[VmFilter, Query()]) -> Response:
    vms = await tower.vm.get_vms(where=wanted.where(), order_by="name_ASC", first=100)
    return Response(msgspec.json.encode(vms), media_type="application/json")


@app.post("/vms/start", dependencies=CHANGES)
async def start_all(tower: Tower, wanted: VmFilter) -> list[str]:
    return [vm.name for vm in await start_vms(tower, wanted.where())]


@app.get("/vms/{name}")
async def show(tower: Tower, name: str) -> dict[str, str]:
    vm = await tower.get_one(tower.vm.get_vms, where={"name": name})
    return {"name": vm.name, "status": vm.status}


@app.post("/vms/{name}/start", dependencies=CHANGES)
async def start(tower: Tower, name: str) -> dict[str, str]:
    vm = await tower.get_one(tower.vm.get_vms, where={"name": name})
    [vm] = await start_vms(tower, {"id": vm.id})
    return {"name": vm.name, "status": vm.status}


@app.exception_handler(CloudtowerError)
async def failed(_request: Request, error: CloudtowerError) -> JSONResponse:
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 502)
    return JSONResponse({"detail": str(error)}, status)
