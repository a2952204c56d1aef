"""Simulated CloudTower: an HTTP server on loopback with a generated fleet."""

from __future__ import annotations

import dataclasses
import gc
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import anyio.to_thread
import msgspec

from ..api.catalogue import OPERATIONS
from . import request_log
from .accounts import Accounts
from .behavior import Behavior, BehaviorOptions
from .change_feed import ChangeFeed
from .clock import Clock
from .copying import Session, read_fleet
from .faults import Faults
from .fleet import builders
from .fleet.fleet import FleetSize, build_fleet
from .fleet.load_fleet import load_fleet
from .http_errors import HttpError
from .mutations.context import Context
from .mutations.vm import guests
from .server import javascript
from .server.nodes import Node
from .server.request_parser import Request
from .server.routes import find_handler
from .server.server import Server
from .server.state import MetricLimits, ServerState
from .store import dump
from .store.ids import Ids
from .store.schema import all_resources
from .store.store import Store
from .tasks import TaskEngine
from .uploads import Uploads

if TYPE_CHECKING:
    from .factory import Factory


_SIZES = frozenset(field.name for field in dataclasses.fields(FleetSize))


def _unexpected(name: str) -> str:
    """Return the message of the error about an unknown keyword argument."""
    text = f"Simulator() got an unexpected keyword argument {name!r}"
    return f"{text}; pass FleetSize({name}=...) as the first argument" if name in _SIZES else text


