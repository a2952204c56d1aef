"""Recipes: functions for common scenarios from the vendor's documentation. Each needs a session."""

from __future__ import annotations

from .amounts import Amount
from .backup import Backup, backup_vm, backup_vms
from .dashboard import build_dashboard
from .dashboard_models import (
    AlertCounts,
    AlertSummary,
    ClusterSummary,
    CpuSummary,
    Dashboard,
    DiskSummary,
    MemorySummary,
    StorageSummary,
)
from .ensure.flow import Ensured, EnsureResult
from .ensure.folders import ensure_folder
from .ensure.labels import ensure_label, ensure_labels
from .ensure.placement_groups import ensure_placement_group
from .ensure.power import PowerState, ensure_power
from .ensure.snapshots import ensure_snapshot
from .ensure.vms import ensure_vm
from .ensure.volumes import ensure_volume_attached, ensure_volume_detached
from .guests import wait_for_addresses, wait_for_tools
from .imports import import_template
from .maintenance import check_maintenance, enter_maintenance, leave_maintenance
from .maintenance_results import (
    MaintenanceCheck,
    MaintenanceEntered,
    MaintenanceLeft,
    VmsInTheWay,
)
from .power import PowerOutcome, restart_vms, shut_down_vms, start_vms
from .progress import OnProgress, Progress
from .provision import create_blank_vm, create_vm_from_template
from .reports import (
    CapacityForecast,
    CapacityOutlook,
    Expiration,
    ExpirationKind,
    NicErrors,
    Orphan,
    OrphanKind,
    find_expirations,
    find_orphans,
    forecast_capacity,
    measure_nic_errors,
)
from .vm_spec import Disk, ExistingVolume, NewDisk, Nic

__all__ = [
    "AlertCounts",
    "AlertSummary",
    "Amount",
    "Backup",
    "CapacityForecast",
    "CapacityOutlook",
    "ClusterSummary",
    "CpuSummary",
    "Dashboard",
    "Disk",
    "DiskSummary",
    "EnsureResult",
    "Ensured",
    "ExistingVolume",
    "Expiration",
    "ExpirationKind",
    "MaintenanceCheck",
    "MaintenanceEntered",
    "MaintenanceLeft",
    "MemorySummary",
    "NewDisk",
    "Nic",
    "NicErrors",
    "OnProgress",
    "Orphan",
    "OrphanKind",
    "PowerOutcome",
    "PowerState",
    "Progress",
    "StorageSummary",
    "VmsInTheWay",
    "backup_vm",
    "backup_vms",
    "build_dashboard",
    "check_maintenance",
    "create_blank_vm",
    "create_vm_from_template",
    "ensure_folder",
    "ensure_label",
    "ensure_labels",
    "ensure_placement_group",
    "ensure_power",
    "ensure_snapshot",
    "ensure_vm",
    "ensure_volume_attached",
    "ensure_volume_detached",
    "enter_maintenance",
    "find_expirations",
    "find_orphans",
    "forecast_capacity",
    "import_template",
    "leave_maintenance",
    "measure_nic_errors",
    "restart_vms",
    "shut_down_vms",
    "start_vms",
    "wait_for_addresses",
    "wait_for_tools",
]
