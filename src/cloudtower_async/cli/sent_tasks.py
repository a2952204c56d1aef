"""Middleware that records the tasks that a command starts, and which tasks have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..tasks.pending import resources_in
from ..tasks.subscription import ENDED
from ..types import WithTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..operation_call import OperationCall, Proceed

_POLL = "task.get_tasks"


class SentTask(NamedTuple):
    """A task that a command has started.

    Attributes:
        id: Id of the task.
        operation: Name of the mutation: ``"vm.delete_vm"``.
        resource_ids: Ids of the resources that the task changes.
    """

    id: str
    operation: str
    resource_ids: tuple[str, ...]


class SentTasks:
    """Record of the tasks that a session starts. Pass it to the session as middleware.

    Attributes:
        tasks: Tasks by id, in the order in which they were started.
        unanswered: Names of mutations that were sent, but got no response.
        on_sent: Function to call with the name of each mutation to which the server has responded.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, SentTask] = {}
        self.unanswered: list[str] = []
        self.on_sent: Callable[[str], object] | None = None
        self._ended: set[str] = set()

    async def __call__(self, call: OperationCall, proceed: Proceed) -> Any:  # noqa: ANN401
        """Send a call, and record the tasks that it starts; see `Middleware`."""
        if call.kind == "query":
            answer = await proceed(call)
            if call.operation == _POLL:
                self._ended.update(task.id for task in answer if task.status in ENDED)
            return answer
        try:
            answer = await proceed(call)
        finally:
            if call.outcome in ("cancelled", "unknown") and call.attempts:
                self.unanswered.append(call.operation)
        for one in _answers(answer):
            if one.task_id:
                ids = (getattr(resource, "id", None) for resource in resources_in(one))
                about = tuple(identifier for identifier in ids if identifier)
                self.tasks[one.task_id] = SentTask(one.task_id, call.operation, about)
        if self.on_sent is not None:
            self.on_sent(call.operation)
        return answer

    def running(self) -> list[SentTask]:
        """Return the tasks that may still be running."""
        return [task for task in self.tasks.values() if task.id not in self._ended]


def _answers(answer: object) -> Iterator[WithTask[object]]:
    for one in cast("list[object]", answer) if isinstance(answer, list) else [answer]:
        if isinstance(one, WithTask):
            yield cast("WithTask[object]", one)
