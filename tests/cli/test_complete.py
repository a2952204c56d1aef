"""Candidates for a word on the command line."""

from __future__ import annotations

import json
import stat
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from cloudtower_async.cli.command_table import command_table
from cloudtower_async.cli.complete import FILES, candidates, split_line
from cloudtower_async.cli.private_files import read_private, write_private
from cloudtower_async.folders import cache_folder
from cloudtower_async.profiles import Profile, save_profile
from cloudtower_async.testing import Simulator
from tests.support import set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_names() -> None:
    for file in cache_folder().glob("names-*"):
        file.unlink()


def offered(*words: str) -> list[str]:
    found = candidates(["cloudtower-async", *words])
    return [FILES] if found is None else list(found)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("da",), ["dashboard"]),
        (("profile", "s"), ["show"]),
        (("get", "--lim"), ["--limit"]),
        (("get", "vms", "--no-verify"), ["--no-verify-tls"]),
        (("get", "content-library-im"), ["content-library-images"]),
        (("resources", "vds"), ["vdses"]),
        (("get", "vms", "-o", "js"), ["json", "jsonl"]),
        (("get", "vms", "--output=cs"), ["--output=csv"]),
        (("get", "vms", "--order-by", "vcp"), ["vcpu", "vcpu_DESC"]),
        (("get", "vms", "--columns", "name,cluster.n"), ["name,cluster.name"]),
        (("get", "vms", "--columns", "name,ag"), ["name,age"]),
        (("get", "vms", "--sort", "ag"), ["age"]),
        (
            ("get", "vms", "--where", "statu"),
            ["status=", "status_in=", "status_not=", "status_not_in="],
        ),
        (("get", "vms", "--where", "clus"), ["cluster."]),
        (("get", "vms", "--where", "cluster.name_s"), ["cluster.name_starts_with="]),
        (("get", "vms", "--where", "status=R"), ["status=RUNNING"]),
        (("get", "vms", "--where", "ha="), ["ha=true", "ha=false"]),
        (("get", "--where", "statu"), []),  # the resource comes first
        (("call", "start-v"), ["start-vm"]),
        (("call", "create-vm", "@bo"), [FILES]),
        (("explain", "vm.memory"), ["vm.memory", "vm.memory_usage"]),
        (("explain", "create-vm.vm_n"), ["create-vm.vm_nics"]),
        (("metrics", "vm-"), ["vm-network", "vm-volume"]),
        (
            ("metrics", "vm", "web", "--metric", "elf_vm_memory_us"),
            ["elf_vm_memory_usage_percent", "elf_vm_memory_used_bytes"],
        ),
        (("upload", "im"), [FILES]),
        (("get", "vms", "--ca-file", ""), [FILES]),
        (("get", "vms", "--", "--lim"), []),
        (("nonsense", "x"), []),
    ],
)
def test_a_word_is_completed_by_its_place(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_candidates_have_descriptions() -> None:
    found = candidates(["cloudtower-async", "get", "vms", "--lim"])
    assert found == {"--limit": "Maximum number of resources to show"}
    assert (candidates(["cloudtower-async", "res"]) or {})["resources"].startswith("List the ")


def test_profiles_are_completed_with_their_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("east", "west"):
        save_profile(name, Profile(endpoint=f"https://{name}.example"), "secret-token")
    expected = {"east": "https://east.example", "west": "https://west.example"}
    for command in (["profile", "use"], ["profile", "show"], ["get", "vms", "--profile"]):
        assert candidates(["cloudtower-async", *command, ""]) == expected
    assert offered("get", "vms", "--profile", "w") == ["west"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cloudtower-async ", ["cloudtower-async", ""]),
        ("a 'b c' d", ["a", "b c", "d"]),
        ('a "b \\" c', ["a", 'b " c']),
        ("a b\\ c", ["a", "b c"]),
        ("a 'b\\", ["a", "b\\"]),
        ('a "" ', ["a", "", ""]),
        ("", [""]),
    ],
)
def test_a_line_is_split_as_a_shell_does(line: str, words: list[str]) -> None:
    assert split_line(line) == words


@pytest.mark.parametrize("content", ["", "[]", "{", '{"key": 1}'])
def test_a_broken_table_of_commands_is_made_again(content: str) -> None:
    command_table()
    file = cache_folder() / "commands.json"
    intact = json.loads(file.read_text())
    write_private(file, content)
    assert "profile use" in command_table()
    again = json.loads(file.read_text())
    assert again["key"] == intact["key"]
    assert again["commands"].keys() == intact["commands"].keys()


