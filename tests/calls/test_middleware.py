"""Middleware around calls: what it sees and may change, and how its errors are handled."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest
from aiohttp import web

from cloudtower_async import (
    EVERYTHING,
    BadRequest,
    CallTimeout,
    Cloudtower,
    CloudtowerError,
    ElfImage,
    EmptyFilter,
    InvalidInput,
    InvalidSettings,
    Middleware,
    MutationRefused,
    NotFound,
    OperationCall,
    OutcomeUnknown,
    Proceed,
    RetryPolicy,
    SessionClosed,
    record_exchanges,
    select_fields,
)
from cloudtower_async.api.vm import GET_VMS
from cloudtower_async.testing import Clock, Simulator
from tests.support import PASSWORD, TOKEN, is_login, login_answer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async.inputs import VmWhereInput

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(backoff=1e-6)
DELETE: dict[str, Any] = {"where": {"id": "vm-1"}}


class Server:
    """Server that records requests, and answers each request with `body`.

    The statuses of the answers are the items of `statuses`. Further answers have status 200.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.received = asyncio.Event()
        self.languages: list[str | None] = []
        self.statuses: list[int] = []
        self.body: Any = []
        self.hang = False

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        if is_login(request):
            return login_answer()
        path = request.path.rpartition("/")[2]
        is_json = request.content_type == "application/json"
        self.sent.append((path, json.loads(content) if content and is_json else None))
        self.received.set()
        self.languages.append(request.headers.get("content-language"))
        if self.hang:
            await anyio.sleep_forever()
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"x-tower-request-id": f"request-{len(self.sent)}"}
        return web.json_response(self.body, status=status, headers=headers)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def url(server: Server) -> AsyncGenerator[str]:
    async with serve(server) as url:
        yield url


def session(url: str, *middleware: Middleware, **options: Any) -> Cloudtower:  # noqa: ANN401
    options = {"token": TOKEN, "retry": AT_ONCE, **options}
    return Cloudtower(url, middleware=middleware, **options)


async def through(call: OperationCall, proceed: Proceed) -> object:
    return await proceed(call)


class Seen:
    """Middleware that records the calls passing through it."""

    def __init__(self) -> None:
        self.calls: list[OperationCall] = []

    async def __call__(self, call: OperationCall, proceed: Proceed) -> object:
        self.calls.append(call)
        return await proceed(call)


async def test_middleware_sees_a_call_before_and_after(server: Server, url: str) -> None:
    before: list[tuple[object, ...]] = []

    async def audit(call: OperationCall, proceed: Proceed) -> object:
        before.append((call.outcome, call.attempts, call.request_ids, call.endpoint))
        answer = await proceed(call)
        assert answer == []
        return answer

    seen = Seen()
    server.statuses = [503, 200]
    async with session(url, audit, seen) as tower:
        assert await tower.vm.get_vms(first=3, content_language="zh-CN", timeout=7) == []
    assert before == [(None, 0, (), url)]
    [call] = seen.calls
    assert (call.operation, call.kind, call.arguments) == ("vm.get_vms", "query", {"first": 3})
    assert (call.timeout, call.content_language) == (7, "zh-CN")
    assert call.external_cloudtower_id is None
    assert (call.outcome, call.attempts, call.endpoint) == ("success", 2, url)
    assert call.request_ids == ("request-1", "request-2")
    assert [(one.status, one.attempt) for one in call.exchanges] == [(503, 1), (200, 2)]


async def test_a_login_during_a_call_is_not_counted_as_an_attempt(server: Server, url: str) -> None:
    seen = Seen()
    tower = Cloudtower(url, username="u", password=PASSWORD, middleware=[seen])
    with record_exchanges() as exchanges:
        await tower.vm.get_vms()
    await tower.close()
    assert [one.operation for one in exchanges] == ["user.login", "vm.get_vms"]
    [call] = seen.calls
    assert (call.operation, call.attempts) == ("vm.get_vms", 1)


