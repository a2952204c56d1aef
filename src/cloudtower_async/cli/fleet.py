"""The command ``fleet``: run jobs on many Towers with workers and Redis."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
from cyclopts import App, Parameter, validators

from ..control_characters import printable
from ..errors import CloudtowerError
from .errors import UsageError
from .formats import json_text
from .language import heading, ntr, tr
from .profiles_option import parse_profiles
from .streams import print_error, write_output
from .tables import cell_width

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ..jobs import FleetJob
    from ..jobs.fleet import FleetRun, FleetStatus

REDIS = "CLOUDTOWER_FLEET_REDIS"
"""Environment variable with the address of Redis. The address may contain a password."""

_SHOWN = 20
"""Maximum number of failures in the text of a report. The JSON report has all failures."""

_TOLD = 5.0
"""Seconds between two lines of progress."""

Positive: validators.Number = validators.Number(gte=1)
Seconds: validators.Number = validators.Number(gt=0)
Output = Literal["table", "json"]

fleet: App = App(
    name="fleet",
    help="Run a job on many Towers: workers take items from a queue in Redis.\n\n"
    f"{REDIS} has the address of Redis (default: redis://127.0.0.1:6379/0). Jobs are given as "
    "module:name, which is a FleetJob in a module; the current directory is searched, too.",
)


@fleet.command
def worker(
    *jobs: str,
    concurrency: Annotated[int, Parameter(validator=Positive)] = 20,
    grace: Annotated[float, Parameter(validator=Seconds)] = 120.0,
    lost: Annotated[float, Parameter(validator=Seconds)] = 60.0,
    drain: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 30.0,
    item_timeout: Annotated[float, Parameter(validator=Seconds)] = 14400.0,
) -> None:
    """Process items of one or more jobs until Ctrl-C or SIGTERM.

    You can start any number of workers, on any machine that has the profiles of the Towers.

    Args:
        jobs: Jobs whose items the worker processes, as module:name.
        concurrency: Maximum number of items that the worker processes concurrently.
        grace: Seconds to wait before a request with an unknown outcome may be sent again. Until
            then, the request can still reach the Tower.
        lost: Seconds without contact to Redis after which a worker counts as dead. Its items then
            go to another worker.
        drain: Seconds to finish items after Ctrl-C or SIGTERM. Unfinished items then go to another
            worker.
        item_timeout: Time-out in seconds for each item.
    """
    if not jobs:
        raise UsageError(tr("fleet worker: pass the jobs to work on, as module:name"))
    with _extra():
        from ..jobs.fleet_worker import FleetWorker
    loaded = _load(jobs)

    async def run() -> None:
        await FleetWorker(
            _redis(),
            loaded,
            concurrency=concurrency,
            grace=grace,
            lost=lost,
            drain=drain,
            item_timeout=item_timeout,
        ).run()

    logging.getLogger("taskiq").setLevel(logging.WARNING)
    print_error(tr("working on {names}", names=", ".join(jobs)))
    anyio.run(run)


@fleet.command
def run(
    job: str,
    *,
    profiles: str,
    run: str | None = None,
    per_tower: Annotated[int, Parameter(validator=Positive)] = 10,
    per_cluster: Annotated[int, Parameter(validator=Positive)] = 5,
    patience: Annotated[float, Parameter(validator=Seconds)] = 600.0,
    output: Annotated[Output, Parameter(name=("--output", "-o"))] = "table",
) -> None:
    """Run a job on Towers: queue its items for workers, and wait until all items are finished.

    If you pass the --run of an earlier run, that run continues, and items that succeeded are not
    repeated. Progress is printed to standard error, and the report to standard output. If anything
    failed, the exit status is 1.

    Args:
        job: The job to run, as module:name.
        profiles: Comma-separated profiles of the Towers, or all.
        run: Name of the run. [default: the date in UTC]
        per_tower: Maximum number of concurrent items of one Tower, over all workers.
        per_cluster: Maximum number of concurrent items of one cluster, over all workers.
        patience: Seconds that Redis may be unavailable before the command fails.
        output: Format of the report.
    """
    with _extra():
        from ..jobs.fleet import run_fleet
    loaded = _load([job])
    names = parse_profiles(profiles)

    async def call() -> FleetRun:
        return await run_fleet(
            _redis(),
            job,
            loaded[job],
            names,
            run=run or datetime.now(UTC).date().isoformat(),
            per_tower=per_tower,
            per_cluster=per_cluster,
            patience=patience,
            on_progress=_Progress().show,
        )

    report = anyio.run(call)
    write_output((json_text(report) + b"\n") if output == "json" else _report(report).encode())
    if not report.complete:
        raise CloudtowerError(
            tr(
                "{job}: {done} of {items} items done, on {number} Towers; run it again "
                "with --run {run} to continue",
                job=job,
                done=report.done,
                items=report.items,
                number=len(names),
                run=report.run,
            )
        )


@fleet.command
def status(*, output: Annotated[Output, Parameter(name=("--output", "-o"))] = "table") -> None:
    """Show how many items wait in each queue, and the runs of the last week.

    Args:
        output: Output format.
    """
    with _extra():
        from redis.exceptions import RedisError

        from ..jobs.fleet import fleet_status
    try:
        found = anyio.run(fleet_status, _redis())
    except RedisError as error:
        raise CloudtowerError(f"{REDIS}: {error}") from error
    write_output((json_text(found) + b"\n") if output == "json" else _status(found).encode())


@contextmanager
def _extra() -> Generator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("redis", "taskiq", "taskiq_redis"):
            raise
        raise UsageError(
            tr(
                'fleet needs an extra: pip install "cloudtower-async[fleet]"; from a '
                "clone of the repository: pip install '.[cli,fleet]'"
            )
        ) from error


def _redis() -> str:
    from ..jobs.fleet_broker import DEFAULT_REDIS
    from ..jobs.redis_journal import redis_client

    url = os.environ.get(REDIS) or DEFAULT_REDIS
    try:
        redis_client(url)
    except ValueError:  # the text of the error could contain the password
        raise UsageError(
            tr(
                "{REDIS} is not an address of Redis: expected redis://host:6379/0, "
                "rediss://… or unix://…",
                REDIS=REDIS,
            )
        ) from None
    return url


def _load(names: tuple[str, ...] | list[str]) -> Mapping[str, FleetJob]:
    from ..jobs.fleet_job import load_job

    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as `python -m` does
    return {name: load_job(name) for name in names}


class _Progress:
    """Printer of progress lines about a run, with at least `_TOLD` seconds between two lines."""

    def __init__(self) -> None:
        self._next = 0.0

    def show(self, state: FleetRun) -> None:
        if state.seconds < self._next:
            return
        self._next = state.seconds + _TOLD
        listing = sum(not tower.listed and tower.error is None for tower in state.towers)
        parts = [tr("{done} of {items} items done", done=state.done, items=state.items)]
        if failed := sum(tower.failed for tower in state.towers):
            parts.append(tr("{number} failed", number=failed))
        if listing:
            parts.append(
                ntr("{number} Tower being listed", "{number} Towers being listed", listing)
            )
        if errors := sum(tower.error is not None for tower in state.towers):
            parts.append(ntr("{number} Tower with errors", "{number} Towers with errors", errors))
        print_error(f"{state.seconds:.0f} s: {', '.join(parts)}")


def _report(state: FleetRun) -> str:
    rows: list[tuple[str, ...]] = [_headings("tower", "items", "done", "failed", "")]
    for tower in state.towers:
        items = str(tower.items) if tower.listed else "-"
        rows.append((tower.profile, items, str(tower.done), str(tower.failed), tower.error or ""))
    lines = _table(rows)
    failures = [f"{one.profile} {one.key}: {one.error}" for one in state.failures[:_SHOWN]]
    if failures:
        lines += ["", *map(printable, failures)]
    if len(state.failures) > _SHOWN:
        lines.append(
            tr("… and {number} more; --output json has all", number=len(state.failures) - _SHOWN)
        )
    return "\n".join([*lines, ""])


def _status(found: FleetStatus) -> str:
    queues: list[tuple[str, ...]] = [_headings("queue", "queued", "working", "workers")]
    queues += [
        (queue.job, str(queue.queued), str(queue.working), str(queue.workers))
        for queue in found.queues
    ]
    runs: list[tuple[str, ...]] = [_headings("job", "run", "towers", "items", "done", "failed")]
    for state in found.runs:
        failed = sum(tower.failed for tower in state.towers)
        counts = (len(state.towers), state.items, state.done, failed)
        runs.append((state.job, state.run, *map(str, counts)))
    return "\n".join([*_table(queues), "", *_table(runs), ""])


def _headings(*names: str) -> tuple[str, ...]:
    return tuple(heading(name) for name in names)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(cell_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        printable(
            "  ".join(
                text + " " * (width - cell_width(text))
                for text, width in zip(row, widths, strict=True)
            )
        ).rstrip()
        for row in rows
    ]
