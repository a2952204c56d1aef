"""Plan mode: recorded mutations, planned answers, and the end of a plan."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web

from cloudtower_async import (
    EVERYTHING,
    Cloudtower,
    CloudtowerError,
    ContentLibraryImage,
    EmptyFilter,
    InvalidInput,
    InvalidSettings,
    MutationRefused,
    OperationCall,
    PlanEnded,
    PlannedAnswer,
    Proceed,
    models,
)
from cloudtower_async.calls import registry
from cloudtower_async.calls.arg_types import arguments_of
from cloudtower_async.calls.operation import Kind
from cloudtower_async.calls.plan_effects import PlanAnswer, effect_of, unwrapped
from cloudtower_async.recipes import (
    backup_vm,
    build_dashboard,
    create_blank_vm,
    enter_maintenance,
    shut_down_vms,
    start_vms,
    wait_for_addresses,
)
from cloudtower_async.testing import Simulator, make
from tests.calls.random_inputs import smallest
from tests.support import TOKEN, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from cloudtower_async.calls.operation import Operation
    from cloudtower_async.inputs import VmCreationParams

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator(task_duration=0.01) as simulator:
        yield simulator


@pytest.fixture
async def real(sim: Simulator) -> AsyncGenerator[Cloudtower]:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        yield tower
    assert sim.mutations() == []  # nothing was sent


@pytest.fixture
def tower(real: Cloudtower) -> Cloudtower:
    return real.with_options(mutations="plan")


async def some(tower: Cloudtower, number: int = 2, status: Any = "STOPPED") -> list[models.Vm]:  # noqa: ANN401
    vms = await tower.vm.get_vms(where={"status": status}, first=number, order_by="id_ASC")
    assert len(vms) == number
    return vms


async def new_vm(tower: Cloudtower, name: str = "new-1") -> VmCreationParams:
    [cluster] = await tower.cluster.get_clusters(first=1)
    return {
        "name": name,
        "cluster_id": cluster.id,
        "cpu_cores": 1,
        "cpu_sockets": 2,
        "vcpu": 2,
        "memory": 2**30,
        "firmware": "BIOS",
        "ha": True,
        "host_id": "AUTO_SCHEDULE",
        "status": "STOPPED",
        "vm_disks": {},
        "vm_nics": [],
    }


async def test_a_mutation_with_a_filter_answers_with_what_it_matches(tower: Cloudtower) -> None:
    vms = await some(tower)
    answer = await tower.vm.start_vm(where={"id_in": [vm.id for vm in vms]})
    assert [one.data for one in answer] == vms
    assert all(isinstance(one, PlannedAnswer) and one.task_id is None for one in answer)
    assert await tower.wait(answer) == []
    assert await tower.settle(answer) == vms
    assert [task async for task in tower.progress(answer)] == []
    [planned] = tower.plan
    assert planned.operation == "vm.start_vm"
    assert planned.body == {"where": {"id_in": [vm.id for vm in vms]}}
    told = [(one.type, one.id, one.name, one.exists) for one in planned.resources]
    assert told == [("Vm", vm.id, vm.name, True) for vm in vms]
    assert planned.creates == ()
    assert str(tower.plan) == "vm.start_vm: " + ", ".join(f"Vm {vm.name} ({vm.id})" for vm in vms)


async def test_deleting_answers_with_ids_and_leaves_nothing_to_read(tower: Cloudtower) -> None:
    [vm] = await some(tower, 1)
    answer = await tower.vm.delete_vm(where={"id": vm.id})
    assert [type(one.data).__name__ for one in answer] == ["DeleteVm"]
    assert [one.data.id for one in answer] == [vm.id]
    assert await tower.settle(answer) == []
    assert tower.plan[0].resources[0].name == vm.name


async def test_a_filter_that_matches_nothing_is_answered_with_nothing(tower: Cloudtower) -> None:
    assert await tower.settle(tower.vm.start_vm(where={"name": "nobody"})) == []
    assert str(tower.plan) == "vm.start_vm: no resource matches"
    assert tower.plan[0].resolved


async def test_a_plan_says_when_the_resources_cannot_be_determined(tower: Cloudtower) -> None:
    with pytest.raises(PlanEnded):
        await tower.request("/reboot-vm", {"where": {"name": "nobody"}})
    [planned] = tower.plan
    assert (planned.resources, planned.resolved) == ((), False)
    assert str(planned).endswith("affected resources unknown")


async def test_a_creation_returns_placeholders_with_its_arguments(
    tower: Cloudtower,
) -> None:
    params = await new_vm(tower)
    answer = await tower.vm.create_vm([params, {**params, "name": "new-2"}])
    first, second = await tower.settle(answer)
    assert (first.name, second.name) == ("new-1", "new-2")
    assert (first.vcpu, first.memory, first.status) == (2, 2**30, "STOPPED")
    assert first.cluster is not None
    assert first.cluster.id == params["cluster_id"]
    assert first.host is None  # the server chooses the host
    assert first.id != second.id
    assert tower.plan.is_placeholder(first)
    assert tower.plan.is_placeholder(second.id)
    assert not tower.plan.is_placeholder((await some(tower, 1))[0])
    assert [one.exists for one in tower.plan[0].creates] == [False, False]
    assert str(tower.plan).endswith("creates Vm new-1 (planned), Vm new-2 (planned)")


async def test_amounts_in_units_are_left_out_of_a_placeholder(tower: Cloudtower) -> None:
    params: Any = {**await new_vm(tower), "memory": 4, "memory_unit": "GB"}
    [vm] = await tower.settle(tower.vm.create_vm([params]))
    assert vm.memory == 0


async def test_later_filters_match_placeholders(tower: Cloudtower) -> None:
    params = await new_vm(tower, "rack-7")
    [new] = await tower.settle(tower.vm.create_vm([params]))
    [old] = await some(tower, 1)
    for where, expected in (
        ({"id": new.id}, [new]),
        ({"id_in": [old.id, new.id]}, [new, old]),
        ({"OR": [{"id": new.id}, {"id": old.id}]}, [new, old]),
        ({"AND": [{"id_in": [old.id, new.id]}, {"id_not": new.id}]}, [old]),
        ({"id_in": [old.id, new.id], "id_not_in": [new.id]}, [old]),
        ({"id": new.id, "status": "RUNNING"}, []),
        ({"id": new.id, "description": "unknown to the plan"}, [new]),
        ({"name": "rack-7"}, [new]),
        ({"name_in": ["rack-7"], "vcpu_gt": 1}, [new]),
        ({"name_starts_with": "rack-7", "vcpu_gt": 2}, []),
        ({"name_contains": "ck-7", "cluster": {"id": params["cluster_id"]}}, [new]),
        ({"name_contains": "ck-7", "cluster": {"id": "another"}}, []),
        ({"name": "rack-7", "NOT": [{"name_ends_with": "7"}]}, []),
        ({"name": "rack-7", "description": "unknown to the plan"}, []),
    ):
        answer = await tower.vm.start_vm(where=where)  # type: ignore[arg-type]
        assert [one.data for one in answer] == expected, where


async def test_owners_of_matched_resources_are_in_the_planned_answer(tower: Cloudtower) -> None:
    [disk] = await tower.vm_disk.get_vm_disks(where={"type": "DISK"}, first=1)
    assert disk.vm is not None
    answer = await tower.vm.expand_vm_disk(where={"id": disk.id}, size=2**40)
    assert [one.data.id for one in answer] == [disk.vm.id]
    assert {(one.type, one.id) for one in tower.plan[0].resources} == {
        ("VmDisk", disk.id),
        ("Vm", disk.vm.id),
    }


async def test_every_filter_in_the_arguments_is_resolved(tower: Cloudtower) -> None:
    vms = await some(tower)
    [label] = await tower.settle(tower.label.create_label([{"key": "k", "value": "v"}]))
    await tower.label.add_labels_to_resources(
        where={"id": label.id}, data={"vms": {"id_in": [vm.id for vm in vms]}}
    )
    told = {(one.type, one.id) for one in tower.plan[1].resources}
    assert told == {("Label", label.id), *(("Vm", vm.id) for vm in vms)}


async def test_values_that_only_the_server_knows_end_the_plan(tower: Cloudtower) -> None:
    [vm] = await some(tower, 1)
    with pytest.raises(PlanEnded, match=r"^vm\.export_vm: the plan ends here: ") as ended:
        await tower.vm.export_vm(where={"id": vm.id}, data={"type": "OVF", "keep_mac": True})
    assert [one.operation for one in ended.value.plan] == ["vm.export_vm"]
    assert ended.value.plan[0].resources[0].id == vm.id
    calls: list[Callable[[], Any]] = [
        lambda: tower.request("/reboot-vm", {"where": {"id": vm.id}}),
        lambda: tower.raw("DELETE", "/api/x", query={"id": 1}),
        lambda: tower.graphql("mutation { deleteVm { id } }"),
        lambda: tower.api_keys.create("bot"),
        lambda: tower.global_settings.update_session_timeout(session_max_age=60),
    ]
    for number, call in enumerate(calls, 2):
        with pytest.raises(PlanEnded):
            await call()
        assert len(tower.plan) == number
    assert len(ended.value.plan) == 1  # the plan at that time
    assert [one.operation for one in tower.plan][1:3] == ["/reboot-vm", "/api/x"]


async def test_an_upload_ends_the_plan_before_the_file_is_opened(tower: Cloudtower) -> None:
    [cluster] = await tower.cluster.get_clusters(first=1)
    target = ContentLibraryImage(clusters={"id": cluster.id})
    with pytest.raises(PlanEnded):
        await tower.upload("/missing/tools.iso", target)
    assert tower.plan[0].operation == "content_library_image.create_content_library_image"
    assert [one.id for one in tower.plan[0].resources] == [cluster.id]


async def test_queries_and_waits_for_planned_resources_end_the_plan(tower: Cloudtower) -> None:
    [new] = await tower.settle(tower.vm.create_vm([await new_vm(tower)]))
    touched, other = await some(tower)
    await tower.vm.start_vm(where={"id": touched.id})
    get_vms = tower.vm.get_vms
    calls: list[Callable[[], Any]] = [
        lambda: get_vms(where={"id": new.id}),
        lambda: get_vms(where={"OR": [{"name": "x"}, {"id_in": [new.id]}]}),
        lambda: tower.vm_disk.get_vm_disks(where={"vm": {"id": new.id}}),
        lambda: tower.get_one(get_vms, where={"id": new.id}),
        lambda: tower.resolve(get_vms, new.id),
        lambda: tower.vm.expand_vm_disk(where={"vm": {"id": new.id}}, size=2**40),
        lambda: tower.wait_until(get_vms, lambda vm: vm.ips, where={"id": new.id}),
        lambda: tower.wait_until(get_vms, lambda _: False, where={"id": touched.id}),
        lambda: tower.wait_until(get_vms, lambda _: False, where={"name": new.name}),
        lambda: tower.wait_until(
            tower.vm_nic.get_vm_nics, lambda _: False, where={"vm": {"id": touched.id}}
        ),
    ]
    for call in calls:
        with pytest.raises(PlanEnded) as ended:
            await call()
        assert len(ended.value.plan) == 2
    # Waiting for conditions that already hold, or that the plan does not affect, is possible.
    assert await tower.wait_until(get_vms, lambda vm: vm.name, where={"id": touched.id})
    with pytest.raises(TimeoutError):
        await tower.wait_until(get_vms, lambda _: False, where={"id": other.id}, timeout=0.05)


async def test_arguments_are_validated_in_plan_mode_too(tower: Cloudtower) -> None:
    with pytest.raises(EmptyFilter):
        await tower.vm.start_vm(where={})
    with pytest.raises(InvalidInput, match="nmae"):
        await tower.vm.start_vm(where={"nmae": "x"})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        await tower.request("/x", {"a": object()})
    assert list(tower.plan) == []
    assert len(await tower.label.delete_label(where=EVERYTHING)) == len(
        await tower.label.get_labels()
    )


async def test_no_secret_is_in_a_plan(tower: Cloudtower) -> None:
    secret = "s3cret-of-bob"
    [user] = await tower.settle(
        tower.user.create_user(
            [{"name": "bob", "username": "bob", "password": secret, "role_id": "r"}]
        )
    )
    assert user.name == "bob"
    for call in (
        tower.graphql(f'mutation {{ login(data: {{password: "{secret}"}}) {{ token }} }}'),
        tower.graphql("mutation m($p: P!) { a(p: $p) { id } }", {"p": {"password": secret}}),
        tower.raw("POST", "/x", json={"password": secret}),
        tower.raw("POST", "/x", data={"password": secret, "file": b"abc"}),
        tower.raw("POST", "/x", query={"token": secret}, auth=("u", secret)),
        tower.request("/x", {"data": [{"chap_secret": secret}]}),
    ):
        with pytest.raises(PlanEnded) as ended:
            await call
        assert secret not in repr(ended.value)
    assert len(tower.plan) == 7
    text = msgspec.json.encode(list(tower.plan)).decode()
    for shown in (str(tower.plan), repr(tower.plan), text, repr(vars(ended.value))):
        assert secret not in shown
    assert "***" in str(tower.plan)


async def test_texts_of_a_plan_are_short_and_control_no_terminal(tower: Cloudtower) -> None:
    name = "evil\x1b[2J\nname"
    params = await new_vm(tower, name)
    await tower.vm.create_vm([{**params, "description": "x" * 5000}])
    [line] = str(tower.plan).splitlines()
    assert line.isprintable()
    assert len(line) < 400
    await tower.vm.start_vm(where={"status": "STOPPED"})
    assert str(tower.plan[1]).endswith(" more")
    assert len(str(tower.plan).splitlines()) == 2


async def test_the_mode_comes_from_options_and_gets_stricter_only(
    sim: Simulator, real: Cloudtower, tower: Cloudtower, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tower.with_options(timeout=5)
    await again.vm.start_vm(where={"name": "x"})
    assert tower.plan is again.plan
    assert len(tower.plan) == 1
    own = real.with_options(mutations="plan")
    assert len(own.plan) == 0
    strict = tower.with_options(mutations="refuse")
    with pytest.raises(MutationRefused):
        await strict.vm.start_vm(where={"name": "x"})
    with pytest.raises(InvalidSettings):
        tower.with_options(mutations="allow")
    with pytest.raises(InvalidSettings):
        strict.with_options(mutations="plan")
    for session in (real, strict):
        with pytest.raises(CloudtowerError, match="has no plan"):
            _ = session.plan
    monkeypatch.setenv("CLOUDTOWER_MUTATIONS", "plan")
    async with Cloudtower.from_env(
        endpoint=sim.url, username=sim.username, password=sim.password
    ) as from_env:
        assert from_env.mutations == "plan"
        assert list(from_env.plan) == []


async def test_a_plan_and_its_end_survive_copying_and_pickling(tower: Cloudtower) -> None:
    await tower.vm.start_vm(where={"name": "x"})
    error = PlanEnded("vm.get_vms", "why", tower.plan.copy())
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert str(twin) == str(error)
        assert list(twin.plan) == list(tower.plan)


async def test_a_filter_that_matches_very_many_resources_ends_the_plan() -> None:
    sent: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read())
        sent.append(asked["first"])
        start = sum(sent) - asked["first"]
        rows = [make(models.Label, id=f"{number:09}") for number in range(start, sum(sent))]
        return web.Response(body=msgspec.json.encode(rows), content_type="application/json")

    async with serve(answer) as url, Cloudtower(url, token=TOKEN, mutations="plan") as tower:
        with pytest.raises(PlanEnded, match="more than 10,000 resources"):
            await tower.label.delete_label(where={"key": "k"})
    assert len(tower.plan[0].resources) == 10_000
    assert not tower.plan[0].complete
    assert str(tower.plan).endswith("and others")
    assert sum(sent) < 12_000


async def test_recipes_can_be_rehearsed(real: Cloudtower) -> None:
    stopped, running = await some(real), await some(real, status="RUNNING")
    [cluster] = await real.cluster.get_clusters(first=1)
    [host] = await real.host.get_hosts(first=1)
    names = [vm.id for vm in stopped], [vm.id for vm in running]
    cases: list[tuple[Callable[[Cloudtower], Any], list[str], bool]] = [
        (lambda t: start_vms(t, {"id_in": names[0]}), ["vm.start_vm"], False),
        (
            lambda t: shut_down_vms(t, {"id_in": names[1]}, force_after=60),
            ["vm.shut_down_vm", "vm.poweroff_vm"],
            False,
        ),
        (
            lambda t: create_blank_vm(t, "n", cluster=cluster.name, vcpu=1, memory=2**30),
            ["vm.create_vm"],
            False,
        ),
        (lambda t: backup_vm(t, running[0].id), ["vm_snapshot.create_vm_snapshot"], False),
        (build_dashboard, [], False),
        # The server runs the check in a separate task.
        (
            lambda t: enter_maintenance(t, host.name),
            ["host.enter_maintenance_mode_pre_check"],
            True,
        ),
    ]
    for recipe, operations, ends in cases:
        tower = real.with_options(mutations="plan")
        if ends:
            with pytest.raises(PlanEnded):
                await recipe(tower)
        else:
            await recipe(tower)
        assert [one.operation for one in tower.plan] == operations
    tower = real.with_options(mutations="plan")
    await tower.vm.start_vm(where={"id": stopped[0].id})
    with pytest.raises(PlanEnded):
        await wait_for_addresses(tower, stopped[0])


def listed(operation: Operation[Any]) -> Any:  # noqa: ANN401 - a struct
    """Return a resource of the type that a query lists. Its id and its parents' ids are ``"x"``."""
    struct, _ = unwrapped(operation.answer())
    nested = {
        name: {"id": "x"}
        for name in ("vm", "settings")
        if name in struct.__struct_fields__
        and struct in (models.VmDisk, models.VmNic, models.Cluster)
    }
    return make(struct, id="x", **nested)


