"""Read and cancel upload tasks."""

from __future__ import annotations

import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ..api.upload_task import UploadTaskNamespace
from ..errors import CallError, CloudtowerError, NotFound, OutcomeUnknown
from ..tasks.poller import may_pass
from ..tasks.subscription import FIRST_DELAY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ..calls.executor import Executor
    from ..calls.operation import Operation
    from ..models import UploadTask

T = TypeVar("T")

_log = logging.getLogger("cloudtower_async")


class UploadTasks:
    """Upload tasks of a server.

    Args:
        caller: Sends the calls.
        settling_time: Seconds that a chunk whose outcome is unknown has to show in the count.
        interval: Maximum number of seconds between polls.
    """

    def __init__(self, caller: Executor, settling_time: float, interval: float) -> None:
        self._caller = caller
        self._settling_time = settling_time
        self._interval = interval
        self._namespace = UploadTaskNamespace(caller)

    async def read(self, upload_task_id: str) -> UploadTask | None:
        """Return an upload task; None if the server does not list it."""
        return await self.patiently(partial(self.glance, upload_task_id))

    async def glance(self, upload_task_id: str) -> UploadTask | None:
        """Return an upload task like `read`, but without retries."""
        return named(upload_task_id, await self._list({"id": upload_task_id}))

    async def alike(self, size: int, resource_types: Iterable[str]) -> list[UploadTask]:
        """Return the upload tasks for files of this size that become one of these types."""
        where = {"size": size, "resource_type_in": list(resource_types)}
        return await self.patiently(partial(self._list, where))

    async def _list(self, where: Any) -> list[UploadTask]:  # noqa: ANN401 - a filter
        return await self._namespace.get_upload_tasks(where=where)

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Call a function that is safe to repeat, with the retries of the session."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await ask()
            except CallError as exc:
                passes = isinstance(exc, OutcomeUnknown) or may_pass(exc, self._caller)
                if not passes or attempt >= self._caller.retry.attempts:
                    raise
            await self._caller.transport.sleep(self._backoff(attempt))

    def _backoff(self, attempt: int) -> float:
        return self._caller.retry.pause(attempt, random.random())  # noqa: S311 - no secret

    async def until_settled(
        self, look: Callable[[], Awaitable[UploadTask | None]]
    ) -> UploadTask | None:
        """Poll until the function returns an upload task, or the settling time is over."""
        end = anyio.current_time() + self._settling_time
        delay = min(FIRST_DELAY, self._interval)
        while (left := end - anyio.current_time()) > 0:
            await self._caller.transport.sleep(min(delay, left))
            delay = min(delay * 2, self._interval)
            try:
                if (task := await look()) is not None:
                    return task
            except CallError as exc:
                if not may_pass(exc, self._caller):
                    raise
        return None

    def tell_waiting(self, what: str) -> None:
        """Log that the wait for a chunk in doubt begins."""
        _log.warning(
            "%s: it is unknown whether the server has the last chunk; waiting until its count "
            "moves, at most %g s",
            what,
            self._settling_time,
        )

    def task_in(
        self,
        answer: UploadTask | list[UploadTask],
        operation: Operation[Any],
        known: UploadTask | None,
    ) -> UploadTask:
        """Return the upload task in the answer to a chunk.

        Args:
            answer: Answer of the server.
            operation: Operation that sent the chunk.
            known: The upload task; None for the first chunk.

        Raises:
            NotFound: The server has not begun an upload.
            OutcomeUnknown: The answer does not name the upload task.
        """
        tasks: list[UploadTask] = answer if isinstance(answer, list) else [answer]
        if known is None and not tasks:  # status 304
            raise NotFound(
                "the server has begun no upload: no cluster matches",
                operation=operation.name,
                endpoint=self._caller.endpoints.latest,
                hint="Nothing was uploaded: check the cluster.",
            )
        if known is not None:
            task = named(known.id, tasks)
        else:
            task = next((one for one in tasks if one.id), None)
        if task is None:
            raise OutcomeUnknown(
                "the answer does not name the upload task",
                operation=operation.name,
                endpoint=self._caller.endpoints.latest,
            )
        return task

    async def cancel(self, upload_task_id: str, seconds: float) -> None:
        """Cancel an upload task within a time, even if the caller is cancelled; log a failure."""
        failure: CloudtowerError | str = f"no answer within {seconds:g} s"
        with anyio.move_on_after(seconds, shield=True):
            for attempt in range(self._caller.retry.attempts):
                try:
                    if attempt:
                        await anyio.sleep(self._backoff(attempt))
                    await self._namespace.cancel_upload_task(where={"id": upload_task_id})
                except OutcomeUnknown as exc:
                    failure = exc
                except CloudtowerError as exc:
                    failure = exc
                    break
                else:
                    return
        _log.warning("upload task %s could not be cancelled: %s", upload_task_id, failure)


def named(upload_task_id: str, tasks: Iterable[UploadTask]) -> UploadTask | None:
    """Return the upload task with this id; None if it is not among these."""
    return next((task for task in tasks if task.id == upload_task_id), None)
