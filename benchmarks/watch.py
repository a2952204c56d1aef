"""`python -m benchmarks.watch`: correctness and speed of views under random changes.

VMs, labels, disks, hosts and clusters are created, changed and deleted faster than the changes are
read. The feed is compacted and restarted, connections are reset, and some readers are slow. At each
quiet point, each view must equal the server's answer. Each revision must arrive exactly once,
unless a `Resync` has reported the revision as lost.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import msgspec

from cloudtower_async import Cloudtower, Resync, RetryPolicy
from cloudtower_async.testing import Simulator

from .figures import Figure, print_as_lines
from .measures import peak_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from cloudtower_async import Changes, Watch
    from cloudtower_async.inputs import VmWhereInput
    from cloudtower_async.models import Vm

    Views: TypeAlias = list[tuple[VmWhereInput, Watch[Vm]]]

BURST = 60
"""Maximum number of changes in a row before readers get a turn."""

QUIET = 500
"""Number of changes between two quiet points."""

IN_TIME = 60.0
"""Seconds until a view must be correct again. The limit is so high that only wrong views exceed
it."""

FILTERS: list[VmWhereInput] = [
    {},
    {"status": "RUNNING", "cluster": {"name_contains": "a"}},
    {"labels_some": {"key_in": ["0", "1", "2"]}},
]


class Found(msgspec.Struct):
    """Counts of one run."""

    changes: int = 0
    """Number of revisions of the feed."""
    told: int = 0
    """Number of revisions that reached the reader of the feed."""
    missed: int = 0
    """Number of revisions that were lost without a `Resync`."""
    repeated: int = 0
    resyncs: int = 0
    """Number of `Resync` errors."""
    lost: int = 0
    """Number of revisions that `Resync` errors reported as lost."""
    quiet_points: int = 0
    untrue: int = 0
    """Number of views that differed from the server at a quiet point."""
    events: int = 0
    """Number of states that the views yielded."""
    requests: int = 0
    seconds: float = 0.0


class Churn:
    """Source of random changes on a server.

    Args:
        simulator: The server.
        rng: Source of randomness.
    """

    def __init__(self, simulator: Simulator, rng: random.Random) -> None:
        self._sim = simulator
        self._rng = rng
        self._store = simulator.store
        self._made = 0
        self._kinds: list[tuple[Callable[[], object], int]] = [
            (self._change_vm, 500),
            (self._label_vm, 150),
            (self._add_vm, 30),
            (self._remove_vm, 30),
            (self._move_disk, 50),
            (self._remove_disk, 20),
            (self._load_host, 150),
            (self._rename_other, 2),
            (self._change_label, 2),
        ]
        for number in range(8):
            self._store.add("Label", {"id": f"label-{number}", "key": str(number)})

    def one(self) -> None:
        """Make one random change, and record the change in the feed immediately."""
        kinds, weights = zip(*self._kinds, strict=True)
        self._rng.choices(kinds, weights)[0]()
        self._store.report()

    def _any(self, kind: str) -> dict[str, Any]:
        return self._rng.choice(list(self._store.table(kind).values()))

    def _change_vm(self) -> None:
        load = self._rng.random()
        fields: list[dict[str, object]] = [
            {"name": f"vm-{self._rng.randrange(10_000)}"},
            {"status": "RUNNING", "cpu_usage": load, "memory_usage": load},
            {"status": self._rng.choice(["STOPPED", "SUSPENDED"])},
            {"description": str(load)},
        ]
        self._any("Vm").update(self._rng.choice(fields))

    def _label_vm(self) -> None:
        vm, label = self._any("Vm"), self._any("Label")
        labels = set(vm.get("labels") or []) ^ {label["id"]}
        self._store.change("Vm", vm["id"], labels=sorted(labels))

    def _add_vm(self) -> None:
        self._made += 1
        self._sim.add_vm(name=f"new-{self._made}")

    def _remove_vm(self) -> None:
        if len(self._store.table("Vm")) > 20:
            self._store.remove("Vm", self._any("Vm")["id"])

    def _move_disk(self) -> None:
        disk, vm = self._any("VmDisk"), self._any("Vm")
        if disk["vm"] != vm["id"]:  # if it is the same VM, no row changes
            self._store.change("VmDisk", disk["id"], vm=vm["id"])

    def _remove_disk(self) -> None:
        if len(self._store.table("VmDisk")) > 20:
            self._store.remove("VmDisk", self._any("VmDisk")["id"])

    def _load_host(self) -> None:
        self._any("Host")["used_cpu_hz"] = self._rng.random()

    def _rename_other(self) -> None:
        other = self._any(self._rng.choice(["Host", "Cluster", "VmFolder"]))
        other["name"] = f"{self._rng.choice('ab')}-{self._rng.randrange(10_000)}"

    def _change_label(self) -> None:
        self._any("Label")["key"] = str(self._rng.randrange(8))


class Run:
    """One run: a changing server, views of it, and a reader of its feed.

    Args:
        simulator: The server.
        tower: A session with the credential of the feed.
        seed: Seed of the changes. The same seed results in the same changes, but the timing of
            requests differs.
        changes: Number of changes.
    """

    def __init__(self, simulator: Simulator, tower: Cloudtower, seed: int, changes: int) -> None:
        self.figures = Found()
        self._sim = simulator
        self._tower = tower
        self._wanted = changes
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._churn = Churn(simulator, self._rng)
        self._revisions: list[tuple[int, int]] = []  # all changes as (number of restarts, revision)
        self._told: list[tuple[int, int]] = []
        self._gaps: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self._count = 0  # number of restarts of the feed

    async def all(self) -> Found:
        """Run the changes and the checks, and return the counts."""
        started = time.perf_counter()
        feed = self._tower.changes(interval=0.001)
        begin = 0, int(await feed.anchor())
        async with anyio.create_task_group() as group:
            views: Views = []
            for where in FILTERS:
                view = self._tower.watch(self._tower.vm.get_vms, 0.001, where=where)
                views.append((where, await view.__aenter__()))
            group.start_soon(self._read, feed)
            while len(self._revisions) < self._wanted:
                await self._stir(views)
                await self._compare(views)
                await self._catch_up(feed)
                if self._rng.random() < 0.2:
                    await self._start_over(views, feed)
            group.cancel_scope.cancel()
        self._count_up(begin)
        self.figures.requests = len(self._sim.requests)
        self.figures.seconds = time.perf_counter() - started
        return self.figures

    async def _stir(self, views: Views) -> None:
        """Make many changes while the views and the feed are read."""
        async with anyio.create_task_group() as group:
            for _, view in views:
                group.start_soon(self._follow, view)
            wanted = len(self._revisions) + QUIET
            while len(self._revisions) < wanted:
                for _ in range(self._rng.randint(1, BURST)):
                    self._churn.one()
                self._note()
                if self._rng.random() < 0.1:
                    self._sim.changes.compact(keep=self._rng.choice([0, 5, 50]))
                if self._rng.random() < 0.1:
                    self._sim.faults.reset(self._rng.choice(["resource-changes", "get-vms"]))
                for _ in range(self._rng.randint(1, 30)):
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()  # cancels the views at any point

    async def _follow(self, view: Watch[Vm]) -> None:
        async for _ in view:
            self.figures.events += 1
            for _ in range(self._rng.choice([0, 0, 0, 0, 20])):  # a slow reader
                await anyio.lowlevel.checkpoint()

    async def _compare(self, views: Views) -> None:
        """Wait until each view equals the server's answer, and count views that never do."""
        for where, view in views:
            server = {vm.id: vm for vm in await self._tower.vm.get_vms(where=where)}
            with anyio.move_on_after(IN_TIME):
                while view.snapshot != server:
                    await anext(view)
                    self.figures.events += 1
            self.figures.untrue += view.snapshot != server
        self.figures.quiet_points += 1

    async def _start_over(self, views: Views, feed: Changes) -> None:
        self._sim.changes.start_over()
        self._count += 1
        resyncs = self.figures.resyncs
        while self.figures.resyncs == resyncs:
            await anyio.lowlevel.checkpoint()
        self._sim.store.change(
            "Vm", next(iter(self._sim.store.table("Vm"))), name=f"after-{self._count}"
        )
        self._note()
        await self._compare(views)
        await self._catch_up(feed)

    def _note(self) -> None:
        """Record the new revisions of the feed before the feed is compacted."""
        last = self._revisions[-1] if self._revisions else (0, 0)
        for event in self._sim.changes.events():
            if (self._count, event.revision) > last:
                self._revisions.append((self._count, event.revision))

    async def _read(self, feed: Changes) -> None:
        count = 0
        while True:
            try:
                async for change in feed:
                    self._told.append((count, int(change.revision)))
                    if self._rng.random() < 0.02:
                        _ = change.old, change.new
                        await anyio.lowlevel.checkpoint()
            except Resync as gap:
                before = count, int(gap.since)
                count += int(gap.revision) < int(gap.since)
                self._gaps.append((before, (count, int(gap.revision))))
                self.figures.resyncs += 1

    async def _catch_up(self, feed: Changes) -> None:
        with anyio.move_on_after(IN_TIME):
            while feed.revision != self._sim.changes.current_revision:
                await anyio.lowlevel.checkpoint()

    def _count_up(self, begin: tuple[int, int]) -> None:
        figures = self.figures
        told = set(self._told)
        absent = [one for one in self._revisions if one > begin and one not in told]
        excused = [one for one in absent if any(a < one <= b for a, b in self._gaps)]
        figures.changes, figures.told = len(self._revisions), len(self._told)
        figures.repeated = len(self._told) - len(told)
        figures.missed, figures.lost = len(absent) - len(excused), len(excused)


