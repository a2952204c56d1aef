"""The command ``exporter``."""

from __future__ import annotations

import importlib
import io
import re
import signal
import sys
import urllib.request
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.cli import main
from cloudtower_async.cli.exit_codes import ExitCode
from cloudtower_async.jobs.exporter import read_password_file
from cloudtower_async.profiles import profiles_file
from cloudtower_async.testing import Simulator
from tests.cli.command import start
from tests.jobs.exporter.pages import Page, parse

if TYPE_CHECKING:
    from pathlib import Path


def scrape_and_stop(**variables: str) -> tuple[Page, int, str]:
    """Run the command until it has collected metrics, and end it with SIGTERM."""
    arguments = ("exporter", "--profiles", "all", "--port", "0")
    with start(*arguments, **variables) as (process, _, errors):
        told = errors.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", told)
        assert found, told
        page = parse(b"")
        while page.values("cloudtower_up", "tower") != {"east": 1, "west": 1}:
            with urllib.request.urlopen(found[0], timeout=30) as answer:  # noqa: S310
                page = parse(answer.read())
        process.send_signal(signal.SIGTERM)
        return page, process.wait(30), told + errors.read().decode()


@pytest.mark.subprocess
@pytest.mark.anyio
async def test_it_serves_all_profiles_until_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = profiles_file()
    async with (
        Simulator(clusters=1, vms=3) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        token = await tower.get_token()
        lines = "".join(
            f'[{name}]\nendpoint = "{sim.url}"\ntoken = "{token}"\n' for name in ("east", "west")
        )
        await anyio.to_thread.run_sync(write_privately, file, lines)
        page, status, told = await anyio.to_thread.run_sync(scrape_and_stop)
        assert token not in page.text + told
    assert status == ExitCode.OK
    assert told.startswith("Serving metrics of 2 Towers at http://127.0.0.1:")
    assert told.count("\n") == 1


def write_privately(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


def test_a_hashed_password_is_a_line_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    assert main(["exporter", "hash-password", "prometheus"]) == ExitCode.OK
    file = tmp_path / "users"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert list(read_password_file(file)) == ["prometheus"]


@pytest.mark.parametrize(
    ("arguments", "variables", "fault"),
    [
        (["--vm-where", "name=x"], {}, "--vm-where: pass --vm-metrics, too"),
        (["--vm-metrics", "--vm-where", "nmae=x"], {}, "did you mean name"),
        (["--tls-key", "key.pem"], {}, "--tls-key: pass --tls-cert, too"),
        (["--profiles", "all"], {}, "no profile is stored"),
        (["--profiles", "all", "--endpoint", "x"], {}, "leave out the connection options"),
        (["--interval", "10", "--timeout", "20"], {}, "longer than the interval"),
        (["--basic-auth-file", "none"], {}, "basic_auth: none: No such file"),
        ([], {"CLOUDTOWER_EXPORTER_USERNAME": "u"}, "CLOUDTOWER_EXPORTER_PASSWORD is not set"),
        (
            ["--basic-auth-file", "f"],
            {"CLOUDTOWER_EXPORTER_USERNAME": "u"},
            "--basic-auth-file: unset CLOUDTOWER_EXPORTER_USERNAME",
        ),
    ],
)
def test_wrong_options_are_named_before_anything_starts(
    arguments: list[str],
    variables: dict[str, str],
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CLOUDTOWER_TOKEN", "token")
    if "--profiles" not in arguments:
        monkeypatch.setenv("CLOUDTOWER_ENDPOINT", "tower.example")
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    assert main(["exporter", *arguments]) == ExitCode.USAGE
    assert fault in capsys.readouterr().err


def test_without_the_extra_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "cloudtower_async.jobs.exporter")
    assert main(["exporter"]) == ExitCode.USAGE
    assert 'pip install "cloudtower-async[exporter]"' in capsys.readouterr().err


def test_the_default_port_is_that_of_the_server() -> None:
    command = importlib.import_module("cloudtower_async.cli.exporter")
    server = importlib.import_module("cloudtower_async.jobs.exporter.server")
    assert command.serve.__kwdefaults__["port"] == server.DEFAULT_PORT
