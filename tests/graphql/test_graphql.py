"""API keys, consoles, and GraphQL itself."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from aiohttp import web

from cloudtower_async import (
    ApiKey,
    Cloudtower,
    CloudtowerError,
    Forbidden,
    GraphQLError,
    InvalidInput,
    OutcomeUnknown,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    Unauthorized,
)
from cloudtower_async.testing import Clock, Simulator
from tests.support import serve
from tests.test_secrets import shown, with_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

SECRET = "planted-0123"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clock=Clock(running=False)) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    retry = RetryPolicy(backoff=0.001)
    async with Cloudtower(
        sim.url, username=sim.username, password=sim.password, retry=retry
    ) as tower:
        yield tower


def sent(sim: Simulator) -> int:
    """Return the number of GraphQL requests."""
    return sum(request.path == "/api" for request in sim.requests)


async def test_a_key_is_made_used_listed_and_deleted(sim: Simulator, tower: Cloudtower) -> None:
    key = await tower.api_keys.create("bot")
    assert (key.name, [role.preset for role in key.roles]) == ("bot", ["ROOT"])
    async with Cloudtower(sim.url, token=key.key) as bot:
        assert await bot.vm.get_vms(first=1)
        other = await tower.api_keys.create("other")
        assert await tower.api_keys.list() == [key, other]
        await tower.api_keys.delete(key)
        with pytest.raises(Unauthorized):
            await bot.vm.get_vms(first=1)
    await tower.api_keys.delete(other.key)
    assert await tower.api_keys.list() == []


async def test_a_key_is_not_shown(
    sim: Simulator, tower: Cloudtower, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = await tower.api_keys.create("bot")
    assert key.key not in f"{key!r} {key} {[key]}"
    refusal = f'{{"message": "what is {key.key}?"}}'.encode()
    for call in (partial(tower.api_keys.delete, key), tower.vm.get_vms, tower.api_keys.list):
        sim.faults.fail(status=403, body=refusal)
        with pytest.raises(Forbidden) as info:
            await call()
        assert key.key not in shown(info.value)
    assert key.key not in caplog.text


async def test_rejections_of_the_server_are_errors(tower: Cloudtower) -> None:
    await tower.api_keys.create("bot")
    with pytest.raises(GraphQLError, match="bot already") as info:
        await tower.api_keys.create("bot")
    assert info.value.errors[0]["path"] == ["createApiKey"]
    assert info.value.data == {"createApiKey": None}
    assert (info.value.status, info.value.operation) == (200, "graphql")
    assert f"request id {info.value.request_id}]" in str(info.value)
    with pytest.raises(GraphQLError, match="no such API key"):
        await tower.api_keys.delete("none")


async def test_a_screen_has_two_addresses(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm()
    ticket = await tower.vnc(vm["id"])
    host = sim.store.get("Host", vm["host"])["management_ip"]
    cluster = sim.store.get("Cluster", vm["cluster"])["ip"]
    assert (ticket.vm_uuid, ticket.host_ip, ticket.cluster_ip) == (vm["local_id"], host, cluster)
    direct, proxied = urlsplit(ticket.direct), urlsplit(ticket.proxied)
    assert (direct.scheme, direct.netloc, direct.path) == ("wss", cluster, "/websockify/")
    assert (proxied.scheme, proxied.netloc, proxied.path) == (
        "wss",
        urlsplit(sim.url).netloc,
        "/websockify/",
    )
    for address in (direct, proxied):
        values = parse_qs(address.query, strict_parsing=True)
        assert (values["uuid"], values["host"]) == ([vm["local_id"]], [host])
        assert values["token"][0] not in repr(ticket)
    assert "wss" not in repr(ticket)
    # Special characters of base64 have another meaning in a URL.
    token = proxied.query.partition("token=")[2].partition("&")[0]
    assert "%2F" in token or "%2B" in token
    assert not set("+/=") & set(token)


async def test_an_address_of_six_bytes_pairs_stands_in_brackets() -> None:
    made = {"vm_uuid": "u", "host_ip": "fd00::2", "cluster_ip": "fd00::1"}
    body = {"data": {"vnc": {**made, "raw_token": "r", "token": "a+b/c="}}}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body)

    async with serve(answer) as url, Cloudtower(f"{url}/prefix", token="t0ken") as tower:
        ticket = await tower.vnc("vm")
    assert ticket.direct == "wss://[fd00::1]/websockify/?uuid=u&token=r&host=fd00::2"
    place = url.partition("://")[2]
    assert ticket.proxied == (
        f"wss://{place}/prefix/websockify/?token=a%2Bb%2Fc%3D&uuid=u&host=fd00::2"
    )


async def test_a_vm_that_is_off_has_no_screen(sim: Simulator, tower: Cloudtower) -> None:
    for vm in (sim.add_vm(status="STOPPED")["id"], "none"):
        with pytest.raises(GraphQLError):
            await tower.vnc(vm)


async def test_any_document_with_variables(tower: Cloudtower) -> None:
    await tower.api_keys.create("bot")
    query = "query named($name: String) { apiKeys(where: {name: $name}) { name } }"
    assert await tower.graphql(query, {"name": "bot"}) == {"apiKeys": [{"name": "bot"}]}
    assert await tower.graphql(query, {"name": "other"}) == {"apiKeys": []}


async def test_errors_beside_data_are_an_error_with_the_data(tower: Cloudtower) -> None:
    with pytest.raises(GraphQLError, match="input") as info:
        await tower.graphql("{ authnStrategies { id } apiKeys { name } vnc { token } }")
    assert info.value.data == {"authnStrategies": [], "apiKeys": [], "vnc": None}


QUERIES = (
    "{ apiKeys { id } }",
    "query { apiKeys { id } }",
    '# mutation\nquery one($a: String = "mutation {") { apiKeys { id } }',
    'query one { mutation: apiKeys(where: {name: "mutation"}) { id } }',
    'query one { apiKeys(where: {name: "\\" } mutation {"}) { id } }',
    'query one { apiKeys(where: {name: """ } mutation { \\""" } mutation """}) { id } }',
)
MUTATIONS = (
    'mutation { createApiKey(data: {name: "a"}) { id } }',
    '# query\n,mutation named{ createApiKey(data: {name: "b"}) { id } }',
    '{ apiKeys { id } } mutation more { createApiKey(data: {name: "c"}) { id } }',
)


