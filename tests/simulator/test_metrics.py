"""Metrics over HTTP."""

# ruff: noqa: ANN401 - bodies as they are sent

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

from cloudtower_async import EVERYTHING, BadRequest, Cloudtower
from cloudtower_async.calls.registry import operation_at
from cloudtower_async.simulator.server.metric_series import METRIC_GROUPS
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.simulator.client import Client, connected
from tests.simulator.vendor import Vendor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cloudtower_async.simulator.behavior import LongMetrics

pytestmark = pytest.mark.anyio

CPU = "elf_vm_cpu_overall_usage_percent"
HOSTS = ("get-host-metrics", "hosts")
SERVICES = ["zbs-chunkd", "mongod", "made-up"]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(FleetSize(clusters=4), clock=Clock(running=False))) as client:
        yield client


async def metric(
    client: Client, path: str, names: list[str], range_: str = "1h", **body: Any
) -> list[Any]:
    sent = {"metrics": names, "range": range_, **body}
    answer = await client.send(path, sent)
    assert answer.status == 200, answer.content
    operation_at(f"/{path}").decoder.decode(answer.content)
    return [one["data"] for one in answer.json]


def ids(client: Client, resource: str, where: object = None, field: str = "local_id") -> set[str]:
    return {one[field] for one in client.sim.store.select(resource, where)}


CONNECTED = {"connect_state": "CONNECTED"}


@pytest.mark.parametrize("path", METRIC_GROUPS)
async def test_every_metric_of_every_operation_has_its_series(client: Client, path: str) -> None:
    family = METRIC_GROUPS[path]
    names = sorted(family.names)
    body: dict[str, Any] = {
        family.subject: {},
        "services": SERVICES,
        "type": "primary-to-secondary",
    }
    found = await metric(client, path, names, "10m", **body)
    assert len(found) == len(names)
    for data in found:
        assert data["sample_streams"], path
        assert data["samples"] is None
        assert (data["step"], data["dropped"]) == (30, False)
        for stream in data["sample_streams"]:
            assert len(stream["points"]) == 20
            assert all(point["v"] >= 0 for point in stream["points"])


async def test_labels_join_with_the_fleet(client: Client) -> None:
    async def labels(path: str, name: str, *keys: str, **body: Any) -> set[Any]:
        (data,) = await metric(client, path, [name], **body)
        shown = [stream["labels"] for stream in data["sample_streams"]]
        assert {label["metric_name"] for label in shown} == {name}
        return {tuple(label[key] for key in keys) for label in shown}

    def one(values: set[str]) -> set[Any]:
        return {(value,) for value in values}

    running = {"status": "RUNNING", "cluster": CONNECTED}
    vms = ids(client, "Vm", running)
    assert await labels("get-vm-metrics", CPU, "_vm", vms={}) == one(vms)
    hosts = ids(client, "Host", {"cluster": CONNECTED})
    memory = "host_memory_usage_percent"
    assert await labels("get-host-metrics", memory, "_host", hosts={}) == one(hosts)
    volumes = ids(client, "VmVolume", {"cluster": CONNECTED})
    name = "elf_vm_disk_read_iops"
    assert await labels("get-vm-volume-metrics", name, "_volume", vmVolumes={}) == one(volumes)
    scvm = ids(client, "Host", {"cluster": {"hypervisor": "VMWARE"}})
    name = "scvm_memory_usage_percent"
    assert await labels("get-scvm-metrics", name, "_scvm", hosts={}) == one(scvm)
    name = "host_service_is_running"
    found = await labels("get-host-service-metrics", name, "_service", hosts={}, services=SERVICES)
    assert found == {("zbs-chunkd",), ("mongod",)}
    host = client.sim.store.select("Host")[0]
    lun = client.sim.store.select("IscsiLun")[0]
    found = await labels(
        "get-lun-metrics",
        "zbs_volume_read_iops",
        "_volume",
        "instance",
        luns={"id": lun["id"]},
        hosts={"id": host["id"]},
    )
    assert found == {(lun["zbs_volume_id"], f"{host['data_ip']}:10201")}
    nic = client.sim.store.get("Nic", host["nics"][0])
    found = await labels(
        "get-host-network-metrics",
        "host_network_receive_speed_bps",
        "_host",
        "_device",
        hosts={"id": host["id"]},
        nics={"name": nic["name"]},
    )
    assert found == {(host["local_id"], nic["name"])}
    ways = [
        await labels(
            "get-zone-metrics",
            "zbs_zone_cross_zone_data_speed_bps",
            "_zone",
            "_to_uuid",
            clusters={},
            type=f"{start}-to-{end}",
        )
        for start, end in (("primary", "secondary"), ("secondary", "primary"))
    ]
    assert ways[0] == {(end, start) for start, end in ways[1]}


