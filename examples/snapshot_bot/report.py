"""Report of the results of a night."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .state import Row

_SHOWN = 20  # maximum number of errors in the text; the JSON has all errors


class VmReport(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Result for one VM. If `snapshot_id` is None, the snapshot failed with `error`."""

    vm_id: str
    vm_name: str
    snapshot_id: str | None
    error: str | None


class Report(msgspec.Struct, kw_only=True, frozen=True):
    """Results of a night.

    Attributes:
        name: Name of the snapshots.
        vms: VMs of the night, sorted by name.
        done: Number of VMs that have a snapshot.
        removed: Number of older snapshots that this run deleted.
        removal_errors: Errors of deletions that failed.
    """

    name: str
    vms: list[VmReport]
    done: int
    removed: int
    removal_errors: list[str]

    @property
    def complete(self) -> bool:
        """Whether everything succeeded. A night without VMs is incomplete."""
        return 0 < len(self.vms) == self.done and not self.removal_errors

    def text(self) -> str:
        """Return the report as text."""
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
    """Create the report of a night from its stored state."""
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
