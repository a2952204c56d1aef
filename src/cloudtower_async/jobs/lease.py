"""Leases: locks between processes. A lock expires unless the process renews it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from ..errors import JobLocked, LeaseLost
from ..validators import check_seconds
from .journal import Journal, Lease

_RENEWALS = 3
"""Number of renewals within the time to live of a lease."""

_RETRY = 0.25
"""Seconds between attempts to acquire a lease that another owner holds, or to repeat a failed
renewal."""

_RELEASE = 5.0
"""Maximum number of seconds for releasing a lease. A lease that was not released expires."""

_log = logging.getLogger("cloudtower_async.jobs")


@asynccontextmanager
async def hold(lease: Lease, *, wait: float | None = 0.0) -> AsyncGenerator[None]:
    """Hold a lease while a block runs, and renew the lease periodically.

    If the lease is lost, the block is cancelled. A lease is lost when another owner holds it, or
    when it was not renewed in time.

    Args:
        lease: The lease.
        wait: Maximum number of seconds to wait while another owner holds the lease. None means no
            limit.

    Raises:
        JobLocked: Another owner still held the lease after `wait` seconds.
        LeaseLost: The lease was lost, and the block was cancelled.
    """
    failures: list[Exception] = []
    lost: list[LeaseLost] = []

    async def renew(expires: float) -> None:
        try:
            await _keep(lease, expires)
        except LeaseLost as error:
            lost.append(error)
            group.cancel_scope.cancel()

    try:
        expires = await _acquire(lease, wait)
        async with anyio.create_task_group() as group:
            group.start_soon(renew, expires)
            try:
                yield
            except Exception as error:
                failures.append(error)
            group.cancel_scope.cancel()
    finally:  # a cancelled acquisition may have acquired the lease
        with anyio.move_on_after(_RELEASE, shield=True):
            await _release(lease)
    if lost or failures:
        raise (lost or failures).pop(0)  # `pop` avoids a reference cycle with this frame


async def _acquire(lease: Lease, wait: float | None) -> float:
    """Acquire a lease within `wait` seconds. Return its expiration time (event loop clock)."""
    began = anyio.current_time()
    if await lease.acquire():
        return began + lease.ttl
    with anyio.move_on_after(wait):
        while True:
            await anyio.sleep(_RETRY)
            began = anyio.current_time()
            if await lease.acquire():
                return began + lease.ttl
    raise JobLocked(lease.name)


async def _keep(lease: Lease, expires: float) -> None:
    """Renew a lease periodically. Without a renewal, the lease expires at `expires`.

    Raises:
        LeaseLost: Another owner holds the lease, or the lease may have expired.
    """
    pause = lease.ttl / _RENEWALS
    error: Exception | None = None
    while True:
        await anyio.sleep(max(0.0, min(pause, expires - anyio.current_time())))
        began = anyio.current_time()
        if began >= expires:
            raise LeaseLost(lease.name) from error
        pause = min(_RETRY, lease.ttl / _RENEWALS)
        with anyio.move_on_at(expires):
            try:
                if not await lease.renew():
                    raise LeaseLost(lease.name)
            except LeaseLost:
                raise
            except Exception as exc:  # a later attempt may succeed before the lease expires
                _log.warning("renewing the lock %r failed, retrying: %s", lease.name, exc)
                error = exc
            else:
                expires, error = began + lease.ttl, None
                pause = lease.ttl / _RENEWALS


async def _release(lease: Lease) -> None:
    try:
        await lease.release()
    except Exception as exc:
        _log.warning("releasing the lock %r failed, it will expire: %s", lease.name, exc)


@asynccontextmanager
async def job_lock(
    journal: Journal, name: str, *, ttl: float = 60.0, wait: float = 0.0
) -> AsyncGenerator[None]:
    """Hold the lock of a job while a block runs, so that only one process at a time runs the job.

    While the block runs, the lock is renewed. The lock expires `ttl` seconds after its last
    renewal. So after a crash, the lock keeps out other processes for at most `ttl` seconds. If the
    lock is not renewed in time, the lock is lost, and the block is cancelled.

    The lock has two limits. First, a process can be frozen, for example on a suspended virtual
    machine. When the process wakes up, it may work for a moment before it notices that the lock was
    lost. Second, the lock relies on the clock of the machine (SQLite) or of Redis. If this clock
    jumps ahead by more than `ttl` seconds, another process can take the lock. Therefore, a job with
    this lock should still use `once`.

    Args:
        journal: Journal in which the lock is stored.
        name: Name of the job.
        ttl: Seconds after which the lock expires unless it is renewed.
        wait: Maximum number of seconds to wait while another run holds the lock. To wait for the
            lock of a run that has just crashed, use a value a little above `ttl`.

    Raises:
        JobLocked: Another run still held the lock after `wait` seconds. Nothing was done.
        LeaseLost: The lock was lost, and the block was cancelled.
        InvalidInput: An argument is invalid.

    Example:
        ::

            async with job_lock(journal, "nightly"):
                await nightly(tower, journal)
    """
    check_seconds("job_lock", "ttl", ttl)
    check_seconds("job_lock", "wait", wait, zero_ok=True)
    async with hold(journal.lease(name, ttl), wait=wait):
        yield
