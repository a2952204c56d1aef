"""One snapshot of one VM, once: also when whoever began it crashed, or never got the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

from cloudtower_async import CallError, CloudtowerError, OutcomeUnknown, WithTask

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower
    from cloudtower_async.models import Vm, VmSnapshot

_MOST_SENT = 3  # times: if all answers are lost, the next run finds out what came of the last one
_PAUSE = 0.5  # seconds between two looks for a snapshot that may be on its way


class Journal(Protocol):
    """Where it is written down what was begun, so that it outlives the process."""

    grace: float
    """Seconds after which a request that was sent has reached the server, or never will."""

    async def begin(self, vm_id: str) -> bool:
        """Write down that a snapshot is about to be asked for.

        Returns:
            False, and nothing was written: one was begun less than `grace` ago, and what has come
            of it is not known.
        """
        ...

    async def answered(self, vm_id: str, task_id: str | None) -> None:
        """Write down the task, if there is one: nothing is in doubt any more."""
        ...


async def snapshot_once(
    tower: Cloudtower, journal: Journal, vm: Vm, name: str, *, timeout: float
) -> VmSnapshot:
    """See to it that a VM has the snapshot of this name, and wait until it is there.

    The order is what counts. It is written down first that a snapshot is begun; then the server is
    asked whether there is one already; only when there is none is it asked to make it. Who comes
    after a crash asks the server, too, and asks for a new one only when the lost request can't
    arrive any more.

    Args:
        tower: The session to work with.
        journal: What outlives a crash.
        vm: Which VM.
        name: Of the snapshot: no other of this VM may have it.
        timeout: Seconds to wait until it is made.

    Raises:
        CloudtowerError: It could not be made, or not in time.
    """
    # Sent within half of the grace at the latest, with all waiting for locks.
    quick = tower.with_options(timeout=journal.grace / 4, lock_timeout=journal.grace / 4)
    quiesce = vm.vm_tools_status == "RUNNING"
    sent = 0
    while True:
        begun = await journal.begin(vm.id)
        found = await tower.vm_snapshot.get_vm_snapshots(
            where={"vm": {"id": vm.id}, "name": name}, first=1
        )
        if found:
            # Its task is not known; that the server is done is seen by the snapshot itself.
            return await tower.settle(WithTask(data=found[0]), timeout=timeout)
        if not begun:
            await anyio.sleep(_PAUSE)
            continue
        try:
            answer = await quick.vm_snapshot.create_vm_snapshot(
                data=[
                    {
                        "vm_id": vm.id,
                        "name": name,
                        "consistent_type": "FILE_SYSTEM_CONSISTENT"
                        if quiesce
                        else "CRASH_CONSISTENT",
                    }
                ]
            )
        except OutcomeUnknown:
            sent += 1
            if sent == _MOST_SENT:
                raise
            continue  # as after a crash: the server will tell
        except CallError:  # any other: the server has certainly done nothing
            await journal.answered(vm.id, None)
            raise
        if len(answer) != 1:
            raise CloudtowerError(f"VM {vm.name}: the server named {len(answer)} snapshots, not 1")
        [created] = answer
        await journal.answered(vm.id, created.task_id)
        return await tower.settle(created, timeout=timeout)