async def test_the_first_middleware_is_outermost_and_with_options_adds_inside(url: str) -> None:
    order: list[str] = []

    def named(name: str) -> Middleware:
        async def middleware(call: OperationCall, proceed: Proceed) -> object:
            order.append(f"{name} in")
            try:
                return await proceed(call)
            finally:
                order.append(f"{name} out")

        return middleware

    async with session(url, named("a"), named("b")) as tower:
        inner = tower.with_options(middleware=[named("c")]).with_options(middleware=[named("d")])
        await inner.vm.get_vms()
        assert order == [f"{one} in" for one in "abcd"] + [f"{one} out" for one in "dcba"]
        order.clear()
        await tower.vm.get_vms()  # the first session is unchanged
        await inner.with_options(middleware=None, timeout=5).vm.get_vms()
    assert order[:4] == ["a in", "b in", "b out", "a out"]
    assert len(order) == 4 + 8


async def test_changed_arguments_and_options_are_sent_and_the_callers_stay(
    server: Server, url: str
) -> None:
    async def change(call: OperationCall, proceed: Proceed) -> object:
        call.arguments["where"]["name"] = "changed in place"  # a copy
        where = {"AND": [call.arguments["where"], {"id_in": ["a"]}]}
        changed = call.replace(
            arguments={**call.arguments, "where": where}, content_language="zh-CN"
        )
        assert changed.progress is call.progress
        assert (changed.timeout, changed.operation) == (call.timeout, call.operation)
        return await proceed(changed)

    where: VmWhereInput = {"name": "web"}
    async with session(url, change) as tower:
        await tower.vm.get_vms(where=where)
    sent = {"where": {"AND": [{"name": "changed in place"}, {"id_in": ["a"]}]}}
    assert server.sent == [("get-vms", sent)]
    assert server.languages == ["zh-CN"]
    assert where == {"name": "web"}


async def test_a_call_that_cannot_be_sent_is_refused_before_middleware(
    server: Server, url: str
) -> None:
    seen = Seen()
    async with session(url, seen) as tower:
        with pytest.raises(EmptyFilter):
            await tower.vm.delete_vm(where={})
        with pytest.raises(InvalidInput, match="nmae"):
            await tower.vm.get_vms(where={"nmae": "x"})  # type: ignore[typeddict-unknown-key] # pyright: ignore
        with pytest.raises(InvalidInput, match="timeout"):
            await tower.vm.get_vms(timeout=-1)
    assert seen.calls == []
    assert server.sent == []


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"arguments": {"where": {}}}, EmptyFilter, "vm.delete_vm: where"),
        ({"arguments": {"where": {"name_contains": ""}}}, EmptyFilter, "vm.delete_vm: where"),
        ({"arguments": {"where": {"nmae": "x"}}}, InvalidInput, "nmae"),
        ({"arguments": None}, InvalidInput, "vm.delete_vm"),
        ({"timeout": 0}, InvalidInput, "vm.delete_vm: timeout"),
        ({"content_language": "de"}, InvalidInput, "vm.delete_vm: content_language"),
        ({"external_cloudtower_id": "\n"}, InvalidInput, "vm.delete_vm: external_cloudtower_id"),
    ],
)
async def test_what_middleware_changed_is_checked_again(
    server: Server, url: str, changes: dict[str, Any], error: type[Exception], told: str
) -> None:
    async def change(call: OperationCall, proceed: Proceed) -> object:
        return await proceed(call.replace(**changes))

    async with session(url, change) as tower:
        with pytest.raises(error, match=told) as info:
            await tower.vm.delete_vm(**DELETE)
    assert type(info.value) is error
    assert server.sent == []


async def test_middleware_may_pass_everything_as_the_filter(server: Server, url: str) -> None:
    async def widen(call: OperationCall, proceed: Proceed) -> object:
        return await proceed(call.replace(arguments={"where": EVERYTHING}))

    async with session(url, widen) as tower:
        await tower.vm.delete_vm(**DELETE)
    assert server.sent == [("delete-vm", {"where": {}})]


