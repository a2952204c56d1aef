"""Every mutation that is modelled, by its path. Each answers before anything has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import (
    actions,
    clusters,
    copies,
    create_vm,
    exports,
    generic,
    groups,
    imports,
    maintenance,
    migration,
    passthrough,
    power,
    rollback,
    settings,
    snapshots,
    templates,
    vm_disks,
    vm_nics,
    vm_options,
    vm_removal,
)

if TYPE_CHECKING:
    from .world import Effect

EFFECTS: dict[str, Effect] = {
    **generic.EFFECTS,
    **actions.EFFECTS,
    **copies.EFFECTS,
    **groups.EFFECTS,
    **settings.EFFECTS,
    **clusters.EFFECTS,
    **power.EFFECTS,
    **snapshots.EFFECTS,
    **create_vm.EFFECTS,
    **rollback.EFFECTS,
    **vm_disks.EFFECTS,
    **vm_nics.EFFECTS,
    **passthrough.EFFECTS,
    **vm_options.EFFECTS,
    **vm_removal.EFFECTS,
    **templates.EFFECTS,
    **migration.EFFECTS,
    **maintenance.EFFECTS,
    **exports.EFFECTS,
    **imports.EFFECTS,
}
