"""Errors of uploads, besides those of the calls that they are made of."""

# ruff: noqa: N818 - the names say what happened: `except ResourceLocked`
from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .base import CloudtowerError

if TYPE_CHECKING:
    from ..uploads.upload_state import UploadState


class UploadError(CloudtowerError):
    """An upload failed after it had begun, or could not begin.

    Attributes:
        message: What happened.
        upload_task_id: The upload task of the server; None before the server has made one.
        sent: Bytes that the server certainly has.
        total: Bytes of the whole file.
        state: State for ``resume=``; None if the upload cannot be resumed.
    """

    hint: ClassVar[str] = ""

    def __init__(
        self, message: str, upload_task_id: str | None = None, sent: int = 0, total: int = 0
    ) -> None:
        super().__init__(message, upload_task_id, sent, total)
        self.message = message
        self.upload_task_id = upload_task_id
        self.sent = sent
        self.total = total
        self.state: UploadState | None = None

    def _describe(self) -> str:
        where = f"{self.sent:,} of {self.total:,} bytes sent"
        if self.upload_task_id is not None:
            where = f"upload task {self.upload_task_id}, {where}"
        line = f"{self.message} [{where}]"
        return f"{line}. {self.hint}" if self.hint else line


class UploadInterrupted(UploadError):
    """A chunk could not be delivered; ``__cause__`` says why.

    The upload stays open on the server: upload the same file again with ``resume=error.state``, and
    only what is missing is sent.
    """

    hint = "Upload again with resume=error.state to send the rest, or cancel the upload task."


class UploadFailed(UploadError):
    """The upload failed for good.

    The server gave it up, it was cancelled there, the server refuses its chunks, or it is unknown
    what the server has: then the message says "unknown". The upload task is cancelled on the server
    unless the failure came while resuming.
    """

    hint = "Start again: upload the whole file."


class UploadTimeout(UploadError, TimeoutError):
    """Everything was sent, but the result did not appear within `timeout`.

    The server keeps processing it: upload again with ``resume=error.state`` to continue waiting.
    """

    hint = "Upload again with resume=error.state to wait on, and a longer timeout= if need be."


class SourceChanged(UploadError):
    """The file became shorter or longer while it was uploaded. The upload was cancelled."""

    hint = "Upload it when nobody writes to it; of a stream, check size=."
