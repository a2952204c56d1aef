"""No null in an answer breaks a recipe: it works or raises one of our errors."""

from __future__ import annotations

import inspect
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import CloudtowerError, recipes
from cloudtower_async.recipes import (
    backup_vm,
    backup_vms,
    build_dashboard,
    check_maintenance,
    create_blank_vm,
    create_vm_from_template,
    ensure_folder,
    ensure_labels,
    ensure_placement_group,
    ensure_power,
    ensure_snapshot,
    ensure_vm,
    ensure_volume_attached,
    ensure_volume_detached,
    enter_maintenance,
    find_expirations,
    find_orphans,
    forecast_capacity,
    import_template,
    leave_maintenance,
    measure_nic_errors,
    restart_vms,
    shut_down_vms,
    start_vms,
    wait_for_addresses,
    wait_for_tools,
)
from tests.nulls import alike, expect_no_broken_field, first
from tests.recipes.test_imports import files
from tests.support import THOROUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    from cloudtower_async import Cloudtower
    from cloudtower_async.models import Vm
    from cloudtower_async.recipes import Backup, PowerOutcome
    from cloudtower_async.testing import Simulator
    from tests.nulls import Flow

TIMEOUT = 0.3
ENSURE: dict[str, Any] = {"timeout": TIMEOUT, "reconcile_timeout": 0.0}
SIMULATORS = 6
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def simulators() -> AsyncIterator[list[Simulator]]:
    async with alike(SIMULATORS, clusters=1, hosts_per_cluster=3, vms=4) as started:
        yield started


async def create_blank(tower: Cloudtower, sim: Simulator) -> None:
    name = f"blank-{next(NUMBERS)}"
    cluster = first(sim, "Cluster")["id"]
    vm = await create_blank_vm(
        tower, name, cluster=cluster, vcpu=1, memory=1 << 30, timeout=TIMEOUT
    )
    assert vm is not None


async def create_from_template(tower: Cloudtower, sim: Simulator) -> None:
    name = f"copy-{next(NUMBERS)}"
    vm = await create_vm_from_template(
        tower, name, template="rocky-9", cluster=first(sim, "Cluster")["id"], timeout=TIMEOUT
    )
    assert vm is not None


