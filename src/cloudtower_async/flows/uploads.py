"""Uploads: from a file to what the server makes of it.

Nothing runs in the background: each step of the iteration sends one chunk, while the next is read.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
import msgspec

from ..errors import (
    CallError,
    CloudtowerError,
    InvalidInput,
    SessionClosed,
    UploadError,
    UploadInterrupted,
    UploadTimeout,
)
from ..settings import seconds_fault
from .delivery import Delivery
from .polling import may_pass
from .shared import Shared, unless_closed
from .side_by_side import side_by_side
from .watching import FIRST_DELAY

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ..calls.caller import Caller
    from ..models import UploadTask
    from .sources import Source
    from .targets import Target

T_co = TypeVar("T_co", covariant=True)

CHUNK_SIZE = 8 * 1024 * 1024
"""Bytes of the first chunk; the server then says how large those after it are to be."""

_RATE_OVER = 8
"""Steps that the rate is the mean of."""


class UploadProgress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far an upload is: bytes sent, of how many, and how many a second lately.

    ``upload_task_id`` names the upload on the server, to go on with it another time.
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
        caller: Caller,
        shared: Shared,
        source: Source,
        target: Target,
        *,
        chunk_size: int,
        upload_task_id: str | None,
        timeout: float | None,
        interval: float,
    ) -> None:
        _check(chunk_size, timeout, interval)
        self._caller = caller
        self._source = source
        self._target = target
        self._delivery = Delivery(caller, shared.locks, target, chunk_size)
        self._resumed = upload_task_id
        self._timeout = timeout
        self._interval = interval
        self._chunk: bytes | None = None  # read, but not yet sent
        self._marks: deque[tuple[float, int]] = deque(maxlen=_RATE_OVER + 1)
        self._guard = anyio.ResourceGuard("this upload")
        self._results: list[T_co] = []
        # Not the error itself: it and this would keep each other, and the chunks in its frames.
        self._failure: type[BaseException] | None = None

    @property
    def upload_task_id(self) -> str | None:
        """The upload on the server; None: it has not begun there."""
        task = self._delivery.task
        return self._resumed if task is None else task.id

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
        """Open the file; to go on with an upload, see how far it is.

        Raises:
            InvalidInput: The file cannot be uploaded, or the upload is of another one.
            UploadFailed: Nothing comes of the upload any more.
            SourceChanged: The file has become shorter.
            CallError: The server does not know the upload, or could not be asked.
        """
        try:
            await self._source.open()
            if self._resumed is not None:
                await self._delivery.go_on(self._resumed, self._source.size)
                await self._source.skip(self._delivery.sent)
        except BaseException as exc:
            await self._source.close()
            self._tell(exc)
            raise
        self._marks.append((anyio.current_time(), self._delivery.sent))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failure = self._failure or exc_type or Exception
        # What can go on another time is left open.
        can_go_on = issubclass(failure, UploadInterrupted | UploadTimeout | SessionClosed)
        try:
            await self._source.close()
        finally:
            if not (self._results or can_go_on):
                await self._delivery.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> UploadProgress:
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
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            chunk = await source.chunk(delivery.next_size)
        send = partial(delivery.send, chunk, source.size)
        is_last = source.position == source.size
        if is_last or delivery.task is None:  # how large the second is to be is not known before
            await send()
        else:
            read = partial(source.chunk, delivery.next_size)
            self._chunk = await side_by_side(send, read)

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
        with unless_closed(self._caller.transport, self._timeout):
            while True:
                try:
                    if task.status == "SUCCESSED" and (found := await self._target.find(task)):
                        self._results.append(cast("T_co", found))
                        return
                    task = await self._delivery.look_again()
                    if task.status == "SUCCESSED":
                        continue
                except CallError as exc:
                    if not may_pass(exc, self._caller):
                        raise
                await anyio.sleep(delay)
                delay = min(delay * 2, self._interval)
        done = task.status == "SUCCESSED"
        what = "what has come of it does not show" if done else "the server was not done with it"
        raise UploadTimeout(f"all was sent, but {what} after {self._timeout:g} s")

    def _interrupted(self, why: CallError) -> UploadInterrupted:
        error = UploadInterrupted(f"the upload was interrupted: {why}")
        self._tell(error)
        return error

    def _tell(self, error: BaseException) -> None:
        """Say in an error how far the upload was."""
        if isinstance(error, UploadError):
            error.upload_task_id = self.upload_task_id
            error.sent, error.total = self._delivery.sent, self._source.size


def _check(chunk_size: object, timeout: float | None, interval: float) -> None:
    if type(chunk_size) is not int or chunk_size < 1:
        raise InvalidInput(
            f"upload: chunk_size: expected a number of bytes above 0, got {chunk_size!r}"
        )
    faults = {
        "timeout": None if timeout is None else seconds_fault(timeout),
        "interval": seconds_fault(interval),
    }
    for argument, fault in faults.items():
        if fault is not None:
            raise InvalidInput(f"upload: {argument}: {fault}")
