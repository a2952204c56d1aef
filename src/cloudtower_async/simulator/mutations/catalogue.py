"""Every mutation that is modelled, by its path. Each answers before anything has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cluster import clusters, maintenance
from .generic import actions, generic
from .policy import settings
from .storage import consistency_groups, copies
from .vm import (
    create_vm,
    disks,
    exports,
    gpu_passthrough,
    imports,
    migration,
    nics,
    options,
    power,
    removal,
    rollback,
    snapshots,
    templates,
)

if TYPE_CHECKING:
    from .world import Effect

EFFECTS: dict[str, Effect] = {
    **generic.EFFECTS,
    **actions.EFFECTS,
    **copies.EFFECTS,
    **consistency_groups.EFFECTS,
    **settings.EFFECTS,
    **clusters.EFFECTS,
    **power.EFFECTS,
    **snapshots.EFFECTS,
    **create_vm.EFFECTS,
    **rollback.EFFECTS,
    **disks.EFFECTS,
    **nics.EFFECTS,
    **gpu_passthrough.EFFECTS,
    **options.EFFECTS,
    **removal.EFFECTS,
    **templates.EFFECTS,
    **migration.EFFECTS,
    **maintenance.EFFECTS,
    **exports.EFFECTS,
    **imports.EFFECTS,
}
