"""``cloudtower-async login``, ``logout`` and ``profiles``, as processes with a simulator."""

from __future__ import annotations

import re
import stat
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.cli import main
from cloudtower_async.testing import Simulator
from tests.cli.command import Terminal, run, run_bytes
from tests.support import Proxy, serve_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from subprocess import CompletedProcess

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.anyio,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="elsewhere the file is not moved that easily"
    ),
]

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=4) as simulator:
        yield simulator


def kept(home: Path, *, keyring: bool = False) -> dict[str, str]:
    """Return the variables of a user with a home folder, with or without a keyring."""
    backend = "tests.cli.keyring_file.FileKeyring" if keyring else "keyring.backends.fail.Keyring"
    return {
        "XDG_CONFIG_HOME": str(home),
        "KEYRING_FILE": str(home / "keyring.json"),
        "PYTHON_KEYRING_BACKEND": backend,
        "PYTHONPATH": str(ROOT),
    }


async def ended(*arguments: str, **variables: str) -> CompletedProcess[str]:
    return await anyio.to_thread.run_sync(partial(run, *arguments, **variables))


async def test_a_login_on_a_terminal_is_stored(sim: Simulator, tmp_path: Path) -> None:
    variables = kept(tmp_path)

    def log_in() -> tuple[int, str]:
        with Terminal("login", variables=variables) as terminal:
            terminal.read_until("Address of CloudTower: ")
            terminal.enter(f"{sim.url}\n")
            terminal.read_until("Username: ")
            terminal.enter(f"{sim.username}\n")
            terminal.read_until(f"Password of {sim.username} on {sim.url}: ")
            terminal.enter(f"{sim.password}\n")
            return terminal.wait(), terminal.shown

    def shown_by(command: str) -> str:
        with Terminal(command, variables=variables) as terminal:
            assert terminal.wait() == 0
            return terminal.shown

    status, shown = await anyio.to_thread.run_sync(log_in)
    file = tmp_path / "cloudtower-async" / "profiles.toml"
    assert status == 0
    server = f"{sim.url} as {sim.username}"
    assert f"Logged in to {server}. The token of profile 'default' is stored in" in shown
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sim.password not in shown + file.read_text()
    logins = len(sim.sent("login"))
    listed = await ended("get", "cluster", "-o", "csv", **variables)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "atlas-01" in listed.stdout
    assert len(sim.sent("login")) == logins  # the token was enough
    # With another server in its options, a command uses nothing of the profile.
    other = await ended("get", "cluster", "--endpoint", "other.example", **variables)
    assert other.stderr.startswith("cloudtower-async: no credentials")
    listed_there = await anyio.to_thread.run_sync(shown_by, "profiles")
    head, line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", listed_there).splitlines()
    assert head.split() == ["NAME", "ENDPOINT", "USERNAME", "TOKEN"]
    assert line.split() == ["default", sim.url, sim.username, "file"]
    assert await anyio.to_thread.run_sync(shown_by, "logout") == "Deleted profile 'default'.\r\n"


async def test_a_profile_is_listed_used_renewed_and_forgotten(
    sim: Simulator, tmp_path: Path
) -> None:
    variables = kept(tmp_path, keyring=True)
    secret = {"CLOUDTOWER_PASSWORD": sim.password}
    options = ("--endpoint", sim.url, "--username", sim.username, "--profile", "lab")
    first = await ended("login", *options, **variables, **secret)
    assert (first.returncode, first.stderr) == (0, "")
    server = f"{sim.url} as {sim.username}"
    assert first.stdout == (
        f"Logged in to {server}. The token of profile 'lab' is stored in the keyring.\n"
    )
    listed = await ended("profiles", **variables)
    head, line = listed.stdout.splitlines()
    assert head.split() == ["NAME", "ENDPOINT", "USERNAME", "TOKEN"]
    assert line.split() == ["lab", sim.url, sim.username, "keyring"]
    named = await ended("get", "cluster", "--profile", "lab", **variables)
    assert "atlas-01" in named.stdout
    # The next login only needs the name, even if the token has expired.
    again = await ended("login", CLOUDTOWER_PROFILE="lab", **variables, **secret)
    assert again.stdout == first.stdout
    assert [body["username"] for body in sim.sent("login")] == [sim.username] * 2
    gone = await ended("logout", "--profile", "lab", **variables)
    assert gone.stdout == "Deleted profile 'lab'.\n"
    assert (tmp_path / "keyring.json").read_text() == "{}"
    missing = await ended("logout", **variables)
    assert missing.returncode == 2
    assert "there is no profile 'default'" in missing.stderr


