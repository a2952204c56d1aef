"""Options for behavior that is undocumented or differs between real servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from ..calls.server_version import is_older

NothingMatches: TypeAlias = Literal["empty", "404"]
LongMetrics: TypeAlias = Literal["cut", "whole"]
RunningVms: TypeAlias = Literal["accepted", "task_fails", "refused"]
TakenNames: TypeAlias = Literal["refused", "task_fails"]

_CHOICES = {
    "nothing_matches": get_args(NothingMatches),
    "long_metrics": get_args(LongMetrics),
    "running_vms": get_args(RunningVms),
    "taken_names": get_args(TakenNames),
}

_LOCKS_SINCE = "3.3.0"
"""First version that locks the resources of a task."""
_EVERY_LANGUAGE_SINCE = "4.4.0"
"""First version that accepts the content language ``*``."""

_FRACTIONAL = ("unique_logical_size", "used_cpu_hz", "used_memory_bytes")
"""Fields that the vendor's Go SDK had to change from integers to floats."""


_DELAYS = ("guest_tools_delay", "guest_address_delay", "guest_shutdown_delay")


class BehaviorOptions(TypedDict, total=False):
    """The fields of `Behavior` as keyword arguments of `Simulator`."""

    nothing_matches: NothingMatches
    fractions: bool
    long_metrics: LongMetrics
    guest_tools: bool
    guest_tools_delay: float
    guest_address_delay: float
    guest_shutdown_delay: float
    sync_renews_ids: bool
    running_vms: RunningVms
    taken_names: TakenNames
    late_creates: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """Options for behavior that differs between real servers, or is not documented.

    The defaults, except the delays, are the most likely behavior of a real server.

    Args:
        nothing_matches: Response to a mutation whose filter matches no resource. ``"empty"``
            returns status 200 with an empty list. ``"404"`` returns an error. Operations that
            declare status 304 in the schema return 304 in both cases.
        fractions: Whether sizes and frequencies in responses are floats such as ``1024.5``. Real
            servers sometimes send such values.
        long_metrics: Response to a query for metrics of 10 or more VMs over a day or more.
            ``"cut"`` omits the older half of the points, and ``dropped`` in the response is true.
            ``"whole"`` sends all points.
        guest_tools: Whether VM tools run in the guests of started and added VMs. Without VM tools,
            the server does not know the IP addresses of a VM.
        guest_tools_delay: Seconds from the start of a VM until its VM tools are running.
        guest_address_delay: Seconds from the start of the VM tools until the IP address of the
            first NIC is known. For each further NIC, add half of this time.
        guest_shutdown_delay: Seconds from the shutdown of a guest until the status of its VM
            becomes ``STOPPED``. See `Simulator.shut_down_guest`.
        sync_renews_ids: Give the disks and NICs of a VM new ids at the end of each task that
            changes the VM. On real servers, a synchronization with the cluster can have this
            effect.
        running_vms: Result of deleting a VM, rolling back a VM or moving a VM to the recycle bin,
            if the VM is not stopped. ``"accepted"``: a task executes the operation.
            ``"task_fails"``: the task fails. ``"refused"``: the request fails with status 400.
        taken_names: Result of using a name that another VM or placement group already has.
            ``"refused"``: the request fails with status 400. ``"task_fails"``: the task fails. The
            error codes are known from real servers, but the status 400 is a guess.
        late_creates: If ``tasks.fail_next()`` makes the creation of a VM fail, the VM still appears
            after this number of seconds. Its id differs from the id in the response. On real
            servers, this happens after a time-out between the server and the hypervisor. With None,
            the VM never appears.
        version: Version of the server. Servers before 3.3.0 do not lock resources. Servers before
            4.4.0 do not accept the content language ``*``.

    Raises:
        ValueError: A value is not one of the choices.
    """

    nothing_matches: NothingMatches = "empty"
    fractions: bool = False
    long_metrics: LongMetrics = "cut"
    guest_tools: bool = True
    guest_tools_delay: float = 0.1
    guest_address_delay: float = 0.1
    guest_shutdown_delay: float = 0.1
    sync_renews_ids: bool = False
    running_vms: RunningVms = "accepted"
    taken_names: TakenNames = "refused"
    late_creates: float | None = None
    version: str = "4.9.0"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            chosen = getattr(self, name)
            if chosen not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}; got {chosen!r}")
        if self.late_creates is not None and not self.late_creates >= 0:
            raise ValueError(
                f"late_creates: expected a number of seconds; got {self.late_creates!r}"
            )
        for name in _DELAYS:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected seconds from 0; got {getattr(self, name)!r}")

    @property
    def locks(self) -> bool:
        """Whether the server locks the resources of a task while the task runs."""
        return not is_older(self.version, _LOCKS_SINCE)

    @property
    def every_language(self) -> bool:
        """Whether the server accepts the content language ``*``."""
        return not is_older(self.version, _EVERY_LANGUAGE_SINCE)

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document in the form that responses contain.

        If `fractions` is set, sizes and frequencies become floats such as ``1024.5``.
        """
        if self.fractions:
            for field in _FRACTIONAL:
                if isinstance(document.get(field), int | float):
                    document[field] += 0.5
        return document


BehaviorOptions.__doc__ = Behavior.__doc__  # `simulate --help` shows what each option means
