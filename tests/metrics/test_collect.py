"""Metrics of many resources: chunks, joins, rows, warnings."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest
from aiohttp import web

from cloudtower_async import (
    EVERYTHING,
    Cloudtower,
    EmptyFilter,
    Forbidden,
    InvalidInput,
    Measurements,
    MetricsWarning,
    ResponseDecodeError,
    Subject,
)
from cloudtower_async.calls.registry import operation_at
from cloudtower_async.metrics.collect import FAMILIES
from cloudtower_async.simulator.server.metric_series import METRIC_GROUPS as SIMULATED
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.support import cancelled_at, serve, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

pytestmark = pytest.mark.anyio

CPU, MEMORY = "elf_vm_cpu_overall_usage_percent", "elf_vm_memory_usage_percent"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(FleetSize(clusters=4), clock=Clock(running=False)) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        yield tower


def running(sim: Simulator) -> dict[str, Subject]:
    """The measured VMs by local id."""
    where = {"status": "RUNNING", "cluster": {"connect_state": "CONNECTED"}}
    vms = sim.store.select("Vm", where)
    return {vm["local_id"]: Subject(vm["id"], vm["name"]) for vm in vms}


def add_vm(sim: Simulator, name: str = "web", status: str = "RUNNING") -> str:
    """Add a measured VM; return its id."""
    [host, *_] = sim.store.select("Host", {"cluster": {"connect_state": "CONNECTED"}})
    vm = sim.add_vm(name=name, status=status, host=host["id"], cpu_usage=20.0)
    return str(vm["id"])


async def test_each_value_is_a_row_that_knows_its_vm(sim: Simulator, tower: Cloudtower) -> None:
    measured = await tower.measure(
        tower.metrics.get_vm_metrics,
        vms={"status": "RUNNING", "cluster": {"connect_state": "CONNECTED"}},
        metrics=[CPU, MEMORY],
        range="10m",
    )
    vms = running(sim)
    assert (measured.warnings, measured.missing) == ((), ())
    assert len(measured.series) == 2 * len(vms)
    rows = measured.to_rows()
    assert len(rows) == 2 * len(vms) * 20
    now = sim.clock.started_at.replace(microsecond=0)
    assert {row.time for row in rows} == {
        now - timedelta(seconds=30) * number for number in range(20)
    }
    assert all(row.time.tzinfo is UTC for row in rows)
    for row in rows:
        owner = vms[row.labels["_vm"]]
        assert (row.subject_id, row.subject_name) == (owner.id, owner.name)
        assert (row.unit, set(row.labels)) == ("PERCENT", {"_vm"})
    half = len(rows) // 2
    assert {row.metric for row in rows[:half]} == {CPU}
    assert {row.metric for row in rows[half:]} == {MEMORY}
    (plain,) = await tower.metrics.get_vm_metrics(
        vms={"id": rows[0].subject_id}, metrics=[CPU], range="10m"
    )
    [stream] = plain.data.sample_streams or []
    assert [(point.t / 1000, point.v) for point in stream.points or []] == [
        (row.time.timestamp(), row.value) for row in rows[:20]
    ]


async def test_many_resources_are_requested_in_chunks(sim: Simulator, tower: Cloudtower) -> None:
    sim.metrics.most_streams = 7
    sim.faults.slow(0.2, "get-vm-metrics")  # the others overtake the first
    wanted = running(sim)
    assert len(wanted) > 14
    ids = [one.id for one in wanted.values()]
    measured = await tower.measure(
        tower.metrics.get_vm_metrics,
        chunk_size=7,
        vms={"id_in": ids},
        metrics=[CPU, CPU],
        range="2m",
    )
    sent = sim.sent("get-vm-metrics")
    assert [body["metrics"] for body in sent] == [[CPU]] * len(sent)
    chunks = [body["vms"]["id_in"] for body in sent]
    assert sorted(map(len, chunks))[1:] == [7] * (len(chunks) - 1)
    assert sorted(one for chunk in chunks for one in chunk) == sorted(ids)
    # Nothing is truncated. Rows follow the order of the filter, in whatever order answers arrive.
    assert [one.subject and one.subject.id for one in measured.series] == ids


@pytest.mark.parametrize("name", FAMILIES)
async def test_every_operation_knows_what_it_measures(tower: Cloudtower, name: str) -> None:
    method: Any = getattr(tower.metrics, name.partition(".")[2])
    path = next(path for path in SIMULATED if operation_at(f"/{path}").name == name)
    query: dict[str, Any] = {
        FAMILIES[name].argument: EVERYTHING,
        "metrics": sorted(SIMULATED[path].names)[:2],
        "range": "1m",
    }
    if "_servicek_" in name:
        query["services"] = ["zbs-chunkd", "mongod"]
    if "_zone_" in name:
        query["type"] = "primary-to-secondary"
    measured = await tower.measure(method, **query)
    assert measured.series
    assert all(one.subject is not None for one in measured.series)
    assert len({one.subject for one in measured.series}) > 1 or "_z" in name or "_wit" in name


async def test_the_highest_are_joined_by_their_labels(sim: Simulator, tower: Cloudtower) -> None:
    names = [
        *(CPU, "host_memory_usage_percent", "host_disk_read_iops"),
        *("elf_vm_disk_read_iops", "zbs_volume_read_iops", "zbs_cluster_read_iops"),
    ]
    measured = await tower.measure(
        tower.metrics.get_top_nvm_volume_metrics,
        clusters=EVERYTHING,
        metrics=names,
        type="top",
        n=3,
        range="1m",
    )
    found = {one.metric: one.subject for one in measured.series}
    assert list(found) == names
    volumes = ("VmVolume", "IscsiLun", "NvmfNamespace")
    kinds = (("Vm",), ("Host",), ("Disk",), ("VmVolume",), volumes, ("Cluster",))
    for subject, tables in zip(found.values(), kinds, strict=True):
        assert subject is not None
        assert any(subject.id in sim.store.table(table) for table in tables), tables
    assert (measured.warnings, measured.missing) == ((), ())


async def test_stopped_vms_are_missing(sim: Simulator, tower: Cloudtower) -> None:
    off = add_vm(sim, "off", "STOPPED")
    ids = [off, add_vm(sim)]
    measured = await tower.measure(
        tower.metrics.get_vm_metrics, vms={"id_in": ids}, metrics=[CPU], range="1m"
    )
    assert measured.missing == (Subject(off, "off"),)
    assert measured.warnings == ()


async def test_streams_without_points_are_missing(tower: Cloudtower) -> None:
    with pytest.warns(MetricsWarning, match="no values of host_network_made_up"):
        measured = await tower.measure(
            tower.metrics.get_host_network_metrics,
            hosts=EVERYTHING,
            metrics=["host_network_made_up"],
            range="1m",
        )
    assert measured.series
    hosts = await tower.host.get_hosts(order_by="id_ASC")
    assert [one.id for one in measured.missing] == [host.id for host in hosts]


@pytest.mark.parametrize(
    ("metrics", "span", "told"),
    [
        (["cpu", CPU], "1m", {"empty": ("cpu",)}),
        ([CPU], "72h", {"range": (CPU,), "empty": (CPU,)}),
        ([CPU], "168h", {"range": (CPU,), "empty": (CPU,)}),
        ([CPU], "7d", {}),
        ([CPU], "24h", {}),
    ],
)
async def test_empty_results_cause_a_warning(
    sim: Simulator, tower: Cloudtower, metrics: list[str], span: str, told: dict[str, object]
) -> None:
    vm = add_vm(sim)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        measured = await tower.measure(
            tower.metrics.get_vm_metrics, vms={"id": vm}, metrics=metrics, range=span
        )
    assert {one.fault: one.metrics for one in measured.warnings} == told
    assert [one.message for one in caught] == list(measured.warnings)
    assert all(one.filename == __file__ for one in caught)  # the line of the caller


async def test_truncated_results_cause_a_warning(sim: Simulator, tower: Cloudtower) -> None:
    sim.metrics.most_streams = 3
    with pytest.warns(MetricsWarning, match="chunk_size=") as caught:
        measured = await tower.measure(
            tower.metrics.get_vm_metrics,
            vms={"status": "RUNNING"},
            metrics=[MEMORY, CPU],
            range="1m",
        )
    assert len(caught) == 1
    [warning] = measured.warnings
    assert (warning.fault, warning.metrics) == ("dropped", (MEMORY, CPU))


@pytest.mark.parametrize("chunk_size", [50, 1])
async def test_the_warning_suggests_fewer_resources_only_if_that_can_help(
    chunk_size: int, recwarn: pytest.WarningsRecorder
) -> None:
    """The server truncates points. For one metric, it returns only the first resource."""
    vms = [{"id": f"{one}", "local_id": f"l{one}", "name": f"{one}"} for one in range(3)]

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if request.path.endswith("get-vms"):
            return web.json_response(vms if "id_gt" not in str(body) else [])
        asked = body["vms"]["id_in"]
        whole = {"unit": "PERCENT", "step": 1, "dropped": True, "samples": None}
        streams = [
            {"labels": {"_vm": f"l{one}"}, "points": [{"t": 1_700_000_000_000, "v": 1}]}
            for one in asked
        ]
        fewer = streams[:1] if len(asked) > 1 else streams
        return web.json_response(
            [{"data": {**whole, "sample_streams": shown}} for shown in (streams, fewer)]
        )

    async with serve(answer) as url, Cloudtower(url, token="t0ken") as tower:
        measured = await tower.measure(
            tower.metrics.get_vm_metrics,
            chunk_size,
            vms={"name": "x"},
            metrics=["whole", "fewer"],
            range="24h",
        )
    advice = {one.metrics: "chunk_size" in str(one) for one in measured.warnings}
    assert all("shorter range" in str(one) for one in measured.warnings)
    if chunk_size == 1:
        assert advice == {("whole", "fewer"): False}
    else:
        assert advice == {("fewer",): True, ("whole",): False}
    assert len(recwarn) == len(measured.warnings)


async def test_a_ranking_has_names_and_places(sim: Simulator, tower: Cloudtower) -> None:
    names = {vm["id"]: vm["name"] for vm in sim.store.select("Vm")}
    top = await tower.top_n(CPU, 5, clusters=EVERYTHING, range="24h")
    assert [one.rank for one in top] == [1, 2, 3, 4, 5]
    values = [one.value for one in top]
    assert values == sorted(values, reverse=True)
    for one in top:
        assert one.subject_id is not None
        assert (one.subject_name, one.metric) == (names[one.subject_id], CPU)
        assert (one.unit, set(one.labels)) == ("PERCENT", {"_vm"})
    lowest = await tower.top_n(CPU, 3, clusters=EVERYTHING, lowest=True)
    assert [one.rank for one in lowest] == [1, 2, 3]
    assert [one.value for one in lowest] == sorted(one.value for one in lowest)
    assert lowest[-1].value <= values[-1]
    assert [body["type"] for body in sim.sent("get-top-n-metrics-in-clusters")] == ["top", "bottom"]
    (host, *_) = await tower.top_n("host_memory_usage_percent", clusters={"name": "atlas-01"})
    assert host.subject_name in {one["name"] for one in sim.store.select("Host")}


async def test_a_ranking_is_sorted_however_the_server_sends_it() -> None:
    points: list[object] = [{"t": 1e12, "v": 2}, None, {"t": 1e12, "v": None}, {"t": 1e12, "v": 3}]

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("get-vms"):
            vms = [{"id": f"{n}", "local_id": f"l{n}", "name": f"vm-{n}"} for n in range(4)]
            return web.json_response([] if b"id_gt" in await request.read() else vms)
        samples = [
            {"labels": {"_vm": f"l{place}"}, "point": point} for place, point in enumerate(points)
        ]
        data = {"unit": "PERCENT", "step": 1, "dropped": True, "samples": samples}
        return web.json_response([{"data": {**data, "sample_streams": None}}])

    async with serve(answer) as url, Cloudtower(url, token="t0ken") as tower:
        top = await tower.top_n("m", 9, clusters={"name": "x"})
        assert [(one.rank, one.value, one.subject_name) for one in top] == [
            (1, 3.0, "vm-3"),
            (2, 2.0, "vm-0"),
        ]
        assert len(await tower.top_n("m", 1, clusters={"name": "x"})) == 1


async def test_a_ranking_of_nothing_warns(sim: Simulator, tower: Cloudtower) -> None:
    with pytest.warns(MetricsWarning, match="no values of made_up"):
        assert await tower.top_n("made_up", clusters=EVERYTHING) == []
    count = len(sim.requests)
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"n": 0}, "top_n: n"),
        ({"metric": [CPU]}, "top_n: metric"),
        ({"range": "soon"}, "range"),
        ({"clusters": {"nmae": "x"}}, "nmae"),
    ]
    for change, told in mistakes:
        given: dict[str, Any] = {"metric": CPU, "clusters": EVERYTHING, **change}
        with pytest.raises(InvalidInput, match=told):
            await tower.top_n(**given)
    with pytest.raises(EmptyFilter):
        await tower.top_n(CPU, clusters={})
    assert len(sim.requests) == count


async def test_a_filter_that_matches_nothing_says_so(sim: Simulator, tower: Cloudtower) -> None:
    with pytest.warns(MetricsWarning, match="nothing matches vms"):
        measured = await tower.measure(
            tower.metrics.get_vm_metrics, vms={"name": "none"}, metrics=[CPU], range="1m"
        )
    assert measured.to_rows() == []
    assert sim.sent("get-vm-metrics") == []


async def test_invalid_arguments_are_rejected_before_any_request(
    sim: Simulator, tower: Cloudtower
) -> None:
    good: dict[str, Any] = {"vms": {"name": "web"}, "metrics": [CPU], "range": "24h"}
    method: Any = tower.metrics.get_vm_metrics
    count = len(sim.requests)
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"vms": {}}, "may match everything"),
        ({"vms": {"nmae": "web"}}, "nmae"),
        ({"metrics": CPU}, "metrics: expected a list"),
        ({"metrics": []}, "metrics: name at least one"),
        ({"range": "1 day"}, 'range: .* such as "24h"'),
        ({"range": "0h"}, "range"),
        ({"range": 24}, "range"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"concurrency": 1.5}, "concurrency"),
    ]
    for change, told in mistakes:
        with pytest.raises(InvalidInput, match=told):
            await tower.measure(method, **{**good, **change})
    good["vms"] = {"id": None}
    with pytest.raises(EmptyFilter):
        await tower.measure(method, **good)
    with pytest.raises(TypeError, match="metrics"):
        await tower.measure(method, vms={"name": "web"}, range="1h")
    for wrong in (tower.vm.get_vms, len, None):
        method = wrong
        with pytest.raises(InvalidInput, match=r"tower\.metrics\.get_vm_metrics"):
            await tower.measure(method, **good)
    method = tower.metrics.get_vm_metrics(**good)
    with pytest.raises(InvalidInput, match="got its call: leave out the"):
        await tower.measure(method, **good)
    assert len(sim.requests) == count


async def test_the_first_error_ends_the_measurement(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("get-vm-metrics", status=403)
    with pytest.raises(Forbidden):
        await tower.measure(
            tower.metrics.get_vm_metrics,
            chunk_size=1,
            vms={"status": "RUNNING"},
            metrics=[CPU],
            range="1m",
        )


async def test_cancelled_anywhere_measure_leaves_no_task(sim: Simulator, tower: Cloudtower) -> None:
    def ask() -> Coroutine[Any, Any, Measurements]:
        return tower.measure(
            tower.metrics.get_vm_metrics,
            chunk_size=5,
            concurrency=2,
            vms={"id_in": [one.id for one in running(sim).values()][:12]},
            metrics=[CPU],
            range="1m",
        )

    tasks = tasks_of_clients()
    number = 0
    while await cancelled_at(number, ask()):
        assert tasks_of_clients() == tasks
        number += 1
    assert number > 1
    assert len((await ask()).series) == 12


async def odd(request: web.Request) -> web.StreamResponse:
    """Answers that break the schema, and unusual ones."""
    if request.path.endswith("get-clusters"):
        clusters: list[dict[str, object]] = [{"id": "c1", "local_id": None}]
        return web.json_response([] if b"id_gt" in await request.read() else clusters)
    points = [{"t": 1000, "v": 1}, {"t": 2000, "v": None}, {"v": 3}, {"t": 2500.5, "v": 2}]
    labels = {"instance": "10.0.0.1", "_cluster": None}
    unusual = {"unit": "FURLONG", "step": 1, "dropped": False}
    return web.json_response(
        [
            {"data": {**unusual, "sample_streams": [{"labels": labels, "points": points}]}},
            {"data": {**unusual, "samples": [{"labels": labels, "point": points[0]}]}},
            {"data": {**unusual, "sample_streams": [{"labels": None, "points": None}]}},
            {"data": None},
        ]
    )


async def test_malformed_answers_do_not_fail_the_measurement() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await odd(request)

    async with serve(answer) as url, Cloudtower(url, token="t0ken") as tower:
        with (
            pytest.warns(MetricsWarning, match="no values of c, d"),
            pytest.warns(MetricsWarning, match="values of a were left out"),
        ):
            measured = await tower.measure(
                tower.metrics.get_cluster_metrics,
                clusters={"id": "c1"},
                metrics=["a", "b", "c", "d"],
                range="1m",
            )
    # There is only one cluster, so the streams belong to it whatever their labels say.
    rows = measured.to_rows()
    assert {(row.subject_id, row.subject_name) for row in rows} == {("c1", "c1")}
    assert [(row.metric, row.unit, row.value) for row in rows] == [
        ("a", "FURLONG", 1.0),
        ("a", "FURLONG", None),
        ("a", "FURLONG", 2.0),
        ("b", "FURLONG", 1.0),
    ]
    assert rows[0].time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert rows[0].labels == {"instance": "10.0.0.1"}
    assert repr(measured) == "<Measurements: 4 values in 3 series>"
    assert repr(measured.series[1]) == "<MetricSeries: 1 values of b, Subject(id='c1', name='c1')>"


NOW = 1_767_225_600_000  # milliseconds


def stream(labels: object, *points: tuple[object, object]) -> dict[str, object]:
    return {"labels": labels, "points": [{"t": t, "v": v} for t, v in points]}


async def measure_odd(
    vms: list[dict[str, object]],
    streams: list[dict[str, object]] | str,
    chunk_size: int = 50,
    metrics: tuple[str, ...] = ("m",),
) -> tuple[Measurements, set[str]]:
    """Measure VMs on a server with these streams; return the measurements and the warnings."""
    metric = {"unit": "PERCENT", "step": 1, "dropped": False}

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path.endswith("get-vms"):
            return web.json_response([] if b"id_gt" in body else vms)
        if isinstance(streams, str):
            return web.Response(text=streams, content_type="application/json")
        return web.json_response([{"data": {**metric, "sample_streams": streams}}])

    async with serve(answer) as url, Cloudtower(url, token="t0ken") as tower:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            measured = await tower.measure(
                tower.metrics.get_vm_metrics,
                chunk_size=chunk_size,
                vms={"name": "web"},
                metrics=[*metrics],
                range="24h",
            )
    measured.to_rows()
    told = [one.message for one in caught if isinstance(one.message, MetricsWarning)]
    return measured, {one.fault for one in told}


def vm(number: int, local_id: object) -> dict[str, object]:
    return {"id": f"vm{number}", "name": f"web{number}", "local_id": local_id}


def owners(measured: Measurements) -> list[str | None]:
    return [one.subject.id if one.subject else None for one in measured.series]


@pytest.mark.parametrize(
    ("vms", "labels", "chunk_size", "owner"),
    [
        ([vm(1, None), vm(2, "b")], {}, 50, None),
        ([vm(1, None), vm(2, "b")], None, 50, None),
        ([vm(1, ""), vm(2, "b")], {"_vm": ""}, 50, None),
        ([vm(1, None), vm(2, "b")], {"_vm": None}, 50, None),
        ([vm(1, "a"), vm(2, "a")], {"_vm": "a"}, 50, None),
        ([vm(1, "a"), vm(2, "b")], {"_vm": "c"}, 50, None),
        ([vm(1, "a"), vm(2, "b")], {"_vm": "b"}, 50, "vm2"),
        ([vm(1, "a")], {"_vm": "a"}, 50, "vm1"),
        ([vm(1, "a")], {}, 50, "vm1"),
        ([vm(1, "a")], {"_vm": "b"}, 50, None),
        ([vm(1, None)], {"_vm": "b"}, 50, None),
        ([vm(1, None)], {}, 50, "vm1"),
    ],
)
async def test_a_curve_never_has_a_wrong_owner(
    vms: list[dict[str, object]], labels: object, chunk_size: int, owner: str | None
) -> None:
    measured, faults = await measure_odd(vms, [stream(labels, (NOW, 1))], chunk_size)
    assert owners(measured) == [owner]
    assert ("owner" in faults) == (owner is None)
    assert len(measured.missing) == len(vms) - (owner is not None)


async def test_vms_with_the_same_name_own_no_curve_even_in_separate_chunks() -> None:
    vms = [vm(1, "a"), vm(2, "a")]
    measured, faults = await measure_odd(vms, [stream({"_vm": "a"}, (NOW, 1))], chunk_size=1)
    assert owners(measured) == [None, None]
    assert faults == {"owner"}


@pytest.mark.parametrize("time", [1e300, -1, -1e18, 9e18, 1.8e19, 253_402_300_800_000, "x", None])
async def test_an_absurd_time_is_left_out_with_a_warning(time: object) -> None:
    points = ((NOW, 1.0), (time, 2.0))
    measured, faults = await measure_odd([vm(1, "a")], [stream({"_vm": "a"}, *points)])
    assert [(row.time.year, row.value) for row in measured.to_rows()] == [(2026, 1.0)]
    assert faults == {"time"}


@pytest.mark.parametrize("time", [0, 253_402_300_799_999, 0.5])
async def test_a_time_at_the_border_is_a_time(time: float) -> None:
    measured, faults = await measure_odd([vm(1, "a")], [stream({"_vm": "a"}, (time, 1))])
    assert len(measured.to_rows()) == 1
    assert faults == set()


async def test_times_in_seconds_are_read_as_such_with_a_warning() -> None:
    points = [(NOW / 1000, 1.0), (NOW / 1000 + 30, 2.0)]
    measured, faults = await measure_odd([vm(1, "a")], [stream({"_vm": "a"}, *points)])
    assert [row.time for row in measured.to_rows()] == [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC),
    ]
    assert faults == {"time"}


async def test_numbers_as_text_are_no_values(caplog: pytest.LogCaptureFixture) -> None:
    points: list[Any] = [(NOW, "1.5"), (str(NOW), 2.0), (NOW, [])]
    measured, faults = await measure_odd([vm(1, "a")], [stream({"_vm": "a"}, *points)])
    assert [row.value for row in measured.to_rows()] == [None, None]
    assert faults == {"time"}
    assert "breaks the API schema" in caplog.text


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_literal_that_is_no_json_is_our_error(literal: str) -> None:
    labels = '{"_vm": "a"}'
    body = (
        '[{"data": {"unit": "PERCENT", "step": 1, "dropped": false, "sample_streams": '
        f'[{{"labels": {labels}, "points": [{{"t": {NOW}, "v": {literal}}}]}}]}}}}]'
    )
    with pytest.raises(ResponseDecodeError):
        await measure_odd([vm(1, "a")], body)


async def test_where_an_answer_is_missing_no_curve_has_a_wrong_name() -> None:
    measured, _ = await measure_odd(
        [vm(1, "a")], [stream({"_vm": "a"}, (NOW, 1))], metrics=("m", "n")
    )
    assert [one.metric for one in measured.series] == [""]


@pytest.fixture
async def measured(sim: Simulator, tower: Cloudtower) -> Measurements:
    return await tower.measure(
        tower.metrics.get_vm_net_work_metrics,
        vms={"id_in": [add_vm(sim, name) for name in ("web", "db")]},
        metrics=["elf_vm_network_receive_speed_bps", "elf_vm_network_transmit_packets"],
        range="5m",
    )


async def test_an_arrow_table_has_the_same_values(measured: Measurements) -> None:
    pytest.importorskip("pyarrow")
    table: Any = await anyio.to_thread.run_sync(measured.to_arrow)
    names = ["time", "metric", "unit", "subject_id", "subject_name", "_mac", "_vm", "value"]
    assert sorted(table.column_names) == sorted(names)
    assert table.to_pylist() == [
        {
            "time": row.time,
            "metric": row.metric,
            "unit": row.unit,
            "subject_id": row.subject_id,
            "subject_name": row.subject_name,
            "_mac": row.labels["_mac"],
            "_vm": row.labels["_vm"],
            "value": row.value,
        }
        for row in measured.to_rows()
    ]
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"


async def test_an_arrow_table_of_unusual_values_and_of_no_values() -> None:
    pytest.importorskip("pyarrow")

    async def answer(request: web.Request) -> web.StreamResponse:
        return await odd(request)

    async with serve(answer) as url, Cloudtower(url, token="t0ken") as tower:
        with pytest.warns(MetricsWarning):
            measured = await tower.measure(
                tower.metrics.get_cluster_metrics,
                clusters={"id": "c1"},
                metrics=["a", "b", "c"],
                range="1m",
            )
    table: Any = await anyio.to_thread.run_sync(measured.to_arrow)
    assert table.column("value").to_pylist() == [1.0, None, 2.0, 1.0]
    empty: Any = await anyio.to_thread.run_sync(Measurements((), (), ()).to_arrow)
    assert (empty.num_rows, empty.num_columns) == (0, 6)


async def test_pandas_takes_it(measured: Measurements) -> None:
    pytest.importorskip("pyarrow")
    pandas: Any = pytest.importorskip("pandas")
    table: Any = await anyio.to_thread.run_sync(measured.to_arrow)
    frame = table.to_pandas()
    assert len(frame) == len(measured.to_rows())
    means = frame.groupby(["subject_name", "metric"], observed=True)["value"].mean()
    assert len(means) == 4
    assert str(frame["time"].dt.tz) == "UTC"
    assert pandas.api.types.is_float_dtype(frame["value"])


async def test_polars_takes_it_as_it_is(measured: Measurements) -> None:
    pytest.importorskip("pyarrow")
    polars: Any = pytest.importorskip("polars")
    frame = await anyio.to_thread.run_sync(polars.DataFrame, measured)
    assert frame.height == len(measured.to_rows())
    assert sorted(frame["subject_name"].cast(polars.String).unique()) == ["db", "web"]
    assert frame["time"].dtype.time_zone == "UTC"
