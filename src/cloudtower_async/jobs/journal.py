"""Journal of mutations that survives a crash of the process."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

GRACE = 120.0
"""Default of `Journal.grace` in seconds. It is also long enough for new resources to appear in the
server's lists."""

KEEP = 7 * 86400.0
"""Default number of seconds until an entry expires."""


class Lease(Protocol):
    """Lock that only one owner at a time can hold, and that expires unless it is renewed."""

    @property
    def name(self) -> str:
        """Name of the lock."""
        ...

    @property
    def ttl(self) -> float:
        """Seconds until the lease expires unless it is renewed."""
        ...

    async def acquire(self) -> bool:
        """Try to acquire the lock. Return False if another owner holds the lock."""
        ...

    async def renew(self) -> bool:
        """Set the expiration time to `ttl` seconds from now. Return False if the lock expired."""
        ...

    async def release(self) -> None:
        """Release the lock. Do nothing if the lock has expired."""
        ...


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Entry of a journal: the stored state of a mutation.

    Attributes:
        owner: Random id of the attempt that wrote the entry.
        state: ``"begun"``: the request may have been sent. ``"answered"``: the server has accepted
            the mutation. ``"done"``: the work is finished.
        pending: JSON of the mutation's `Pending`, which contains no secrets. None if the state is
            ``"begun"`` or ``"done"``.
    """

    owner: str
    state: Literal["begun", "answered", "done"]
    pending: str | None = None


class Journal(Protocol):
    """Write-ahead journal of mutations, which also provides locks between processes.

    Each mutation has an entry in the journal under its key. Use one journal for each Tower, or
    start each key that you pass to `once` with the name of the Tower. Entries expire, by default
    after 7 days.
    """

    @property
    def grace(self) -> float:
        """Seconds after which `once` may repeat a request whose outcome is unknown.

        Until then, the request may still reach the server.
        """
        ...

    async def begin(self, key: str, owner: str) -> JournalEntry | None:
        """Write an entry with the state ``"begun"`` if there is no entry with this key.

        An entry with the state ``"begun"`` that is older than `grace` seconds is ignored and
        replaced.

        Args:
            key: Key of the mutation.
            owner: Random id of this attempt. The new entry gets this owner.

        Returns:
            None if this call wrote an entry to permanent storage. Otherwise, the existing entry.
        """
        ...

    async def record(self, key: str, entry: JournalEntry) -> None:
        """Replace the entry of a key if the stored entry has the same owner as `entry`."""
        ...

    async def forget(self, key: str, owner: str | None = None) -> None:
        """Delete an entry.

        Args:
            key: Key of the mutation.
            owner: Owner of the entry to delete. An entry of another owner is not deleted. None:
                delete the entry of any owner.
        """
        ...

    def lease(self, name: str, ttl: float) -> Lease:
        """Return a lock that this process has not acquired yet.

        Args:
            name: Name of the lock.
            ttl: Seconds until the lock expires unless it is renewed.
        """
        ...
