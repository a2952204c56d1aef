"""Errors of uploads, and the state of an interrupted upload."""

# ruff: noqa: N818 - names without "Error" read well: `except ResourceLocked`
from __future__ import annotations

import re
from typing import ClassVar, Literal, Self

import msgspec

from .base import CloudtowerError, InvalidInput

_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State of an interrupted upload, which you can store as JSON.

    To resume the upload, pass the state to `Cloudtower.upload` as ``resume=state``. With
    a different file, target or server, the upload raises `InvalidInput`. The state contains no
    secrets, but it contains the names of the file and of the resource to create.

    Attributes:
        endpoint: Root address of the server.
        operation: Name of the operation that receives the chunks, such as
            ``"elf_image.create_elf_image"``.
        upload_task_id: Id of the upload task.
        form: The fields that were sent with the first chunk, without the file.
        size: Size of the whole file, in bytes.
        modified_ns: Modification time of the file, in nanoseconds since 1970. None for a stream.
        chunk_size: Maximum size of a chunk, in bytes.
        sent: Number of bytes that the server has certainly received.
        sha256: SHA-256 of the first `sent` bytes of the file, in hexadecimal.
        pending: Size in bytes of a further chunk that the server may have received. 0 if there is
            certainly no such chunk.
        pending_sha256: SHA-256 of the first `sent` + `pending` bytes of the file, in hexadecimal.
        chunks: Number of chunks that the server has certainly received.
        count_base: The server's count of chunks minus the field `chunks`. For example, the value is
            -1 if the server reports 0 chunks after the first chunk. None if the server does not
            count chunks reliably.
        resent: Whether a chunk was resent. If so, the upload fails unless the new resource has
            exactly `size` bytes.
        existing_ids: Ids of the resources that existed before the upload. If the server does not
            return the id of the new resource, these ids help to find the new resource.
        version: Version number of the format of this state.
    """

    endpoint: str
    operation: str
    upload_task_id: str
    form: dict[str, str]
    size: int
    modified_ns: int | None
    chunk_size: int
    sent: int
    sha256: str
    pending: int
    pending_sha256: str
    chunks: int
    count_base: int | None
    resent: bool
    existing_ids: tuple[str, ...]
    version: Literal[1] = 1

    def to_json(self) -> str:
        """Return the state as one line of JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse a state that `to_json` has returned.

        Raises:
            InvalidInput: The text is not an upload state, or it was written by a later version of
                this package.
        """
        from ..types import CODEC_ERRORS  # a late import, so that importing an error is fast

        try:
            state = msgspec.json.decode(text, type=cls)
        except CODEC_ERRORS as exc:
            raise InvalidInput(
                f"upload: resume: the text is not the state of an upload: {exc}"
            ) from exc
        if fault := state.fault():
            raise InvalidInput(f"upload: resume: {fault}")
        return state

    def fault(self) -> str | None:
        """Return an error message if the values are inconsistent, otherwise None."""
        ends = self.sent + self.pending
        if not (0 < self.sent <= self.size and self.pending >= 0 and ends <= self.size):
            return f"sent: {self.sent:,} of {self.size:,} bytes, {self.pending:,} pending"
        if self.chunks < 1 or self.chunk_size < 1:
            return f"chunks: {self.chunks} of at most {self.chunk_size:,} bytes"
        for name in ("sha256", "pending_sha256"):
            if not _SHA256.fullmatch(getattr(self, name)):
                return f"{name}: expected a SHA-256 in hexadecimal"
        return None


class UploadError(CloudtowerError):
    """Base of the errors of uploads that failed or could not be started.

    Attributes:
        message: Description of the failure.
        upload_task_id: Id of the upload task on the server. None if the server has not created the
            task yet.
        sent: Number of bytes that the server has certainly received.
        total: Size of the whole file in bytes.
        state: State to pass as ``resume=``. None if the upload cannot be resumed.
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
    """A chunk could not be delivered. ``__cause__`` is the reason.

    The upload stays open on the server. To send only the rest of the file, upload the same file
    again with ``resume=error.state``.
    """

    hint = "Upload again with resume=error.state to send the rest, or cancel the upload task."


class UploadFailed(UploadError):
    """The upload failed and cannot be resumed.

    Possible causes: the server ended the upload, a chunk was too large for the server or a proxy
    (HTTP 413), the server requested an invalid chunk size, the upload was cancelled on the server,
    or it is unknown which chunks the server has received.

    This package then cancels the upload task on the server, unless the error occurred at the start
    of a resumed upload.
    """

    hint = "Start again: upload the whole file."


class UploadTimeout(UploadError, TimeoutError):
    """The whole file was sent, but the result did not appear within `timeout` seconds.

    The server may still be processing the file. To continue the wait, upload the file again with
    ``resume=error.state``.
    """

    hint = "Upload again with resume=error.state to wait on, and a longer timeout= if needed."


class SourceChanged(UploadError):
    """The size of the file changed during the upload. For the upload task, see `UploadFailed`."""

    hint = "Upload the file while no program writes to it; for a stream, check size=."
