"""Errors of uploads, and the state of an interrupted upload."""

# ruff: noqa: N818 - names without "Error" read well: `except ResourceLocked`
from __future__ import annotations

import re
from typing import ClassVar, Literal, Self

import msgspec

from .base import CloudtowerError, InvalidInput

_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """State needed to resume an upload: store it as JSON, and pass it as ``resume=``.

    Resuming first checks the whole state, and refuses another file, target or server. The state
    contains no secrets, but it contains the names of the file and of the resource to create.

    Attributes:
        endpoint: Root address of the server.
        operation: Call that takes the chunks: ``"elf_image.create_elf_image"``.
        upload_task_id: Id of the upload task.
        form: The fields that were sent with the first chunk, without the file.
        size: Size of the whole file, in bytes.
        modified_ns: Modification time of the file, in nanoseconds since 1970; None for a stream.
        chunk_size: Maximum size of a chunk, in bytes.
        sent: Bytes that the server certainly has.
        sha256: SHA-256 of these bytes, in hexadecimal.
        pending: Size of the next chunk in bytes if the server may have received that chunk; 0 if
            the server certainly did not.
        pending_sha256: SHA-256 of the file up to the end of that chunk.
        chunks: Number of chunks that the server certainly has.
        count_base: The server's count of chunks minus `chunks`; None if the server keeps no count.
        resent: Whether a chunk was resent after the settling time, so that the result has to be
            verified.
        existing_ids: Ids of resources from before the upload, for uploads where the server does not
            name the new resource.
        version: Format of this state.
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
        """Read a state that `to_json` has written.

        Raises:
            InvalidInput: The text is not an upload state, or was written by a later version.
        """
        from ..types import CODEC_ERRORS  # imported here, so that importing an error loads little

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
        """Return why the values contradict each other, or None if the state is consistent."""
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
    """Base of upload errors: an upload failed, or could not begin.

    Attributes:
        message: Description of the failure.
        upload_task_id: Id of the upload task on the server; None if the server has not created the
            task yet.
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

    The upload stays open on the server. Upload the same file again with ``resume=error.state`` to
    send only the rest.
    """

    hint = "Upload again with resume=error.state to send the rest, or cancel the upload task."


class UploadFailed(UploadError):
    """The upload failed for good.

    The server gave up the upload or refused a chunk, the upload was cancelled on the server, or it
    is unknown which chunks the server has (the message then says "unknown"). The upload task is
    cancelled on the server, unless the failure occurred while resuming.
    """

    hint = "Start again: upload the whole file."


class UploadTimeout(UploadError, TimeoutError):
    """The whole file was sent, but the result did not appear within `timeout` seconds.

    The server may still be processing the file: upload again with ``resume=error.state`` to
    continue waiting.
    """

    hint = "Upload again with resume=error.state to wait on, and a longer timeout= if needed."


class SourceChanged(UploadError):
    """The size of the file changed during the upload. The upload was cancelled."""

    hint = "Upload the file while no program writes to it; for a stream, check size=."
