"""Deliver each chunk of an upload exactly once.

The server does not check the position of a chunk: it appends each chunk that arrives. So only one
chunk is sent at a time. If a request gets no response, it is unknown whether its chunk has arrived.
The chunk is resent only when it is certain that the chunk has not arrived.

The upload task on the server counts the chunks that the server has. If the count increases, the
server has the chunk. If the count stays the same for `settling_time` seconds, the chunk is taken as
lost and resent. Therefore `settling_time` has to be longer than the time-out of any proxy.

The first copy of a resent chunk may still arrive for `STRAY_SECONDS`, and would be appended at a
wrong place. If a later chunk gets no response during this time, an increased count could come from
this chunk or from the first copy. The upload then fails. After a chunk was resent, the upload also
fails if the server counts a later chunk not exactly once, or if the result has another size than
the file.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio

from ..api.upload_task import CANCEL_UPLOAD_TASK, GET_UPLOAD_TASKS
from ..calls import registry
from ..calls.validation import check
from ..concurrency import let_end
from ..errors import (
    CallError,
    CloudtowerError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    UploadFailed,
)
from ..retry.backoff import poll_delays
from .chunk_count import ChunkCount, count_of, unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ..calls.executor import Executor
    from ..calls.operation import Operation
    from ..errors import UploadState
    from ..models import UploadTask
    from ..tasks.resource_locks import ResourceLocks
    from .targets import UploadTarget

R = TypeVar("R")

_log = logging.getLogger("cloudtower_async")

CHUNK_SIZE = 8 * 1024 * 1024
"""Default size of the first chunk, in bytes."""

LARGEST_CHUNK = 64 * 1024 * 1024
"""Maximum size of a chunk in bytes, even if the server asks for more."""

STRAY_SECONDS = 300.0
"""Seconds after which a lost chunk can no longer arrive.

