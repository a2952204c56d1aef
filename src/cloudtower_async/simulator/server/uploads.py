"""Uploads: chunk after chunk, each counted and hashed."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..http_errors import MissingError, QueryError, RefusedError, member
from ..mutations.body import amount
from . import images
from .images import Wanted
from .request_parser import LARGEST_CHUNK, FilePart

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..factory import Maker
    from ..store.filters import Document
    from .handlers import Answer, Asked
    from .images import Target
    from .request_parser import Digest

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Upload:
    """What has come of one file.

    Args:
        name: Of the file, as the client calls it.
        size: What the client says that it will be, in bytes.
        target: What becomes of it.
        received: How much of it is here.
        digest: SHA-256 of that much.
        error: Why nothing has become of it, where no test has asked for that.
    """

    name: str
    size: int
    target: Target = field(repr=False)
    received: int = 0
    digest: Digest = field(default_factory=hashlib.sha256, repr=False)
    error: Exception | None = None

    @property
    def sha256(self) -> str:
        """Of what has been received, in hexadecimal."""
        return self.digest.hexdigest()


class Uploads:
    """The uploads of a server, those that have ended included.

    Args:
        maker: Has the store, where the upload tasks are.
        duration: Seconds from the last chunk to the end of the task.
    """

    def __init__(self, maker: Maker, *, duration: float) -> None:
        self.chunk_size = LARGEST_CHUNK
        """The largest chunk that is taken. The first may be larger: it is sent without asking."""
        self.as_volumes = False
        """Whether clusters keep what the content library gets as volumes, and not as ELF images."""
        self.duration = duration
        self._maker = maker
        self._uploads: dict[str, Upload] = {}
        self._ending: deque[tuple[float, Document, Upload]] = deque()
        self._failures = 0

    def __getitem__(self, identifier: str) -> Upload:
        """What has come of the file of an upload task.

        Raises:
            KeyError: There is no such upload.
        """
        return self._uploads[identifier]

    def fail_next(self, *, times: int = 1) -> None:
        """The next uploads that are complete will fail all the same."""
        with self._maker.store.lock:
            self._failures += times

    def begin(self, upload: Upload) -> Document:
        """Take in that a file comes. Nothing of it is there yet."""
        maker, now = self._maker, self._maker.clock.timestamp()
        task = maker.store.add(
            "UploadTask",
            {
                "id": maker.ids.cuid(),
                "args": upload.target.args,
                "chunk_size": self.chunk_size,
                "current_chunk": 0,
                "resource_type": upload.target.resource_type,
                "size": upload.size,
                "started_at": now,
                "updatedAt": now,
                "status": "INITIALIZING",
            },
        )
        self._uploads[task["id"]] = upload
        return task

    def receive(self, task: Document, part: FilePart, content: bytes) -> None:
        """Take in the next chunk."""
        upload = self._uploads[task["id"]]
        first = not upload.received
        if part.size > self.chunk_size and not first:
            raise RefusedError(400, f"a chunk has at most {self.chunk_size} bytes")
        check_size(part, upload.size - upload.received)
        if first:
            upload.digest = part.digest.copy()
        else:
            upload.digest.update(content)
        upload.received += part.size
        now = self._maker.clock.timestamp()
        chunk = task["current_chunk"] + 1
        task |= {"status": "UPLOADING", "current_chunk": chunk, "updatedAt": now}
        if upload.received == upload.size:
            self._ending.append((self._maker.clock.now() + self.duration, task, upload))

    def cancel(self, task: Document) -> None:
        """Give up an upload."""
        self._end(task, "FAILED")

    def advance(self) -> None:
        """Let the uploads end that are due."""
        while self._ending and self._ending[0][0] <= self._maker.clock.now():
            _, task, upload = self._ending.popleft()
            if not is_open(task):  # given up meanwhile
                continue
            if self._failures:
                self._failures -= 1
                self._end(task, "FAILED")
            else:
                self._finish(task, upload)

    def _finish(self, task: Document, upload: Upload) -> None:
        # Whoever asks next has nothing to do with what goes wrong here.
        try:
            upload.target.finish()
        except Exception as exc:
            if not isinstance(exc, MissingError):  # that its cluster is gone is no mistake
                _log.exception("a mistake of the simulator: the upload of %s", upload.name)
            upload.error = exc
            self._end(task, "FAILED")
        else:
            self._end(task, "SUCCESSED")

    def _end(self, task: Document, status: str) -> None:
        now = self._maker.clock.timestamp()
        task |= {"status": status, "finished_at": now, "updatedAt": now}


def is_open(task: Document) -> bool:
    """Whether something can still come of an upload."""
    return task["status"] in {"INITIALIZING", "UPLOADING", "PAUSED"}


def check_size(part: FilePart, left: int) -> None:
    """Refuse a chunk that is empty, or larger than what is left to come."""
    if not 0 < part.size <= left:
        raise RefusedError(400, f"a chunk of {part.size} bytes where {left} are left to come")


def _upload(asked: Asked, aim: Callable[[Wanted], Target | None]) -> Document:
    body = cast("dict[str, Any]", asked.request.body)
    part = member(body, "file", object)
    if not isinstance(part, FilePart):
        raise QueryError("file: required, in a form")
    uploads = asked.services.uploads
    if identifier := body.get("upload_task_id"):
        task = asked.maker.store.table("UploadTask").get(identifier)
        if task is None:
            raise RefusedError(404, f"there is no upload task {identifier}")
        if not is_open(task):
            raise RefusedError(400, f"upload task {identifier} has ended")
    else:
        size = _size(body)
        check_size(part, size)
        target = aim(Wanted(asked.maker, body, size, uploads.as_volumes))
        if target is None:
            raise RefusedError(304, "nothing to upload to")
        task = uploads.begin(Upload(body["name"], size, target))
    uploads.receive(task, part, asked.content)
    return asked.maker.store.render("UploadTask", task, asked.language)


def _size(fields: dict[str, Any]) -> int:
    name, size = fields.get("name"), fields.get("size", "")
    if not name or not (size.isascii() and size.isdigit()):
        raise QueryError("name, size: required with the first chunk; the size is a whole number")
    try:
        size = amount({**fields, "size": int(size)}, "size")
    except KeyError:
        raise QueryError(f"size_unit: {fields['size_unit']!r} is no unit") from None
    return cast("int", size)


def _several(aim: Callable[[Wanted], Target | None]) -> Answer:
    return lambda asked: [_upload(asked, aim)]


def _cancel(asked: Asked) -> object:
    where = member(asked.request.body, "where", dict[str, Any])
    tasks = [one for one in asked.maker.store.select("UploadTask", where) if is_open(one)]
    if not tasks:
        raise RefusedError(304, "nothing to cancel")
    for task in tasks:
        asked.services.uploads.cancel(task)
    return [task["id"] for task in tasks]


ANSWERS: dict[str, Answer] = {
    "upload-content-library-image": _several(images.library_image),
    "upload-elf-image": _several(images.elf_image),
    "upload-svt-image": _several(images.svt_image),
    "upload-cloudtower-application-package": _several(images.package),
    "upload-elf-file": lambda asked: _upload(asked, images.elf_file),
    "cancel-upload-task": _cancel,
}
