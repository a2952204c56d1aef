"""Compare the server's count of chunks with the number of chunks that were sent. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UploadFailed

if TYPE_CHECKING:
    from ..models import UploadTask


class ChunkCount:
    """Compares the number of chunks that were sent with the server's count.

    After the first chunk, the server's count may be 0 or 1. Therefore, later counts are compared
    with the count after the first chunk.

    Args:
        chunks: Number of chunks that the server certainly has.
        base: The server's count minus `chunks`. None means that the server does not count reliably.
    """

    def __init__(self, chunks: int = 0, base: int | None = None) -> None:
        self.chunks: int = chunks
        self.base: int | None = base

    def add(self, task: UploadTask, *, exactly: bool) -> None:
        """Add a chunk that the server has accepted, and check the server's count.

        Args:
            task: The upload task after the server has accepted the chunk.
            exactly: Whether to raise an error if the server has not counted the chunk.

        Raises:
            UploadFailed: The server counts more chunks than were sent, or has not counted the chunk
                although `exactly` is true.
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
        """Return whether the server counts one chunk more than the attribute `chunks`.

        Raises:
            UploadFailed: The server counts fewer chunks than `chunks`, or more than `chunks` + 1.
                Or the upload task has ended without a further chunk. Or `base` is None.
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
        """Return `base`, or raise an error if `base` is None.

        Raises:
            UploadFailed: `base` is None, because the server does not count chunks reliably.
        """
        if self.base is None:
            raise unknown("the server does not count chunks reliably")
        return self.base

    def agrees(self, task: UploadTask) -> bool:
        """Return whether the server has counted exactly the chunks that were sent."""
        return self.base is not None and count_of(task) == self.chunks + self.base


def count_of(task: UploadTask) -> int | None:
    """Return the number of chunks in an upload task, or None if the task has no valid number."""
    count: object = task.current_chunk
    return count if type(count) is int and count >= 0 else None


def unknown(why: str) -> UploadFailed:
    """Return the error for an upload whose chunks on the server are unknown."""
    return UploadFailed(f"the chunks on the server are unknown: {why}")