async def test_curves_belong_together_and_do_not_change(client: Client) -> None:
    vm = client.sim.store.select("Vm", {"status": "RUNNING"})[0]
    where = {"id": vm["id"]}

    async def points(name: str, path: str = "get-vm-metrics", range_: str = "2h") -> list[float]:
        (data,) = await metric(client, path, [name], range_, vms=where)
        return [point["v"] for point in data["sample_streams"][0]["points"]]

    usage = await points(CPU)
    assert max(usage) <= 100
    assert len(set(usage)) > 10
    assert await points(CPU) == usage
    assert min(usage) <= vm["cpu_usage"] * 1.5
    assert max(usage) >= vm["cpu_usage"] * 0.5
    used = await points("elf_vm_cpu_overall_used_hz")
    factor = vm["vcpu"] * 2.4e9 / 100
    assert used == pytest.approx([value * factor for value in usage])
    disk = "elf_vm_disk_overall_{}_iops"
    sums = zip(await points(disk.format("read")), await points(disk.format("write")), strict=True)
    assert await points(disk.format("readwrite")) == pytest.approx([sum(pair) for pair in sums])
    size = "elf_vm_disk_overall_avg_{}_size_bytes"
    pairs = zip(await points(size.format("read")), await points(size.format("write")), strict=True)
    means = [sum(pair) / 2 for pair in pairs]
    assert await points(size.format("readwrite")) == pytest.approx(means)
    network = "elf_vm_network_receive_speed_{}"
    octets = await points(network.format("bps"), "get-vm-network-metrics")
    bits = await points(network.format("bitps"), "get-vm-network-metrics")
    assert bits == pytest.approx([value * 8 for value in octets])
    # Days differ from nights, and a longer range shows the same values at the same times.
    week = await metric(client, "get-vm-metrics", [CPU], "7d", vms=where)
    day = await metric(client, "get-vm-metrics", [CPU], "1d", vms=where)
    seen = {point["t"]: point["v"] for point in week[0]["sample_streams"][0]["points"]}
    again = {point["t"]: point["v"] for point in day[0]["sample_streams"][0]["points"]}
    both = seen.keys() & again.keys()
    assert len(both) > 10
    assert all(seen[at] == again[at] for at in both)


@pytest.mark.parametrize(
    ("range_", "points"),
    [("24h", 240), ("7d", 240), ("5m", 10), ("90s", 3), ("2w", 240), ("72h", 0), ("168h", 0)],
)
async def test_ranges(client: Client, range_: str, points: int) -> None:
    some = {"id_in": [vm["id"] for vm in client.sim.store.select("Vm")[:9]]}
    (data,) = await metric(client, "get-vm-metrics", [CPU], range_, vms=some)
    lengths = {len(stream["points"]) for stream in data["sample_streams"]}
    assert lengths == ({points} if points else set())
    if points:
        last = data["sample_streams"][0]["points"][-1]["t"]
        assert last == client.sim.clock.started_at.timestamp() * 1000
        times = [point["t"] for point in data["sample_streams"][0]["points"]]
        assert times == sorted(times)
        assert times[1] - times[0] == data["step"] * 1000


