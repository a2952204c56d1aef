"""Compare the server's count of chunks with the number of sent chunks. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UploadFailed

if TYPE_CHECKING:
    from ..models import UploadTask


class ChunkCount:
    """Number of chunks sent, and the server's count of these chunks.

    Servers may count from 0 or from 1, so counts are compared relative to the count after the first
    chunk.

    Args:
        chunks: Number of chunks that the server certainly has.
        base: The server's count minus `chunks`; None if the server does not count the sent chunks,
            so that the count proves nothing.
    """

    def __init__(self, chunks: int = 0, base: int | None = None) -> None:
        self.chunks: int = chunks
        self.base: int | None = base

    def add(self, task: UploadTask, *, exactly: bool) -> None:
        """Count a chunk that the server has accepted.

        Args:
            task: The upload task after the chunk was accepted.
            exactly: Whether the server must have counted the chunk.

        Raises:
            UploadFailed: The server has more chunks than were sent, or did not count the chunk.
        """
        self.chunks += 1
        count = count_of(task)
        if self.chunks == 1:
            self.base = None if count is None else count - 1
        elif self.base is not None:
            surplus = None if count is None else count - self.base - self.chunks
            if surplus is not None and surplus > 0:
                raise unknown(
                    f"the server has {self.chunks + surplus} chunks where {self.chunks} were sent"
                )
            if surplus != 0:
                self.base = None
                if exactly:
                    raise unknown("a chunk was resent, and the server did not count it")

    def has_one_more(self, task: UploadTask) -> bool:
        """Return whether the server counts one chunk more than `chunks`.

        Raises:
            UploadFailed: The server's count is impossible, or proves nothing.
        """
        base, count = self.reliable_base(), count_of(task)
        if count is None:
            return False
        more = count - base - self.chunks
        if more not in (0, 1) or (task.status == "SUCCESSED" and not more):
            why = (
                f"the server has {count - base} chunks where {self.chunks} were sent, "
                "and perhaps one more"
            )
            if task.status == "SUCCESSED":
                why += ", and the upload task has ended: look for its result before starting again"
            raise unknown(why)
        return more == 1

    def reliable_base(self) -> int:
        """Return `base`.

        Raises:
            UploadFailed: The count proves nothing.
        """
        if self.base is None:
            raise unknown("the server does not count chunks reliably")
        return self.base

    def agrees(self, task: UploadTask) -> bool:
        """Return whether the server counts exactly the chunks that were sent."""
        return self.base is not None and count_of(task) == self.chunks + self.base


def count_of(task: UploadTask) -> int | None:
    """Return the server's count of chunks, or None if the upload task has no valid count."""
    count: object = task.current_chunk
    return count if type(count) is int and count >= 0 else None


def unknown(why: str) -> UploadFailed:
    """Return the error for an upload whose state on the server cannot be determined."""
    return UploadFailed(f"the chunks on the server are unknown: {why}")