async def test_middleware_can_change_only_arguments_and_options(url: str) -> None:
    async def rename(call: OperationCall, proceed: Proceed) -> object:
        changes: dict[str, Any] = {"kind": "query"}
        return await proceed(call.replace(**changes))

    async def other(call: OperationCall, proceed: Proceed) -> object:
        return await proceed(OperationCall(operation="vm.delete_vm", kind="mutation"))

    async def nothing(_: OperationCall, proceed: Proceed) -> object:
        wrong: Any = None
        return await proceed(wrong)

    async with session(url) as tower:
        with pytest.raises(TypeError, match="cannot change 'kind'"):
            await tower.with_options(middleware=[rename]).vm.get_vms()
        for wrong in (other, nothing):
            with pytest.raises(CloudtowerError, match=r"vm.get_vms: proceed\(\) takes the call"):
                await tower.with_options(middleware=[wrong]).vm.get_vms()


async def test_not_proceeding_answers_without_a_request(server: Server, url: str) -> None:
    cache: dict[str, Any] = {}

    async def cached(call: OperationCall, proceed: Proceed) -> object:
        if call.kind != "query":
            return await proceed(call)
        key = json.dumps([call.operation, call.arguments])
        if key not in cache:
            cache[key] = await proceed(call)
        return cache[key]

    seen = Seen()
    async with session(url, seen, cached) as tower:
        first = await tower.vm.get_vms(first=1)
        assert await tower.vm.get_vms(first=1) is first
    assert len(server.sent) == 1
    assert [(call.attempts, call.outcome) for call in seen.calls] == [(1, "success"), (0, None)]


async def test_a_query_may_be_sent_several_times_also_at_once(server: Server, url: str) -> None:
    async def thrice(call: OperationCall, proceed: Proceed) -> object:
        await proceed(call)
        answers = await asyncio.gather(proceed(call), proceed(call))
        assert call.attempts == 3
        return answers[0]

    async with session(url, thrice) as tower:
        await tower.vm.get_vms(first=1)
        await tower.request("/x", method="GET", query={"a": 1})
        response = await tower.raw("GET", "/y")
    assert response.headers["x-tower-request-id"].startswith("request-")
    assert [path for path, _ in server.sent] == ["get-vms"] * 3 + ["x"] * 3 + ["y"] * 3


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_mutation_is_sent_at_most_once(server: Server, url: str, status: int) -> None:
    calls: list[OperationCall] = []

    async def twice(call: OperationCall, proceed: Proceed) -> object:
        calls.append(call)
        with pytest.raises(CloudtowerError) if status != 200 else anyio.CancelScope():
            await proceed(call)
        return await proceed(call.replace(timeout=5))

    server.statuses = [status] * 9
    async with session(url, twice) as tower:
        with pytest.raises(
            CloudtowerError, match=r"vm.delete_vm: proceed\(\) was called again"
        ) as info:
            await tower.vm.delete_vm(**DELETE)
    assert len(server.sent) == 1
    outcomes = {200: "success", 400: "failure", 500: "unknown"}
    assert [call.outcome for call in calls] == [outcomes[status]]
    assert ("the call itself was a success" in str(info.value)) is (status == 200)


async def test_a_mutation_is_sent_at_most_once_by_concurrent_tasks(
    server: Server, url: str
) -> None:
    async def both(call: OperationCall, proceed: Proceed) -> object:
        done = await asyncio.gather(proceed(call), proceed(call), return_exceptions=True)
        [answer] = [one for one in done if not isinstance(one, CloudtowerError)]
        return answer

    async with session(url, both) as tower:
        assert await tower.vm.delete_vm(**DELETE) == []
    assert len(server.sent) == 1


async def test_a_mutation_is_not_sent_after_the_call_has_ended(server: Server, url: str) -> None:
    kept: list[tuple[OperationCall, Proceed]] = []

    async def answer(call: OperationCall, proceed: Proceed) -> object:
        kept.append((call, proceed))
        return []

    async with session(url, answer) as tower:
        assert await tower.vm.delete_vm(**DELETE) == []
        assert await tower.vm.get_vms() == []
        [(mutation, late), (query, refresh)] = kept
        with pytest.raises(CloudtowerError, match=r"proceed\(\) was called again"):
            await late(mutation)
        assert await refresh(query) == []  # a cache may refresh itself later
    assert [path for path, _ in server.sent] == ["get-vms"]


class Named(msgspec.Struct):
    name: str


class DeniedError(Exception):
    pass


