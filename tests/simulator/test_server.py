"""The simulator over HTTP, with a client that adds nothing."""

from __future__ import annotations

import inspect
import ssl
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import msgspec
import pytest
import trustme

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.registry import operation_at
from cloudtower_async.simulator.store.schema import queried_resources
from cloudtower_async.testing import Clock, FleetSize, Request, Simulator
from tests.simulator.client import Client, connected
from tests.simulator.queries import COUNTS, LISTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(clock=Clock(running=False))) as client:
        yield client


def test_the_tests_cover_every_resource() -> None:
    assert LISTS.keys() == set(queried_resources())
    assert LISTS.keys() - COUNTS.keys() == {"Ipmi", "PciDevice"}  # as the API has it


@pytest.mark.parametrize("resource", queried_resources())
async def test_every_resource_is_answered_and_counted(client: Client, resource: str) -> None:
    path = LISTS[resource]
    answer = await client.send(path)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    decoded = operation_at(f"/{path}").decoder.decode(answer.content)
    assert len(decoded) == len(client.sim.store.table(resource))
    if counts := COUNTS.get(resource):
        assert await client.ask(counts, {}) == {"aggregate": {"count": len(decoded)}}


async def test_where_order_and_page_work_together(client: Client) -> None:
    body = {
        "where": {"cluster": {"name": "atlas-01"}, "status_not": "STOPPED"},
        "orderBy": "name_DESC",
        "skip": 1,
        "first": 3,
        "last": None,
    }
    names = [vm["name"] for vm in await client.ask("get-vms", body)]
    vms = client.sim.store.table("Vm").values()
    atlas = next(iter(client.sim.store.table("Cluster")))
    matching = [vm["name"] for vm in vms if vm["cluster"] == atlas and vm["status"] != "STOPPED"]
    assert names == sorted(matching, reverse=True)[1:4]
    assert await client.ask("get-vms-connection", body) == {"aggregate": {"count": 3}}


async def test_a_long_answer_arrives_in_pieces_and_is_complete() -> None:
    async with connected(Simulator(vms=600)) as client:
        vms = await client.ask("get-vms")
        assert len(vms) == len({vm["id"] for vm in vms}) == 600


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"where": {"nmae": "web"}}, "where.nmae: Vm has no such key; did you mean name"),
        ({"where": {"vcpu": "4"}}, "where.vcpu: expected a whole number, got a string: '4'"),
        ({"where": {"host": {"idin": []}}}, "where.host.idin: Host has no such key"),
        ({"orderBy": "name"}, "orderBy: 'name' is no order of Vm"),
        ({"orderBy": "colour_ASC"}, "orderBy: 'colour_ASC' is no order of Vm"),
        ({"first": "1"}, "first: '1' is of the wrong type"),
        ({"first": True}, "first: True is of the wrong type"),
        ({"first": -1}, "first: must not be negative"),
        ({"first": 1, "last": 1}, "first, last: only one of them can be given"),
        ({"after": 1}, "after: 1 is of the wrong type"),
        ({"limit": 1}, "limit: there is no such argument"),
        ([], "the body is not a JSON object"),
    ],
)
async def test_invalid_values_are_rejected_and_named(
    client: Client, body: object, message: str
) -> None:
    answer = await client.send("get-vms", body)
    assert answer.status == answer.json["status"] == 400
    assert answer.json["message"].startswith(message)
    assert answer.json["path"] == "/get-vms"


async def test_every_answer_has_a_request_id(client: Client) -> None:
    answers = [
        await client.send("get-vms", {"first": 1}),
        await client.send("get-vms", {"first": -1}),
        await client.send("healthz", root="/api/", method="GET"),
    ]
    assert len({uuid.UUID(answer.headers["x-tower-request-id"]) for answer in answers}) == 3


