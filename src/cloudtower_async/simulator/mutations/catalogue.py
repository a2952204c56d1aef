"""All mutations that the simulator models, by path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cluster import clusters, maintenance
from .generic import crud, simple_updates
from .network import floating_ips
from .policy import settings
from .storage import consistency_groups, copies
from .vm import (
    create_vm,
    delete_vm,
    disks,
    edit_vm,
    exports,
    gpu_passthrough,
    imports,
    migration,
    nics,
    power,
    rollback,
    snapshots,
    templates,
)

if TYPE_CHECKING:
    from .context import Handler

MUTATIONS: dict[str, Handler] = {
    **crud.MUTATIONS,
    **simple_updates.MUTATIONS,
    **copies.MUTATIONS,
    **consistency_groups.MUTATIONS,
    **floating_ips.MUTATIONS,
    **settings.MUTATIONS,
    **clusters.MUTATIONS,
    **power.MUTATIONS,
    **snapshots.MUTATIONS,
    **create_vm.MUTATIONS,
    **rollback.MUTATIONS,
    **disks.MUTATIONS,
    **nics.MUTATIONS,
    **gpu_passthrough.MUTATIONS,
    **edit_vm.MUTATIONS,
    **delete_vm.MUTATIONS,
    **templates.MUTATIONS,
    **migration.MUTATIONS,
    **maintenance.MUTATIONS,
    **exports.MUTATIONS,
    **imports.MUTATIONS,
}
