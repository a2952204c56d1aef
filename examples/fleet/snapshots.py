"""Give the workers a snapshot to make of each VM of many Towers, and wait for all of them."""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import msgspec

from cloudtower_async import Cloudtower, CloudtowerError, select_fields

from .jobs import LOST, RESULTS, broker, connect, knock, snapshot_vm

_PAUSE = 0.5  # seconds between two looks for results


class VmId(msgspec.Struct, frozen=True, gc=False):
    """All that is needed of a VM here; the other fields are not decoded."""

    id: str


@dataclass
class Outcome:
    """What has come of it, by the ids of taskiq's tasks: ``name/profile/id of the VM``."""

    snapshots: dict[str, str] = field(default_factory=dict[str, str])
    errors: dict[str, str] = field(default_factory=dict[str, str])


async def snapshot_fleet(profiles: list[str], name: str) -> Outcome:
    """See to it that each VM has the snapshot of this name.

    The same call goes on with what an earlier one began, and tries again what failed.
    """
    outcome = Outcome()
    waiting: set[str] = set()

    async def give(profile: str) -> None:
        try:
            tower = await anyio.to_thread.run_sync(lambda: Cloudtower.from_env(profile=profile))
            async with tower:
                vms = await tower.fetch_all(
                    select_fields(tower.vm.get_vms, VmId),
                    where={"in_recycle_bin": False, "internal": False},
                )
        except CloudtowerError as error:  # of this Tower; the others go on
            outcome.errors[f"{name}/{profile}"] = str(error)
            return
        for vm in vms:
            task_id = f"{name}/{profile}/{vm.id}"
            if not await _succeeded(task_id):
                await redis.delete(f"{RESULTS}:{task_id}")
                await snapshot_vm.kicker().with_task_id(task_id).kiq(profile, vm.id, name)
            waiting.add(task_id)

    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connect())
        await broker.startup()
        stack.push_async_callback(broker.shutdown)
        async with anyio.create_task_group() as group:
            for profile in profiles:
                group.start_soon(give, profile)
        await _collect(waiting, outcome)
    return outcome


async def _succeeded(task_id: str) -> bool:
    backend = broker.result_backend
    if not await backend.is_result_ready(task_id):
        return False
    try:
        return not (await backend.get_result(task_id)).is_err
    except ValueError:  # not JSON: no worker of this version wrote it
        return False


async def _collect(waiting: set[str], outcome: Outcome) -> None:
    knocked = anyio.current_time()
    while waiting:
        for task_id in sorted(waiting):
            if not await broker.result_backend.is_result_ready(task_id):
                continue
            result = await broker.result_backend.get_result(task_id)
            if result.is_err:
                outcome.errors[task_id] = str(result.error)
            else:
                outcome.snapshots[task_id] = str(result.return_value)
            waiting.discard(task_id)
        if anyio.current_time() - knocked > LOST / 2:
            knocked = anyio.current_time()
            await knock.kiq()
        await anyio.sleep(_PAUSE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.fleet.snapshots")
    parser.add_argument("name", help="of the snapshots, with the night: nightly-2026-01-31")
    parser.add_argument("profiles", nargs="+", help="names given to `cloudtower-async login`")
    options = parser.parse_args()
    outcome = anyio.run(snapshot_fleet, options.profiles, options.name)
    for task_id, error in sorted(outcome.errors.items()):
        print(f"{task_id}: {error}", file=sys.stderr)
    print(f"{len(outcome.snapshots)} snapshots, {len(outcome.errors)} errors")
    sys.exit(1 if outcome.errors else 0)


if __name__ == "__main__":
    main()
