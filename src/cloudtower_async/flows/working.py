"""What a session offers for the work that mutations start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..models import Task
    from .shared import Shared
    from .tasks import Waitable


class Working:
    """Waiting for tasks, as methods of a session."""

    _shared: Shared

    async def wait(
        self,
        tasks: Waitable,
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
        fail_fast: bool = False,
    ) -> list[Task]:
        """Wait until the tasks that mutations started have ended; one poll serves all who wait.

        Args:
            tasks: Task ids, tasks, answers of mutations, or any nesting of these. Only read, never
                changed. An answer that needed no task counts as done.
            timeout: Seconds until TaskTimeout; None waits without limit.
            interval: Seconds between polls; the first ones come quicker.
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

                started = await tower.vm.start_vm(where={"id_in": ids})
                await tower.wait(started)
        """
        return await self._shared.waiter.wait(
            tasks, timeout=timeout, interval=interval, grace=grace, fail_fast=fail_fast
        )
