"""Options of the simulator for behavior that differs between servers or is undocumented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.simulator.mutations.vm import power
from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import connected

if TYPE_CHECKING:
    from cloudtower_async.simulator.behavior import NothingMatches

pytestmark = pytest.mark.anyio

NOBODY = {"id": "nobody"}
BY_WHERE: dict[str, Any] = {
    **{path: {"where": NOBODY} for path in power.MUTATIONS},
    "delete-vm-snapshot": {"where": NOBODY},
    "delete-vm": {"where": NOBODY},
    "delete-vm-folder": {"where": NOBODY},
    "resolve-alert": {"where": NOBODY},
    "delete-cluster-recycle-bin-setting": {"where": NOBODY},
    "update-customize-alert-rule": {"where": NOBODY, "data": {"clusters": {}}},
}


@pytest.mark.parametrize(("choice", "status"), [("empty", 200), ("404", 404)])
async def test_a_mutation_that_matches_nothing(choice: NothingMatches, status: int) -> None:
    async with connected(Simulator(clusters=1, vms=3, nothing_matches=choice)) as client:
        for path, body in BY_WHERE.items():
            answer = await client.send(path, body)
            assert answer.status == status, (path, answer.content)
            assert (answer.json == []) is (status == 200)


@pytest.mark.parametrize("choice", ["empty", "404"])
async def test_nothing_to_change_is_304_where_the_schema_says_so(choice: NothingMatches) -> None:
    async with connected(Simulator(clusters=1, vms=3, nothing_matches=choice)) as client:
        answer = await client.send("update-label", {"where": NOBODY, "data": {"key": "x"}})
        assert (answer.status, answer.content) == (304, b"")


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of empty, 404; got 'maybe'"):
        Simulator(nothing_matches="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_bearer_token_is_accepted() -> None:
    async with connected(Simulator(clusters=1, vms=3)) as client:
        client.headers["authorization"] = f"Bearer {client.headers['authorization']}"
        assert len(await client.ask("get-vms")) == 3
        client.headers["authorization"] = "Bearer made-up"
        assert (await client.send("get-vms")).status == 401


async def test_whole_numbers_are_accepted_as_floats() -> None:
    async with connected(Simulator(clusters=1, vms=3)) as client:
        [vm] = client.sim.store.select("Vm")[:1]
        body = b'{"where":{"id":"%s","vcpu_in":[%d.0]},"first":1e0}' % (
            vm["id"].encode(),
            vm["vcpu"],
        )
        found = await client.send_raw("get-vms", body)
        assert [one["id"] for one in found.json] == [vm["id"]]
        cluster = client.sim.store.select("Cluster")[0]["id"].encode()
        target = (
            b'[{"cluster_id":"%s","name":"x","thin_provision":true,"replica_num":2.0,' % cluster
        )
        target += b'"stripe_num":4.0,"stripe_size":262144.0,"bps":8e9}]'
        answer = await client.send_raw("create-iscsi-target", target)
        assert answer.status == 200, answer.content
        assert b'"stripe_size":262144,' in answer.content
        assert b'"bps":8000000000,' in answer.content


async def test_sizes_and_frequencies_have_fractions_only_on_request() -> None:
    for fractions in (False, True):
        async with connected(Simulator(clusters=1, vms=3, fractions=fractions)) as client:
            [host, *_] = await client.ask("get-hosts")
            assert isinstance(host["used_cpu_hz"], float) is fractions
            assert isinstance(host["used_memory_bytes"], float) is fractions


@pytest.mark.parametrize(
    "body",
    [
        {"orderBy": ["name_ASC"]},
        {"orderBy": {"name": "ASC"}},
        {"where": {"status": "UNHEARD_OF"}},
        {"where": {"status_in": [["RUNNING"]]}},
        {"where": {"name_in": {"set": ["a"]}}},
        {"first": "2"},
        {"first": 2.5},
    ],
)
async def test_rejections_of_graphql_are_error_bodies_with_400(body: object) -> None:
    async with connected(Simulator(clusters=1, vms=3)) as client:
        answer = await client.send("get-vms", body)
        assert (answer.status, answer.json["status"]) == (400, 400), answer.content
        assert answer.json["message"]


@pytest.mark.parametrize("depth", [200, 3_000, 100_000])
async def test_a_body_that_is_nested_deeply_is_an_error_body_with_400(depth: int) -> None:
    async with connected(Simulator(clusters=1, vms=3)) as client:
        for start, end in ((b'{"where":{"AND":[', b"]}}"), (b'{"where":{"NOT":', b"}}")):
            pairs = {b"[": (b'{"AND":[', b"]}"), b":": (b'{"NOT":', b"}")}[start[-1:]]
            body = start + pairs[0] * depth + b"{}" + pairs[1] * depth + end
            answer = await client.send_raw("get-vms", body)
            if depth > 200:
                assert (answer.status, answer.json["status"]) == (400, 400)
            assert answer.status in {200, 400}


async def test_a_single_item_is_taken_where_a_list_belongs() -> None:
    async with connected(Simulator(clusters=1, vms=3)) as client:
        [one, *others] = await client.ask("get-vms")
        for where in ({"NOT": {"id": one["id"]}}, {"id_not_in": one["id"]}):
            assert [vm["id"] for vm in await client.ask("get-vms", {"where": where})] == [
                vm["id"] for vm in others
            ]
        assert await client.ask("get-vms", {"where": {"NOT": {}}}) == []


async def test_a_canned_answer_takes_the_place_of_the_real_one() -> None:
    async with connected(Simulator(clusters=1, vms=3)) as client:
        client.sim.answer("get-vms", [{"id": "canned", "memory": 5.0}], times=2)
        for _ in range(2):
            answer = await client.send("get-labels")
            assert answer.status == 200
            url = f"{client.sim.url}/v2/api/get-vms"
            async with client.session.post(url, headers=client.headers) as response:
                assert await response.read() == b'[{"id":"canned","memory":5}]'
        assert len(await client.ask("get-vms")) == 3
        client.sim.answer("/observability/obs/api/v3/services", [], status=203)
        for _ in range(3):
            answer = await client.send_raw("observability/obs/api/v3/services", None, root="/")
            assert (answer.status, answer.content) == (203, b"[]")
        client.sim.faults.clear()
        answer = await client.send_raw("observability/obs/api/v3/services", None, root="/")
        assert answer.status == 404
        with pytest.raises(ValueError, match="get-vmz: no operation has this path"):
            client.sim.answer("get-vmz", [])
        assert client.sim.executed[-1].path == "get-vms"


async def test_an_unknown_option_is_refused_by_its_name() -> None:
    options: dict[str, Any] = {"vm": 3}
    with pytest.raises(TypeError, match=r"Simulator\(\) got an unexpected keyword argument 'vm'$"):
        Simulator(**options)
    sizes: dict[str, Any] = {"snapshots": 0}
    with pytest.raises(TypeError, match=r"; pass FleetSize\(snapshots=\.\.\.\) as the first"):
        Simulator(**sizes)


async def test_a_cluster_is_connected_by_its_address() -> None:
    clock = Clock(running=False)
    async with connected(Simulator(clusters=1, vms=3, clock=clock, task_duration=5)) as client:
        body = [{"ip": "10.99.0.2", "username": "admin", "password": "secret"}]
        [started] = await client.ask("connect-cluster", body)
        assert started["data"]["connect_state"] == "INITIALIZING"
        clock.advance(10)
        [task] = await client.ask("get-tasks", {"where": {"id": started["task_id"]}})
        assert task["status"] == "SUCCESSED"
        where = {"id": started["data"]["id"]}
        [cluster] = await client.ask("get-clusters", {"where": where})
        assert (cluster["ip"], cluster["connect_state"]) == ("10.99.0.2", "CONNECTED")
        assert cluster["entityAsyncStatus"] is None
        assert await client.ask("get-hosts", {"where": {"cluster": where}})
        again = await client.send("connect-cluster", body)
        assert (again.status, again.json["status"]) == (400, 400)
        assert "secret" not in again.content.decode()