async def test_a_token_is_needed_and_may_be_taken_away(client: Client) -> None:
    for token in ("", "wrong"):
        answer = await client.send("get-vms", authorization=token)
        assert answer.status == answer.json["status"] == 401
    client.sim.accounts.revoke_tokens()
    assert (await client.send("get-vms")).status == 401
    await client.log_in()
    assert (await client.send("get-vms")).status == 200


async def test_a_token_goes_with_its_user(client: Client) -> None:
    sim = client.sim
    key = {"query": 'mutation { createApiKey(data: {name: "bot"}) { key } }'}
    made = (await client.send("", key, root="/api")).json["data"]["createApiKey"]["key"]
    [user] = sim.store.select("User", {"username": sim.username})
    sim.store.remove("User", user["id"])
    for token in (client.headers["authorization"], made):
        for path in ("get-my-info", "start-vm", "get-vms"):
            body = {"where": {"id": "x"}}
            assert (await client.send(path, body, authorization=token)).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "root"},
        {"username": "root", "password": 1},
        {"username": "root", "password": "wrong"},
        {"username": "nobody", "password": "simulated"},
        {"username": "root", "password": "simulated", "source": "LDAP"},
        {"username": "root", "password": "simulated", "source": "AUTHN", "auth_config_id": "x"},
    ],
)
async def test_only_the_right_credentials_log_in(client: Client, body: object) -> None:
    answer = await client.send("login", body)
    assert answer.status == 400
    assert "simulated" not in answer.content.decode()


async def test_a_user_of_another_source_can_log_in(client: Client) -> None:
    sim = client.sim
    user = next(iter(sim.store.table("User")))
    sim.store.change("User", user, source="AUTHN")
    sim.accounts.strategies.append({"id": "s1", "type": "LDAP"})
    body = {"query": "{authnStrategies{id type}}"}
    asked = await client.send("", body, root="/api")
    assert asked.json == {"data": {"authnStrategies": [{"id": "s1", "type": "LDAP"}]}}
    login = {"username": "root", "password": sim.password, "source": "AUTHN"}
    assert (await client.send("login", login)).status == 400
    token = (await client.ask("login", login | {"auth_config_id": "s1"}))["data"]["token"]
    assert sim.accounts.user_of(token) == user


async def test_languages(client: Client) -> None:
    where = {"where": {"severity": "NOTICE"}, "first": 1}
    texts: dict[str, Any] = {}
    for language in ("en-US", "zh-CN", "*"):
        alert = (await client.ask("get-alerts", where, content_language=language))[0]
        texts[language] = alert["message"]
    assert texts["en-US"] == (await client.ask("get-alerts", where))[0]["message"]
    assert texts["zh-CN"] != texts["en-US"]
    every = msgspec.json.decode(texts.pop("*"))
    assert every == texts
    answer = await client.send("get-alerts", content_language="de-DE")
    assert answer.status == 400
    assert "content-language" in answer.json["message"]


async def test_version_and_health(client: Client) -> None:
    version = await client.send("get-version", method="GET", authorization="")
    assert version.json == "4.9.0"
    health = await client.send("healthz", root="/api/", method="GET", authorization="")
    assert (health.status, health.content) == (200, b"ok")


async def test_unknown_paths_are_404(client: Client) -> None:
    assert (await client.send("get-nothing")).status == 404
    assert (await client.send("get-vms", root="/v3/api/")).status == 404
    assert (await client.send("", root="/get-vms")).status == 404


async def test_operations_that_are_not_simulated_are_501(client: Client) -> None:
    for path in ("execute-backup-plan", "create-host"):
        answer = await client.send(path, {})
        assert answer.status == 501
        assert path in answer.json["message"]
    assert (
        await client.send("", {"query": "{bundleApplicationInstances{id}}"}, root="/api")
    ).status == 501


async def test_operations_that_are_not_simulated_are_listed(client: Client) -> None:
    unmodelled = client.sim.unmodelled()
    assert "host.create_host" in unmodelled
    for modelled in ("vm.get_vms", "vm.get_vms_connection", "vm.start_vm", "user.login"):
        assert modelled not in unmodelled


