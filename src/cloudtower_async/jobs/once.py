"""Carry out a mutation only once, even if the process crashes or the answer is lost."""

from __future__ import annotations

import math
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar, cast

import anyio

from ..client import Cloudtower
from ..errors import (
    CloudtowerError,
    EffectMissing,
    OutcomeUnknown,
    SettleTimeout,
    TaskFailed,
    TaskNotFound,
)
from ..retry.backoff import poll_delays
from ..tasks.pending import Pending
from ..tasks.settle import answers_in
from ..types import WithTask
from ..validators import check_argument, check_seconds, function_fault, text_fault
from .journal import Journal, JournalEntry

T = TypeVar("T")

_MOST_SENT = 3
"""If answers are lost, the maximum number of times that one `once` call sends a mutation."""

_TASK_GRACE = 30.0
"""Maximum number of seconds until a task that the server does not list counts as not found."""


async def once(
    tower: Cloudtower,
    journal: Journal,
    key: str,
    mutation: Callable[[Cloudtower], Awaitable[WithTask[Any] | Iterable[WithTask[Any]]]],
    *,
    find: Callable[[Cloudtower], Awaitable[T | None]],
    timeout: float | None = 3600.0,
    interval: float = 5.0,
) -> T:
    """Carry out a mutation once, wait for its task, and return the resource.

    After a crash, a lost answer or an error, call `once` again with the same key. Several processes
    may do this at the same time. `once` sends the mutation again only if it has certainly failed,
    or if `find` finds no effect after ``journal.grace`` seconds. These are the steps:

    1. The journal stores that the mutation begins.
    2. `find` looks for the effect of the mutation. If `find` returns a resource, nothing is sent.
    3. The mutation is sent. Its time-out is a quarter of ``journal.grace``.
    4. The journal stores the id of the task.
    5. When the task has ended, the journal stores that the work is done.

    A request without an answer may still reach the server. For ``journal.grace`` seconds after the
    request, `once` therefore only looks for the effect, and does not send the mutation again. If
    the task fails, its error is raised, and the next call with this key sends the mutation again.

    If the session is in plan mode (``mutations="plan"``), the mutation is not sent, and the journal
    is not used.

    In two cases, the mutation can still be carried out twice. First, a process can be frozen after
    it has written the journal and before it sends the request. If the process is frozen for longer
    than ``journal.grace``, another process may have sent the mutation in the meantime. Second, if
    the journal loses its entries, only `find` prevents a repetition.

    Args:
        tower: The session.
        journal: Journal of mutations, shared by all processes that may use the same key.
        key: Unique name of the mutation, which must be the same in each attempt. The key of a
            nightly job should contain the date. If several Towers share the journal, the key should
            contain the name of the Tower.
        mutation: Async function that takes a session, sends the mutation with this session, and
            returns the answer. The mutation has to change exactly one resource.
        find: Async function that takes a session and returns the resource if the mutation has taken
            effect, otherwise None. While the resource is still changing (``entity_async_status`` is
            not None), the function is called again.
        timeout: Maximum number of seconds to wait for the task and the effect. None means no limit.
        interval: Maximum number of seconds between two polls. The first polls follow each other
            faster.

    Returns:
        The resource that `find` returned after all changes were complete.

    Raises:
        TaskError: The task failed, or did not end within `timeout` seconds.
        OutcomeUnknown: The mutation was sent several times, and the outcome is still unknown. Call
            `once` again with the same key.
        EffectMissing: The mutation was carried out, but `find` does not find its effect.
        CallError: A request failed. If this request was the mutation, the mutation was certainly
            not executed.
        CloudtowerError: The mutation changed no resource, or several resources.
        InvalidInput: An argument is invalid.

    Example:
        ::

            async def find(tower: Cloudtower) -> VmSnapshot | None:
                found = await tower.vm_snapshot.get_vm_snapshots(
                    where={"vm": {"id": vm.id}, "name": "nightly-2026-01-31"}, first=1
                )
                return found[0] if found else None

            snapshot = await once(
                tower,
                journal,
                f"nightly-2026-01-31/{vm.id}",
                lambda tower: tower.vm_snapshot.create_vm_snapshot(
                    data=[{"vm_id": vm.id, "name": "nightly-2026-01-31"}]
                ),
                find=find,
            )
    """
    check_argument("once", "key", text_fault(key))
    check_argument("once", "mutation", function_fault(mutation))
    check_argument("once", "find", function_fault(find))
    check_seconds("once", "timeout", timeout, none_ok=True)
    check_seconds("once", "interval", interval)
    return await _Attempt(tower, journal, key, mutation, find, timeout, interval).run()


