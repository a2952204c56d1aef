"""The version of the server, and the errors that it explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web

from cloudtower_async import BadRequest, Cloudtower, NotFound, ServerError
from cloudtower_async.calls.server_version import is_older
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.support import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

SMALL = FleetSize(clusters=1, hosts_per_cluster=1, vms=1)
NOTHING_THERE = (
    "Check the filter and the ids of the call: no resource matches them, or the resource is gone."
)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SMALL, clock=Clock(running=False), version="3.0.0") as simulator:
        yield simulator


def session(sim: Simulator) -> Cloudtower:
    return Cloudtower(sim.url, username=sim.username, password=sim.password)


def asked(sim: Simulator) -> int:
    return sum(request.path == "get-version" for request in sim.requests)


@pytest.mark.parametrize(
    ("version", "other", "older"),
    [
        ("4.3.0", "4.7.0", True),
        ("4.9.0", "4.10.0", True),
        ("4.7.0", "4.7.0", False),
        ("5.0.0", "4.7.0", False),
        ("4.7.0-rc.2", "4.7.0", False),
        ("4.6", "4.7.0", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, other: str, older: bool) -> None:
    assert is_older(version, other) is older


async def test_the_version_is_requested_once_per_connection(sim: Simulator) -> None:
    async with session(sim) as tower:
        assert await tower.server_version() == "3.0.0"
        assert await tower.with_options(timeout=9).server_version() == "3.0.0"
    assert asked(sim) == 1


async def test_the_error_says_that_the_server_is_too_old(sim: Simulator) -> None:
    async with session(sim) as tower:
        assert await tower.vm.get_vms()  # every server has this operation
        found: list[NotFound] = []

        async def call() -> None:
            with pytest.raises(NotFound, match=r"needs") as info:
                await tower.disk_pool.get_disk_pools()
            found.append(info.value)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call)
    assert {error.hint for error in found} == {
        "get_disk_pools needs CloudTower 4.7.0; this is 3.0.0."
    }
    assert asked(sim) == 1


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (None, NOTHING_THERE),  # the answer of CloudTower
        (b'{"message": "no such page"}', NotFound.default_hint),
        (b"<html>no such page</html>", NotFound.default_hint),
        (b"", NotFound.default_hint),
    ],
)
async def test_a_404_of_a_new_enough_server_has_a_hint_that_fits_its_body(
    body: bytes | None, hint: str
) -> None:
    async with Simulator(SMALL, clock=Clock(running=False)) as sim, session(sim) as tower:
        sim.faults.fail("get-disk-pools", status=404, body=body)
        with pytest.raises(NotFound) as info:
            await tower.disk_pool.get_disk_pools()
        assert info.value.hint == hint
        sim.faults.fail("get-vms", status=404, body=body)
        with pytest.raises(NotFound) as info:
            await tower.vm.get_vms()
        assert info.value.hint == hint
        assert asked(sim) == 1  # no request for an operation that every server has


async def test_the_error_of_a_mutation_that_matches_nothing_says_so() -> None:
    async with Simulator(clusters=1, vms=3, nothing_matches="404") as sim, session(sim) as tower:
        with pytest.raises(NotFound, match="no VM matches the filter") as info:
            await tower.vm.start_vm(where={"id": "gone"})
        assert info.value.hint == NOTHING_THERE


@pytest.mark.parametrize("status", [404, 500])
async def test_the_first_error_is_raised_when_the_version_is_unknown(
    sim: Simulator, status: int
) -> None:
    async with session(sim) as tower:
        sim.faults.fail("get-version", status=status, times=1)
        with pytest.raises(NotFound, match="get_disk_pools") as info:
            await tower.disk_pool.get_disk_pools()
        assert info.value.hint == NotFound.default_hint
        assert await tower.server_version() == "3.0.0"  # errors are not cached


async def test_the_first_error_stays_when_there_is_no_time_left(sim: Simulator) -> None:
    async with session(sim) as tower:
        sim.faults.hang("get-version")
        with pytest.raises(NotFound, match="get_disk_pools") as info:
            await tower.disk_pool.get_disk_pools(timeout=1)
        assert info.value.hint == NotFound.default_hint


async def test_a_cancelled_version_request_leaves_nothing_behind(sim: Simulator) -> None:
    async with session(sim) as tower:
        sim.faults.hang("get-version")
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(tower.disk_pool.get_disk_pools)
                with anyio.fail_after(20):
                    while not asked(sim):
                        await anyio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        assert await tower.server_version() == "3.0.0"


async def test_a_session_that_is_refused_at_its_login_asks_for_no_version() -> None:
    paths: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=404)

    async with serve(handle) as endpoint:
        tower = Cloudtower(endpoint, username="root", password="x")
        with pytest.raises(NotFound, match=r"user\.login"):
            await tower.disk_pool.get_disk_pools()
        await tower.close()
    assert paths == ["/v2/api/login"]


async def test_server_version_raises_the_error_of_the_server(sim: Simulator) -> None:
    async with session(sim) as tower:
        sim.faults.fail("get-version", status=500)
        with pytest.raises(ServerError):
            await tower.server_version()


async def test_the_error_says_that_the_server_is_too_old_for_an_argument(sim: Simulator) -> None:
    async with session(sim) as tower:
        sim.faults.fail("get-vms", status=400, times=2)
        with pytest.raises(BadRequest) as info:
            await tower.vm.get_vms(
                where={
                    "OR": [{"name": "a"}, {"vm_disks_some": {"vm": {"bios_uuid": "b"}}}],
                    "pci_nics_some": {},
                }
            )
        first = info.value.hint
        with pytest.raises(BadRequest) as info:
            await tower.vm.get_vms(where={"name": "a", "cluster": {"name": "b"}})
    assert first == (
        "where.OR[1].vm_disks_some.vm.bios_uuid needs CloudTower 4.2.0, "
        "where.pci_nics_some needs CloudTower 3.3.0; this is 3.0.0."
    )
    assert info.value.hint == BadRequest.default_hint
    assert asked(sim) == 1


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("RUNING", "this version does not know the value 'RUNING'; did you mean RUNNING?"),
        ("ON", "this version does not know the value 'ON'; expected one of DELETED, RUNNING,"),
        ("\x1b[2J", r"this version does not know the value '\x1b[2J'; expected one of DELETED,"),
    ],
)
async def test_a_refused_value_of_an_enum_is_named_with_the_nearest_one(
    sim: Simulator, value: str, hint: str
) -> None:
    where: Any = {
        "OR": [{"name": "a"}, {"vm_disks_some": {"vm": {"status_in": ["STOPPED", value]}}}]
    }
    async with session(sim) as tower:
        sim.faults.fail("get-vms", status=400)
        with pytest.raises(BadRequest) as info:
            await tower.vm.get_vms(where=where)
    place = "where.OR[1].vm_disks_some.vm.status_in[1]: "
    assert info.value.hint.startswith(f"{place}{hint}")
    assert asked(sim) == 0


async def test_a_server_that_is_new_enough_for_an_argument_has_other_reasons() -> None:
    async with Simulator(SMALL, clock=Clock(running=False)) as sim, session(sim) as tower:
        sim.faults.fail("get-vms", status=400)
        with pytest.raises(BadRequest) as info:
            await tower.vm.get_vms(where={"pci_nics_some": {}})
        assert info.value.hint == BadRequest.default_hint
