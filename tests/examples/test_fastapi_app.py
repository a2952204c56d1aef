"""The small FastAPI app: its answers and errors."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import jsonschema
import pytest

from cloudtower_async import errors
from cloudtower_async.testing import Simulator
from examples.fastapi_app import STATUSES, app
from tests.examples.serving import serving
from tests.support import set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[tuple[Simulator, aiohttp.ClientSession]]:
    async with Simulator(vms=3) as sim:
        set_login_variables(monkeypatch, sim)
        async with serving(app) as address, aiohttp.ClientSession(address) as session:
            yield sim, session


async def answer(call: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's own kind of context
    async with call as response:
        return response.status, await response.json()


async def test_one_session_serves_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(monkeypatch) as (sim, session):
        vm = sim.add_vm(name="web", status="STOPPED", vcpu=2, memory=2**30)
        stopped = {"id": vm["id"], "name": "web", "status": "STOPPED", "vcpu": 2, "memory": 2**30}
        running = stopped | {"status": "RUNNING"}
        assert await answer(session.get("/vms/web")) == (200, stopped)
        assert await answer(session.post("/vms/web/start", json={})) == (200, running)
        assert await answer(session.get("/vms/web")) == (200, running)
        assert len(sim.sent("login")) == 1


async def test_the_query_string_is_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(monkeypatch) as (sim, session):
        cluster = sim.add_cluster(name="edge")
        sim.add_vm(name="till", status="STOPPED", vcpu=8, cluster=cluster["id"])
        query = "name_contains=il&status=STOPPED&vcpu_gte=8&cluster=edge"
        status, page = await answer(session.get(f"/vms?{query}"))
        assert (status, [(vm["name"], vm["vcpu"]) for vm in page["items"]]) == (200, [("till", 8)])
        assert (await answer(session.get("/vms?vcpu_gte=many")))[0] == 422
        assert (await answer(session.get("/vms?vcpu=8")))[0] == 422
        status, told = await answer(session.get("/vms?status=BROKEN"))
        assert (status, "BROKEN" in told["detail"]) == (422, True)


async def test_pages_lead_to_every_vm_while_vms_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with client(monkeypatch) as (sim, session):
        expected = {sim.add_vm()["id"] for _ in range(10)} | set(sim.store.table("Vm"))
        seen: list[str] = []
        query = "first=3"
        while True:
            status, page = await answer(session.get(f"/vms?{query}"))
            assert status == 200
            if page["next"] is None:
                break
            ids = [vm["id"] for vm in page["items"]]
            assert page["next"] == ids[-1]
            seen += ids
            sim.store.remove("Vm", page["next"])  # the cursor stays valid
            query = f"first=3&after={page['next']}"
        assert seen == sorted(expected)
        for wrong in ("first=0", "first=501", "after="):
            assert (await answer(session.get(f"/vms?{wrong}")))[0] == 422


async def test_a_null_that_the_schema_excludes_and_an_unknown_status_are_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with client(monkeypatch) as (sim, session):
        vm = sim.add_vm(name="web")
        odd = {"name": None, "vcpu": None, "status": "MELTED"}
        body = json.dumps([{**sim.store.get("Vm", vm["id"]), **odd}]).encode()
        sim.faults.answer("get-vms", body, times=None)
        status, page = await answer(session.get("/vms"))
        assert (status, page["items"][0]) == (200, page["items"][0] | odd)
        status, whole = await answer(session.get("/vms/web/whole"))
        assert (status, whole) == (200, whole | odd)


async def test_a_null_in_a_field_that_the_response_model_requires_is_a_500(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(monkeypatch) as (sim, session):
        body = json.dumps([{**sim.add_vm(name="web"), "id": None}]).encode()
        sim.faults.answer("get-vms", body, times=None)
        async with session.get("/vms") as response:
            assert response.status == 500
        assert "validation error for VmRow" in caplog.text


async def test_the_openapi_document_describes_all_fields_of_a_vm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with client(monkeypatch) as (sim, session):
        sim.add_vm(name="web")
        _, document = await answer(session.get("/openapi.json"))
        _, whole = await answer(session.get("/vms/web/whole"))
    responses = document["paths"]["/vms/{name}/whole"]["get"]["responses"]
    reference = responses["200"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/Vm"
    schema = {**document, "$ref": reference}
    jsonschema.validate(whole, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(whole | {"vcpu": "many"}, schema)
    named = re.findall(r"#/components/schemas/(\w+)", json.dumps(document))
    assert set(named) <= set(document["components"]["schemas"])


async def test_the_body_is_the_filter_of_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(monkeypatch) as (sim, session):
        cluster = sim.add_cluster(name="edge")
        sim.add_vm(name="till", status="STOPPED", vcpu=8, cluster=cluster["id"])
        wanted = {"name_contains": "il", "status": "STOPPED", "vcpu_gte": 8, "cluster": "edge"}
        assert await answer(session.post("/vms/start", json=wanted)) == (200, ["till"])
        assert (await answer(session.post("/vms/start", json=wanted)))[0] == 404  # none is left
        assert (await answer(session.post("/vms/start", json={})))[0] == 422  # not everything
        assert (await answer(session.post("/vms/start", json={"vcpu": 8})))[0] == 422


async def test_no_other_site_can_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the requests that a page of another site can send from a user's browser."""
    wanted = {"name_contains": "till"}
    text = json.dumps(wanted)
    form = "application/x-www-form-urlencoded"
    ways: list[tuple[int, str, dict[str, Any]]] = [
        (415, "", {"data": wanted}),
        (415, "?name_contains=till", {}),
        (415, "", {"data": text, "headers": {"content-type": "text/plain"}}),
        (415, "", {"data": text, "headers": {"content-type": f"{form}; application/json"}}),
        (422, "?name_contains=till", {"json": {}}),
        (403, "", {"json": wanted, "headers": {"origin": "https://evil.example"}}),
        (403, "", {"json": wanted, "headers": {"origin": "null"}}),
        (400, "", {"json": wanted, "headers": {"host": "evil.example"}}),
    ]
    async with client(monkeypatch) as (sim, session):
        sim.add_vm(name="till", status="STOPPED")
        for path in ("/vms/start", "/vms/till/start"):
            for status, query, sent in ways:
                async with session.post(f"{path}{query}", **sent) as response:
                    assert response.status == status, (path, query, sent)
        async with session.get("/vms", headers={"host": "evil.example"}) as response:
            assert response.status == 400
        assert sim.mutations() == []
        own = {"origin": str(session._base_url).rstrip("/")}  # pyright: ignore[reportPrivateUsage]
        assert (await answer(session.post("/vms/start", json=wanted, headers=own)))[0] == 200


