"""The log of requests, as tests use it."""

from __future__ import annotations

import aiohttp
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio


async def test_the_bodies_of_one_operation_come_in_their_order() -> None:
    async with (
        Simulator(vms=4) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        await tower.vm.get_vms(first=1)
        await tower.cluster.get_clusters()
        await tower.vm.get_vms(where={"name": "none"})
        assert sim.sent("get-vms") == [{"first": 1}, {"where": {"name": "none"}}]
        assert sim.sent("get-hosts") == []
        with pytest.raises(ValueError, match=r"get-vmms: no operation has this path; .*get-vms"):
            sim.sent("get-vmms")
        for name in ("shut-down-vm", "shut_down_vm", "vm.shut_down_vm"):
            with pytest.raises(ValueError, match=r"path of `vm.shut_down_vm` is 'shutdown-vm'"):
                sim.sent(name)


async def test_queries_and_logging_in_are_no_mutations() -> None:
    async with (
        Simulator(vms=4) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        await tower.vm.get_vms(first=1)
        assert sim.mutations() == []
        await tower.label.create_label([{"key": "team", "value": "blue"}])
        (sent,) = sim.mutations()
        assert (sent.path, sent.body) == ("create-label", [{"key": "team", "value": "blue"}])


async def test_a_mutation_over_graphql_is_one_and_a_query_is_none() -> None:
    async with Simulator(vms=4) as sim, aiohttp.ClientSession() as session:
        texts = ("{authnStrategies{id type}}", "  mutation createApiKey { createApiKey { id } }")
        for text in texts:
            async with session.post(f"{sim.url}/api", json={"query": text}):
                pass
        async with session.get(f"{sim.url}/api/healthz"):
            pass
        (sent,) = sim.mutations()
        assert sent.body == {"query": texts[1]}


@pytest.mark.parametrize(("keep", "kept"), [(2, 2), (0, 0), (None, 5)])
async def test_the_latest_requests_are_kept(keep: int | None, kept: int) -> None:
    async with (
        Simulator(vms=4, keep_requests=keep) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        requests = sim.requests
        for number in range(4):
            await tower.vm.get_vms(first=number)
        assert [request.path for request in requests][-2:] == ["get-vms"] * min(kept, 2)
        assert len(requests) == kept
        assert sim.sent("get-vms") == [{"first": number} for number in range(4)][max(4 - kept, 0) :]
