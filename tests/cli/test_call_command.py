"""``cloudtower-async call``, in a separate process and in the process of the test."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async.cli import main
from cloudtower_async.testing import Failure, Simulator
from tests.cli.command import Terminal, run_with
from tests.cli.in_process import in_terminal
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3) as simulator:
        set_login_variables(monkeypatch, simulator)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
        yield simulator


async def call(*arguments: str) -> int:
    return await anyio.to_thread.run_sync(main, ["call", *arguments])


def started(sim: Simulator) -> list[str]:
    """Return the mutations that were sent."""
    reading = ("get-", "login")
    return [one.path for one in sim.requests if not one.path.startswith(reading)]


# As a process.


@pytest.mark.subprocess
async def test_in_a_pipe_a_body_comes_in_and_an_answer_goes_out(sim: Simulator) -> None:
    vm = sim.add_vm(name="web", status="STOPPED")
    body = json.dumps({"where": {"id": vm["id"]}})

    ended = await run_with(sim, "call", "start-vm", "-", "--yes", "--wait", stdin=body)
    assert (ended.returncode, ended.stderr) == (0, "")
    [answer] = json.loads(ended.stdout)
    assert answer["data"]["id"] == vm["id"]
    assert answer["task_id"]
    assert sim.store.table("Vm")[vm["id"]]["status"] == "RUNNING"  # the command waited for the task


@pytest.mark.subprocess
@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("", 2)])
async def test_in_a_terminal_a_mutation_asks_for_confirmation(
    answer: str, status: int, sim: Simulator
) -> None:
    vm = sim.add_vm(name="web-1", status="STOPPED")
    body = json.dumps({"where": {"id": vm["id"]}})
    host = sim.url.removeprefix("http://")

    def ask() -> tuple[int, str]:
        with Terminal("call", "start-vm", body, variables=login_variables(sim)) as terminal:
            terminal.read_until(f"Send this call to {host}? vm.start_vm: Vm web-1 (")
            assert started(sim) == []
            terminal.enter(f"{answer}\n")
            return terminal.wait(), terminal.shown

    ended, shown = await anyio.to_thread.run_sync(ask)
    assert ended == status
    assert started(sim) == (["start-vm"] if answer else [])
    assert ("not confirmed; nothing was sent" in shown) is not bool(answer)


# In this process.


@pytest.mark.parametrize(
    "name", ["get-vms", "/get-vms", "/v2/api/get-vms", "get_vms", "vm.get_vms"]
)
async def test_an_operation_has_the_names_of_the_api_and_of_python(
    name: str, sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await call(name, '{"first": 2, "orderBy": "name_ASC", "skip": null}') == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert sim.sent("get-vms") == [{"first": 2, "orderBy": "name_ASC"}]


async def test_a_body_may_be_a_list_a_file_or_nothing(
    sim: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "body.json"
    file.write_text('[{"key": "tier", "value": "web"}]')
    assert await call("create-label", f"@{file}", "--yes") == 0
    assert await call("get-version") == 0
    assert sim.sent("create-label") == [[{"key": "tier", "value": "web"}]]
    assert capsys.readouterr().out.endswith('"4.9.0"\n')


async def test_a_filter_that_matches_everything_needs_the_option_everything(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in ([], ['{"where": {}}'], ['{"where": {"id_not": ""}}']):
        assert await call("delete-label", *body, "--yes") == 2
        line = capsys.readouterr().err
        assert line.endswith("or pass --everything\n")
    assert started(sim) == []
    assert await call("delete-label", "--yes", "--everything") == 0
    assert sim.sent("delete-label") == [{"where": {}}]


async def test_the_option_everything_does_not_change_a_given_filter(sim: Simulator) -> None:
    where = {"id": sim.add_vm(status="STOPPED")["id"]}
    body = json.dumps({"where": where})
    assert await call("start-vm", body, "--yes", "--everything") == 0
    assert sim.sent("start-vm") == [{"where": where}]


async def test_a_task_that_failed_is_status_1_when_it_is_waited_for(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, status in (([], 0), (["--wait"], 1)):
        vm = sim.add_vm(status="STOPPED")
        sim.tasks.fail_next(Failure("no space"))
        body = json.dumps({"where": {"id": vm["id"]}})
        assert await call("start-vm", body, "--yes", *options) == status
    captured = capsys.readouterr()
    assert captured.out.count('"task_id"') == 2  # printed before the wait
    assert captured.err.count("\n") == 1
    assert "no space" in captured.err


async def test_wrong_arguments_are_one_line_and_nothing_is_sent(
    sim: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = '{"where": {"id": "x"}}'
    for arguments, told in (
        (["get-vmz"], "there is no operation 'get-vmz'; did you mean get-vms"),
        (["start-vm", where], "vm.start_vm changes something: pass --yes"),
        (["start-vm", "-"], "not valid JSON"),
        (["start-vm", "--yess"], "not valid JSON"),
        (["start-vm", "{", "--yes"], "the body: not valid JSON"),
        (["start-vm", '{"where": {"idd": "x"}}', "--yes"], "where.idd: no such field"),
        (["start-vm", "[]", "--yes"], "expected an object, got a list"),
        (["start-vm", "5", "--yes"], "expected an object"),
        (["create-label", "[5]", "--yes", "--everything"], "items[0]: expected an object"),
        (["create-label", '[{"key": "a", "values": 1}]', "--yes"], "items[0].values"),
        (["get-version", "{}"], "api_info.get_api_version takes no body"),
        (["upload-svt-image", "{}", "--yes"], "takes a file; `call` cannot send files"),
        (["get-vms", f"@{tmp_path}/none"], f"{tmp_path}/none: No such file or directory"),
    ):
        assert await call(*arguments) == 2, arguments
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert told in captured.err
    assert sim.requests == []


async def test_in_plan_mode_changes_are_shown_without_a_prompt(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="web", status="STOPPED")
    body = json.dumps({"where": {"id": vm["id"]}})
    assert await call("start-vm", body, "--mutations", "plan", "--wait") == 0
    shown = capsys.readouterr()
    [answer] = json.loads(shown.out)
    assert (answer["data"]["id"], answer["task_id"]) == (vm["id"], None)
    assert shown.err.splitlines()[-1] == f"vm.start_vm: Vm web ({vm['id']})"
    body = body[:-1] + ', "data": {"type": "OVF"}}'
    assert await call("export-vm", body, "--mutations", "plan") == 0
    shown = capsys.readouterr()
    assert "vm.export_vm" in shown.err
    assert "the plan ends here" in shown.err
    assert started(sim) == []


async def test_a_dry_run_sends_nothing_without_a_prompt(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="web", status="STOPPED")
    body = json.dumps({"where": {"id": vm["id"]}})
    assert await call("start-vm", body, "--dry-run") == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"vm.start_vm: Vm web ({vm['id']})"
    assert started(sim) == []


async def test_changing_more_than_ten_needs_their_number(sim: Simulator) -> None:
    for number in range(11):
        sim.add_vm(name=f"old-{number}", status="STOPPED")
    arguments = ["call", "start-vm", '{"where": {"name_starts_with": "old-"}}']
    for typed, code, sent in (("y\n", 2, []), ("11\n", 0, ["start-vm"])):
        ended = await in_terminal(arguments, typed)
        assert ended.code == code
        assert "Type the number of resources, 11, to confirm: " in ended.out
        assert started(sim) == sent


async def test_a_read_only_session_refuses_a_mutation_without_asking(
    sim: Simulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDTOWER_MUTATIONS", "refuse")
    assert await call("start-vm", '{"where": {"id": "v"}}') == 2
    assert "the session is read-only" in capsys.readouterr().err
    assert await call("get-vms", "--mutations", "refuse") == 0
    assert started(sim) == []
