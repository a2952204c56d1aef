"""What a session offers for the work that mutations start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from ..models import Task
    from .shared import Shared
    from .tasks import Waitable


class Working:
    """Waiting for tasks, as methods of a session."""

    _shared: Shared

    async def wait(
        self,
        tasks: Waitable | Awaitable[Waitable],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
        fail_fast: bool = False,
    ) -> list[Task]:
        """Wait until the tasks that mutations started have ended; one poll serves all who wait.

        Args:
            tasks: Task ids, tasks, answers of mutations, or any nesting of these; or the call of a
                mutation, not awaited yet. Only read, never changed. An answer that needed no task
                counts as done.
            timeout: Seconds until TaskTimeout, from when the tasks are known; None waits without
                limit.
            interval: Most seconds between polls; the first ones come quicker.
            grace: Seconds until a task that the server does not show counts as not found.
            fail_fast: Raise at the first failure instead of after the last task has ended.

        Returns:
            The ended tasks in the order given, each once.

        Raises:
            TaskFailed: The task failed; with `fail_fast`: one of them did.
            TaskNotFound: The server does not know it.
            TasksFailed: Of several tasks one or more failed: a group of these errors, also for
                ``except*``, with the tasks that succeeded.
            TaskTimeout: Tasks were still running after `timeout` seconds.
            InvalidInput: An argument is not one of these.
            SessionClosed: The session was closed meanwhile.

        Example:
            ::

                await tower.wait(tower.vm.start_vm(where={"id_in": ids}))
        """
        return await self._shared.waiter.wait(
            tasks, timeout=timeout, interval=interval, grace=grace, fail_fast=fail_fast
        )

    def as_completed(
        self,
        tasks: Waitable | Awaitable[Waitable],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
    ) -> AsyncIterator[Task]:
        """Iterate over the tasks as each of them ends.

        One that failed is handed out like the others, with its status: to raise would end the loop
        for those that still run. ``await tower.wait(task)`` raises what there is to raise about a
        task that has ended, and asks nobody. What has no task to hand out is raised at the end.

        Args:
            tasks: As of `wait`.
            timeout: Seconds of waiting until TaskTimeout; what the body of the loop takes does not
                count. None waits without limit.
            interval: Most seconds between polls; the first ones come quicker.
            grace: Seconds until a task that the server does not show counts as not found.

        Returns:
            The ended tasks, each once.

        Raises:
            TaskNotFound: The server does not know the task.
            TasksFailed: Of several tasks one or more were not found.
            TaskTimeout: Tasks were still running after `timeout` seconds.
            InvalidInput: An argument is not one of these.
            SessionClosed: The session was closed meanwhile.

        Example:
            ::

                async for task in tower.as_completed(tower.vm.start_vm(where={"id_in": ids})):
                    print(task.description, task.status)
        """
        return self._shared.waiter.iterate(
            tasks, timeout=timeout, interval=interval, grace=grace, every_change=False
        )

    def progress(
        self,
        tasks: Waitable | Awaitable[Waitable],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
    ) -> AsyncIterator[Task]:
        """Iterate over the changes of tasks until all have ended.

        A task is handed out when it is first seen, and when its ``status`` or ``progress`` (0 to 1)
        is another one than before; for the last time when it has ended, also as FAILED.

        Args:
            tasks: As of `wait`.
            timeout: As of `as_completed`.
            interval: Most seconds between polls; the first ones come quicker.
            grace: Seconds until a task that the server does not show counts as not found.

        Returns:
            The tasks as they change.

        Raises:
            TaskError: As of `as_completed`.
            TasksFailed: As of `as_completed`.
            InvalidInput: An argument is not one of these.
            SessionClosed: The session was closed meanwhile.

        Example:
            ::

                async for task in tower.progress(started):
                    print(f"{task.description}: {task.progress:.0%}")
        """
        return self._shared.waiter.iterate(
            tasks, timeout=timeout, interval=interval, grace=grace, every_change=True
        )
