"""``cloudtower-async dashboard``, in a separate process and in the process of the test."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import entry_points

import anyio.lowlevel
import anyio.to_thread
import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, __version__
from cloudtower_async.cli import main
from cloudtower_async.testing import Simulator
from tests.cli.command import PATIENCE, Terminal, plain, run, run_bytes, start, start_with
from tests.support import login_variables, serve, set_login_variables, unused_port

ESCAPE = "\x1b"
CLEARED = (
    *("CLOUDTOWER_ENDPOINT", "CLOUDTOWER_USERNAME", "CLOUDTOWER_PASSWORD", "CLOUDTOWER_SOURCE"),
    *("CLOUDTOWER_TOKEN", "CLOUDTOWER_CONTENT_LANGUAGE", "CLOUDTOWER_VERIFY_TLS"),
    *("CLOUDTOWER_CA_FILE", "NO_COLOR", "FORCE_COLOR"),
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


# As a process.


@pytest.mark.subprocess
def test_the_demo_shows_a_plain_picture_in_a_pipe() -> None:
    ended = run("dashboard", "--demo", COLUMNS="100")
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert ESCAPE not in ended.stdout
    lines = ended.stdout.splitlines()
    assert max(map(len, lines)) == 100
    for part in ("CPU", "Memory", "Storage", "Clusters", "Disks", "Alerts: ", "atlas-01"):
        assert part in ended.stdout


@pytest.mark.subprocess
def test_the_demo_in_a_terminal_has_colours() -> None:
    with Terminal("dashboard", "--demo") as terminal:
        assert terminal.wait() == 0
    assert f"{ESCAPE}[1;31mcritical" in terminal.shown
    assert "atlas-01" in plain(terminal.shown)


@pytest.mark.subprocess
def test_watching_ends_with_ctrl_c_and_leaves_the_last_picture() -> None:
    with Terminal("dashboard", "--demo", "--watch", "--interval", "0.05") as terminal:
        terminal.read_until("Alerts")
        first = terminal.shown
        terminal.read_until("Alerts")
        assert f"{ESCAPE}[?1049h" in first  # the alternate screen
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 0
    after = terminal.shown.rpartition(f"{ESCAPE}[?1049l")[2]
    assert "Clusters" in plain(after)
    assert "Traceback" not in terminal.shown
    assert f"{ESCAPE}[?25h" in terminal.shown  # the cursor is visible again


@pytest.mark.subprocess
def test_a_small_terminal_shows_alerts_scrolls_and_is_quit_with_q() -> None:
    size = {"COLUMNS": "80", "LINES": "24"}
    with Terminal("dashboard", "--demo", "--watch", variables=size) as terminal:
        first = plain(terminal.read_until("more below"))
        assert "critical" in first
        assert first.index("Alerts: ") < first.index("CPU")
        terminal.enter("G")
        assert "more above" in plain(terminal.read_until("more above"))
        terminal.enter("q")
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.shown


@pytest.mark.subprocess
def test_a_request_to_terminate_gives_the_terminal_back() -> None:
    with Terminal("dashboard", "--demo", "--watch", "--interval", "0.05") as terminal:
        terminal.read_until("Alerts")
        terminal.process.terminate()
        assert terminal.wait() == 128 + signal.SIGTERM
    after = terminal.shown.rpartition(f"{ESCAPE}[?1049l")[2]
    assert "Clusters" in plain(after)
    assert "Traceback" not in terminal.shown
    assert f"{ESCAPE}[?25h" in terminal.shown


@pytest.mark.subprocess
@pytest.mark.parametrize("output", ["table", "json"])
def test_watching_in_a_pipe_ends_when_the_reader_closes_it(output: str) -> None:
    arguments = ["dashboard", "--demo", "--watch", "--interval", "0.01", "--format", output]
    with start(*arguments) as (process, out, err):
        for _ in range(3):
            assert out.readline()
        out.close()
        assert err.read() == b""
        assert process.wait(PATIENCE) == 1


@pytest.mark.subprocess
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    ended = run_bytes("dashboard", "--demo", line='"$@" >/dev/full')
    assert ended.returncode == 1
    assert re.fullmatch(rb"cloudtower-async: .*No space left on device\n", ended.stderr)


@pytest.mark.subprocess
def test_an_unreachable_endpoint_is_one_line() -> None:
    endpoint = f"http://127.0.0.1:{unused_port()}"
    ended = run("dashboard", "--endpoint", endpoint, CLOUDTOWER_TOKEN="t")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert endpoint in ended.stderr


@pytest.mark.subprocess
@pytest.mark.anyio
async def test_a_terminal_prompts_for_the_password() -> None:
    async with Simulator(clusters=1, vms=4) as sim:

        def log_in(password: str) -> tuple[int, str]:
            options = ("--endpoint", sim.url, "--username", sim.username)
            with Terminal("dashboard", *options) as terminal:
                terminal.read_until(f"Password of {sim.username} on ")
                terminal.enter(f"{password}\n")
                return terminal.wait(), terminal.shown

        status, shown = await anyio.to_thread.run_sync(log_in, sim.password)
        assert status == 0
        assert "atlas-01" in plain(shown)
        assert sim.password not in shown
        status, shown = await anyio.to_thread.run_sync(log_in, "wr0ng-passw0rd")
        assert status == 1
        assert "wr0ng-passw0rd" not in shown
        assert "LOCAL or LDAP" in shown  # the hint


@pytest.mark.subprocess
def test_ctrl_c_at_the_password_ends_it_quietly() -> None:
    with Terminal("dashboard", "--endpoint", "http://127.0.0.1:1", "--username", "me") as terminal:
        terminal.read_until("Password of me on ")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 130
    assert "Traceback" not in terminal.shown


# In this process.


def test_json_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--demo", "--format", "json", "--size", "3"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert board["cpu"]["usage"]["unit"] == "%"
    assert board["storage"]["available"]["value"] > 0
    assert board["storage"]["available"]["text"].endswith("TiB")
    assert board["disks"]["HDD"]["total"] > 0
    assert [cluster["name"] for cluster in board["clusters"]] == [
        *("atlas-01", "borealis-01", "cygnus-01")
    ]


def test_the_same_seed_shows_the_same_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(seed: str) -> str:
        assert main(["dashboard", "--demo", "-o", "json", "--seed", seed]) == 0
        return re.sub(r'"\d{4}-\d\d-\d\dT[^"]+"', '"a date"', capsys.readouterr().out)

    assert shown("7") == shown("7") != shown("8")


def test_clusters_are_chosen_by_name_or_id(capsys: pytest.CaptureFixture[str]) -> None:
    demo = ["dashboard", "--demo", "--format", "json"]
    main(demo)
    clusters = json.loads(capsys.readouterr().out)["clusters"]
    chosen = ["--cluster", clusters[0]["name"], "--cluster", clusters[2]["id"]]
    assert main([*demo, *chosen]) == 0
    board = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in board["clusters"]] == ["atlas-01", "cygnus-01"]


def test_an_unknown_cluster_names_the_nearest_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--demo", "--cluster", "atlas01"]) == 2
    assert main(["dashboard", "--demo", "--cluster", "???", "--size", "2"]) == 2
    assert main(["dashboard", "--demo", "--cluster", "???", "--size", "22"]) == 2
    near, far, many = capsys.readouterr().err.splitlines()
    assert near.endswith("there is no cluster 'atlas01'; did you mean atlas-01?")
    assert far.endswith("there is no cluster '???'; there are: atlas-01, borealis-01")
    assert many.endswith(" and 2 more")


def test_the_alerts_of_the_demo_are_at_most_30_days_old(capsys: pytest.CaptureFixture[str]) -> None:
    earliest = datetime.now(UTC) - timedelta(days=30)
    assert main(["dashboard", "--demo", "--format", "json"]) == 0
    alerts = json.loads(capsys.readouterr().out)["alerts"]["critical"]
    assert alerts
    for alert in alerts:
        assert earliest < datetime.fromisoformat(alert["local_start_time"]) < datetime.now(UTC)


def test_alerts_are_shown_in_the_requested_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--demo", "--language", "zh-CN"]) == 0
    assert "物理盘" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--endpoint"),
        (["--endpoint", "x y"], "no credentials"),
        (["--endpoint", "x y", "--token-stdin"], "endpoint: it holds a space"),
        (["--endpoint", "x", "--username", "me"], "CLOUDTOWER_PASSWORD"),
        (["--demo", "--token-stdin"], "--demo"),
        (["--token-stdin", "--size", "3"], "--size is for the simulated fleet"),
        (["--token-stdin", "--seed", "1"], "--seed is for the simulated fleet"),
        (["atlas-01"], "unexpected argument 'atlas-01'; to choose a cluster, pass --cluster"),
        (["--endpoint", "x", "--source", "AD"], "--source"),
        (["--demo", "--interval", "0"], "--interval"),
        (["--demo", "--interval", "2"], "--interval needs --watch"),
        (["--demo", "--size", "0"], "--size"),
        (["--demo", "--format", "yaml"], "--format"),
        (["--demo", "--language", "fr-FR"], "--language"),
        (["--password", "p"], "--password"),
        (["--token", "s3cret"], "set CLOUDTOWER_TOKEN, pass --token-stdin"),
        (["--token=s3cret"], "set CLOUDTOWER_TOKEN, pass --token-stdin"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"t\n")))
    assert main(["dashboard", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert told in captured.err
    assert "s3cret" not in captured.err


@pytest.mark.anyio
async def test_endpoint_and_credentials_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        set_login_variables(monkeypatch, sim)
        monkeypatch.setenv("CLOUDTOWER_CONTENT_LANGUAGE", "zh-CN")
        status = await anyio.to_thread.run_sync(main, ["dashboard"])
        assert status == 0
        assert {request.headers["content-language"] for request in sim.requests} == {"zh-CN"}
    assert sim.url in capsys.readouterr().out


@pytest.mark.anyio
@pytest.mark.parametrize(("output", "language"), [("table", "en-US"), ("json", "*")])
async def test_a_table_is_in_one_language_even_if_the_environment_selects_all(
    output: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        set_login_variables(monkeypatch, sim)
        monkeypatch.setenv("CLOUDTOWER_CONTENT_LANGUAGE", "*")
        assert await anyio.to_thread.run_sync(main, ["dashboard", "--format", output]) == 0
        assert {request.headers["content-language"] for request in sim.requests} == {language}


@pytest.mark.anyio
async def test_the_authentication_source_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        monkeypatch.setenv("CLOUDTOWER_PASSWORD", sim.password)
        options = ["--endpoint", sim.url, "--username", sim.username, "--source", "LDAP"]
        await anyio.to_thread.run_sync(main, ["dashboard", *options])
        assert [body["source"] for body in sim.sent("login")] == ["LDAP"]


@pytest.mark.anyio
async def test_texts_of_a_server_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        cluster = next(iter(sim.store.table("Cluster").values()))
        cluster |= dict.fromkeys(
            ("name", "connect_state", "type", "hypervisor", "version"), "evil\x1b[2J"
        )
        next(iter(sim.store.table("Disk").values()))["type"] = "evil\x1b[2J"
        alert = next(a for a in sim.store.table("Alert").values() if not a["ended"])
        alert["message"] = "[bold]boo[/bold] \x1b]0;title\x07 \x9b2J"
        options = ["--endpoint", sim.url, "--username", sim.username]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLOUDTOWER_PASSWORD", sim.password)
            patch.setenv("COLUMNS", "160")
            status = await anyio.to_thread.run_sync(main, ["dashboard", *options])
    shown = capsys.readouterr().out
    assert status == 0
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)
    assert "[bold]boo[/bold]" in shown


@pytest.mark.subprocess
@pytest.mark.anyio
async def test_watching_continues_when_a_call_fails() -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        options = ("--endpoint", sim.url, "--username", sim.username)
        variables = {"CLOUDTOWER_PASSWORD": sim.password}

        def watch() -> None:
            arguments = ("dashboard", "--watch", "--interval", "0.05", *options)
            with Terminal(*arguments, variables=variables) as terminal:
                terminal.read_until("Alerts")
                sim.faults.fail("get-hosts", status=500, times=1000)
                terminal.read_until("Refresh failed: host.get_hosts")
                sim.faults.clear()
                terminal.read_until("Alerts")
                terminal.process.send_signal(signal.SIGINT)
                assert terminal.wait() == 0

        await anyio.to_thread.run_sync(watch)


@pytest.mark.subprocess
@pytest.mark.anyio
@pytest.mark.parametrize("output", ["table", "json"])
async def test_in_a_pipe_a_call_that_fails_is_one_line_of_errors(output: str) -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        arguments = ("dashboard", "--watch", "--interval", "0.05", "--format", output)

        def watch() -> bytes:
            with start(*arguments, **login_variables(sim)) as (process, out, err):
                assert out.readline()
                sim.faults.fail("get-hosts", times=1000)
                line = err.readline()
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE) == 0
            return line

        line = await anyio.to_thread.run_sync(watch)
    assert line.startswith(b"cloudtower-async: host.get_hosts: ")


@pytest.mark.subprocess
@pytest.mark.anyio
async def test_ctrl_c_while_the_server_takes_its_time_ends_it_quietly() -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        sim.faults.hang("get-hosts")
        async with start_with(sim, "dashboard") as process:
            while not sim.sent("get-hosts"):
                await anyio.lowlevel.checkpoint()
            process.send_signal(signal.SIGINT)
            assert process.stdout is not None
            assert process.stderr is not None
            assert [part async for part in process.stdout] == []
            assert [part async for part in process.stderr] == []
            assert await process.wait() == 130


@pytest.mark.anyio
async def test_an_answer_that_is_no_json_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    async with serve(answer) as url:
        monkeypatch.setenv("CLOUDTOWER_TOKEN", "t")
        arguments = ["dashboard", "--endpoint", url]
        assert await anyio.to_thread.run_sync(main, arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "HTML" in captured.err


def test_without_the_extra_one_line_says_which(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("cloudtower_async.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        'The command line needs an extra: pip install "cloudtower-async[cli]"; from a clone of the '
        'repository: pip install ".[cli]"\n'
    )


def test_another_missing_module_is_not_taken_for_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("cloudtower_async.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cloudtower_async._version", None)
    with pytest.raises(ModuleNotFoundError, match="_version"):
        main([])


def test_help_names_options_and_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--help"]) == 0
    text = capsys.readouterr().out
    for option in ("--demo", "--watch", "--no-verify-tls", "--ca-file", "--source"):
        assert option in text
    told = set(re.findall(r"CLOUDTOWER_\w+", Cloudtower.from_env.__doc__ or ""))
    assert told == set(re.findall(r"CLOUDTOWER_\w+", text))
    assert "Exit status" in text
    assert main([]) == 2
    assert main(["--version"]) == 0


def test_the_console_script_runs_main() -> None:
    (script,) = entry_points(group="console_scripts", name="cloudtower-async")
    assert script.load() is main


@pytest.mark.subprocess
def test_the_package_itself_can_be_run() -> None:
    command = [sys.executable, "-m", "cloudtower_async", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    assert shown.strip() == __version__