def test_files_that_others_may_read_or_that_are_large_are_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"
    write_private(file, "text")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert read_private(file) == "text"
    write_private(file, "x" * (1 << 21))
    assert read_private(file) == "text"  # the new content is too large, so the old one stays
    file.write_text("x" * (1 << 21))
    assert read_private(file) is None
    file.write_bytes(b"\xff")
    assert read_private(file) is None
    file.write_text("text")
    file.chmod(0o644)
    assert read_private(file) is None
    write_private(tmp_path / "new" / "file" / "below", "text")  # not possible: nothing happens


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=0) as simulator:
        for name in ("web-1", "web 2", "db-1", "web\n3", "web-" + "x" * 300):
            simulator.add_vm(name=name)
        set_login_variables(monkeypatch, simulator)
        yield simulator


async def names(part: str, *options: str) -> list[str]:
    return await anyio.to_thread.run_sync(partial(offered, "backup", *options, part))


def age_names(seconds: float) -> dict[str, Any]:
    """Make the cached data older by a number of seconds, and return the data."""
    [file] = cache_folder().glob("names-*")
    kept: dict[str, Any] = json.loads(file.read_text())
    for known in kept.values():
        known["at"] -= seconds
        known["failed_at"] -= seconds
    write_private(file, json.dumps(kept))
    return kept


@pytest.mark.anyio
async def test_names_are_read_from_the_server_and_cached_for_a_minute(sim: Simulator) -> None:
    def read() -> int:
        return len(sim.sent("get-vms"))

    assert await names("web") == ["web 2", "web-1"]
    assert await names("") == ["db-1", "web 2", "web-1"]
    assert read() == 1
    sim.add_vm(name="web-4")
    assert await names("web-") == ["web-1"]
    kept = await anyio.to_thread.run_sync(age_names, 61)
    assert set(kept) == {"vms"}
    assert set(kept["vms"]) == {"at", "failed_at", "names", "all"}
    assert kept["vms"]["names"] == ["db-1", "web 2", "web-1"]
    assert await names("web-") == ["web-1", "web-4"]
    assert read() == 2
    assert sim.mutations() == []


@pytest.mark.anyio
async def test_names_are_used_for_a_day_while_the_server_does_not_answer(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await names("db") == ["db-1"]
    await anyio.to_thread.run_sync(age_names, 61)
    monkeypatch.setenv("CLOUDTOWER_PASSWORD", "wrong")
    logins = len(sim.sent("login"))
    assert await names("db") == ["db-1"]
    assert await names("db") == ["db-1"]
    assert len(sim.sent("login")) == logins + 1  # no second request at once
    await anyio.to_thread.run_sync(age_names, 86_400)
    assert await names("db") == []


@pytest.mark.anyio
async def test_names_can_be_turned_off(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_COMPLETE_NAMES", "false")
    assert await names("web") == []
    assert sim.requests == []
    assert await anyio.to_thread.run_sync(lambda: list(cache_folder().glob("names-*"))) == []


@pytest.mark.anyio
async def test_completion_sends_no_request_without_credentials_or_with_token_stdin(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await names("web", "--token-stdin") == []
    monkeypatch.delenv("CLOUDTOWER_PASSWORD")
    assert await names("web") == []
    assert await names("web", "--profile", "missing") == []
    assert sim.requests == []


@pytest.mark.anyio
async def test_options_of_the_line_choose_the_server(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDTOWER_ENDPOINT", "http://127.0.0.1:9")
    assert await names("db", "--endpoint", sim.url, "--no-verify-tls") == ["db-1"]
    assert await names("db", f"--endpoint={sim.url}") == ["db-1"]


@pytest.mark.anyio
async def test_a_server_that_never_answers_times_out_soon_and_is_not_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accepted: list[object] = []
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        monkeypatch.setenv("CLOUDTOWER_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("CLOUDTOWER_TOKEN", "token")

        async def silent(stream: anyio.abc.SocketStream) -> None:
            accepted.append(stream)
            async with stream:
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, silent)
            with anyio.fail_after(60):
                assert await names("web") == []
                assert len(accepted) == 1
                assert await names("web") == []
            assert len(accepted) == 1
            tasks.cancel_scope.cancel()