class Simulator:
    """Simulated CloudTower for tests: a real HTTP server on loopback with a generated fleet.

    Any number of clients can use the server, including clients in other threads and processes. If
    the simulator does not model an operation, the server responds with status 501.

    Args:
        size: Size of the fleet, as a `FleetSize` or a string such as ``"3 clusters, 200 VMs"``.
        clusters: Number of clusters. Overrides the number in ``size``.
        hosts_per_cluster: Number of hosts per cluster. Overrides the number in ``size``.
        vms: Number of VMs. Overrides the number in ``size``.
        seed: Seed of the fleet. The same seed generates the same fleet.
        username: Name of the user who can log in.
        password: Password of the user who can log in.
        port: Port to listen on. With 0, the operating system chooses a free port.
        tls: TLS context for serving HTTPS. By default, the server uses plain HTTP.
        fleet: Fleet to use instead of a generated fleet. The value is a dict of query results, for
            example ``{"get-vms": [...]}``, or the path of a JSON file with such a dict. See
            ``load``.
        standby: Whether the server has a second node with its own address. The second node is the
            passive node of an active/passive pair.
        clock: Clock of the server. By default, the clock starts at 2026-01-01 in UTC and runs at
            the speed of real time.
        version: Server version, 3.0.0 or later. The server rejects operations that this version
            does not have. Responses contain the fields of the newest version. Servers before 3.3.0
            do not lock resources. Servers before 4.4.0 do not accept the content language ``*``.
        task_duration: Duration of each task in seconds.
        settle_delay: Seconds that ``entityAsyncStatus`` stays set after a task has ended.
        keep_requests: Number of requests to record. Older requests are removed. With None, all
            requests are recorded.
        behavior: Fields of `Behavior` as keyword arguments, for example
            ``nothing_matches="404"`` or ``fractions=True``.

    Example:
        async with Simulator(vms=100, seed=7) as sim:
            async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
                vms = await tower.vm.get_vms(where={"status": "RUNNING"})
    """

    store: Store
    """Resources of the server. Tests can change the resources."""

    tasks: TaskEngine
    """Task engine. With the task engine, tests can hide or pause tasks, or make them fail."""

    accounts: Accounts
    """Passwords, tokens and API keys of the users."""

    uploads: Uploads
    """Uploads and their states. The uploaded contents are not stored."""

    changes: ChangeFeed
    """Change feed of the server, and the credentials of the feed."""

    metrics: MetricLimits
    """Limits for responses with metrics. ``most_streams`` limits the series per metric."""

    requests: list[Request]
    """Requests in the order of arrival, except requests that a passive node redirected.

    The list contains the latest ``keep_requests`` requests, by default 10,000.
    """

    executed: list[Request]
    """Requests that were executed successfully, even if the response did not reach the client."""

    nodes: list[Node]
    """Nodes of the server: one node, or two nodes for an active/passive pair.

    A test can set the ``state`` of each node.
    """

    url: str
    """URL of the first node: ``http://127.0.0.1:…``, or ``https://localhost:…`` with TLS."""

    def __init__(
        self,
        size: FleetSize | str | None = None,
        *,
        clusters: int | None = None,
        hosts_per_cluster: int | None = None,
        vms: int | None = None,
        seed: int = 1,
        username: str = "root",
        password: str = "simulated",  # noqa: S107 - only valid for the simulator
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        fleet: Mapping[str, Any] | str | PathLike[str] | None = None,
        standby: bool = False,
        clock: Clock | None = None,
        version: str = "4.9.0",
        task_duration: float = 0.2,
        settle_delay: float = 0.0,
        keep_requests: int | None = 10_000,
        **behavior: Unpack[BehaviorOptions],
    ) -> None:
        chosen = {"clusters": clusters, "hosts_per_cluster": hosts_per_cluster, "vms": vms}
        given = {name: number for name, number in chosen.items() if number is not None}
        if isinstance(size, str):
            size = FleetSize.parse(size)
        self.size: FleetSize = dataclasses.replace(size or FleetSize(), **given)
        self.seed = seed
        self.username = username
        self.password = password
        self.clock: Clock = clock or Clock()
        """Clock of the server. ``clock.advance(60)`` lets a minute pass without waiting."""
        self.faults: Faults = Faults()
        """Fault injection: errors, hanging requests, connection resets and delays."""
        self._port = port
        self._tls = tls
        self._fleet = fleet
        self._standby = standby
        self._task_duration = task_duration
        self._settle_delay = settle_delay
        self._keep_requests = keep_requests
        if unknown := behavior.keys() - BehaviorOptions.__annotations__.keys():
            raise TypeError(_unexpected(min(unknown)))
        self._behavior = Behavior(**behavior, version=version)
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        # Generating a large fleet takes seconds and must not block the event loop.
        self._server = server = await anyio.to_thread.run_sync(self._build)
        self.requests = server.requests
        self.executed = server.executed
        self.nodes = []
        for state in ("active", "passive") if self._standby else ("active",):
            node = Node(server.handle, self.nodes, state, keep_requests=self._keep_requests)
            self.nodes.append(node)
        try:
            for node, port in zip(self.nodes, (self._port, 0), strict=False):
                await node.start(port, self._tls)
        except BaseException:  # the port is in use, or the start was cancelled
            await self.__aexit__(None, None, None)
            raise
        self.url = server.state.url = self.nodes[0].url
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            for node in self.nodes:
                await node.stop()
            self._server = None
            gc.unfreeze()

    def switch(self) -> None:
        """Exchange the roles of the active node and the passive node."""
        for node in self.nodes:
            node.state = "passive" if node.state == "active" else "active"

    def sent(self, path: str) -> list[Any]:
        """Return the bodies of all requests of one operation, in the order of arrival.

        Args:
            path: Path of the operation, for example ``"start-vm"``.

        Raises:
            ValueError: No operation has this path.
        """
        return request_log.sent(self.requests, path)

    def mutations(self) -> list[Request]:
        """Return the requests of mutations, except logins.

        To check that a program changes nothing, assert that the list is empty.
        """
        return request_log.mutations(self.requests)

    @classmethod
    def load(cls, path: str | PathLike[str], **options: Any) -> Self:  # noqa: ANN401
        """Return a simulator with the fleet of a JSON file.

        The file was written by ``save``, or contains results of queries to a real server:
        ``{"get-vms": [...], "get-clusters": [...], ...}``. Include the results of as many queries
        as possible. If the file contains VMs but no hosts, the simulator generates the hosts of the
        VMs. Other missing resources are generated, too.

        If a task in the file has not ended, its status becomes ``FAILED``. ``entityAsyncStatus`` of
        all resources becomes null.

        Args:
            path: Path of the file.
            options: Keyword arguments for the constructor.
        """
        return cls(fleet=Path(path), **options)

    @classmethod
    async def copy_of(cls, tower: Session, *, redact: bool = True, **options: Any) -> Self:  # noqa: ANN401
        """Return a simulator with a copy of the fleet of a Tower. The Tower is not changed.

        By default, strings such as names, addresses and secrets are replaced. Only ids, enum
        values, dates, versions and short numbers stay. The same string always gets the same
        replacement. Save the copy with ``save``. Review the file before you share it.

        Args:
            tower: Session with the Tower to copy.
            redact: Whether strings are replaced. With False, the copy contains all strings,
                including the secrets in responses of the Tower.
            options: Keyword arguments for the constructor.

        Raises:
            CallError: A query to the Tower failed.

        Example:
            ::

                async with Cloudtower.from_env() as tower:
                    simulator = await Simulator.copy_of(tower)
                async with simulator as sim:
                    await sim.save("fleet.json")
        """
        return cls(fleet=await read_fleet(tower, redact=redact), **options)

    def answer(
        self, path: str, value: object, *, status: int = 200, times: int | None = None
    ) -> None:
        """Respond to requests of an operation with a fixed value. The requests are not executed.

        Args:
            path: Path of the operation, for example ``"get-vms"``. For a URL path outside the API,
                the whole path with a leading slash: ``"/observability/obs/api/v3/services"``.
            value: Value that is sent as JSON. The value may contain structs of ``models``.
            status: HTTP status of the response.
            times: Number of requests that get this response. With None, all requests get it until
                ``faults.clear()`` is called.

        Raises:
            ValueError: No operation has this path.

        Example:
            ::

                sim.answer("get-vms", [{"id": "vm-1", "name": None}], times=1)
        """
        plain: object = msgspec.to_builtins(value)
        self.faults.answer(path, javascript.encode(plain), status=status, times=times)

    async def save(self, path: str | PathLike[str]) -> None:
        """Write the current fleet to a JSON file that ``load`` can read."""
        with self.store.lock:
            content = msgspec.json.encode(dump.save(self.store))
        await anyio.Path(path).write_bytes(content)

    def add_cluster(self, *, hosts: int = 3, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        """Add a cluster with hosts and networks, and return the cluster.

        Args:
            hosts: Number of hosts.
            fields: Values for fields of the cluster, by the names in the API.

        Raises:
            KeyError: `fields` contains a name that is not a field of the cluster.
            ValueError: An enum field has an unknown value, or a date has no time zone.
        """
        with self.store.lock:
            return builders.build_cluster(self._factory, hosts, fields)

    def add_vm(
        self,
        *,
        status: str = "RUNNING",
        host: str | None = None,
        **fields: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Add a VM with a disk and a NIC, and return the VM.

        VM tools run in a running VM unless you pass another ``vm_tools_status``.

        Args:
            status: Status of the VM: ``"RUNNING"``, ``"STOPPED"`` or ``"SUSPENDED"``.
            host: Id of the host for the VM. The default is the host with the most free memory.
            fields: Values for fields of the VM: ``name="web-1", cluster=an_id``.

        Raises:
            KeyError: `fields` contains a name that is not a field of the VM, or the host or the
                cluster does not exist.
            TypeError: The value of a relation, such as ``cluster``, is not an id or a list of ids.
            ValueError: An enum field has an unknown value, or a date has no time zone.
        """
        with self.store.lock:
            return builders.build_vm(self._factory, status, host, fields)

    def add_alert(self, about: str | None = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        """Add an alert, and return the alert.

        By default, the alert starts now. If `fields` contains a time, for example ``create_time``,
        the alert starts at this time.

        Args:
            about: Id of the VM, host, disk or cluster that the alert concerns. The default is the
                first cluster.
            fields: Values for fields of the alert: ``severity="INFO"``.

        Raises:
            KeyError: `fields` contains a name that is not a field of the alert, or `about` is not
                the id of a VM, host, disk or cluster.
            TypeError: `about` is not an id.
            ValueError: An enum field has an unknown value, or a date has no time zone.
        """
        with self.store.lock:
            return builders.build_alert(self._factory, about, fields)

    def shut_down_guest(self, vm: str) -> None:
        """Shut down the guest of a VM, as a command inside the guest would.

        The status of the VM becomes ``STOPPED`` after a delay. The option ``guest_shutdown_delay``
        of the simulator sets the delay, by default 0.1 seconds.

        Args:
            vm: Id of the VM.

        Raises:
            KeyError: The VM does not exist.
            ValueError: The VM is not running.
        """
        with self.store.lock:
            try:
                guests.shut_down(Context(self._factory, self.tasks, "", self.accounts), vm)
            except HttpError as exc:
                raise ValueError(exc.message) from None

    def unmodelled(self) -> list[str]:
        """Return the names of all operations that the simulator does not model.

        A name has the form ``"vm.create_vm"``. The server responds to requests of these operations
        with status 501.
        """
        return sorted(name for path, name in OPERATIONS.items() if not find_handler(path[1:]))

    def _make_fleet(self, store: Store) -> Factory:
        if self._fleet is None:
            ids = Ids(self.seed)
            return build_fleet(
                store, self.clock, ids, self.size, seed=self.seed, root=self.username
            )
        found = self._fleet
        if isinstance(found, str | PathLike):
            found = msgspec.json.decode(Path(found).read_bytes(), type=dict[str, Any])
        return load_fleet(store, self.clock, found, seed=self.seed, root=self.username)

    def _build(self) -> Server:
        self.store = store = Store(all_resources())
        with _not_collected():
            made = self._make_fleet(store)
        self._factory = factory = dataclasses.replace(made, behavior=self._behavior)
        self.accounts = Accounts(store, factory.ids)
        self.accounts.set_password(self.username, self.password)
        self.tasks = TaskEngine(
            store,
            self.clock,
            factory.ids,
            duration=self._task_duration,
            settle_delay=self._settle_delay,
        )
        self.uploads = Uploads(factory, duration=self._task_duration)
        self.changes = ChangeFeed(store, self.clock)
        self.metrics = MetricLimits()
        state = ServerState(self.uploads, self.changes, self.metrics)
        return Server(
            factory,
            self.tasks,
            self.accounts,
            self.faults,
            state,
            keep_requests=self._keep_requests,
        )


def _while_running(name: str, kind: str) -> property:
    """Return the property `name` of `Simulator`. `kind` is the name of the property's type.

    If the simulator is not running, reading the property raises AttributeError.
    """

    def get(simulator: Simulator) -> object:
        try:
            return vars(simulator)[name]
        except KeyError:
            text = f"{type(simulator).__name__!r} object has no attribute {name!r}"
            raise AttributeError(
                f"{text} before it is started: use it within 'async with'"
            ) from None

    def put(simulator: Simulator, value: object) -> None:
        vars(simulator)[name] = value

    doc = f"`{kind}` of a running simulator. The attribute exists within ``async with``."
    return property(get, put, doc=doc)


for _name, _kind in Simulator.__annotations__.items():
    setattr(Simulator, _name, _while_running(_name, _kind))


@contextmanager
def _not_collected() -> Generator[None]:
    """Exclude the objects that a ``with`` block creates from garbage collection.

    A scan of a large fleet takes seconds. `Simulator.__aexit__` unfreezes the objects.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
