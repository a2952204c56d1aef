"""Uploads: send a file, and return the resource that the server creates from the file.

Nothing runs in the background: each step of ``async for`` over an `Upload` sends one chunk.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypedDict, TypeVar, cast

import anyio
import msgspec

from ..calls.executor import Executor
from ..concurrency import side_by_side
from ..errors import (
    CallError,
    CloudtowerError,
    InvalidInput,
    SessionClosed,
    UploadError,
    UploadInterrupted,
    UploadState,
    UploadTimeout,
)
from ..models import UploadTask
from ..options import check_names
from ..retry.backoff import poll_delays
from ..tasks.resource_locks import ResourceLocks
from ..validators import callback_fault, check_argument, check_seconds
from .session import LARGEST_CHUNK, UploadSession
from .source import Chunk, Source, Uploadable
from .targets import UploadTarget

R_co = TypeVar("R_co", covariant=True)

_RATE_STEPS = 8
"""Number of latest chunks over which `UploadProgress.rate` is averaged."""


class UploadProgress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Progress of an upload.

    Attributes:
        upload_task_id: Id of the upload task.
        sent: Number of bytes that the server has.
        total: Number of bytes of the whole file.
        rate: Bytes per second, averaged over the latest chunks.
    """

    upload_task_id: str
    sent: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float:
        """Estimated seconds until the upload is complete, at the current `rate`."""
        return (self.total - self.sent) / self.rate


class UploadOptions(TypedDict, total=False):
    """Options of `Cloudtower.upload`. All options may be left out."""

    name: str | None
    """Name of the new resource, such as the image. Default: None, which means the name of the
    file."""

    size: int | None
    """Size in bytes. It is required for async iterators and pipes. Default: None, which means the
    size of the file."""

    chunk_size: int | None
    """Size of the first chunk and maximum size of later chunks, in bytes. Default: None. The first
    chunk then has 8 MiB; later chunks have the size that the server requests, up to 64 MiB."""

    resume: UploadState | None
    """State of an interrupted upload of the same file to the same target. Pass the attribute
    ``state`` of an `UploadError`, or a stored state that `UploadState.from_json` has read. Default:
    None, which means a new upload."""

    timeout: float | None
    """Maximum number of seconds to wait for the result after the last chunk. None means no limit.
    The session's time-out applies to each chunk separately. Default: 300."""

    interval: float
    """Maximum number of seconds between two polls while the upload waits for the server. Default:
    5."""

    settling_time: float
    """Maximum number of seconds to wait until it is known whether a chunk has arrived, for example
    after a broken connection or a 504. The server counts the chunks that arrive. If the count is
    unchanged after this time, the chunk is resent. The settling time has to be longer than the
    time-out of any proxy between this program and the server. Default: 300."""

    on_progress: Callable[[UploadProgress], object] | None
    """Function that is called with an `UploadProgress` after each chunk. Default: None."""


