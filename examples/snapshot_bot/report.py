"""What has come of a night."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .state import Row

_SHOWN = 20  # failures in the text; the JSON has all


class VmReport(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What has come of one VM: without a `snapshot_id` nothing, and `error` says why."""

    vm_id: str
    vm_name: str
    snapshot_id: str | None
    error: str | None


class Report(msgspec.Struct, kw_only=True, frozen=True):
    """What has come of a night.

    Attributes:
        name: Of the snapshots.
        vms: Each VM of the night, by name.
        done: How many have a snapshot.
        removed: How many older snapshots this run has deleted.
        removal_errors: Why some could not be deleted.
    """

    name: str
    vms: list[VmReport]
    done: int
    removed: int
    removal_errors: list[str]

    @property
    def complete(self) -> bool:
        """Whether there is nothing to look after. A night without VMs is a mistake, too."""
        return 0 < len(self.vms) == self.done and not self.removal_errors

    def text(self) -> str:
        """For people."""
        errors = [f"{vm.vm_name}: {vm.error}" for vm in self.vms if vm.snapshot_id is None]
        errors += self.removal_errors
        head = (
            f"{self.name}: {self.done} of {len(self.vms)} VMs backed up, "
            f"{self.removed} old snapshots deleted, {len(errors)} errors"
        )
        lines = [head, *errors[:_SHOWN]]
        if len(errors) > _SHOWN:
            lines.append(f"… and {len(errors) - _SHOWN} more")
        return "\n".join(lines)


def make_report(name: str, rows: Iterable[Row], removed: int, removal_errors: list[str]) -> Report:
    """Sum up what the state knows of a night."""
    vms = [
        VmReport(
            vm_id=row.vm_id,
            vm_name=row.vm_name,
            snapshot_id=row.snapshot_id,
            error=row.error,
        )
        for row in rows
    ]
    done = sum(vm.snapshot_id is not None for vm in vms)
    return Report(name=name, vms=vms, done=done, removed=removed, removal_errors=removal_errors)