async def test_the_listed_operations_are_501(client: Client) -> None:
    unmodelled = client.sim.unmodelled()
    assert 0 < len(unmodelled) < 60
    listed = {path.removeprefix("/") for path, name in OPERATIONS.items() if name in unmodelled}
    answered = set[str]()
    for path in OPERATIONS:
        async with client.session.request(
            operation_at(path).method,
            f"{client.sim.url}/v2/api{path}",
            json={"where": {"id": "none"}},  # changes nothing
            headers=client.headers,
        ) as response:
            if response.status == 501:
                answered.add(path.removeprefix("/"))
    assert answered == listed


async def test_requests_are_recorded(client: Client) -> None:
    requests = client.sim.requests
    requests.clear()
    await client.send("get-vms", {"first": 1}, content_language="zh-CN", x_other="1")
    await client.send("healthz", root="/api/", method="GET", authorization="")
    await client.session.post(f"{client.sim.url}/v2/api/get-vms", data=b"\xff")
    assert requests[0].headers["content-language"] == "zh-CN"
    assert requests[0].headers["authorization"] == client.headers["authorization"]
    assert "x-other" not in requests[0].headers
    assert requests[1] == Request("GET", "/api/healthz", {"authorization": ""}, None)
    assert [(one.path, one.body) for one in requests] == [
        ("get-vms", {"first": 1}),
        ("/api/healthz", None),
        ("get-vms", b"\xff"),
    ]


async def test_tls() -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate = authority.issue_cert("localhost")
    certificate.configure_cert(tls)  # pyright: ignore[reportUnknownMemberType]
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)  # pyright: ignore[reportUnknownMemberType]
    async with Simulator(tls=tls) as sim, aiohttp.ClientSession() as session:
        assert sim.url.startswith("https://localhost:")
        async with session.get(f"{sim.url}/api/healthz", ssl=trusting) as response:
            assert response.status == 200


async def test_fault_status(client: Client) -> None:
    faults = client.sim.faults
    faults.fail("get-vms", status=503, times=2, headers={"retry-after": "1"})
    for _ in range(2):
        answer = await client.send("get-vms")
        assert answer.status == answer.json["status"] == 503
        assert answer.headers["retry-after"] == "1"
        assert (await client.send("get-hosts")).status == 200
    assert (await client.send("get-vms")).status == 200
    faults.fail(status=502, body=b"bad gateway")
    answer = await client.send("get-hosts")
    assert (answer.status, answer.content) == (502, b"bad gateway")


async def test_fault_bodies(client: Client) -> None:
    client.sim.faults.garbage()
    client.sim.faults.html()
    client.sim.faults.garbage(body=b"")
    answer = await client.send("get-vms")
    assert (answer.status, answer.content) == (200, b'[{"id":')
    answer = await client.send("get-vms")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.content.startswith(b"<!DOCTYPE html>")
    assert (await client.send("get-vms")).content == b""


async def test_fault_truncated(client: Client) -> None:
    client.sim.faults.truncate("get-vms")
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.send("get-vms")


async def test_fault_reset(client: Client) -> None:
    client.sim.faults.reset()
    with pytest.raises(aiohttp.ClientOSError):
        await client.send("get-vms")
    assert (await client.send("get-vms")).status == 200


async def test_fault_hang_ends_with_the_simulator() -> None:
    failed = anyio.Event()

    async def wait(client: Client) -> None:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.send("get-vms")
        failed.set()

    async with aiohttp.ClientSession() as session, anyio.create_task_group() as group:
        async with Simulator() as sim:
            sim.faults.hang()
            group.start_soon(wait, Client(session, sim))
            while not sim.requests:
                await anyio.lowlevel.checkpoint()
            assert not failed.is_set()
        with anyio.fail_after(5):
            await failed.wait()


