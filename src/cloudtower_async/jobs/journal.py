"""Journal of mutations, which survives a crash of the process."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

GRACE = 120.0
"""Default of `Journal.grace` in seconds, longer than the lag of listings."""

KEEP = 7 * 86400.0
"""Default time to live of entries in seconds."""


class Lease(Protocol):
    """Lock that one owner at a time can hold, and that expires unless it is renewed."""

    @property
    def name(self) -> str:
        """Name of the lock."""
        ...

    @property
    def ttl(self) -> float:
        """Seconds until the lease expires unless it is renewed."""
        ...

    async def acquire(self) -> bool:
        """Take the lease; return False if another owner holds it."""
        ...

    async def renew(self) -> bool:
        """Extend the lease to its full time to live; return False if it is no longer held."""
        ...

    async def release(self) -> None:
        """Release the lease; do nothing if it is no longer held."""
        ...


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Stored state of a mutation.

    Attributes:
        owner: Random id of the attempt that wrote the entry.
        state: ``"begun"``: a request may be under way; ``"answered"``: the server has accepted it;
            ``"done"``: the work is finished.
        pending: Pending work as JSON of `Pending` (ids, no secrets); None unless the state is
            ``"answered"``.
    """

    owner: str
    state: Literal["begun", "answered", "done"]
    pending: str | None = None


class Journal(Protocol):
    """Write-ahead journal of mutations, and locks between the processes that share it.

    A journal belongs to one Tower, unless the keys name the Tower. Entries expire.
    """

    @property
    def grace(self) -> float:
        """Seconds after which a sent request has either reached the server or never will."""
        ...

    async def begin(self, key: str, owner: str) -> JournalEntry | None:
        """Record that a mutation is about to be sent, unless an entry exists.

        An entry with the state ``"begun"`` that is older than `grace` is replaced.

        Returns:
            None if the entry was written and will survive a crash; otherwise the existing entry.
        """
        ...

    async def record(self, key: str, entry: JournalEntry) -> None:
        """Replace an entry of the same owner; do nothing if another owner has replaced it."""
        ...

    async def forget(self, key: str, owner: str | None = None) -> None:
        """Delete an entry.

        Args:
            key: Key of the mutation.
            owner: Delete the entry only if it belongs to this owner; None: delete any entry with
                the key.
        """
        ...

    def lease(self, name: str, ttl: float) -> Lease:
        """Return a lock that is not acquired yet.

        Args:
            name: Name of the lock.
            ttl: Seconds until the lock expires unless it is renewed.
        """
        ...
