"""The exporter: collects metrics from each Tower in the background, and keeps them."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from prometheus_client.core import GaugeMetricFamily

from ..._version import __version__
from ...calls import registry
from ...calls.validation import check
from ...concurrency import map_concurrently
from ...control_characters import one_line
from ...errors import CloudtowerError, InvalidSettings, LoginFailed
from ...transport.metrics import error_type
from ...validators import check_option, count_fault, seconds_fault
from . import families
from .collectors import COLLECTORS, collect_single_vms
from .families import FAMILIES
from .samples import Samples, heading, rendered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from ... import inputs
    from ...client import Cloudtower
    from .collectors import Collect
    from .families import Family

_log = logging.getLogger("cloudtower_async")

MAX_VMS = 20_000
"""Largest value of ``vm_limit``."""

_LOGIN_PAUSE = 300.0
"""Seconds until the next collection after a refused login: more attempts may lock the account."""

_SPREAD = 0.1
"""Seconds between the first collections of two Towers."""

_MANY = 1_000
"""If a collector returns at least this number of samples, they are rendered in a thread."""

_HEADINGS = {family: heading(family) for family in FAMILIES}


@dataclass(slots=True)
class _Collected:
    """Latest result of a collector.

    Attributes:
        succeeded: Whether the last run of the collector succeeded.
        lines: Samples of each metric as text, from the last run that succeeded.
        at: Start of this successful run, by the clock of the event loop. None if there are no
            samples.
    """

    succeeded: bool = False
    lines: dict[Family, bytes] = field(default_factory=dict["Family", bytes])
    at: float | None = None


class _Tower:
    """A Tower: its session, and the latest result of each collector."""

    def __init__(self, name: str, session: Cloudtower, collectors: Mapping[str, Collect]) -> None:
        self.name = name
        self.session = session
        self.up = False
        self.duration: float | None = None
        self.collections = 0
        self.failures: Counter[tuple[str, str]] = Counter()
        self.ended = anyio.Event()  # of the current or the next collection
        self.collected = {collector: _Collected() for collector in collectors}

    def drop_stale(self, oldest: float) -> None:
        """Drop the samples of each collector run that began before `oldest`."""
        for result in self.collected.values():
            if result.at is not None and result.at < oldest:
                result.lines, result.at = {}, None

    def add_own_samples(self, samples: Samples, now: float) -> None:
        """Add samples about the collections themselves, such as their failures."""
        samples.tower = self.name
        samples.add(families.UP, self.up)
        samples.add(families.COLLECTION_DURATION, self.duration)
        samples.add(families.COLLECTIONS, self.collections)
        for (collector, error), number in self.failures.items():
            samples.add(families.COLLECTION_FAILURES, number, collector, error)
        for collector, result in self.collected.items():
            samples.add(families.COLLECTOR_SUCCESS, result.succeeded, collector)
            if result.at is not None:
                samples.add(families.DATA_AGE, now - result.at, collector)


class Exporter:
    """Prometheus exporter for metrics of many Towers. A slow Tower does not delay the other Towers.

    While the exporter is entered (``async with``), it collects from every Tower once per interval.
    `page` returns the latest samples at once and never waits for a Tower. For each Tower, the
    exporter runs several collectors, for example one for hosts and one for alerts. If a collector
    fails or takes too long, its ``cloudtower_collector_success`` is 0. The page shows the previous
    samples of this collector until they are older than ``stale_after``. If all collectors of a
    Tower fail, ``cloudtower_up`` is 0, too.

    The sessions log in at their first collection. The exporter does not close the sessions. The
    exporter only reads: it uses copies of the sessions with ``mutations="refuse"``.

    Args:
        towers: Sessions by name. The name is the value of the label ``tower``.
        interval: Seconds from the start of one collection to the start of the next.
        timeout: Time-out in seconds of a collection. None means 30, or `interval` if `interval` is
            shorter.
        stale_after: Age in seconds after which samples are no longer shown. None means 5 intervals.
        vm_metrics: Whether to collect metrics of single VMs, too.
        vm_where: Filter of the single VMs. None means all VMs. Requires ``vm_metrics``.
        vm_limit: Maximum number of single VMs for each Tower. The largest allowed value is 20,000.
            Omitted VMs are counted in ``cloudtower_resources_omitted``.

    Raises:
        InvalidSettings: An argument cannot be used; the error names it.
        InvalidInput: ``vm_where`` is not a valid filter of VMs.

    Example:
        ::

            async with Exporter({"prod": tower}, interval=30) as exporter:
                await exporter.collected()
                print(exporter.page().decode())
    """

    def __init__(
        self,
        towers: Mapping[str, Cloudtower],
        *,
        interval: float = 60.0,
        timeout: float | None = None,
        stale_after: float | None = None,
        vm_metrics: bool = False,
        vm_where: inputs.VmWhereInput | None = None,
        vm_limit: int = 1_000,
    ) -> None:
        check_option("interval", seconds_fault(interval))
        timeout = min(30.0, interval) if timeout is None else timeout
        check_option("timeout", seconds_fault(timeout))
        if timeout > interval:
            raise InvalidSettings(
                f"timeout: {timeout:g} s is longer than the interval of {interval:g} s; "
                "choose a shorter time-out or a longer interval",
                option="timeout",
            )
        stale_after = 5 * interval if stale_after is None else stale_after
        check_option("stale_after", seconds_fault(stale_after))
        check_option("vm_limit", count_fault(vm_limit))
        if vm_limit > MAX_VMS:
            raise InvalidSettings(
                f"vm_limit: expected at most {MAX_VMS}, got {vm_limit}", option="vm_limit"
            )
        if vm_where is not None:
            if not vm_metrics:
                raise InvalidSettings(
                    "vm_where: it has no effect without vm_metrics; set both", option="vm_where"
                )
            check(registry.operation("vm.get_vms"), {"where": vm_where}, validate=True)
        self._interval, self._timeout, self._stale_after = interval, timeout, stale_after
        self._collectors = dict(COLLECTORS)
        if vm_metrics:
            self._collectors["vm_metrics"] = partial(collect_single_vms, vm_where, vm_limit)
        sessions = {one_line(name): session for name, session in towers.items()}
        if not sessions or len(sessions) < len(towers):
            raise InvalidSettings(
                f"towers: expected at least one session, and different names; got {[*towers]}",
                option="towers",
            )
        self._towers = [
            _Tower(
                name,
                session.with_options(mutations="refuse", timeout=timeout),
                self._collectors,
            )
            for name, session in sessions.items()
        ]
        build = GaugeMetricFamily(
            "cloudtower_exporter_info",
            "Version of the exporter; the value is 1.",
            labels=["version"],
        )
        build.add_metric([__version__], 1)
        self._build = rendered(build)
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise CloudtowerError("the exporter was entered already; use the name after `as`")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        for place, tower in enumerate(self._towers):
            spread = min(_SPREAD, self._interval / len(self._towers))
            self._group.start_soon(self._follow, tower, place * spread)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.cancel_scope.cancel()
            # If the group got the error of the block, it would wrap the error.
            await group.__aexit__(None, None, None)

    def page(self) -> bytes:
        """Return the latest samples in the text format of Prometheus, version 0.0.4.

        Call this method in the event loop of the exporter. The method sends no request.
        """
        now = anyio.current_time()
        parts: dict[Family, list[bytes]] = {family: [head] for family, head in _HEADINGS.items()}
        own = Samples()
        for tower in self._towers:
            tower.drop_stale(now - self._stale_after)
            tower.add_own_samples(own, now)
        shown = [
            result.lines
            for tower in self._towers
            for result in tower.collected.values()
            if result.at is not None
        ]
        for lines in (own.render(), *shown):
            for family, text in lines.items():
                parts[family].append(text)
        return b"".join((self._build, *(line for part in parts.values() for line in part)))

    async def collected(self) -> None:
        """Wait until one collection of each Tower has ended, successfully or not.

        Wait for the collection in progress. If a Tower has no collection in progress, wait for its
        next collection.

        Raises:
            CloudtowerError: The exporter was not entered with ``async with``.
        """
        if self._group is None:
            raise CloudtowerError("the exporter is not entered: use it with `async with`")
        for ended in [tower.ended for tower in self._towers]:
            await ended.wait()

    async def _follow(self, tower: _Tower, delay: float) -> None:
        """Collect the metrics of a Tower once per interval. Begin after `delay` seconds."""
        await anyio.sleep(delay)
        while True:
            started = anyio.current_time()
            pause = await self._collect(tower)
            await anyio.sleep(max(0.0, started + pause - anyio.current_time()))

    async def _collect(self, tower: _Tower) -> float:
        """Collect the metrics of a Tower, and return the seconds until the next collection."""
        started = anyio.current_time()
        pause = self._interval
        failures: dict[str, Exception] = dict.fromkeys(
            tower.collected, TimeoutError(f"no answer within {self._timeout:g} s")
        )
        with anyio.move_on_after(self._timeout):
            try:
                await tower.session.open()
                run = partial(self._run, tower, started, failures)
                await map_concurrently(run, self._collectors.items())
            except Exception as exc:  # such as a failed login: the loop must continue
                failures = dict.fromkeys(tower.collected, exc)
                if isinstance(exc, LoginFailed):
                    pause = max(pause, _LOGIN_PAUSE)
        self._note_outcomes(tower, failures)
        tower.up = len(failures) < len(tower.collected)
        tower.duration = anyio.current_time() - started
        tower.collections += 1
        tower.ended.set()
        tower.ended = anyio.Event()
        return pause

    async def _run(
        self,
        tower: _Tower,
        started: float,
        failures: dict[str, Exception],
        named: tuple[str, Collect],
    ) -> None:
        """Run a collector. If it succeeds, store its samples and remove it from `failures`."""
        name, collect = named
        samples = Samples(tower.name)
        try:
            await collect(tower.session, samples)
            if len(samples) < _MANY:
                lines = samples.render()
            else:
                lines = await anyio.to_thread.run_sync(samples.render)
        except Exception as exc:  # one collector must not end the others
            failures[name] = exc
            return
        tower.collected[name].lines, tower.collected[name].at = lines, started
        tower.up = True
        del failures[name]

    def _note_outcomes(self, tower: _Tower, failures: Mapping[str, Exception]) -> None:
        """Count the failures of a collection. Log collectors that now fail or work again."""
        failing: dict[str, list[str]] = {}
        again: list[str] = []
        for collector, result in tower.collected.items():
            error = failures.get(collector)
            if error is not None:
                kind = "Timeout" if isinstance(error, TimeoutError) else error_type(error)
                tower.failures[collector, kind] += 1
            if error is not None and (result.succeeded or not tower.collections):
                failing.setdefault(str(error), []).append(collector)
            elif error is None and not result.succeeded and tower.collections:
                again.append(collector)
            result.succeeded = error is None
        for text, collectors in failing.items():
            names = ", ".join(collectors)
            _log.warning("exporter: %s: collection failed: %s: %s", tower.name, names, text)
        if again:
            _log.info("exporter: %s: collected again: %s", tower.name, ", ".join(again))
