"""Reports: orphans, NIC errors, storage forecasts and expirations."""

from __future__ import annotations

from .capacity import CapacityForecast, CapacityOutlook, forecast_capacity
from .expirations import Expiration, ExpirationKind, find_expirations
from .nic_errors import NicErrors, measure_nic_errors
from .orphans import Orphan, OrphanKind, find_orphans

__all__ = [
    "CapacityForecast",
    "CapacityOutlook",
    "Expiration",
    "ExpirationKind",
    "NicErrors",
    "Orphan",
    "OrphanKind",
    "find_expirations",
    "find_orphans",
    "forecast_capacity",
    "measure_nic_errors",
]
