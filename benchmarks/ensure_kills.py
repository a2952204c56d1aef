"""`python -m benchmarks.ensure_kills [RECIPE …]`: kill idempotent recipes at random moments.

Each round starts a recipe in a separate process, kills the process with SIGKILL at a random moment,
and runs the recipe again. Then the simulated server must have the expected state, without duplicate
resources.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from cloudtower_async import Cloudtower
from cloudtower_async.recipes import (
    create_blank_vm,
    create_vm_from_template,
    ensure_folder,
    ensure_label,
    ensure_labels,
    ensure_placement_group,
    ensure_power,
    ensure_snapshot,
    ensure_vm,
    ensure_volume_attached,
    ensure_volume_detached,
)

from .apart import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from cloudtower_async.recipes import Ensured
    from cloudtower_async.testing import Simulator

    Answer: TypeAlias = "Ensured[Any] | list[Ensured[Any]]"

KILLS = 200
RECONCILE_TIMEOUT = 120.0
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [f"cloudtower_async.{name}" for name in ("client", "recipes", "models", "inputs", "api.vm")]
)
GIB = 2**30


@dataclass(frozen=True)
class Case:
    """A recipe, its preconditions and its expected result.

    Attributes:
        run: Function that runs the recipe. Its arguments are a session, the name of a cluster, the
            name of the resource, and the time-out in seconds for reconciling.
        right: Function that returns whether the server has the expected state without duplicates.
        status: Status of a VM that exists with this name from the start. None means that no VM
            exists.
        volume: State of a volume that exists with this name from the start: ``"free"`` or
            ``"attached"``. None means that no volume exists.
    """

    run: Callable[[Cloudtower, str, str, float], Coroutine[Any, Any, Answer]]
    right: Callable[[Simulator, str], bool]
    status: str | None = None
    volume: str | None = None


def rows(sim: Simulator, resource: str, **where: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the matching rows of the server."""
    return sim.store.select(resource, where)


def _one_vm(sim: Simulator, name: str) -> bool:
    return [vm["entityAsyncStatus"] for vm in rows(sim, "Vm", name=name)] == [None]


def _one(resource: str, key: str = "name") -> Callable[[Simulator, str], bool]:
    return lambda sim, name: len(rows(sim, resource, **{key: name})) == 1


def _labelled(sim: Simulator, name: str) -> bool:
    labels = rows(sim, "Label", key=name)
    [vm] = rows(sim, "Vm", name=name)
    return [label["vms"] for label in labels] == [[vm["id"]]]


def _grouped(sim: Simulator, name: str) -> bool:
    groups = rows(sim, "VmPlacementGroup", name=name)
    [vm] = rows(sim, "Vm", name=name)
    return [group["vms"] for group in groups] == [[vm["id"]]]


def _disks(sim: Simulator, name: str) -> int:
    return len(rows(sim, "VmDisk", vm={"name": name}, vm_volume={"name": name}))


def _status(status: str) -> Callable[[Simulator, str], bool]:
    return lambda sim, name: [vm["status"] for vm in rows(sim, "Vm", name=name)] == [status]


CASES: dict[str, Case] = {
    "ensure_vm": Case(
        lambda tower, cluster, name, wait: ensure_vm(
            tower,
            name,
            cluster=cluster,
            create=partial(create_blank_vm, vcpu=1, memory=GIB),
            reconcile_timeout=wait,
        ),
        _one_vm,
    ),
    "ensure_vm of a template": Case(
        lambda tower, cluster, name, wait: ensure_vm(
            tower,
            name,
            cluster=cluster,
            create=partial(create_vm_from_template, template="rocky-9"),
            reconcile_timeout=wait,
        ),
        _one_vm,
    ),
    "ensure_label": Case(
        lambda tower, _, name, wait: ensure_label(tower, name, "prod", reconcile_timeout=wait),
        _one("Label", "key"),
    ),
    "ensure_labels": Case(
        lambda tower, _, name, wait: ensure_labels(
            tower, {name: ""}, {"vms": {"name": name}}, reconcile_timeout=wait
        ),
        _labelled,
        status="STOPPED",
    ),
    "ensure_folder": Case(
        lambda tower, cluster, name, wait: ensure_folder(
            tower, name, cluster=cluster, reconcile_timeout=wait
        ),
        _one("VmFolder"),
    ),
    "ensure_placement_group": Case(
        lambda tower, cluster, name, wait: ensure_placement_group(
            tower,
            name,
            cluster=cluster,
            vms=[name],
            policy="PREFER_DIFFERENT",
            reconcile_timeout=wait,
        ),
        _grouped,
        status="STOPPED",
    ),
    "ensure_snapshot": Case(
        lambda tower, _, name, wait: ensure_snapshot(tower, name, name, reconcile_timeout=wait),
        _one("VmSnapshot"),
        status="STOPPED",
    ),
    "ensure_volume_attached": Case(
        lambda tower, _, name, wait: ensure_volume_attached(
            tower, name, name, reconcile_timeout=wait
        ),
        lambda sim, name: _disks(sim, name) == 1,
        status="STOPPED",
        volume="free",
    ),
    "ensure_volume_detached": Case(
        lambda tower, _, name, wait: ensure_volume_detached(
            tower, name, name, reconcile_timeout=wait
        ),
        lambda sim, name: _disks(sim, name) == 0 and len(rows(sim, "VmVolume", name=name)) == 1,
        status="STOPPED",
        volume="attached",
    ),
    "ensure_power on": Case(
        lambda tower, _, name, wait: ensure_power(tower, name, "RUNNING", reconcile_timeout=wait),
        _status("RUNNING"),
        status="STOPPED",
    ),
    "ensure_power off": Case(
        lambda tower, _, name, wait: ensure_power(tower, name, "STOPPED", reconcile_timeout=wait),
        _status("STOPPED"),
        status="RUNNING",
    ),
}


