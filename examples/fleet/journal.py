"""What was begun, in Redis: for workers on any number of machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis


class RedisJournal:
    """The `Journal` of `snapshot_once` of one Tower and one name.

    The mark that a snapshot is begun goes away by itself when `grace` is over, by the clock of
    Redis: those of the machines may differ.

    Args:
        redis: Where.
        key: What the keys begin with.
        grace: Seconds after which a request that was sent does not arrive any more.
    """

    def __init__(self, redis: Redis, key: str, grace: float) -> None:
        self._redis = redis
        self._key = key
        self.grace = grace

    async def begin(self, vm_id: str) -> bool:
        mark = f"{self._key}:{vm_id}:begun"
        return bool(await self._redis.set(mark, "", nx=True, px=round(self.grace * 1000)))

    async def answered(self, vm_id: str, task_id: str | None) -> None:
        async with self._redis.pipeline() as both:
            both.hset(f"{self._key}:tasks", vm_id, task_id or "")
            both.delete(f"{self._key}:{vm_id}:begun")
            await both.execute()
