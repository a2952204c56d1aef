"""Prometheus exporter: metrics of many CloudTowers from one process; requires extra ``exporter``.

`Exporter` reads the Towers in the background and keeps the latest figures. `MetricsServer` serves
them over HTTP.
"""

from __future__ import annotations

try:
    import prometheus_client as _prometheus_client
except ModuleNotFoundError as _missing:
    if _missing.name != "prometheus_client":
        raise
    raise ModuleNotFoundError(
        'the exporter needs an extra: pip install "cloudtower-async[exporter]"', name=_missing.name
    ) from _missing

from .exporter import Exporter
from .passwords import hash_password, read_password_file
from .server import MetricsServer

__all__ = ["Exporter", "MetricsServer", "hash_password", "read_password_file"]

del _prometheus_client