@pytest.mark.parametrize("query", QUERIES)
async def test_queries_are_sent_again(sim: Simulator, tower: Cloudtower, query: str) -> None:
    sim.faults.fail(status=503)
    try:
        await tower.graphql(query)
    except ServerError:  # the simulator does not support all of GraphQL
        pytest.fail("not sent again")
    except CloudtowerError:
        pass
    assert sent(sim) == 2


@pytest.mark.parametrize("query", MUTATIONS)
async def test_mutations_of_unknown_outcome_are_not_sent_again(
    sim: Simulator, tower: Cloudtower, query: str
) -> None:
    sim.faults.fail(status=503)
    with pytest.raises(OutcomeUnknown, match=r"tower\.task\.get_tasks"):
        await tower.graphql(query)
    assert sent(sim) == 1
    sim.faults.fail(status=429)
    sim.faults.fail(status=503)
    with pytest.raises(OutcomeUnknown):
        await tower.graphql(query)
    assert sent(sim) == 3


ODD_ANSWERS: list[tuple[object, type[CloudtowerError], str]] = [
    ({"data": None}, GraphQLError, "without data"),
    ({}, GraphQLError, "without data"),
    ({"errors": "broken"}, GraphQLError, "answered with errors: broken"),
    ({"errors": {"message": "broken"}}, GraphQLError, "answered with errors: broken"),
    ({"errors": ["one", None, ["two"], 3]}, GraphQLError, r'one; \["two"\]; 3'),
    ({"errors": [{"message": {"en": "no"}}]}, GraphQLError, r'\{"en":"no"\}'),
    ({"errors": [{"reason": "no"}]}, GraphQLError, r'\{"reason":"no"\}'),
    ({"errors": [{"message": "", "code": 7}]}, GraphQLError, '"code":7'),
    ({"errors": True}, GraphQLError, "answered with errors: true"),
    ({"errors": [[]], "data": {"vnc": {}}}, GraphQLError, r'errors: \{"message":\[\]\}'),
    ({"errors": [{"message": "no", "extensions": {"code": "DENIED"}}]}, GraphQLError, "DENIED"),
    ({"data": {"vnc": None}}, ResponseDecodeError, "vnc"),
    ({"data": {"vnc": {"token": SECRET}}}, ResponseDecodeError, "vnc"),
    ([1], ResponseDecodeError, "breaks the API schema"),
    ({"errors": [{"message": f"no {SECRET}"}, 5]}, GraphQLError, r"no \*\*\*"),
]


