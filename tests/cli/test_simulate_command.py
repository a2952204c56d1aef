"""``cloudtower-async simulate``, as a process."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower, RetryPolicy, ServerError
from tests.cli.terminal import COMMAND, PATIENCE, Terminal, environment, run
from tests.support import unused_port

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def simulating(*arguments: str) -> Generator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The process, and the variables that it says to set."""
    with subprocess.Popen(  # noqa: S603
        [*COMMAND, "simulate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            yield process, dict(re.findall(r"^export (\w+)=(\S+)$", "".join(lines), re.MULTILINE))
        finally:
            process.kill()


def tower_of(variables: dict[str, str]) -> Cloudtower:
    return Cloudtower(
        variables["CLOUDTOWER_ENDPOINT"],
        username=variables["CLOUDTOWER_USERNAME"],
        password=variables["CLOUDTOWER_PASSWORD"],
    )


@pytest.mark.anyio
async def test_it_serves_until_ctrl_c() -> None:
    port = unused_port()
    options = ("--port", str(port), "--size", "3 clusters, 12 VMs", "--seed", "7")
    with simulating(*options) as (process, variables):
        assert variables["CLOUDTOWER_ENDPOINT"] == f"http://127.0.0.1:{port}"
        async with tower_of(variables) as tower:
            assert len(await tower.cluster.get_clusters()) == 3
            assert len(await tower.vm.get_vms()) == 12
        process.send_signal(signal.SIGINT)
        out, err = await anyio.to_thread.run_sync(process.communicate, None, PATIENCE)
        assert process.returncode == 0
        assert out == ""
        assert "(clusters: 3, VMs: 12)" in err
        assert "Traceback" not in err


@pytest.mark.anyio
async def test_tasks_take_as_long_and_hold_their_vm_as_long_as_is_said() -> None:
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


@pytest.mark.anyio
async def test_a_share_of_the_requests_goes_wrong() -> None:
    with simulating("--size", "1 cluster, 2 VMs", "--faults", "1", "--seed", "5") as (_, variables):
        url = variables["CLOUDTOWER_ENDPOINT"]
        async with Cloudtower(url, token="t", retry=RetryPolicy(attempts=1)) as tower:
            with pytest.raises(ServerError) as failed:
                await tower.cluster.get_clusters()
    assert failed.value.status == 504  # what this seed begins with


@pytest.mark.parametrize("option", ["--task-duration", "--settle-delay", "--faults"])
def test_a_number_that_makes_no_sense_is_one_line(option: str) -> None:
    ended = run("simulate", option, "-1")
    assert ended.returncode == 2
    assert ended.stderr.startswith("cloudtower-async: ")
    assert option in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_in_a_terminal_it_says_what_to_paste_and_ends_quietly() -> None:
    with Terminal("simulate", "--size", "1 cluster, 2 VMs") as terminal:
        shown = terminal.read_until("export CLOUDTOWER_PASSWORD=simulated")
        assert "Paste these lines into another shell:" in shown
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.shown


def test_the_other_commands_use_what_it_prints() -> None:
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
