"""Idempotent recipes with answers that are lost, late or odd, and with concurrent changes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import (
    Ambiguous,
    BadRequest,
    Cloudtower,
    Forbidden,
    InvalidInput,
    OutcomeUnknown,
    ReadBackFailed,
    ResponseDecodeError,
    RetryPolicy,
    TaskFailed,
)
from cloudtower_async.recipes import (
    create_blank_vm,
    ensure_folder,
    ensure_label,
    ensure_placement_group,
    ensure_snapshot,
    ensure_vm,
)
from tests.odd_servers import proxy, unchanged
from tests.recipes.towers import after_each, simulated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async.models import Vm
    from cloudtower_async.recipes import Ensured
    from cloudtower_async.testing import Simulator
    from tests.odd_servers import Tell

pytestmark = pytest.mark.anyio

GIB = 2**30
BLANK = partial(create_blank_vm, vcpu=1, memory=GIB)
SHORT = 0.1  # seconds to reconcile


def cluster_of(sim: Simulator, place: int = 0) -> Any:  # noqa: ANN401
    return sim.store.select("Cluster", {"hypervisor": "ELF"})[place]["id"]


def vms(sim: Simulator, name: str = "blog") -> list[dict[str, Any]]:
    return sim.store.select("Vm", {"name": name})


async def blog(tower: Cloudtower, sim: Simulator, **options: Any) -> Ensured[Vm]:  # noqa: ANN401
    given: dict[str, Any] = {"create": BLANK, "reconcile_timeout": SHORT, **options}
    return await ensure_vm(tower, "blog", cluster=cluster_of(sim), **given)


@asynccontextmanager
async def odd(
    tell: Tell = unchanged,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[tuple[Simulator, Cloudtower]]:
    """Connect to a server whose answers are changed."""
    async with (
        simulated(**options) as (sim, direct),
        proxy(sim.url, tell=tell) as url,
        Cloudtower(url, token=await direct.get_token(), retry=RetryPolicy(attempts=1)) as tower,
    ):
        yield sim, tower


def late(path: str, key: str, name: str, looks: int) -> Tell:
    """Return a function for `tell` of `odd`: it removes a resource from the first answers.

    Args:
        path: Path of the query.
        key: Field with the name of the resource.
        name: Name of the resource.
        looks: Number of answers without the resource.
    """
    seen = 0

    def tell(called: str, body: Any, answer: Any) -> Any:  # noqa: ANN401
        nonlocal seen
        if called != path or name not in str(body.get("where")):
            return answer
        seen += 1
        return answer if seen > looks else [row for row in answer if row[key] != name]

    return tell


@pytest.mark.parametrize("taken_names", ["refused", "task_fails"])
async def test_a_vm_that_is_listed_late_is_adopted_when_its_name_turns_out_to_be_taken(
    taken_names: Any,  # noqa: ANN401
) -> None:
    async with odd(late("get-vms", "name", "blog", 3), taken_names=taken_names) as (sim, tower):
        there = sim.add_vm(name="blog", cluster=cluster_of(sim), memory=1 << 20)
        ensured = await blog(tower, sim, reconcile_timeout=60.0)
        assert (ensured.result, ensured.resource.id) == ("unchanged", there["id"])
        assert len(sim.sent("create-vm")) == 1


async def test_a_creation_without_answer_is_found_although_it_is_listed_late() -> None:
    async with odd(late("get-labels", "key", "env", 3)) as (sim, tower):
        sim.faults.reset("create-label", executed=True)
        ensured = await ensure_label(tower, "env", "prod", reconcile_timeout=60.0)
        assert ensured.result == "created"
        assert len(sim.sent("create-label")) == len(sim.store.select("Label", {"key": "env"})) == 1


async def test_a_creation_that_never_appears_is_sent_twice_and_then_unknown() -> None:
    async with simulated() as (sim, tower):
        sim.faults.fail("create-vm-folder", status=504, times=5)
        with pytest.raises(OutcomeUnknown) as caught:
            await ensure_folder(tower, "web", cluster=cluster_of(sim), reconcile_timeout=SHORT)
        assert caught.value.status == 504
        assert len(sim.sent("create-vm-folder")) == 2
        assert sim.store.select("VmFolder", {"name": "web"}) == []


async def test_nothing_is_created_again_if_the_last_reconciling_read_fails() -> None:
    def fail(_: int) -> None:
        sim.faults.fail("get-vms", status=503, times=100)

    async with simulated(trace=after_each("create-vm", fail)) as (sim, tower):
        sim.faults.fail("create-vm", status=504)
        once = tower.with_options(retry=RetryPolicy(attempts=1))
        with pytest.raises(OutcomeUnknown) as caught:
            await blog(once, sim)
        assert caught.value.operation == "vm.create_vm"
        assert len(sim.sent("create-vm")) == 1


async def test_reconciling_reads_outlast_a_server_that_fails_for_a_while() -> None:
    def fail(_: int) -> None:
        sim.faults.fail("get-vms", status=503, times=2)

    async with simulated(trace=after_each("create-vm", fail)) as (sim, tower):
        sim.faults.fail("create-vm", status=504, executed=True)
        once = tower.with_options(retry=RetryPolicy(attempts=1))
        ensured = await blog(once, sim, reconcile_timeout=60.0)
        assert ensured.result == "created"
        assert len(vms(sim)) == len(sim.sent("create-vm")) == 1


async def test_a_forbidden_reconciling_read_ends_the_run() -> None:
    def fail(_: int) -> None:
        sim.faults.fail("get-vms", status=403)

    async with simulated(trace=after_each("create-vm", fail)) as (sim, tower):
        sim.faults.fail("create-vm", status=504)
        with pytest.raises(OutcomeUnknown) as caught, anyio.fail_after(60):
            await blog(tower, sim, reconcile_timeout=3600.0)
        assert isinstance(caught.value.__cause__, Forbidden)


@pytest.mark.parametrize("answer", [[], [{"task_id": None, "data": None}]])
async def test_an_answer_that_names_nothing_is_reconciled(answer: Any) -> None:  # noqa: ANN401
    def tell(path: str, _: Any, told: Any) -> Any:  # noqa: ANN401
        return answer if path == "create-vm-placement-group" else told

    async with odd(tell) as (sim, tower):
        ensured = await ensure_placement_group(
            tower, "web", cluster=cluster_of(sim), vms=[], reconcile_timeout=60.0
        )
        assert ensured.result == "created"
        assert len(sim.sent("create-vm-placement-group")) == 1


async def test_a_name_that_another_cluster_has_is_refused_at_once() -> None:
    async with simulated() as (sim, tower):
        sim.add_vm(name="blog", cluster=cluster_of(sim, 1), memory=1 << 20)
        with pytest.raises(BadRequest) as caught, anyio.fail_after(60):
            await blog(tower, sim, reconcile_timeout=3600.0)
        assert caught.value.code == "VM_DUPLICATE"


async def test_a_vm_created_concurrently_by_someone_else_is_not_reported_as_created() -> None:
    async def overtaken(tower: Cloudtower, name: str, **options: Any) -> Vm:  # noqa: ANN401
        sim.add_vm(name=name, cluster=cluster_of(sim), memory=1 << 20)
        return await BLANK(tower, name, **options)

    async with simulated() as (sim, tower):
        ensured = await blog(tower, sim, create=overtaken)
        assert ensured.result == "unchanged"
        assert len(vms(sim)) == 1


async def test_a_vm_that_is_being_created_is_waited_for() -> None:
    async with simulated(task_duration=0.5) as (sim, tower):
        cluster = cluster_of(sim)
        await tower.vm.create_vm(
            [
                {
                    "name": "blog",
                    "cluster_id": cluster,
                    "vcpu": 1,
                    "cpu_cores": 1,
                    "cpu_sockets": 1,
                    "memory": GIB,
                    "memory_unit": "B",
                    "firmware": "BIOS",
                    "ha": True,
                    "status": "STOPPED",
                    "vm_disks": {},
                    "vm_nics": [],
                }
            ]
        )
        assert vms(sim)[0]["entityAsyncStatus"] == "CREATING"
        ensured = await blog(tower, sim)
        assert ensured.result == "unchanged"
        assert ensured.resource.entity_async_status is None


async def test_a_vm_that_is_being_deleted_is_created_again() -> None:
    async with simulated(task_duration=0.3) as (sim, tower):
        old = sim.add_vm(name="blog", status="STOPPED", cluster=cluster_of(sim), memory=1 << 20)
        await tower.vm.delete_vm(where={"id": old["id"]})
        ensured = await blog(tower, sim)
        assert ensured.result == "created"
        assert [vm["id"] for vm in vms(sim)] == [ensured.resource.id]


async def test_a_failed_creation_is_an_error_and_a_vm_that_appears_late_is_adopted() -> None:
    async with simulated(late_creates=0.05) as (sim, tower):
        sim.tasks.fail_next()
        with pytest.raises(TaskFailed):
            await blog(tower, sim)
        with anyio.fail_after(60):
            while not await tower.vm.get_vms(where={"name": "blog"}):  # noqa: ASYNC110
                await anyio.sleep(0.02)
        ensured = await blog(tower, sim)
        assert ensured.result == "unchanged"
        assert len(vms(sim)) == len(sim.sent("create-vm")) == 1


async def test_a_vm_that_was_created_and_is_not_listed_is_not_created_again() -> None:
    def remove(times: int) -> None:
        if times == 2:  # it was seen once, after its creation
            sim.store.remove("Vm", vms(sim)[0]["id"])

    trace = after_each("get-vms", remove)
    async with simulated(trace=trace, settle_delay=3600.0) as (sim, tower):
        with pytest.raises(ReadBackFailed) as caught:
            await blog(tower, sim, timeout=60.0)
        assert caught.value.done
        assert len(sim.sent("create-vm")) == 1


async def test_vms_in_the_recycle_bin_do_not_count() -> None:
    async with simulated() as (sim, tower):
        sim.add_vm(name="blog", cluster=cluster_of(sim), memory=1 << 20, in_recycle_bin=True)
        with pytest.raises(BadRequest) as caught:
            await blog(tower, sim)
        assert caught.value.code == "VM_DUPLICATE"


async def test_several_that_match_are_ambiguous_and_nothing_is_sent() -> None:
    async with simulated() as (sim, tower):
        for _ in range(2):
            await tower.wait(tower.label.create_label([{"key": "env", "value": "prod"}]))
        sent = len(sim.mutations())
        with pytest.raises(Ambiguous, match="there are 2 of label env=prod: ") as caught:
            await ensure_label(tower, "env", "prod")
        assert caught.value.count == len(caught.value.ids) == 2
        assert len(sim.mutations()) == sent


@pytest.mark.parametrize("value", [None, ""])
async def test_a_label_without_a_value_has_null_or_an_empty_one(value: str | None) -> None:
    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        return [{**row, "value": value} for row in answer] if path == "get-labels" else answer

    async with odd(tell) as (sim, tower):
        assert (await ensure_label(tower, "env")).result == "created"
        assert (await ensure_label(tower, "env")).result == "unchanged"
        assert sim.sent("create-label") == [[{"key": "env"}]]


async def test_a_row_without_an_id_is_not_adopted() -> None:
    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        return [{**row, "id": None} for row in answer] if path == "get-vm-folders" else answer

    async with odd(tell) as (sim, tower):
        cluster = cluster_of(sim)
        await tower.wait(tower.vm_folder.create_vm_folder([{"name": "web", "cluster_id": cluster}]))
        with pytest.raises(ResponseDecodeError, match="listed a VmFolder without an id"):
            await ensure_folder(tower, "web", cluster=cluster)
        assert len(sim.sent("create-vm-folder")) == 1


async def test_rows_that_do_not_match_the_filter_are_not_adopted() -> None:
    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        rows = sim.store.select("VmSnapshot", {}) if path == "get-vm-snapshots" else []
        return [*answer, *({"id": row["id"], "name": row["name"], "vm": None} for row in rows)]

    async with odd(tell) as (sim, tower):
        one, other = (
            sim.add_vm(name=f"blog-{number}", status="STOPPED", memory=1 << 20)
            for number in range(2)
        )
        assert (await ensure_snapshot(tower, one["id"], "nightly")).result == "created"
        assert (await ensure_snapshot(tower, other["id"], "nightly")).result == "created"
        assert len(sim.store.select("VmSnapshot", {"name": "nightly"})) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"create": None}, "create: expected an async function, got NoneType"),
        ({"reconcile_timeout": -1}, "reconcile_timeout: expected a number of seconds"),
        ({"reconcile_timeout": None}, "reconcile_timeout: expected a number of seconds"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    options: dict[str, Any], said: str
) -> None:
    async with simulated() as (sim, tower):
        sent = len(sim.requests)
        with pytest.raises(InvalidInput, match=f"^ensure_vm: {said}"):
            await blog(tower, sim, **options)
        assert len(sim.requests) == sent


async def test_a_reconcile_timeout_of_zero_reads_once() -> None:
    async with simulated() as (sim, tower):
        sim.faults.reset("create-vm")
        assert (await blog(tower, sim, reconcile_timeout=0)).result == "created"
        assert len(sim.sent("create-vm")) == 2
