"""Deliver the chunks of an upload, each exactly once.

The server cannot check where a chunk belongs: it appends what it gets. So there is never more than
one chunk in flight, and a chunk whose outcome is unknown is resent only when it certainly did not
arrive. The upload task counts the chunks that it has. If the count moves, the chunk was taken. If
it stays for the whole settling time, which outlasts the time-out of any proxy, the chunk was lost
and is resent; from then on every count has to agree, and the result is verified. While the lost
chunk could still arrive, the count cannot settle another doubt. If the count proves nothing, the
upload fails: nothing is guessed.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, cast

import anyio

from ..concurrency import let_end
from ..errors import (
    CallError,
    CloudtowerError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    UploadFailed,
)
from .chunk_count import ChunkCount, count_of, unknown
from .upload_tasks import UploadTasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..calls.executor import Executor
    from ..models import UploadTask
    from ..tasks.resource_locks import ResourceLocks
    from .targets import Target
    from .upload_state import UploadState

_log = logging.getLogger("cloudtower_async")

CHUNK_SIZE = 8 * 1024 * 1024
"""Default size of the first chunk, in bytes."""

LARGEST_CHUNK = 64 * 1024 * 1024
"""Maximum size of a chunk in bytes, whatever the server asks for."""

STRAY_SECONDS = 300.0
"""Seconds after which a lost chunk can no longer arrive; a shorter settling time proves nothing."""

CLEAN_UP_SECONDS = 10.0
"""Maximum number of seconds to cancel an upload task, and before that to find out its id."""


class UploadSession:
    """Sends the chunks of one file, one after the other.

    Args:
        caller: Sends the calls.
        locks: Locks of the session.
        target: Resource that the file becomes.
        chunk_size: Size of the first chunk and maximum size of later ones, in bytes; None: 8 MiB,
            then the size that the server asks for.
        settling_time: Seconds that a chunk whose outcome is unknown has to show in the count.
        interval: Maximum number of seconds between polls of the count.

    Attributes:
        task: The upload task as last seen; None before the server has made one.
        sent: Bytes that the server certainly has.
        count: The chunks that it certainly has, and its own count of them.
        in_doubt: Whether the server may have one more chunk.
        resent: Whether a chunk was resent after the settling time.
    """

    def __init__(
        self,
        caller: Executor,
        locks: ResourceLocks,
        target: Target,
        *,
        chunk_size: int | None,
        settling_time: float,
        interval: float,
    ) -> None:
        self.task: UploadTask | None = None
        self.sent: int = 0
        self.count: ChunkCount = ChunkCount()
        self.in_doubt: bool = False
        self.resent: bool = False
        self.largest: int = LARGEST_CHUNK if chunk_size is None else chunk_size
        self._caller = caller
        self._locks = locks
        self._target = target
        self._first_size = chunk_size or CHUNK_SIZE
        self._stray_until = -math.inf
        self._tasks = UploadTasks(caller, settling_time, interval)

    @property
    def next_size(self) -> int:
        """Size of the next chunk, in bytes.

        Raises:
            UploadFailed: The size that the server asks for is not valid.
        """
        if self.task is None:
            return self._first_size
        wanted: object = self.task.chunk_size
        if type(wanted) is not int or wanted < 1:
            raise UploadFailed(
                f"chunk_size: the server asks for chunks of {wanted!r} bytes, which is no size"
            )
        return min(wanted, self.largest)

    async def resume(self, state: UploadState) -> bool:
        """Resume an upload whose state was checked against the source and the target.

        Returns:
            Whether the server has the pending chunk; if so, call `skip` with its size.

        Raises:
            InvalidInput: The upload task belongs to another upload.
            UploadFailed: The upload has failed, or it is unknown what the server has.
            CallError: The server does not know the upload, or could not be reached.
        """
        task = await self._tasks.read(state.upload_task_id)
        if task is None:
            raise NotFound(
                f"there is no upload task {state.upload_task_id}",
                operation="upload_task.get_upload_tasks",
                endpoint=self._caller.endpoints.latest,
                hint="Start again, without resume=.",
            )
        if task.resource_type not in self._target.resource_types:
            raise InvalidInput(
                f"upload: resume: upload task {task.id} is of kind {task.resource_type}, not "
                + " or ".join(self._target.resource_types)
            )
        if task.size != state.size:
            raise InvalidInput(
                f"upload: resume: upload task {task.id} is of a file of {task.size} bytes, the "
                f"state of one of {state.size:,}"
            )
        self.sent = state.sent
        if state.resent:
            self._lose(anyio.current_time())
        self.count = ChunkCount(state.chunks, state.count_base)
        self._target.restore(state.existing_ids)
        self._see(task)
        if state.sent == state.size:
            return False
        taken = self._has_the_chunk(task)
        if not taken and state.pending:
            self.in_doubt = True
            taken = await self._settle(task.id) is not None
            self.in_doubt = False
        elif taken and not state.pending:
            raise unknown("the server has a chunk that this state does not know")
        elif count_of(task) is None:
            raise unknown("the server does not tell how many chunks it has")
        # The process that stored the state may have sent the pending chunk more than once.
        if state.pending:
            self._lose(anyio.current_time())
        return taken

    def skip(self, size: int) -> None:
        """Record that the server already has the pending chunk of this size."""
        self.sent += size
        self.count.chunks += 1

    async def send(self, chunk: bytes, size: int) -> None:
        """Send the next chunk.

        Args:
            chunk: Its content.
            size: Size of the whole file, in bytes.

        Raises:
            CallError: The server did not take it, or could not be asked whether it did.
            UploadFailed: The upload has failed, or it is unknown what the server has.
        """
        if self.task is None:
            await self._begin(chunk, size)
        else:
            fields = self._target.next(chunk, self.task.id)
            task = await self._deliver(fields, partial(self._settle, self.task.id))
            self._note(task, chunk)

    async def look_again(self) -> UploadTask:
        """Read the upload task again.

        Raises:
            UploadFailed: The upload has failed.
            CallError: The upload task could not be read.
        """
        known = cast("UploadTask", self.task)
        # A listing may leave it out for a moment.
        task = await self._tasks.read(known.id) or known
        self._see(task)
        return task

    def verify(self, task: UploadTask, made: object) -> None:
        """Verify the result of an upload if a chunk was resent.

        Args:
            task: The upload task, which has succeeded.
            made: Resource that the file became.

        Raises:
            UploadFailed: The result differs from what was sent, or cannot be compared with it.
        """
        if not self.resent:
            return
        size = getattr(made, "size", task.size)
        if not self.count.agrees(task) or size != self.sent:
            raise unknown(
                f"a chunk was resent, and the result {getattr(made, 'id', '')} cannot be "
                f"verified: the server has counted {count_of(task)} chunks and has {size} bytes, "
                f"where {self.count.chunks} chunks and {self.sent} bytes were sent; delete it"
            )

    async def cancel(self) -> None:
        """Cancel the upload task, if there is one. Safe to repeat."""
        if self.task is not None:
            await self._tasks.cancel(self.task.id, CLEAN_UP_SECONDS)

    async def _begin(self, chunk: bytes, size: int) -> None:
        """Send the first chunk, which makes the upload task.

        If its outcome is unknown, the new upload task with our name is ours. Uploads of files of
        the same size start one after the other, so that it cannot belong to another one of them.
        """
        fields = self._target.first(chunk, size)
        async with self._locks.hold(f"{self._target.send.path} {size}"):
            await self._tasks.patiently(self._target.look_around)
            alike = partial(self._tasks.alike, size, self._target.resource_types)
            before = {task.id for task in await alike()}

            async def new() -> list[UploadTask]:
                return [task for task in await alike() if task.id not in before]

            async def send() -> None:
                self._note(await self._deliver(fields, partial(self._settle_first, new)), chunk)

            try:
                # Cancelled halfway, it would leave an upload task behind whose id is unknown.
                await let_end(send, CLEAN_UP_SECONDS)
            except anyio.get_cancelled_exc_class():
                if self.task is None:
                    await self._find_out(new)
                raise

    async def _find_out(self, new: Callable[[], Awaitable[list[UploadTask]]]) -> None:
        """Find the upload task that a cancelled first chunk has made."""
        with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            try:
                ours = [task for task in await new() if self._target.is_named_in(task)]
                self.task = ours[0] if len(ours) == 1 else None
            except CloudtowerError as exc:
                _log.warning("whether an upload has begun could not be found out: %s", exc)

    async def _deliver(
        self, fields: dict[str, object], settle: Callable[[], Awaitable[UploadTask | None]]
    ) -> UploadTask:
        """Send a chunk, as often as is safe and needed, until the server has it.

        Args:
            fields: Fields of the form.
            settle: Waits until the outcome is certain; returns the upload task if it has the chunk.
        """
        again = False  # whether it was sent before

        async def send() -> UploadTask:
            nonlocal again
            sent_at = anyio.current_time()
            self.in_doubt = True
            try:
                answer = await self._caller.call(self._target.send, fields)
                return self._tasks.task_in(answer, self._target.send, self.task)
            except OutcomeUnknown:
                if (task := await settle()) is not None:
                    return task
                self.in_doubt = False
                again = self.task is not None  # else another upload task is made
                if again:
                    self._lose(sent_at)
                # No name for the error: it and this frame would keep each other, and the chunk.
                raise
            except CallError as exc:
                # A server that has all bytes refuses the chunk that it gets again.
                if again and (task := await self._taken_late()):
                    return task
                self.in_doubt = again
                if exc.status == 413:
                    raise _too_large(len(cast("bytes", fields["file"]))) from exc
                raise

        task = await self._tasks.patiently(send)
        self.in_doubt = False
        return task

    def _lose(self, sent_at: float) -> None:
        """Record that a chunk sent at this time counts as lost."""
        self.resent = True
        self._stray_until = max(self._stray_until, sent_at + STRAY_SECONDS)

    async def _settle(self, upload_task_id: str) -> UploadTask | None:
        """Wait until it is certain whether the server has the chunk in doubt.

        Returns:
            The upload task if it has the chunk; None if it does not.

        Raises:
            UploadFailed: The count cannot tell.
            CallError: The upload task could not be read.
        """
        self.count.reliable_base()

        async def look() -> UploadTask | None:
            task = await self._tasks.glance(upload_task_id)
            return task if task is not None and self._has_the_chunk(task) else None

        self._tasks.tell_waiting(f"upload task {upload_task_id}")
        if (task := await self._tasks.until_settled(look)) is not None:
            return task
        task = await self._tasks.read(upload_task_id)
        if task is None or count_of(task) is None:
            raise unknown("the server does not tell how many chunks it has")
        return task if self._has_the_chunk(task) else None

    def _has_the_chunk(self, task: UploadTask) -> bool:
        """Return whether the server has the chunk in doubt.

        Raises:
            UploadFailed: It has one more, which may also be the chunk that counts as lost; or its
                count is impossible.
        """
        self._see(task)
        if not self.count.has_one_more(task):
            return False
        if anyio.current_time() < self._stray_until:
            raise unknown("a chunk was resent, and one has arrived late: it can be either")
        return True

    async def _settle_first(
        self, new: Callable[[], Awaitable[list[UploadTask]]]
    ) -> UploadTask | None:
        """Wait until it is certain whether the first chunk has made an upload task.

        Args:
            new: Reads the upload tasks that may be ours.

        Raises:
            UploadFailed: It remains uncertain.
            CallError: The upload tasks could not be read.
        """

        async def look() -> UploadTask | None:
            ours = [task for task in await new() if self._target.is_named_in(task)]
            # A count of 0 may mean that the chunk itself is still on its way.
            return ours[0] if len(ours) == 1 and count_of(ours[0]) == 1 else None

        self._tasks.tell_waiting(f"the upload of {self._target.name!r}")
        if (task := await self._tasks.until_settled(look) or await look()) is not None:
            return task
        if not (found := await new()):
            return None
        raise unknown(
            "the outcome of the first chunk does not show; it may have made upload task "
            + " or ".join(str(task.id) for task in found)
        )

    async def _taken_late(self) -> UploadTask | None:
        """Return the upload task if it now has the chunk in doubt."""
        task = await self.look_again()
        return task if self.count.has_one_more(task) else None

    def _note(self, task: UploadTask, chunk: bytes) -> None:
        """Record that the server has a chunk.

        Raises:
            UploadFailed: It has more chunks than were sent, or has given up the upload.
        """
        self.task = task
        self.sent += len(chunk)
        self.count.add(task, exactly=self.resent)
        self._see(task)

    def _see(self, task: UploadTask) -> None:
        self.task = task
        if task.status == "FAILED":
            raise UploadFailed("the server has given the upload up", task.id)


def _too_large(size: int) -> UploadFailed:
    return UploadFailed(
        f"a chunk of {size:,} bytes is too large for the server or a proxy before it (HTTP 413); "
        "pass a smaller chunk_size=, or raise the limit of the proxy"
    )
