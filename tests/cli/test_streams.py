"""Standard streams that are closed, full, unbuffered or not UTF-8, with a real process."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

from cloudtower_async.testing import Clock, Simulator
from tests.cli.command import Terminal, run_bytes, start_with
from tests.support import THOROUGH, is_login, login_answer, login_variables, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.anyio,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full and a shell"),
]

NOT_UTF8 = b"caf\xe9"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=400) as simulator:
        yield simulator


async def shell(
    sim: Simulator, line: str, *arguments: str | bytes, stdin: bytes = b"", unbuffered: str = ""
) -> CompletedProcess[bytes]:
    """Run a shell line in which ``"$@"`` is the command with these arguments."""

    command = partial(run_bytes, *arguments, stdin=stdin, line=line)
    given = login_variables(sim)
    return await anyio.to_thread.run_sync(partial(command, PYTHONUNBUFFERED=unbuffered, **given))


# One command for each way of writing.
WAYS = [
    ("get", "vms", "-o", "table"),
    ("get", "vms", "-o", "json"),
    ("dashboard",),
    ("completion", "bash"),
    ("--help",),
]
# Commands that write in one of these ways.
OTHERS = [
    ("get", "vms", "-o", "csv"),
    ("call", "get-vms"),
    ("dashboard", "--format", "json"),
    ("resources",),
    ("get", "--help"),
    ("--version",),
]
WRITERS = [*WAYS, *OTHERS] if THOROUGH else WAYS

UNBUFFERED = [
    arguments
    for arguments in WRITERS
    if THOROUGH or arguments in (("get", "vms", "-o", "json"), ("--help",))
]
RUNS = [*((one, "") for one in WRITERS), *((one, "1") for one in UNBUFFERED)]
SHORT = (("--version",), ("completion", "bash"))
"""Commands whose output is shorter than the smallest possible file size limit."""


def label(given: tuple[str, ...] | str) -> str:
    return given if isinstance(given, str) else " ".join(given)


@pytest.mark.parametrize(("arguments", "unbuffered"), RUNS, ids=label)
async def test_a_full_disk_is_an_error(
    sim: Simulator, arguments: tuple[str, ...], unbuffered: str
) -> None:
    ended = await shell(sim, '"$@" >/dev/full', *arguments, unbuffered=unbuffered)
    assert ended.returncode == 1
    assert b"No space left on device" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "unbuffered"), [run for run in RUNS if run[0] not in SHORT], ids=label
)
async def test_a_disk_that_becomes_full_after_the_first_write_is_an_error(
    sim: Simulator, tmp_path: Path, arguments: tuple[str, ...], unbuffered: str
) -> None:
    """The first write takes a part of the output without an error."""
    # Coverage could not write its file either.
    line = f'unset COVERAGE_PROCESS_CONFIG; ulimit -f 1; "$@" >{tmp_path}/out'
    ended = await shell(sim, line, *arguments, unbuffered=unbuffered)
    assert (ended.returncode, (tmp_path / "out").stat().st_size) == (1, 1024)
    assert b"File too large" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("output", ["csv", "json", "table"])
async def test_a_reader_that_leaves_early_is_an_error(
    sim: Simulator, output: str, unbuffered: str
) -> None:
    line = '"$@" | head -c 100 >/dev/null; echo ${PIPESTATUS[0]}'
    vms = [sim.add_vm(name=f"{'x' * 1000}{number}")["id"] for number in range(200)]
    where = json.dumps({"id_in": vms})
    ended = await shell(
        sim, line, "get", "vms", "--where", where, "-o", output, unbuffered=unbuffered
    )
    assert ended.stdout == b"1\n"
    assert ended.stderr == b""


@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_a_slow_pipe_gets_the_complete_output(sim: Simulator, unbuffered: str) -> None:
    """The remainder of a partial write is written later, also without a buffer."""
    vms = [sim.add_vm(name=f"{'x' * 1000}{number}")["id"] for number in range(200)]
    where = json.dumps({"id_in": vms})
    line = '"$@" | (sleep 0.1; cat)'
    ended = await shell(
        sim, line, "get", "vms", "--where", where, "-o", "jsonl", unbuffered=unbuffered
    )
    assert {json.loads(row)["id"] for row in ended.stdout.splitlines()} == set(vms)


CHANGES = [
    ("call", "start-vm", '{"where": {"id": "x"}}', "--yes"),
    ("backup", "--where", "name_starts_with=x"),
    ("upload", "FILE", "--cluster", "x"),
    ("login",),
    ("logout",),
]
CLOSED = {
    "closed": '"$@" >&-',
    "nobody reads": '"$@" > >(:)',
    "for reading": '"$@" 1</dev/null',
}


@pytest.mark.parametrize("arguments", CHANGES, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize("how", CLOSED)
async def test_a_standard_output_that_takes_nothing_is_an_error_before_anything_is_sent(
    sim: Simulator, tmp_path: Path, arguments: tuple[str, ...], how: str
) -> None:
    file = tmp_path / "a.iso"
    file.write_bytes(b"x")
    command = [str(file) if one == "FILE" else one for one in arguments]
    line = CLOSED[how]
    if how == "nobody reads":  # when that program has certainly ended
        line = 'exec 5> >(:); wait $!; "$@" >&5'
    ended = await shell(sim, line, *command)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"cloudtower-async: nothing was done: ")
    assert ended.stderr.count(b"\n") == 1
    assert not sim.requests


@pytest.mark.parametrize(
    ("line", "arguments", "status"),
    [
        ('"$@" <&-', ("get", "cluster"), 0),
        ('"$@" <&-', ("call", "start-vm", '{"where": {"id": "x"}}'), 2),
        ('"$@" 2>&-', ("get", "nothing"), 2),
        ('"$@" 2>/dev/full', ("get", "nothing"), 2),
        ('"$@" <&- 2>&-', ("get", "cluster"), 0),
    ],
)
async def test_other_streams_that_are_closed_end_nothing(
    sim: Simulator, line: str, arguments: tuple[str, ...], status: int
) -> None:
    ended = await shell(sim, line, *arguments)
    assert ended.returncode == status
    assert (b"atlas-01" in ended.stdout) is (status == 0)
    assert b"Traceback" not in ended.stderr
    assert b"nothing" not in ended.stdout  # no error goes there


async def test_bytes_that_are_not_utf8_are_refused_by_name(sim: Simulator, tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/" + NOT_UTF8
    body = tmp_path / "body.json"
    body.write_bytes(b'{"where": {"name": "' + NOT_UTF8 + b'"}}')
    plain = tmp_path / "plain.iso"
    plain.write_bytes(b"x")
    with open(file, "wb") as opened:  # noqa: ASYNC230, PTH123 - a name that is no text
        opened.write(b"x")
    cases: list[tuple[bytes, tuple[str | bytes, ...]]] = [
        (b"caf", ("upload", file, "--cluster", "x")),
        (b"--name", ("upload", str(plain), "--cluster", "x", b"--name=" + NOT_UTF8)),
        (b"caf", ("upload", str(plain), "--cluster", "x", "--name", NOT_UTF8)),
        (b"caf", ("get", "vms", "--username", NOT_UTF8)),
        (b"caf", ("get", "vms", "--where", b"name=" + NOT_UTF8)),
        (b"caf", ("call", "get-vms", b'{"where": {"name": "' + NOT_UTF8 + b'"}}')),
        (b"the body", ("call", "get-vms", f"@{body}")),
    ]
    for name, arguments in cases:
        ended = await shell(sim, '"$@"', *arguments)
        assert (ended.returncode, ended.stdout) == (2, b""), arguments
        assert b"UTF-8" in ended.stderr
        assert name in ended.stderr
        assert ended.stderr.count(b"\n") == 1
    ended = await shell(sim, '"$@"', "call", "get-vms", "-", stdin=body.read_bytes())
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"the body: not valid UTF-8 at byte" in ended.stderr
    assert not sim.requests


@pytest.mark.parametrize("option", ["username", "password"])
async def test_credentials_that_are_not_utf8_are_refused_without_showing_them(
    sim: Simulator, option: str
) -> None:
    line = f"export CLOUDTOWER_{option.upper()}=$'caf\\xe9'; \"$@\""
    ended = await shell(sim, line, "get", "vms")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(f"cloudtower-async: {option}: ".encode())
    assert b"not UTF-8" in ended.stderr
    assert b"caf" not in ended.stderr
    assert not sim.requests


async def test_a_token_that_is_not_ascii_is_refused(sim: Simulator) -> None:
    line = "export CLOUDTOWER_TOKEN=$'caf\\xe9'; \"$@\""
    ended = await shell(sim, line, "get", "vms")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"cloudtower-async: token: ")
    assert ended.stderr.count(b"\n") == 1


def test_typed_text_that_is_not_utf8_is_rejected() -> None:
    given = {"CLOUDTOWER_ENDPOINT": "http://127.0.0.1:9"}
    for typed in (NOT_UTF8 + b"\n", b"\x04"):  # the latter ends the input
        with Terminal("get", "vms", "--username", "root", variables=given) as terminal:
            terminal.read_until("Password of root on ")
            terminal.send(typed)
            assert terminal.wait() == 2
            assert "cloudtower-async: Password of root on " in terminal.shown
            assert "Traceback" not in terminal.shown


def odd_server(answers: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a handler of aiohttp
    async def answer(request: web.Request) -> web.Response:
        if is_login(request):
            return answers.get("login") or login_answer()
        name = request.path.rpartition("/")[2]
        return web.json_response(answers.get(name, []))

    return answer


async def run_against(answers: Mapping[str, Any], *arguments: str) -> CompletedProcess[bytes]:
    async with serve(odd_server(answers)) as url:
        command = partial(
            run_bytes,
            *arguments,
            CLOUDTOWER_ENDPOINT=url,
            CLOUDTOWER_USERNAME="u",
            CLOUDTOWER_PASSWORD="p",
        )
        return await anyio.to_thread.run_sync(command)


TASK: dict[str, Any] = {
    "id": "t1",
    "status": "SUCCESSED",
    "progress": 1,
    "description": "d",
    "args": {},
}


@pytest.mark.parametrize("field", ["progress", "description"])
async def test_a_task_with_null_in_a_field_is_shown(field: str) -> None:
    ended = await run_against({"get-tasks": [{**TASK, field: None}]}, "tasks", "wait", "t1")
    assert ended.returncode == 0
    assert ended.stdout.startswith(b"t1 SUCCESSED ")
    assert b"Traceback" not in ended.stderr


async def test_a_task_without_a_status_is_not_taken_for_ended() -> None:
    answers = {"get-tasks": [{**TASK, "status": None, "progress": None}]}
    ended = await run_against(answers, "tasks", "wait", "t1", "--timeout", "2")
    assert ended.returncode == 1
    assert ended.stdout.startswith(b"t1 (no status) 0% d")
    assert b"Traceback" not in ended.stderr


async def test_a_cluster_without_a_name_is_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "a.iso"
    file.write_bytes(b"x")
    clusters = [{"id": "c1", "name": None}, {"id": "c2", "name": "prod"}]
    for command in (("upload", str(file)), ("dashboard",)):
        ended = await run_against({"get-clusters": clusters}, *command, "--cluster", "prdo")
        assert ended.returncode == 2
        assert b"did you mean prod?" in ended.stderr
        assert ended.stderr.count(b"\n") <= 2  # there may also be a warning about the schema
        assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("token", ["a\r\nx-evil: 1", "a b", "", "é"])
async def test_a_token_of_a_login_that_no_header_may_hold_is_one_line(token: str) -> None:
    answers = {"login": web.json_response({"data": {"token": token}})}
    ended = await run_against(answers, "get", "vms")
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1
    assert b"Traceback" not in ended.stderr
    assert b"x-evil" not in ended.stderr


BACKUPS = ("backup", "--where", "name_starts_with=till-", "--at-a-time", "1")


async def interrupted(
    arguments: tuple[str, ...], number: signal.Signals
) -> tuple[int, bytes, bytes]:
    """Send a signal when the first of three VMs is backed up and the second is in progress."""
    async with Simulator(clusters=1, vms=2, clock=Clock(running=False), task_duration=1.0) as sim:
        for name in ("till-1", "till-2", "till-3"):
            sim.add_vm(name=name)
        async with start_with(sim, *arguments) as process:
            while len(sim.sent("create-vm-snapshot")) < 2:
                if len(sim.sent("get-tasks")) >= 1 and len(sim.sent("create-vm-snapshot")) == 1:
                    sim.clock.advance(1)
                await anyio.sleep(0.01)
            polls = len(sim.sent("get-tasks"))
            # Until the command polls the second task.
            while len(sim.sent("get-tasks")) == polls:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            assert process.stderr is not None
            assert process.stdout is not None
            # The line of the first VM appears before the command receives the signal.
            told = await process.stderr.receive()
            assert told.startswith(b"till-1  backup-")
            process.send_signal(number)
            told += b"".join([part async for part in process.stderr])
            shown = b"".join([part async for part in process.stdout])
            return await process.wait(), shown, told


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_backup_reports_finished_and_running_snapshots(
    number: signal.Signals, status: int
) -> None:
    ended, shown, told = await interrupted(BACKUPS, number)
    assert (ended, shown) == (status, b"")
    first, second, running, follow = told.splitlines()
    assert first.startswith(b"till-1  backup-")
    assert second == b"till-2  INTERRUPTED: snapshot; the snapshot may still be created"
    task_id = running.removeprefix(b"still running: vm_snapshot.create_vm_snapshot: task ")
    assert follow == b"follow it with: cloudtower-async task wait " + task_id


async def test_a_backup_whose_output_fails_reports_finished_snapshots(sim: Simulator) -> None:
    sim.add_vm(name="till-1")
    ended = await shell(sim, '"$@" >/dev/full', *BACKUPS)
    assert ended.returncode == 1
    first, second = ended.stderr.splitlines()
    assert first.startswith(b"till-1  backup-")
    assert b"No space left on device" in second
