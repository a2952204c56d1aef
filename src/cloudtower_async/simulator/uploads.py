"""Uploads: chunks are counted and hashed, and the last chunk completes the upload."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .http_errors import DocumentNotFoundError, HttpError
from .server.request_parser import MAX_CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable

    from .factory import Factory
    from .server.request_parser import Digest, FilePart
    from .store.filters import Document

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadDestination:
    """Destination of an upload.

    Args:
        resource_type: Resource type of the upload task.
        args: Arguments of the upload task, which describe the new resource.
        finish: Function that creates the new resource.
    """

    resource_type: str
    args: dict[str, Any]
    finish: Callable[[], object]


@dataclass(slots=True)
class ReceivedUpload:
    """State of the upload of one file.

    Args:
        name: File name that the client sent.
        size: Size of the file in bytes, according to the client.
        destination: Destination of the upload.
        received: Number of received bytes.
        digest: SHA-256 hash object of the received bytes.
        error: Exception that made the upload fail. None if there was no exception, for example
            after `Uploads.fail_next`.
    """

    name: str
    size: int
    destination: UploadDestination = field(repr=False)
    received: int = 0
    digest: Digest = field(default_factory=hashlib.sha256, repr=False)
    error: Exception | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 digest of the received bytes, in hexadecimal."""
        return self.digest.hexdigest()


class Uploads:
    """Uploads of a server, including uploads that have ended.

    Args:
        factory: Factory whose store contains the upload tasks.
        duration: Seconds from the last chunk to the end of the upload task.
    """

    def __init__(self, factory: Factory, *, duration: float) -> None:
        self.chunk_size = MAX_CHUNK
        """Maximum size of a chunk in bytes.

        The first chunk may be larger, because the client does not know the limit yet.
        """
        self.as_volumes = False
        """Whether clusters store images of the content library as volumes or as ELF images.

        True means volumes, False means ELF images.
        """
        self.duration = duration
        self._factory = factory
        self._uploads: dict[str, ReceivedUpload] = {}
        self._ending: deque[tuple[float, Document, ReceivedUpload]] = deque()
        self._failures = 0

    def __getitem__(self, identifier: str) -> ReceivedUpload:
        """Return the state of the upload with the given upload task id.

        Raises:
            KeyError: The upload does not exist.
        """
        return self._uploads[identifier]

    def fail_next(self, *, times: int = 1) -> None:
        """Make the next `times` uploads fail after their last chunk."""
        with self._factory.store.lock:
            self._failures += times

    def begin(self, upload: ReceivedUpload) -> Document:
        """Start an upload, and return its upload task."""
        factory, now = self._factory, self._factory.clock.timestamp()
        task = factory.store.add(
            "UploadTask",
            {
                "id": factory.ids.cuid(),
                "args": upload.destination.args,
                "chunk_size": self.chunk_size,
                "current_chunk": 0,
                "resource_type": upload.destination.resource_type,
                "size": upload.size,
                "started_at": now,
                "updatedAt": now,
                "status": "INITIALIZING",
            },
        )
        self._uploads[task["id"]] = upload
        return task

    def receive(self, task: Document, part: FilePart, content: bytes) -> None:
        """Process the next chunk of an upload.

        Raises:
            HttpError: The chunk is empty or too large.
        """
        upload = self._uploads[task["id"]]
        first = not upload.received
        if part.size > self.chunk_size and not first:
            raise HttpError(400, f"a chunk has at most {self.chunk_size} bytes")
        check_size(part, upload.size - upload.received)
        if first:
            upload.digest = part.digest.copy()
        else:
            upload.digest.update(content)
        upload.received += part.size
        now = self._factory.clock.timestamp()
        chunk = task["current_chunk"] + 1
        task |= {"status": "UPLOADING", "current_chunk": chunk, "updatedAt": now}
        if upload.received == upload.size:
            self._ending.append((self._factory.clock.now() + self.duration, task, upload))

    def cancel(self, task: Document) -> None:
        """Cancel an upload: the status of its task becomes FAILED."""
        self._end(task, "FAILED")

    def advance(self) -> None:
        """End the uploads whose last chunk arrived at least `duration` seconds ago."""
        while self._ending and self._ending[0][0] <= self._factory.clock.now():
            _, task, upload = self._ending.popleft()
            if not is_open(task):  # cancelled after the last chunk
                continue
            if self._failures:
                self._failures -= 1
                self._end(task, "FAILED")
            else:
                self._finish(task, upload)

    def _finish(self, task: Document, upload: ReceivedUpload) -> None:
        # Any request can run this code. The request must not fail because of the upload.
        try:
            upload.destination.finish()
        except Exception as exc:
            if not isinstance(exc, DocumentNotFoundError):  # the cluster was deleted
                _log.exception("bug of the simulator: the upload of %s", upload.name)
            upload.error = exc
            self._end(task, "FAILED")
        else:
            self._end(task, "SUCCESSED")

    def _end(self, task: Document, status: str) -> None:
        now = self._factory.clock.timestamp()
        task |= {"status": status, "finished_at": now, "updatedAt": now}


def is_open(task: Document) -> bool:
    """Return whether an upload has not ended yet."""
    return task["status"] in {"INITIALIZING", "UPLOADING", "PAUSED"}


def check_size(part: FilePart, left: int) -> None:
    """Reject a chunk that is empty or larger than `left`, the number of missing bytes."""
    if not 0 < part.size <= left:
        raise HttpError(400, f"a chunk of {part.size} bytes where {left} are left to come")