async def test_the_caller_gets_what_middleware_raises(server: Server, url: str) -> None:
    denied = DeniedError()

    async def deny(call: OperationCall, proceed: Proceed) -> object:
        if call.arguments["where"]["id"] == "after":
            await proceed(call)
            assert call.outcome == "success"
        raise denied

    seen = Seen()
    async with session(url, seen, deny) as tower:
        for when, requests in (("before", 0), ("after", 1)):
            with pytest.raises(DeniedError) as info:
                await tower.vm.delete_vm(where={"id": when})
            assert info.value is denied
            assert len(server.sent) == requests
    assert [call.outcome for call in seen.calls] == [None, "success"]


async def test_middleware_sees_the_errors_of_calls(server: Server, url: str) -> None:
    errors: list[Exception] = []

    async def note(call: OperationCall, proceed: Proceed) -> object:
        try:
            return await proceed(call)
        except CloudtowerError as error:
            errors.append(error)
            raise

    seen = Seen()
    async with session(url, note, seen) as tower:
        for status, error, outcome in (
            (400, BadRequest, "failure"),
            (500, OutcomeUnknown, "unknown"),
        ):
            server.statuses = [status]
            with pytest.raises(error) as info:
                await tower.vm.delete_vm(**DELETE)
            assert info.value is errors[-1]
            assert seen.calls[-1].outcome == outcome
            assert seen.calls[-1].exchanges[-1].status == status
        server.hang = True
        with pytest.raises(CallTimeout):
            await tower.vm.get_vms(timeout=0.05)
        assert (seen.calls[-1].outcome, seen.calls[-1].attempts) == ("failure", 1)
        read_only = tower.with_options(mutations="refuse")
        with pytest.raises(MutationRefused):
            await read_only.vm.delete_vm(**DELETE)
        assert (seen.calls[-1].outcome, seen.calls[-1].attempts) == ("failure", 0)


async def test_an_answer_from_middleware_may_replace_an_error(server: Server, url: str) -> None:
    async def forgive(call: OperationCall, proceed: Proceed) -> object:
        try:
            return await proceed(call)
        except NotFound:
            return []

    server.statuses = [404]
    async with session(url, forgive) as tower:
        assert await tower.vm.delete_vm(**DELETE) == []


@pytest.mark.parametrize("close", [False, True])
async def test_a_cancelled_call_cancels_the_middleware(
    server: Server, url: str, close: bool
) -> None:
    ended: list[str] = []

    async def note(call: OperationCall, proceed: Proceed) -> object:
        try:
            return await proceed(call)
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    seen = Seen()
    server.hang = True
    tower = session(url, note, seen)
    task = asyncio.create_task(tower.vm.delete_vm(**DELETE))
    await server.received.wait()
    if close:
        await tower.close()
        with pytest.raises(SessionClosed):
            await task
    else:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.hang = False
        assert await tower.vm.get_vms() == []  # nothing is left behind
        await tower.close()
    assert ended == ["SessionClosed" if close else "CancelledError"]
    assert seen.calls[0].outcome == "cancelled"


async def test_the_time_of_middleware_does_not_count(server: Server, url: str) -> None:
    """The call is not even queued while its middleware waits, and its time-out has not begun."""
    approved = asyncio.Event()

    async def approve(call: OperationCall, proceed: Proceed) -> object:
        if call.kind == "mutation":
            await approved.wait()
        return await proceed(call)

    async with session(url, approve, max_in_flight=1) as tower:
        task = asyncio.create_task(tower.vm.delete_vm(**DELETE, timeout=30))
        await tower.vm.get_vms()
        approved.set()
        await task
    assert [path for path, _ in server.sent] == ["get-vms", "delete-vm"]


async def test_a_time_out_can_be_set_for_an_operation(server: Server, url: str) -> None:
    async def limit(call: OperationCall, proceed: Proceed) -> object:
        return await proceed(call.replace(timeout=0.05))

    server.hang = True
    async with session(url, limit) as tower:
        with pytest.raises(CallTimeout, match=r"no answer within 0\.05 s"):
            await tower.vm.get_vms()


