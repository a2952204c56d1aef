"""Growth of NIC errors, from counters that restart, have gaps or are missing."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import MetricsWarning
from cloudtower_async.recipes import measure_nic_errors
from cloudtower_async.recipes.reports.nic_errors import counter_growth
from tests.recipes.towers import simulated

if TYPE_CHECKING:
    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio

STEP = 30_000


def stream(host: dict[str, Any], nic: str, metric: str, values: list[float | None]) -> Any:  # noqa: ANN401
    return {
        "labels": {"_host": host["local_id"], "_device": nic, "metric_name": metric},
        "points": [{"t": 1.7e12 + STEP * place, "v": value} for place, value in enumerate(values)],
    }


def answer(sim: Simulator, *streams: Any, dropped: bool = False) -> None:  # noqa: ANN401
    """Answer all requests for metrics of host networks with these curves."""
    data = {"unit": "COUNT", "step": 30, "dropped": dropped, "sample_streams": streams}
    body = msgspec.json.encode([{"task_id": None, "data": {**data, "samples": None}}])
    sim.faults.answer("get-host-network-metrics", body, times=None)


async def test_every_nic_of_a_healthy_fleet_has_no_errors() -> None:
    async with simulated(clusters=1) as (sim, tower):
        found = await measure_nic_errors(tower, range="1h")
        nics = len(sim.store.table("Nic"))
    assert len(found) == nics
    assert {one.total for one in found} == {0}
    assert found[0].nic == "ens1"


@pytest.mark.filterwarnings("ignore::cloudtower_async.MetricsWarning")
async def test_the_largest_growth_comes_first_and_the_unknown_last() -> None:
    errors, lost = "host_network_receive_errors", "host_network_transmit_dropped_packets"
    async with simulated(clusters=1, hosts_per_cluster=3) as (sim, tower):
        first, second, silent = sim.store.table("Host").values()
        answer(
            sim,
            stream(first, "ens1", errors, [5, 5, 6]),
            stream(first, "ens1", lost, [0, None, 2]),
            stream(second, "ens1", errors, [100, 103, 2, 4]),  # the host was restarted
            stream(second, "ens2", errors, [7]),
            stream(second, "ens3", errors, [None, None]),
            stream(second, "ens4", errors, []),
        )
        found = await measure_nic_errors(tower)
    assert [(one.host_id, one.nic, one.total) for one in found] == [
        (second["id"], "ens1", 7),
        (first["id"], "ens1", 3),
        *[(second["id"], nic, None) for nic in ("ens2", "ens3", "ens4")],
        (silent["id"], None, None),
    ]
    assert (found[1].receive_errors, found[1].transmit_dropped) == (1, 2)
    assert found[1].transmit_errors is None
    assert found[0].host_name == second["name"]


async def test_curves_without_a_host_and_truncated_ones_are_reported() -> None:
    async with simulated(clusters=1, hosts_per_cluster=1) as (sim, tower):
        unknown = {"local_id": "unknown"}
        answer(sim, stream(unknown, "ens1", "host_network_receive_errors", [1, 2]), dropped=True)
        with pytest.warns(MetricsWarning) as warned:
            found = await measure_nic_errors(tower)
        [host] = sim.store.table("Host").values()
    faults = {one.message.fault for one in warned if isinstance(one.message, MetricsWarning)}
    assert {"owner", "dropped"} <= faults
    assert [(one.host_id, one.host_name, one.total) for one in found] == [
        (None, None, 1),
        (host["id"], host["name"], None),
    ]


async def test_only_hosts_of_the_chosen_clusters_are_measured() -> None:
    async with simulated() as (sim, tower):
        cluster = next(iter(sim.store.table("Cluster").values()))
        found = await measure_nic_errors(tower, {"id": cluster["id"]}, range="1h")
    assert {one.host_id for one in found} == set(cluster["hosts"])


@given(st.lists(st.integers(0, 1000), min_size=1), st.sets(st.integers(0, 30)))
def test_growth_is_the_sum_of_all_increases_whatever_is_missing(
    steps: list[int], gaps: set[int]
) -> None:
    counter = [float(value) for value in accumulate(steps, initial=17)]
    inner = gaps & set(range(1, len(counter) - 1))
    shown = [math.nan if place in inner else value for place, value in enumerate(counter)]
    assert counter_growth(shown) == sum(steps)
    restarted = counter_growth([*counter, 0.0, 5.0])
    assert restarted == sum(steps) + 5