@pytest.mark.parametrize(("answer", "error", "told"), ODD_ANSWERS)
async def test_an_answer_without_valid_data_is_an_error_without_the_secret(
    answer: Any,  # noqa: ANN401
    error: type[CloudtowerError],
    told: str,
) -> None:
    async def say(_: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    async with serve(say) as url, Cloudtower(url, token=SECRET) as tower:
        with pytest.raises(error, match=told) as info:
            await tower.vnc("vm")
    assert SECRET not in shown(info.value)


@pytest.mark.parametrize("errors", [None, [{"message": "half of it"}]])
async def test_contents_of_a_malformed_answer_are_in_no_frame(errors: object) -> None:
    answer = {"data": {"vnc": {"token": SECRET}, "createApiKey": SECRET, "apiKeys": 5}}

    async def say(_: web.Request) -> web.StreamResponse:
        return web.json_response({**answer, "errors": errors})

    async with serve(say) as url, Cloudtower(url, token="t0ken") as tower:
        for call in (
            partial(tower.vnc, "vm"),
            partial(tower.api_keys.create, "bot"),
            tower.api_keys.list,
        ):
            report = await with_variables(call)
            assert "graphql" in report
            assert SECRET not in report


async def test_errors_nested_deeply_are_cut_and_keep_their_text() -> None:
    body = f'{{"data": {DEEP}, "errors": [{{"message": "no such field", "at": {DEEP}}}]}}'

    async def say(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with serve(say) as url, Cloudtower(url, token="t0ken") as tower:
        with pytest.raises(GraphQLError, match="no such field"):
            await tower.graphql("{ vms { id } }")


async def test_a_rejected_document_raises_the_message_of_the_server() -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        errors = [{"message": f"Syntax Error near {SECRET}", "extensions": {"code": "PARSE"}}]
        return web.json_response({"errors": errors}, status=400)

    async with serve(refuse) as url, Cloudtower(url, token=SECRET) as tower:
        with pytest.raises(GraphQLError, match="Syntax Error near") as info:
            await tower.graphql("{")
    assert (info.value.status, info.value.code) == (400, "PARSE")
    assert SECRET not in shown(info.value)


async def test_invalid_arguments_are_not_sent(sim: Simulator, tower: Cloudtower) -> None:
    wrong: list[Any] = ["", None, 5]
    for value in wrong:
        for call in (tower.vnc, tower.api_keys.create, tower.api_keys.delete, tower.graphql):
            with pytest.raises(InvalidInput, match="expected a string"):
                await call(value)
    with pytest.raises(InvalidInput, match="JSON"):
        await tower.graphql("{ apiKeys { id } }", {"name": object()})
    assert sent(sim) == 0


KEY = "k3y-of-the-tests"


async def created(body: object, caplog: pytest.LogCaptureFixture) -> ApiKey:
    """Create a key on a server with this answer; the key must not appear in the log."""
    caplog.set_level(logging.DEBUG)

    async def say(_: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(text=body)
        return web.json_response(body)

    async with serve(say) as url, Cloudtower(url, token="t0ken") as tower:
        try:
            return await tower.api_keys.create("bot")
        finally:
            assert KEY not in caplog.text


WHOLE = {"id": "1", "name": "bot", "key": KEY, "roles": [{"id": "r", "preset": "ROOT"}]}
DEEP = '{"a": ' * 800 + "1" + "}" * 800


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"createApiKey": {"key": KEY}}},
        {"data": {"createApiKey": {**WHOLE, "id": None, "name": None, "roles": "all"}}},
        {"data": {"createApiKey": {**WHOLE, "roles": [None, {"id": None}, {"preset": 3}]}}},
        {"data": {"createApiKey": [WHOLE]}},
        {"data": {"apiKey": {"made": WHOLE}}},
        {"data": [WHOLE]},
        {"data": {"createApiKey": WHOLE}, "errors": [{"message": "roles: no permission"}]},
        {"data": {"createApiKey": WHOLE}, "errors": "half of it"},
        {"data": {"createApiKey": WHOLE}, "errors": [{"extensions": {"code": "UNAUTHENTICATED"}}]},
        '{"data": {"createApiKey": {"id": "1", "key": "k3y-of-the-tests"',
        '{"data": {"createApiKey": {"key": "k3y-of-the-tests", "id": NaN}}}',
        f'{{"data": {{"x": {DEEP}, "made": {{"key": "{KEY}"}}}}, "errors": [{DEEP}]}}',
    ],
)
async def test_a_new_key_is_never_lost(body: object, caplog: pytest.LogCaptureFixture) -> None:
    key = await created(body, caplog)
    assert (key.key, key.name) == (KEY, "bot")


