"""Names of fleet jobs and the objects that they must refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import InvalidInput
from cloudtower_async.jobs import FleetItem, FleetJob
from cloudtower_async.jobs.fleet import run_fleet
from cloudtower_async.jobs.fleet_job import load_job

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower
    from cloudtower_async.jobs import Journal


async def list_nothing(_: Cloudtower) -> list[FleetItem]:
    return []


async def do_nothing(_: Cloudtower, __: FleetItem, ___: Journal) -> None:
    return None


def test_a_job_is_imported_by_its_name() -> None:
    assert isinstance(load_job("examples.fleet.snapshots:nightly"), FleetJob)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("examples.fleet.snapshots", "is not the name of a job: expected module:name"),
        ("__import__('os'):system", "is not the name of a job"),
        ("nowhere.at.all:job", "there is no module 'nowhere'"),
        ("examples.fleet.nowhere:job", "there is no module 'examples.fleet.nowhere'"),
        ("examples.fleet.snapshots:weekly", "the module has no 'weekly'"),
        ("examples.fleet.snapshots:list_vms", "expected a FleetJob, got function"),
    ],
)
def test_another_name_is_refused(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        load_job(name)


def test_a_job_has_async_functions() -> None:
    def listing(_: Cloudtower) -> list[FleetItem]:
        return []

    with pytest.raises(InvalidInput, match="FleetJob: list_items: expected an async function"):
        FleetJob(listing, do_nothing)  # type: ignore[arg-type] # pyright: ignore


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"per_tower": 0}, "per_tower"),
        ({"per_cluster": 1.5}, "per_cluster"),
        ({"patience": 0}, "patience"),
        ({"run": ""}, "run"),
        ({"run": "a\nb"}, "run"),
        ({"run": "a/b"}, "run"),
        ({"profiles": ["a/b"]}, "profiles"),
        ({"profiles": []}, "profiles"),
        ({"profiles": ["a", "a"]}, "profiles"),
    ],
)
async def test_arguments_of_a_run_are_checked(options: dict[str, Any], told: str) -> None:
    arguments: dict[str, Any] = {"profiles": ["a"], "run": "a", **options}
    with pytest.raises(InvalidInput, match=f"run_fleet: {told}: "):
        await run_fleet(
            "redis://127.0.0.1:1", "a:b", FleetJob(list_nothing, do_nothing), **arguments
        )
