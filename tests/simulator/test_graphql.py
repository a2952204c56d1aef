"""GraphQL over HTTP, and the parser behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import Cloudtower, Unauthorized
from cloudtower_async.simulator.server.graphql_parser import GraphQLSyntaxError, parse
from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import Client, connected, our_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

CREATE = (
    "mutation createApiKey($name: String!) "
    "{ createApiKey(data: { name: $name }) { id key roles { id preset } } }"
)
DELETE = "mutation deleteApiKey($key: String!) { deleteApiKey(where: { key: $key }) { id } }"
VNC = (
    "query vnc($input: VncInput!) "
    "{ vnc(input: $input) { vm_uuid host_ip cluster_ip raw_token token } }"
)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(clock=Clock(running=False))) as client:
        yield client


async def ask(client: Client, query: str, /, **variables: object) -> Any:  # noqa: ANN401
    answer = await client.send("", {"query": query, "variables": variables}, root="/api")
    assert answer.status == 200, answer.content
    return answer.json


async def test_an_api_key_is_as_good_as_a_token(client: Client) -> None:
    sim = client.sim
    made = (await ask(client, CREATE, name="bot"))["data"]["createApiKey"]
    assert made["roles"][0]["preset"] == "ROOT"
    sim.accounts.revoke_tokens()
    async with Cloudtower(sim.url, token=made["key"]) as tower:
        assert await tower.vm.get_vms(first=1)
        client.headers["authorization"] = made["key"]
        listed = (await ask(client, "{ apiKeys { name key user { name } } }"))["data"]["apiKeys"]
        assert listed == [{"name": "bot", "key": made["key"], "user": {"name": "root"}}]
        gone = (await ask(client, DELETE, key=made["key"]))["data"]["deleteApiKey"]
        assert gone == {"id": made["id"]}
        with pytest.raises(Unauthorized):
            await tower.vm.get_vms(first=1)
    assert sim.store.table("ApiKey") == {}


async def test_keys_have_unique_names(client: Client) -> None:
    await ask(client, CREATE, name="bot")
    answer = await ask(client, CREATE, name="bot")
    assert answer["data"] == {"createApiKey": None}
    assert "bot" in answer["errors"][0]["message"]
    for key in ("none", None):
        answer = await ask(client, DELETE, key=key)
        assert answer["errors"][0]["path"] == ["deleteApiKey"]
    answer = await ask(client, "mutation { deleteApiKey(where: {}) { id } }")
    assert answer["errors"]


async def test_failures_are_in_errors(client: Client) -> None:
    for query, message in (
        ("{ apiKeys { id secret } }", "secret"),
        ("{ apiKeys }", "subfields"),
        ("{ apiKeys(where: {nmae: 1}) { id } }", "nmae"),
        ("mutation { createApiKey { id } }", "data"),
    ):
        await ask(client, CREATE, name="bot")
        assert message in (await ask(client, query))["errors"][0]["message"]


async def test_only_authentication_strategies_are_public(client: Client) -> None:
    client.sim.accounts.strategies.append({"id": "s1", "type": "LDAP"})
    del client.headers["authorization"]
    query = "{ways: authnStrategies{id type} apiKeys{id}}"
    assert await ask(client, query) == {
        "data": {"ways": [{"id": "s1", "type": "LDAP"}], "apiKeys": None},
        "errors": [{"message": "the token is missing or not valid", "path": ["apiKeys"]}],
    }


async def test_a_ticket_for_a_screen(client: Client) -> None:
    store = client.sim.store
    vm = store.select("Vm", {"status": "RUNNING"})[0]
    ticket = (await ask(client, VNC, input={"vm": {"id": vm["id"]}}))["data"]["vnc"]
    assert ticket["vm_uuid"] == vm["local_id"]
    assert ticket["host_ip"] == store.get("Host", vm["host"])["management_ip"]
    assert ticket["cluster_ip"] == store.get("Cluster", vm["cluster"])["ip"]
    assert set("+/=") & set(ticket["token"])  # has to be percent-encoded
    again = (await ask(client, VNC, input={"vm": {"id": vm["id"]}}))["data"]["vnc"]
    assert again["token"] != ticket["token"]
    stopped = store.select("Vm", {"status": "STOPPED"})[0]
    for where in ({"id": stopped["id"]}, {"id": "none"}, {}):
        assert (await ask(client, VNC, input={"vm": where}))["errors"]


async def test_the_operation_for_screens(client: Client) -> None:
    sim = client.sim
    vm = sim.store.select("Vm", {"status": "RUNNING"})[0]
    async with our_client(sim) as tower:
        info = await tower.vm.get_vm_vnc_info(vm={"id": vm["id"]})
    assert info.vm.name == vm["name"]
    assert info.cluster_ip == sim.store.get("Cluster", vm["cluster"])["ip"]
    assert info.direct is not None
    assert info.direct.startswith(f"wss://{info.cluster_ip}/websockify/?")
    assert info.redirect.startswith(sim.url.replace("http://", "wss://"))
    assert "+" not in info.redirect


async def test_invalid_graphql_is_rejected(client: Client) -> None:
    for body, status in (
        ({"query": "{"}, 400),
        ({"query": 1}, 400),
        ({}, 400),
        ({"query": "{ hosts { id } }"}, 501),
        ({"query": "mutation { vnc { token } }"}, 501),
    ):
        assert (await client.send("", body, root="/api")).status == status


def test_the_parser_reads_values() -> None:
    text = """
    # a comment
    query q($a: [String!]!, $b: Int) {
      one(s: "a \\"b\\"", i: -3, f: 1.5, t: true, n: null, e: NAME, l: [1, $a], o: {v: $b}, z: [])
      two: three { four }
    }
    """
    operation = parse(text, {"a": ["x"], "b": 2})
    assert not operation.mutation
    one, two = operation.fields
    assert one.arguments == {
        "s": 'a "b"',
        "i": -3,
        "f": 1.5,
        "t": True,
        "n": None,
        "e": "NAME",
        "l": [1, ["x"]],
        "o": {"v": 2},
        "z": [],
    }
    assert (two.alias, two.name, two.fields[0].name) == ("two", "three", "four")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "{a", "{a}}", "{a(}", "{a(b)}", "{a(b:)}", "{a(b:$c)}", "{a(b:!)}"),
        *("subscription {a}", "query", "query q(", "{...f}", "{a @skip}", "{1}", "{a(1: 2)}"),
        *("{a:}", "{a(b:[1)}"),
    ],
)
def test_the_parser_refuses_the_rest(text: str) -> None:
    with pytest.raises(GraphQLSyntaxError):
        parse(text, {})


async def test_clusters_and_vms_are_read_with_what_they_lead_to(client: Client) -> None:
    text = (
        "query vms($where: VmWhereInput) { vms(where: $where, orderBy: name_ASC, first: 2)"
        " { id name memory cluster { name hosts { id } } vm_nics { vlan { name } } } }"
    )
    found = (await ask(client, text, where={"status": "STOPPED"}))["data"]["vms"]
    stopped = client.sim.store.select("Vm", {"status": "STOPPED"})
    stopped.sort(key=lambda vm: (vm["name"], vm["id"]))
    assert [vm["id"] for vm in found] == [vm["id"] for vm in stopped[:2]]
    cluster = client.sim.store.get("Cluster", stopped[0]["cluster"])
    assert found[0]["cluster"] == {
        "name": cluster["name"],
        "hosts": [{"id": one} for one in cluster["hosts"]],
    }
    assert found[0]["vm_nics"][0]["vlan"]["name"]
    data = (await ask(client, '{ cluster(where: {id: "none"}) { id } clusters { ip } }'))["data"]
    assert data["cluster"] is None
    assert len(data["clusters"]) == len(client.sim.store.table("Cluster"))
    wrong = await ask(client, "{ vms { nmae } }")
    assert 'Cannot query field "nmae" on type "Vm".' in wrong["errors"][0]["message"]


async def test_a_login_over_graphql_gives_a_token(client: Client) -> None:
    client.headers.clear()
    text = "mutation login($data: LoginInput!) { login(data: $data) { token } }"
    credentials = {"username": client.sim.username, "password": client.sim.password}
    answer = await ask(client, text, data={**credentials, "source": "LOCAL"})
    client.headers["authorization"] = f"Bearer {answer['data']['login']['token']}"
    assert await client.ask("get-vms")
    assert (await ask(client, text, data={"username": "root"}))["errors"]


async def test_a_vm_is_edited_over_graphql_by_a_task_that_is_found_by_its_mutation(
    client: Client,
) -> None:
    vm = client.sim.store.select("Vm", {"status": "STOPPED"})[0]
    text = (
        "mutation updateVm($data: VmUpdateInput!, $where: VmWhereUniqueInput!)"
        " { updateVm(data: $data, where: $where) { id entityAsyncStatus } }"
    )
    data = {"name": "renamed", "cpu": {"cores": 2, "sockets": 3}, "vcpu": 6}
    answer = await ask(client, text, data=data, where={"id": vm["id"]})
    assert answer["data"]["updateVm"] == {"id": vm["id"], "entityAsyncStatus": "UPDATING"}
    where = {"resource_id": vm["id"], "resource_mutation": "updateVm"}
    [task] = await client.ask("get-tasks", {"where": where})
    assert task["status"] != "SUCCESSED"
    client.sim.clock.advance(60)
    [task] = await client.ask("get-tasks", {"where": where})
    assert task["status"] == "SUCCESSED"
    [shown] = await client.ask("get-vms", {"where": {"id": vm["id"]}})
    assert (shown["name"], shown["vcpu"]) == ("renamed", 6)
    assert (shown["cpu"]["cores"], shown["cpu"]["sockets"]) == (2, 3)
    assert (await ask(client, text, data=data, where={"id": "none"}))["errors"]
