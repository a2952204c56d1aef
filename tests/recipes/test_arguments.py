"""Arguments of recipes, and of the session methods that they use, are validated first."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import Cloudtower, CloudtowerError, ElfImage, InvalidInput, recipes
from tests.recipes.towers import simulated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

NOT_SECONDS: list[Any] = [math.nan, math.inf, -math.inf, -1, 0, 10**400, "5", True, b"5", [1]]
NOT_COUNTS: list[Any] = [math.nan, math.inf, -1, 0, 1.5, "5", True]

POSITIONAL: dict[str, dict[str, Any]] = {
    "backup_vm": {"vm": "x"},
    "backup_vms": {"where": {"name": "x"}},
    "start_vms": {"where": {"name": "x"}},
    "restart_vms": {"where": {"name": "x"}},
    "shut_down_vms": {"where": {"name": "x"}},
    "check_maintenance": {"host": "x"},
    "enter_maintenance": {"host": "x"},
    "leave_maintenance": {"host": "x"},
    "create_blank_vm": {"name": "x", "cluster": "x", "vcpu": 1, "memory": 1},
    "create_vm_from_template": {"name": "x", "cluster": "x", "template": "x"},
    "ensure_vm": {"name": "x", "cluster": "x", "create": recipes.create_blank_vm},
    "ensure_label": {"key": "x"},
    "ensure_labels": {"labels": {"x": ""}, "resources": {"vms": {"id": "x"}}},
    "ensure_folder": {"name": "x", "cluster": "x"},
    "ensure_placement_group": {"name": "x", "cluster": "x", "vms": ["x"]},
    "ensure_snapshot": {"vm": "x", "name": "x"},
    "ensure_volume_attached": {"vm": "x", "volume": "x"},
    "ensure_volume_detached": {"vm": "x", "volume": "x"},
    "ensure_power": {"vm": "x", "state": "RUNNING"},
    "import_template": {"name": "x", "ovf": "x", "disks": [], "cluster": "x"},
    "find_expirations": {},
    "wait_for_addresses": {"vm": "x"},
    "wait_for_tools": {"vm": "x"},
}
CHECKED = {
    "timeout": NOT_SECONDS,
    "force_after": NOT_SECONDS,
    "reconcile_timeout": [value for value in NOT_SECONDS if value != 0],  # 0 means a single look
    "limit": NOT_COUNTS,
}

CASES = [
    (name, argument, value)
    for name in POSITIONAL
    for argument in inspect.signature(getattr(recipes, name)).parameters
    for value in CHECKED.get(argument, ())
]


def test_every_recipe_that_takes_such_an_argument_is_tested() -> None:
    found: set[str] = set()
    for name in recipes.__all__:
        function = getattr(recipes, name)
        if not inspect.iscoroutinefunction(function):
            continue
        if CHECKED.keys() & inspect.signature(function).parameters.keys():
            found.add(name)
    assert found == POSITIONAL.keys()


async def test_numbers_of_recipes_are_checked_before_anything_is_sent() -> None:
    async with simulated() as (sim, tower):
        sent = len(sim.requests)
        for name, argument, value in CASES:
            recipe = getattr(recipes, name)
            with pytest.raises(InvalidInput, match=f"^{name}: {argument}: expected a "):
                await recipe(tower, **POSITIONAL[name], **{argument: value})
        assert len(sim.requests) == sent


async def for_each(rows: Any) -> None:  # noqa: ANN401
    async for _ in rows:
        pass


async def hold(tower: Cloudtower, **arguments: Any) -> None:  # noqa: ANN401
    async with tower.lock("x", **arguments):
        pass


async def watch(tower: Cloudtower, **arguments: Any) -> None:  # noqa: ANN401
    async with tower.watch(tower.vm.get_vms, **arguments):
        pass


async def call(tower: Cloudtower, **arguments: Any) -> None:  # noqa: ANN401
    await tower.vm.get_vms(**arguments)


def start(tower: Cloudtower) -> Any:  # noqa: ANN401
    return tower.vm.start_vm(where={"id": "x"})


async def wait(tower: Cloudtower, **arguments: Any) -> None:  # noqa: ANN401
    await tower.wait(start(tower), **arguments)


async def settle(tower: Cloudtower, **arguments: Any) -> None:  # noqa: ANN401
    await tower.settle(start(tower), **arguments)


async def as_completed(tower: Cloudtower, **arguments: Any) -> None:  # noqa: ANN401
    await for_each(tower.as_completed(start(tower), **arguments))


async def progress(tower: Cloudtower, **arguments: Any) -> None:  # noqa: ANN401
    await for_each(tower.progress(start(tower), **arguments))


SECONDS: dict[str, tuple[Callable[..., Awaitable[object]], tuple[str, ...]]] = {
    "wait": (wait, ("timeout", "interval", "grace")),
    "settle": (settle, ("timeout", "interval", "grace")),
    "as_completed": (as_completed, ("timeout", "interval", "grace")),
    "progress": (progress, ("timeout", "interval", "grace")),
    "lock": (hold, ("timeout",)),
    "watch": (watch, ("interval", "grace")),
    "vm.get_vms": (call, ("timeout",)),
}


@pytest.mark.parametrize("name", SECONDS)
async def test_seconds_of_methods_are_checked_before_anything_is_sent(name: str) -> None:
    method, arguments = SECONDS[name]
    async with simulated() as (sim, tower):
        sent = len(sim.requests)
        for argument in arguments:
            for value in NOT_SECONDS:
                if argument == "grace" and value == 0:
                    continue  # 0 means not to wait
                with pytest.raises(InvalidInput, match=f"{argument}: expected a number of sec"):
                    await method(tower, **{argument: value})
        assert len(sim.requests) == sent


async def test_counts_of_methods_are_checked_before_anything_is_sent() -> None:
    async with simulated() as (sim, tower):
        sent = len(sim.requests)
        for value in NOT_COUNTS:
            with pytest.raises(InvalidInput, match="iterate: page_size: "):
                await for_each(tower.iterate(tower.vm.get_vms, page_size=value))
            for argument in ("page_size", "concurrency"):
                with pytest.raises(InvalidInput, match=f"fetch_all: {argument}: "):
                    await tower.fetch_all(tower.vm.get_vms, **{argument: value})
        assert len(sim.requests) == sent


async def test_numbers_of_uploads_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "disc.iso"
    file.write_bytes(b"x")
    target = ElfImage(cluster_id="c")
    async with simulated() as (sim, tower):
        upload: Any = tower.upload
        sent = len(sim.requests)
        for argument in ("timeout", "interval", "settling_time"):
            for value in NOT_SECONDS:
                with pytest.raises(InvalidInput, match=f"upload: {argument}: "):
                    await upload(file, target, **{argument: value})
        for value in NOT_COUNTS:
            with pytest.raises(InvalidInput, match="upload: chunk_size: "):
                await upload(file, target, chunk_size=value)
        assert len(sim.requests) == sent


async def test_seconds_of_options_are_checked() -> None:
    async with simulated() as (_, tower):
        for argument in ("timeout", "lock_timeout"):
            for value in NOT_SECONDS:
                if argument == "lock_timeout" and value == 0:
                    continue
                with pytest.raises(CloudtowerError, match=argument):
                    tower.with_options(**{argument: value})
        assert tower.with_options(lock_timeout=3).lock_timeout == 3
