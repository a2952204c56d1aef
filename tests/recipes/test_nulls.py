"""No field that a server leaves null breaks a recipe: it works, or raises one of our errors."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.recipes import (
    backup_vm,
    build_dashboard,
    create_blank_vm,
    create_vm_from_template,
)
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.nulls import walk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cloudtower_async import Cloudtower
    from tests.nulls import Flow

TIMEOUT = 0.2
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sim() -> AsyncIterator[Simulator]:
    size = FleetSize(clusters=1, hosts_per_cluster=3, vms=4)
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(size, clock=clock, task_duration=0.0) as simulator:
        yield simulator


def first(sim: Simulator, resource: str) -> Any:  # noqa: ANN401
    return next(iter(sim.store.table(resource).values()))


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


RECIPES: dict[str, Flow] = {
    "build_dashboard": lambda tower, _: build_dashboard(tower),
    "backup_vm": lambda tower, sim: backup_vm(tower, first(sim, "Vm")["id"], timeout=TIMEOUT),
    "create_blank_vm": create_blank,
    "create_vm_from_template": create_from_template,
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", RECIPES)
async def test_a_null_in_any_field_is_no_python_error(
    sim: Simulator, name: str, tell: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    fields, broken = await walk(sim, RECIPES[name])
    tell(f"nulls: {name}: {len(fields)} fields of answers, one at a time")
    assert fields
    assert broken == {}
