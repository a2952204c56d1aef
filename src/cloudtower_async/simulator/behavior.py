"""Options for behavior in which real servers differ or that is not documented."""

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
"""Versions that brought the error `ResourceLocked` and the content language ``*``."""

_FRACTIONAL = ("unique_logical_size", "used_cpu_hz", "used_memory_bytes")
"""Fields that the vendor's Go SDK had to turn from integers into floats."""


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
    """Choices between possible behaviors of a server. The defaults are the likelier ones.

    Args:
        nothing_matches: Answer of a mutation whose filter matches nothing: ``"empty"`` is status
            200 with an empty list, ``"404"`` is an error. Operations that the schema allows to
            answer 304 answer 304 either way.
        fractions: Send fractions in the sizes and frequencies in which real servers send some.
        long_metrics: Metrics of 10 VMs or more over a day or more: ``"cut"`` leaves out the older
            half of the points and sets ``dropped``, ``"whole"`` sends them all.
        guest_tools: Whether the guests of VMs that start have VM tools. Without these the server
            learns no address.
        guest_tools_delay: Seconds from the start of a VM until its VM tools are running.
        guest_address_delay: Seconds from then until the address of the first NIC is known; each
            further NIC takes half of that more.
        guest_shutdown_delay: Seconds until a VM is shown as stopped whose guest has shut itself
            down; see `Simulator.shut_down_guest`.
        sync_renews_ids: Give the disks and NICs of a VM new ids at the end of each task that
            changes the VM, as a synchronization with its cluster can do.
        running_vms: How deleting, recycling or rolling back a VM that is not stopped ends:
            ``"accepted"`` does it in a task, ``"task_fails"`` fails that task, ``"refused"``
            answers 400.
        taken_names: How it fails to give a VM or a placement group a name that is taken:
            ``"refused"`` answers 400, ``"task_fails"`` fails the task. The codes are the server's,
            the status 400 is a guess.
        late_creates: Seconds after which a VM appears under a new id although the task that was
            to create it was made to fail: a time-out towards the hypervisor. None: it never does.
        version: Version of the server. There are no locks before 3.3.0, and no content language
            ``*`` before 4.4.0.

    Raises:
        ValueError: A value is none of the choices.
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
        """Whether the server locks what a task works on."""
        return not is_older(self.version, _LOCKS_SINCE)

    @property
    def every_language(self) -> bool:
        """Whether the server knows the content language ``*``."""
        return not is_older(self.version, _EVERY_LANGUAGE_SINCE)

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document as the server shows it, given it as the schema wants it."""
        if self.fractions:
            for field in _FRACTIONAL:
                if isinstance(document.get(field), int | float):
                    document[field] += 0.5
        return document


BehaviorOptions.__doc__ = Behavior.__doc__  # `simulate --help` shows what each option means
