"""Texts of a server cannot control a terminal or run in a spreadsheet, in any format."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec
import pytest

from cloudtower_async.cli import main
from cloudtower_async.models import ConnectState
from cloudtower_async.testing import Failure, Simulator
from tests.cli.command import Terminal, run
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
EVIL = f"{FAMILY}\x1b[2J\x1b]0;x\x07\x7f\x9b31m\u202e\u2066\u200b\u200d\ufeff\r\x85\u2028evil"
NAMED = ("--columns", "name")


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=4) as simulator:
        set_login_variables(monkeypatch, simulator)
        monkeypatch.setenv("COLUMNS", "150")
        yield simulator


async def shown(
    capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0
) -> tuple[str, str]:
    """Return both outputs, which must contain no control characters except line breaks."""
    ended = await anyio.to_thread.run_sync(main, arguments)
    captured = capsys.readouterr()
    assert ended == status, captured.err
    for text in captured:
        assert_harmless(text)
    return captured.out, captured.err


def assert_harmless(text: str) -> None:
    text = text.replace(FAMILY, "").replace("\n", "")
    assert text.isprintable(), [letter for letter in text if not letter.isprintable()]


@pytest.mark.parametrize("output", ["table", "csv", "json", "jsonl", "yaml"])
async def test_get_in_every_format(
    sim: Simulator, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    vm = sim.add_vm(name=EVIL, description=EVIL)
    only = ("--where", f"id={vm['id']}", "-o", output)
    text, _ = await shown(capsys, "get", "vms", *only)
    assert "[2J" in text
    text, _ = await shown(capsys, "get", "vms", *only, *NAMED)
    if output == "table":
        assert FAMILY in text
    elif output == "csv":
        [[_], [name]] = csv.reader(io.StringIO(text))
        assert name.startswith(f"{FAMILY} [2J ")
    else:
        read: Any = msgspec.yaml.decode if output == "yaml" else json.loads
        rows = read(text)
        assert (rows if output == "jsonl" else rows[0])["name"] == EVIL


async def test_an_emoji_of_several_stays_whole_in_every_format(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name=f"{FAMILY} \u2764\ufe0f\u200d\U0001f525 虚拟机")
    for output in ("table", "csv", "json", "jsonl", "yaml"):
        only = ("--where", f"id={vm['id']}", "-o", output, *NAMED)
        assert await anyio.to_thread.run_sync(main, ["get", "vms", *only]) == 0
        text = capsys.readouterr().out
        if output == "yaml":
            assert msgspec.yaml.decode(text) == [{"name": vm["name"]}]
        else:
            assert vm["name"] in text


@pytest.mark.subprocess
@pytest.mark.parametrize("output", ["table", "csv", "json", "jsonl", "yaml"])
async def test_get_on_a_terminal(sim: Simulator, output: str) -> None:
    sim.add_vm(name=f"{EVIL}\nforged")

    def look() -> str:
        with Terminal(
            "get", "vms", "-o", output, *NAMED, variables=login_variables(sim)
        ) as terminal:
            assert terminal.wait() == 0
            return terminal.shown

    text = await anyio.to_thread.run_sync(look)
    assert "\x1b[2J" not in text
    assert not any(letter in text for letter in "\x07\x7f\x9b\u202e\u200b")
    assert output == "yaml" or not any(line.startswith("forged") for line in text.splitlines())


async def test_call_and_its_question(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    sim.add_vm(name=EVIL)
    text, _ = await shown(capsys, "call", "get-vms")
    assert EVIL in [row["name"] for row in json.loads(text)]


async def test_the_dashboard(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    sim.add_alert(message=EVIL, severity=f"CRITICAL{EVIL}")
    [cluster] = sim.store.table("Cluster")
    sim.store.change("Cluster", cluster, name=EVIL, version=EVIL, connect_state=ConnectState(EVIL))
    text, _ = await shown(capsys, "dashboard", "--format", "json")
    assert json.loads(text)["clusters"][0]["name"] == EVIL
    text, _ = await shown(capsys, "dashboard")
    assert "evil" in text
    _, text = await shown(capsys, "dashboard", "--cluster", "none", status=2)
    assert "evil" in text


@pytest.mark.subprocess
async def test_tasks_in_lines_and_bars(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    vm = sim.add_vm(name=EVIL, status="RUNNING")
    sim.tasks.fail_next(Failure(EVIL))
    where = f'{{"where": {{"id": "{vm["id"]}"}}}}'
    text, _ = await shown(capsys, "call", "poweroff-vm", where, "--yes")
    task = json.loads(text)[0]["task_id"]
    text, _ = await shown(capsys, "tasks", "wait", task, status=1)
    assert "FAILED" in text
    assert "evil" in text

    def look() -> str:
        with Terminal("tasks", "wait", task, variables=login_variables(sim)) as terminal:
            terminal.wait()
            return terminal.shown

    text = await anyio.to_thread.run_sync(look)
    assert "\x1b[2J" not in text
    assert "\x1b]0;" not in text


async def test_backups(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    vm = sim.add_vm(name=EVIL)
    text, _ = await shown(capsys, "backup", vm["id"])
    assert "evil" in text
    sim.tasks.fail_next(Failure(EVIL))
    text, _ = await shown(capsys, "backup", vm["id"], status=1)
    assert "FAILED" in text


async def test_uploads(sim: Simulator, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "a.iso"
    file.write_bytes(b"x" * 100)
    [cluster] = sim.store.table("Cluster")
    text, _ = await shown(capsys, "upload", str(file), "--cluster", cluster, "--name", EVIL)
    assert "evil" in text


async def test_metrics(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    vm = sim.add_vm(name=f"={EVIL}", status="RUNNING")
    chosen = ("metrics", "vm", vm["id"], "--metric", "elf_vm_cpu_overall_usage_percent")
    for output in ("csv", "table", "json", "yaml", "plot"):
        text, _ = await shown(capsys, *chosen, "-o", output)
        assert output == "plot" or "evil" in text
    text, _ = await shown(capsys, *chosen, "-o", "csv")
    assert {row["subject_name"][:2] for row in csv.DictReader(io.StringIO(text))} == {"'="}
    text, _ = await shown(capsys, *chosen, "--raw-csv")
    assert {row["subject_name"][:1] for row in csv.DictReader(io.StringIO(text))} == {"="}
    for output in ("plot", "json"):
        _, told = await shown(capsys, *chosen, "-o", output, "--raw-csv", status=2)
        assert "--raw-csv goes with --output csv only" in told


async def test_errors_and_warnings(sim: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"message": EVIL, "code": EVIL}, ensure_ascii=False).encode()
    sim.faults.fail("get-vms", status=400, body=body)
    _, told = await shown(capsys, "get", "vms", status=1)
    assert told.count("\n") == 1
    assert "evil" in told


FORMULAS = [
    *("=1+1", "+1", "-1", "-", "@SUM(A1)", "\uff1d1"),
    *("\t=1", "\r=1", "\n=1", " =1", "\x1b=1", "\u200b=1"),
]
NO_FORMULAS = ["", "a=1", "1-1", "é", "'=1", "虚拟机", '"=1']


@pytest.mark.parametrize("text", FORMULAS + NO_FORMULAS)
async def test_a_spreadsheet_runs_no_text_of_csv(
    sim: Simulator, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    vm = sim.add_vm(name=text, description=text, vcpu=2)
    only = ("get", "vms", "--where", f"id={vm['id']}", "--columns", "name,vcpu", "-o", "csv")
    for raw in ([], ["--raw-csv"]):
        out, _ = await shown(capsys, *only, *raw)
        _, [name, vcpu] = csv.reader(io.StringIO(out, newline=""))
        assert vcpu == "2"
        assert name.startswith("'") is (text == "'=1" or (text in FORMULAS and not raw))
        assert name.removeprefix("'").strip()[:1] == text.strip("'\x1b\u200b \t\r\n")[:1]


async def test_numbers_of_csv_stay_numbers(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="x", vcpu=-2)
    only = ("--where", f"id={vm['id']}", "--columns", "name,vcpu", "-o", "csv")
    out, _ = await shown(capsys, "get", "vms", *only)
    assert out.splitlines()[1] == "x,-2"


async def test_other_formats_have_no_formulas_to_leave_alone(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for output in ("table", "json", "jsonl", "yaml"):
        _, told = await shown(capsys, "get", "vms", "-o", output, "--raw-csv", status=2)
        assert "--raw-csv goes with --output csv only" in told
    assert sim.sent("get-vms") == []


@pytest.mark.subprocess
async def test_a_profile_in_prompts_and_lists(sim: Simulator, tmp_path: Path) -> None:
    toml = json.dumps(EVIL, ensure_ascii=False).replace("\x7f", "\\u007f")
    folder = tmp_path / "cloudtower-async"
    folder.mkdir()
    (folder / "profiles.toml").write_text(f'[default]\nendpoint = "{sim.url}"\nusername = {toml}\n')
    command = partial(run, "profiles", XDG_CONFIG_HOME=str(tmp_path))
    listed = await anyio.to_thread.run_sync(command)
    assert_harmless(listed.stdout)
    assert "evil" in listed.stdout

    def ask() -> str:
        chosen = {"XDG_CONFIG_HOME": str(tmp_path)}
        with Terminal("get", "vms", variables=chosen) as terminal:
            return terminal.read_until("evil on http://")

    assert "\x1b[2J" not in await anyio.to_thread.run_sync(ask)