class Upload(Generic[R_co]):
    """An upload in progress, returned by `Cloudtower.upload`.

    Await the upload, or enter it with ``async with`` and iterate over its progress. Awaiting the
    upload returns the result. The iteration yields the progress after each chunk, and ends when
    `result` is available. Leaving the ``async with`` block earlier cancels the upload on
    the server. An upload runs only once. To send the file again, call `Cloudtower.upload` again.
    """

    def __init__(
        self,
        executor: Executor,
        locks: ResourceLocks,
        source: Uploadable,
        target: UploadTarget[R_co],
        options: UploadOptions,
    ) -> None:
        check_names(options, UploadOptions, "upload")
        if not isinstance(cast("object", target), UploadTarget):
            raise InvalidInput(
                "upload: target: expected an upload target, such as "
                f"ElfImage(cluster_id=…), got {target!r}"
            )
        chunk_size = options.get("chunk_size")
        settling_time, interval = options.get("settling_time", 300.0), options.get("interval", 5.0)
        self._timeout = options.get("timeout", 300.0)
        self._resumed = options.get("resume")
        self._on_progress = options.get("on_progress")
        _check(chunk_size, self._resumed, self._timeout, interval, settling_time)
        check_argument("upload", "on_progress", callback_fault(self._on_progress))
        self._source = Source(source, options.get("size"))
        name = options.get("name") or self._source.name
        if not name:
            raise InvalidInput("upload: name: the source has no name; pass name=")
        if self._resumed is not None:
            chunk_size = chunk_size or self._resumed.chunk_size
        self._session = UploadSession(
            executor,
            locks,
            target,
            name=name,
            chunk_size=chunk_size,
            settling_time=settling_time,
            interval=interval,
        )
        if self._resumed is not None:
            _check_place(self._resumed, executor, self._session)
        self._executor = executor
        self._interval = interval
        self._chunk: Chunk | None = None  # chunk that was read, but may not be on the server yet
        self._sha256 = ""  # SHA-256 of the bytes that the server has
        self._marks: deque[tuple[float, int]] = deque(maxlen=_RATE_STEPS + 1)
        self._guard = anyio.ResourceGuard("this upload")
        self._target = target
        self._awaited = False
        self._entered = False
        self._results: list[R_co] = []
        # Only the type of the error is stored. The error itself would form a reference cycle with
        # the upload, and would keep the chunks in its frames in memory.
        self._failure: type[BaseException] | None = None
        self._final_state: UploadState | None = None  # state when the block was left

    def __del__(self) -> None:
        if vars(self).get("_awaited") is False:
            warnings.warn(
                f"an upload to {type(self._target).__name__} was never awaited: nothing was sent",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )

    @property
    def upload_task_id(self) -> str | None:
        """Id of the upload task; None until the server has created the task."""
        task = self._session.task
        if task is None:
            return None if self._resumed is None else self._resumed.upload_task_id
        return task.id

    @property
    def state(self) -> UploadState | None:
        """State for resuming this upload; None until the server has the first chunk.

        To be able to resume the upload after the process was killed, store the state after each
        chunk.
        """
        if self._final_state is not None:
            return self._final_state
        session, chunk = self._session, self._chunk
        if session.task is None or not self._sha256:
            return self._resumed
        # After the state is stored, the next chunk may be sent, so a stored state is not certain.
        certain = self._failure is not None and not session.in_doubt
        pending = None if certain else chunk
        return UploadState(
            endpoint=self._executor.endpoints.latest,
            operation=session.operation.name,
            upload_task_id=session.task.id,
            form=session.state_form,
            size=self._source.size,
            modified_ns=self._source.modified_ns,
            chunk_size=session.largest,
            sent=session.sent,
            sha256=self._sha256,
            pending=len(pending.content) if pending else 0,
            pending_sha256=pending.sha256 if pending else self._sha256,
            chunks=session.count.chunks,
            count_base=session.count.base,
            resent=session.resent,
            existing_ids=tuple(sorted(session.existing_ids)),
        )

    @property
    def result(self) -> R_co:
        """Result of the upload.

        Raises:
            CloudtowerError: The upload has not ended, has failed, or was cancelled.
        """
        if self._results:
            return self._results[0]
        if self._failure is not None:
            raise CloudtowerError("the upload has no result: a step failed or was cancelled")
        raise CloudtowerError("the upload has not ended: iterate to its end first")

    def __await__(self) -> Generator[Any, None, R_co]:
        """Send the file and return the result.

        Inside the ``async with`` block of the upload, only the remaining chunks are sent.
        """
        return self._complete().__await__()

    async def _complete(self) -> R_co:
        if not self._entered:
            async with self:
                return await self._complete()
        async for _ in self:
            pass
        return self.result

    async def __aenter__(self) -> Self:
        """Open the file. To resume an upload, compare the file and the upload task with the state.

        Raises:
            InvalidInput: The file cannot be uploaded, or the state to resume belongs to another
                file.
            UploadFailed: The upload has failed, or it is unknown which chunks the server has.
            SourceChanged: The file has become shorter since the upload was interrupted.
            CallError: The server does not know the upload, or a call failed.
            CloudtowerError: The upload was entered or awaited before.
        """
        self._awaited = True  # stays True even if the upload fails now
        self._executor.transport.running_loop()
        if self._entered:
            raise CloudtowerError("an upload runs once: call tower.upload() again")
        self._entered = True
        try:
            # `mode.answer` raises before the file is read.
            if (mode := self._executor.mode) is not None:
                await mode.answer(self._executor, self._session.operation, self._session.form, {})
            await self._source.open()
            if self._resumed is not None:
                await self._resume(self._resumed)
        except BaseException as exc:
            self._failure = type(exc)
            await self._source.close()
            self._complete_error(exc)
            raise
        self._marks.append((anyio.current_time(), self._session.sent))
        return self

    async def _resume(self, state: UploadState) -> None:
        source, session = self._source, self._session
        for what, was, now in (
            ("size in bytes", state.size, source.size),
            ("modification time in ns", state.modified_ns, source.modified_ns),
        ):
            if was != now:
                raise InvalidInput(
                    f"upload: resume: the upload is of another file: its {what} was {was}, that of "
                    f"{source.name or 'this one'} is {now}"
                )
        if await source.skip(state.sent) != state.sha256:
            raise self._another_content(state.sent)
        taken = await session.resume(state)
        self._sha256 = state.sha256
        if state.pending:
            self._chunk = chunk = await source.chunk(state.pending)
            if chunk.sha256 != state.pending_sha256:
                raise self._another_content(state.sent + state.pending)
            if taken:
                session.skip(state.pending)
                self._sha256, self._chunk = chunk.sha256, None

    def _another_content(self, number: int) -> InvalidInput:
        return InvalidInput(
            f"upload: resume: the upload is of another file: the first {number:,} bytes of "
            f"{self._source.name or 'this one'} are not those that were sent"
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._results:
            self._failure = self._failure or exc_type or Exception  # prevents sending more chunks
        # After these errors the upload can be resumed, so it is not cancelled on the server.
        resumable = (UploadInterrupted, UploadTimeout, SessionClosed)
        can_go_on = self._failure is not None and issubclass(self._failure, resumable)
        self._final_state = self.state
        self._chunk = None
        try:
            await self._source.close()
        finally:
            if not (self._results or can_go_on):
                await self._session.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> UploadProgress:
        self._executor.transport.running_loop()
        with self._guard:
            if not self._marks:
                raise CloudtowerError(
                    "the upload has not begun: enter it, as in async with tower.upload(…) as upload"
                )
            if self._failure is not None or self._results:
                raise StopAsyncIteration
            try:
                sending = self._session.sent < self._source.size
                await (self._step() if sending else self._finish())
            except BaseException as exc:
                self._failure = type(exc)
                self._complete_error(exc)
                if self._session.task is not None and isinstance(exc, CallError):
                    self._failure = UploadInterrupted
                    raise self._interrupted(exc) from exc
                raise
            if not sending:
                raise StopAsyncIteration
            progress = self._progress()
        if self._on_progress is not None:
            self._on_progress(progress)
        return progress

    async def _step(self) -> None:
        """Send the next chunk, and read the following chunk at the same time."""
        session, source = self._session, self._source
        chunk = self._chunk
        if chunk is None:
            self._chunk = chunk = await source.chunk(session.next_size)
        send = partial(session.send, chunk.content, source.size)
        is_last = source.position == source.size
        following: Chunk | None = None
        if is_last or session.task is None:  # there is no next chunk, or its size is not known yet
            await send()
        else:
            following = await side_by_side(send, partial(source.chunk, session.next_size))
        self._chunk, self._sha256 = following, chunk.sha256
        if following is None and not is_last:
            self._chunk = await source.chunk(session.next_size)

    def _progress(self) -> UploadProgress:
        now, sent = anyio.current_time(), self._session.sent
        since, sent_before = self._marks[0]
        self._marks.append((now, sent))
        return UploadProgress(
            upload_task_id=cast("UploadTask", self._session.task).id,
            sent=sent,
            total=self._source.size,
            rate=(sent - sent_before) / max(now - since, 1e-6),
        )

    async def _finish(self) -> None:
        """Wait until the server has created the result, and store the result."""
        session = self._session
        task = cast("UploadTask", session.task)
        with self._executor.transport.until_closed(self._timeout):
            for delay in poll_delays(self._interval):
                try:
                    if task.status != "SUCCESSED":
                        task = await session.look_again()
                    if task.status == "SUCCESSED":
                        found = await session.find_result(task)
                        if found is not None:
                            self._results.append(found)
                            return
                except CallError as exc:
                    if not self._executor.is_transient(exc):
                        raise
                await anyio.sleep(delay)
        done = task.status == "SUCCESSED"
        what = "the result did not appear" if done else "the server was still processing it"
        raise UploadTimeout(f"everything was sent, but {what} after {self._timeout:g} s")

    def _interrupted(self, why: CallError) -> UploadInterrupted:
        error = UploadInterrupted(f"the upload was interrupted: {why}")
        self._complete_error(error)
        return error

    def _complete_error(self, error: BaseException) -> None:
        """Add the progress of the upload to an error."""
        if isinstance(error, UploadError):
            error.upload_task_id = self.upload_task_id
            error.sent, error.total = self._session.sent, self._source.size
            if isinstance(error, UploadInterrupted | UploadTimeout):
                error.state = self.state


def _check(
    chunk_size: object,
    resume: object,
    timeout: float | None,
    interval: float,
    settling_time: float,
) -> None:
    if chunk_size is not None and (
        type(chunk_size) is not int or not 1 <= chunk_size <= LARGEST_CHUNK
    ):
        raise InvalidInput(
            f"upload: chunk_size: expected a number of bytes from 1 to {LARGEST_CHUNK:,}, got "
            f"{chunk_size!r}"
        )
    if resume is not None and not isinstance(resume, UploadState):
        raise InvalidInput(
            "upload: resume: expected an UploadState, such as error.state or "
            f"UploadState.from_json(text); got {type(resume).__name__}"
        )
    check_seconds("upload", "timeout", timeout, none_ok=True)
    check_seconds("upload", "interval", interval)
    check_seconds("upload", "settling_time", settling_time)


def _check_place(state: UploadState, executor: Executor, session: UploadSession[Any]) -> None:
    """Raise an error if the saved state belongs to an upload to another server or target."""
    if fault := state.fault():
        raise InvalidInput(f"upload: resume: {fault}")
    addresses = executor.transport.settings.endpoints
    if state.endpoint not in addresses:
        raise InvalidInput(
            f"upload: resume: the upload is at {state.endpoint}, this session is for "
            + " and ".join(addresses)
        )
    if state.operation != session.operation.name:
        raise InvalidInput(
            f"upload: resume: the upload was begun with {state.operation}, this one takes "
            f"{session.operation.name}; pass the same target"
        )
    form = session.state_form
    for name in state.form.keys() | form.keys():
        if state.form.get(name) != form.get(name):
            raise InvalidInput(
                f"upload: resume: {name}: the upload was begun with {state.form.get(name)!r}, not "
                f"{form.get(name)!r}"
            )