async def test_a_given_token_is_checked_before_it_is_stored(sim: Simulator, tmp_path: Path) -> None:
    variables = kept(tmp_path) | {"CLOUDTOWER_TOKEN": "n0ne"}
    refused = await ended("login", "--endpoint", sim.url, **variables)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert "n0ne" not in refused.stderr
    listed = await ended("profiles", **kept(tmp_path))
    assert (listed.returncode, listed.stdout) == (0, "")
    assert listed.stderr == "There are no profiles: create one with `cloudtower-async login`\n"


async def test_a_token_is_read_from_the_standard_input(sim: Simulator, tmp_path: Path) -> None:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        token = await tower.get_token()
    variables = kept(tmp_path)

    def typed(text: bytes, *command: str) -> CompletedProcess[bytes]:
        arguments = (*command, "--token-stdin", "--endpoint", sim.url)
        return run_bytes(*arguments, stdin=text, **variables)

    for end in (b"", b"\n", b"\r\n"):
        done = await anyio.to_thread.run_sync(typed, token.encode() + end, "login")
        assert (done.returncode, done.stderr) == (0, b"")
    listed = await anyio.to_thread.run_sync(typed, token.encode(), "get", "cluster")
    assert (listed.returncode, listed.stderr) == (0, b"")
    faults = {
        b"": b"expected one token",
        b"a b": b"token: ",
        b"\xff": b"token: ",
        b"x" * 70_000: b"expected one token",
    }
    for text, fault in faults.items():
        refused = await anyio.to_thread.run_sync(typed, text, "get", "cluster")
        assert (refused.returncode, refused.stdout) == (2, b"")
        assert fault in refused.stderr
    body = await anyio.to_thread.run_sync(typed, token.encode(), "call", "get-vms", "-")
    assert (body.returncode, body.stdout) == (2, b"")
    assert b"standard input is already the body" in body.stderr


async def test_an_expired_token_asks_for_a_new_login(sim: Simulator, tmp_path: Path) -> None:
    variables = kept(tmp_path)
    options = ("--endpoint", sim.url, "--username", sim.username)
    await ended("login", *options, CLOUDTOWER_PASSWORD=sim.password, **variables)
    sim.accounts.revoke_tokens()
    refused = await ended("get", "cluster", **variables)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "renew the token of a profile with `cloudtower-async login`" in refused.stderr
    assert refused.stderr.count("\n") == 1


async def test_a_pair_is_given_with_commas_and_stored_in_the_profile(tmp_path: Path) -> None:
    async with Simulator(clusters=1, vms=4, standby=True) as pair:
        both = ",".join(node.url for node in pair.nodes)
        variables = kept(tmp_path) | {"CLOUDTOWER_PASSWORD": pair.password}
        options = ("--endpoint", both, "--username", pair.username)
        for again in (options, ()):
            done = await ended("login", *again, **variables)
            assert (done.returncode, done.stderr) == (0, "")
        pair.switch()
        listed = await ended("get", "cluster", "-o", "csv", **variables)
        assert (listed.returncode, listed.stderr) == (0, "")
        assert "atlas-01" in listed.stdout


