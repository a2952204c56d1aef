"""Measure how much the error counters of the hosts' NICs have grown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import msgspec

from ... import inputs
from ...client import Cloudtower
from ...metrics.results import Subject
from ...types import EVERYTHING, Everything

_COUNTERS = {
    "host_network_receive_errors": "receive_errors",
    "host_network_transmit_errors": "transmit_errors",
    "host_network_receive_dropped_packets": "receive_dropped",
    "host_network_transmit_dropped_packets": "transmit_dropped",
    "host_network_receive_fifo_errors": "receive_fifo_errors",
    "host_network_transmit_fifo_errors": "transmit_fifo_errors",
}
"""Dict from metrics to the fields of `NicErrors` that contain the growth of the metric."""


class NicErrors(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Growth of the error counters of one NIC. Counters with fewer than two values are None.

    Attributes:
        host_id: Id of the host; None if it is unknown to which host the NIC belongs.
        host_name: Name of the host; None if `host_id` is None.
        nic: Name of the NIC, such as ``ens1``; None for a host without measured values.
        total: Sum of the growth of all counters; None if no counter has two values.
        receive_errors: Packets received with errors.
        transmit_errors: Packets not transmitted because of errors.
        receive_dropped: Received packets that were dropped.
        transmit_dropped: Packets dropped before they were transmitted.
        receive_fifo_errors: FIFO errors while receiving.
        transmit_fifo_errors: FIFO errors while transmitting.
    """

    host_id: str | None
    host_name: str | None
    nic: str | None
    total: float | None
    receive_errors: float | None = None
    transmit_errors: float | None = None
    receive_dropped: float | None = None
    transmit_dropped: float | None = None
    receive_fifo_errors: float | None = None
    transmit_fifo_errors: float | None = None


_Nic: TypeAlias = "tuple[Subject | None, str | None]"


async def measure_nic_errors(
    tower: Cloudtower,
    clusters: inputs.ClusterWhereInput | Everything = EVERYTHING,
    *,
    range: str = "24h",  # noqa: A002 - the API's name
) -> list[NicErrors]:
    """Measure how much the error counters of the hosts' NICs have grown.

    Counters start at 0 again when a host restarts. The growth is the sum of all increases, so
    it includes the errors before and after a restart. Errors between the last recorded value and a
    restart are not counted.

    Args:
        tower: Session to read with.
        clusters: Filter for the clusters of the hosts.
        range: Time range until now: a number with the unit s, m, h, d or w. For ``72h`` and
            ``168h``, some servers return no values; use ``24h`` or ``7d``.

    Returns:
        One row for each NIC with metrics, sorted by `total`, the largest first. A host without
        metrics has one row, whose `nic` is None. Rows without a `total` come last.

    Raises:
        InvalidInput: An argument cannot be used.
        EmptyFilter: ``clusters`` could match every cluster, for example because it is empty. To
            measure all clusters, pass `EVERYTHING`.
        CallError: Hosts or metrics cannot be read.

    Warns:
        MetricsWarning: The server returned no values of a metric, or only some.

    Example:
        ::

            for nic in await measure_nic_errors(tower, {"name": "prod"}, range="7d"):
                if nic.total:
                    print(nic.host_name, nic.nic, nic.receive_errors, nic.transmit_errors)
    """
    measured = await tower.measure(
        tower.metrics.get_host_network_metrics,
        hosts=EVERYTHING if isinstance(clusters, Everything) else {"cluster": clusters},
        metrics=list(_COUNTERS),
        range=range,
    )
    growth: dict[_Nic, dict[str, float | None]] = {}
    for series in measured.series:
        nic = series.subject, series.labels.get("_device")
        counters = growth.setdefault(nic, {})
        if field := _COUNTERS.get(series.metric):
            counters[field] = counter_growth(series.values)
    with_series = {host for host, _ in growth}
    growth |= {(host, None): {} for host in measured.missing if host not in with_series}
    rows = [
        NicErrors(
            host_id=host.id if host else None,
            host_name=host.name if host else None,
            nic=device,
            total=_total(counters.values()),
            **counters,
        )
        for (host, device), counters in growth.items()
    ]
    return sorted(rows, key=_worst_first)


def counter_growth(values: Sequence[float]) -> float | None:
    """Return the sum of all increases of a counter, or None if it has fewer than two values.

    Args:
        values: Values of the counter in the order of time; NaN for a missing value. A decrease
            means that the counter was reset to 0: ``[5, 7, 3]`` results in 2 + 3.
    """
    known = [value for value in values if value == value]  # NaN is not equal to itself
    if len(known) < 2:
        return None
    return sum(new - old if new >= old else new for old, new in pairwise(known))


def _total(growth: Iterable[float | None]) -> float | None:
    known = [one for one in growth if one is not None]
    return sum(known) if known else None


def _worst_first(row: NicErrors) -> tuple[float, str, str]:
    return (1.0 if row.total is None else -row.total, row.host_name or "", row.nic or "")
