"""``cloudtower-async vm …``, in this process on a terminal and with pipes."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest

from cloudtower_async.testing import Clock, Failure, Simulator
from tests.cli.command import Terminal, plain
from tests.cli.in_process import in_pipe, in_terminal
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=2, seed=3, task_duration=0.02) as simulator:
        set_login_variables(monkeypatch, simulator)
        monkeypatch.setenv("TERM", "xterm-256color")
        yield simulator


def status(sim: Simulator, vm: dict[str, object]) -> object:
    return sim.store.table("Vm")[str(vm["id"])]["status"]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.lowlevel.checkpoint()


# Confirmations


async def test_the_question_names_the_vms_their_number_and_the_server(sim: Simulator) -> None:
    sim.add_vm(name="mail-1", status="RUNNING")
    sim.add_vm(name="mail-2", status="STOPPED")
    ended = await in_terminal(["vm", "delete", "mail-1", "mail-2"], "n\n")
    assert ended.code == 2
    host = sim.url.removeprefix("http://")
    assert f"Delete 2 VMs on {host}? mail-1 (running), mail-2 [y/N] " in ended.out
    assert "not confirmed; nothing was sent" in ended.out
    assert sim.mutations() == []


async def test_destroying_more_than_ten_needs_their_number(sim: Simulator) -> None:
    for number in range(11):
        sim.add_vm(name=f"old-{number}", status="STOPPED")
    chosen = ["vm", "delete", "--where", "name_starts_with=old-"]
    refused = await in_terminal(chosen, "y\n")
    assert refused.code == 2
    assert "Type the number of resources, 11, to confirm: " in refused.out
    assert sim.mutations() == []
    started = await in_terminal(["vm", "start", *chosen[2:]], "y\n")  # this destroys nothing
    assert started.code == 0
    deleted = await in_terminal(chosen, "11\n")
    assert deleted.code == 0
    assert not [vm for vm in sim.store.table("Vm").values() if vm["name"].startswith("old-")]


async def test_without_a_terminal_it_needs_yes_and_sends_nothing(sim: Simulator) -> None:
    sim.add_vm(name="mail-1")
    ended = await in_pipe(["vm", "delete", "mail-1"], "y\n")
    assert (ended.code, ended.out) == (2, "")
    assert "vm delete changes something: pass --yes" in ended.err
    assert sim.requests == []


async def test_texts_of_the_server_do_not_control_the_terminal(sim: Simulator) -> None:
    vm = sim.add_vm(name="\x1b[2Jmail\n1", status="RUNNING")
    ended = await in_terminal(["vm", "stop", str(vm["id"]), "--force"], "y\n")
    assert ended.code == 0
    assert "\x1b[2J" not in ended.out
    assert "[2Jmail 1 (running)" in ended.out


@pytest.mark.parametrize("mode", ["refuse", "plan"])
async def test_in_refuse_and_plan_mode_no_mutation_is_sent(mode: str, sim: Simulator) -> None:
    sim.add_vm(name="mail-1", status="RUNNING")
    ended = await in_pipe(["vm", "stop", "mail-1", "--yes", "--mutations", mode])
    assert ended.code == (2 if mode == "refuse" else 0)
    assert ("the session is read-only" in ended.err) is (mode == "refuse")
    assert ("vm.shut_down_vm: Vm mail-1" in ended.err) is (mode == "plan")
    assert sim.mutations() == []


async def test_a_dry_run_shows_the_changes_and_the_calls(sim: Simulator) -> None:
    vm = sim.add_vm(name="mail-1", status="RUNNING")
    for command, sent in (
        (["delete"], ["vm.delete_vm"]),
        (["stop", "--force-after", "2m"], ["vm.shut_down_vm", "vm.poweroff_vm"]),
        (["resize", "--vcpu", "4"], ["vm.update_vm"]),
    ):
        ended = await in_pipe(["vm", command[0], "mail-1", *command[1:], "--dry-run"])
        assert (ended.code, ended.out) == (0, "")
        asked, _, *lines = ended.err.splitlines()
        assert asked.startswith("Dry run: ")
        assert asked.endswith(": mail-1 (running)")
        assert "?" not in asked
        assert [line.partition(":")[0] for line in lines] == sent
        assert all(f"Vm mail-1 ({vm['id']})" in line for line in lines)
    assert sim.mutations() == []


# Names


async def test_an_ambiguous_name_is_refused_with_the_ids(sim: Simulator) -> None:
    ids = [str(sim.add_vm(name="twin")["id"]) for _ in range(2)]
    ended = await in_pipe(["vm", "stop", "twin", "--yes"])
    assert ended.code == 2
    assert "several VMs are called 'twin': pass an id, of " in ended.err
    assert all(one in ended.err for one in ids)
    assert sim.mutations() == []
    assert (await in_pipe(["vm", "stop", ids[0], "--force", "--yes"])).code == 0


async def test_all_missing_names_are_reported_with_similar_ones(sim: Simulator) -> None:
    sim.add_vm(name="mail-1")
    ended = await in_pipe(["vm", "stop", "mial-1", "mail-1", "zzz", "--yes"])
    assert ended.code == 2
    assert "there is no VM 'mial-1'; did you mean mail-1?; there is no VM 'zzz'" in ended.err
    assert sim.mutations() == []


async def test_wrong_arguments_are_one_line_and_change_nothing(sim: Simulator) -> None:
    sim.add_vm(name="mail-1")
    for arguments, told in (
        (["stop"], "pass the VMs by name or id, or with --where"),
        (["stop", "mail-1", "--where", "name=mail-1"], "or with --where; one of the two"),
        (["stop", "--where", '{"id_not": ""}'], "this may match every VM"),
        (["stop", "--where", "name=none"], "no VM matches --where"),
        (["stop", "mail-1", "--force", "--force-after", "2m"], "not both"),
        (["stop", "mail-1", "--force-after", "soon"], "--force-after: 'soon' is not a duration"),
        (["stop", "mail-1", "--timeout", "-1"], "--timeout"),
        (["stop", "mail-1", "--force-after", "2m", "--no-wait"], "takes several steps"),
        (["resize", "mail-1"], "pass --vcpu or --memory"),
        (["resize", "mail-1", "--memory", "much"], "--memory: expected a size"),
        (["resize", "mail-1", "--memory", "0"], "--memory: expected a size above 0"),
        (["create", "--cluster", "c"], "pass the name of each VM"),
        (["create", "a", "a", "--cluster", "c"], "a name is given twice"),
        (["create", "a", "--cluster", "none"], "there is no cluster 'none'"),
        (["migrate", "mail-1", "--to", "none"], "there is no host 'none'"),
    ):
        ended = await in_pipe(["vm", *arguments, "--yes"])
        assert ended.code == (1 if "matches --where" in told else 2), (arguments, ended)
        assert told in ended.err
        assert ended.err.count("\n") == 1
        assert ended.out == ""
    assert sim.mutations() == []


# Results


async def test_a_vm_that_fails_does_not_stop_the_others(sim: Simulator) -> None:
    for name in ("mail-1", "mail-2"):
        sim.add_vm(name=name, status="RUNNING")
    sim.tasks.fail_next(Failure("no \x1b[31mspace"))
    ended = await in_pipe(["vm", "suspend", "mail-1", "mail-2", "--yes", "-o", "json"])
    assert ended.code == 1
    [settled] = json.loads(ended.out)
    assert settled["status"] == "SUSPENDED"
    assert "no  [31mspace" in ended.err
    assert "\x1b" not in ended.err
    assert "suspend failed for 1 of 2 VMs" in ended.err


async def test_in_a_pipe_steps_are_lines_on_stderr_and_only_json_is_on_stdout(
    sim: Simulator,
) -> None:
    vm = sim.add_vm(name="mail-1", status="STOPPED")
    ended = await in_pipe(["vm", "start", "mail-1", "--yes", "-o", "json"])
    assert ended.code == 0
    assert ended.err == "mail-1: start\nmail-1: done\n"
    [settled] = json.loads(ended.out)
    assert (settled["id"], settled["status"]) == (vm["id"], "RUNNING")


async def test_on_a_terminal_each_vm_has_a_bar_and_the_table_comes_last(sim: Simulator) -> None:
    sim.add_vm(name="mail-1", status="STOPPED")
    ended = await in_terminal(["vm", "start", "mail-1"], "y\n")
    assert ended.code == 0
    assert "start (0 of 1 VMs done)" in ended.out
    assert "━" in ended.out or "╸" in ended.out
    _, _, table = plain(ended.out).rpartition("VMs done)")
    assert "mail-1" in table
    assert "RUNNING" in table


async def test_no_wait_prints_the_ids_of_the_tasks(sim: Simulator) -> None:
    sim.add_vm(name="mail-1", status="STOPPED")
    cluster = next(iter(sim.store.table("Cluster").values()))["name"]
    for arguments in (["start", "mail-1"], ["create", "new-1", "new-2", "--cluster", cluster]):
        ended = await in_pipe(["vm", *arguments, "--yes", "--no-wait"])
        assert (ended.code, ended.err) == (0, "")
        tasks = ended.out.split()
        assert len(tasks) == len(arguments) - (1 if len(arguments) == 2 else 3)
        assert set(tasks) <= set(sim.store.table("Task"))


async def test_vms_in_the_target_state_are_reported_and_left_alone(sim: Simulator) -> None:
    sim.add_vm(name="mail-1", status="RUNNING")
    ended = await in_pipe(["vm", "start", "mail-1", "--yes", "-o", "json", "--columns", "name"])
    assert ended.code == 0
    assert "mail-1: nothing to do\n" in ended.err
    assert json.loads(ended.out) == [{"name": "mail-1"}]
    assert sim.mutations() == []


async def test_stop_shuts_down_the_guest_powers_off_or_does_both(sim: Simulator) -> None:
    for options, sent in (
        ([], ["shutdown-vm"]),
        (["--force"], ["poweroff-vm"]),
        (["--force-after", "0.2s"], ["shutdown-vm", "poweroff-vm"]),
    ):
        vm = sim.add_vm(name=f"mail-{len(options)}{options[:1]}", status="RUNNING")
        if len(sent) == 2:
            sim.tasks.fail_next(Failure("the guest does not answer"))
        before = len(sim.mutations())
        ended = await in_pipe(["vm", "stop", str(vm["id"]), *options, "--yes"])
        assert ended.code == 0, ended
        assert [one.path for one in sim.mutations()[before:]] == sent
        assert status(sim, vm) == "STOPPED"


async def test_a_console_is_an_address_and_a_warning(sim: Simulator) -> None:
    vm = sim.add_vm(name="mail-1", status="RUNNING")
    ended = await in_pipe(["vm", "console", "mail-1"])
    assert ended.code == 0
    assert ended.out == f"{sim.url}/terminal/{vm['id']}\n"
    assert "warning: the address contains a ticket" in ended.err


async def test_show_has_a_line_for_each_field_that_is_known(sim: Simulator) -> None:
    vm = sim.add_vm(name="mail-1", status="RUNNING", memory=4 << 30)
    ended = await in_pipe(["vm", "show", "mail-1"])
    assert ended.code == 0
    name, state, identifier, *_ = ended.out.splitlines()
    assert (name.split(), state.split()) == (["name", "mail-1"], ["status", "RUNNING"])
    assert identifier.split() == ["id", vm["id"]]
    assert "None" not in ended.out
    assert [line.split() for line in ended.out.splitlines() if line.startswith("memory ")] == [
        ["memory", "4", "GiB"]
    ]
    shown = await in_pipe(["vm", "show", "mail-1", "-o", "json"])
    assert [one["id"] for one in json.loads(shown.out)] == [vm["id"]]


@pytest.mark.subprocess
async def test_ctrl_c_reports_finished_and_running_vms_and_how_to_follow_them() -> None:
    clock = Clock(running=False)
    async with Simulator(clusters=1, vms=2, seed=3, clock=clock, task_duration=1.0) as sim:
        first, second = (sim.add_vm(name=name, status="RUNNING") for name in ("mail-1", "mail-2"))
        before = len(sim.store.table("Task"))

        async def finish_first() -> str:
            await until(lambda: len(sim.store.table("Task")) >= before + 2)
            tasks = {one["resource_id"]: one["id"] for one in sim.store.table("Task").values()}
            sim.tasks.pause(tasks[second["id"]])
            clock.advance(5.0)
            assert first["id"] in tasks
            return str(tasks[second["id"]])

        def interrupt() -> tuple[int, str, str]:
            arguments = ("vm", "suspend", "mail-1", "mail-2", "--yes")
            with Terminal(*arguments, variables=login_variables(sim)) as terminal:
                terminal.read_until("mail-2")
                paused = anyio.from_thread.run(finish_first)
                terminal.read_until("(1 of 2 VMs done)")
                terminal.process.send_signal(signal.SIGINT)
                return terminal.wait(), plain(terminal.shown), paused

        code, shown, paused = await anyio.to_thread.run_sync(interrupt)
    assert code == 130
    assert "interrupted; 1 VM done: mail-1" in shown
    assert f"still running: mail-2: task {paused}" in shown
    assert f"follow it with: cloudtower-async task wait {paused}" in shown
    assert "Traceback" not in shown


@pytest.mark.subprocess
async def test_ctrl_c_at_the_question_sends_nothing(sim: Simulator) -> None:
    sim.add_vm(name="mail-1", status="RUNNING")

    def interrupt() -> tuple[int, str]:
        with Terminal("vm", "delete", "mail-1", variables=login_variables(sim)) as terminal:
            terminal.read_until("[y/N] ")
            terminal.process.send_signal(signal.SIGINT)
            return terminal.wait(), terminal.shown

    code, shown = await anyio.to_thread.run_sync(interrupt)
    assert code == 130
    assert "Traceback" not in shown
    assert sim.mutations() == []


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (["--sort", "name"], "details are not a table"),
        (["--no-headers"], "details are not a table"),
        (["--no-pager"], "details are not a table"),
        (["--raw-csv"], "--raw-csv goes with --output csv only"),
        (["--columns", "nmae"], "did you mean name"),
    ],
)
async def test_options_of_tables_are_refused_for_details(
    option: list[str], told: str, sim: Simulator
) -> None:
    sim.add_vm(name="mail-1")
    ended = await in_pipe(["vm", "show", "mail-1", *option])
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert sim.requests == []
    shown = await in_pipe(["vm", "show", "mail-1", "--columns", "name", "--no-headers"])
    assert shown.out == "mail-1\n"
