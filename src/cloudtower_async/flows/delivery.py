"""Chunks on their way to the server, each exactly once.

The server has no way to check where a chunk belongs: it appends what it gets. So there is never
more than one on its way, and none is sent again unless it certainly was not taken. An error that
leaves that open is followed by a question: the upload task counts the chunks it has. That count is
only relied upon as long as it has agreed with ours before.
"""

from __future__ import annotations

import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from ..api.upload_task import UploadTaskNamespace
from ..errors import (
    CallError,
    CloudtowerError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    UploadFailed,
    UploadInterrupted,
)
from .outages import pause
from .polling import may_pass
from .side_by_side import let_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..calls.caller import Caller
    from ..models import UploadTask
    from .locks import Locks
    from .targets import Target

T = TypeVar("T")

_log = logging.getLogger("cloudtower_async")

_CLEAN_UP_SECONDS = 10.0
"""Most seconds to cancel an upload task, and before that to learn which one it is."""


class Delivery:
    """Brings the chunks of a file to the server, one after the other.

    Args:
        caller: Asks the server.
        locks: Of the session.
        target: Where they lead.
        first_size: Bytes of the first chunk.

    Attributes:
        task: The upload task as it was last seen; None: there is none yet.
        sent: Bytes that the server has.
    """

    def __init__(self, caller: Caller, locks: Locks, target: Target, first_size: int) -> None:
        self.task: UploadTask | None = None
        self.sent: int = 0
        self._caller = caller
        self._locks = locks
        self._target = target
        self._first_size = first_size
        self._tasks = UploadTaskNamespace(caller)
        self._taken = 0  # chunks
        self._counts = False  # the server's count of them is as ours

    @property
    def next_size(self) -> int:
        """How large the next chunk is to be, in bytes."""
        if self.task is None or self.task.chunk_size < 1:
            return self._first_size
        return self.task.chunk_size

    async def go_on(self, upload_task_id: str, size: int) -> None:
        """Take up an upload where it was left.

        Args:
            upload_task_id: Its upload task.
            size: Of the file, in bytes.

        Raises:
            InvalidInput: It is of something else.
            UploadFailed: Nothing comes of it any more.
            CallError: The server does not know it, or could not be asked.
        """
        task = await self._ask(upload_task_id)
        if task is None:
            raise NotFound(
                f"there is no upload task {upload_task_id}",
                operation="upload_task.get_upload_tasks",
                endpoint=self._caller.endpoints.latest,
                hint="Upload anew, without upload_task_id=.",
            )
        if task.resource_type not in self._target.resource_types:
            raise InvalidInput(
                f"upload: upload_task_id: {task.id} is of kind {task.resource_type}, not "
                + " or ".join(self._target.resource_types)
            )
        if task.size != size:
            raise InvalidInput(
                f"upload: upload_task_id: {task.id} is of a file of {task.size:,} bytes; this one "
                f"has {size:,}"
            )
        self._see(task)
        self._taken, self._counts = task.current_chunk, True
        if task.status == "SUCCESSED":
            self.sent = size
            return
        if self._taken:
            self.sent = min(self._first_size + (self._taken - 1) * self.next_size, size)
        await self._patiently(self._target.look_around)

    async def send(self, chunk: bytes, size: int) -> None:
        """Bring the next chunk to the server.

        Args:
            chunk: What is in it.
            size: Of the whole file, in bytes.

        Raises:
            CallError: The server does not have it, or whether it has could not be found out.
            UploadInterrupted: Whether it has cannot be told from its answers.
            UploadFailed: Nothing comes of the upload any more.
        """
        if self.task is None:
            await self._begin(chunk, size)
        else:
            await self._continue(chunk, self.task.id)

    async def look_again(self) -> UploadTask:
        """See how the upload task is now.

        Raises:
            UploadFailed: Nothing comes of it any more.
            CallError: The server could not be asked.
        """
        known = cast("UploadTask", self.task)
        # It may be out of sight for a moment.
        task = await self._ask(known.id) or known
        self._see(task)
        return task

    async def cancel(self) -> None:
        """Tell the server that nothing more comes. To say that twice does no harm."""
        if self.task is None:
            return
        failure: CloudtowerError | None = None
        with anyio.move_on_after(_CLEAN_UP_SECONDS, shield=True):
            for _ in range(self._caller.retry.attempts):
                try:
                    await self._tasks.cancel_upload_task(where={"id": self.task.id})
                except OutcomeUnknown as exc:
                    failure = exc
                except CloudtowerError as exc:
                    failure = exc
                    break
                else:
                    return
        _log.warning("upload task %s could not be cancelled: %s", self.task.id, failure)

    async def _begin(self, chunk: bytes, size: int) -> None:
        """Send the first chunk, which makes the upload task.

        When its fate is unknown, the task that has come is ours. So that it cannot be that of
        another upload of this session, those of as large a file begin one after the other.
        """
        fields = self._target.first(chunk, size)
        async with self._locks.hold(f"{self._target.send.path} {size}"):
            await self._patiently(self._target.look_around)
            before = {task.id for task in await self._alike(size)}

            async def look() -> UploadTask | None:
                new = [task for task in await self._alike(size) if task.id not in before]
                if len(new) > 1:
                    new = [task for task in new if _mentions(task.args, self._target.name)]
                return new[0] if len(new) == 1 else None

            async def send() -> None:
                self._note(await self._deliver(fields, look), chunk)

            try:
                # Broken off, it would leave a task behind of which nobody knows.
                await let_end(send, _CLEAN_UP_SECONDS)
            except anyio.get_cancelled_exc_class():
                if self.task is None:
                    await self._find_out(look)
                raise

    async def _find_out(self, look: Callable[[], Awaitable[UploadTask | None]]) -> None:
        """Learn which upload task has come of a first chunk that was broken off."""
        with anyio.move_on_after(_CLEAN_UP_SECONDS, shield=True):
            try:
                self.task = await look()
            except CloudtowerError as exc:
                _log.warning("whether an upload has begun could not be found out: %s", exc)

    async def _continue(self, chunk: bytes, upload_task_id: str) -> None:
        """Send a later chunk."""

        async def look() -> UploadTask | None:
            task = await self._ask(upload_task_id)
            if task is None or not self._counts:
                raise UploadInterrupted("whether the server has the last chunk cannot be told")
            return task if task.current_chunk > self._taken else None

        fields = self._target.next(chunk, upload_task_id)
        self._note(await self._deliver(fields, look), chunk)

    async def _deliver(
        self, fields: dict[str, object], look: Callable[[], Awaitable[UploadTask | None]]
    ) -> UploadTask:
        """Send a chunk until the server has it.

        Args:
            fields: Of the form.
            look: Asks whether it has; returns the upload task then.
        """

        async def send() -> UploadTask:
            try:
                return self._task_in(await self._caller.call(self._target.send, fields))
            except OutcomeUnknown:
                # First a pause, as what was sent may still be on its way.
                await self._pause(1)
                if (task := await look()) is not None:
                    return task
                # No name for the error: it and this frame would keep each other, and the chunk.
                raise

        return await self._patiently(send)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Try what changes nothing when it fails as often as the session tries calls."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await ask()
            except CallError as exc:
                passes = isinstance(exc, OutcomeUnknown) or may_pass(exc, self._caller)
                if not passes or attempt >= self._caller.retry.attempts:
                    raise
            await self._pause(attempt)

    async def _pause(self, number: int) -> None:
        seconds = self._caller.retry.pause(number, random.random())  # noqa: S311 - no secret
        await pause(self._caller.transport, seconds)

    def _task_in(self, answer: UploadTask | list[UploadTask]) -> UploadTask:
        if not isinstance(answer, list):
            return answer
        if not answer:  # status 304
            raise NotFound(
                "no cluster matches clusters=",
                operation=self._target.send.name,
                endpoint=self._caller.endpoints.latest,
                hint="Nothing was uploaded; check the filter.",
            )
        return answer[0]

    def _note(self, task: UploadTask, chunk: bytes) -> None:
        """Take down that the server has a chunk.

        Raises:
            UploadFailed: It has more than that, or has given the upload up.
        """
        self.task = task
        self.sent += len(chunk)
        self._taken += 1
        if self._counts and task.current_chunk > self._taken:
            raise UploadFailed(
                f"the server has {task.current_chunk} chunks where {self._taken} were sent"
            )
        self._counts = task.current_chunk == self._taken
        self._see(task)

    def _see(self, task: UploadTask) -> None:
        self.task = task
        if task.status == "FAILED":
            raise UploadFailed("the server has given the upload up", task.id)

    async def _ask(self, upload_task_id: str) -> UploadTask | None:
        ask = partial(self._tasks.get_upload_tasks, where={"id": upload_task_id})
        tasks = await self._patiently(ask)
        return tasks[0] if tasks else None

    async def _alike(self, size: int) -> list[UploadTask]:
        """The upload tasks that could be that of this file."""
        where: Any = {"size": size, "resource_type_in": list(self._target.resource_types)}
        return await self._patiently(partial(self._tasks.get_upload_tasks, where=where))


def _mentions(args: object, name: str) -> bool:
    """Whether a name is among the texts in the arguments of an upload task."""
    if isinstance(args, dict):
        return any(_mentions(value, name) for value in cast("dict[str, object]", args).values())
    return args == name
