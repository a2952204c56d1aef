"""Queue of a fleet in Redis: a taskiq broker, and concurrency limits that all workers share."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from taskiq import AckableMessage, AsyncBroker, AsyncResultBackend
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend

from ..retry.backoff import poll_delay
from .journal import KEEP
from .redis_journal import driver_info, redis_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from redis.asyncio import Redis
    from taskiq.message import BrokerMessage

PREFIX = "cloudtower:fleet"
GROUP = "workers"
DEFAULT_REDIS = "redis://127.0.0.1:6379/0"

OUTAGES = (RedisConnectionError, RedisTimeoutError)
"""Errors that are raised while Redis cannot be reached."""

_BLOCK = 1.0
"""Seconds that Redis waits for a message in one request of a worker."""

_PAUSE = 2.0
"""Maximum number of seconds between two attempts to reach Redis."""

_KEEP = round(KEEP * 1000)  # milliseconds

_log = logging.getLogger("cloudtower_async.jobs")

# Queue a message unless it is already queued or has a result. The mark of a queued message is a key
# that contains the message's id in the stream. If the stream no longer has the message, the mark
# has no effect.
_QUEUE = """
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local id = redis.call('GET', KEYS[2])
if id and #redis.call('XRANGE', KEYS[1], id, id) > 0 then return 0 end
id = redis.call('XADD', KEYS[1], '*', 'data', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], id, 'PX', ARGV[2])
return 1
"""

# Remove consumers that belong to ended workers and have no pending message.
_TIDY = """
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for _, found in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = {}
    for i = 1, #found, 2 do consumer[found[i]] = found[i + 1] end
    if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    end
end
"""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_ACQUIRE = (
    _NOW
    + """
for i, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    if not redis.call('ZSCORE', key, ARGV[1])
            and redis.call('ZCARD', key) >= tonumber(ARGV[i + 2]) then
        return 0
    end
end
for _, key in ipairs(KEYS) do
    redis.call('ZADD', key, string.format('%d', now + ARGV[2]), ARGV[1])
    redis.call('PEXPIRE', key, ARGV[2])
end
return 1
"""
)

_RENEW = (
    _NOW
    + """
for _, key in ipairs(KEYS) do
    local expires = redis.call('ZSCORE', key, ARGV[1])
    if not expires or tonumber(expires) <= now then return 0 end
end
for _, key in ipairs(KEYS) do
    redis.call('ZADD', key, string.format('%d', now + ARGV[2]), ARGV[1])
    redis.call('PEXPIRE', key, ARGV[2])
end
return 1
"""
)


class ItemResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result that a worker stores after it has processed an item.

    Attributes:
        value: Value that the job returned for the item, as a JSON value.
        error: Error message if the item failed; None if the item succeeded.
        unreachable: Whether the item failed because the Tower did not answer.
    """

    value: object = None
    error: str | None = None
    unreachable: bool = False


class _StoredResult(msgspec.Struct):
    """The fields of a taskiq result that this module uses."""

    is_err: bool
    return_value: ItemResult | None = None
    error: object = None


def stored_result(text: bytes) -> ItemResult | None:
    """Decode the result of an item. Return None if the text is not the result of a worker."""
    try:
        stored = msgspec.json.decode(text, type=_StoredResult)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if stored.is_err or stored.return_value is None:
        return ItemResult(error=f"the worker failed: {stored.error}")
    return stored.return_value


def stream_key(job: str) -> str:
    """Return the Redis key of the queue of a job."""
    return f"{PREFIX}:queue:{job}"


def result_key(task_id: str) -> str:
    """Return the Redis key of the result of a task."""
    return f"{PREFIX}:result:{task_id}"


