"""Errors of uploads besides those of their calls, and the state that an interrupted one leaves."""

# ruff: noqa: N818 - the names say what happened: `except ResourceLocked`
from __future__ import annotations

import re
from typing import ClassVar, Literal, Self

import msgspec

from .base import CloudtowerError, InvalidInput

_SHA256 = re.compile(r"[0-9a-f]{64}")


class UploadState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything needed to resume an upload: store it as JSON, pass it as ``resume=``.

    Resuming checks all of it first, and refuses another file, another target or another server. It
    contains no secret, only the names of the file and of the resource that it becomes.

    Attributes:
        endpoint: Root address of the server.
        operation: Call that takes the chunks: ``"elf_image.create_elf_image"``.
        upload_task_id: Id of the upload task.
        form: The fields that were sent with the first chunk, without the file.
        size: Size of the whole file, in bytes.
        modified_ns: Modification time of the file, in nanoseconds since 1970; None for a stream.
        chunk_size: Largest chunk, in bytes.
        sent: Bytes that the server certainly has.
        sha256: SHA-256 of these bytes, in hexadecimal.
        pending: Bytes of the next chunk when the server may have it, too; 0 when it certainly does
            not.
        pending_sha256: SHA-256 of the file up to the end of that chunk.
        chunks: Number of chunks that the server certainly has.
        count_base: The server's count of chunks minus `chunks`; None when its count does not follow
            the chunks that were sent.
        resent: A chunk was resent after the settling time, so the result has to be verified.
        existing_ids: Resources that were there before the upload, where the server does not say
            which one an upload becomes.
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
        from ..types import CODEC_ERRORS  # only now, as importing an error must load little

        try:
            state = msgspec.json.decode(text, type=cls)
        except CODEC_ERRORS as exc:
            raise InvalidInput(
                f"upload: resume: this is not the state of an upload: {exc}"
            ) from exc
        if fault := state.fault():
            raise InvalidInput(f"upload: resume: {fault}")
        return state

    def fault(self) -> str | None:
        """Return why the values contradict each other; None if they do not."""
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
    """An upload failed after it had begun, or could not begin.

    Attributes:
        message: Description of the failure.
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