async def run(seed: int, changes: int) -> Found:
    """Change a server a number of times, check the views of it, and return the counts."""
    async with Simulator(clusters=2, vms=120, seed=seed, keep_requests=None) as simulator:
        # Some servers repeat the requested revision in the answer, others do not.
        simulator.changes.inclusive = seed % 2 == 0
        feed = simulator.changes
        async with Cloudtower(
            simulator.url,
            username=simulator.username,
            password=simulator.password,
            change_feed=(feed.username, feed.password),
            retry=RetryPolicy(attempts=8, backoff=0.001, cap=0.01, budget=10_000),
        ) as tower:
            return await Run(simulator, tower, seed, changes).all()


def main() -> None:
    """Run several seeds, and print the counts and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--changes", type=int, default=20_000)
    options = parser.parse_args()
    print("seed", *Found.__struct_fields__, "peak_mb", sep="\t")
    runs: list[Found] = []
    for seed in range(1, options.seeds + 1):
        runs.append(anyio.run(run, seed, options.changes))
        values = [round(value, 1) for value in msgspec.structs.astuple(runs[-1])]
        print(seed, *values, round(peak_mb()), sep="\t", flush=True)
    figures = _as_figures(runs)
    print_as_lines(figures)
    raise SystemExit(0 if all(figure.met for figure in figures) else 1)


def _as_figures(runs: Sequence[Found]) -> list[Figure]:
    """Return the figures with their goals, over all runs together."""
    changes = sum(one.changes for one in runs)
    resyncs = sum(one.resyncs for one in runs)
    points = sum(one.quiet_points for one in runs)
    what = f"watch, {changes:,} random changes in {len(runs)} runs"
    return [
        Figure(
            what=f"{what}: views that differed from the server in a pause between the changes",
            value=sum(one.untrue for one in runs),
            goal=0,
            note=f"{len(FILTERS)} views, compared in {points:,} pauses; the simulator loses "
            "changes and resets connections on purpose",
        ),
        Figure(
            what=f"{what}: lost changes that no event reported",
            value=sum(one.missed for one in runs),
            goal=0,
            note=f"{sum(one.told for one in runs):,} changes arrived; {resyncs:,} `Resync` events "
            f"reported the loss of {sum(one.lost for one in runs):,} changes",
        ),
        Figure(
            what=f"{what}: changes that arrived twice",
            value=sum(one.repeated for one in runs),
            goal=0,
            note=f"{sum(one.seconds for one in runs):.0f} s in total",
        ),
    ]


if __name__ == "__main__":
    main()
