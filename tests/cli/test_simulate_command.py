"""``cloudtower-async simulate``, in a separate process."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest
import trustme

from cloudtower_async import Cloudtower, NotFound, RetryPolicy, ServerError, TLSFailed
from cloudtower_async.cli.simulate import simulator_options
from cloudtower_async.testing import Simulator
from tests.cli.command import COMMAND, PATIENCE, Terminal, environment, run, start
from tests.support import unused_port

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from cloudtower_async.cli.simulate import Preset

pytestmark = pytest.mark.subprocess


@contextmanager
def simulating(*arguments: str) -> Generator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """Start the command; yield the process and the variables that it prints."""
    with start("simulate", *arguments) as (process, out, _):
        lines = [out.readline().decode() for _ in range(4 if "--tls" in arguments else 3)]
        yield process, dict(re.findall(r"^export (\w+)=(\S+)$", "".join(lines), re.MULTILINE))


def tower_of(variables: dict[str, str]) -> Cloudtower:
    return Cloudtower(
        variables["CLOUDTOWER_ENDPOINT"],
        username=variables["CLOUDTOWER_USERNAME"],
        password=variables["CLOUDTOWER_PASSWORD"],
        ca_file=variables.get("CLOUDTOWER_CA_FILE"),
    )


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_a_signal(number: signal.Signals) -> None:
    port = unused_port()
    options = ("--port", str(port), "--size", "3 clusters, 12 VMs", "--seed", "7")
    with simulating(*options) as (process, variables):
        assert variables["CLOUDTOWER_ENDPOINT"] == f"http://127.0.0.1:{port}"
        async with tower_of(variables) as tower:
            assert len(await tower.cluster.get_clusters()) == 3
            assert len(await tower.vm.get_vms()) == 12
        process.send_signal(number)
        out, err = await anyio.to_thread.run_sync(process.communicate, None, PATIENCE)
        assert process.returncode == 0
        assert out == b""
        assert b"(clusters: 3, VMs: 12)" in err
        assert b"Traceback" not in err


def test_sigterm_ends_it_in_the_background_of_a_script(tmp_path: Path) -> None:
    command = shlex.join([*COMMAND, "simulate", "--size", "1 cluster, 2 VMs"])
    script = f"""
        {command} > tower.env &
        simulator=$!
        until grep -q PASSWORD tower.env; do kill -0 $simulator || exit; sleep 0.1; done
        . ./tower.env
        kill -INT $simulator
        kill $simulator
        wait $simulator
        echo "$CLOUDTOWER_PASSWORD $?"
    """
    with subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", script],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert out == b"simulated 0\n", err
    assert b"Traceback" not in err


@pytest.mark.anyio
async def test_options_set_the_duration_of_tasks_and_of_locks() -> None:
    for options, ends in (
        (("--task-duration", "1000"), False),
        (("--task-duration", "0.05", "--settle-delay", "1000"), True),
    ):
        with simulating("--size", "1 cluster, 8 VMs", *options) as (_, variables):
            async with tower_of(variables) as tower:
                [vm] = await tower.vm.get_vms(where={"status": "STOPPED"}, first=1)
                [started] = await tower.vm.start_vm(where={"id": vm.id})
                if ends:
                    await tower.wait(started)
                [vm] = await tower.vm.get_vms(where={"id": vm.id})
        assert vm.status == ("RUNNING" if ends else "STOPPED")
        assert vm.entity_async_status == "UPDATING"


@pytest.mark.parametrize(
    ("preset", "given", "expected"),
    [
        ("fast", {}, {"task_duration": 0.2}),
        ("fast", {"task_duration": 9.0}, {"task_duration": 9.0}),
        ("realistic", {}, {"task_duration": 5.0, "guest_address_delay": 90.0}),
        ("realistic", {"guest_address_delay": 0.0}, {"guest_address_delay": 0.0}),
        ("realistic", {"task_duration": None, "fractions": True}, {"task_duration": 5.0}),
    ],
)
def test_options_override_the_durations_of_a_preset(
    preset: Preset, given: dict[str, object], expected: dict[str, object]
) -> None:
    options = simulator_options(preset, given)
    assert expected.items() <= options.items()
    assert options.get("fractions") is given.get("fractions")
    Simulator(**options)


@pytest.mark.anyio
async def test_the_simulator_behaves_as_its_options_say() -> None:
    options = ("--nothing-matches", "404", "--no-guest-tools", "--guest-tools-delay", "0")
    with simulating(*options) as (_, variables):
        async with tower_of(variables) as tower:
            with pytest.raises(NotFound):
                await tower.vm.start_vm(where={"name": "nobody"})
    with simulating() as (_, variables):
        async with tower_of(variables) as tower:
            assert await tower.vm.start_vm(where={"name": "nobody"}) == []


@pytest.mark.anyio
async def test_the_date_of_the_simulator_is_now_or_the_given_date() -> None:
    async def date_of_a_task(*arguments: str) -> datetime:
        with simulating("--preset", "fast", *arguments) as (_, variables):
            async with tower_of(variables) as tower:
                [vm] = await tower.vm.get_vms(where={"status": "STOPPED"}, first=1)
                [task] = await tower.wait(tower.vm.start_vm(where={"id": vm.id}))
                return datetime.fromisoformat(task.local_created_at)

    before = datetime.now(UTC) - timedelta(seconds=1)
    assert before <= await date_of_a_task() <= datetime.now(UTC) + timedelta(seconds=1)
    for clock in ("2031-05-06T08:00:00+02:00", "2031-05-06T06:00:00"):
        then = await date_of_a_task("--clock", clock)
        assert timedelta() <= then - datetime(2031, 5, 6, 6, tzinfo=UTC) < timedelta(hours=1)


@pytest.mark.anyio
async def test_with_tls_it_has_a_separate_authority(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    with simulating("--size", "1 cluster, 2 VMs", "--tls") as (process, variables):
        ca_file = anyio.Path(variables["CLOUDTOWER_CA_FILE"])
        assert variables["CLOUDTOWER_ENDPOINT"].startswith("https://localhost:")
        async with tower_of(variables) as tower:
            assert len(await tower.vm.get_vms()) == 2
        with pytest.raises(TLSFailed):
            async with tower_of({**variables, "CLOUDTOWER_CA_FILE": str(other)}) as tower:
                await tower.vm.get_vms()
        assert "PRIVATE KEY" not in await ca_file.read_text()
        process.send_signal(signal.SIGINT)
        await anyio.to_thread.run_sync(process.communicate, None, PATIENCE)
        assert process.returncode == 0
        assert not await ca_file.exists()


def test_tls_without_its_extra_is_one_line(tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError('No module named trustme', name='trustme')"
    (tmp_path / "trustme.py").write_text(missing)
    ended = run("simulate", "--tls", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 2
    assert re.fullmatch(r"cloudtower-async: --tls needs an extra: .*\[tls\].*\n", ended.stderr)


@pytest.mark.parametrize(
    ("option", "value"), [("--clock", "tomorrow"), ("--guest-tools-delay", "-1")]
)
def test_a_value_that_makes_no_sense_is_one_line(option: str, value: str) -> None:
    ended = run("simulate", option, value)
    assert ended.returncode == 2
    assert re.fullmatch(rf"cloudtower-async: {option}: .*{value}.*\n", ended.stderr)


@pytest.mark.anyio
async def test_faults_make_the_given_share_of_requests_fail() -> None:
    with simulating("--size", "1 cluster, 2 VMs", "--faults", "1", "--seed", "5") as (_, variables):
        url = variables["CLOUDTOWER_ENDPOINT"]
        async with Cloudtower(url, token="t", retry=RetryPolicy(attempts=1)) as tower:
            with pytest.raises(ServerError) as failed:
                await tower.cluster.get_clusters()
    assert failed.value.status == 504  # the first fault with this seed


@pytest.mark.parametrize("option", ["--task-duration", "--settle-delay", "--faults"])
def test_a_number_that_makes_no_sense_is_one_line(option: str) -> None:
    ended = run("simulate", option, "-1")
    assert ended.returncode == 2
    assert ended.stderr.startswith("cloudtower-async: ")
    assert option in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_in_a_terminal_the_lines_to_paste_are_shown_and_ctrl_c_ends_quietly() -> None:
    with Terminal("simulate", "--size", "1 cluster, 2 VMs") as terminal:
        shown = terminal.read_until("export CLOUDTOWER_PASSWORD=simulated")
        assert "Paste these lines into another shell:" in shown
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.shown


def test_the_printed_variables_work_with_other_commands() -> None:
    with simulating("--size", "1 cluster, 2 VMs") as (_, variables):
        ended = run("dashboard", COLUMNS="100", **variables)
        assert ended.returncode == 0, ended.stderr
        assert "atlas-01" in ended.stdout


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("simulate", "--port", port)
    assert ended.returncode == 2
    assert re.fullmatch(rf"cloudtower-async: --port {port}: .*in use.*\n", ended.stderr)


def test_an_argument_too_many_is_one_line() -> None:
    ended = run("simulate", "3")
    assert ended.returncode == 2
    assert ended.stderr == "cloudtower-async: unexpected argument '3'\n"


def test_a_size_that_makes_no_sense_is_one_line() -> None:
    ended = run("simulate", "--size", "3 elephants")
    assert ended.returncode == 2
    assert re.fullmatch(r"cloudtower-async: --size: .*elephants.*\n", ended.stderr)
