"""FastAPI app in which all requests share one CloudTower session.

Start it with ``uvicorn examples.fastapi_app:app`` after setting the CLOUDTOWER_… variables.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeAlias, cast
from urllib.parse import urlsplit

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from cloudtower_async import Cloudtower, CloudtowerError, errors
from cloudtower_async.inputs import VmWhereInput
from cloudtower_async.models import Vm, VmStatus

# Host names of the app. Requests with other host names may come from DNS rebinding.
HOSTS = os.environ.get("APP_HOSTS", "localhost,127.0.0.1").split(",")

# HTTP status for each error. The first matching class is used. Other errors get status 502.
STATUSES: list[tuple[type[Exception], int]] = [
    (errors.MutationRefused, 403),
    (errors.NotFound, 404),
    (errors.Ambiguous, 409),
    (errors.ResourceLocked, 409),
    (errors.LockTimeout, 409),
    (errors.InvalidInput, 422),  # including EmptyFilter
    (errors.BadRequest, 422),  # the Tower rejected the arguments
    (errors.ConnectionFailed, 503),
    (errors.TooManyRequests, 503),
    (errors.SessionClosed, 503),  # the app is stopping
    (errors.OutcomeUnknown, 504),  # check whether it was executed before you repeat it
    (TimeoutError, 504),  # CallTimeout, TaskTimeout, SettleTimeout, …
]

# JSON schema of `Vm` for the app's OpenAPI document. Pydantic cannot generate it.
[WHOLE_VM], SCHEMAS = msgspec.json.schema_components(
    [Vm], ref_template="#/components/schemas/{name}"
)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Cloudtower]]:
    async with Cloudtower.from_env(timeout=20) as tower:
        yield {"tower": tower}


async def get_tower(request: Request) -> Cloudtower:
    return cast("Cloudtower", request.state.tower)


class VmFilter(BaseModel):
    """Filter of a request: the query parameters of a GET, or the JSON body of a POST."""

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


class VmQuery(VmFilter):
    """Filter with pagination."""

    after: str | None = Field(None, min_length=1, description="`next` of the page before")
    first: int = Field(100, ge=1, le=500)


class VmRow(BaseModel):
    """VM in a response of the app. Any field except the id may be None."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str | None
    status: VmStatus | None
    vcpu: int | None
    memory: int | None


class VmPage(BaseModel):
    items: list[VmRow]
    next: str | None


async def only_from_here(request: Request) -> None:
    """Reject requests that a user's browser sends on behalf of another site (CSRF)."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers["host"]:
        raise HTTPException(403, "the request comes from another site")
    # Forms of other sites cannot send JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send a JSON body, as application/json")
    if request.query_params:
        raise HTTPException(422, "send what to change in the body, not in the query string")


async def start_vms(tower: Cloudtower, where: VmWhereInput) -> list[Vm]:
    vms = await tower.settle(tower.vm.start_vm(where=where))
    if not vms:  # some servers return an empty list instead of 404
        raise HTTPException(404, "no VM matches")
    return vms


class App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document with the schemas of the structs."""
        document = super().openapi()
        components = document.setdefault("components", {})
        components["schemas"] = {**SCHEMAS, **components.get("schemas", {})}
        return document


Tower: TypeAlias = Annotated[Cloudtower, Depends(get_tower)]
CHANGES = [Depends(only_from_here)]
app = App(lifespan=lifespan)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)


@app.get("/livez")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/readyz")
async def ready(tower: Tower) -> dict[str, str]:
    await tower.ping(timeout=2)
    return {"status": "ok"}


@app.get("/vms")
async def list_vms(tower: Tower, wanted: Annotated[VmQuery, Query()]) -> VmPage:
    where = wanted.where()
    if wanted.after is not None:
        where["id_gt"] = wanted.after
    vms = await tower.vm.get_vms(where=where, order_by="id_ASC", first=wanted.first)
    return VmPage(
        items=[VmRow.model_validate(vm) for vm in vms],
        next=vms[-1].id if vms else None,  # a short page is not always the last page
    )


@app.post("/vms/start", dependencies=CHANGES)
async def start_all(tower: Tower, wanted: VmFilter) -> list[str]:
    return [vm.name for vm in await start_vms(tower, wanted.where())]


@app.get("/vms/{name}", response_model=VmRow)
async def show(tower: Tower, name: str) -> Vm:
    return await tower.get_one(tower.vm.get_vms, where={"name": name})


@app.get(
    "/vms/{name}/whole", responses={200: {"content": {"application/json": {"schema": WHOLE_VM}}}}
)
async def show_whole(tower: Tower, name: str) -> Response:
    vm = await tower.get_one(tower.vm.get_vms, where={"name": name})
    return Response(msgspec.json.encode(vm), media_type="application/json")


@app.post("/vms/{name}/start", dependencies=CHANGES, response_model=VmRow)
async def start(tower: Tower, name: str) -> Vm:
    vm = await tower.get_one(tower.vm.get_vms, where={"name": name})
    [vm] = await start_vms(tower, {"id": vm.id})
    return vm


@app.exception_handler(CloudtowerError)
async def failed(_request: Request, error: CloudtowerError) -> JSONResponse:
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 502)
    return JSONResponse({"detail": str(error)}, status)