@pytest.mark.parametrize(("choice", "points"), [("cut", 120), ("whole", 240)])
async def test_a_day_of_ten_vms_is_cut_short(choice: LongMetrics, points: int) -> None:
    simulator = Simulator(clusters=1, vms=20, clock=Clock(running=False), long_metrics=choice)
    async with connected(simulator) as client:
        ids_ = [vm["id"] for vm in client.sim.store.select("Vm", {"status": "RUNNING"})]

        async def ask(number: int, range_: str, path: str = "get-vm-metrics") -> tuple[bool, int]:
            where = {"id_in": ids_[:number]}
            name = CPU if path == "get-vm-metrics" else "elf_vm_network_receive_bytes"
            (data,) = await metric(client, path, [name], range_, vms=where)
            assert len(data["sample_streams"]) == number
            (length,) = {len(stream["points"]) for stream in data["sample_streams"]}
            last = data["sample_streams"][0]["points"][-1]["t"]
            assert last == client.sim.clock.started_at.timestamp() * 1000
            return data["dropped"], length

        assert await ask(10, "24h") == (choice == "cut", points)
        assert await ask(10, "7d") == (choice == "cut", points)
        assert await ask(9, "24h") == await ask(10, "12h") == (False, 240)
        assert await ask(10, "24h", "get-vm-network-metrics") == (False, 240)


async def test_a_name_that_is_not_known_has_no_streams_at_all(client: Client) -> None:
    wrong, right = await metric(client, "get-vm-metrics", ["cpu", CPU], vms={})
    assert wrong == {
        "unit": "COUNT",
        "step": 30,
        "dropped": False,
        "sample_streams": None,
        "samples": [],
    }
    assert right["unit"] == "PERCENT"
    assert right["sample_streams"]
    (other,) = await metric(client, "get-host-metrics", [CPU], hosts={})
    assert other["sample_streams"] == []


async def test_host_network_metrics_echo_a_stream_for_any_name(client: Client) -> None:
    path, right = "get-host-network-metrics", "host_network_receive_dropped_packets"
    known, echoed = await metric(client, path, [right, "host_network_made_up"], hosts={})
    names = [
        {**stream["labels"], "metric_name": None} for stream in known["sample_streams"] if stream
    ]
    assert names == [{**one["labels"], "metric_name": None} for one in echoed["sample_streams"]]
    assert all(stream["points"] for stream in known["sample_streams"])
    assert not any(stream["points"] for stream in echoed["sample_streams"])


@pytest.mark.parametrize(("path", "subject"), [("get-disk-metrics", "disks"), HOSTS])
async def test_iostat_has_streams_without_points(client: Client, path: str, subject: str) -> None:
    body: dict[str, Any] = {subject: {}}
    (data,) = await metric(client, path, ["iostat_await"], **body)
    assert data["sample_streams"]
    assert not any(stream["points"] for stream in data["sample_streams"])


async def test_counters_only_grow_and_constants_stay(client: Client) -> None:
    async def points(path: str, name: str) -> list[float]:
        (data,) = await metric(client, path, [name], "6h", hosts={})
        return [point["v"] for point in data["sample_streams"][0]["points"]]

    up = await points("get-host-metrics", "host_uptime_seconds")
    assert up[-1] - up[0] == pytest.approx(6 * 3600, rel=0.01)
    received = await points("get-host-network-metrics", "host_network_receive_bytes")
    assert received == sorted(received)
    assert received[0] < received[-1]
    size = await points("get-host-metrics", "host_memory_swap_size_bytes")
    used = await points("get-host-metrics", "host_memory_swap_used_bytes")
    share = await points("get-host-metrics", "host_memory_swap_usage_percent")
    assert len(set(size)) == 1
    assert used == pytest.approx([size[0] * one / 100 for one in share])


async def test_storage_volumes_are_labelled_by_ids_that_vm_volumes_do_not_have(
    client: Client,
) -> None:
    (data,) = await metric(client, "get-lun-metrics", ["zbs_volume_read_iops"], luns={})
    labelled = {stream["labels"]["_volume"] for stream in data["sample_streams"]}
    assert len(labelled) == len(data["sample_streams"]) > 0
    assert labelled & ids(client, "VmVolume") == set()


