"""``cloudtower-async report``: each report as a table, JSON and CSV."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio.to_thread
import msgspec
import pytest

from cloudtower_async.cli import main
from cloudtower_async.recipes import CapacityForecast, Expiration, NicErrors, Orphan
from cloudtower_async.testing import Simulator
from tests.support import set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

CPU = "elf_vm_cpu_overall_usage_percent"


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=2, vms=12, seed=3) as simulator:
        set_login_variables(monkeypatch, simulator)
        yield simulator


async def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command in this process; it must succeed without a warning."""
    status = await anyio.to_thread.run_sync(main, ["report", *arguments])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    return captured.out


def cluster_names(sim: Simulator) -> list[str]:
    return [one["name"] for one in sim.store.table("Cluster").values()]


async def test_orphans_are_listed_of_all_clusters_or_of_one(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    volumes = sim.store.select("VmVolume", {"mounting": False})
    table = await report(capsys, "orphans")
    heading, *lines = table.splitlines()
    assert heading.split()[:2] == ["NAME", "KIND"]
    assert len(lines) == len(volumes) == 2
    found = await report(capsys, "orphans", "--cluster", cluster_names(sim)[1], "-o", "json")
    [orphan] = msgspec.json.decode(found, type=list[Orphan])
    assert orphan.id in {one["id"] for one in volumes}
    assert orphan.cluster_name == cluster_names(sim)[1]


async def test_orphans_have_the_given_minimum_age(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    volumes = sim.store.select("VmVolume", {"mounting": False})
    for hours, volume in zip((0.5, 30), volumes, strict=True):
        created = datetime.now(UTC) - timedelta(hours=hours)
        sim.store.change("VmVolume", volume["id"], local_created_at=created.isoformat())
    for arguments, expected in (((), 1), (("--min-age", "0"), 2), (("--min-age", "48"), 0)):
        found = await report(capsys, "orphans", *arguments, "-o", "jsonl")
        assert len(found.splitlines()) == expected


async def test_a_ranking_has_names(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    names = {one["name"] for one in sim.store.table("Vm").values()}
    text = await report(capsys, "top", CPU, "-n", "3", "-o", "csv")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert {row["subject_name"] for row in rows} <= names
    lowest = await report(capsys, "top", CPU, "-n", "1", "--lowest", "-o", "csv")
    [last] = csv.DictReader(lowest.splitlines())
    assert float(last["value"]) < float(rows[-1]["value"])


async def test_nics_without_new_errors_are_shown_on_request(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await report(capsys, "nic-errors", "--range", "1m", "-o", "json") == "[]\n"
    text = await report(capsys, "nic-errors", "--range", "1m", "--all", "-o", "json")
    assert len(msgspec.json.decode(text, type=list[NicErrors])) == len(sim.store.table("Nic"))


async def test_capacity_has_a_row_for_each_cluster(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    text = await report(capsys, "capacity", "-o", "json")
    rows = msgspec.json.decode(text, type=list[CapacityForecast])
    assert sorted(row.cluster_name for row in rows) == sorted(cluster_names(sim))
    assert {row.outlook for row in rows} == {"noise"}  # a daily cycle without growth


async def test_upcoming_expirations_are_listed(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for days, cluster in zip((5, 50), sim.store.table("Cluster"), strict=True):
        end = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        sim.store.change("Cluster", cluster, license_type="TRIAL", license_expire_date=end)
    text = await report(capsys, "expiry", "--within", "30", "-o", "json")
    [row] = msgspec.json.decode(text, type=list[Expiration])
    assert (row.kind, row.resource, row.name) == ("license", "Cluster", cluster_names(sim)[0])
    table = await report(capsys, "expiry")
    assert table.split()[:3] == ["NAME", "KIND", "RESOURCE"]
    assert len(table.splitlines()) > 2


@pytest.mark.usefixtures("sim")
async def test_each_report_has_each_format_or_says_why_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for kind in (
        ("orphans",),
        ("top", CPU),
        ("nic-errors", "--all", "--range", "1m"),
        ("capacity",),
        ("expiry",),
    ):
        rows = len((await report(capsys, *kind, "-o", "jsonl")).splitlines())
        for form in ("table", "wide", "csv"):
            text = await report(capsys, *kind, "-o", form)
            assert len(text.splitlines()) == rows + 1, (kind, form)
    for option in (("--quiet",), ("-o", "name")):
        assert len((await report(capsys, "orphans", *option)).splitlines()) == 2
        status = await anyio.to_thread.run_sync(main, ["report", "capacity", *option])
        assert (status, "these rows have no" in capsys.readouterr().err) == (2, True)
    sorted_rows = await report(capsys, "capacity", "--sort", "used:desc", "-o", "csv")
    used = [float(row["used"]) for row in csv.DictReader(sorted_rows.splitlines())]
    assert used == sorted(used, reverse=True)


async def test_missing_measurements_are_a_warning_and_wrong_arguments_are_status_2(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = cluster_names(sim)[0]
    for arguments, status, told in (
        (("top", "made_up"), 0, "warning: metrics.get_top_nvm_volume_metrics: no values of"),
        (("capacity", "--range", "168h"), 0, "24h and 7d are known to work"),
        (("capacity", "--range", "soon"), 2, "expected a number and its unit"),
        (("orphans", "--cluster", f"{cluster}x"), 2, f"did you mean {cluster} or"),
        (("top",), 2, "metric"),
        (("orphans", "--columns", "colour"), 2, "orphan has no 'colour'"),
        (("orphans", "--raw-csv"), 2, "--raw-csv goes with"),
        (("expiry", "--within", "-1"), 2, "within"),
    ):
        ended = await anyio.to_thread.run_sync(main, ["report", *arguments])
        captured = capsys.readouterr()
        assert ended == status, captured.err
        assert told.lower() in captured.err.lower()