async def test_without_a_terminal_a_missing_endpoint_is_one_line(tmp_path: Path) -> None:
    missing = await ended("login", **kept(tmp_path))
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("cloudtower-async: no endpoint: pass --endpoint, ")
    assert missing.stderr.endswith(", or run this on a terminal\n")
    assert missing.stderr.count("\n") == 1


async def test_a_profile_keeps_the_proxy_without_its_credentials(
    sim: Simulator, tmp_path: Path
) -> None:
    variables = kept(tmp_path)
    who = {"CLOUDTOWER_USERNAME": sim.username, "CLOUDTOWER_PASSWORD": sim.password}
    async with serve_proxy(Proxy()) as proxy:
        address = proxy.url.replace("://", "://me:s3cret@")
        done = await ended(
            "login", "--endpoint", sim.url, **variables, **who, CLOUDTOWER_PROXY=address
        )
        assert done.returncode == 0, done.stderr
        assert (
            "the credentials of the proxy are not stored: keep CLOUDTOWER_PROXY set" in done.stderr
        )
        text = await anyio.Path(tmp_path / "cloudtower-async" / "profiles.toml").read_text()
        assert f'proxy = "{proxy.url}"' in text
        assert "s3cret" not in text + done.stdout + done.stderr
        before = len(proxy.heads)
        assert (await ended("get", "cluster", **variables)).returncode == 0
        assert len(proxy.heads) > before


@pytest.mark.parametrize("backend", ["no.such.module.Keyring", "keyring.backends.null.Keyring"])
async def test_a_login_is_usable_where_the_keyring_is_not(
    sim: Simulator, tmp_path: Path, backend: str
) -> None:
    variables = {**kept(tmp_path), "PYTHON_KEYRING_BACKEND": backend}
    who = {"CLOUDTOWER_USERNAME": sim.username, "CLOUDTOWER_PASSWORD": sim.password}
    done = await ended("login", "--endpoint", sim.url, **variables, **who)
    assert done.returncode == 0
    assert "profiles.toml" in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) == backend.startswith("no.")
    assert all(
        "warning: the keyring cannot be used, so the token is stored" in line for line in lines
    )
    assert (await ended("get", "cluster", **variables)).returncode == 0


async def test_a_profile_whose_token_is_lost_says_so_and_can_log_in_again(
    sim: Simulator, tmp_path: Path
) -> None:
    variables = kept(tmp_path, keyring=True)
    who = {"CLOUDTOWER_USERNAME": sim.username, "CLOUDTOWER_PASSWORD": sim.password}
    assert (await ended("login", "--endpoint", sim.url, **variables, **who)).returncode == 0
    await anyio.Path(tmp_path / "keyring.json").write_text("{}")
    done = await ended("get", "cluster", **variables)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("log in again with `cloudtower-async login --profile default`")
    password = {"CLOUDTOWER_PASSWORD": sim.password}
    assert (await ended("login", **variables, **password)).returncode == 0
    assert (await ended("get", "cluster", **variables)).returncode == 0


async def test_a_profile_can_be_read_only_and_stays_so_when_it_is_renewed(
    sim: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {**kept(tmp_path), "CLOUDTOWER_PASSWORD": sim.password}.items():
        monkeypatch.setenv(name, value)

    async def command(*arguments: str) -> int:
        return await anyio.to_thread.run_sync(main, arguments)

    options = ("--endpoint", sim.url, "--username", sim.username)
    assert await command("login", *options, "--mutations", "refuse") == 0
    file = anyio.Path(tmp_path / "cloudtower-async" / "profiles.toml")
    for _ in range(2):
        assert 'mutations = "refuse"' in await file.read_text()
        assert await command("call", "start-vm", '{"where": {"id": "v"}}', "--yes") == 2
        assert "the session is read-only" in capsys.readouterr().err
        assert await command("login") == 0
    assert await command("login", "--mutations", "allow") == 0
    assert 'mutations = "allow"' in await file.read_text()
    assert sim.mutations() == []
