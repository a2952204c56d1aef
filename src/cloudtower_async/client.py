"""The session with a CloudTower server. Each public method delegates to another package."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Self, TypeVar, Unpack, cast, overload

import anyio.to_thread

from .api import Namespaces
from .calls import registry
from .calls.executor import Executor, Mode
from .errors import CloudtowerError, InvalidInput
from .lazy_module import LazyModule
from .options import (
    EnvironmentOptions,
    Mutations,
    ScopedOptions,
    SessionOptions,
    Settings,
    check_names,
    from_environment,
    scoped_options,
)
from .queries.batches import Resource
from .session_state import SessionState
from .spelling import did_you_mean
from .transport.auth import Authenticator
from .transport.http import Transport
from .transport.tracing import spanned
from .types import ContentLanguage, Everything, Fetched, RawResponse, WithTask
from .validators import check_seconds, reject_positional

if TYPE_CHECKING:
    from . import inputs, models, plans
    from .calls import direct, modes
    from .graphql import api_keys as keys
    from .graphql import consoles
    from .graphql import requests as graphql_requests
    from .metrics import collect as metrics
    from .metrics import results
    from .queries import loader as loaders
    from .queries import lookups, plan_mode
    from .tasks import pending as pendings
    from .tasks import settle as settling
    from .tasks import waiter
    from .uploads import source as sources
    from .uploads import targets
    from .uploads import upload as uploads
    from .watch import feed, view
    from .watch import wait_until as conditions
else:
    inputs = LazyModule(".inputs", __package__)
    models = LazyModule(".models", __package__)
    plans = LazyModule(".plans", __package__)
    direct = LazyModule(".calls.direct", __package__)
    modes = LazyModule(".calls.modes", __package__)
    keys = LazyModule(".graphql.api_keys", __package__)
    consoles = LazyModule(".graphql.consoles", __package__)
    graphql_requests = LazyModule(".graphql.requests", __package__)
    metrics = LazyModule(".metrics.collect", __package__)
    results = LazyModule(".metrics.results", __package__)
    loaders = LazyModule(".queries.loader", __package__)
    lookups = LazyModule(".queries.lookups", __package__)
    plan_mode = LazyModule(".queries.plan_mode", __package__)
    pendings = LazyModule(".tasks.pending", __package__)
    settling = LazyModule(".tasks.settle", __package__)
    waiter = LazyModule(".tasks.waiter", __package__)
    sources = LazyModule(".uploads.source", __package__)
    targets = LazyModule(".uploads.targets", __package__)
    uploads = LazyModule(".uploads.upload", __package__)
    feed = LazyModule(".watch.feed", __package__)
    view = LazyModule(".watch.view", __package__)
    conditions = LazyModule(".watch.wait_until", __package__)

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Resource)

_AIOHTTP_OBJECTS: tuple[tuple[str, Any], ...] = (
    ("session", None),
    ("connector", None),
    ("trace_configs", ()),
)
"""Options that hold aiohttp objects, and their defaults. `Settings` has the other options."""


class Cloudtower(Namespaces):
    """A session with a CloudTower server.

    Each namespace of the API is an attribute: ``tower.vm``, ``tower.cluster``, … The session logs
    in when its ``async with`` block is entered, or at the first call. Any number of asyncio tasks
    can use the session at the same time.

    Args:
        endpoint: Address of the server: ``https://tower.example``. The default scheme is https. A
            trailing ``/v2/api`` is optional. For an active/passive pair, pass a list of both
            addresses. Requests then go to the active node.
        options: Options of the session. `SessionOptions` documents each option and its default.

    Raises:
        InvalidSettings: An option is invalid. The error names the option.
        TypeError: An option is unknown.

    Example:
        ::

            async with Cloudtower("tower.example", username="root", password="…") as tower:
                vms = await tower.vm.get_vms(where={"name_contains": "web"})
    """

    def __init__(self, endpoint: str | Sequence[str], **options: Unpack[SessionOptions]) -> None:
        check_names(options, SessionOptions, "__init__")
        given: dict[str, Any] = {**options}
        aiohttp_objects = {name: given.pop(name, default) for name, default in _AIOHTTP_OBJECTS}
        settings = Settings(endpoint=endpoint, **given)
        transport = Transport(settings, **aiohttp_objects)
        executor = Executor(transport, Authenticator(transport))
        executor.mode = _mode(settings.mutations)
        self._set_up(executor, None)

    def _set_up(self, executor: Executor, shared: SessionState | None) -> None:
        self._executor = executor
        self._transport = executor.transport
        self._shared = shared or SessionState(executor)
        self._owner = shared is None  # a session from `with_options` must not close the connections
        self._entered = False

    @classmethod
    def from_env(cls, *, profile: str | None = None, **options: Unpack[EnvironmentOptions]) -> Self:
        """Create a session from environment variables. Arguments take precedence over variables.

        The method reads these variables: CLOUDTOWER_ENDPOINT, CLOUDTOWER_USERNAME,
        CLOUDTOWER_PASSWORD, CLOUDTOWER_SOURCE, CLOUDTOWER_TOKEN, CLOUDTOWER_CONTENT_LANGUAGE,
        CLOUDTOWER_MUTATIONS, CLOUDTOWER_VERIFY_TLS (true or false), CLOUDTOWER_CA_FILE,
        CLOUDTOWER_PROXY.

        Args:
            profile: Name of a profile that ``cloudtower-async login`` stored. If neither an
                argument nor a variable sets an option, the value in the profile is used. Reading a
                profile accesses files, and possibly the keyring of the system. If `profile` is
                None, the variable CLOUDTOWER_PROFILE names the profile. If this variable is not
                set, or if `profile` is "", no profile is read.
            options: Options of `Cloudtower`, and ``endpoint``. None has the same effect as omitting
                the option.

        Raises:
            InvalidSettings: An option, a variable or the profile is invalid.
        """
        settings: dict[str, Any] = from_environment(options, profile)
        return cls(**settings)

    @property
    def endpoint(self) -> str:
        """Root address of the server or of the active node: ``https://host[:port][/prefix]``."""
        return self._executor.endpoints.latest

    @property
    def lock_timeout(self) -> float:
        """Maximum number of seconds to wait for resources that the server has locked.

        After this time, `ResourceLocked` is raised. With 0, the error is raised at once.
        """
        return self._executor.lock_timeout

    @property
    def mutations(self) -> Mutations:
        """Mode for calls that change the server; see `SessionOptions`."""
        mode = self._executor.mode
        return "allow" if mode is None else mode.name

    @property
    def plan(self) -> plans.Plan:
        """Mutations that this session did not send, because of ``mutations="plan"`` (plan mode).

        A session in plan mode shares its plan with the sessions that its `with_options` returns. If
        `with_options` turns plan mode on, the new session starts with an empty plan.

        Raises:
            CloudtowerError: The session is not in plan mode.
        """
        if self.mutations != "plan":
            raise CloudtowerError(
                f"plan: this session has mutations={self.mutations!r}, so it has no plan; use "
                "mutations='plan'"
            )
        return cast("plan_mode.PlanMode", self._executor.mode).plan

    async def open(self) -> Self:
        """Connect and log in now instead of at the first call. Repeated calls are harmless.

        Transient failures are retried, as for a query, until the session's ``timeout`` has passed.

        Raises:
            LoginFailed: The server refused the credentials.
            CallError: The server cannot be reached, or an active/passive pair does not have exactly
                one active node.
            SessionClosed: The session is closed.
        """
        await self._transport.open()
        await self._executor.log_in()
        return self

    async def get_token(self) -> str:
        """Return the token that authenticates calls.

        If the session has no token, the method logs in first. Treat the token as a secret. Anyone
        with the token can act as the session's user. A server can issue tokens that never expire.

        Raises:
            LoginFailed: The server refused the credentials.
            CallError: The server cannot be reached.
            SessionClosed: The session is closed.
        """
        return await self._executor.log_in()

    async def find_active(self) -> str:
        """Find the active node of an active/passive pair now, and send later calls to that node.

        For a single server, no request is sent.

        Returns:
            Root address of the active node, or of the single server.

        Raises:
            NoActive: No node is active.
            MultipleActive: More than one node is active.
            SessionClosed: The session is closed.
        """
        return await self._executor.endpoints.find(ask=True)

    async def ping(self, *, timeout: float = 5.0) -> str:
        """Check that the server is ready, without logging in.

        Use this method for readiness checks of load balancers and web services. The method sends
        one request for ``/api/healthz`` without credentials. ``max_in_flight`` and ``rate_limit``
        do not apply to this request. For an active/passive pair, the ping succeeds only if exactly
        one node is active. A ping does not change which node receives the calls.

        Args:
            timeout: Time-out in seconds.

        Returns:
            Root address of the server, or of the active node of a pair.

        Raises:
            CallError: The server is not ready, or the server cannot be reached.
            InvalidInput: ``timeout`` is not a number of seconds.
            SessionClosed: The session is closed.

        Example:
            ::

                try:
                    await tower.ping(timeout=2)
                except CallError as error:
                    print("not ready:", error)
        """
        check_seconds("ping", "timeout", timeout)
        return await self._executor.endpoints.ping(timeout)

    async def close(self) -> None:
        """Close the connections. Calls in progress raise SessionClosed.

        Repeated calls are harmless. On a session that `with_options` returned, this method does
        nothing, because the connections belong to the original session.

        Raises:
            SessionClosed: The session belongs to another event loop that is not closed yet. Close
                the session in that event loop.
        """
        if self._owner:
            self._transport.check_closable()
            self._shared.close()
            await self._transport.close()

    async def __aenter__(self) -> Self:
        if self._entered and not self._transport.closed:
            raise CloudtowerError("the session was entered already; use the name after `as`")
        self._entered = True
        try:
            return await self.open()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    if not TYPE_CHECKING:  # hidden, so that type checkers report a plain `with`

        def __enter__(self) -> NoReturn:
            raise TypeError("a session is asynchronous: use `async with Cloudtower(...) as tower:`")

        def __exit__(self, *_: object) -> None:
            """Do nothing. Python calls `__enter__`, which raises, only if `__exit__` exists."""

    def with_options(self, **options: Unpack[ScopedOptions]) -> Self:
        """Return a session with other options for a part of the program.

        The new session shares the connections and the login of this session, so you need not close
        the new session. Options that are omitted or None keep the values of this session.

        Args:
            options: Options to change. `ScopedOptions` documents each option.

        Raises:
            InvalidSettings: An option is invalid. The error names the option.
            TypeError: An option is unknown.

        Example:
            ::

                nightly = tower.with_options(timeout=300, headers={"x-job": "nightly"})
                vms = await nightly.vm.get_vms()
        """
        changes = scoped_options(options)
        mutations: Mutations = changes.pop("mutations", self.mutations)
        modes.check_tightening(self.mutations, mutations)
        executor = self._executor.with_defaults(changes)
        if mutations != self.mutations:
            executor.mode = _mode(mutations)
        other = type(self).__new__(type(self))
        other._set_up(executor, self._shared)
        return other

    async def preload(self, *namespaces: str) -> None:
        """Load namespaces now, in a thread, including their argument and result types.

        Args:
            namespaces: Names of namespaces, such as ``"vm"``. Without names, all namespaces are
                loaded.

        Raises:
            InvalidInput: A namespace does not exist.
        """
        await anyio.to_thread.run_sync(_preload, namespaces)

    def iterate(
        self,
        method: Callable[P, Awaitable[list[R]]],
        page_size: int = 500,
        *args: P.args,
        **query: P.kwargs,
    ) -> AsyncGenerator[R]:
        """Iterate over all matching resources, and read the next page in advance.

        Each resource that matches during the whole iteration is yielded exactly once, even if other
        resources are created or deleted during the iteration. At most three pages are in memory at
        a time. A server may return fewer resources than requested. Therefore only an empty page
        ends the iteration.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            page_size: Maximum number of resources per request.
            args: Positional arguments raise TypeError. Pass the arguments of the query by keyword.
            query: Arguments of the method, such as ``where`` and ``order_by``. ``first`` is the
                maximum number of resources in total. Without ``order_by``, the resources are sorted
                by id, or, with ``where={"id_in": ids}``, in the order of ``ids``.

        Raises:
            InvalidInput: The method is not a query, or an argument is invalid.
            TypeError: Arguments of the query were passed by position.
            CallError: A page cannot be read.
            SetChanged: The query has ``order_by``, and all resources of a page were deleted before
                the next page could be read.
            PagingFailed: The server returned the same page twice, or ignored the requested start of
                a page.

        Example:
            ::

                async for vm in tower.iterate(tower.vm.get_vms, where={"status": "RUNNING"}):
                    print(vm.name)
        """
        return lookups.iterate(method, page_size, args, query)

    async def fetch_all(
        self,
        method: Callable[P, Awaitable[list[R]]],
        concurrency: int = 8,
        page_size: int = 500,
        *args: P.args,
        **query: P.kwargs,
    ) -> Fetched[R]:
        """Count all matching resources, and read them with concurrent requests.

        The result is the same as the result of one large query. Each resource that matches
        throughout the read is in the list exactly once. If other resources were created or deleted
        during the read, the attribute ``changed`` of the list is True, and a warning is logged. If
        the server returns fewer resources than requested, later requests ask for smaller pages.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            concurrency: Maximum number of concurrent requests.
            page_size: Maximum number of resources per request.
            args: Positional arguments raise TypeError. Pass the arguments of the query by keyword.
            query: Arguments of the method, as for `iterate`.

        Raises:
            InvalidInput: The method is not a query, or an argument is invalid.
            TypeError: Arguments of the query were passed by position.
            CallError: A page cannot be read.
            SetChanged: See `iterate`.
            PagingFailed: See `iterate`.

        Example:
            ::

                vms = await tower.fetch_all(tower.vm.get_vms, where={"cluster": {"name": "prod"}})
        """
        return await lookups.fetch_all(method, concurrency, page_size, args, query)

    async def get_one(
        self, method: Callable[P, Awaitable[list[R]]], *args: P.args, **query: P.kwargs
    ) -> R:
        """Return the only resource that matches.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            args: Positional arguments raise TypeError. Pass the arguments of the query by keyword.
            query: Arguments of the method.

        Raises:
            NotFound: No resource matches.
            Ambiguous: Several resources match. The error has their number (``count``) and the ids
                of the first few (``ids``).
            InvalidInput: The method is not a query.
            TypeError: Arguments of the query were passed by position.
            CallError: The call failed. The class of the error names the reason.

        Example:
            ::

                vm = await tower.get_one(tower.vm.get_vms, where={"name": "web-1"})
        """
        return await lookups.get_one(self._executor, method, args, query)

    async def resolve(self, method: Callable[..., Awaitable[list[R]]], name_or_id: str) -> R:
        """Return the only resource that has this id or this name.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            name_or_id: Name or id. If one resource has this id and another has this name, the id
                takes precedence.

        Raises:
            NotFound: No resource has this id or name.
            Ambiguous: Several resources have the name. The error has their number (``count``) and
                the ids of the first few (``ids``).
            InvalidInput: The method is not a query, or the name is not a string.
            CallError: The call failed. The class of the error names the reason.

        Example:
            ::

                vm = await tower.resolve(tower.vm.get_vms, "web-1")
        """
        return await lookups.resolve(self._executor, method, name_or_id)

    async def count(
        self, method: Callable[P, Awaitable[list[R]]], *args: P.args, **query: P.kwargs
    ) -> int:
        """Return the number of matching resources, without reading them.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            args: Positional arguments raise TypeError. Pass the arguments of the query by keyword.
            query: Arguments of the method.

        Raises:
            InvalidInput: The method is not a query, or the API cannot count these resources.
            TypeError: Arguments of the query were passed by position.
            CallError: The call failed. The class of the error names the reason.

        Example:
            ::

                running = await tower.count(tower.vm.get_vms, where={"status": "RUNNING"})
        """
        return await lookups.count(method, args, query)

    def loader(
        self,
        method: Callable[..., Awaitable[list[R]]],
        *,
        max_age: float | None = None,
        max_entries: int = 10_000,
    ) -> loaders.Loader[R]:
        """Return a loader that combines many reads by id into few requests.

        Only reads through the same loader share requests. Therefore create one loader and keep it,
        for example for a web request or for the whole application.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            max_age: Maximum age of cached resources in seconds, counted from the start of their
                request. None disables the cache.
            max_entries: Maximum number of cached resources.

        Raises:
            InvalidInput: The method is not a query, or an argument is not a number.

        Example:
            ::

                vms = tower.loader(tower.vm.get_vms)
                mail, web = await asyncio.gather(vms.get(mail_id), vms.get(web_id))  # one request
        """
        return loaders.Loader(self._executor, method, max_age, max_entries)

    async def server_version(self) -> str:
        """Return the server version, such as ``"4.9.0"``. The version is requested only once.

        Raises:
            CallError: The call failed. The class of the error names the reason.
        """
        return await self._executor.server_version()

    async def wait(
        self,
        tasks: waiter.Waitable | Awaitable[waiter.Waitable],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
        fail_fast: bool = False,
    ) -> list[models.Task]:
        """Wait until the tasks of mutations have ended. Concurrent waits share their polls.

        Args:
            tasks: A task, the id of a task, a mutation's answer with a ``task_id``, or nested lists
                of these. You can also pass a `Pending`, or a mutation call that is not awaited yet.
                The argument is not modified. An answer whose ``task_id`` is None counts as done.
            timeout: Time-out in seconds. The time starts when the ids of the tasks are known. None
                waits without limit.
            interval: Maximum number of seconds between polls. The first polls have shorter
                intervals.
            grace: Seconds to wait for a task that the server does not list, or that has an unknown
                status. After this time, TaskNotFound or UnknownTaskStatus is raised.
            fail_fast: Whether to raise an error as soon as one task has failed. By default, the
                error is raised after all tasks have ended.

        Returns:
            The ended tasks in the order of the argument. Each task is in the list once.

        Raises:
            TaskFailed: A single task was passed, and this task failed. If `fail_fast` is True, the
                error is also raised as soon as one of several tasks has failed.
            TaskNotFound: The server does not know the task.
            UnknownTaskStatus: The task has a status that this package does not know, and the status
                does not change.
            TasksFailed: Several tasks were passed, and at least one of them did not succeed. The
                error is an exception group, so ``except*`` works. The attribute ``succeeded`` has
                the tasks that succeeded.
            TaskTimeout: Tasks were still running after `timeout` seconds.
            InvalidInput: An argument is invalid.
            SessionClosed: The session was closed during the wait.

        Example:
            ::

                await tower.wait(tower.vm.start_vm(where={"id_in": ids}))
        """
        waiting = self._shared.waiter.wait(
            tasks, timeout=timeout, interval=interval, grace=grace, fail_fast=fail_fast
        )
        return await spanned("wait", waiting)

    def as_completed(
        self,
        tasks: waiter.Waitable | Awaitable[waiter.Waitable],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
    ) -> AsyncIterator[models.Task]:
        """Iterate over tasks as they end.

        A failed task is yielded like any other task, and raises no error. To raise its error, call
        ``await tower.wait(task)``, which sends no request. A task that was not found, or whose
        status is unknown, is not yielded. Its error is raised at the end of the iteration.

        Args:
            tasks: Tasks, as for `wait`.
            timeout: Maximum number of seconds to wait in total. The time that the loop body takes
                does not count. None waits without limit.
            interval: Maximum number of seconds between polls. The first polls have shorter
                intervals.
            grace: Seconds to wait for a task that the server does not list, or that has an unknown
                status. After this time, the iteration no longer waits for the task.

        Returns:
            An async iterator over the ended tasks. Each task is yielded once.

        Raises:
            TaskNotFound: A single task was passed, and the server does not know this task.
            UnknownTaskStatus: A single task was passed. It has a status that this package does not
                know, and the status does not change.
            TasksFailed: Several tasks were passed, and at least one of them was not found or has an
                unknown status. The error is an exception group. It has one error for each task
                that was not found, has an unknown status or failed. Failed tasks alone do not raise
                this error.
            TaskTimeout: Tasks were still running after `timeout` seconds.
            InvalidInput: An argument is invalid.
            SessionClosed: The session was closed during the wait.

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
        tasks: waiter.Waitable | Awaitable[waiter.Waitable],
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
    ) -> AsyncIterator[models.Task]:
        """Iterate over the changes of tasks until all have ended.

        A task is yielded when it is first read, and whenever its ``status`` or its ``progress`` (0
        to 1) has changed. A task is yielded for the last time when it has succeeded or failed.

        Args:
            tasks: Tasks, as for `wait`.
            timeout: Time-out in seconds, as for `as_completed`.
            interval: Maximum number of seconds between polls. The first polls have shorter
                intervals.
            grace: Seconds to wait for a task that the server does not list, or that has an unknown
                status. After this time, the iteration no longer waits for the task.

        Returns:
            An async iterator over the changed tasks.

        Raises:
            TaskNotFound: See `as_completed`.
            UnknownTaskStatus: See `as_completed`.
            TasksFailed: See `as_completed`.
            TaskTimeout: See `as_completed`.
            InvalidInput: An argument is invalid.
            SessionClosed: The session was closed during the wait.

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
        changed: Awaitable[WithTask[T]] | WithTask[T] | pendings.Pending[T],
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
        """Wait until the changes of a mutation are complete, and return the changed resources.

        The method waits for the tasks, as `wait` does. Then it reads the resources until
        ``entityAsyncStatus`` of every resource is null. Before that, their fields can still change.
        Send the next mutation of a resource only after `settle` has returned.

        The return value depends on the answer of the mutation:

        - If the answer has resources, such as `Vm`, their current state is returned. A list leaves
          out resources that no longer exist. If the answer is a single resource that no longer
          exists, NotFound is raised.
        - If the answer has only ids, such as `DeleteVm`, the ids of the resources that still exist
          are returned. After a deletion, the list is empty. After a move to the recycle bin, the
          list has all ids.
        - For any other answer, such as `BatchHosts`, ``data`` of the answer is returned unchanged.

        Args:
            changed: A mutation call that is not awaited yet, the answer of a mutation, or a
                `Pending`.
            timeout: Maximum number of seconds to wait in total, for the tasks and then for the
                resources. The time starts when the mutation has returned. None waits without limit.
            interval: Maximum number of seconds between polls. The first polls have shorter
                intervals.
            grace: Seconds to wait for a task or a resource that the server does not list, because
                lists of the server can lag by up to a minute. After this time, a task counts as not
                found, and a resource as deleted. After a deletion, a missing resource counts as
                deleted at once.

        Returns:
            A list if the answer is a list, otherwise a single value. A list has the order of the
            answer.

        Raises:
            TaskFailed: The mutation started a single task, and this task failed.
            TaskNotFound: The server does not know the task.
            UnknownTaskStatus: The task has a status that this package does not know, and the status
                does not change.
            TasksFailed: The mutation started several tasks, and at least one of them did not
                succeed. The resources are not read then.
            TaskTimeout: Tasks were still running after `timeout` seconds.
            SettleTimeout: The tasks had ended, but resources were still changing after `timeout`
                seconds.
            NotFound: The single resource no longer exists.
            ResponseDecodeError: The tasks succeeded, but the answer of the mutation lacks the id of
                a resource.
            CallError: The mutation failed, or the resources cannot be read.
            InvalidInput: An argument is invalid, or a `Pending` belongs to another server or has
                resources that the API cannot query.
            SessionClosed: The session was closed during the wait.

        Example:
            ::

                running = await tower.settle(tower.vm.start_vm(where={"id_in": ids}))
                print([vm.status for vm in running])
        """
        waiting = settling.settle(
            changed,
            self._executor,
            self._shared.waiter,
            timeout=timeout,
            interval=interval,
            grace=grace,
        )
        return await spanned("settle", waiting)

    @overload
    def pending(self, answer: WithTask[T]) -> pendings.Pending[T]: ...
    @overload
    def pending(self, answer: Iterable[WithTask[T]]) -> pendings.Pending[list[T]]: ...
    def pending(self, answer: object) -> pendings.Pending[Any]:
        """Return the ids of the tasks and resources of a mutation as a `Pending`.

        You can store the `Pending`. Later, also in another process, pass it to `settle` or `wait`.
        This method sends no request.

        Args:
            answer: Answer of a mutation.

        Raises:
            InvalidInput: The argument is not the answer of a mutation.

        Example:
            ::

                text = tower.pending(await tower.vm.start_vm(where={"id_in": ids})).to_json()
                # later, also in another process
                vms = await tower.settle(Pending.from_json(text))
        """
        answers = settling.answers_in("pending", answer)
        return pendings.pending_of(answers, self.endpoint, single=isinstance(answer, WithTask))

    def lock(
        self, *resource_ids: str, timeout: float | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Lock resources for the duration of a block, against other callers of this session.

        The lock only excludes callers that lock the same ids with this session, or with a session
        that `with_options` made from it. The server and other programs do not see the lock. Callers
        get the lock in the order in which they asked for it.

        Args:
            resource_ids: Ids of all resources that the block works on. Either all of these ids are
                locked, or no id is locked. Two asyncio tasks can deadlock if each task holds one
                lock and asks for a second lock.
            timeout: Maximum number of seconds to wait for other callers. None waits without limit.

        Raises:
            LockTimeout: Other callers still held the lock after `timeout` seconds.
            InvalidInput: An argument is invalid.
            CloudtowerError: The current asyncio task already holds one of the locks, and would wait
                for itself.
            SessionClosed: The session was closed during the wait.

        Example:
            ::

                async with tower.lock(vm.id):
                    await tower.settle(tower.vm.shut_down_vm(where={"id": vm.id}))
                    await tower.settle(tower.vm.start_vm(where={"id": vm.id}))
        """
        return self._shared.locks.hold(*resource_ids, timeout=timeout)

    def changes(
        self,
        types: Sequence[str] | None = None,
        *,
        since: str | None = None,
        interval: float = 5.0,
    ) -> feed.Changes:
        """Iterate endlessly over changes on the server. Each change is yielded once, in order.

        Changes come from the server's change feed, which exists since CloudTower 4.6 and needs the
        session option ``change_feed``. While the server cannot be reached, a warning is logged and
        requests are retried. If the very first request fails, the error is raised at once.

        Args:
            types: Resource types and relation tables whose changes are yielded, such as ``["Vm",
                "_LabelToVm"]``. None yields all changes.
            since: Revision after which to begin, such as the ``revision`` of an earlier iterator.
                With None, the iterator yields only changes that happen after its first request. To
                get earlier changes, too, await the iterator's method ``anchor`` before you iterate:
                the iterator then yields all changes after this call.
            interval: Seconds between requests. While a backlog of changes is read, there is no
                pause.

        Returns:
            An async iterator. If a step of the iteration is cancelled, for example by a time-out,
            you can continue the iteration.

        Raises:
            Resync: Changes were missed, for example because the server deleted old changes. Read
                the resources again, and continue with the same iterator.
            NoChangeFeed: The server has no change feed, or the session lacks the option
                ``change_feed``.
            InvalidInput: An argument is invalid.
            CallError: The call failed. The class of the error names the reason.
            SessionClosed: The session was closed during the iteration.

        Example:
            ::

                async for change in tower.changes(["Vm"], since=stored):
                    print(change.action, change.resource_id, change.old, change.new)
        """
        return feed.Changes(self._executor, types, since, interval)

    def watch(
        self,
        method: Callable[P, Awaitable[list[R]]],
        interval: float = 5.0,
        grace: float = 60.0,
        *args: P.args,
        **query: P.kwargs,
    ) -> view.Watch[R]:
        """Keep a view of the resources that match a query, and iterate over their changes.

        Entering the ``async with`` block reads the resources. The attribute ``snapshot`` of the
        watch is a dict of the resources by id. Each event is one change of the view. CloudTower 4.6
        and later report all changes in a change feed. If the session has the option
        ``change_feed``, the view reads only changed resources again. Without the change feed, each
        poll reads all resources. While the server cannot be reached, requests are retried. If a
        request fails while the block is entered, the error is raised at once.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            interval: Seconds between requests while nothing changes.
            grace: Seconds to keep looking for a resource that the change feed has reported but the
                server does not list yet. All resources are read a second time ``grace`` seconds
                after the first read, because the first read can miss resources. With 0, the view
                does not look again, and reads no resource a second time. Without the change feed,
                ``grace`` has no effect.
            args: Positional arguments raise TypeError. Pass the arguments of the query by keyword.
            query: Arguments of the method: ``where``, and options such as ``content_language``.

        Returns:
            An async context manager and iterator. If a step of the iteration is cancelled, for
            example by a time-out, you can continue the iteration.

        Raises:
            InvalidInput: The method is not a query, or an argument is invalid.
            TypeError: Arguments of the query were passed by position.
            CallError: The call failed. The class of the error names the reason.
            SessionClosed: The session was closed during the watch.

        Example:
            ::

                async with tower.watch(tower.vm.get_vms, where={"status": "RUNNING"}) as running:
                    print(len(running.snapshot))
                    async for event in running:
                        print(event.what, event.id, event.old, event.new)
        """
        reject_positional("watch", lookups.EXAMPLE, args, interval, grace)
        return view.Watch(self._executor, method, query, interval, grace)

    async def wait_until(
        self,
        method: Callable[P, Awaitable[list[R]]],
        condition: Callable[[R], object],
        fail_if: Callable[[R], object] | None = None,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        *args: P.args,
        **query: P.kwargs,
    ) -> list[R]:
        """Wait until all resources that match a query meet a condition, and return them.

        At least one resource has to match the query. If the filter names resources by ``id`` or
        ``id_in``, all of these resources have to match. If a resource matched earlier and no longer
        matches, `ConditionFailed` is raised. Therefore filter by values that do not change, such as
        ids.

        CloudTower 4.6 and later report all changes in a change feed. If the session has the option
        ``change_feed``, only changed resources are read again. Without the change feed, each poll
        reads all resources. Concurrent calls then share their requests if they have the same method
        and options, and if each filter has only ``id`` or ``id_in``. Transient failures are retried
        until the time-out.

        Args:
            method: A query method, such as ``tower.vm.get_vms``.
            condition: Function that returns whether a resource meets the condition.
            fail_if: Function that returns whether a resource can no longer meet the condition.
                `fail_if` is called before `condition`.
            timeout: Time-out in seconds. None waits without limit.
            interval: Maximum number of seconds between polls. The first polls have shorter
                intervals.
            args: Positional arguments raise TypeError. Pass the arguments of the query by keyword.
            query: Arguments of the method, as for `watch`.

        Returns:
            The resources, all of them read by the same request.

        Raises:
            ConditionFailed: `fail_if` is true for a resource, or a resource no longer matches.
            ConditionTimeout: The condition was not met in time. The attribute ``last_seen`` has the
                resources as they were last read.
            InvalidInput: The method is not a query, or an argument is invalid.
            TypeError: Arguments of the query were passed by position.
            CallError: The resources cannot be read, for a reason that is not transient.
            SessionClosed: The session was closed during the wait.

        Example:
            ::

                [vm] = await tower.wait_until(
                    tower.vm.get_vms, lambda vm: vm.ips, where={"id": vm_id}
                )
        """
        reject_positional("wait_until", lookups.EXAMPLE, args, timeout or 0.0, interval)
        waiting = conditions.wait_until(
            self._executor,
            method,
            condition,
            fail_if,
            timeout,
            interval,
            query,
            self._shared.reads,
        )
        return await spanned("wait_until", waiting)

    async def measure(
        self,
        method: Callable[P, Awaitable[list[WithTask[models.Metric]]]],
        chunk_size: int = 50,
        concurrency: int = 4,
        *args: P.args,
        **query: P.kwargs,
    ) -> results.Measurements:
        """Read metrics of many resources, with the ids and names of the resources.

        The first requests read the resources that match the filter. Each further request reads the
        metrics of up to `chunk_size` resources, because servers truncate large answers. If an
        answer is empty or truncated although the server reports success, `warnings.warn` issues a
        `MetricsWarning`. The warning is also in ``warnings`` of the return value.

        Args:
            method: Method of ``tower.metrics``, such as ``tower.metrics.get_vm_metrics``.
            chunk_size: Number of resources per request.
            concurrency: Maximum number of concurrent requests.
            args: Positional arguments raise TypeError. Pass the arguments of the query by keyword.
            query: Arguments of the method: a filter such as ``vms``, the names of the metrics in
                ``metrics``, and the time ``range``: a number with the unit s, m, h, d or w. ``24h``
                and ``7d`` are known to work. For ``72h`` and ``168h``, some servers return no
                values.

        Raises:
            InvalidInput: The method is not in ``tower.metrics``, or an argument is invalid.
            TypeError: Arguments of the query were passed by position.
            EmptyFilter: The filter may match everything. Pass `EVERYTHING` to measure all resources
                on purpose.
            CallError: The call failed. The class of the error names the reason.

        Example:
            ::

                measured = await tower.measure(
                    tower.metrics.get_vm_metrics,
                    vms={"cluster": {"name": "prod"}},
                    metrics=["elf_vm_cpu_overall_usage_percent"],
                    range="24h",
                )
                for row in measured.to_rows():
                    print(row.time, row.subject_name, row.value)
        """
        return await metrics.measure(self._executor, method, chunk_size, concurrency, args, query)

    async def top_n(
        self,
        metric: str,
        n: int = 10,
        *,
        clusters: inputs.ClusterWhereInput | Everything,
        range: str = "1h",  # noqa: A002 - the name in the API
        lowest: bool = False,
    ) -> list[results.RankedMetric]:
        """Return a ranking of the resources with the highest values of a metric.

        The metric decides which resources are ranked: VMs, hosts, disks, … The server computes one
        value of each resource for the whole range. The ranking is shorter than ``n`` if there are
        fewer resources.

        Args:
            metric: Name of the metric.
            n: Maximum number of resources to rank.
            clusters: Filter for the clusters whose resources are ranked, or `EVERYTHING`.
            range: Time range up to now: a number with the unit s, m, h, d or w, such as ``"24h"``.
            lowest: Whether to rank the resources with the lowest values instead of the highest.

        Returns:
            The ranking, starting with the first place. Resources without a value are left out.

        Raises:
            InvalidInput: An argument is invalid.
            EmptyFilter: ``clusters`` may match everything. Pass `EVERYTHING` to rank the resources
                of all clusters on purpose.
            CallError: The call failed. The class of the error names the reason.

        Example:
            ::

                for vm in await tower.top_n(
                    "elf_vm_cpu_overall_usage_percent", 5, clusters={"name": "prod"}, range="24h"
                ):
                    print(vm.rank, vm.subject_name, vm.value)
        """
        return await metrics.top_n(self._executor, metric, n, clusters, range, lowest=lowest)

    def upload(
        self,
        source: sources.Uploadable,
        target: targets.UploadTarget[T],
        **options: Unpack[uploads.UploadOptions],
    ) -> uploads.Upload[T]:
        """Return an upload of a file. Await the upload to send the file and get the new resource.

        Alternatively, enter the upload with ``async with``, and iterate over its progress. The
        chunks of the file are sent one after the other. A chunk is only resent if the server has
        not received the chunk. At most two chunks are in memory. If the calling task is cancelled,
        the upload is cancelled on the server, too. The same happens if the option ``on_progress``
        raises an error, or if the ``async with`` block is left before the end.

        The method itself raises only TypeError, InvalidInput and EmptyFilter. The other errors are
        raised when you await, enter or iterate over the returned upload.

        Args:
            source: Path, file opened in binary mode, or async iterator of bytes. A file is read
                from its current position.
            target: Kind and place of the result: `ContentLibraryImage`, `ElfImage`, `SvtImage`,
                `ElfFile` or `CloudTowerApplicationPackage`.
            options: Options of the upload. `UploadOptions` documents each option and its default.

        Returns:
            An awaitable, asynchronous context manager and iterator over `UploadProgress`. Awaiting
            the upload returns the result, such as a `models.ElfImage`. The class of the target
            documents the type of the result. After an iteration, the attribute ``result`` of the
            upload has the result.

        Raises:
            TypeError: An option is unknown.
            InvalidInput: An argument is invalid. No request was sent.
            EmptyFilter: The filter `clusters` of the target may match everything.
            UploadInterrupted: A chunk could not be delivered. To resume the upload, pass
                ``resume=error.state``.
            MutationRefused: The session is read-only. The file was not opened.
            UploadFailed: The upload failed and cannot be resumed.
            UploadTimeout: The whole file was sent, but the result did not appear in time.
            SourceChanged: The file became shorter or longer during the upload.
            CallError: The upload could not be started.
            SessionClosed: The session was closed during the upload.

        Example:
            ::

                target = ContentLibraryImage(clusters={"name": "prod"})
                image = await tower.upload("tools.iso", target)

                async with tower.upload("tools.iso", target) as upload:
                    async for progress in upload:
                        print(f"{progress.sent / progress.total:.0%}, {progress.rate:,.0f} B/s")
                print(upload.result.id)
        """
        return uploads.Upload(self._executor, self._shared.locks, source, target, options)

    async def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Send a GraphQL document and return its ``data`` as plain dicts and lists.

        A document with a mutation is retried only if the mutation was certainly not executed. A
        document that has only queries is retried after any transport error.

        Args:
            query: The GraphQL document.
            variables: Variables of the document. None sends no variables.
            timeout: Time-out in seconds for the whole call. None uses the session's time-out.

        Raises:
            GraphQLError: The response has errors. The attribute ``data`` of the exception has the
                partial data.
            CallError: The call failed. The class of the error names the reason.
            InvalidInput: An argument is invalid.

        Example:
            ::

                found = await tower.graphql("{ authnStrategies { id type } }")
        """
        return await graphql_requests.ask(self._executor, query, variables, timeout)

    @property
    def api_keys(self) -> keys.ApiKeys:
        """API keys of the server. Create a key with ``await tower.api_keys.create("bot")``."""
        return keys.ApiKeys(self._executor)

    async def vnc(self, vm_id: str, *, timeout: float | None = None) -> consoles.VncTicket:
        """Return a ticket for the VNC console of a running VM, with the addresses of the console.

        Args:
            vm_id: Id of the VM.
            timeout: Time-out in seconds for the whole call. None uses the session's time-out.

        Raises:
            GraphQLError: The VM does not exist, or it is not running.
            CallError: The call failed. The class of the error names the reason.
            InvalidInput: The id is not a string.

        Example:
            ::

                ticket = await tower.vnc(vm.id)
                async with websockets.connect(ticket.proxied, subprotocols=["binary"]) as screen:
                    ...
        """
        return await consoles.vnc_ticket(self._executor, vm_id, timeout)

    async def request(
        self,
        path: str,
        body: object = None,
        *,
        method: direct.Method = "POST",
        query: Mapping[str, object] | None = None,
        content_language: ContentLanguage | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> object:
        """Call an API endpoint that is not in the schema and return the decoded JSON.

        Args:
            path: Path below ``/v2/api``. The prefix ``/v2/api`` and the first slash are optional.
                ``..``, backslashes and encoded slashes are refused.
            body: Body, which is sent as JSON without validation. None sends no body.
            method: HTTP method.
            query: Parameters of the query string, for a call without a body. A parameter that is
                None is not sent.
            content_language: Language of texts in the answer. None uses the session's language.
            external_cloudtower_id: Value of the header ``external-cloudtower-id``. None sends no
                such header.
            timeout: Time-out in seconds for the whole call. None uses the session's time-out.

        Raises:
            CallError: The call failed. The class of the error names the reason.
            InvalidInput: The path or the body cannot be sent.

        Example:
            ::

                rows = await tower.request("/get-vms-of-the-future", {"first": 1})
        """
        return await direct.request(
            self._executor,
            path,
            body,
            method,
            query,
            content_language,
            external_cloudtower_id,
            timeout,
        )

    async def raw(
        self,
        method: direct.RawMethod,
        path: str,
        *,
        json: object = None,
        data: bytes | Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        auth: direct.RawAuth | tuple[str, str] = "token",
        timeout: float | None = None,
    ) -> RawResponse:
        """Call any path of the server and return the response without decoding its body.

        Use this method for services outside the API, such as the export of traffic data or the
        observability service. Limits, retries, time-outs and errors are the same as for any other
        call. GET and HEAD count as queries, and the other methods count as mutations.

        Args:
            method: HTTP method.
            path: Path below the root address of the server: ``/api/ovm/…``. ``..``, backslashes
                and encoded slashes are refused.
            json: Body, which is sent as JSON. None sends no JSON body.
            data: Bytes are sent unchanged as the body. A dict is sent as a multipart form, and its
                values may be files. None sends no bytes and no form.
            query: Parameters of the query string. A parameter that is None is not sent.
            auth: Credential to send. ``"token"`` sends the session's token, after a login if
                needed. ``"none"`` sends no credential. For HTTP Basic authentication, pass the
                pair (user name, password).
            timeout: Time-out in seconds for the whole call. None uses the session's time-out.

        Returns:
            Status, headers and body of the response. The status is 2xx.

        Raises:
            StatusError: The status of the response is not 2xx.
            OutcomeUnknown: A mutation was sent, and it is unknown whether it was executed.
            CallError: The call failed. The class of the error names the reason.
            InvalidInput: An argument cannot be sent.

        Example:
            ::

                path = "/api/ovm/10.0.0.5/traffic-visualization/download/7"
                export = await tower.raw("GET", path)
                print(export.headers["content-type"], len(export.body))
        """
        call = direct.raw(self._executor, method, path, json, data, query, auth, timeout)
        del auth  # keep the secret out of tracebacks that show local variables
        return await call

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session cannot be pickled or copied: make one in each process")

    def __repr__(self) -> str:
        if not hasattr(self, "_transport"):  # `__init__` raised
            return "<Cloudtower with invalid settings>"
        settings = self._transport.settings
        way = "by token"
        if settings.token is None:
            way = f"as {settings.username!r}" if settings.username else "by credentials"
        state = " closed" if self._transport.closed else ""
        return f"<Cloudtower {self.endpoint} {way}{state}>"


def _mode(mutations: Mutations) -> Mode | None:
    if mutations != "plan":
        return None if mutations == "allow" else modes.RefuseMode()
    return plan_mode.PlanMode()


def _preload(namespaces: Sequence[str]) -> None:
    known = registry.namespaces()
    for namespace in namespaces or known:
        if namespace not in known:
            meant = did_you_mean(namespace, known)
            raise InvalidInput(f"preload: there is no namespace {namespace!r}{meant}")
        for operation in registry.operations_in(namespace):
            _ = operation.decoder
            if operation.body is not None:
                operation.body()
            operation.loaded = True