async def test_errors_become_statuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(monkeypatch) as (sim, session):
        for name in ("web", "twin", "twin"):
            sim.add_vm(name=name, status="STOPPED")
        status, told = await answer(session.get("/vms/nobody"))
        assert (status, list(told)) == (404, ["detail"])
        assert (await answer(session.get("/vms/twin")))[0] == 409

        sim.faults.fail("start-vm", status=500)
        status, told = await answer(session.post("/vms/web/start", json={}))
        assert status == 504
        assert "vm.start_vm" in told["detail"]
        sim.faults.fail("get-vms", status=403)
        assert (await answer(session.get("/vms/web")))[0] == 502
        assert await answer(session.get("/readyz")) == (200, {"status": "ok"})
        await sim.nodes[0].refuse()
        assert (await answer(session.get("/vms/web")))[0] == 503
        assert (await answer(session.get("/readyz")))[0] == 503
        assert await answer(session.get("/livez")) == (200, {"status": "ok"})


def subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_no_error_becomes_a_status_that_blames_the_caller_wrongly() -> None:
    blamed = {
        error.__name__: status
        for error in subclasses(errors.CloudtowerError)
        for status in [next((status for kind, status in STATUSES if issubclass(error, kind)), 502)]
        if status < 500
    }
    assert blamed == {
        "MutationRefused": 403,
        "NotFound": 404,
        "Ambiguous": 409,
        "ResourceLocked": 409,
        "LockTimeout": 409,
        "InvalidInput": 422,
        "EmptyFilter": 422,
        "BadRequest": 422,
    }