async def prepare(sim: Simulator, tower: Cloudtower, case: Case, name: str) -> str:
    """Create the preconditions of a case, and return the name of the cluster."""
    cluster = rows(sim, "Cluster", hypervisor="ELF")[0]
    if case.status is not None:
        vm = sim.add_vm(
            name=name,
            status=case.status,
            cluster=cluster["id"],
            memory=1 << 20,
            vm_tools_status="RUNNING",
        )
        if case.volume is not None:
            [volume] = await tower.settle(
                tower.vm_volume.create_vm_volume(
                    [
                        {
                            "cluster_id": cluster["id"],
                            "name": name,
                            "size": 1 << 20,
                            "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
                            "sharing": False,
                        }
                    ]
                )
            )
            if case.volume == "attached":
                await ensure_volume_attached(tower, vm["id"], volume.id)
    return str(cluster["name"])


@dataclass
class Tally:
    """Results of the rounds of a case.

    Attributes:
        killed: Number of processes that were killed while they worked.
        wrong: Names of the rounds after which the state was wrong.
        results: Number of runs after the kills, by result.
    """

    killed: int = 0
    wrong: list[str] = field(default_factory=list[str])
    results: Counter[str] = field(default_factory=Counter[str])


async def kill_and_repeat(sim: Simulator, name: str, kills: int, seed: int = 1) -> Tally:
    """Run a case in a process that is killed, then run it again; repeat this `kills` times."""
    case, tally = CASES[name], Tally()
    chance = Random(seed)  # noqa: S311 - the same moments in each measurement
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        cluster = await prepare(sim, tower, case, f"{name} 0")
        started = len(sim.requests)
        await case.run(tower, cluster, f"{name} 0", RECONCILE_TIMEOUT)
        steps = len(sim.requests) - started + 1  # including the login
        for number in range(1, kills + 1):
            subject = f"{name} {number}"
            await prepare(sim, tower, case, subject)
            tally.killed += await _kill(sim, name, cluster, subject, chance, steps)
            answer = await case.run(tower, cluster, subject, RECONCILE_TIMEOUT)
            tally.results += Counter(
                one.result for one in (answer if isinstance(answer, list) else [answer])
            )
            if not case.right(sim, subject):
                tally.wrong.append(subject)
    return tally


async def _kill(
    sim: Simulator, case: str, cluster: str, subject: str, chance: Random, steps: int
) -> bool:
    """Run a case in a process, and kill the process after a random request.

    Return False if the process had already ended.
    """
    address = Address(sim.url, sim.username, sim.password)
    process = PROCESSES.Process(target=_work, args=(case, cluster, subject, address), daemon=True)
    moment = len(sim.requests) + chance.randint(1, steps)
    process.start()
    try:
        while len(sim.requests) < moment and process.is_alive():  # noqa: ASYNC110
            await anyio.sleep(0.001)
        await anyio.sleep(chance.uniform(0, 0.02))  # a random moment between two requests
        return process.is_alive()
    finally:
        process.kill()
        process.join()


def _work(case: str, cluster: str, subject: str, address: Address) -> None:
    """Run a case; this is the main function of the process that is killed."""

    async def run() -> None:
        async with Cloudtower(
            address.url, username=address.username, password=address.password
        ) as tower:
            await CASES[case].run(tower, cluster, subject, RECONCILE_TIMEOUT)

    asyncio.run(run())


async def _measure(names: Sequence[str], kills: int) -> bool:
    from cloudtower_async.testing import Simulator

    right = True
    for name in names:
        async with Simulator(clusters=1, vms=4, seed=5, task_duration=0.05) as sim:
            tally = await kill_and_repeat(sim, name, kills)
        right = right and not tally.wrong
        print(
            f"{name}: {kills} rounds, {tally.killed} killed at work, {len(tally.wrong)} wrong; "
            f"the next runs: {json.dumps(tally.results)}",
            flush=True,
        )
    return right


def main() -> None:
    """Parse the arguments and run the measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensure_kills")
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"one of {', '.join(CASES)}")
    parser.add_argument("--kills", type=int, default=KILLS)
    given = parser.parse_args()
    if unknown := [name for name in given.recipes if name not in CASES]:
        parser.error(f"no recipe {unknown[0]!r}")
    if not asyncio.run(_measure(given.recipes or list(CASES), given.kills)):
        sys.exit("the state was wrong after a kill")


if __name__ == "__main__":
    main()