@pytest.mark.parametrize("sent", [True, False])
async def test_a_forgotten_return_is_an_error(server: Server, url: str, sent: bool) -> None:
    async def forgetful(call: OperationCall, proceed: Proceed) -> None:
        if sent:
            await proceed(call)

    async with session(url, through, forgetful) as tower:
        with pytest.raises(
            CloudtowerError, match=r"vm.delete_vm: .*forgetful returned None"
        ) as info:
            await tower.vm.delete_vm(**DELETE)
    assert len(server.sent) == sent
    assert ("the call itself was a success" in str(info.value)) is sent


async def test_middleware_may_return_none_if_the_server_sent_null(server: Server, url: str) -> None:
    server.body = None
    async with session(url, through) as tower:
        assert await tower.request("/x", method="GET") is None


async def test_a_forgotten_await_is_an_error(server: Server, url: str) -> None:
    async def forgetful(call: OperationCall, proceed: Proceed) -> object:
        return proceed(call)

    def plain(call: OperationCall, proceed: Proceed) -> Any:  # noqa: ANN401 - no awaitable
        return []

    async with session(url) as tower:
        with pytest.raises(CloudtowerError, match="forgetful has to await proceed"):
            await tower.with_options(middleware=[forgetful]).vm.delete_vm(**DELETE)
        with pytest.raises(CloudtowerError, match="plain is not an async function"):
            await tower.with_options(middleware=[plain]).vm.delete_vm(**DELETE)
    assert server.sent == []


async def test_a_function_that_returns_a_coroutine_is_middleware(url: str) -> None:
    async with session(url, lambda call, proceed: proceed(call)) as tower:
        assert await tower.vm.get_vms() == []


@pytest.mark.parametrize(
    ("middleware", "told"),
    [
        (through, "middleware: expected a list of async functions, got function"),
        ("audit", "middleware: expected a list of async functions, got str"),
        ([through, 5], "middleware: expected an async function, got int"),
    ],
)
async def test_middleware_that_cannot_be_used_is_named(
    middleware: Any,  # noqa: ANN401 - wrong on purpose
    told: str,
) -> None:
    with pytest.raises(InvalidSettings, match=f"^{told}"):
        Cloudtower("tower.example", token="t", middleware=middleware)
    tower = Cloudtower("tower.example", token="t")
    with pytest.raises(InvalidSettings, match=f"^{told}"):
        tower.with_options(middleware=middleware)


async def test_the_arguments_of_calls_outside_the_schema_cannot_be_changed(
    server: Server, url: str
) -> None:
    async def change(call: OperationCall, proceed: Proceed) -> object:
        call.arguments["query"] = "mutation { deleteVm { id } }"
        return await proceed(call)

    server.body = {"data": {}}
    async with session(url, change) as tower:
        with pytest.raises(InvalidInput, match="graphql: middleware cannot change its arguments"):
            await tower.graphql("{ vms { id } }")
        with pytest.raises(InvalidInput, match="/x: middleware cannot change its arguments"):
            await tower.request("/x", {})
    assert server.sent == []
    seen = Seen()
    async with session(url, seen) as tower:
        await tower.graphql("{ vms { id } }")
        await tower.graphql("mutation { deleteVm { id } }")
        await tower.request("/x", {"a": 1})
        await tower.raw("PUT", "/y", data=b"z")
    told = [(call.operation, call.kind) for call in seen.calls]
    assert told[:2] == [("graphql", "query"), ("graphql", "mutation")]
    assert told[2:] == [("/x", "mutation"), ("/y", "mutation")]
    assert seen.calls[0].arguments == {"query": "{ vms { id } }"}
    assert server.sent[2] == ("x", {"a": 1})


async def test_neither_repr_nor_redacted_arguments_show_secrets(server: Server, url: str) -> None:
    seen = Seen()
    secret = "s3cret-of-the-tests"
    async with session(url, seen) as tower:
        await tower.request("/x", {"password": secret, "name": f"n {TOKEN}"})
        server.body = {"data": {}}
        await tower.graphql("query q { a }", {"b": secret})
        await tower.raw("POST", "/y", json={"b": secret})
        server.body = {"task_id": None, "data": {"token": secret}}
        await tower.user.login(username="u", password=secret, source="LOCAL")
    shown = [call.redacted_arguments for call in seen.calls]
    assert shown == [{"password": "***", "name": "n ***"}, "***", "***", "***"]
    assert secret not in repr(seen.calls)
    assert TOKEN not in repr(seen.calls)
    assert seen.calls[0].arguments["password"] == secret  # for middleware that changes it
    assert seen.calls[3].arguments["password"] == secret


