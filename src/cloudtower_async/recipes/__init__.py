"""The vendor's documented scenarios, each as a function of a session."""

from __future__ import annotations

from .amounts import Amount
from .dashboard import build_dashboard
from .shapes import (
    AlertCounts,
    AlertSummary,
    ClusterSummary,
    CpuSummary,
    Dashboard,
    DiskSummary,
    MemorySummary,
    StorageSummary,
)

__all__ = [
    "AlertCounts",
    "AlertSummary",
    "Amount",
    "ClusterSummary",
    "CpuSummary",
    "Dashboard",
    "DiskSummary",
    "MemorySummary",
    "StorageSummary",
    "build_dashboard",
]
