"""Pages of the exporter for Towers that work, answer oddly, hang or are unreachable."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest

from cloudtower_async import Cloudtower, CloudtowerError, InvalidInput, InvalidSettings, RetryPolicy
from cloudtower_async.jobs.exporter import Exporter, MetricsServer
from cloudtower_async.jobs.exporter.collectors import COLLECTORS, LIMITS
from cloudtower_async.jobs.exporter.families import FAMILIES
from cloudtower_async.testing import Simulator
from tests.jobs.exporter.pages import Page, parse
from tests.odd_servers import proxy
from tests.pages import DOCS
from tests.support import PASSWORD, TOKEN, serve, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from aiohttp import web

    from cloudtower_async.options import Mutations
    from tests.conftest import Loop

pytestmark = pytest.mark.anyio

LONG = 1_000.0
"""Interval in seconds that never passes unless a test puts the clock forward."""


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=2, vms=40, seed=5, task_duration=0.0) as simulator:
        yield simulator


def session(sim: Simulator, url: str | None = None) -> Cloudtower:
    return Cloudtower(
        url or sim.url,
        username=sim.username,
        password=sim.password,
        retry=RetryPolicy(attempts=1),
    )


@asynccontextmanager
async def exporting(
    *towers: Cloudtower,
    collect: bool = True,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[Exporter]:
    """Run an exporter of Towers ``t0``, ``t1``, …, and collect once from each."""
    given: dict[str, Any] = {"interval": LONG, **options}
    named = {f"t{place}": tower for place, tower in enumerate(towers)}
    try:
        async with Exporter(named, **given) as exporter:
            if collect:
                await exporter.collected()
            yield exporter
    finally:
        for tower in towers:
            await tower.close()


async def read(*towers: Cloudtower, **options: Any) -> Page:  # noqa: ANN401
    """Return the page after the first collection."""
    async with exporting(*towers, **options) as exporter:
        return parse(exporter.page())


async def put_clock_forward(seconds: float) -> None:
    """Put the clock forward, and run everything that waited for that time."""
    cast("Loop", asyncio.get_running_loop()).ahead += seconds
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


async def collect_again(exporter: Exporter, *forward: float) -> None:
    """Put the clock forward in steps, and wait until a collection has ended."""
    async with anyio.create_task_group() as group:
        group.start_soon(exporter.collected)
        await anyio.lowlevel.checkpoint()
        for seconds in forward:
            await put_clock_forward(seconds)


@asynccontextmanager
async def hanging_server() -> AsyncGenerator[str]:
    async def never(_: web.Request) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(never) as url:
        yield url


# The page


async def test_every_metric_has_help_and_type_and_a_name_by_the_rules(sim: Simulator) -> None:
    page = await read(session(sim), vm_metrics=True)
    headed = Counter(re.findall(r"^# (HELP|TYPE) (\S+) \S", page.text, re.MULTILINE))
    names = {family.name for family in FAMILIES} | {"cloudtower_exporter_info"}
    assert headed == Counter({(kind, name): 1 for name in names for kind in ("HELP", "TYPE")})
    assert {sample.name for sample in page.samples} <= names
    for family in FAMILIES:
        assert re.fullmatch(r"cloudtower_[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert not re.search("_(percent|days|ms|gb|mhz|hz|count)(_|$)", family.name)
        assert family.help.endswith(".")


def test_the_documentation_lists_every_metric() -> None:
    rows = re.findall(
        r"^\| `(cloudtower_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$",
        (DOCS / "exporter.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rows == [
        (one.name, one.kind, ", ".join(f"`{label}`" for label in one.labels), one.help)
        for one in FAMILIES
    ]


async def test_every_metric_is_shown_for_a_tower_that_is_well(sim: Simulator) -> None:
    page = await read(session(sim), vm_metrics=True)
    without_samples = {
        family.name
        for family in FAMILIES
        if not any(sample.name == family.name for sample in page.samples)
    }
    assert without_samples == {"cloudtower_collection_failures_total"}
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in page.samples]
    assert len(series) == len(set(series))


async def test_figures_are_those_of_the_tower(sim: Simulator) -> None:
    async with session(sim) as tower:
        page = await read(session(sim))
        vms = await tower.vm.get_vms()
        hosts = await tower.host.get_hosts()
        disks = await tower.disk.get_disks()
        alerts = await tower.alert.get_alerts(where={"ended": False})
        clusters = await tower.cluster.get_clusters()
    statuses = Counter[str](vm.status for vm in vms)
    assert page.values("cloudtower_vms", "status") == dict.fromkeys(
        ("DELETED", "RUNNING", "STOPPED", "SUSPENDED", "UNKNOWN"), 0
    ) | dict(statuses)
    assert page.values("cloudtower_host_memory_capacity_bytes", "host_id") == {
        host.id: host.total_memory_bytes for host in hosts
    }
    assert page.values("cloudtower_host_status", "host", "cluster", "status") == {
        (host.name, host.cluster.name, host.status): 1 for host in hosts
    }
    assert sum(page.values("cloudtower_disks", "host_id", "type", "health").values()) == len(disks)
    severities = Counter[str]()
    for sample in page.metrics["cloudtower_alerts"].samples:
        severities[sample.labels["severity"]] += int(sample.value)
    assert +severities == Counter(alert.severity for alert in alerts)
    for cluster in clusters:
        storage = page.value("cloudtower_cluster_storage_capacity_bytes", cluster=cluster.name)
        assert storage == cluster.total_data_capacity
        assert page.value("cloudtower_cluster_hosts", cluster_id=cluster.id) == cluster.host_num
    assert page.value("cloudtower_info", version="4.9.0") == 1


async def test_licenses_end_at_a_unix_time(sim: Simulator) -> None:
    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        dates = ["2027-01-01T00:00:00.000Z", "", "soon", None]
        if path == "get-licenses" and answer:
            return [{**answer[0], "id": f"l{n}", "expire_date": dates[n]} for n in range(4)]
        return answer

    async with proxy(sim.url, tell=tell) as url:
        page = await read(session(sim, url))
    expiry = page.values("cloudtower_license_expiry_timestamp_seconds", "license_id")
    assert expiry == {"l0": 1_798_761_600}


async def test_a_page_holds_no_secret_and_no_text_of_an_error(sim: Simulator) -> None:
    sim.faults.fail("get-disks", status=403, body=b'{"message": "no disks for mallory"}')
    page = await read(session(sim), vm_metrics=True)
    assert page.value("cloudtower_collector_success", collector="disks") == 0
    for text in (sim.username, sim.password, "mallory", sim.url, PASSWORD, TOKEN):
        assert text not in page.text


# Odd answers


async def test_names_cannot_break_the_page(sim: Simulator) -> None:
    name = 'a"b\\c\nd\te\x1b[31m\u2028\u202e\ud800 {x="1"} 1\n# TYPE evil counter'

    def tell(_: str, __: Any, answer: Any) -> Any:  # noqa: ANN401
        return renamed(answer, name.replace("\ud800", ""))

    async with proxy(sim.url, tell=tell) as url:
        page = await read(session(sim, url), vm_metrics=True)
    assert page.value("cloudtower_up") == 1
    shown = {
        sample.labels.get("cluster") for sample in page.samples if sample.labels.get("cluster")
    }
    assert shown == {'a"b\\c d e [31m    {x="1"} 1 # TYPE evil counter'.replace("    ", "   ")}
    assert "evil" not in page.metrics
    assert not re.search(r"[^\n\x20-\x7e]", page.text)


def renamed(answer: Any, name: str) -> Any:  # noqa: ANN401
    """Set every name in an answer to this text."""
    if isinstance(answer, list):
        return [renamed(one, name) for one in cast("list[object]", answer)]
    if isinstance(answer, dict):
        fields = cast("dict[str, Any]", answer)
        return {key: name if key == "name" else renamed(one, name) for key, one in fields.items()}
    return answer


async def test_long_names_are_cut(sim: Simulator) -> None:
    async with proxy(sim.url, tell=lambda _, __, answer: renamed(answer, "n" * 10_000)) as url:
        page = await read(session(sim, url))
    assert max(len(text) for one in page.samples for text in one.labels.values()) <= 501


async def test_unknown_values_of_enums_share_one_label(sim: Simulator) -> None:
    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        new = {"get-alerts": "severity", "get-disks": "type", "get-hosts": "status"}.get(path)
        return [{**row, new: f"NEW_{n}"} for n, row in enumerate(answer)] if new else answer

    async with proxy(sim.url, tell=tell) as url:
        page = await read(session(sim, url))
    assert set(page.values("cloudtower_disks", "type")) == {"OTHER"}
    assert set(page.values("cloudtower_host_status", "status")) == {"OTHER"}
    severities = set(page.values("cloudtower_alerts", "severity"))
    assert severities == {"CRITICAL", "NOTICE", "INFO", "OTHER"}
    assert "NEW_" not in page.text


async def test_figures_that_are_null_are_left_out(sim: Simulator) -> None:
    kept = ("id", "name", "cluster", "host", "version", "aggregate", "count")

    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        if path.endswith("connection") or not isinstance(answer, list):
            return answer
        return [
            {key: row[key] if key in kept else None for key in row}
            for row in cast("list[dict[str, Any]]", answer)
        ]

    async with proxy(sim.url, tell=tell) as url:
        page = await read(session(sim, url), vm_metrics=True)
    assert set(page.values("cloudtower_collector_success", "collector").values()) == {1}
    assert page.values("cloudtower_host_memory_capacity_bytes", "host") == {}
    assert page.values("cloudtower_cluster_storage_used_bytes", "cluster") == {}
    assert "NaN" not in page.text
    assert "None" not in page.text


async def test_vms_above_the_limit_are_counted_and_left_out(sim: Simulator) -> None:
    page = await read(session(sim), vm_metrics=True, vm_limit=3, vm_where={"status": "RUNNING"})
    running = page.value("cloudtower_vms", status="RUNNING")
    assert running is not None
    assert running > 3
    assert len(page.values("cloudtower_vm_info", "vm_id")) == 3
    assert set(page.values("cloudtower_vm_running", "vm_id").values()) == {1}
    assert page.value("cloudtower_resources_omitted", kind="vms") == running - 3


async def test_vms_are_read_only_on_request(sim: Simulator) -> None:
    page = await read(session(sim))
    assert page.values("cloudtower_vm_info", "vm_id") == {}
    assert sim.sent("get-vms") == []
    assert sim.sent("get-tasks") == []


async def test_resources_of_each_kind_are_limited(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "hosts", 2)
    page = await read(session(sim))
    assert len(page.values("cloudtower_host_status", "host_id")) == 2
    assert (
        page.value("cloudtower_resources_omitted", kind="hosts") == len(sim.store.table("Host")) - 2
    )


# Towers in trouble


async def test_a_hanging_tower_changes_no_figure_of_another(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    alone = await read(session(sim))
    async with (
        hanging_server() as url,
        exporting(
            session(sim),
            Cloudtower(url, username="u", password=PASSWORD),
            collect=False,
            timeout=30,
            interval=LONG,
        ) as exporter,
    ):
        # The first Tower is read completely before the second one exceeds the time-out.
        while parse(exporter.page()).values("cloudtower_data_age_seconds", "collector").keys() != (
            set(COLLECTORS)
        ):
            await anyio.lowlevel.checkpoint()
        await collect_again(exporter, 31)
        page = parse(exporter.page())
    assert [record.getMessage() for record in caplog.records] == [
        f"exporter: t1: collection failed: {', '.join(COLLECTORS)}: no answer within 30 s"
    ]
    assert page.values("cloudtower_up", "tower") == {"t0": 1, "t1": 0}
    assert page.value("cloudtower_collection_failures_total", tower="t1", collector="vms") == 1
    timing = ("_seconds", "cloudtower_process", "cloudtower_collection_duration")
    figures = [
        {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for one in seen.samples
            if one.labels.get("tower") == "t0" and not one.name.endswith(timing)
        }
        for seen in (alone, page)
    ]
    assert len(figures[0]) > 100
    assert figures[0] == figures[1]


async def test_a_page_does_not_wait_for_a_tower(sim: Simulator) -> None:
    async with (
        hanging_server() as url,
        exporting(
            session(sim), Cloudtower(url, username="u", password=PASSWORD), collect=False
        ) as exporter,
    ):
        page = parse(exporter.page())
    assert page.values("cloudtower_up", "tower") == {"t0": 0, "t1": 0}
    assert page.values("cloudtower_data_age_seconds", "tower") == {}


async def test_figures_stay_when_a_tower_goes_until_they_are_too_old(sim: Simulator) -> None:
    async with exporting(session(sim), timeout=LONG, stale_after=2.5 * LONG) as exporter:
        sim.faults.hang(times=1_000)
        await collect_again(exporter, LONG + 1, LONG + 1)  # it starts and exceeds its time-out
        page = parse(exporter.page())
        assert page.value("cloudtower_up") == 0
        assert page.value("cloudtower_vms", status="RUNNING")
        age = page.value("cloudtower_data_age_seconds", collector="vms")
        assert age is not None
        assert 2 * LONG < age < 2.5 * LONG
        await put_clock_forward(0.5 * LONG)
        page = parse(exporter.page())
    assert page.values("cloudtower_vms", "status") == {}
    assert page.values("cloudtower_data_age_seconds", "collector") == {}
    assert page.values("cloudtower_cluster_info", "cluster") == {}
    assert page.value("cloudtower_up") == 0


async def test_one_failing_collector_leaves_the_others_alone(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    sim.faults.fail("get-licenses", status=403, times=1)
    sim.faults.fail("get-licenses-connection", status=403, times=1)
    with caplog.at_level(logging.INFO):
        async with exporting(session(sim)) as exporter:
            page = parse(exporter.page())
            sim.faults.clear()
            await collect_again(exporter, LONG)
            later = parse(exporter.page())
    success = page.values("cloudtower_collector_success", "collector")
    assert success == {**dict.fromkeys(COLLECTORS, 1), "licenses": 0}
    assert page.value("cloudtower_up") == 1
    failures = page.values("cloudtower_collection_failures_total", "collector", "error")
    assert failures == {("licenses", "Forbidden"): 1}
    assert set(later.values("cloudtower_collector_success", "collector").values()) == {1}
    assert later.value("cloudtower_collections_total") == 2
    told = [record.getMessage() for record in caplog.records if "exporter" in record.getMessage()]
    assert len(told) == 2
    assert told[0].startswith("exporter: t0: collection failed: licenses: ")
    assert told[1] == "exporter: t0: collected again: licenses"


async def test_a_collector_that_hangs_leaves_the_others_alone(sim: Simulator) -> None:
    sim.faults.hang("get-disks", times=10)
    sim.faults.hang("get-disks-connection", times=10)
    page = await read(session(sim), timeout=1.0)
    success = page.values("cloudtower_collector_success", "collector")
    assert success == {**dict.fromkeys(COLLECTORS, 1), "disks": 0}
    failures = page.values("cloudtower_collection_failures_total", "collector", "error")
    assert failures == {("disks", "Timeout"): 1}


async def test_a_refused_login_is_not_repeated_at_every_interval(sim: Simulator) -> None:
    wrong = Cloudtower(sim.url, username=sim.username, password=PASSWORD)
    async with exporting(wrong, interval=1.0) as exporter:
        first = parse(exporter.page())
        await put_clock_forward(299)
        assert len(sim.sent("login")) == 1
        await collect_again(exporter, 2)
        assert len(sim.sent("login")) == 2
    assert first.value("cloudtower_up") == 0
    errors = first.values("cloudtower_collection_failures_total", "error")
    assert errors == {"LoginFailed": 1}


async def test_the_exporter_ends_with_its_block_and_leaves_sessions_open(sim: Simulator) -> None:
    async with session(sim) as tower, hanging_server() as url:
        before = tasks_of_clients()
        async with (
            Cloudtower(url, token=TOKEN) as hanging,
            Exporter({"well": tower, "hanging": hanging}, interval=LONG),
        ):
            await anyio.lowlevel.checkpoint()
        assert tasks_of_clients() == before
        assert await tower.vm.get_vms(first=1)


async def test_the_exporter_only_reads(sim: Simulator) -> None:
    asked: set[str] = set()
    async with proxy(sim.url, note=lambda path, _: asked.add(path)) as url:
        await read(session(sim, url), vm_metrics=True)
    assert all(path.startswith("get-") or path == "login" for path in asked), asked


async def test_an_error_of_the_block_is_raised_as_it_is(sim: Simulator) -> None:
    async with session(sim) as tower:
        with pytest.raises(ZeroDivisionError):
            async with Exporter({"t": tower}) as exporter, MetricsServer(exporter, port=0):
                _ = 1 / 0


@pytest.mark.parametrize("mutations", ["allow", "plan", "refuse"])
async def test_sessions_of_any_mode_are_read(sim: Simulator, mutations: Mutations) -> None:
    tower = Cloudtower(sim.url, username=sim.username, password=sim.password, mutations=mutations)
    page = await read(tower)
    assert page.value("cloudtower_up") == 1


# Arguments


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"interval": 0}, "^interval: "),
        ({"interval": float("nan")}, "^interval: "),
        ({"interval": 10, "timeout": 11}, "^timeout: 11 s is longer than the interval of 10 s"),
        ({"stale_after": -1}, "^stale_after: "),
        ({"vm_limit": 0}, "^vm_limit: "),
        ({"vm_limit": 20_001}, "^vm_limit: expected at most 20000, got 20001"),
        ({"vm_where": {"name": "x"}}, "^vm_where: it has no effect without vm_metrics"),
        ({"towers": {}}, "^towers: expected at least one"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, Any], fault: str) -> None:
    towers = options.pop("towers", {"t": Cloudtower("tower.example", token=TOKEN)})
    with pytest.raises(InvalidSettings, match=fault):
        Exporter(towers, **options)


def test_towers_need_different_labels() -> None:
    tower = Cloudtower("tower.example", token=TOKEN)
    with pytest.raises(InvalidSettings, match=r"^towers: .* different names"):
        Exporter({"a": tower, "a\n": tower})


def test_a_misspelled_filter_is_refused_before_anything_is_sent() -> None:
    wrong: Any = {"nmae": "x"}
    with pytest.raises(InvalidInput, match="nmae"):
        Exporter({"t": Cloudtower("tower.example", token=TOKEN)}, vm_metrics=True, vm_where=wrong)


async def test_an_exporter_is_entered_once(sim: Simulator) -> None:
    async with exporting(session(sim)) as exporter:
        with pytest.raises(CloudtowerError, match="entered already"):
            await exporter.__aenter__()
    with pytest.raises(CloudtowerError, match="not entered"):
        await exporter.collected()
