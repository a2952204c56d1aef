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
_EVERY_LANGUAGE_SINCE = "4.4.0"
"""First version with the content language ``*``. `_LOCKS_SINCE`: first version with locks."""

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
    """Choices between possible behaviors of a server, with the likelier ones as defaults.

    Args:
        nothing_matches: Answer of a mutation whose filter matches nothing: ``"empty"`` is status
            200 with an empty list, ``"404"`` is an error. Operations with a 304 in the schema
            answer 304 in both cases.
        fractions: Send fractions in sizes and frequencies, as real servers sometimes do.
        long_metrics: Metrics of 10 VMs or more over a day or more: ``"cut"`` leaves out the older
            half of the points and sets ``dropped``, ``"whole"`` sends them all.
        guest_tools: Whether the guests of started VMs have VM tools. Without VM tools, the server
            learns no addresses.
        guest_tools_delay: Seconds from the start of a VM until its VM tools are running.
        guest_address_delay: Seconds after that until the address of the first NIC is known; each
            further NIC takes half of this time more.
        guest_shutdown_delay: Seconds after a guest has shut itself down until its VM is shown as
            stopped; see `Simulator.shut_down_guest`.
        sync_renews_ids: Give the disks and NICs of a VM new ids at the end of each task that
            changes the VM, as a synchronization with its cluster can do.
        running_vms: Result of deleting, recycling or rolling back a VM that is not stopped:
            ``"accepted"``: a task does it; ``"task_fails"``: the task fails; ``"refused"``: status
            400.
        taken_names: Failure for a name of a VM or a placement group that is taken: ``"refused"``:
            status 400; ``"task_fails"``: the task fails. The codes are known from real servers, the
            status 400 is a guess.
        late_creates: Seconds after which a VM appears under a new id although its creation task was
            made to fail, as after a time-out of the hypervisor. None: never.
        version: Version of the server. Servers before 3.3.0 have no locks; servers before 4.4.0
            lack the content language ``*``.

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
        """Whether the server locks the resources of a task."""
        return not is_older(self.version, _LOCKS_SINCE)

    @property
    def every_language(self) -> bool:
        """Whether the server knows the content language ``*``."""
        return not is_older(self.version, _EVERY_LANGUAGE_SINCE)

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document as the server shows it, which may have fractions."""
        if self.fractions:
            for field in _FRACTIONAL:
                if isinstance(document.get(field), int | float):
                    document[field] += 0.5
        return document


BehaviorOptions.__doc__ = Behavior.__doc__  # `simulate --help` shows what each option means
