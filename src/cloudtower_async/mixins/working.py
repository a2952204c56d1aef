"""What a session offers for the work that mutations start."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable
    from contextlib import AbstractAsyncContextManager

    from ..calls.executor import Executor
    from ..models import Task
    from ..session_state import SessionState
    from ..tasks.waiter import Waitable
    from ..types import WithTask

T = TypeVar("T")


class Working:
    """Waiting for tasks and keeping callers apart, as methods of a session."""

    _caller: Executor
    _shared: SessionState

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
            tasks: Task ids, tasks, answers that carry a ``task_id``, or any nesting of these; or
                the call of a mutation, not awaited yet. Only read, never changed. An answer that
                needed no task counts as done.
            timeout: Seconds until TaskTimeout, from when the tasks are known; None waits without
                limit.
            interval: Most seconds between polls; the first ones come quicker.
            grace: Seconds until a task that the server does not show counts as not found, and one
                with an unknown status that does not change as stuck.
            fail_fast: Raise at the first failure instead of after the last task has ended.

        Returns:
            The ended tasks in the order given, each once.

        Raises:
            TaskFailed: The task failed; with `fail_fast`: one of them did.
            TaskNotFound: The server does not know it.
            UnknownTaskStatus: Its status is not one that this version knows, and does not change.
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
            grace: Seconds until a task that the server does not show counts as not found, and one
                with an unknown status that does not change as stuck.

        Returns:
            The ended tasks, each once.

        Raises:
            TaskNotFound: The server does not know the task.
            UnknownTaskStatus: Its status is not one that this version knows, and does not change.
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
            grace: Seconds until a task that the server does not show counts as not found, and one
                with an unknown status that does not change as stuck.

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

    @overload
    async def settle(
        self,
        changed: Awaitable[WithTask[T]] | WithTask[T],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 60.0,
    ) -> T: ...
    @overload
    async def settle(
        self,
        changed: Awaitable[Iterable[WithTask[T]]] | Iterable[WithTask[T]],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 60.0,
    ) -> list[T]: ...
    async def settle(
        self,
        changed: object,
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 60.0,
    ) -> object:
        """Call a mutation, wait until the server is done, and read the resources anew.

        First its tasks are waited for as by `wait`, then until ``entityAsyncStatus`` of every
        resource is null: only then is it free for the next mutation, and its fields are right.

        What comes back depends on what the mutation answers with:

        - resources, such as `Vm`: these as they now are. Those that are not there any more are left
          out of a list; where the mutation is about a single one, NotFound is raised.
        - the ids of what was to be deleted, such as `DeleteVm`: those that are still there, so an
          empty list after deleting; of VMs that went to the recycle bin all of them.
        - anything else, such as `BatchHosts`: the answer's data itself, once the tasks have ended.

        Args:
            changed: A call of a mutation, or what it answered with.
            timeout: Seconds for the waiting after that call, until TaskTimeout or SettleTimeout;
                None waits without limit.
            interval: Seconds between polls; the first ones come quicker.
            grace: Seconds until a task counts as not found, or a resource as gone, that the server
                does not show: listings can lag behind by up to a minute. Deleted resources are
                expected to be gone, and not waited for.

        Returns:
            In the order and the form of the answer: a list for a list, one for one.

        Raises:
            TaskFailed: The only task failed.
            TaskNotFound: The server does not know it.
            UnknownTaskStatus: Its status is not one that this version knows, and does not change.
            TasksFailed: Of several tasks one or more failed; nothing is read then.
            TaskTimeout: Tasks were still running when the time was over.
            SettleTimeout: The tasks had ended, but resources were still being changed.
            NotFound: The single resource is not there any more.
            ResponseDecodeError: The tasks have succeeded, but the answer of the mutation leaves out
                the id of a resource.
            CallError: The mutation failed, or the resources may not be read.
            InvalidInput: An argument is not one of these.
            SessionClosed: The session was closed meanwhile.

        Example:
            ::

                running = await tower.settle(tower.vm.start_vm(where={"id_in": ids}))
                print([vm.status for vm in running])
        """
        from ..tasks.settle import settle

        return await settle(
            changed, self._caller, self.wait, timeout=timeout, interval=interval, grace=grace
        )

    def lock(
        self, *resource_ids: str, timeout: float | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Keep other callers of this process away from resources, for as long as a block runs.

        It binds those only that ask for the same ids by this session or one that `with_options`
        made of it; the server and other programs know nothing of it. Callers take their turns in
        the order in which they asked.

        Args:
            resource_ids: Everything that the block works on; all are held, or none. A task that
                holds something and asks for more can wait for one that does the same.
            timeout: Seconds to wait for others until LockTimeout; None waits without limit.

        Raises:
            LockTimeout: Others still held them after `timeout` seconds.
            InvalidInput: An argument is not one of these.
            CloudtowerError: The task holds one of them already, and would wait for itself.
            SessionClosed: The session was closed before its turn came.

        Example:
            ::

                async with tower.lock(vm.id):
                    await tower.settle(tower.vm.shut_down_vm(where={"id": vm.id}))
                    await tower.settle(tower.vm.start_vm(where={"id": vm.id}))
        """
        return self._shared.locks.hold(*resource_ids, timeout=timeout)
