"""The middleware of the example: audit log, approval, tenant filter, time-outs."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import EVERYTHING, CallTimeout, Cloudtower
from cloudtower_async.testing import Simulator
from examples.middleware import (
    NotAllowedError,
    approve,
    audit,
    delete_vms,
    limit_time,
    restrict_to_tenant,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async import Middleware

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    """A CloudTower with VMs of two tenants."""
    async with Simulator(vms=0, task_duration=0) as sim, session(sim) as tower:
        for tenant in ("blue", "red"):
            [label] = await tower.label.create_label([{"key": "tenant", "value": tenant}])
            for number in range(2):
                vm = sim.add_vm(name=f"{tenant}-{number}", status="STOPPED")
                added = await tower.label.add_labels_to_resources(
                    where={"id": label.data.id}, data={"vms": {"id": vm["id"]}}
                )
                await tower.wait(added)
        yield sim


def session(sim: Simulator, *middleware: Middleware, **options: Any) -> Cloudtower:  # noqa: ANN401
    return Cloudtower(
        sim.url, username=sim.username, password=sim.password, middleware=middleware, **options
    )


async def names(sim: Simulator) -> set[str]:
    async with session(sim) as tower:
        return {vm.name for vm in await tower.vm.get_vms()}


async def test_the_audit_log_has_a_line_for_each_mutation(sim: Simulator) -> None:
    log = io.StringIO()
    async with session(sim, audit(log)) as tower:
        assert await delete_vms(tower, ["blue-0"]) == ["blue-0"]
        sim.faults.fail("delete-vm", status=500)
        with pytest.raises(Exception, match="delete_vm"):
            await tower.vm.delete_vm(where={"name": "blue-1"})
    done, failed = map(json.loads, log.getvalue().splitlines())
    assert done["operation"] == "vm.delete_vm"
    assert len(done["arguments"]["where"]["id_in"]) == 1
    assert (done["outcome"], done["error"], done["attempts"]) == ("success", None, 1)
    assert len(done["request_ids"]) == 1
    assert done["endpoint"] == sim.url
    assert (failed["outcome"], failed["error"]) == ("unknown", "OutcomeUnknown")
    assert failed["arguments"] == {"where": {"name": "blue-1"}}


@pytest.mark.parametrize("answer", [True, False])
async def test_nothing_is_deleted_without_approval(sim: Simulator, answer: bool) -> None:
    questions: list[str] = []

    async def ask(question: str) -> bool:
        questions.append(question)
        return answer

    async with session(sim, approve(ask)) as tower:
        if answer:
            await delete_vms(tower, ["blue-0"])
        else:
            with pytest.raises(NotAllowedError, match=r"vm\.delete_vm: not approved"):
                await delete_vms(tower, ["blue-0"])
    [question] = questions
    assert question.startswith('delete_vm {"where": {"id_in": ["')
    assert ("blue-0" in await names(sim)) is not answer


async def test_a_tenant_sees_and_deletes_only_its_own(sim: Simulator) -> None:
    async with session(sim, restrict_to_tenant("blue")) as tower:
        for own in (await tower.vm.get_vms(), await tower.fetch_all(tower.vm.get_vms)):
            assert {vm.name for vm in own} == {"blue-0", "blue-1"}
        assert await tower.vm.get_vms(where={"name": "red-0"}) == []
        assert await tower.count(tower.vm.get_vms) == 2
        assert await delete_vms(tower, ["red-0", "blue-0"]) == ["blue-0"]
        await tower.wait(await tower.vm.delete_vm(where=EVERYTHING))
    assert await names(sim) == {"red-0", "red-1"}


async def test_a_tenant_cannot_make_calls_without_a_filter(sim: Simulator) -> None:
    async with session(sim, restrict_to_tenant("blue")) as tower:
        calls = [
            tower.cluster.get_clusters(),
            tower.graphql("{ vms { id } }"),
            tower.request("/get-vms", {}),
            tower.raw("GET", "/x"),
            tower.vm.rebuild_vm([{"rebuild_from_snapshot_id": "s", "name": "x"}]),
        ]
        for call in calls:
            with pytest.raises(NotAllowedError, match="not allowed for tenants"):
                await call
    assert sim.sent("get-clusters") == []


async def test_an_operation_has_a_separate_time_out(sim: Simulator) -> None:
    async with session(sim, limit_time({"vm.get_vms": 0.05})) as tower:
        sim.faults.hang("get-vms")
        with pytest.raises(CallTimeout, match=r"no answer within 0\.05 s"):
            await tower.vm.get_vms()
        await tower.host.get_hosts()
