"""Leases: locks between processes that expire unless their holder renews them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from ..errors import JobLocked, LeaseLost
from ..validators import check_seconds
from .journal import Journal, Lease

_RENEWALS = 3
"""Number of renewals within the time to live."""

_RETRY = 0.25
"""Seconds between attempts to acquire a lease that is taken, or to renew a lease."""

_RELEASE = 5.0
"""Maximum number of seconds for releasing a lease; after that it expires."""

_log = logging.getLogger("cloudtower_async.jobs")


@asynccontextmanager
async def hold(lease: Lease, *, wait: float | None = 0.0) -> AsyncGenerator[None]:
    """Hold a lease while a block runs, and renew the lease periodically.

    The block is cancelled if the lease is lost, because another owner holds it or because it was
    not renewed before it expired.

    Args:
        lease: The lease.
        wait: Seconds to wait while another owner holds it; None: no limit.

    Raises:
        JobLocked: Another owner still held the lease after `wait` seconds.
        LeaseLost: The lease was lost; the block was cancelled.
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
    finally:  # also if the acquisition was cancelled when the lease was taken already
        with anyio.move_on_after(_RELEASE, shield=True):
            await _release(lease)
    if lost or failures:
        raise (lost or failures).pop(0)  # else the error and this frame would keep each other


async def _acquire(lease: Lease, wait: float | None) -> float:
    """Take a lease, and return its expiration time by the clock of the event loop."""
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
    """Renew a lease periodically.

    Raises:
        LeaseLost: The lease is no longer held, or may have expired.
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
            except Exception as exc:  # the storage of the lease may be available again in time
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
    """Hold the lock of a job while a block runs, so that one process at a time runs the job.

    The lock has an owner and expires `ttl` seconds after its last renewal, so a run that crashed
    blocks the next run for at most `ttl` seconds. While the block runs, the lock is renewed. If the
    lock is lost, the block is cancelled.

    The lock cannot stop a frozen process, for example on a suspended virtual machine: when the
    process wakes up, it may work for a moment before it notices that the lock is lost. The lock
    also relies on the clock of the machine (SQLite) or of Redis: this clock must not jump ahead by
    more than `ttl`. Therefore, a job under this lock should still use `once`.

    Args:
        journal: Journal that stores the lock.
        name: Name of the job.
        ttl: Time to live of the lock in seconds.
        wait: Seconds to wait for another run to end. To take over from a run that has just crashed,
            wait a little longer than `ttl`.

    Raises:
        JobLocked: Another run still held the lock after `wait` seconds. Nothing was done.
        LeaseLost: The lock was lost; the block was cancelled.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            async with job_lock(journal, "nightly"):
                await nightly(tower, journal)
    """
    check_seconds("job_lock", "ttl", ttl)
    check_seconds("job_lock", "wait", wait, zero_ok=True)
    async with hold(journal.lease(name, ttl), wait=wait):
        yield