class _Attempt(Generic[T]):
    """One call of `once`."""

    def __init__(
        self,
        tower: Cloudtower,
        journal: Journal,
        key: str,
        mutation: Callable[[Cloudtower], Awaitable[WithTask[Any] | Iterable[WithTask[Any]]]],
        find: Callable[[Cloudtower], Awaitable[T | None]],
        timeout: float | None,
        interval: float,
    ) -> None:
        self._tower = tower
        self._journal = journal
        self._key = key
        self._mutation = mutation
        self._find = find
        self._timeout = timeout
        self._interval = interval
        self._owner = uuid.uuid4().hex

    async def run(self) -> T:
        """Send the mutation unless it was executed before, and return the resource."""
        if self._tower.mutations != "allow":
            return await self._rehearse()
        quarter = self._journal.grace / 4
        # These time-outs ensure that the request is sent within half of the grace period, even
        # after a wait for locks.
        quick = self._tower.with_options(timeout=quarter, lock_timeout=quarter)
        sent = 0
        in_doubt = False  # whether a request was sent after the journal entry was written
        for delay in poll_delays(min(self._interval, quarter)):
            began = anyio.current_time()
            entry = await self._journal.begin(self._key, self._owner)
            if entry is not None and entry.state != "begun":
                return await self._follow(entry)
            if entry is not None and entry.owner == self._owner and not in_doubt:
                entry = None  # this attempt wrote the entry, but the answer of the journal was lost
            found = await self._look(entry)
            if found is not None:
                return await self._finish(entry or self._entry("begun"), found)
            if entry is not None:
                await anyio.sleep(delay)
                continue
            in_doubt = True
            if anyio.current_time() - began > quarter:
                await self._journal.forget(self._key, self._owner)
                raise CloudtowerError(
                    f"{self._key}: find took longer than {quarter:g} s, a quarter of the grace of "
                    "the journal, so nothing was sent: use a journal with a longer grace"
                )
            try:
                answer = await self._mutation(quick)
            except OutcomeUnknown:
                sent += 1
                if sent == _MOST_SENT:
                    raise
                continue  # the next rounds find out whether the mutation was executed
            except CloudtowerError:  # the server has certainly done nothing
                await self._journal.forget(self._key, self._owner)
                raise
            return await self._follow(await self._answered(answer))
        raise AssertionError("the delays have no end")

    async def _rehearse(self) -> T:
        """Return the result of `find`, or if it is None, the resource of the planned mutation."""
        found = await self._find(self._tower)
        if found is not None:
            return found
        answers = answers_in("once", await self._mutation(self._tower))
        self._check_number(answers)
        return cast("T", answers[0].data)

    async def _look(self, entry: JournalEntry | None) -> T | None:
        """Return the result of `find`, the caller's function that looks for the resource.

        If `entry` is None, this attempt has just written its own journal entry. If `find` then
        fails, this journal entry is deleted.
        """
        try:
            return await self._find(self._tower)
        except Exception:
            if entry is None:  # this attempt wrote the entry and sent nothing after it
                await self._journal.forget(self._key, self._owner)
            raise

    async def _answered(self, answer: WithTask[Any] | Iterable[WithTask[Any]]) -> JournalEntry:
        """Store the task of the mutation in the journal, and return the new entry."""
        answers = answers_in("once", answer)
        if not answers:  # the filter of the mutation matched nothing
            await self._journal.forget(self._key, self._owner)
        self._check_number(answers)
        entry = self._entry("answered", self._tower.pending(answers[0]).to_json())
        await self._journal.record(self._key, entry)
        return entry

    def _check_number(self, answers: Sequence[WithTask[Any]]) -> None:
        if len(answers) != 1:
            raise CloudtowerError(
                f"{self._key}: the mutation changed {len(answers)} resources instead of one"
            )

    async def _follow(self, entry: JournalEntry) -> T:
        """Wait for the task of a mutation that the server has accepted, and return the resource."""
        deadline = self._deadline()
        patience = 0.0  # seconds to wait for the effect
        unknown: TaskNotFound | None = None
        if entry.pending is not None:
            try:
                pending = Pending.from_json(entry.pending)
                await self._tower.wait(
                    pending,
                    timeout=self._timeout,
                    interval=self._interval,
                    grace=min(_TASK_GRACE, self._journal.grace),
                )
            except TaskFailed:
                await self._journal.forget(self._key, entry.owner)
                raise
            except TaskNotFound as error:
                unknown = error
            else:
                patience = self._journal.grace
        found = await self._found_within(min(deadline, anyio.current_time() + patience))
        if found is None:
            raise unknown or EffectMissing(self._key)
        return await self._finish(entry, found, deadline)

    async def _found_within(self, deadline: float) -> T | None:
        """Call `find` until it returns a resource. Return None if the deadline passes first."""
        for delay in poll_delays(self._interval):
            found = await self._find(self._tower)
            if found is not None or anyio.current_time() + delay > deadline:
                return found
            await anyio.sleep(delay)
        raise AssertionError("the delays have no end")

    async def _finish(self, entry: JournalEntry, found: T, deadline: float | None = None) -> T:
        """Wait until the resource has settled. Record the work as done, and return the resource."""
        if deadline is None:
            deadline = self._deadline()
        for delay in poll_delays(self._interval):
            status = getattr(found, "entity_async_status", None)
            if status is None:
                await self._journal.record(self._key, JournalEntry(owner=entry.owner, state="done"))
                return found
            if anyio.current_time() + delay > deadline:
                raise SettleTimeout({getattr(found, "id", self._key): status}, self._timeout)
            await anyio.sleep(delay)
            newer = await self._find(self._tower)
            # For example, the server deletes the record of a VM whose task failed.
            if newer is None:
                raise EffectMissing(self._key)
            found = newer
        raise AssertionError("the delays have no end")

    def _entry(
        self, state: Literal["begun", "answered"], pending: str | None = None
    ) -> JournalEntry:
        return JournalEntry(owner=self._owner, state=state, pending=pending)

    def _deadline(self) -> float:
        return math.inf if self._timeout is None else anyio.current_time() + self._timeout
