"""What can go wrong with an upload, besides the calls that it is made of."""

# ruff: noqa: N818 - the names say what happened: `except ResourceLocked`
from __future__ import annotations

from typing import ClassVar

from .base import CloudtowerError


class UploadError(CloudtowerError):
    """About an upload that has begun, or could not begin.

    Attributes:
        message: What happened.
        upload_task_id: The upload task of the server; None: there is none yet.
        sent: Bytes that the server has.
        total: Bytes of the whole file.
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

    def __str__(self) -> str:
        where = f"{self.sent:,} of {self.total:,} bytes sent"
        if self.upload_task_id is not None:
            where = f"upload task {self.upload_task_id}, {where}"
        line = f"{self.message} [{where}]"
        return f"{line}. {self.hint}" if self.hint else line


class UploadInterrupted(UploadError):
    """A chunk could not be brought to the server; ``__cause__`` is why.

    The upload stays open there: upload the same file again with
    ``upload_task_id=error.upload_task_id``, and only what is missing is sent.
    """

    hint = "Upload again with upload_task_id= to send the rest, or cancel the upload task."


class UploadFailed(UploadError):
    """Nothing comes of the upload: the server gave it up, or somebody cancelled it."""

    hint = "Upload the file anew."


class UploadTimeout(UploadError, TimeoutError):
    """All was sent, but what comes of it was not there when the time to wait was over.

    The server goes on: upload again with ``upload_task_id=error.upload_task_id`` to wait again.
    """

    hint = "Upload again with upload_task_id= to wait on, and a longer timeout= if need be."


class SourceChanged(UploadError):
    """The file became shorter or longer while it was uploaded. The upload was cancelled."""

    hint = "Upload it when nobody writes to it; of a stream, check size=."