def ids_in(found: Any) -> list[str]:  # noqa: ANN401 - the answer of any operation
    if isinstance(found, list):
        parts: list[Any] = found  # pyright: ignore[reportUnknownVariableType]
        return [one for part in parts for one in ids_in(part)]
    return ids_in(found.data) if hasattr(found, "data") else [found.id]


async def test_each_mutation_is_answered_as_the_table_says() -> None:
    """Call all mutations and uploads; only queries reach the server."""

    async def answer(request: web.Request) -> web.StreamResponse:
        operation = registry.operation_at(request.path.removeprefix("/v2/api"))
        assert operation.kind is Kind.QUERY
        asked = await request.read()
        body = msgspec.json.encode([] if b"_gt" in asked else [listed(operation)])
        return web.Response(body=body, content_type="application/json")

    operations = [
        one
        for namespace in registry.namespaces()
        for one in registry.operations_in(namespace)
        if one.kind is not Kind.QUERY and one.name != "user.login"
    ]
    seen: set[PlanAnswer] = set()
    async with serve(answer) as url, Cloudtower(url, token=TOKEN) as real:
        for operation in operations:
            tower = real.with_options(mutations="plan")
            effect = effect_of(operation)
            seen.add(effect.answer)
            arguments = smallest(arguments_of(operation))
            sending = tower._executor.send(  # pyright: ignore[reportPrivateUsage]
                operation, arguments
            )
            if effect.answer is PlanAnswer.NOTHING:
                with pytest.raises(PlanEnded):
                    await sending
                assert [one.operation for one in tower.plan] == [operation.name]
                continue
            found: Any = await sending
            assert msgspec.convert(msgspec.to_builtins(found), operation.answer()) is not None, (
                operation
            )
            [planned] = tower.plan
            assert planned.operation == operation.name
            creates = effect.answer is PlanAnswer.PLACEHOLDERS
            made = [one.id for one in planned.creates]
            assert ids_in(found) == (made if creates else ["x"]), operation
            assert bool(planned.creates) is creates
            assert creates or "x" in {one.id for one in planned.resources}
    assert seen == set(PlanAnswer)
    assert len(operations) == 300