async def test_a_fault_may_strike_after_the_request_was_carried_out(client: Client) -> None:
    store = client.sim.store
    stopped = store.select("Vm", {"status": "STOPPED"})
    where = {"where": {"id": stopped[0]["id"]}}
    client.sim.faults.fail("start-vm", status=504)
    assert (await client.send("start-vm", where)).status == 504
    assert stopped[0]["entityAsyncStatus"] is None
    client.sim.faults.fail("start-vm", status=504, executed=True)
    assert (await client.send("start-vm", where)).status == 504
    assert stopped[0]["entityAsyncStatus"] == "UPDATING"


async def test_faults_can_be_taken_back(client: Client) -> None:
    client.sim.faults.fail("get-vms")
    client.sim.faults.delay(60)
    client.sim.faults.clear()
    assert (await client.send("get-vms")).status == 200


async def test_a_misspelt_operation_is_no_fault(client: Client) -> None:
    with pytest.raises(ValueError, match=r"the path of `vm.get_vms` is 'get-vms'"):
        client.sim.faults.fail("get_vms")


@pytest.mark.parametrize("path", ["/get-vms", "/v2/api/get-vms"])
async def test_a_fault_for_an_operation_with_a_slash_is_refused(client: Client, path: str) -> None:
    with pytest.raises(ValueError, match="leave the slash out: 'get-vms'"):
        client.sim.faults.fail(path)


async def test_a_fault_outside_the_api_needs_a_slash(client: Client) -> None:
    with pytest.raises(ValueError, match="begins with a slash: '/api/healthz'"):
        client.sim.faults.fail("api/healthz")
    client.sim.faults.fail("/api/healthz", status=503)
    assert (await client.send_raw("api/healthz", None, root="/")).status == 503


async def test_answers_can_be_delayed(client: Client) -> None:
    client.sim.faults.delay(30, "get-vms")
    client.sim.faults.delay(0)
    assert (await client.send("get-hosts")).status == 200
    with anyio.move_on_after(0.05) as scope:
        await client.send("get-vms")
    assert scope.cancelled_caught


async def test_a_client_that_disconnects_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(Simulator()) as client:
        host, _, port = client.sim.url.removeprefix("http://").partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(
                b"POST /v2/api/get-vms HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"
            )
            await client.ask("get-vms", {})  # while the first answer is being read
    assert [one for one in caplog.records if one.name == "aiohttp.server"] == []


async def test_requests_may_make_time_pass() -> None:
    clock = Clock(running=False, per_request=1.5)
    async with connected(Simulator(clock=clock)) as client:
        before = clock.now()
        await client.send("get-vms")
        assert clock.now() == before + 1.5


async def test_a_simulator_can_be_left_without_having_been_entered() -> None:
    await Simulator().__aexit__(None, None, None)


def test_attributes_of_a_running_simulator_explain_their_absence() -> None:
    sim = Simulator()
    for use in (lambda: sim.url, lambda: sim.add_vm(name="early")):
        with pytest.raises(
            AttributeError, match="before it is started: use it within 'async with'"
        ):
            use()
    with pytest.raises(AttributeError, match=r"'Simulator' object has no attribute 'urll'$"):
        getattr(sim, "urll")  # noqa: B009 - a slip that a type checker would see


async def test_sizes_can_be_given_in_words() -> None:
    async with Simulator("2 clusters, 8 VMs", vms=5) as sim:
        assert (sim.size.clusters, sim.size.vms) == (2, 5)
    with pytest.raises(ValueError, match="'many VMs'"):
        Simulator("many VMs")


async def test_sizes_can_be_given_in_short() -> None:
    async with Simulator(FleetSize(alerts=0, vms=5), clusters=1, hosts_per_cluster=2) as sim:
        assert sim.size == FleetSize(alerts=0, vms=5, clusters=1, hosts_per_cluster=2)
        assert len(sim.store.table("Host")) == 2


def test_attributes_of_a_running_simulator_have_help() -> None:
    assert "`Store` of a running simulator" in str(inspect.getdoc(Simulator.store))
