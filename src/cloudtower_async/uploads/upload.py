"""Uploads: from a file to what the server makes of it.

Nothing runs in the background: each step of the iteration sends one chunk and reads the next one.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
import msgspec

from ..concurrency import side_by_side
from ..errors import (
    CallError,
    CloudtowerError,
    InvalidInput,
    SessionClosed,
    UploadError,
    UploadInterrupted,
    UploadTimeout,
)
from ..tasks.poller import may_pass
from ..tasks.subscription import FIRST_DELAY
from ..validators import check_seconds
from .session import LARGEST_CHUNK, UploadSession
from .upload_state import UploadState

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ..calls.executor import Executor
    from ..models import UploadTask
    from ..session_state import SessionState
    from .source import Chunk, Source
    from .targets import Target

T_co = TypeVar("T_co", covariant=True)

_RATE_OVER = 8
"""Steps that the rate is the mean of."""


class UploadProgress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far an upload is: bytes sent, of how many, and how many a second lately.

    ``upload_task_id`` names the upload on the server.
    """

    upload_task_id: str
    sent: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float:
        """How long the rest takes at this rate."""
        return (self.total - self.sent) / self.rate


class Upload(Generic[T_co]):
    """An upload, made by `Cloudtower.uploading`: enter it, then iterate over its progress.

    The iteration ends when what comes of the upload is there, as `result`. Leaving the block before
    that gives the upload up: it is cancelled on the server.
    """

    def __init__(
        self,
        caller: Executor,
        shared: SessionState,
        source: Source,
        target: Target,
        *,
        chunk_size: int | None,
        resume: UploadState | None,
        timeout: float | None,
        interval: float,
        settling_time: float,
    ) -> None:
        _check(chunk_size, resume, timeout, interval, settling_time)
        if resume is not None:
            _check_place(resume, caller, target)
            chunk_size = chunk_size or resume.chunk_size
        self._caller = caller
        self._source = source
        self._target = target
        self._delivery = UploadSession(
            caller,
            shared.locks,
            target,
            chunk_size=chunk_size,
            settling_time=settling_time,
            interval=interval,
        )
        self._resumed = resume
        self._timeout = timeout
        self._interval = interval
        self._chunk: Chunk | None = None  # read, but not known to be at the server
        self._sha256 = ""  # of what the server has
        self._marks: deque[tuple[float, int]] = deque(maxlen=_RATE_OVER + 1)
        self._guard = anyio.ResourceGuard("this upload")
        self._results: list[T_co] = []
        # Not the error itself: it and this would keep each other, and the chunks in its frames.
        self._failure: type[BaseException] | None = None

    @property
    def upload_task_id(self) -> str | None:
        """Id of the upload task; None before the server has made one."""
        task = self._delivery.task
        if task is None:
            return None if self._resumed is None else self._resumed.upload_task_id
        return task.id

    @property
    def state(self) -> UploadState | None:
        """State for resuming this upload; None before the server has the first chunk.

        Store it after each step, and an upload whose process was killed can be resumed.
        """
        delivery, chunk = self._delivery, self._chunk
        if delivery.task is None or not self._sha256:
            return self._resumed
        # A stored state does not learn whether the next chunk was sent.
        certain = self._failure is not None and not delivery.in_doubt
        pending = None if certain else chunk
        return UploadState(
            endpoint=self._caller.endpoints.latest,
            operation=self._target.send.name,
            upload_task_id=delivery.task.id,
            form=self._target.form,
            size=self._source.size,
            modified_ns=self._source.modified_ns,
            chunk_size=delivery.largest,
            sent=delivery.sent,
            sha256=self._sha256,
            pending=len(pending.content) if pending else 0,
            pending_sha256=pending.sha256 if pending else self._sha256,
            chunks=delivery.count.chunks,
            count_base=delivery.count.base,
            resent=delivery.resent,
            existing_ids=self._target.existing_ids,
        )

    @property
    def result(self) -> T_co:
        """What has come of the upload.

        Raises:
            CloudtowerError: Nothing yet: iterate to the end first. Or a step failed or was
                cancelled: then nothing will.
        """
        if self._results:
            return self._results[0]
        if self._failure is not None:
            raise CloudtowerError("nothing comes of the upload: a step failed or was cancelled")
        raise CloudtowerError("the upload has not ended: iterate to its end first")

    async def __aenter__(self) -> Self:
        """Open the file; when resuming, check it and see what the server has.

        Raises:
            InvalidInput: The file cannot be uploaded, or is not the one that the state is of.
            UploadFailed: The upload has failed, or it is unknown what the server has.
            SourceChanged: The file has become shorter.
            CallError: The server does not know the upload, or could not be asked.
        """
        self._caller.transport.running_loop()
        try:
            await self._source.open()
            if self._resumed is not None:
                await self._resume(self._resumed)
        except BaseException as exc:
            await self._source.close()
            self._tell(exc)
            raise
        self._marks.append((anyio.current_time(), self._delivery.sent))
        return self

    async def _resume(self, state: UploadState) -> None:
        source, delivery = self._source, self._delivery
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
        taken = await delivery.resume(state)
        self._sha256 = state.sha256
        if state.pending:
            self._chunk = chunk = await source.chunk(state.pending)
            if chunk.sha256 != state.pending_sha256:
                raise self._another_content(state.sent + state.pending)
            if taken:
                delivery.skip(state.pending)
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
        failure = self._failure or exc_type or Exception
        # An upload that can be resumed is not cancelled.
        can_go_on = issubclass(failure, UploadInterrupted | UploadTimeout | SessionClosed)
        self._chunk = None
        try:
            await self._source.close()
        finally:
            if not (self._results or can_go_on):
                await self._delivery.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> UploadProgress:
        self._caller.transport.running_loop()
        with self._guard:
            if not self._marks:
                raise CloudtowerError(
                    "the upload has not begun: async with tower.uploading(…) as upload"
                )
            if self._failure is not None or self._results:
                raise StopAsyncIteration
            try:
                if self._delivery.sent < self._source.size:
                    await self._step()
                    return self._progress()
                await self._finish()
            except BaseException as exc:
                self._failure = type(exc)
                self._tell(exc)
                if self._delivery.task is not None and isinstance(exc, CallError):
                    self._failure = UploadInterrupted
                    raise self._interrupted(exc) from exc
                raise
            raise StopAsyncIteration

    async def _step(self) -> None:
        """Send the next chunk, and read the one after it."""
        delivery, source = self._delivery, self._source
        chunk = self._chunk
        if chunk is None:
            self._chunk = chunk = await source.chunk(delivery.next_size)
        send = partial(delivery.send, chunk.content, source.size)
        is_last = source.position == source.size
        following: Chunk | None = None
        if is_last or delivery.task is None:  # how large the second is to be is not known before
            await send()
        else:
            following = await side_by_side(send, partial(source.chunk, delivery.next_size))
        self._chunk, self._sha256 = following, chunk.sha256
        if following is None and not is_last:
            self._chunk = await source.chunk(delivery.next_size)

    def _progress(self) -> UploadProgress:
        now, sent = anyio.current_time(), self._delivery.sent
        since, sent_before = self._marks[0]
        self._marks.append((now, sent))
        return UploadProgress(
            upload_task_id=self.upload_task_id or "",
            sent=sent,
            total=self._source.size,
            rate=(sent - sent_before) / max(now - since, 1e-6),
        )

    async def _finish(self) -> None:
        """Wait until what comes of the upload is there."""
        delay = min(FIRST_DELAY, self._interval)
        task = cast("UploadTask", self._delivery.task)
        with self._caller.transport.until_closed(self._timeout):
            while True:
                try:
                    if task.status != "SUCCESSED":
                        task = await self._delivery.look_again()
                    if task.status == "SUCCESSED" and (found := await self._target.find(task)):
                        self._delivery.verify(task, found)
                        self._results.append(cast("T_co", found))
                        return
                except CallError as exc:
                    if not may_pass(exc, self._caller):
                        raise
                await anyio.sleep(delay)
                delay = min(delay * 2, self._interval)
        done = task.status == "SUCCESSED"
        what = "the result did not appear" if done else "the server was still processing it"
        raise UploadTimeout(f"everything was sent, but {what} after {self._timeout:g} s")

    def _interrupted(self, why: CallError) -> UploadInterrupted:
        error = UploadInterrupted(f"the upload was interrupted: {why}")
        self._tell(error)
        return error

    def _tell(self, error: BaseException) -> None:
        """Say in an error how far the upload was."""
        if isinstance(error, UploadError):
            error.upload_task_id = self.upload_task_id
            error.sent, error.total = self._delivery.sent, self._source.size
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


def _check_place(state: UploadState, caller: Executor, target: Target) -> None:
    """Refuse to resume an upload to another place."""
    if fault := state.fault():
        raise InvalidInput(f"upload: resume: {fault}")
    addresses = caller.transport.settings.endpoints
    if state.endpoint not in addresses:
        raise InvalidInput(
            f"upload: resume: the upload is at {state.endpoint}, this session is for "
            + " and ".join(addresses)
        )
    if state.operation != target.send.name:
        raise InvalidInput(
            f"upload: resume: the upload was begun with {state.operation}, this one takes "
            f"{target.send.name}; pass the same kind="
        )
    form = target.form
    for name in state.form.keys() | form.keys():
        if state.form.get(name) != form.get(name):
            raise InvalidInput(
                f"upload: resume: {name}: the upload was begun with {state.form.get(name)!r}, not "
                f"{form.get(name)!r}"
            )