async def test_a_new_key_is_returned_even_if_its_name_was_cut_within_an_emoji(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = rf'{{"data": {{"createApiKey": {{"id": "7", "name": "\ud83d", "key": "{KEY}"}}}}}}'
    key = await created(body, caplog)
    assert (key.id, key.name, key.key) == ("7", "\N{REPLACEMENT CHARACTER}", KEY)
    assert "was created, but" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"createApiKey": None}},
        {"data": {"createApiKey": {"id": "1", "key": None}}},
        {"data": {"createApiKey": "done"}},
        {"data": {}},
        '{"data": {"createApiKey": {"id": "1"',
        "<html>",
        "",
    ],
)
async def test_an_answer_without_the_new_key_leaves_the_outcome_unknown(
    body: object, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OutcomeUnknown):
        await created(body, caplog)
    assert KEY not in caplog.text


async def test_a_refused_key_was_not_made(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(GraphQLError, match="taken"):
        await created({"data": {"createApiKey": None}, "errors": ["taken"]}, caplog)


async def test_a_malformed_key_does_not_fail_the_list(caplog: pytest.LogCaptureFixture) -> None:
    odd = [None, "x", {}, {"id": None, "key": KEY}, {"id": 7, "name": None, "key": 5, "roles": 3}]

    async def say(_: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"apiKeys": [WHOLE, *odd]}})

    async with serve(say) as url, Cloudtower(url, token="t0ken") as tower:
        keys = await tower.api_keys.list()
    assert [(key.id, key.name, key.key) for key in keys] == [
        ("1", "bot", KEY),
        ("", "", KEY),
        ("7", "", "5"),
    ]
    assert "3 entries are not keys" in caplog.text


def test_keys_are_equal_if_all_fields_are_equal() -> None:
    assert ApiKey("i", "n", "k") == ApiKey("i", "n", "k")
    assert ApiKey("i", "n", "k") != ApiKey("i", "n", "other")


# An expired token


class Expiring:
    """A GraphQL server whose first token has expired. The error is in the body of the answer."""

    def __init__(self, *refusals: dict[str, Any], status: int = 200, data: object = None) -> None:
        self.refusals = refusals
        self.status = status
        self.data = data
        self.logins = 0
        self.seen: list[str] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v2/api/login":
            self.logins += 1
            return web.json_response({"data": {"token": f"token-{self.logins}"}})
        token = request.headers["authorization"]
        self.seen.append(token)
        if token == "token-1":
            body: dict[str, object] = {"errors": self.refusals}
            if self.data is not None:
                body["data"] = self.data
            return web.json_response(body, status=self.status)
        return web.json_response({"data": {"apiKeys": []}})


