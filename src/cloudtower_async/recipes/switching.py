"""Power operation for several VMs: send the operation, follow its tasks, and read the VMs."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import anyio

from .. import models
from ..client import Cloudtower
from ..concurrency import map_concurrently, side_by_side
from ..errors import (
    BadRequest,
    CloudtowerError,
    NotFound,
    OutcomeUnknown,
    ReadBackFailed,
    ResourceLocked,
    SettleTimeout,
    TaskNotFound,
    UnknownTaskStatus,
)
from ..plans import PlannedAnswer
from ..queries.batches import batches, read_by_ids
from ..retry.backoff import poll_delay
from ..retry.classify import is_transient
from ..types import WithTask
from .batch import has_id
from .progress import Telling, follow, ignore_progress, label

Call: TypeAlias = Callable[[Cloudtower, list[str]], Awaitable[list[WithTask[models.Vm]]]]
Result: TypeAlias = "models.Vm | Exception"
"""Outcome for a VM: the VM after the operation, or the error."""

_INTERVAL = 2.0
"""Maximum number of seconds between two reads of VMs that are still changing."""

_LAST_LOOK = 5.0
"""Time-out in seconds of the last read, which begins after the time-out of the operation."""


class Switch:
    """Power operation for several VMs, sent in as few calls as possible.

    A VM is read as soon as its task has ended, without waiting for other VMs. If the response to
    the call is lost or lacks a VM, this VM has no known task, and is read at once. For such a VM,
    the operation has succeeded if the VM has the status `ends`.

    Args:
        tower: The session.
        tell: Reporter of the progress.
        step: Step to report, such as ``"start"``.
        call: Function that sends the operation. Its arguments are the session and the ids of the
            VMs.
        vms: The VMs.
        timeout: Seconds to wait for the VMs. The time begins when the server has responded to
            `call`. If `hurry` is True, the time begins when the `Switch` is created. None means no
            limit.
        ends: Status of the VMs after a successful operation. None means that the status does not
            show whether the operation succeeded.
        wait_for_status: Whether to wait for the status `ends` after the tasks have ended.
        hurry: Whether `run` ends at the time-out. If False, `run` can take longer: it waits for
            locked VMs for up to the `lock_timeout` of the session, and reads unfinished VMs once
            more after the time-out.
    """

    def __init__(
        self,
        tower: Cloudtower,
        tell: Telling,
        step: str,
        call: Call,
        vms: Sequence[models.Vm],
        *,
        timeout: float | None,
        ends: str | None,
        wait_for_status: bool = False,
        hurry: bool = False,
    ) -> None:
        self._tower = tower
        self._tell = tell
        self._step = step
        self._call = call
        self._vms = {vm.id: vm for vm in vms}
        self._timeout = timeout
        self._ends = ends
        self._wait_for_status = wait_for_status
        self._hurry = hurry
        self._deadline = math.inf if timeout is None else anyio.current_time() + timeout
        self._results: dict[str, Result] = {}
        # VMs to read, by id. If the task has ended, the value is None. Otherwise, the value is the
        # error to report if the VM does not have the wanted status.
        self._unread: dict[str, Exception | None] = {}
        self._latest: dict[str, models.Vm] = {}  # changing VMs, as they were last read
        self._read_error: CloudtowerError | None = None  # error of the last read
        self._answered = False
        self._news = anyio.Event()

    async def run(self) -> dict[str, Result]:
        """Carry out the operation and return the outcome for each VM, by id."""
        await side_by_side(self._read, self._send_and_follow)
        if self._unread and not self._hurry:
            with anyio.move_on_after(_LAST_LOOK):
                await self._look()
        for vm_id, error in self._unread.items():
            self._results.setdefault(vm_id, error or self._unfinished(vm_id))
        return self._results

    @property
    def _left(self) -> float:
        """Return the seconds until the deadline, or 0.001 if the deadline has passed."""
        return max(self._deadline - anyio.current_time(), 0.001)

    async def _send_and_follow(self) -> None:
        await self._send_and_follow_all()
        self._answered = True
        self._news.set()

    async def _send_and_follow_all(self) -> None:
        # Locked VMs must not delay the other VMs.
        at_once = self._tower.with_options(lock_timeout=0)
        refused: dict[str, Exception] = {}
        answers = await self._send(at_once, list(self._vms.values()), refused)
        patience = self._tower.lock_timeout
        if self._hurry:
            patience = min(patience, self._deadline - anyio.current_time())
        locked = [vm for vm in self._vms.values() if isinstance(refused.get(vm.id), ResourceLocked)]
        if not locked or patience <= 0:
            await self._follow_all(answers, self._vms.keys() - refused.keys(), refused)
            return
        others = self._vms.keys() - refused.keys()
        refused = {one: why for one, why in refused.items() if not isinstance(why, ResourceLocked)}
        await side_by_side(
            partial(self._send_locked, locked, patience),
            partial(self._follow_all, answers, others, refused),
        )

    async def _send_locked(self, vms: list[models.Vm], patience: float) -> None:
        refused: dict[str, Exception] = {}
        answers = await self._send(self._tower.with_options(lock_timeout=patience), vms, refused)
        await self._follow_all(answers, {vm.id for vm in vms} - refused.keys(), refused)

    async def _send(
        self, tower: Cloudtower, vms: Sequence[models.Vm], refused: dict[str, Exception]
    ) -> list[WithTask[models.Vm]]:
        """Send the operation for all VMs in one call, and return the result of the call.

        If the server refuses the call because of a VM, store the error in `refused` under the id of
        this VM, and repeat the call without this VM.
        """
        ids = [vm.id for vm in vms]
        if not ids:
            return []
        try:
            return await self._call(tower, ids)
        except BadRequest as error:  # the server changed nothing
            locked = error.locked_resources if isinstance(error, ResourceLocked) else ()
            out = {one.id for one in locked} & {*ids}
            if len(ids) == 1:
                out = {*ids}
            refused |= dict.fromkeys(out, error)
            rest = [vm for vm in vms if vm.id not in out]
            # If the server does not name the faulty VM, send each half separately.
            middle = len(rest) if out else len(rest) // 2
            return [
                *await self._send(tower, rest[:middle], refused),
                *await self._send(tower, rest[middle:], refused),
            ]
        except Exception as error:
            if isinstance(error, OutcomeUnknown | NotFound):
                for vm_id in ids:
                    self._to_read(vm_id, error)
            refused |= dict.fromkeys(ids, error)
            return []

    async def _follow_all(
        self, answers: list[WithTask[models.Vm]], accepted: set[str], refused: dict[str, Exception]
    ) -> None:
        """Wait for the tasks that one call started, and record the outcome of each VM.

        `answers` is the result of the call. `accepted` contains the ids of the VMs that the server
        did not refuse. `refused` contains the errors of the other VMs, by id.
        """
        if self._timeout is not None and not self._hurry:
            self._deadline = anyio.current_time() + self._timeout
        for vm_id, why in refused.items():
            if vm_id not in self._unread:
                self._results.setdefault(vm_id, why)
        named = [one for one in answers if has_id(one) and one.data.id in self._vms]
        nameless = [one for one in answers if not has_id(one)]
        await map_concurrently(self._follow, [*named, *nameless])
        for vm_id in accepted - {one.data.id for one in named} - self._results.keys():
            name = label(self._vms[vm_id])
            why = (
                OutcomeUnknown(f"the answer does not name VM {name}")
                if nameless
                else NotFound(f"the server found no VM {name} to {self._step}")
            )
            self._to_read(vm_id, why)

    async def _follow(self, answer: WithTask[models.Vm]) -> None:
        vm_id = answer.data.id if has_id(answer) else None
        ids = [] if vm_id is None else [vm_id]
        tell = ignore_progress
        if vm_id is not None:
            tell = partial(self._tell.step, label(self._vms[vm_id]), self._step)
        timeout = None if self._timeout is None else self._left
        try:
            await follow(self._tower, answer, tell, timeout, ids)
        except Exception as error:
            if error is self._tell.raised:
                raise
            vm_id = vm_id or getattr(error, "resource_id", None)
            if vm_id not in self._vms:
                return
            if isinstance(error, TaskNotFound | UnknownTaskStatus | ReadBackFailed):
                self._to_read(vm_id, error)  # the state of the VM may show the outcome
            else:
                self._unread.pop(vm_id, None)
                self._results[vm_id] = error
        else:
            if vm_id is None or vm_id in self._results:
                return
            if isinstance(answer, PlannedAnswer):  # in plan mode, the VM does not change
                self._results[vm_id] = self._vms[vm_id]
            else:
                self._to_read(vm_id, None)

    def _to_read(self, vm_id: str, error: Exception | None) -> None:
        self._unread[vm_id] = self._unread.get(vm_id) or error
        self._news.set()

    async def _read(self) -> None:
        """Read the VMs until all have the wanted status, or until the time-out."""
        looks = 0  # number of reads since the last change
        while True:
            looks += 1
            if self._unread:
                with anyio.CancelScope(deadline=self._deadline):
                    await self._look()
            if self._answered and not self._unread:
                return
            left = self._deadline - anyio.current_time()
            if left <= 0 and (self._answered or self._hurry):
                return
            pause = poll_delay(looks, _INTERVAL)
            with anyio.move_on_after(min(pause, left) if left > 0 else pause):
                await self._news.wait()
                looks = 0
            self._news = anyio.Event()

    async def _look(self) -> None:
        """Read each unfinished VM once, and record its state."""
        self._read_error = None
        for ids in batches(list(self._unread)):
            try:
                found = await read_by_ids("vm.get_vms", self._tower.vm.get_vms, ids)
            except Exception as error:
                for vm_id in ids:
                    self._take_error(vm_id, error)
            else:
                for vm_id in ids:
                    self._take(vm_id, found.get(vm_id))

    def _take_error(self, vm_id: str, error: Exception) -> None:
        if isinstance(error, CloudtowerError) and is_transient(error, can_log_in=False):
            self._read_error = error
            return
        if vm_id in self._unread:
            why = self._unread.pop(vm_id)
            self._results[vm_id] = why or ReadBackFailed([vm_id], error, done=True)

    def _take(self, vm_id: str, vm: models.Vm | None) -> None:
        """Record the current state `vm` of a VM. `vm` is None if the VM no longer exists."""
        if vm_id not in self._unread:
            return
        error = self._unread[vm_id]
        if vm is None:
            gone = CloudtowerError(f"VM {label(self._vms[vm_id])} no longer exists")
            self._end(vm_id, error if isinstance(error, OutcomeUnknown) else gone)
        elif vm.entity_async_status is not None:
            self._latest[vm_id] = vm
        elif error is not None:
            self._end(vm_id, vm if vm.status == self._ends else error)
        elif self._wait_for_status and vm.status != self._ends:
            self._latest[vm_id] = vm
        else:
            self._end(vm_id, vm)

    def _end(self, vm_id: str, result: Result) -> None:
        del self._unread[vm_id]
        self._results[vm_id] = result

    def _unfinished(self, vm_id: str) -> Result:
        """Return the outcome for a VM that was not ready in time, although its task has ended."""
        vm = self._latest.get(vm_id)
        if (
            vm is not None
            and self._wait_for_status
            and (vm.entity_async_status is None or vm.status == self._ends)
        ):
            return vm
        status = None if vm is None else vm.entity_async_status
        return SettleTimeout({vm_id: status}, self._timeout, self._read_error)
