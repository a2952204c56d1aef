"""Node.js reads the simulator's answers and serializes them identically."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec
import pytest

from cloudtower_async.simulator.server.javascript import encode
from cloudtower_async.simulator.server.metric_series import METRIC_GROUPS
from cloudtower_async.simulator.store.schema import queried_resources
from cloudtower_async.testing import FleetSize, Simulator
from tests.simulator.queries import COUNTS, LISTS
from tests.simulator.test_javascript import NODE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.anyio,
    pytest.mark.skipif(NODE is None, reason="Node is not installed"),
]

SCRIPT = Path(__file__).with_name("read_everything.mjs")
ODD_TEXT = "".join(map(chr, [*range(0x20), *range(0x7E, 0xA1), 0x2028, 0x2029, 0xFEFF, 0x1F600]))


class Read(msgspec.Struct):
    """Content of an answer, as read by Node."""

    status: int
    length: int | None
    odd: str | None


def post(path: str, body: object, **headers: str) -> dict[str, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"method": "POST", "path": f"/v2/api/{path}", "body": body, "headers": sent}


async def ask(sim: Simulator, requests: Sequence[object]) -> list[Read]:
    """Send these requests with Node.js, one after the other."""
    given = {"url": sim.url, "username": sim.username, "password": sim.password}

    def node() -> bytes:
        return subprocess.run(  # noqa: S603
            [str(NODE), str(SCRIPT)],
            input=msgspec.json.encode({**given, "requests": requests}),
            stdout=subprocess.PIPE,
            check=True,
            timeout=100,
        ).stdout

    return msgspec.json.decode(await anyio.to_thread.run_sync(node), type=list[Read])


@pytest.mark.parametrize("fractions", [False, True])
async def test_node_reads_every_resource(fractions: bool, tell: Callable[[str], None]) -> None:
    async with Simulator(FleetSize(clusters=4, snapshots=6), fractions=fractions) as sim:
        [vm, *_] = sim.store.select("Vm", {"status": "RUNNING"})
        vm["description"] = ODD_TEXT
        resources = list(queried_resources())
        lists = await ask(sim, [post(LISTS[one], {}) for one in resources])
        counts = await ask(sim, [post(path, {}) for path in COUNTS.values()])
        lengths = [len(sim.store.table(resource)) for resource in resources]
    assert [one.length for one in lists] == lengths
    assert {one.status for one in (*lists, *counts)} == {200}
    assert [one.odd for one in (*lists, *counts) if one.odd] == []
    tell(f"Node reads {sum(lengths)} documents of {len(resources)} resources")


async def test_node_reads_metrics_changes_tasks_and_errors() -> None:
    async with Simulator(FleetSize(clusters=4), task_duration=0) as sim:
        [vm, other, *_] = sim.store.select("Vm", {"status": "STOPPED"})
        metrics = [
            post(
                path,
                {
                    family.subject: {},
                    "metrics": [*sorted(family.names), "made_up", "iostat_await"],
                    "range": "1h",
                    "services": ["zbs-chunkd"],
                    "type": "primary-to-secondary",
                },
            )
            for path, family in METRIC_GROUPS.items()
        ]
        top: dict[str, Any] = {"clusters": {}, "metrics": ["host_uptime_seconds"], "range": "24h"}
        good: list[dict[str, Any]] = [
            *metrics,
            post("get-top-n-metrics-in-clusters", {**top, "n": 3, "type": "top"}),
            post("start-vm", {"where": {"id": vm["id"]}}),
            post(
                "update-vm-basic-info",
                {"where": {"id": other["id"]}, "data": {"description": ODD_TEXT}},
            ),
            post("get-tasks", {}, content_language="*"),
            post("get-alerts", {}, content_language="zh-CN"),
            {"method": "GET", "path": "/v2/api/get-version", "headers": {}},
            {"method": "POST", "path": "/api", "body": {"query": "{ vms { id name } }"}},
        ]
        bad = [
            post("get-vms", {"orderBy": ["name_ASC"]}),
            post("get-vms", {"where": {"nmae": ODD_TEXT}}),
            post("no-such-thing", {}),
            post("get-vms", {}, authorization="nobody"),
        ]
        found = await ask(sim, [*good, *bad])
    assert [one.status for one in found[: len(good)]] == [200] * len(good)
    assert [one.status for one in found[len(good) :]] == [400, 400, 404, 401]
    assert [one.odd for one in found if one.odd] == []


@pytest.mark.parametrize("text", [ODD_TEXT, '"\\/', "naïve 中文", "\x7f\x80"])
async def test_node_writes_the_same_texts(text: str) -> None:
    script = "const r = require('fs').readFileSync(0, 'utf8');"
    script += "process.stdout.write(JSON.stringify(JSON.parse(r)))"
    body = encode({"text": text, text: [1.0]})

    def node() -> bytes:
        command = [str(NODE), "-e", script]
        return subprocess.run(command, input=body, capture_output=True, check=True).stdout  # noqa: S603

    assert await anyio.to_thread.run_sync(node) == body
