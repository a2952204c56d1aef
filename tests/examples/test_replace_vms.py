"""The example that replaces VMs: rehearsed in plan mode, then run."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator
from tests.support import login_variables

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.anyio

PATH = Path(__file__).parents[2] / "examples" / "replace_vms.py"


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replace_vms", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(sim: Simulator) -> Cloudtower:
    feed = (sim.changes.username, sim.changes.password)
    return Cloudtower(sim.url, username=sim.username, password=sim.password, change_feed=feed)


async def saved(sim: Simulator, path: Path) -> bytes:
    await sim.save(path)  # the whole store
    return await anyio.Path(path).read_bytes()


@pytest.mark.subprocess
async def test_a_rehearsal_changes_nothing_and_names_all_that_the_run_touches(
    tmp_path: Path,
) -> None:
    async with Simulator(clusters=1, vms=20, task_duration=0.01) as sim, session(sim) as tower:
        [cluster] = await tower.cluster.get_clusters()
        old = [sim.add_vm(name=f"blog-old-{number}", status="RUNNING") for number in range(3)]
        sim.add_vm(name="blog-old-3", status="STOPPED")
        stay = [sim.add_vm(name=f"blog-stay-{number}") for number in range(2)]
        other = sim.add_vm(name="mail-old-1")

        before = await saved(sim, tmp_path / "before.json")
        variables = {**os.environ, **login_variables(sim), "CLOUDTOWER_MUTATIONS": "plan"}
        command = [sys.executable, str(PATH), cluster.name, "blog", "3"]
        done = await anyio.run_process(command, env=variables, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        rehearsal = tower.with_options(mutations="plan")
        replace: Any = example().replace
        await replace(rehearsal, cluster.name, "blog", 3)
        assert await saved(sim, tmp_path / "after.json") == before
        assert sim.mutations() == []

        plan = rehearsal.plan
        printed = done.stdout.decode().splitlines()
        assert [line.partition(":")[0] for line in printed] == [one.operation for one in plan]
        planned = {(one.type, one.id) for each in plan for one in each.resources if one.exists}
        created = sorted((one.type, one.name or "") for each in plan for one in each.creates)
        assert other["id"] not in plan.resource_ids

        # The run: all its changes are in the change feed and in the tasks of the server.
        changes = tower.changes(["Vm", "Label"], interval=0.01)
        await changes.anchor()
        known_tasks = set(sim.store.table("Task"))
        await replace(tower, cluster.name, "blog", 3)
        touched: set[tuple[str, str | None]] = set()
        made: list[tuple[str, str | None]] = []
        end = await tower.vm.get_vms(where={"name_starts_with": "blog-"})
        sim.add_vm(name="end-of-the-changes")
        async for change in changes:
            if getattr(change.new, "name", None) == "end-of-the-changes":
                break
            if change.action == "INSERT":
                made.append((change.resource_type, change.resource_id))
            touched.add((change.resource_type, change.resource_id))
        new: dict[str | None, str] = {vm.id: vm.name for vm in end}
        assert sorted((kind, new.get(one, "")) for kind, one in made) == created
        assert touched - set(made) == planned
        assert {one["id"] for one in (*old, *stay)} < {one for _, one in planned}
        tasks = [row for one, row in sim.store.table("Task").items() if one not in known_tasks]
        assert len(tasks) > 10
        assert {row["resource_id"] for row in tasks} <= {one for _, one in touched}
        assert {vm.name for vm in end} == {
            *(f"blog-new-{number}" for number in (1, 2, 3)),
            "blog-stay-0",
            "blog-stay-1",
        }