def test_redacted_arguments_are_json_whatever_they_hold() -> None:
    arguments = {
        "where": EVERYTHING,
        "ids": {"a"},
        "file": b"1234",
        "part": memoryview(b"12"),
        "stream": io.BytesIO(b"x"),
        "password": "p",
        "nested": [{"api_key": "k", "n": 1.5, "none": None}],
    }
    call = OperationCall(operation="vm.x", kind="upload", arguments=arguments)
    assert json.loads(json.dumps(call.redacted_arguments)) == {
        "where": {},
        "ids": ["a"],
        "file": "<4 bytes>",
        "part": "<2 bytes>",
        "stream": "<BytesIO>",
        "password": "***",
        "nested": [{"api_key": "***", "n": 1.5, "none": None}],
    }
    assert repr(call).startswith("<OperationCall vm.x (upload) {'where': {}")
    long = call.replace(arguments={"name": "x" * 1000})
    assert len(repr(long)) < 400
    assert (call.outcome, call.attempts, call.exchanges, call.endpoint) == (None, 0, (), "")


async def test_each_kind_of_work_passes_through() -> None:
    """Middleware also sees the calls that the SDK makes to wait for tasks, read pages and so on."""
    seen = Seen()
    clock = Clock(running=False, per_request=1.0)
    async with (
        Simulator(vms=3, seed=1, clock=clock, task_duration=2.0) as sim,
        Cloudtower(
            sim.url, username=sim.username, password=sim.password, middleware=[seen]
        ) as tower,
    ):

        def sent() -> list[str]:
            names = [call.operation for call in seen.calls]
            seen.calls.clear()
            return names

        assert sent() == []  # the login
        await tower.ping()
        assert sent() == []
        sim.add_vm(status="STOPPED")
        [vm] = await tower.vm.get_vms(where={"status": "STOPPED"}, first=1)
        await tower.settle(tower.vm.start_vm(where={"id": vm.id}), interval=0.002)
        names = sent()
        assert names[:2] == ["vm.get_vms", "vm.start_vm"]
        assert {"task.get_tasks", "vm.get_vms"} == set(names[2:])
        assert len(await tower.fetch_all(tower.vm.get_vms, page_size=2)) == 4
        assert {"vm.get_vms", "vm.get_vms_connection"} == set(sent())
        await select_fields(tower.vm.get_vms, Named)(first=1)
        assert sent() == ["vm.get_vms"]
        sim.uploads.chunk_size = 4
        [cluster, *_] = await tower.cluster.get_clusters()
        seen.calls.clear()
        target = ElfImage(cluster_id=cluster.id)
        image = await tower.upload(
            io.BytesIO(b"0123456789"), target, name="x.iso", chunk_size=4, interval=0.002
        )
        assert image.name == "x.iso"
        chunks = [call for call in seen.calls if call.kind == "upload"]
        assert [call.operation for call in chunks] == ["elf_image.create_elf_image"] * 3
        assert all("bytes" in str(call.redacted_arguments) for call in chunks)
        await tower.server_version()
        assert seen.calls[-1].operation == "api_info.get_api_version"


async def test_an_error_is_explained_even_if_middleware_denies_queries(
    server: Server, url: str
) -> None:
    async def forbid(call: OperationCall, proceed: Proceed) -> object:
        asked.append(call.operation)
        if call.kind == "query":
            raise DeniedError
        return await proceed(call)

    asked: list[str] = []
    server.statuses = [404]
    async with session(url, forbid) as tower:
        with pytest.raises(NotFound):
            await tower.observability.clear_system_service_alert_notification_config(
                system_service_id="a"
            )
    assert len(server.sent) == 1
    assert asked[1:] == ["api_info.get_api_version"]


async def test_without_middleware_a_call_is_sent_directly(url: str) -> None:
    async with session(url) as tower:
        executor = tower._executor  # pyright: ignore[reportPrivateUsage]
        sending = executor.send(GET_VMS, {})
        assert sending.cr_frame.f_code.co_name == "_send"  # type: ignore[attr-defined]
        await sending
