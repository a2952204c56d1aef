"""State that a session shares with the sessions that `with_options` made from it."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from .addresses import host_and_port
from .lazy_module import LazyModule
from .transport.sessions import Readings, sessions

if TYPE_CHECKING:
    from .calls.executor import Executor
    from .tasks.resource_locks import ResourceLocks
    from .tasks.waiter import TaskWaiter
    from .transport import metrics
else:
    metrics = LazyModule(".transport.metrics", __package__)


class SessionState:
    """State shared by a session and all sessions that `with_options` made from it.

    Args:
        executor: Executor of the original session.

    Attributes:
        reads: The `SharedReads` that calls of `wait_until` share, by query.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.reads: WeakValueDictionary[object, Any] = WeakValueDictionary()
        sessions.add(self)
        if "opentelemetry" in sys.modules:
            metrics.durations()  # creates the instruments if the program uses OpenTelemetry metrics

    @cached_property
    def waiter(self) -> TaskWaiter:
        """The task waiter that all sessions with this state share."""
        from .tasks.waiter import TaskWaiter

        return TaskWaiter(self._executor)

    @cached_property
    def locks(self) -> ResourceLocks:
        """The resource locks that all sessions with this state share."""
        from .tasks.resource_locks import ResourceLocks

        return ResourceLocks(self._executor.transport)

    def close(self) -> None:
        """End all waits for tasks, and stop showing the session in metrics."""
        if "waiter" in vars(self):
            self.waiter.close()
        sessions.remove(self)

    @property
    def address(self) -> str:
        """Host name or IP address of the server, or of the first node of an active/passive pair."""
        return host_and_port(self._executor.transport.settings.endpoints[0])[0]

    def readings(self) -> Readings:
        """Return the current values for OpenTelemetry metrics."""
        executor = self._executor
        counts = executor.transport.counts
        active, queued = executor.load
        used, idle, connections = executor.transport.connections()
        return Readings(
            active=active,
            queued=queued,
            used=used,
            idle=idle,
            connections=connections,
            retries=executor.budget.left,
            lock_waits=counts.lock_waits,
            polls=counts.polls,
            logins=executor.authenticator.logins,
            lenient_decodes=counts.lenient_decodes,
        )
