"""Hosts in maintenance mode and back, over HTTP against the simulator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import (
    BadRequest,
    CallError,
    Cloudtower,
    NotFound,
    ReadBackFailed,
    ResponseDecodeError,
    RetryPolicy,
    TaskFailed,
    TaskTimeout,
)
from cloudtower_async.recipes import (
    Progress,
    VmsInTheWay,
    check_maintenance,
    enter_maintenance,
    leave_maintenance,
)
from tests.odd_servers import proxy
from tests.recipes.towers import after_each, simulated, steps
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from cloudtower_async.models import Vm
    from cloudtower_async.testing import Simulator
    from tests.odd_servers import Tell

pytestmark = pytest.mark.anyio

MIB = 1 << 20


def a_host(sim: Simulator) -> dict[str, Any]:
    """Add a host in an empty cluster, with a running VM and a stopped one."""
    cluster = sim.add_cluster(hosts=3)
    host = sim.store.get("Host", cluster["hosts"][0])
    sim.add_vm(name="runs", host=host["id"], memory=MIB)
    sim.add_vm(name="off", host=host["id"], memory=MIB, status="STOPPED")
    return host


def hold(sim: Simulator, host: dict[str, Any]) -> dict[str, Any]:
    """Add a VM that cannot be migrated."""
    return sim.add_vm(name="sleeps", host=host["id"], memory=MIB, status="SUSPENDED")


def names(vms: list[Vm]) -> list[str]:
    return sorted(vm.name for vm in vms)


async def test_a_host_is_emptied_and_filled_again() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)
        check = await check_maintenance(tower, host["name"])
        assert (check.host.id, check.must_stop) == (host["id"], [])
        entered = await enter_maintenance(tower, host["id"])
        assert entered.host.host_state is not None
        assert entered.host.host_state.state == "MAINTENANCE_MODE"
        assert (names(entered.moved), entered.stopped) == (["runs"], [])
        [moved] = entered.moved
        assert moved.host is not None
        assert moved.host.id != host["id"]
        left = await leave_maintenance(tower, host["id"])
        assert left.host.host_state is None
        assert (names(left.back), left.started, left.not_back) == (["off", "runs"], [], [])


async def test_vms_that_cannot_be_moved_are_an_error_unless_they_may_be_stopped() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)
        vm = hold(sim, host)
        check = await check_maintenance(tower, host["id"])
        assert names(check.must_stop) == ["sleeps"]
        with pytest.raises(VmsInTheWay, match=r"1 of its VMs cannot be moved: sleeps\. ") as caught:
            await enter_maintenance(tower, host["id"])
        assert caught.value.check == check
        assert sim.sent("enter-maintance-mode") == []
        entered = await enter_maintenance(tower, host["id"], stop_vms=True)
        assert (names(entered.moved), names(entered.stopped)) == (["runs"], ["sleeps"])
        assert sim.store.get("Vm", vm["id"])["status"] == "STOPPED"
        left = await leave_maintenance(tower, host["id"])
        assert (names(left.back), names(left.started)) == (["off", "runs"], ["sleeps"])
        assert left.not_back == []


async def test_vms_that_do_not_return_are_reported() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)
        entered = await enter_maintenance(tower, host["id"])
        sim.store.change("Host", host["id"], allocatable_memory_bytes=0)
        left = await leave_maintenance(tower, host["id"])
        assert names(left.not_back) == names(entered.moved) == ["runs"]
        assert names(left.back) == ["off"]  # a stopped VM needs no memory


async def test_vms_stay_where_they_are_on_request() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)
        hold(sim, host)
        await enter_maintenance(tower, host["id"], stop_vms=True)
        left = await leave_maintenance(tower, host["id"], bring_back=False)
        assert (left.back, left.started, left.not_back) == ([], [], [])
        assert not sim.store.select("Vm", {"host": {"id": host["id"]}, "status": "RUNNING"})


async def test_a_host_that_is_there_already_is_left_alone() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)
        left = await leave_maintenance(tower, host["id"])
        assert (left.host.id, left.back) == (host["id"], [])
        await enter_maintenance(tower, host["id"])
        before = len(sim.mutations())
        entered = await enter_maintenance(tower, host["id"])
        assert (entered.host.id, entered.moved) == (host["id"], [])
        assert len(sim.mutations()) == before


async def test_the_result_of_a_check_may_need_a_moment() -> None:
    def say(status: str) -> None:
        [task] = sim.store.select("Task", {"resource_mutation": "enterMaintenanceModePrecheck"})
        sim.store.change("Task", task["id"], status=status)

    later = after_each("enter-maintance-mode-precheck-result", lambda _: say("SUCCESSED"))
    async with simulated(trace=later) as (sim, tower):
        host = a_host(sim)

        def not_yet(news: Progress) -> None:
            if news.step == "check" and news.fraction == 1:
                say("EXECUTING")

        await check_maintenance(tower, host["id"], on_progress=not_yet)
        assert len(sim.sent("enter-maintance-mode-precheck-result")) == 2
    async with simulated() as (sim, tower):
        host = a_host(sim)
        with pytest.raises(TaskTimeout):
            await check_maintenance(tower, host["id"], on_progress=not_yet, timeout=0.3)


async def test_its_progress_is_reported() -> None:
    heard: list[Progress] = []
    async with simulated() as (sim, tower):
        host = a_host(sim)
        await enter_maintenance(tower, host["id"], on_progress=heard.append)
        assert steps(heard) == ["check", "enter", "done"]
        heard.clear()
        await leave_maintenance(tower, host["id"], on_progress=heard.append)
        assert steps(heard) == ["leave", "done"]
        heard.clear()
        hold(sim, host)
        with pytest.raises(VmsInTheWay):
            await enter_maintenance(tower, host["id"], on_progress=heard.append)
        assert steps(heard) == ["check", "failed"]
        assert {one.subject for one in heard} == {host["name"]}


async def test_failures_are_raised_and_can_be_retried() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)
        with pytest.raises(NotFound):
            await enter_maintenance(tower, "nobody")
        sim.tasks.fail_next()
        with pytest.raises(TaskFailed):
            await enter_maintenance(tower, host["id"])
        sim.faults.fail("enter-maintance-mode", status=403)
        with pytest.raises(CallError):
            await enter_maintenance(tower, host["id"])
        await enter_maintenance(tower, host["id"])
        sim.tasks.fail_next()
        with pytest.raises(TaskFailed):
            await leave_maintenance(tower, host["id"])
        await leave_maintenance(tower, host["id"])


async def test_two_concurrent_callers_send_one_request() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)

        async def enter() -> None:
            await enter_maintenance(tower, host["id"])

        async with anyio.create_task_group() as group:
            group.start_soon(enter)
            group.start_soon(enter)
        assert len(sim.sent("enter-maintance-mode")) == 1


async def test_after_a_cancellation_the_server_continues() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)
        before = tasks_of_clients()
        with anyio.CancelScope() as scope:

            def cancel(news: Progress) -> None:
                if news.fraction == 1:
                    sim.tasks.duration = 3600.0
                if sim.sent("enter-maintance-mode"):
                    scope.cancel()

            await enter_maintenance(tower, host["id"], on_progress=cancel)
        assert scope.cancelled_caught
        assert tasks_of_clients() == before
        assert sim.store.get("Host", host["id"])["host_state"]["state"] == (
            "ENTERING_MAINTENANCE_MODE"
        )
        with pytest.raises(BadRequest):
            await enter_maintenance(tower, host["id"])
        sim.clock.advance(3600)
        assert (await enter_maintenance(tower, host["id"])).moved == []


@asynccontextmanager
async def odd(tell: Tell) -> AsyncGenerator[tuple[Simulator, Cloudtower, dict[str, Any]]]:
    """Connect to a server whose answers are changed; it has the host of `a_host`."""
    async with simulated() as (sim, direct), proxy(sim.url, tell=tell) as url:
        token = await direct.get_token()
        async with Cloudtower(url, token=token, retry=RetryPolicy(attempts=1)) as tower:
            yield sim, tower, a_host(sim)


async def test_vms_that_the_user_cannot_see_are_in_the_way_even_if_vms_may_be_stopped() -> None:
    def more(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        if path == "enter-maintance-mode-precheck-result":
            answer["shutdownVms"] += [{"vm_uuid": "of-somebody-else"}, {"vm_uuid": None}]
        return answer

    async with odd(more) as (sim, tower, host):
        hold(sim, host)
        check = await check_maintenance(tower, host["id"])
        assert (names(check.must_stop), check.unseen) == (
            ["sleeps"],
            ["of-somebody-else", "unnamed"],
        )
        with pytest.raises(VmsInTheWay) as caught:
            await enter_maintenance(tower, host["id"], stop_vms=True)
        assert str(caught.value) == (
            f"host {host['name']} cannot be emptied: 3 of its VMs cannot be moved: sleeps, "
            "of-somebody-else, unnamed. 2 of them are invisible to this user: act as a user who "
            "sees them."
        )
        assert sim.sent("enter-maintance-mode") == []


async def test_a_server_that_ignores_the_filter_stops_no_other_vms() -> None:
    def deaf(path: str, body: Any, answer: Any) -> Any:  # noqa: ANN401
        if path == "get-vms" and "local_id_in" in str(body):
            other = {"id": "x", "local_id": "x", "name": "other"}
            return [*({**row, **other} for row in answer[:1]), *answer]
        return answer

    async with odd(deaf) as (sim, tower, host):
        vm = hold(sim, host)
        check = await check_maintenance(tower, host["id"])
        assert names(check.must_stop) == ["sleeps"]
        await enter_maintenance(tower, host["id"], stop_vms=True)
        [sent] = sim.sent("enter-maintance-mode")
        assert sent["data"] == {"shutdown_vms": [vm["local_id"]]}


async def test_each_vm_ends_in_one_list_and_moved_means_seen_elsewhere() -> None:
    places: dict[str, Any] = {}

    def stay(path: str, body: Any, answer: Any) -> Any:  # noqa: ANN401
        if path == "get-vms" and "id_in" in str(body) and entered:
            answer = [{**row, **places.get(row["name"], {})} for row in answer]
            return [row for row in answer if row["name"] != "gone"]
        if path == "enter-maintance-mode":
            entered.append(path)
        return answer

    entered: list[str] = []
    async with odd(stay) as (sim, tower, host):
        for name in ("stays", "nowhere", "gone", "off now"):
            sim.add_vm(name=name, host=host["id"], memory=MIB)
        places |= {
            "stays": {"host": {"id": host["id"], "name": host["name"]}},
            "nowhere": {"host": None},
            "off now": {"status": "STOPPED"},
        }
        done = await enter_maintenance(tower, host["id"])
    assert names(done.moved) == ["runs"]
    assert names(done.stopped) == ["off now"]
    assert names(done.unclear) == ["gone", "nowhere", "stays"]


ENTERED: dict[str, Callable[[Any], Any]] = {
    "data null": lambda answer: {**answer, "data": None},
    "another host": lambda answer: {**answer, "data": {**answer["data"], "id": "x"}},
}


@pytest.mark.parametrize("case", ENTERED)
async def test_the_host_is_returned_whatever_the_answer_names(case: str) -> None:
    def change(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        own = path in ("enter-maintance-mode", "exit-maintance-mode")
        return ENTERED[case](answer) if own else answer

    async with odd(change) as (_, tower, host):
        assert (await enter_maintenance(tower, host["id"])).host.id == host["id"]
        assert (await leave_maintenance(tower, host["id"])).host.id == host["id"]


async def test_lists_that_are_null_are_empty() -> None:
    def without(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        if path.endswith("-precheck-result"):
            return {key: True if key == "done" else None for key in answer}
        return answer

    async with odd(without) as (_, tower, host):
        assert (await check_maintenance(tower, host["id"])).must_stop == []
        await enter_maintenance(tower, host["id"])
        left = await leave_maintenance(tower, host["id"])
        assert (left.back, left.started, left.not_back, left.unseen) == ([], [], [], [])


async def test_a_check_that_names_no_task_is_an_error() -> None:
    def without(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        return {"task_id": None} if path == "enter-maintenance-mode-precheck" else answer

    async with odd(without) as (sim, tower, host):
        with pytest.raises(ResponseDecodeError):
            await enter_maintenance(tower, host["id"])
        assert sim.sent("enter-maintance-mode") == []


async def test_vms_to_bring_back_end_in_one_list_also_those_that_the_user_cannot_see() -> None:
    def twice(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        if path == "exit-maintance-mode-precheck-result":
            again = answer["liveMigrateVms"] + [
                {"vm_uuid": "of-somebody-else", "vm_name": "hidden"},
                {"vm_uuid": None, "vm_name": None},
            ]
            return {**answer, "offlineMigrateVms": again, "shutDownVms": answer["liveMigrateVms"]}
        return answer

    async with odd(twice) as (_, tower, host):
        await enter_maintenance(tower, host["id"])
        left = await leave_maintenance(tower, host["id"])
    assert (left.back, names(left.started), left.not_back) == ([], ["runs"], [])
    assert left.unseen == ["unnamed", "hidden"]


async def test_a_host_that_has_entered_is_reported_so_if_its_vms_cannot_be_read() -> None:
    async with simulated() as (sim, tower):
        host = a_host(sim)

        def forbid(news: Progress) -> None:
            if news.step == "enter" and news.fraction == 1:
                sim.faults.fail("get-vms", status=403)

        with pytest.raises(ReadBackFailed) as caught:
            await enter_maintenance(tower, host["id"], on_progress=forbid)
        assert caught.value.done
        assert host["id"] in caught.value.resource_ids
        sim.faults.clear()
        assert (await enter_maintenance(tower, host["id"])).moved == []
