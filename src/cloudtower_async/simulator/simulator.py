"""Simulator: an HTTP server on loopback with a generated fleet."""

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


class Simulator:
    """Simulated CloudTower for tests: a real HTTP server on loopback with a generated fleet.

    Any number of clients can use the server, also from other threads and processes. Operations that
    the simulator does not model are answered with status 501.

    Args:
        size: Size of the fleet, as a `FleetSize` or a string such as ``"3 clusters, 200 VMs"``.
        clusters: Number of clusters; overrides ``size``.
        hosts_per_cluster: Number of hosts per cluster; overrides ``size``.
        vms: Number of VMs; overrides ``size``.
        seed: Seed of the fleet; the same seed generates the same fleet.
        username: Name of the user who can log in.
        password: The password of that user.
        port: Port to listen on; 0 for any free port.
        tls: Serve HTTPS with this context.
        fleet: Fleet to use instead of a generated one: answers of queries by path, or a JSON file
            with them; see ``load``.
        standby: Also listen on a second address, as the passive node of a pair.
        clock: Clock of the server; by default, the clock follows real time.
        version: Server version, 3.0.0 or later. Operations of later versions are unknown, but
            answers have the fields of the newest version. Servers before 3.3.0 have no locks;
            servers before 4.4.0 lack the content language ``*``.
        task_duration: Seconds that a task takes.
        settle_delay: Seconds that ``entityAsyncStatus`` stays set after a task has ended.
        keep_requests: Number of latest requests to record; None: all.
        behavior: Choices between the behaviors of real servers, by keyword:
            ``nothing_matches="404"``, ``fractions=True``. See `Behavior`.

    Example:
        async with Simulator(vms=100, seed=7) as sim:
            async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
                vms = await tower.vm.get_vms(where={"status": "RUNNING"})
    """

    store: Store
    """State of the server; change it to set up a test."""

    tasks: TaskEngine
    """Task engine, which can make tasks fail, hide them or pause them."""

    accounts: Accounts
    """Passwords and tokens."""

    uploads: Uploads
    """State of each upload; contents are not kept."""

    changes: ChangeFeed
    """Change feed: its credential, entries and compaction."""

    metrics: MetricLimits
    """Limits of the metrics in answers."""

    requests: list[Request]
    """Received requests in order, without those that a passive node redirected.

    Only the latest requests are kept: 10,000, or ``keep_requests``.
    """

    executed: list[Request]
    """Requests that were executed, even if their answers were lost."""

    nodes: list[Node]
    """Nodes of the server: one, or two for a pair. A test can set the ``state`` of each node."""

    url: str
    """Address of the first node: ``http://127.0.0.1:…``, with TLS ``https://localhost:…``."""

    def __init__(
        self,
        size: FleetSize | str | None = None,
        *,
        clusters: int | None = None,
        hosts_per_cluster: int | None = None,
        vms: int | None = None,
        seed: int = 1,
        username: str = "root",
        password: str = "simulated",  # noqa: S107 - of no server but this one
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
        """Clock of the server; ``clock.advance(60)`` saves a minute of waiting."""
        self.faults: Faults = Faults()
        """Fault injection: errors, hanging requests, connection resets, delays."""
        self._port = port
        self._tls = tls
        self._fleet = fleet
        self._standby = standby
        self._task_duration = task_duration
        self._settle_delay = settle_delay
        self._keep_requests = keep_requests
        if unknown := behavior.keys() - BehaviorOptions.__annotations__.keys():
            raise TypeError(f"Simulator() got an unexpected keyword argument {min(unknown)!r}")
        self._behavior = Behavior(**behavior, version=version)
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        # Generating a large fleet takes seconds, so a thread does it.
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
        except BaseException:  # the port is taken, or the start was cancelled
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
        """Switch the roles of the nodes of a pair."""
        for node in self.nodes:
            node.state = "passive" if node.state == "active" else "active"

    def sent(self, path: str) -> list[Any]:
        """Return the bodies of the requests of one operation, in the order in which they came.

        Args:
            path: Path of the operation: ``"start-vm"``.

        Raises:
            ValueError: No operation has this path.
        """
        return request_log.sent(self.requests, path)

    def mutations(self) -> list[Request]:
        """Return the requests for mutations, without logins. A dry run sends no such request."""
        return request_log.mutations(self.requests)

    @classmethod
    def load(cls, path: str | PathLike[str], **options: Any) -> Self:  # noqa: ANN401
        """Return a simulator with the fleet of a file.

        The file was written by ``save``, or contains answers of a real server as JSON:
        ``{"get-vms": [...], "get-clusters": [...], ...}``. Include as many answers as possible:
        resources that other resources only mention are generated. Unfinished work does not
        continue: its tasks are shown as failed, and ``entityAsyncStatus`` is null everywhere.

        Args:
            path: Path of the file.
            options: Options of the class.
        """
        return cls(fleet=Path(path), **options)

    @classmethod
    async def copy_of(cls, tower: Session, *, redact: bool = True, **options: Any) -> Self:  # noqa: ANN401
        """Return a simulator with a copy of the fleet of a Tower, which is only read.

        Names, addresses, free texts and secrets are replaced, and so is any other text that is not
        known to be harmless. The same text always gets the same replacement. Ids, enum values,
        dates, versions and numbers stay. Save the copy with ``save``, and review it before you
        share it.

        Args:
            tower: Session with the Tower to copy.
            redact: Replace the texts; False keeps all texts, including the secrets that the server
                shows.
            options: Options of the class.

        Raises:
            CallError: The Tower cannot be read.

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
        """Answer the requests of an operation with this value instead of executing them.

        Args:
            path: Path of the operation: ``"get-vms"``. A path outside the API begins with a slash:
                ``"/observability/obs/api/v3/services"``.
            value: Answer, sent as JSON; may contain structs of ``models``.
            status: HTTP status of the answer.
            times: Number of requests to answer this way; None: all, until ``faults.clear()``.

        Raises:
            ValueError: No operation has this path.

        Example:
            ::

                sim.answer("get-vms", [{"id": "vm-1", "name": None}], times=1)
        """
        plain: object = msgspec.to_builtins(value)
        self.faults.answer(path, javascript.encode(plain), status=status, times=times)

    async def save(self, path: str | PathLike[str]) -> None:
        """Write the current fleet to a file."""
        with self.store.lock:
            content = msgspec.json.encode(dump.save(self.store))
        await anyio.Path(path).write_bytes(content)

    def add_cluster(self, *, hosts: int = 3, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        """Add a cluster with hosts and networks, and return the cluster.

        Args:
            hosts: Number of hosts.
            fields: Values of fields of the cluster, by their API names.
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

        Args:
            status: Status of the VM.
            host: Id of the VM's host; by default the host with the most free memory.
            fields: Values of fields of the VM: ``name="web-1", cluster=an_id``.
        """
        with self.store.lock:
            return builders.build_vm(self._factory, status, host, fields)

    def add_alert(self, about: str | None = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
        """Add an alert, and return the alert.

        Args:
            about: Id of a VM, a host, a disk or a cluster; by default the first cluster.
            fields: Values of fields of the alert: ``severity="INFO"``.
        """
        with self.store.lock:
            return builders.build_alert(self._factory, about, fields)

    def shut_down_guest(self, vm: str) -> None:
        """Let the guest of a VM shut itself down, as by a command inside the guest.

        The VM is shown as running for another ``guest_shutdown_delay`` seconds.

        Args:
            vm: The id of the VM.

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
        """Return the names of the operations that are answered with status 501:
        ``"vm.create_vm"``."""
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
    """Return a property for an attribute that exists only while the simulator runs."""

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

    doc = f"`{kind}` of a running simulator. It exists within ``async with``."
    return property(get, put, doc=doc)


for _name, _kind in Simulator.__annotations__.items():
    setattr(Simulator, _name, _while_running(_name, _kind))


@contextmanager
def _not_collected() -> Generator[None]:
    """Exclude objects that the block creates from garbage collection, until ``gc.unfreeze``.

    A fleet contains no garbage, and a collection among millions of objects takes seconds.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
