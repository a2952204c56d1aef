"""Task engine: it runs tasks, which take time and change resources when they end.

Nothing runs in the background. Before code reads the state of tasks, it calls ``advance``, which
runs all due events in order. A task is PENDING for a tenth of its duration and EXECUTING for the
rest. Then its status is SUCCESSED or FAILED.

If the work of a task raises an exception, the task fails. An unexpected exception is a bug of the
simulator and is also logged with its traceback.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from .http_errors import BadRequestError, DocumentNotFoundError, HttpError
from .store.filters import Document

if TYPE_CHECKING:
    from .clock import Clock
    from .store.ids import Ids
    from .store.store import Store

_PENDING_PART = 0.1
_ALMOST = 0.99
_INSTANT = 1e-9
_INTERNAL = "INTERNAL_ERROR"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """Failure of a task.

    Args:
        message: Error message.
        code: Error code of the server.
        ec: Error code of the underlying component.
    """

    message: str = "the host did not answer"
    code: str = _INTERNAL
    ec: str = "JOB_FAILED"

    def show_in(self, task: Document) -> None:
        """Mark a task as failed, with an error message in the format of the server."""
        inner = msgspec.json.encode({"ec": self.ec, "error": {"msg": self.message}}).decode()
        message = f"{task['description']} failed \r\ncode: {self.code}\r\nmessage: {inner}"
        task |= {"status": "FAILED", "error_code": self.code, "error_message": message}


def _succeed() -> Failure | None:
    return None


def do_nothing() -> None:
    """Do nothing. This function is the default for steps of a task."""


def _ready() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Work:
    """Effects of a task when the task ends.

    Args:
        succeed: Function that performs the work when the task ends. If the function returns a
            Failure, the task fails.
        fail: Function to call after the task has failed.
        settle: Function to call ``settle_delay`` seconds after the end of the task.
        ready: Function to call when the duration of the task has passed. The task continues to run
            as long as the function returns False.
    """

    succeed: Callable[[], Failure | None] = _succeed
    fail: Callable[[], None] = do_nothing
    settle: Callable[[], None] = do_nothing
    ready: Callable[[], bool] = _ready


@dataclass(slots=True)
class _Running:
    task: Document
    work: Work
    begins: float
    ends: float
    failure: Failure | None
    hidden_polls: int
    paused_at: float | None = None
    ended: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class _Event:
    """Function call that `TaskEngine.later` has scheduled."""

    at: float
    number: int
    about: str
    happen: Callable[[], None]

    def __lt__(self, other: _Event) -> bool:
        return (self.at, self.number) < (other.at, other.number)


def _show(task: Document, **fields: object) -> None:
    """Set fields of a task, except fields that already have the new value."""
    for name, value in fields.items():
        if task[name] != value:
            task[name] = value


class TaskEngine:
    """Engine that runs the tasks of a simulator. Tests use it as `Simulator.tasks`.

    Args:
        store: Store of the tasks and the resources.
        clock: Clock of the server.
        ids: Generator of ids.

    Attributes:
        duration: Duration of new tasks in seconds. Tests can change the duration at any time.
        settle_delay: Seconds that ``entityAsyncStatus`` stays set after a task has ended. Tests can
            change the delay at any time.

    Example:
        ::

            simulator.tasks.fail_next()
            with pytest.raises(TaskFailed):
                await tower.wait(tower.vm.start_vm(where={"name": "web-1"}))
    """

    def __init__(
        self, store: Store, clock: Clock, ids: Ids, *, duration: float, settle_delay: float
    ) -> None:
        self.duration = duration
        self.settle_delay = settle_delay
        self._store = store
        self._clock = clock
        self._ids = ids
        self._running: dict[str, _Running] = {}
        self._failures: deque[Failure] = deque()
        self._hidden_polls: deque[int] = deque()
        self._events: list[_Event] = []
        self._event_numbers = itertools.count()
        self._moment: float | None = None

    def later(self, seconds: float, about: str, happen: Callable[[], None]) -> None:
        """Schedule an event. `forget` removes the event again.

        Args:
            seconds: Delay of the event in seconds. If ``Work.succeed`` calls this method, the delay
                starts at the end of the task. If an event calls this method, the delay starts at
                this event. In all other cases, the delay starts now.
            about: Id of the resource that the event changes.
            happen: Function that performs the event. When the function is called, the resource may
                no longer exist.
        """
        now = self._clock.now() if self._moment is None else self._moment
        number = next(self._event_numbers)
        heapq.heappush(self._events, _Event(now + seconds, number, about, happen))

    def forget(self, about: str) -> None:
        """Remove all scheduled events of a resource."""
        self._events = [event for event in self._events if event.about != about]
        heapq.heapify(self._events)

    def fail_next(self, failure: Failure | None = None, *, times: int = 1) -> None:
        """Make the next `times` new tasks fail. The default failure is ``Failure()``."""
        self._failures.extend([failure or Failure()] * times)

    def hide_next(self, *, polls: int, times: int = 1) -> None:
        """Hide the next `times` new tasks.

        Each of these tasks is missing in the next `polls` responses to get-tasks.
        """
        self._hidden_polls.extend([polls] * times)

    def start(self, values: dict[str, Any], work: Work) -> str:
        """Start a task with these field values, and return the id of the task."""
        now = self._clock.now()
        identifier = self._ids.cuid()
        task = self._store.add(
            "Task",
            {
                "id": identifier,
                "args": {},
                "internal": False,
                "local_created_at": self._clock.timestamp(now),
                "progress": 0.0,
                "snapshot": "{}",
                "status": "PENDING",
                "steps": [],
                **values,
            },
        )
        running = _Running(
            task,
            work,
            begins=now + self.duration * _PENDING_PART,
            ends=now + self.duration,
            failure=self._failures.popleft() if self._failures else None,
            hidden_polls=self._hidden_polls.popleft() if self._hidden_polls else 0,
        )
        self._running[identifier] = running
        return identifier

    def pause(self, task_id: str) -> None:
        """Pause a task. Its status is PAUSED until ``resume`` is called.

        Raises:
            ValueError: The task does not exist, or the task has ended.
        """
        with self._store.lock:
            running = self._open(task_id)
            if running.paused_at is None:
                running.paused_at = self._clock.now()
                running.task["status"] = "PAUSED"

    def resume(self, task_id: str) -> None:
        """Resume a paused task. The pause does not count toward the duration of the task.

        Raises:
            ValueError: The task does not exist, or the task has ended.
        """
        with self._store.lock:
            running = self._open(task_id)
            if running.paused_at is not None:
                lost = self._clock.now() - running.paused_at
                running.begins += lost
                running.ends += lost
                running.paused_at = None
                self.advance()

    def runs(self, task_id: str) -> bool:
        """Return whether a task exists and has not ended yet."""
        running = self._running.get(task_id)
        return running is not None and not running.ended

    def abort(self, task_id: str, failure: Failure) -> None:
        """End a task now with a failure.

        Raises:
            ValueError: The task does not exist, or the task has ended.
        """
        running = self._open(task_id)
        now = self._clock.now()
        running.failure, running.paused_at = failure, None
        running.begins, running.ends = min(running.begins, now), min(running.ends, now)
        self.advance()

    def hidden(self) -> set[str]:
        """Return the ids of the tasks to hide from one get-tasks response.

        Each call counts as one response. After a number of responses, a task is no longer hidden.
        """
        hidden: set[str] = set()
        for identifier, running in self._running.items():
            if running.hidden_polls > 0:
                running.hidden_polls -= 1
                hidden.add(identifier)
        return hidden

    def advance(self) -> None:
        """Run all events and end all tasks that are due."""
        now = self._clock.now()
        with self._store.together():
            for running in sorted(self._running.values(), key=lambda one: one.ends):
                self._happen_until(min(running.ends, now))
                self._look_at(running, now)
            self._happen_until(now)

    def _happen_until(self, end: float) -> None:
        """Run the events up to the time `end`, in order. Events can schedule more events."""
        while self._events and self._events[0].at <= end:
            event = heapq.heappop(self._events)
            self._moment = event.at
            try:
                event.happen()
            except DocumentNotFoundError:  # the resource of the event was deleted
                pass
            except Exception:
                _log.exception("bug of the simulator: an event about %s", event.about)
            finally:
                self._moment = None

    def _look_at(self, running: _Running, now: float) -> None:
        if running.paused_at is None and not running.ended:
            self._go_on(running, now)
        if running.ended and not running.settled and now >= running.ends + self.settle_delay:
            running.settled = True
            self._clean_up(running, running.work.settle)
        if running.settled and not running.hidden_polls:
            del self._running[running.task["id"]]

    def _go_on(self, running: _Running, now: float) -> None:
        task = running.task
        if now < running.begins:
            _show(task, status="PENDING")
            return
        if task["started_at"] is None:
            task["started_at"] = self._clock.timestamp(running.begins)
        if now < running.ends or (running.failure is None and not running.work.ready()):
            running.ends = max(now, running.ends)
            done = (now - running.begins) / max(running.ends - running.begins, _INSTANT)
            _show(task, status="EXECUTING", progress=min(round(done, 2), _ALMOST))
            return
        running.ended = True
        task["finished_at"] = self._clock.timestamp(running.ends)
        failure = running.failure or self._result(running)
        if failure is None:
            task["status"], task["progress"] = "SUCCESSED", 1.0
        else:
            failure.show_in(task)
            self._clean_up(running, running.work.fail)

    def _result(self, running: _Running) -> Failure | None:
        """Run the work of a task. Return its failure, or None if the work succeeded."""
        self._moment = running.ends
        try:
            return running.work.succeed()
        except DocumentNotFoundError as exc:
            return Failure(str(exc.args[0]), "RESOURCE_NOT_FOUND", "NOT_FOUND")
        except HttpError as exc:
            return Failure(exc.message, exc.code or _INTERNAL)
        except BadRequestError as exc:
            return Failure(str(exc))
        except Exception as exc:
            _log.exception("bug of the simulator: %s", running.task["description"])
            return Failure(f"a bug of the simulator; see its log: {exc!r}")
        finally:
            self._moment = None

    def _clean_up(self, running: _Running, step: Callable[[], None]) -> None:
        """Run the last step of a task. Skip the step if it needs a resource that was deleted."""
        try:
            step()
        except DocumentNotFoundError:
            pass
        except Exception:
            _log.exception("bug of the simulator: %s", running.task["description"])

    def _open(self, identifier: str) -> _Running:
        """Return a task that has not ended.

        Raises:
            ValueError: The task does not exist, or the task has ended.
        """
        running = self._running.get(identifier)
        if running is not None and not running.ended:
            return running
        task = self._store.table("Task").get(identifier)
        if task is None:
            raise ValueError(f"there is no task {identifier}")
        raise ValueError(f"task {identifier} does not run: it is {task['status']}")
