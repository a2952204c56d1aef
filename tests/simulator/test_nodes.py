"""An active/passive pair with a bare client, with ours, and with the vendor's."""

# ruff: noqa: ANN401 - the vendor's client has no types
from __future__ import annotations

import gc
import importlib
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio.to_thread
import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, RetryPolicy, UnexpectedStatus
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

cloudtower: Any = pytest.importorskip("cloudtower")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(standby=True) as sim:
        yield sim


async def probe(url: str) -> tuple[int, str | None]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/healthz", allow_redirects=False) as response,
    ):
        return response.status, response.headers.get("location")


async def test_one_node_is_active_and_the_other_passive(sim: Simulator) -> None:
    active, passive = sim.nodes
    assert active.url == sim.url != passive.url
    assert await probe(active.url) == (200, None)
    assert await probe(passive.url) == (307, f"{active.url}/api/healthz")
    sim.switch()
    assert await probe(active.url) == (307, f"{passive.url}/api/healthz")
    assert await probe(passive.url) == (200, None)
    sim.switch()
    assert await probe(active.url) == (200, None)


async def test_nodes_can_fail_or_be_both_active_or_passive(sim: Simulator) -> None:
    first, second = sim.nodes
    second.state = "active"
    assert [await probe(node.url) for node in sim.nodes] == [(200, None)] * 2
    first.state = second.state = "passive"
    assert [await probe(node.url) for node in sim.nodes] == [(307, None)] * 2
    first.state = "failing"
    assert await probe(first.url) == (503, None)
    assert first.turned_away == ["/api/healthz"] * 2


async def test_a_passive_node_executes_no_requests(sim: Simulator) -> None:
    passive = sim.nodes[1]
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        token = sim.requests[0]
        assert token.path == "login"
        vm = (await tower.vm.get_vms(where={"status": "STOPPED"}, first=1))[0]
    before = len(sim.requests)
    once = RetryPolicy(attempts=1)
    other = Cloudtower(passive.url, username=sim.username, password=sim.password, retry=once)
    with pytest.raises(UnexpectedStatus):
        await other.vm.start_vm(where={"id": vm.id})
    await other.close()
    assert len(sim.requests) == before
    assert passive.turned_away == ["/v2/api/login"]
    assert sim.store.get("Vm", vm.id)["status"] == "STOPPED"


async def test_the_latest_rejected_requests_are_kept() -> None:
    async with Simulator(vms=1, standby=True, keep_requests=2) as sim:
        passive = sim.nodes[1]
        for path in ("a", "b", "c"):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{passive.url}/{path}", allow_redirects=False),
            ):
                pass
        assert passive.turned_away == ["/b", "/c"]


async def test_a_port_that_is_taken_leaves_nothing_behind(sim: Simulator) -> None:
    port = int(sim.url.rpartition(":")[2])
    second = Simulator(vms=1, port=port, standby=True)
    with pytest.raises(OSError, match="address already in use"):
        await second.__aenter__()
    set_up = [one for one in gc.get_objects() if isinstance(one, web.ServerRunner) and one.server]
    assert len(set_up) == len(sim.nodes)
    await second.__aexit__(None, None, None)  # there is nothing left to end


async def test_both_nodes_share_resources_and_tokens(sim: Simulator) -> None:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        await tower.vm.get_vms(first=1)
    token = sim.requests[-1].headers["authorization"]
    sim.switch()
    async with Cloudtower(sim.nodes[1].url, token=token) as tower:
        vms = await tower.vm.get_vms()
    assert {vm.id for vm in vms} == set(sim.store.table("Vm"))


async def test_a_simulator_alone_has_one_node() -> None:
    async with Simulator(vms=1) as sim:
        assert [node.url for node in sim.nodes] == [sim.url]
        sim.nodes[0].state = "passive"
        assert await probe(sim.url) == (307, None)


async def test_the_vendors_client_follows_the_active_node(sim: Simulator) -> None:
    module = importlib.import_module("cloudtower.active_passive_client")

    def client(**options: Any) -> Any:
        endpoints = [{"root_url": node.url, "scheme": "http"} for node in sim.nodes]
        user = {"name": sim.username, "password": sim.password, "source": "LOCAL"}
        return module.ActivePassiveApiClient(endpoints, user_config=user, **options)

    def ask() -> list[str]:
        api = cloudtower.VmApi(client())
        seen: list[str] = []
        for _ in range(3):
            assert len(api.get_vms({"first": 2})) == 2
            seen.append(api.api_client.current_active_base_url)
            sim.switch()
        return seen

    def ask_by_hand() -> None:
        api = cloudtower.VmApi(client(failover_strategy="manual_failover"))
        api.get_vms({"first": 1})
        sim.switch()
        with pytest.raises(module.ActivePassiveFailoverRequired):
            api.get_vms({"first": 1})

    def ask_nobody() -> None:
        for node in sim.nodes:
            node.state = "passive"
        with pytest.raises(module.ActivePassiveNoActiveHost):
            client()
        for node in sim.nodes:
            node.state = "active"
        with pytest.raises(module.ActivePassiveMultipleActives):
            client()

    seen = await anyio.to_thread.run_sync(ask)
    assert seen[0] == seen[2] != seen[1]
    await anyio.to_thread.run_sync(ask_by_hand)
    await anyio.to_thread.run_sync(ask_nobody)
