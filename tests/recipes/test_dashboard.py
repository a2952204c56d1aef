"""The dashboard over HTTP against the simulator, compared with sums computed in another way."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import (
    CallError,
    Cloudtower,
    InvalidInput,
    ServerError,
    models,
    select_fields,
)
from cloudtower_async.recipes import Amount, Dashboard, build_dashboard
from cloudtower_async.recipes.dashboard import ClusterRow, HostRow, summarise
from cloudtower_async.testing import Simulator
from tests.support import TOKEN, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

GET_ALL = ("get-clusters", "get-hosts", "get-disks", "get-alerts")


@asynccontextmanager
async def simulated(clusters: int = 3) -> AsyncGenerator[tuple[Simulator, Cloudtower]]:
    async with (
        Simulator(clusters=clusters, vms=clusters * 8) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        yield sim, tower


def rows(sim: Simulator, resource: str) -> list[dict[str, Any]]:
    return list(sim.store.table(resource).values())


def figure(part: Amount) -> float | None:
    assert part.unknown == 0
    return part.value


async def test_every_figure_equals_the_sum_over_the_stored_resources() -> None:
    async with simulated() as (sim, tower):
        board = await build_dashboard(tower)
        clusters, hosts = rows(sim, "Cluster"), rows(sim, "Host")
    elf = {one["id"] for one in clusters if one["hypervisor"] == "ELF"}
    vmware = [one for one in clusters if one["hypervisor"] == "VMWARE"]
    assert len(elf) == 2
    assert len(vmware) == 1

    used_hz = sum(one["used_cpu_hz"] for one in clusters)
    all_hz = sum(one["total_cpu_hz"] for one in clusters)
    assert figure(board.cpu.cores) == sum(one["total_cpu_cores"] for one in clusters)
    assert figure(board.cpu.total) == all_hz
    assert figure(board.cpu.used) == pytest.approx(used_hz)
    assert figure(board.cpu.usage) == pytest.approx(used_hz / all_hz * 100)

    memory = [one for one in hosts if one["cluster"] in elf] + vmware
    all_bytes = sum(one["total_memory_bytes"] for one in memory)
    used_bytes = sum(one["used_memory_bytes"] for one in memory)
    assert figure(board.memory.total) == all_bytes
    assert figure(board.memory.used) == pytest.approx(used_bytes)
    assert figure(board.memory.usage) == pytest.approx(used_bytes / all_bytes * 100)

    space = sum(one["total_data_capacity"] for one in clusters)
    used = sum(one["used_data_space"] for one in clusters)
    failed = sum(one["failure_data_space"] for one in clusters)
    assert failed > 0
    assert figure(board.storage.total) == space
    assert figure(board.storage.used) == used
    assert figure(board.storage.failed) == failed
    assert figure(board.storage.available) == space - used - failed
    assert figure(board.storage.usage) == pytest.approx(used / space * 100)

    assert sorted(one.name for one in board.clusters) == [one.name for one in board.clusters]
    assert {one.id for one in board.clusters} == {one["id"] for one in clusters}
    assert [one.hosts for one in board.clusters] == [3, 3, 3]


async def test_disks_count_by_type_and_state() -> None:
    async with simulated() as (sim, tower):
        hard = [disk for disk in rows(sim, "Disk") if disk["type"] == "HDD"]
        for disk in hard:
            disk |= {"health_status": "HEALTHY", "usage_status": "MOUNTED"}
        bad = ("UNHEALTHY", "SUBHEALTHY", "SMART_FAILED", "SOFTWARE_RAID_FAILURE")
        for disk, health in zip(hard, bad, strict=False):
            disk |= {"health_status": health, "usage_status": "UNMOUNTED"}
        hard[4]["usage_status"] = "UNMOUNTED"
        hard[5]["usage_status"] = "PARTIAL_MOUNTED"
        hard[6]["health_status"] = "OF_ANOTHER_WORLD"
        hard[7] |= {"health_status": None, "healthy": False}
        hard[8] |= {"health_status": None, "healthy": True}
        hard[9] |= {"health_status": None, "healthy": None}
        hard[10]["type"] = "PUNCH_CARD"
        hard[11]["type"] = None
        board = await build_dashboard(tower)
        others = [disk for disk in rows(sim, "Disk") if disk["type"] in {"SSD", "NVMe_SSD"}]
    disks = board.disks["HDD"]
    assert (disks.error, disks.warning, disks.unknown) == (5, 2, 2)
    assert disks.total == len(hard) - 2
    assert disks.healthy == disks.total - 9
    assert board.disks["PUNCH_CARD"].total == board.disks["UNKNOWN"].total == 1
    assert set(models.DiskType) <= set(board.disks)
    assert board.disks["SSD"].total + board.disks["NVMe_SSD"].total == len(others)
    assert board.disks["PMem"].total == 0


async def test_only_current_alerts_are_listed_newest_first() -> None:
    async with simulated(4) as (sim, tower):
        alerts = rows(sim, "Alert")
        lasting = [alert for alert in alerts if not alert["ended"]]
        lasting[-1]["severity"] = "ODD"
        board = await build_dashboard(tower)
    assert len(lasting) < len(alerts)
    by_severity = {
        "CRITICAL": board.alerts.critical,
        "NOTICE": board.alerts.notice,
        "INFO": board.alerts.info,
        "ODD": board.alerts.other,
    }
    for severity, shown in by_severity.items():
        expected = [alert for alert in lasting if alert["severity"] == severity]
        expected.sort(key=lambda alert: alert["local_start_time"], reverse=True)
        assert [alert.id for alert in shown] == [alert["id"] for alert in expected]
    counts = board.alerts.counts
    assert (counts.critical, counts.notice) == (
        len(board.alerts.critical),
        len(board.alerts.notice),
    )
    assert (counts.info, counts.other) == (len(board.alerts.info), 1)
    assert counts.total == len(lasting) == sum(one.alerts.total for one in board.clusters)


async def test_unknown_figures_do_not_affect_the_others() -> None:
    async with simulated() as (sim, tower):
        first, second, third = rows(sim, "Cluster")
        first |= dict.fromkeys(
            ("used_cpu_hz", "total_cpu_cores", "used_data_space", "failure_data_space")
        )
        lost = next(host for host in rows(sim, "Host") if host["cluster"] == second["id"])
        lost |= {"used_memory_bytes": None, "total_memory_bytes": None}
        third["used_memory_bytes"] = None
        board = await build_dashboard(tower)
        hosts = rows(sim, "Host")
    assert board.cpu.cores.unknown == board.cpu.used.unknown == board.cpu.usage.unknown == 1
    assert board.cpu.total.unknown == 0
    known = [second, third]
    assert board.cpu.used.value == pytest.approx(sum(one["used_cpu_hz"] for one in known))
    assert board.cpu.used.text.startswith("≥ ")
    assert board.cpu.usage.value == pytest.approx(
        100 * sum(one["used_cpu_hz"] for one in known) / sum(one["total_cpu_hz"] for one in known)
    )
    assert board.storage.available.value == sum(
        one["total_data_capacity"] - one["used_data_space"] - one["failure_data_space"]
        for one in known
    )
    assert board.storage.available.unknown == 1
    elf = [one for one in hosts if one["cluster"] != third["id"] and one is not lost]
    assert board.memory.used.unknown == 2
    assert board.memory.total.unknown == 1
    assert board.memory.used.value == pytest.approx(sum(one["used_memory_bytes"] for one in elf))
    blank = next(one for one in board.clusters if one.id == first["id"])
    assert blank.cpu is not None
    assert blank.cpu.used.value is None
    assert str(blank.cpu.used) == str(blank.cpu.usage) == "unknown"


async def test_a_dashboard_is_built_from_resources_with_null_texts() -> None:
    async with simulated() as (sim, tower):
        for cluster in rows(sim, "Cluster"):
            cluster |= dict.fromkeys(("name", "type", "version", "connect_state", "hypervisor"))
        for host in rows(sim, "Host"):
            host["cluster"] = None
        for alert in rows(sim, "Alert"):
            alert |= dict.fromkeys(("severity", "message", "local_start_time", "cluster"))
        board = await build_dashboard(tower)
    for one in board.clusters:
        assert one.name == one.id
        assert one.type == one.version == one.connect_state == "UNKNOWN"
        assert (one.hosts, one.cpu, one.memory) == (3, None, None)
    assert board.alerts.counts.other == board.alerts.counts.total > 0


async def test_memory_of_a_vmware_cluster_is_read_from_the_cluster() -> None:
    async with simulated() as (sim, tower):
        cluster = next(one for one in rows(sim, "Cluster") if one["hypervisor"] == "VMWARE")
        cluster |= {"total_memory_bytes": 4096, "used_memory_bytes": 1024.0}
        board = await build_dashboard(tower, [cluster["id"]])
    assert (board.memory.total.value, board.memory.used.value) == (4096, 1024)
    assert board.memory.usage.text == "25.00%"


async def test_only_chosen_clusters_are_shown() -> None:
    async with simulated() as (sim, tower):
        chosen, *_ = rows(sim, "Cluster")
        board = await build_dashboard(tower, (chosen["id"],))
        asked = {request.path: request.body for request in sim.requests if request.path in GET_ALL}
        hosts = {one["id"] for one in rows(sim, "Host") if one["cluster"] == chosen["id"]}
        disks = [one for one in rows(sim, "Disk") if one["host"] in hosts]
        alerts = [
            one for one in rows(sim, "Alert") if one["cluster"] == chosen["id"] and not one["ended"]
        ]
    of_chosen = {"id_in": [chosen["id"]]}
    assert asked == {
        "get-clusters": {"where": of_chosen},
        "get-hosts": {"where": {"cluster": of_chosen}},
        "get-disks": {"where": {"host": {"cluster": of_chosen}}},
        "get-alerts": {"where": {"ended": False, "cluster": of_chosen}},
    }
    assert [one.id for one in board.clusters] == [chosen["id"]]
    assert figure(board.cpu.cores) == chosen["total_cpu_cores"]
    assert board.clusters[0].hosts == len(hosts)
    assert sum(one.total for one in board.disks.values()) == len(disks)
    assert board.alerts.counts.total == len(alerts)


async def test_without_a_choice_all_clusters_are_requested() -> None:
    async with simulated() as (sim, tower):
        await build_dashboard(tower)
        asked = {request.path: request.body for request in sim.requests if request.path in GET_ALL}
    assert asked == {path: {} for path in GET_ALL} | {"get-alerts": {"where": {"ended": False}}}


@pytest.mark.parametrize("ids", [[], (), set[str](), "cl1"])
async def test_a_choice_of_nothing_is_refused(ids: Any) -> None:  # noqa: ANN401
    async with simulated() as (sim, tower):
        before = len(sim.requests)
        with pytest.raises(InvalidInput, match="cluster_ids"):
            await build_dashboard(tower, ids)
        assert len(sim.requests) == before


async def test_alerts_are_returned_in_the_requested_language() -> None:
    async with simulated() as (sim, tower):
        english = await build_dashboard(tower)
        chinese = await build_dashboard(tower, content_language="zh-CN")
        translations = sim.store.translations
    for here, there in zip(english.alerts.critical, chinese.alerts.critical, strict=True):
        assert there.message == translations[here.message] != here.message


async def test_an_empty_tower_has_an_empty_dashboard() -> None:
    async with (
        Simulator(clusters=0, vms=0) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        board = await build_dashboard(tower)
    assert board.clusters == []
    assert board.cpu.total.value == board.memory.total.value == board.storage.available.value == 0
    assert board.cpu.usage.value is board.memory.usage.value is board.storage.usage.value is None
    assert board.storage.total.text == "0B"


async def test_the_four_requests_are_under_way_at_once() -> None:
    waiting: set[str] = set()
    all_there = anyio.Event()

    async def answer(request: web.Request) -> web.Response:
        waiting.add(request.path.rpartition("/")[2])
        if waiting == set(GET_ALL):
            all_there.set()
        await all_there.wait()
        return web.json_response([])

    async with serve(answer) as url, Cloudtower(url, token=TOKEN, timeout=20) as tower:
        await build_dashboard(tower)
    assert waiting == set(GET_ALL)


@pytest.mark.parametrize("operation", GET_ALL)
async def test_one_call_that_fails_ends_it_with_its_own_error(operation: str) -> None:
    async with simulated() as (sim, tower):
        for other in GET_ALL:
            if other != operation:
                sim.faults.hang(other)
        sim.faults.fail(operation, status=500)
        with pytest.raises(ServerError) as caught:
            await build_dashboard(tower)
        assert operation.replace("-", "_") in caught.value.operation
        sim.faults.clear()
        assert await build_dashboard(tower)  # the session still works


async def test_all_calls_that_fail_end_it_with_one_error() -> None:
    async with simulated() as (sim, tower):
        sim.faults.fail(times=4)
        with pytest.raises(CallError):
            await build_dashboard(tower)


async def test_a_dashboard_survives_a_round_trip_through_json() -> None:
    async with simulated(4) as (_, tower):
        board = await build_dashboard(tower)
    text = msgspec.json.encode(board)
    assert msgspec.json.decode(text, type=Dashboard) == board
    plain = msgspec.json.decode(text)
    assert list(plain) == [*("built_at", "clusters", "alerts", "disks", "cpu", "memory", "storage")]
    assert list(plain["memory"]["used"]) == ["value", "unit", "text", "unknown"]


figures = st.none() | st.integers(min_value=0, max_value=2**60)
cluster_figures = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["SMTX_OS", "SMTX_ELF", "SMTX_ZBS", "NEW"]),
        "hypervisor": st.sampled_from([None, "ELF", "VMWARE", "XENSERVER", "NEW"]),
        **dict.fromkeys(
            (
                *("total_cpu_cores", "total_cpu_hz", "used_cpu_hz"),
                *("total_memory_bytes", "used_memory_bytes"),
                *("total_data_capacity", "used_data_space", "failure_data_space"),
            ),
            figures,
        ),
    }
)


def cluster(number: int, **values: object) -> ClusterRow:
    return msgspec.convert(
        {
            "id": f"cl{number}",
            "name": f"cluster {number}",
            "connect_state": "CONNECTED",
            "version": "6.2.0",
            **values,
        },
        ClusterRow,
    )


@given(st.lists(cluster_figures, max_size=6))
def test_sums_are_plausible_for_all_figures(given_figures: list[dict[str, Any]]) -> None:
    board = summarise([cluster(n, **each) for n, each in enumerate(given_figures)], [], [], [])
    for share in (board.cpu.usage, board.memory.usage, board.storage.usage):
        assert share.value is None or 0 <= share.value <= 100
    assert board.storage.available.value is None or board.storage.available.value >= 0
    smtx_os = [each for each in given_figures if each["type"] == "SMTX_OS"]
    assert board.cpu.total.unknown == sum(each["total_cpu_hz"] is None for each in smtx_os)
    for shown, each in zip(board.clusters, given_figures, strict=True):
        assert (shown.cpu is None) == (each["type"] != "SMTX_OS")


def test_a_cluster_without_storage_does_not_count_as_unknown() -> None:
    board = summarise(
        [cluster(1, type="SMTX_ELF", hypervisor="ELF"), cluster(2, type="SMTX_OS")], [], [], []
    )
    assert board.clusters[0].storage is None
    assert board.storage.total.unknown == 1


def test_memory_counts_for_elf_and_vmware_only() -> None:
    figures_ = {"total_memory_bytes": 10, "used_memory_bytes": 5}
    board = summarise(
        [
            cluster(1, type="SMTX_OS", hypervisor="XENSERVER", **figures_),
            cluster(2, type="SMTX_ZBS", hypervisor="VMWARE", **figures_),
            cluster(3, type="SMTX_OS", hypervisor="VMWARE", **figures_),
            cluster(4, type="SMTX_OS", hypervisor=None, **figures_),
        ],
        [],
        [],
        [],
    )
    assert [one.memory is None for one in board.clusters] == [True, True, False, False]
    assert (board.memory.total.value, board.memory.total.unknown) == (10, 1)


async def test_an_overfull_cluster_takes_nothing_from_the_free_space_of_others() -> None:
    async with simulated(2) as (sim, tower):
        full, free = rows(sim, "Cluster")
        space = {"total_data_capacity": 100, "failure_data_space": 0}
        full |= {**space, "used_data_space": 150}
        free |= {**space, "used_data_space": 40}
        board = await build_dashboard(tower)
    assert figure(board.storage.available) == 60
    by_id = {one.id: one.storage for one in board.clusters}
    overfull = by_id[full["id"]]
    assert overfull is not None
    assert figure(overfull.available) == 0


async def test_it_equals_the_sums_of_full_answers() -> None:
    async with simulated(4) as (_, tower):
        board = await build_dashboard(tower)
        full: list[Any] = [
            await tower.cluster.get_clusters(),
            await tower.host.get_hosts(),
            await tower.disk.get_disks(),
            await tower.alert.get_alerts(where={"ended": False}),
        ]
    same = summarise(*full)
    assert msgspec.structs.replace(same, built_at=board.built_at) == board


@pytest.mark.parametrize("strict", [False, True])
async def test_a_broken_field_that_it_does_not_show_changes_nothing(
    strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulated(2) as (sim, tower):
        whole = await build_dashboard(tower)
        for name in ("Cluster", "Host", "Disk"):
            for row in rows(sim, name):
                row["local_id"] = 5
        async with Cloudtower(
            sim.url, username=sim.username, password=sim.password, strict=strict
        ) as other:
            broken = await build_dashboard(other)
    assert msgspec.structs.replace(broken, built_at=whole.built_at) == whole
    assert not caplog.records


async def test_hosts_that_are_not_listed_are_counted_as_unknown() -> None:
    async with simulated(1) as (sim, tower):
        [cluster] = rows(sim, "Cluster")
        assert cluster["hypervisor"] == "ELF"
        lost, *others = rows(sim, "Host")
        sim.store.remove("Host", lost["id"])
        cluster |= {"host_num": len(others) + 1, "hosts": []}
        board = await build_dashboard(tower)
    assert board.memory.total.unknown == board.memory.usage.unknown == 1
    assert board.memory.total.value == sum(host["total_memory_bytes"] for host in others)
    [summary] = board.clusters
    assert summary.hosts == len(others) + 1


async def test_hosts_and_alerts_of_no_cluster_are_not_given_to_a_cluster_without_an_id() -> None:
    async with simulated(1) as (sim, tower):
        [cluster] = rows(sim, "Cluster")
        for row in (*rows(sim, "Host"), *rows(sim, "Alert")):
            row["cluster"] = None
        cluster |= {"host_num": 0, "hosts": []}
        clusters = await select_fields(tower.cluster.get_clusters, ClusterRow)()
        hosts = await select_fields(tower.host.get_hosts, HostRow)()
        alerts = await tower.alert.get_alerts()
    nameless = [msgspec.structs.replace(one, id=cast("Any", None)) for one in clusters]
    [summary] = summarise(nameless, hosts, [], alerts).clusters
    assert (summary.hosts, summary.alerts.total) == (0, 0)
