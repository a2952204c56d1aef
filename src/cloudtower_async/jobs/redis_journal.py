"""Journal in Redis, which processes on several machines can share; requires the extra ``fleet``."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

import msgspec
import redis as redis_package
from redis.asyncio import Redis
from redis.driver_info import DriverInfo
from redis.exceptions import LockError

from ..errors import InvalidInput
from ..validators import check_seconds
from .journal import GRACE, KEEP, JournalEntry

_BEGIN = """
local entry = redis.call('HMGET', KEYS[1], 'owner', 'state', 'pending', 'since')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if entry[1] then
    local since = tonumber(entry[4])
    if since > now then
        since = now
        redis.call('HSET', KEYS[1], 'since', string.format('%d', now))
    end
    if entry[2] ~= 'begun' or now - since < tonumber(ARGV[2]) then
        return {entry[1], entry[2], entry[3]}
    end
end
redis.call('DEL', KEYS[1])
redis.call(
    'HSET', KEYS[1], 'owner', ARGV[1], 'state', 'begun', 'since', string.format('%d', now))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return false
"""

_RECORD = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], 'pending')
else
    redis.call('HSET', KEYS[1], 'pending', ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""

_FORGET = """
if ARGV[1] ~= '' and redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


def driver_info() -> DriverInfo:
    """Return the version of the package redis, so that redis need not read it from files."""
    return DriverInfo(lib_version=redis_package.__version__)


def redis_client(url: str) -> Redis:
    """Return a Redis client for `RedisJournal`.

    Args:
        url: Address of Redis: ``redis://127.0.0.1:6379/0``.

    Raises:
        ValueError: The address is invalid.
    """
    return Redis.from_url(url, driver_info=driver_info())  # pyright: ignore[reportUnknownMemberType] - its **kwargs


class RedisJournal:
    """A `Journal` in Redis.

    Times are measured by the clock of Redis, so the clocks of the machines may differ. Redis must
    not lose data when it restarts: set ``appendonly yes`` and ``appendfsync always``. A failover to
    a replica can lose the last entries. Redis Cluster is supported.

    Args:
        redis: Client of Redis, made by `redis_client`. The caller has to close the client.
        prefix: Prefix of the keys in Redis. Use one prefix for each Tower, or start each key of
            `once` with the name of the Tower.
        grace: Seconds after which `once` may repeat a request whose outcome is unknown. Until then,
            the request may still reach the server.
        keep: Number of seconds after which entries expire.

    Raises:
        InvalidInput: An argument is invalid.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "cloudtower:journal",
        grace: float = GRACE,
        keep: float = KEEP,
    ) -> None:
        check_seconds("RedisJournal", "grace", grace)
        check_seconds("RedisJournal", "keep", keep)
        if keep < grace:
            raise InvalidInput(f"RedisJournal: keep: must not be less than grace, {grace:g} s")
        self.grace = grace
        self._keep = keep
        self._redis = redis
        self._prefix = prefix
        self._scripts = {
            name: redis.register_script(text)
            for name, text in (("begin", _BEGIN), ("record", _RECORD), ("forget", _FORGET))
        }

    async def begin(self, key: str, owner: str) -> JournalEntry | None:
        """See `Journal.begin`."""
        found = await self._run("begin", key, owner, _ms(self.grace), _ms(self._keep))
        if found is None:
            return None
        names = ("owner", "state", "pending")
        return msgspec.convert(dict(zip(names, map(_text, found), strict=True)), JournalEntry)

    async def record(self, key: str, entry: JournalEntry) -> None:
        """See `Journal.record`."""
        await self._run(
            "record", key, entry.owner, entry.state, entry.pending or "", _ms(self._keep)
        )

    async def forget(self, key: str, owner: str | None = None) -> None:
        """See `Journal.forget`."""
        await self._run("forget", key, owner or "")

    def lease(self, name: str, ttl: float) -> RedisLease:
        """See `Journal.lease`."""
        return RedisLease(self._redis, f"{self._prefix}:lease:{name}", name, ttl)

    async def _run(self, script: str, key: str, *values: str | int) -> Any:  # noqa: ANN401
        return await self._scripts[script]([f"{self._prefix}:entry:{key}"], list(values))


class RedisLease:
    """A `Lease` in Redis, made by `RedisJournal.lease`."""

    def __init__(self, redis: Redis, key: str, name: str, ttl: float) -> None:
        self.name = name
        self.ttl = ttl
        self._lock = redis.lock(key, timeout=ttl, blocking=False, thread_local=False)
        self._owner = uuid.uuid4().hex.encode()

    async def acquire(self) -> bool:
        """See `Lease.acquire`."""
        # Allows releasing the lock even if the answer to `acquire` is lost.
        self._lock.local.token = self._owner
        return bool(await self._lock.acquire(token=self._owner))

    async def renew(self) -> bool:
        """See `Lease.renew`."""
        try:
            return await self._lock.reacquire()
        except LockError:
            return False

    async def release(self) -> None:
        """See `Lease.release`."""
        with suppress(LockError):  # the lock has expired
            await self._lock.release()


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _text(value: bytes | str | None) -> str | None:
    """Return a response of Redis as a string. Some clients decode responses, others do not."""
    return value.decode() if isinstance(value, bytes) else value
