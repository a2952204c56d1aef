"""Results and errors of the recipes for maintenance mode."""

from __future__ import annotations

import msgspec

from .. import models
from ..errors import CloudtowerError
from .progress import label


class MaintenanceCheck(msgspec.Struct, kw_only=True, frozen=True):
    """Result of a check whether a host can enter maintenance mode.

    Attributes:
        host: The host.
        must_stop: VMs that cannot be moved to another host, and must be shut down first.
        unseen: Further VMs that cannot be moved, but are hidden from the session's user. Each item
            is the ``local_id`` of a VM. If the server did not send the ``local_id``, the item is
            ``"unnamed"``.
    """

    host: models.Host
    must_stop: list[models.Vm]
    unseen: list[str] = []


class MaintenanceEntered(msgspec.Struct, kw_only=True, frozen=True):
    """Result of entering maintenance mode.

    Each VM that was running or suspended on the host is in one of the lists.

    Attributes:
        host: The host after the operation.
        moved: VMs that were moved to another host.
        stopped: VMs that were shut down.
        unclear: VMs that are neither moved nor stopped: they are still on this host, have no host,
            or are no longer listed by the server. A VM that is no longer listed is shown as it was
            before the operation.
    """

    host: models.Host
    moved: list[models.Vm]
    stopped: list[models.Vm]
    unclear: list[models.Vm] = []


class MaintenanceLeft(msgspec.Struct, kw_only=True, frozen=True):
    """Result of leaving maintenance mode.

    Attributes:
        host: The host after the operation.
        back: VMs that were moved back to the host.
        started: VMs that were shut down for the maintenance and are running again.
        not_back: VMs that should have been moved back or started, but were not.
        unseen: Further VMs that should have been moved back or started, but are hidden from the
            session's user. Each item is the name of a VM, or its ``local_id`` if the server did not
            send the name. If the server sent neither, the item is ``"unnamed"``.
    """

    host: models.Host
    back: list[models.Vm]
    started: list[models.Vm]
    not_back: list[models.Vm]
    unseen: list[str] = []


class VmsInTheWay(CloudtowerError):  # noqa: N818 - the name describes the problem
    """A host did not enter maintenance mode, because some of its VMs cannot be moved.

    Pass ``stop_vms=True`` to shut down these VMs. If some of these VMs are hidden from the
    session's user, the error is raised even with ``stop_vms=True``. Nothing was changed.

    Attributes:
        check: Result of the check: the host, and the VMs that cannot be moved.
    """

    def __init__(self, check: MaintenanceCheck) -> None:
        super().__init__(check)
        self.check: MaintenanceCheck = check

    def _describe(self) -> str:
        names = [label(vm) for vm in self.check.must_stop] + self.check.unseen
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        remedy = "Move or stop them, or pass stop_vms=True."
        if self.check.unseen:
            remedy = (
                f"{len(self.check.unseen)} of them are invisible to this user: act as a user who "
                "sees them."
            )
        return (
            f"host {label(self.check.host)} cannot be emptied: {len(names)} of its VMs cannot be "
            f"moved: {shown}. {remedy}"
        )
