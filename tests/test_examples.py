"""The examples run, as processes of their own, against a simulator."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parent.parent / "examples"


async def run(example: str, *arguments: str, **environment: str) -> CompletedProcess[bytes]:
    return await anyio.run_process(
        [sys.executable, str(EXAMPLES / example), *arguments],
        env={**os.environ, **environment},
        check=False,
    )


async def test_start_stopped_vms() -> None:
    async with (
        Simulator() as simulator,
        Cloudtower(
            simulator.url, username=simulator.username, password=simulator.password
        ) as tower,
    ):
        [cluster, *_] = await tower.cluster.get_clusters()
        stopped = await tower.vm.get_vms(
            where={"status": "STOPPED", "cluster": {"id": cluster.id}}, order_by="name_ASC"
        )
        done = await run(
            "start_stopped_vms.py",
            cluster.name,
            CLOUDTOWER_ENDPOINT=simulator.url,
            CLOUDTOWER_USERNAME=simulator.username,
            CLOUDTOWER_PASSWORD=simulator.password,
        )
        assert done.stderr == b""
        names = [vm.name for vm in stopped]
        assert done.stdout.decode().splitlines() == [f"{len(stopped)} started", *names]
        assert not await tower.vm.get_vms(
            where={"status": "STOPPED", "cluster": {"id": cluster.id}}, first=1
        )


async def test_an_example_ends_with_one_line_when_the_server_is_not_there() -> None:
    done = await run("start_stopped_vms.py", "any", CLOUDTOWER_ENDPOINT="")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("no endpoint: ")
    assert len(done.stderr.splitlines()) == 1
