"""The server's count of the chunks of an upload, compared with ours. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UploadFailed

if TYPE_CHECKING:
    from ..models import UploadTask


class ChunkCount:
    """What was sent, and what the server counts.

    Servers may count from 0 or from 1, so what counts is the difference to the first chunk's count.

    Args:
        chunks: Number of chunks that the server certainly has.
        base: Its count minus that; None: its count does not follow ours, and proves nothing.
    """

    def __init__(self, chunks: int = 0, base: int | None = None) -> None:
        self.chunks: int = chunks
        self.base: int | None = base

    def add(self, task: UploadTask, *, exactly: bool) -> None:
        """Count a chunk that the server has taken.

        Args:
            task: The upload task after that.
            exactly: Whether the server has to count it, too.

        Raises:
            UploadFailed: The server has more chunks than were sent, or does not count exactly.
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
                    raise unknown("a chunk was sent again, and the server's count does not follow")

    def has_one_more(self, task: UploadTask) -> bool:
        """Whether the server has one chunk more than it certainly has.

        Raises:
            UploadFailed: Its count does not fit, or proves nothing.
        """
        base, count = self.reliable_base(), count_of(task)
        if count is None:
            return False
        more = count - base - self.chunks
        if more not in (0, 1) or (task.status == "SUCCESSED" and not more):
            raise unknown(
                f"the server has {count - base} chunks where {self.chunks} were sent, and perhaps "
                "one more"
            )
        return more == 1

    def reliable_base(self) -> int:
        """Return `base`.

        Raises:
            UploadFailed: The count proves nothing.
        """
        if self.base is None:
            raise unknown("the server does not count chunks in a way that tells")
        return self.base

    def agrees(self, task: UploadTask) -> bool:
        """Whether the server counts exactly what was sent."""
        return self.base is not None and count_of(task) == self.chunks + self.base


def count_of(task: UploadTask) -> int | None:
    """Return the server's count of chunks; None: it does not tell."""
    count: object = task.current_chunk
    return count if type(count) is int and count >= 0 else None


def unknown(why: str) -> UploadFailed:
    """Make the error for an upload that nothing can be told of."""
    return UploadFailed(f"what the server has is unknown: {why}")
