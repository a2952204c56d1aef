"""The option ``--profiles``: lists of resources of several servers."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, NamedTuple

import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.cli import main
from cloudtower_async.cli.complete import candidates
from cloudtower_async.profiles import Profile, save_profile
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Ended(NamedTuple):
    """Result of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
async def towers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, Simulator]]:
    """Yield two servers with profiles; a third profile is for an unreachable server."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    async with Simulator(clusters=1, vms=0) as east, Simulator(clusters=1, vms=0) as west:
        found = {"east": east, "west": west}
        for name, sim in found.items():
            for number in (1, 2):
                sim.add_vm(name=f"{name}-{number}", vcpu=number if sim is east else 10 + number)
            async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
                token = await tower.get_token()
            profile = Profile(endpoint=sim.url, username=sim.username)
            await anyio.to_thread.run_sync(save_profile, name, profile, token)
        yield found


async def get(capsys: pytest.CaptureFixture[str], *options: str) -> Ended:
    status = await anyio.to_thread.run_sync(main, ["get", "vms", *options])
    output = capsys.readouterr()
    return Ended(status, output.out, output.err)


@pytest.mark.usefixtures("towers")
async def test_a_column_names_the_tower_in_every_format(
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = [[name, f"{name}-{number}"] for name in ("east", "west") for number in (1, 2)]
    for columns in ("tower,name", "TOWER,NAME"):
        ended = await get(capsys, "--profiles", "all", "--columns", columns)
        assert (ended.status, ended.err) == (0, "")
        head, *lines = ended.out.splitlines()
        assert head.split() == ["TOWER", "NAME"]
        assert sorted(line.split() for line in lines) == expected
    table = (await get(capsys, "--profiles", "west,east")).out.splitlines()
    assert table[0].split()[:3] == ["TOWER", "NAME", "STATUS"]
    assert [line.split()[0] for line in table[1:]] == ["west", "west", "east", "east"]
    rows = list(
        csv.DictReader((await get(capsys, "--profiles", "all", "-o", "csv")).out.splitlines())
    )
    assert sorted([row["tower"], row["name"]] for row in rows) == expected
    vms = json.loads((await get(capsys, "--profiles", "all", "-o", "json")).out)
    assert sorted([vm["tower"], vm["name"]] for vm in vms) == expected
    assert "entityAsyncStatus" in vms[0]  # all fields, with their names in the API
    only = await get(capsys, "--profiles", "west", "-o", "name")
    assert sorted(only.out.splitlines()) == ["west-1", "west-2"]


@pytest.mark.usefixtures("towers")
async def test_resources_are_sorted_and_limited_over_all_towers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--profiles", "all", "--columns", "name", "--no-headers")
    ended = await get(capsys, *options, "--sort", "vcpu:desc", "--limit", "3")
    assert ended.out.split() == ["west-2", "west-1", "east-2"]
    ended = await get(capsys, *options, "--order-by", "name", "--limit", "3")
    assert ended.out.split() == ["east-1", "east-2", "west-1"]


async def test_a_dead_tower_is_reported_and_the_others_are_listed(
    towers: dict[str, Simulator], capsys: pytest.CaptureFixture[str]
) -> None:
    towers["east"].accounts.revoke_tokens()
    ended = await get(capsys, "--profiles", "all", "--columns", "name", "--no-headers")
    assert ended.status == 1
    assert sorted(ended.out.split()) == ["west-1", "west-2"]
    dead, summary = ended.err.splitlines()
    assert dead.startswith("cloudtower-async: east: ")
    assert summary == "cloudtower-async: 1 of 2 Towers failed: east"


@pytest.mark.usefixtures("towers")
async def test_options_that_do_not_fit_are_refused_before_anything_is_sent(
    towers: dict[str, Simulator], capsys: pytest.CaptureFixture[str]
) -> None:
    before = [len(sim.requests) for sim in towers.values()]
    for options, told in (
        (("--profile", "east"), "each profile says how to reach its server"),
        (("--endpoint", "other.example"), "each profile says how to reach its server"),
        (("--watch",), "leave out --profiles"),
        (("--columns", "towr"), "did you mean tower?"),
    ):
        ended = await get(capsys, "--profiles", "all", *options)
        assert (ended.status, ended.out) == (2, "")
        assert told in ended.err
    ended = await get(capsys, "--profiles", "est")
    assert "did you mean east?" in ended.err or "did you mean west" in ended.err
    assert [len(sim.requests) for sim in towers.values()] == before
    assert (await get(capsys, "--profiles", "west", "-v")).err.count(": HTTP 200 in ") >= 1


@pytest.mark.usefixtures("towers")
async def test_completion_offers_profiles_that_are_not_named_yet() -> None:
    def offered(part: str) -> list[str]:
        return list(candidates(["cloudtower-async", "get", "vms", "--profiles", part]) or {})

    assert await anyio.to_thread.run_sync(offered, "") == ["east", "west", "all"]
    assert await anyio.to_thread.run_sync(offered, "west,") == ["west,east"]