def raise_errors(outcomes: Iterable[PowerOutcome | Backup]) -> None:
    """Raise an error of the outcomes, if any; errors of Python take precedence."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    for error in sorted(errors, key=lambda one: (isinstance(one, CloudtowerError), str(one))):
        raise error


def switched(recipe: Callable[..., Awaitable[list[PowerOutcome]]], status: str) -> Flow:
    """Return a flow that switches VMs with this status."""

    async def flow(tower: Cloudtower, sim: Simulator) -> None:
        ids = list(sim.store.table("Vm"))[:3]
        for vm_id in ids:
            cpu_usage = 1.0 if status == "RUNNING" else None
            sim.store.change("Vm", vm_id, status=status, cpu_usage=cpu_usage)
        outcomes = await recipe(tower, {"id_in": ids}, timeout=TIMEOUT)
        assert len(outcomes) >= len(ids)
        raise_errors(outcomes)

    return flow


async def back_up_many(tower: Cloudtower, sim: Simulator) -> None:
    ids = list(sim.store.table("Vm"))[:2]
    for snapshot in list(sim.store.table("VmSnapshot")):
        sim.store.remove("VmSnapshot", snapshot)
    for vm_id in ids:
        await tower.vm_snapshot.create_vm_snapshot(
            data=[{"vm_id": vm_id, "name": "backup-20250101T000000Z"}]
        )
    backups = await backup_vms(tower, {"id_in": ids}, keep=1, timeout=TIMEOUT)
    assert len(backups) >= len(ids)
    raise_errors(backups)


async def maintain(tower: Cloudtower, sim: Simulator) -> None:
    host = first(sim, "Host")
    state = host["host_state"]
    try:
        await check_maintenance(tower, host["id"], timeout=TIMEOUT)
        try:
            entered = await enter_maintenance(tower, host["id"], stop_vms=True, timeout=TIMEOUT)
            assert entered.host is not None
        finally:
            left = await leave_maintenance(tower, host["id"], timeout=TIMEOUT)
        assert left.host is not None
    finally:
        sim.store.change("Host", host["id"], host_state=state, entityAsyncStatus=None)


def importing(folder: Path) -> Flow:
    """Return a flow that imports a template."""
    given = files(folder)
    for image in given["disks"]:
        image.write_bytes(b"x" * 3000)

    async def flow(tower: Cloudtower, sim: Simulator) -> None:
        template = await import_template(
            tower,
            f"template-{next(NUMBERS)}",
            cluster=first(sim, "Cluster")["id"],
            timeout=TIMEOUT,
            **given,
        )
        assert template is not None

    return flow


def guest_wait(recipe: Callable[..., Awaitable[Vm]]) -> Flow:
    """Return a flow that waits for a condition that already holds."""

    async def flow(tower: Cloudtower, sim: Simulator) -> None:
        vm = first(sim, "Vm")
        sim.store.change("Vm", vm["id"], ips="10.0.0.7", vm_tools_status="RUNNING")
        assert (await recipe(tower, vm["id"], timeout=TIMEOUT)).id == vm["id"]

    return flow


async def find_all_orphans(tower: Cloudtower, sim: Simulator) -> None:
    """Find orphans while an orphan of each kind exists."""
    uses = {
        "VmSnapshot": "vm",
        "VmVolumeSnapshot": "vm_volume",
        "VmTemplate": "content_library_vm_template",
    }
    if not sim.store.table("VmSnapshot"):
        del uses["VmSnapshot"]
    before = {resource: first(sim, resource)[use] for resource, use in uses.items()}
    for resource, use in uses.items():
        sim.store.change(resource, first(sim, resource)["id"], **{use: None})
    try:
        await find_orphans(tower)
    finally:
        for resource, used in before.items():
            sim.store.change(resource, first(sim, resource)["id"], **{uses[resource]: used})


async def ensure_a_vm(tower: Cloudtower, sim: Simulator) -> None:
    cluster = first(sim, "Cluster")["id"]
    create = partial(create_blank_vm, vcpu=1, memory=1 << 20)
    name = f"ensured-{next(NUMBERS)}"
    for _ in range(2):
        await ensure_vm(tower, name, cluster=cluster, create=create, **ENSURE)


async def ensure_many_labels(tower: Cloudtower, sim: Simulator) -> None:
    labels = {f"ensured-{next(NUMBERS)}": ""}
    for _ in range(2):
        await ensure_labels(tower, labels, {"vms": {"id": first(sim, "Vm")["id"]}}, **ENSURE)


async def ensure_groups(tower: Cloudtower, sim: Simulator) -> None:
    name, cluster = f"ensured-{next(NUMBERS)}", first(sim, "Cluster")["id"]
    await ensure_folder(tower, name, cluster=cluster, **ENSURE)
    for vms in ([first(sim, "Vm")["id"]], []):
        await ensure_placement_group(tower, name, cluster=cluster, vms=vms, **ENSURE)


async def ensure_a_snapshot(tower: Cloudtower, sim: Simulator) -> None:
    await ensure_snapshot(tower, first(sim, "Vm")["id"], f"ensured-{next(NUMBERS)}", **ENSURE)


async def move_a_volume(tower: Cloudtower, sim: Simulator) -> None:
    vm = first(sim, "Vm")["id"]
    disk = dict(sim.store.select("VmDisk", {"vm": {"id": vm}, "type": "DISK"})[0])
    volume = disk["vm_volume"]
    try:
        await ensure_volume_detached(tower, vm, volume, **ENSURE)
        await ensure_volume_attached(tower, vm, volume, **ENSURE)
    finally:
        for one in sim.store.select("VmDisk", {"vm_volume": {"id": volume}}):
            sim.store.remove("VmDisk", one["id"])
        sim.store.add("VmDisk", disk)
        sim.store.change("VmVolume", volume, mounting=True)
        sim.store.change("Vm", vm, entityAsyncStatus=None)


async def ensure_it_runs(tower: Cloudtower, sim: Simulator) -> None:
    vm = first(sim, "Vm")
    sim.store.change("Vm", vm["id"], status="SUSPENDED", entityAsyncStatus=None)
    await ensure_power(tower, vm["id"], "RUNNING", **ENSURE)


RECIPES: dict[str, Flow] = {
    "ensure_vm": ensure_a_vm,
    "ensure_labels": ensure_many_labels,
    "ensure_groups": ensure_groups,
    "ensure_snapshot": ensure_a_snapshot,
    "ensure_volumes": move_a_volume,
    "ensure_power": ensure_it_runs,
    "build_dashboard": lambda tower, _: build_dashboard(tower),
    "backup_vm": lambda tower, sim: backup_vm(tower, first(sim, "Vm")["id"], timeout=TIMEOUT),
    "backup_vms": back_up_many,
    "create_blank_vm": create_blank,
    "create_vm_from_template": create_from_template,
    "find_expirations": lambda tower, _: find_expirations(tower),
    "find_orphans": find_all_orphans,
    "forecast_capacity": lambda tower, _: forecast_capacity(tower, range="24h"),
    "measure_nic_errors": lambda tower, _: measure_nic_errors(tower, range="1m"),
    "start_vms": switched(start_vms, "STOPPED"),
    "restart_vms": switched(restart_vms, "RUNNING"),
    "shut_down_vms": switched(partial(shut_down_vms, force_after=TIMEOUT), "RUNNING"),
    "maintenance": maintain,
    "wait_for_addresses": guest_wait(wait_for_addresses),
    "wait_for_tools": guest_wait(wait_for_tools),
}

ONLY_THOROUGH = {"ensure_groups", "ensure_power", "ensure_snapshot", "ensure_volumes"}
"""Flows that share most of their code with others."""


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::cloudtower_async.MetricsWarning")
@pytest.mark.parametrize(
    "name", sorted({*RECIPES, "import_template"} - (set() if THOROUGH else ONLY_THOROUGH))
)
async def test_a_null_in_any_field_is_no_python_error(
    simulators: list[Simulator],
    name: str,
    tell: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    flow = importing(tmp_path) if name == "import_template" else RECIPES[name]
    await expect_no_broken_field(simulators, flow, name, tell, caplog)


def test_every_recipe_is_walked() -> None:
    found = {
        name for name in recipes.__all__ if inspect.iscoroutinefunction(getattr(recipes, name))
    }
    together = {
        "maintenance": {"check_maintenance", "enter_maintenance", "leave_maintenance"},
        "ensure_labels": {"ensure_labels", "ensure_label"},
        "ensure_groups": {"ensure_folder", "ensure_placement_group"},
        "ensure_volumes": {"ensure_volume_attached", "ensure_volume_detached"},
    }
    walked = set[str]().union(*(together.get(name, {name}) for name in RECIPES))
    assert found == walked | {"import_template"}