If `settling_time` is shorter, a chunk that counts as lost may still arrive.
"""

CLEAN_UP_SECONDS = 10.0
"""Maximum number of seconds for finding the id of an upload task, and for cancelling the task."""


class UploadSession(Generic[R]):
    """Sends the chunks of one file, one after the other.

    Args:
        executor: Executor of the calls.
        locks: Locks of the session.
        target: Target of the upload.
        name: Name of the result.
        chunk_size: Size of the first chunk and maximum size of later chunks, in bytes. With None,
            the first chunk has 8 MiB, and later chunks have the size that the server requests.
        settling_time: Seconds to wait until the server counts a chunk whose outcome is unknown.
        interval: Maximum number of seconds between two polls of the upload task.

    Attributes:
        operation: Operation that receives the chunks.
        form: Form fields of the target, such as the cluster, and the name of the result.
        state_form: The same form fields as strings, for `UploadState`.
        existing_ids: See `UploadTarget.existing_ids`.
        task: Last known state of the upload task; None until the server has created the task.
        sent: Number of bytes that the server certainly has.
        count: Comparison of the sent chunks with the chunks that the server counts.
        in_doubt: Whether the outcome of the last chunk is unknown, so that the server may have one
            more chunk.
        resent: Whether a lost chunk was resent.

    Raises:
        InvalidInput: A field of the target is invalid.
        EmptyFilter: A filter of the target may match everything.
    """

    def __init__(
        self,
        executor: Executor,
        locks: ResourceLocks,
        target: UploadTarget[R],
        *,
        name: str,
        chunk_size: int | None,
        settling_time: float,
        interval: float,
    ) -> None:
        self.operation: Operation[Any] = registry.operation(target.operation)
        self.form: dict[str, object] = {**target.form(), "name": name}
        self.state_form: dict[str, str] = {key: str(value) for key, value in self.form.items()}
        check(self.operation, {**self.form, "file": b""}, validate=executor.validate)
        self.existing_ids: frozenset[str] = frozenset()
        self.task: UploadTask | None = None
        self.sent: int = 0
        self.count: ChunkCount = ChunkCount()
        self.in_doubt: bool = False
        self.resent: bool = False
        self.largest: int = LARGEST_CHUNK if chunk_size is None else chunk_size
        self._executor = executor
        self._locks = locks
        self._target = target
        self._name = name
        self._later_form = {key: self.form[key] for key in target.in_every_chunk}
        self._first_size = chunk_size or CHUNK_SIZE
        self._stray_until = -math.inf
        self._settling_time = settling_time
        self._interval = interval

    @property
    def next_size(self) -> int:
        """Size of the next chunk, in bytes.

        Raises:
            UploadFailed: The server requests an invalid chunk size.
        """
        if self.task is None:
            return self._first_size
        wanted: object = self.task.chunk_size
        if type(wanted) is not int or wanted < 1:
            raise UploadFailed(
                f"chunk_size: the server asks for chunks of {wanted!r} bytes, an invalid size"
            )
        return min(wanted, self.largest)

    async def resume(self, state: UploadState) -> bool:
        """Resume an upload. The caller has compared `state` with the file and the target.

        Returns:
            True if the server already has the chunk that was being sent when the upload was
            interrupted. In this case, call `skip` with the size of the chunk.

        Raises:
            InvalidInput: The upload task belongs to another upload.
            UploadFailed: The upload has failed, or it is unknown which chunks the server has.
            CallError: The server does not know the upload task, or cannot be reached.
        """
        task = await self._read(state.upload_task_id)
        if task is None:
            raise NotFound(
                f"there is no upload task {state.upload_task_id}",
                operation=GET_UPLOAD_TASKS.name,
                endpoint=self._executor.endpoints.latest,
                hint="Start again, without resume=.",
            )
        if task.resource_type not in self._target.resource_types:
            raise InvalidInput(
                f"upload: resume: upload task {task.id} is of kind {task.resource_type}, not "
                + " or ".join(self._target.resource_types)
            )
        if task.size != state.size:
            raise InvalidInput(
                f"upload: resume: upload task {task.id} is for a file of {task.size} bytes, "
                f"but the state is for {state.size:,} bytes"
            )
        self.sent = state.sent
        if state.resent:
            self._lose(anyio.current_time())
        self.count = ChunkCount(state.chunks, state.count_base)
        self.existing_ids = frozenset(state.existing_ids)
        self._see(task)
        if state.sent == state.size:
            return False
        taken = self._has_the_chunk(task)
        if not taken and state.pending:
            self.in_doubt = True
            taken = await self._settle(task.id) is not None
            self.in_doubt = False
        elif taken and not state.pending:
            raise unknown("the server has a chunk that is missing in this state")
        elif count_of(task) is None:
            raise unknown("the server does not tell how many chunks it has")
        # The process that stored the state may have sent the pending chunk several times.
        if state.pending:
            self._lose(anyio.current_time())
        return taken

    def skip(self, size: int) -> None:
        """Record that the server already has the next chunk, which has `size` bytes."""
        self.sent += size
        self.count.chunks += 1

    async def send(self, chunk: bytes, size: int) -> None:
        """Send the next chunk.

        Args:
            chunk: Content of the chunk.
            size: Size of the whole file, in bytes.

        Raises:
            CallError: The server did not accept the chunk, or its upload task cannot be read.
            UploadFailed: The upload has failed, or it is unknown which chunks the server has.
        """
        if self.task is None:
            await self._begin(chunk, size)
        else:
            form = {**self._later_form, "file": chunk, "upload_task_id": self.task.id}
            task = await self._deliver(form, partial(self._settle, self.task.id))
            self._note(task, chunk)

    async def look_again(self) -> UploadTask:
        """Read the upload task again.

        Raises:
            UploadFailed: The upload has failed.
            CallError: The upload task could not be read.
        """
        known = cast("UploadTask", self.task)
        # The server's list of upload tasks may omit the task for a moment.
        task = await self._read(known.id) or known
        self._see(task)
        return task

    async def find_result(self, task: UploadTask) -> R | None:
        """Return the result of a successful upload task, or None if it is not listed yet.

        Raises:
            UploadFailed: A chunk was resent, and the result does not match the sent file, or cannot
                be compared with the sent file.
            CallError: The results could not be read.
        """
        found = await self._target.find(self._list_results, task, self._name, self.existing_ids)
        if found is not None and self.resent:
            size = getattr(found, "size", task.size)
            if not self.count.agrees(task) or size != self.sent:
                raise unknown(
                    f"a chunk was resent, and the result {getattr(found, 'id', '')} cannot be "
                    f"verified: the server has counted {count_of(task)} chunks and has {size} "
                    f"bytes, where {self.count.chunks} chunks and {self.sent} bytes were sent; "
                    "delete it"
                )
        return found

    async def cancel(self, seconds: float = CLEAN_UP_SECONDS) -> None:
        """Cancel the upload task, if the server has created it. The call can be repeated.

        Cancelling the caller does not cancel the request. If the request fails, a warning is
        logged.

        Args:
            seconds: Time-out in seconds for the request and its retries.
        """
        if self.task is None:
            return
        arguments = {"where": {"id": self.task.id}}
        failure: CloudtowerError | str = f"no answer within {seconds:g} s"
        with anyio.move_on_after(seconds, shield=True):
            for attempt in range(self._executor.retry.attempts):
                try:
                    if attempt:
                        await anyio.sleep(self._executor.retry.pause(attempt))
                    await self._executor.call(CANCEL_UPLOAD_TASK, arguments)
                except OutcomeUnknown as exc:
                    failure = exc
                except CloudtowerError as exc:
                    failure = exc
                    break
                else:
                    return
        _log.warning("upload task %s could not be cancelled: %s", self.task.id, failure)

    async def _begin(self, chunk: bytes, size: int) -> None:
        """Send the first chunk, which creates the upload task.

        If the request gets no response, look for a new upload task with this `size` and name. A
        lock prevents other uploads of this `size` in this session.
        """
        form = {
            **self.form,
            **self._target.first_chunk_form(chunk),
            "file": chunk,
            "size": str(size),
        }
        async with self._locks.hold(f"{self.operation.path} {size}"):
            self.existing_ids = await self._target.existing_ids(self._list_results)
            before = {task.id for task in await self._alike(size)}

            async def new() -> list[UploadTask]:
                return [task for task in await self._alike(size) if task.id not in before]

            async def send() -> None:
                self._note(await self._deliver(form, partial(self._settle_first, new)), chunk)

            try:
                # A cancellation during the request would leave an upload task with an unknown id on
                # the server.
                await let_end(send, CLEAN_UP_SECONDS)
            except anyio.get_cancelled_exc_class():
                if self.task is None:
                    await self._find_out(new)
                raise

    async def _find_out(self, new: Callable[[], Awaitable[list[UploadTask]]]) -> None:
        """If the cancelled first request has created an upload task, store the task in `task`."""
        with anyio.move_on_after(CLEAN_UP_SECONDS, shield=True):
            try:
                ours = [task for task in await new() if _mentions(task.args, self._name)]
                self.task = ours[0] if len(ours) == 1 else None
            except CloudtowerError as exc:
                _log.warning(
                    "it could not be determined whether the cancelled upload has begun: %s", exc
                )

    async def _deliver(
        self, form: dict[str, object], settle: Callable[[], Awaitable[UploadTask | None]]
    ) -> UploadTask:
        """Send a chunk until the server has it, and return the upload task.

        `settle` is called if a request gets no response. It returns the upload task, or None if the
        server does not have the chunk.
        """
        attempt = 0
        resent = False
        while True:
            attempt += 1
            last = attempt >= self._executor.retry.attempts
            sent_at = anyio.current_time()
            self.in_doubt = True
            task: UploadTask | None
            try:
                task = self._task_in(await self._executor.send(self.operation, form, checked=True))
            except OutcomeUnknown:
                task = await settle()
                if task is None:
                    self.in_doubt = False
                    # A resent first chunk does not count: it creates a separate upload task.
                    resent = self.task is not None
                    if resent:
                        self._lose(sent_at)
                    if last:
                        raise
            except CallError as exc:
                # If the lost chunk has arrived late and the server has all bytes, the server
                # refuses the resent chunk.
                task = await self._taken_late() if resent else None
                if task is None:
                    self.in_doubt = resent
                    if exc.status == 413:
                        raise _too_large(len(cast("bytes", form["file"]))) from exc
                    if last or not self._executor.is_transient(exc):
                        raise
            if task is not None:
                self.in_doubt = False
                return task
            await self._executor.transport.sleep(self._executor.retry.pause(attempt))

    def _task_in(self, answer: UploadTask | list[UploadTask]) -> UploadTask:
        """Return the upload task from the response to a chunk.

        Raises:
            NotFound: The response is empty: the server has started no upload.
            OutcomeUnknown: The response does not contain the upload task.
        """
        tasks: list[UploadTask] = answer if isinstance(answer, list) else [answer]
        for task in tasks:
            if task.id == self.task.id if self.task else task.id:
                return task
        operation, endpoint = self.operation.name, self._executor.endpoints.latest
        if self.task is None and not tasks:  # status 304
            raise NotFound(
                "the server has begun no upload: no cluster matches",
                operation=operation,
                endpoint=endpoint,
                hint="Nothing was uploaded: check the cluster.",
            )
        raise OutcomeUnknown(
            "the answer does not name the upload task", operation=operation, endpoint=endpoint
        )

    def _lose(self, sent_at: float) -> None:
        """Record that a chunk is probably lost. It was sent at `sent_at` and may still arrive."""
        self.resent = True
        self._stray_until = max(self._stray_until, sent_at + STRAY_SECONDS)

    async def _settle(self, upload_task_id: str) -> UploadTask | None:
        """Return the upload task if the server has the last chunk, or None if it does not.

        Raises:
            UploadFailed: The server's count does not show whether the last chunk has arrived.
            CallError: The upload task could not be read.
        """
        self.count.reliable_base()
        seen: UploadTask | None = None

        async def look() -> UploadTask | None:
            nonlocal seen
            seen = await self._read(upload_task_id)
            return seen if seen is not None and self._has_the_chunk(seen) else None

        task = await self._until_settled(look, f"upload task {upload_task_id}")
        if task is None and (seen is None or count_of(seen) is None):
            raise unknown("the server does not tell how many chunks it has")
        return task

    def _has_the_chunk(self, task: UploadTask) -> bool:
        """Return whether the server has received the last chunk."""
        self._see(task)
        if not self.count.has_one_more(task):
            return False
        if anyio.current_time() < self._stray_until:
            raise unknown(
                "a chunk was resent, and a late chunk has arrived, which can be either of the two"
            )
        return True

    async def _settle_first(
        self, new: Callable[[], Awaitable[list[UploadTask]]]
    ) -> UploadTask | None:
        """Return the upload task that the first chunk has created, or None if it created no task.

        `new` returns the upload tasks that were created since the upload began.

        Raises:
            UploadFailed: After `settling_time` seconds, it is still unknown whether one of the new
                upload tasks belongs to this upload.
            CallError: The upload tasks could not be read.
        """

        async def look() -> UploadTask | None:
            ours = [task for task in await new() if _mentions(task.args, self._name)]
            # With a count of 0, the chunk may still be in transit.
            return ours[0] if len(ours) == 1 and count_of(ours[0]) == 1 else None

        if task := await self._until_settled(look, f"the upload of {self._name!r}"):
            return task
        if not (found := await new()):
            return None
        raise unknown(
            "the outcome of the first chunk is unknown; it may have created upload task "
            + " or ".join(str(task.id) for task in found)
        )

    async def _taken_late(self) -> UploadTask | None:
        """Return the upload task if the lost chunk has arrived after all, otherwise None."""
        task = await self.look_again()
        return task if self.count.has_one_more(task) else None

    def _note(self, task: UploadTask, chunk: bytes) -> None:
        """Record that the server has received a chunk.

        Raises:
            UploadFailed: The server has more chunks than were sent, or the upload task has failed.
        """
        self.task = task
        self.sent += len(chunk)
        self.count.add(task, exactly=self.resent)
        self._see(task)

    def _see(self, task: UploadTask) -> None:
        self.task = task
        if task.status == "FAILED":
            raise UploadFailed("the server has given up the upload", task.id)

    async def _until_settled(
        self, look: Callable[[], Awaitable[UploadTask | None]], what: str
    ) -> UploadTask | None:
        """Poll until `look` returns an upload task, or return None after `settling_time` seconds.

        Raises:
            CallError: `look` raised a permanent error, or its last call raised an error.
        """
        _log.warning(
            "%s: it is unknown whether the server has the last chunk; waiting until its count "
            "moves, at most %g s",
            what,
            self._settling_time,
        )
        end = anyio.current_time() + self._settling_time
        delays = poll_delays(self._interval)
        while True:
            delay = next(delays)
            left = max(end - anyio.current_time(), 0.0)
            await self._executor.transport.sleep(min(delay, left))
            try:
                task = await look()
            except CallError as exc:
                if delay >= left or not self._executor.is_transient(exc):
                    raise
            else:
                if task is not None or delay >= left:
                    return task

    async def _read(self, upload_task_id: str) -> UploadTask | None:
        """Return the upload task with this id, or None if the server does not list it."""
        where = {"id": upload_task_id}
        tasks = await self._executor.send(GET_UPLOAD_TASKS, {"where": where}, polling=True)
        return next((task for task in tasks if task.id == upload_task_id), None)

    async def _alike(self, size: int) -> list[UploadTask]:
        """Return all upload tasks with this file size and with the resource type of the target."""
        where = {"size": size, "resource_type_in": list(self._target.resource_types)}
        return await self._executor.send(GET_UPLOAD_TASKS, {"where": where}, polling=True)

    async def _list_results(self, where: Mapping[str, object]) -> list[Any]:
        query = registry.operation(self._target.query)
        return await self._executor.send(query, {"where": where}, polling=True)


def _mentions(args: object, name: str) -> bool:
    """Return whether the arguments of an upload task contain a name, at any depth."""
    if isinstance(args, dict):
        return any(_mentions(value, name) for value in cast("dict[str, object]", args).values())
    return args == name


def _too_large(size: int) -> UploadFailed:
    return UploadFailed(
        f"a chunk of {size:,} bytes is too large for the server or a proxy before it (HTTP 413); "
        "pass a smaller chunk_size=, or raise the limit of the proxy"
    )