UNAUTHENTICATED = {"message": "jwt expired", "extensions": {"code": "UNAUTHENTICATED"}}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (UNAUTHENTICATED, 200),
        (UNAUTHENTICATED, 400),
        (UNAUTHENTICATED, 401),
        ({"message": "x", "extensions": {"code": "X", "http": {"status": 401}}}, 200),
        ({"message": "x", "extensions": {"response": {"statusCode": 401}}}, 200),
        ({"message": "x", "statusCode": 401}, 200),
    ],
)
async def test_an_expired_token_is_replaced_wherever_the_server_says_so(
    refusal: dict[str, Any], status: int
) -> None:
    server = Expiring(refusal, status=status)
    async with serve(server) as url, Cloudtower(url, username="root", password="p") as tower:
        assert await tower.api_keys.list() == []
    assert server.seen == ["token-1", "token-2"]


async def test_many_calls_with_an_expired_token_log_in_once() -> None:
    server = Expiring(UNAUTHENTICATED)
    async with serve(server) as url, Cloudtower(url, username="root", password="p") as tower:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(tower.api_keys.list)
        assert server.logins == 2


@pytest.mark.parametrize("data", [None, {"a": None}, {"a": None, "b": None}])
@pytest.mark.parametrize("path", [None, ["a"]])
async def test_a_mutation_is_sent_again_if_no_part_of_it_was_done(
    data: object, path: object
) -> None:
    server = Expiring({**UNAUTHENTICATED, "path": path}, data=data)
    async with serve(server) as url, Cloudtower(url, username="root", password="p") as tower:
        await tower.graphql("mutation { a { id } b { id } }")
    assert server.seen == ["token-1", "token-2"]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"a": {"id": "1"}, "b": None}, ["b"]),
        ({"a": False}, None),
        ({"a": 0, "b": None}, ["b"]),
        ([None], None),
        (None, ["a", "id"]),  # the answer to an executed mutation is unreadable
        ({"a": None}, ["a", "roles", 0, "id"]),
    ],
)
async def test_a_mutation_is_not_sent_again_if_part_of_it_may_have_been_done(
    data: object, path: object
) -> None:
    server = Expiring({**UNAUTHENTICATED, "path": path}, data=data)
    async with serve(server) as url, Cloudtower(url, username="root", password="p") as tower:
        with pytest.raises(GraphQLError, match="jwt expired") as info:
            await tower.graphql("mutation { a { id } b { id } }")
    assert info.value.data == data
    assert server.seen == ["token-1"]


async def test_a_mutation_with_another_error_is_not_sent_again() -> None:
    server = Expiring(UNAUTHENTICATED, {"message": "half done", "path": ["b"]})
    async with serve(server) as url, Cloudtower(url, username="root", password="p") as tower:
        with pytest.raises(GraphQLError, match="half done"):
            await tower.graphql("mutation { a { id } b { id } }")
    assert server.seen == ["token-1"]


async def test_an_expired_token_without_credentials_says_what_to_do() -> None:
    server = Expiring(UNAUTHENTICATED)
    async with serve(server) as url, Cloudtower(url, token="token-1") as tower:
        with pytest.raises(Unauthorized, match=r"jwt expired .*pass a new token=") as info:
            await tower.api_keys.list()
    assert (info.value.status, info.value.code) == (200, "UNAUTHENTICATED")
    assert server.seen == ["token-1"]


async def test_a_new_token_that_is_refused_too_says_so() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        if request.path == "/v2/api/login":
            return web.json_response({"data": {"token": "t0ken"}})
        return web.json_response({"errors": [UNAUTHENTICATED]})

    async with serve(refuse) as url, Cloudtower(url, username="root", password="p") as tower:
        with pytest.raises(Unauthorized, match=r"tried 2 times.* session has logged in again"):
            await tower.vnc("vm")


async def test_a_permission_that_is_missing_is_not_an_expired_token() -> None:
    server = Expiring({"message": "no", "extensions": {"code": "FORBIDDEN"}})
    async with serve(server) as url, Cloudtower(url, username="root", password="p") as tower:
        with pytest.raises(GraphQLError, match="no"):
            await tower.api_keys.list()
    assert server.logins == 1
