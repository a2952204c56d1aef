"""What a session offers for reading metrics."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ParamSpec

from ..errors import InvalidInput
from ..validators import positive_number, reject_positional

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..calls.executor import Executor
    from ..inputs import ClusterWhereInput
    from ..metrics.results import Measurements, RankedMetric
    from ..models import Metric
    from ..types import Everything, WithTask

P = ParamSpec("P")

_KEYWORDS = 'tower.metrics.get_vm_metrics, vms={…}, metrics=[…], range="24h"'


class Measuring:
    """Reading metrics, as a method of a session."""

    _caller: Executor

    async def measure(
        self,
        method: Callable[P, Awaitable[list[WithTask[Metric]]]],
        chunk_size: int = 50,
        concurrency: int = 4,
        *args: P.args,
        **query: P.kwargs,
    ) -> Measurements:
        """Read metrics of many things, and join them with the ids and names of these.

        First it looks what matches the filter; then it asks for a few of them at a time, as a
        server cuts short what becomes too much. What the server calls a success but is empty or
        cut short is a `MetricsWarning`, in the ``warnings`` of what is returned and by
        `warnings.warn`.

        Args:
            method: Of ``tower.metrics``: ``tower.metrics.get_vm_metrics``.
            chunk_size: Things in one request.
            concurrency: Most requests at a time.
            args: None: pass the arguments of the query by keyword.
            query: As for the method: the filter such as ``vms``, ``metrics``, and ``range``: a
                number and its unit, s, m, h, d or w. ``24h`` and ``7d`` are known to work.

        Raises:
            InvalidInput: The method is none of ``tower.metrics``, or an argument cannot be used.
            TypeError: Arguments of the query were passed by position.
            EmptyFilter: The filter matches everything, and is not `EVERYTHING`.
            CallError: See its subclasses.

        Example:
            ::

                measured = await tower.measure(
                    tower.metrics.get_vm_metrics,
                    vms={"cluster": {"name": "prod"}},
                    metrics=["elf_vm_cpu_overall_usage_percent"],
                    range="24h",
                )
                for row in measured.to_rows():
                    print(row.time, row.subject_name, row.value)
        """
        from ..metrics.collect import measure

        reject_positional("measure", _KEYWORDS, args, chunk_size, concurrency)
        measured = await measure(self._caller, method, chunk_size, concurrency, query)
        for warning in measured.warnings:
            warnings.warn(warning, stacklevel=2)
        return measured

    async def top_n(
        self,
        metric: str,
        n: int = 10,
        *,
        clusters: ClusterWhereInput | Everything,
        range: str = "1h",  # noqa: A002 - the name that the API has for it
        lowest: bool = False,
    ) -> list[RankedMetric]:
        """Rank the things with the highest values of a metric, with their names.

        The server ranks what the metric is of: VMs, hosts, disks, … The values are those that it
        makes of the whole range. That it sends no more than ``n`` is no fault, so there is no
        warning of it.

        Args:
            metric: Name of the metric.
            n: Most things to rank.
            clusters: Filter for the clusters to look in, or `EVERYTHING`.
            range: A number and its unit, s, m, h, d or w: ``"24h"``.
            lowest: Rank those with the lowest values instead.

        Returns:
            The ranking, the first place first. Things without a value have no place.

        Raises:
            InvalidInput: An argument cannot be used.
            EmptyFilter: ``clusters`` matches everything, and is not `EVERYTHING`.
            CallError: See its subclasses.

        Example:
            ::

                for vm in await tower.top_n(
                    "elf_vm_cpu_overall_usage_percent", 5, clusters={"name": "prod"}, range="24h"
                ):
                    print(vm.rank, vm.subject_name, vm.value)
        """
        from ..api.metrics import MetricsNamespace
        from ..metrics.collect import measure

        if not isinstance(metric, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"top_n: metric: expected the name of one, got {metric!r}")
        n = positive_number("top_n", "n", n)
        method = MetricsNamespace(self._caller).get_top_nvm_volume_metrics
        query = {
            "clusters": clusters,
            "metrics": [metric],
            "n": n,
            "range": range,
            "type": "bottom" if lowest else "top",
        }
        measured = await measure(self._caller, method, 1, 1, query)
        for warning in measured.warnings:
            warnings.warn(warning, stacklevel=2)
        return measured.to_ranking(lowest=lowest)[:n]
