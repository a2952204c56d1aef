"""Commands for snapshots, disks, hosts, labels and others: rejections and results."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from cloudtower_async.cli.amount_options import parse_duration
from cloudtower_async.cli.app import app
from cloudtower_async.cli.errors import UsageError
from cloudtower_async.testing import Clock, Failure, Simulator
from tests.cli.command import Terminal, plain, run_with
from tests.cli.in_process import in_pipe
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

GROUPS = (
    *("alert", "cluster", "disk", "host", "image", "label", "snapshot", "task", "template", "vm"),
)


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=4, seed=3, task_duration=0.01) as simulator:
        set_login_variables(monkeypatch, simulator)
        yield simulator


def first(sim: Simulator, kind: str) -> str:
    return str(next(iter(sim.store.table(kind).values()))["name"])


async def snapshot(name: str, *vms: str) -> None:
    for vm in vms:
        ended = await in_pipe(["snapshot", "create", vm, "--name", name, "--yes"])
        assert ended.code == 0, ended


async def test_wrong_arguments_are_one_line_and_change_nothing(sim: Simulator) -> None:
    for name in ("web-1", "web-2"):
        sim.add_vm(name=name, status="STOPPED")
    cluster, host = first(sim, "Cluster"), first(sim, "Host")
    for arguments, told in (
        (["snapshot", "revert", "none"], "there is no snapshot 'none'"),
        (["snapshot", "delete", "none", "--vm", "gone"], "there is no VM 'gone'"),
        (["disk", "add", "web-1"], "pass --size for a new disk, or --volume"),
        (["disk", "add", "web-1", "--volume", "v", "--name", "n"], "--name is for a new disk"),
        (["disk", "add", "web-1", "--volume", "none"], "there is no volume 'none'"),
        (["disk", "grow", "web-1", "none", "--size", "1TiB"], "VM 'web-1' has no disk 'none'; it"),
        (["disk", "detach", "web-1"], "pass the disks, by the name"),
        (["host", "maintenance", "enter"], "pass the hosts by name or id"),
        (["host", "maintenance", "enter", f"{host}x"], f"did you mean {host}"),
        (["alert", "resolve", "none"], "there is no alert 'none'"),
        (["alert", "resolve"], "pass the alerts by id, or with --where"),
        (["label", "add", "=x", "web-1"], "is not a label: write key=value"),
        (["label", "remove", "none=x", "web-1"], "there is no label 'none=x'"),
        (["template", "deploy", "none", "a", "--cluster", cluster], "there is no template 'none'"),
        (["template", "deploy", "rocky-9", "--cluster", cluster], "pass the name of each VM"),
    ):
        ended = await in_pipe([*arguments, "--yes"])
        assert (ended.code, ended.out) == (2, ""), (arguments, ended)
        assert told in ended.err
        assert ended.err.count("\n") == 1
    assert sim.mutations() == []


async def test_a_snapshot_whose_name_several_have_needs_its_vm(sim: Simulator) -> None:
    for name in ("web-1", "web-2"):
        sim.add_vm(name=name, status="STOPPED")
    await snapshot("before", "web-1", "web-2")
    refused = await in_pipe(["snapshot", "revert", "before", "--yes"])
    assert refused.code == 2
    assert "several snapshots are called 'before': pass an id, of " in refused.err
    assert (await in_pipe(["snapshot", "revert", "before", "--vm", "web-2", "--yes"])).code == 0
    assert len(sim.sent("rollback-vm")) == 1


async def test_snapshots_of_one_vm_are_listed(sim: Simulator) -> None:
    vms = {name: sim.add_vm(name=name, status="STOPPED")["id"] for name in ("web-1", "web-2")}
    await snapshot("before", *vms)
    await snapshot("after", "web-1")
    shown = ["--columns", "name,vm.name", "-o", "csv", "--no-headers", "--sort", "name"]
    for vm in ("web-1", vms["web-1"]):
        listed = await in_pipe(["snapshot", "list", "--vm", vm, *shown])
        assert (listed.code, listed.out.split()) == (0, ["after,web-1", "before,web-1"])
    one = await in_pipe(["snapshot", "list", "--vm", "web-2", "--where", "name=before", *shown])
    assert one.out.split() == ["before,web-2"]
    none = await in_pipe(["snapshot", "list", "--vm", "web-2", "--where", "name=after", *shown])
    assert (none.code, none.out) == (0, "")


async def test_snapshots_of_one_vm_are_on_one_server(sim: Simulator) -> None:
    ended = await in_pipe(["snapshot", "list", "--vm", "web-1", "--profiles", "all"])
    assert ended.code == 2
    assert "--vm goes with one server: with --profiles, use --where vm.name=NAME" in ended.err


async def test_only_lists_accept_that_where_matches_nothing(sim: Simulator) -> None:
    for arguments, code in (
        (["snapshot", "list", "--vm", "gone"], 2),
        (["snapshot", "list", "--where", "vm.name=gone"], 0),
        (["get", "vms", "--where", "name=gone"], 0),
        (["vm", "show", "gone"], 2),
        (["vm", "show", "--where", "name=gone"], 1),
        (["snapshot", "delete", "gone", "--yes"], 2),
        (["snapshot", "delete", "--where", "name=gone", "--yes"], 1),
        (["backup", "gone"], 2),
        (["backup", "--where", "name=gone"], 1),
        (["task", "show", "gone"], 2),
        (["task", "wait", "gone"], 1),
    ):
        ended = await in_pipe(arguments)
        assert (ended.code, ended.out.count("gone")) == (code, 0), (arguments, ended)
    assert sim.mutations() == []


async def test_snapshots_of_several_vms_have_different_names(sim: Simulator) -> None:
    for name in ("web-1", "web-2"):
        sim.add_vm(name=name)
    arguments = ["snapshot", "create", "--where", "name_starts_with=web-", "--name", "x", "--yes"]
    taken = await in_pipe([*arguments, "-o", "json", "--columns", "name"])
    names = sorted(one["name"] for one in json.loads(taken.out))
    assert [name for name in names if name in ("web-1-x", "web-2-x")] == ["web-1-x", "web-2-x"]


async def test_a_disk_does_not_shrink(sim: Simulator) -> None:
    sim.add_vm(name="web-1")
    await in_pipe(["disk", "add", "web-1", "--size", "20GiB", "--name", "data", "--yes"])
    refused = await in_pipe(["disk", "grow", "web-1", "data", "--size", "20GiB", "--yes"])
    assert refused.code == 2
    assert "disk 'data' has 20.00GiB, and disks can only grow" in refused.err
    assert sim.sent("expand-vm-disk") == []


async def test_only_the_disk_that_is_named_is_detached(sim: Simulator) -> None:
    sim.add_vm(name="web-1")
    await in_pipe(["disk", "add", "web-1", "--size", "20GiB", "--name", "data", "--yes"])
    ended = await in_pipe(["disk", "detach", "web-1", "data", "--yes", "-o", "json"])
    assert ended.code == 0
    assert [one["name"] for one in json.loads(ended.out)] != []
    assert all(one["name"] != "data" for one in json.loads(ended.out))
    assert any(one["name"] == "data" for one in sim.store.table("VmVolume").values())  # it stays


async def test_vms_that_cannot_be_moved_keep_a_host_in_use(sim: Simulator) -> None:
    host = next(iter(sim.store.table("Host").values()))
    sim.add_vm(name="web-1", host=host["id"], status="SUSPENDED")
    ended = await in_pipe(["host", "maintenance", "enter", host["name"], "--yes"])
    assert ended.code == 1
    assert "web-1" in ended.err
    assert "pass --stop-vms" in ended.err
    assert [one.path for one in sim.mutations() if "precheck" not in one.path] == []


async def test_tables_show_which_hosts_are_in_maintenance_mode(sim: Simulator) -> None:
    name, other, *_ = sorted(one["name"] for one in sim.store.table("Host").values())
    ended = await in_pipe(["host", "maintenance", "enter", name, "--yes"])
    assert ended.out.split()[:3] == ["NAME", "STATUS", "MODE"]
    listed = await in_pipe(["host", "list", "--columns", "name,status,mode", "--no-headers"])
    modes = {row.split()[0]: row.split()[1:] for row in listed.out.splitlines()}
    assert modes[name] == ["CONNECTED_HEALTHY", "MAINTENANCE_MODE"]
    assert modes[other] == ["CONNECTED_HEALTHY", "-"]
    ended = await in_pipe(["host", "maintenance", "exit", name, "--yes"])
    assert "MAINTENANCE_MODE" not in ended.out


async def test_a_dry_run_that_can_plan_only_the_first_step_succeeds(sim: Simulator) -> None:
    hosts = list(sim.store.table("Host").values())[:2]
    for names in ([hosts[0]["name"]], [host["name"] for host in hosts]):
        ended = await in_pipe(["host", "maintenance", "enter", *names, "--dry-run"])
        assert (ended.code, ended.out) == (0, "")
        for host in hosts[: len(names)]:
            assert f"enter_maintenance_mode_pre_check: Host {host['name']} " in ended.err
        assert "the plan ends here: only the server knows the answer" in ended.err
    assert sim.mutations() == []


async def test_no_wait_of_recipes_prints_the_task_of_the_change_only(sim: Simulator) -> None:
    sim.add_vm(name="web-1")
    cases = (
        (["host", "maintenance", "enter", first(sim, "Host")], "EnterMaintenanceMode"),
        (["label", "add", "tier=web", "web-1"], "Label"),
        (
            ["template", "deploy", "rocky-9", "new", "--cluster", first(sim, "Cluster")],
            "createVmFromContentLibraryTemplate",
        ),
    )
    for arguments, mutation in cases:
        ended = await in_pipe([*arguments, "--yes", "--no-wait"])
        assert ended.code == 0, (arguments, ended)
        [task] = ended.out.split()
        named = str(sim.store.table("Task")[task]["resource_mutation"])
        assert mutation.lower() in named.lower(), named


async def test_a_label_is_created_once_and_the_value_counts(sim: Simulator) -> None:
    for name in ("web-1", "web-2"):
        sim.add_vm(name=name)
    for text in ("tier=web", "tier=web", "tier=db", "tier"):
        ended = await in_pipe(["label", "add", text, "web-1", "web-2", "--yes"])
        assert ended.code == 0, ended
    made = [(one["key"], one["value"] or "") for one in sim.store.table("Label").values()]
    assert [made.count(("tier", value)) for value in ("web", "db", "")] == [1, 1, 1]
    assert len(sim.sent("add-labels-to-resources")) == 4  # one call for both VMs


async def test_a_label_that_cannot_be_added_fails_for_all(sim: Simulator) -> None:
    for name in ("web-1", "web-2"):
        sim.add_vm(name=name)
    await in_pipe(["label", "add", "tier=web", "web-1", "--yes"])
    sim.tasks.fail_next(Failure("no right to"))
    ended = await in_pipe(["label", "add", "tier=web", "web-1", "web-2", "--yes"])
    assert ended.code == 1
    assert "label failed for 2 of 2 VMs" in ended.err
    assert "no right to" in ended.err


async def test_tasks_are_shown_by_id_without_their_arguments(sim: Simulator) -> None:
    sim.add_vm(name="web-1", status="STOPPED")
    [task] = (await in_pipe(["vm", "start", "web-1", "--yes", "--no-wait"])).out.split()
    shown = await in_pipe(["task", "show", task])
    assert "Start VM web-1" in shown.out
    assert "\nargs" not in shown.out  # args may contain secrets
    assert (await in_pipe(["task", "show", "none"])).code == 2
    assert (await in_pipe(["task", "wait"])).code == 2


@pytest.mark.subprocess
async def test_an_image_is_uploaded_to_the_content_library(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "tiny.iso"
    file.write_bytes(b"iso")
    cluster = first(sim, "Cluster")
    ended = await run_with(
        sim, "image", "upload", str(file), "--cluster", cluster, "--name", "tiny"
    )
    assert ended.returncode == 0, ended
    assert ended.stdout.splitlines()[-1].startswith("content-library-image ")
    assert "tiny" in [one["name"] for one in sim.store.table("ContentLibraryImage").values()]


@pytest.mark.subprocess
@pytest.mark.parametrize(
    "command",
    [
        ("call", "suspend-vm", '{"where": {"name": "web-1"}}', "--yes", "--wait"),
        ("backup", "web-1"),
        ("snapshot", "create", "web-1", "--yes"),
    ],
    ids=lambda command: command[0],
)
async def test_ctrl_c_shows_how_to_follow_the_task(command: tuple[str, ...]) -> None:
    clock = Clock(running=False)
    async with Simulator(clusters=1, vms=2, seed=3, clock=clock, task_duration=1.0) as sim:
        sim.add_vm(name="web-1", status="RUNNING")
        before = set(sim.store.table("Task"))

        async def polled() -> str:
            with anyio.fail_after(60):
                while not sim.sent("get-tasks"):
                    await anyio.lowlevel.checkpoint()
            [task] = set(sim.store.table("Task")) - before
            return str(task)

        def interrupt() -> tuple[int, str, str]:
            with Terminal(*command, variables=login_variables(sim)) as terminal:
                task = anyio.from_thread.run(polled)
                terminal.process.send_signal(signal.SIGINT)
                return terminal.wait(), plain(terminal.shown), task

        code, shown, task = await anyio.to_thread.run_sync(interrupt)
    assert code == 130
    assert f"task {task}" in shown
    assert f"follow it with: cloudtower-async task wait {task}" in shown
    assert "Traceback" not in shown


def test_durations_are_seconds_or_have_units() -> None:
    for text, seconds in (("90", 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("0.5s", 0.5)):
        assert parse_duration("--timeout", text) == seconds
    for text in ("", "soon", "-1", "2 m", "m", "1e9", "nan", "9" * 10):
        with pytest.raises(UsageError, match=r"^--timeout: .* is not a duration"):
            parse_duration("--timeout", text)


def test_the_page_lists_every_command_of_a_resource() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "command-line.md").read_text("utf-8")
    names: set[str] = set()
    for group in GROUPS:
        commands = app[group].resolved_commands()
        for name in commands:
            if name.startswith("-"):
                continue
            inner = app[group][name].resolved_commands()
            nested = [one for one in inner if not one.startswith("-")]
            names |= {f"{group} {name} {one}" for one in nested} or {f"{group} {name}"}
    assert names
    table = page.partition("| commands | what they do |")[2].partition("\n\n")[0]
    listed = {one for one in re.findall(r"`([a-z ]+)`", table) if one.split()[0] in GROUPS}
    assert listed == names