class FleetBroker(AsyncBroker):
    """Taskiq broker with one Redis stream per job. Each message asks a worker to process one item.

    Messages and results are JSON. A message is not queued twice. It is deleted when the item has
    been processed. If a worker has not contacted Redis for `lost` seconds, other workers take over
    its messages.

    Args:
        url: Address of Redis.
        jobs: Names of the jobs whose messages are sent or received.
        lost: Number of seconds without contact to Redis after which a worker counts as dead.
    """

    def __init__(self, url: str, jobs: Sequence[str], *, lost: float = 60.0) -> None:
        super().__init__()
        self.redis: Redis = redis_client(url)
        self.result_backend: AsyncResultBackend[Any] = RedisAsyncResultBackend(
            redis_url=url,
            prefix_str=f"{PREFIX}:result",
            result_px_time=_KEEP,
            # The default serializer unpickles results. Then, anyone who can write to Redis could
            # run code in this process.
            serializer=JSONSerializer(),
            driver_info=driver_info(),
        )
        self.stopped = False
        """Set to True before running items are cancelled, so that cancelled items are not
        acknowledged."""
        self.lost = lost
        self._streams = [stream_key(job) for job in jobs]
        self._consumer = uuid.uuid4().hex
        self._under_way: set[tuple[str, bytes]] = set()
        self._fetched: deque[tuple[str, bytes, bytes]] = deque()
        self._queue = self.redis.register_script(_QUEUE)
        self._tidy = self.redis.register_script(_TIDY)

    async def shutdown(self) -> None:
        """Close the connections."""
        await super().shutdown()
        await self.redis.aclose()

    async def kick(self, message: BrokerMessage) -> None:
        """Queue a message. Do nothing if it is queued or in progress, or if it has a result."""
        mark = f"{PREFIX}:queued:{message.task_id}"
        keys = [self._streams[0], mark, result_key(message.task_id)]
        await self._queue(keys, [message.message, _KEEP])

    async def listen(self) -> AsyncGenerator[AckableMessage]:
        """Yield messages as they arrive. During an outage of Redis, keep retrying."""
        failures = 0
        looked = 0.0
        found: tuple[str, bytes, bytes] | None
        while True:
            try:
                if self._fetched:
                    found = self._fetched.popleft()
                elif anyio.current_time() - looked >= self.lost / 4:
                    found = await self._take_over()
                    if found is None:
                        looked = anyio.current_time()
                else:
                    found = await self._receive()
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self._outlast(self._make_groups)
                continue
            except OUTAGES as error:
                failures += 1
                _log.warning("Redis cannot be reached, retrying: %s", error)
                await anyio.sleep(poll_delay(failures, _PAUSE))
                continue
            failures = 0
            if found is not None:
                stream, entry, data = found
                self._under_way.add((stream, entry))
                yield AckableMessage(data=data, ack=self._acknowledgement(stream, entry))

    async def keep_claims(self) -> None:
        """Keep the claims on messages in progress, so that no other worker takes them over."""
        while True:
            await anyio.sleep(self.lost / 4)
            by_stream: dict[str, list[Any]] = {}
            for stream, entry in self._under_way:
                by_stream.setdefault(stream, []).append(entry)
            try:
                for stream, entries in by_stream.items():
                    await self.redis.xclaim(stream, GROUP, self._consumer, 0, entries, justid=True)
            except (RedisError, OSError) as error:
                _log.warning("renewing the claims of messages failed, retrying: %s", error)

    async def _receive(self) -> tuple[str, bytes, bytes] | None:
        fetched: Any = await self.redis.xreadgroup(
            GROUP,
            self._consumer,
            dict.fromkeys(self._streams, ">"),
            count=1,
            block=round(_BLOCK * 1000),
        )
        # The response has up to one message of each stream.
        self._fetched.extend(
            (stream.decode(), entry, fields[b"data"])
            for stream, entries in fetched
            for entry, fields in entries
        )
        return self._fetched.popleft() if self._fetched else None

    async def _take_over(self) -> tuple[str, bytes, bytes] | None:
        """Return a message of a worker that has died, or None if there is no such message."""
        for stream in self._streams:
            await self._tidy([stream], [GROUP, round(self.lost * 1000)])
            answer: Any = await self.redis.xautoclaim(
                stream, GROUP, self._consumer, round(self.lost * 1000), count=1
            )
            for entry, fields in answer[1]:
                if (stream, entry) not in self._under_way:
                    return stream, entry, fields[b"data"]
        return None

    async def _make_groups(self) -> None:
        for stream in self._streams:
            try:
                await self.redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
            await self.redis.pexpire(stream, _KEEP)

    async def _outlast(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except OUTAGES as error:
            _log.warning("Redis cannot be reached, retrying: %s", error)
            await anyio.sleep(_PAUSE)

    def _acknowledgement(self, stream: str, entry: bytes) -> Callable[[], Awaitable[None]]:
        async def acknowledge() -> None:
            # The claim ends even if the acknowledgement fails. The message is then delivered again.
            self._under_way.discard((stream, entry))
            if self.stopped:
                return
            async with self.redis.pipeline() as both:
                both.xack(stream, GROUP, entry)
                both.xdel(stream, entry)
                try:
                    await both.execute()
                except OUTAGES as error:
                    _log.warning(
                        "acknowledging a message failed, so it will be delivered again: %s", error
                    )

        return acknowledge


class SlotLease:
    """Lease for one item. It limits how many items are in progress on a Tower and a cluster.

    Args:
        redis: Client of Redis.
        tower: Name of the Tower.
        cluster: Id of the cluster. None means that the limit per cluster does not apply.
        per_tower: Maximum number of items in progress on the Tower.
        per_cluster: Maximum number of items in progress on the cluster.
        ttl: Seconds after which the lease ends unless it is renewed.
    """

    def __init__(
        self,
        redis: Redis,
        tower: str,
        cluster: str | None,
        *,
        per_tower: int,
        per_cluster: int,
        ttl: float,
    ) -> None:
        self.name = tower
        self.ttl = ttl
        self._redis = redis
        self._owner = uuid.uuid4().hex
        self._keys = [f"{PREFIX}:slots:{tower}"]
        self._limits = [per_tower]
        if cluster is not None:
            self._keys.append(f"{PREFIX}:slots:{tower}/{cluster}")
            self._limits.append(per_cluster)

    async def acquire(self) -> bool:
        """See `Lease.acquire`."""
        script = self._redis.register_script(_ACQUIRE)
        return bool(await script(self._keys, [self._owner, self._ttl, *self._limits]))

    async def renew(self) -> bool:
        """See `Lease.renew`."""
        script = self._redis.register_script(_RENEW)
        return bool(await script(self._keys, [self._owner, self._ttl]))

    async def release(self) -> None:
        """See `Lease.release`."""
        async with self._redis.pipeline() as pipeline:
            for key in self._keys:
                pipeline.zrem(key, self._owner)
            await pipeline.execute()

    @property
    def _ttl(self) -> int:
        return round(self.ttl * 1000)