async def test_stopped_or_unreachable_resources_have_no_data(client: Client) -> None:
    for where in ({"status_not": "RUNNING"}, {"cluster": {"connect_state": "DISCONNECTED"}}):
        (data,) = await metric(client, "get-vm-metrics", [CPU], vms=where)
        assert data["sample_streams"] == []
    host = client.sim.store.select("Host")[0]
    host["used_memory_bytes"] = None
    names = ["host_memory_usage_percent", "host_memory_used_bytes"]
    for data in await metric(client, "get-host-metrics", names, hosts={"id": host["id"]}):
        assert data["sample_streams"] == []
    vm = client.sim.store.select("Vm", {"status": "RUNNING"})[0]
    vm["cluster"] = None
    (data,) = await metric(client, "get-vm-metrics", [CPU], vms={"id": vm["id"]})
    assert data["sample_streams"] == []


async def test_too_many_series_are_dropped(client: Client) -> None:
    client.sim.metrics.most_streams = 3
    (data,) = await metric(client, "get-vm-metrics", [CPU], vms={})
    assert (data["dropped"], len(data["sample_streams"])) == (True, 3)


async def test_the_highest_and_the_lowest(client: Client) -> None:
    cluster = client.sim.store.select("Cluster")[0]
    body: dict[str, Any] = {"clusters": {"id": cluster["id"]}, "n": 3}
    path = "get-top-n-metrics-in-clusters"
    (top,) = await metric(client, path, [CPU], type="top", **body)
    (bottom,) = await metric(client, path, [CPU], type="bottom", **body)
    values = [sample["point"]["v"] for sample in top["samples"]]
    assert values == sorted(values, reverse=True)
    assert len(values) == len(bottom["samples"]) == 3
    lowest = [sample["point"]["v"] for sample in bottom["samples"]]
    assert lowest == sorted(lowest)
    assert lowest[-1] <= values[-1]
    inside = ids(client, "Vm", {"cluster": {"id": cluster["id"]}})
    for found in (top, bottom):
        assert (found["sample_streams"], found["dropped"]) == (None, True)
        assert {sample["labels"]["_vm"] for sample in found["samples"]} <= inside
        assert {sample["labels"]["metric_name"] for sample in found["samples"]} == {CPU}
    names = [
        *("host_disk_read_iops", "zbs_volume_read_iops", "zbs_cluster_read_iops"),
        *("host_memory_usage_percent", "host_service_cpu_usage_percent", "made_up"),
    ]
    shown = await metric(client, path, names, type="top", **body)
    assert [len(data["samples"]) for data in shown] == [3, 3, 1, 3, 3, 0]
    assert [data["dropped"] for data in shown] == [True, True, False, False, True, False]
    (empty,) = await metric(client, path, [CPU], "72h", type="top", **body)
    assert (empty["samples"], empty["sample_streams"]) == ([], None)
    answer = await client.send(path, {"metrics": [CPU], "range": "1h", "type": "most", **body})
    assert answer.status == 400


@pytest.mark.parametrize("range_", ["", "1y", "0h", "-1h", "h", "1 h"])
async def test_ranges_that_are_none_are_refused(client: Client, range_: str) -> None:
    body: dict[str, Any] = {"metrics": [CPU], "range": range_, "vms": {}}
    assert (await client.send("get-vm-metrics", body)).status == 400


async def test_our_client_and_the_vendors_agree(client: Client) -> None:
    sim = client.sim
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        (ours,) = await tower.metrics.get_vm_metrics(
            vms={"status": "RUNNING"}, metrics=[CPU], range="24h"
        )
        with pytest.raises(BadRequest):
            await tower.metrics.get_vm_metrics(vms=EVERYTHING, metrics=[CPU], range="soon")

    def ask() -> Any:
        body = {"vms": {"status": "RUNNING"}, "metrics": [CPU], "range": "24h"}
        return Vendor(sim).api("metrics").get_vm_metrics(body)

    (theirs,) = await anyio.to_thread.run_sync(ask)
    assert ours.data.sample_streams
    assert [
        (stream.labels.vm, [(point.t, point.v) for point in stream.points or []])
        for stream in ours.data.sample_streams
    ] == [
        (stream.labels.vm, [(point.t, point.v) for point in stream.points])
        for stream in theirs.data.sample_streams
    ]