async def test_without_validation_a_body_of_any_shape_is_planned(real: Cloudtower) -> None:
    tower = real.with_options(mutations="plan", validate=False)
    anything: Any = tower
    [host] = await real.host.get_hosts(first=1)
    for call in (
        anything.vm.start_vm(where=[{"id": "x"}]),
        anything.vm_snapshot.create_vm_snapshot(data="x"),
        anything.label.create_label([3]),
    ):
        await call
    for call in (
        anything.host.power_off_host(where={"id": host.id}, data={}),
        anything.host.power_off_host(where="x", data={}),
        anything.content_library_image.create_content_library_image(file=b"x", clusters="no JSON"),
    ):
        with pytest.raises(PlanEnded):
            await call
    assert len(tower.plan) == 6


async def test_a_plan_has_the_arguments_as_middleware_changed_them(real: Cloudtower) -> None:
    [vm, other] = await some(real)
    outcomes: list[tuple[type, int]] = []

    async def only_one(call: OperationCall, proceed: Proceed) -> object:
        if call.operation == "vm.start_vm":
            where = {"AND": [call.arguments["where"], {"id": vm.id}]}
            call = call.replace(arguments={"where": where})
        try:
            return await proceed(call)
        except CloudtowerError as error:
            outcomes.append((type(error), call.attempts))
            raise

    both: Any = {"id_in": [vm.id, other.id]}
    tower = real.with_options(mutations="plan", middleware=[only_one])
    answer = await tower.vm.start_vm(where=both)
    assert [one.data.id for one in answer] == [vm.id]
    assert tower.plan[0].body == {"where": {"AND": [both, {"id": vm.id}]}}
    with pytest.raises(MutationRefused):
        await tower.with_options(mutations="refuse").vm.start_vm(where=both)
    with pytest.raises(PlanEnded):
        await tower.vm.upload_nvram(cluster={"id": "c"}, vm={"id": vm.id})
    assert outcomes == [(MutationRefused, 0), (PlanEnded, 0)]  # no attempt: nothing was sent
