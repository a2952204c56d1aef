"""One login for all waiting calls, even if some of them are cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web
from pydantic import SecretStr

from cloudtower_async import Cloudtower, RetryPolicy, errors
from cloudtower_async.testing import Simulator
from cloudtower_async.transport.auth import Authenticator
from cloudtower_async.transport.http import Transport
from tests.support import PASSWORD, TOKEN, login_answer, serve, serve_bytes, settings, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async.options import Credentials

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9"

Answerer = Callable[[dict[str, Any]], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def authenticator(url: str, **options: object) -> AsyncGenerator[Authenticator]:
    transport = Transport(settings(url, username="root", **options))
    try:
        yield Authenticator(transport)
    finally:
        await transport.close()


@asynccontextmanager
async def by_function(
    url: str, ask: Credentials, **options: object
) -> AsyncGenerator[Authenticator]:
    transport = Transport(settings_of(endpoint=url, credentials=ask, **options))
    try:
        yield Authenticator(transport)
    finally:
        await transport.close()


class Door:
    """A server that holds logins until the test releases them, then answers with ``status``."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.knocked = anyio.Event()
        self.opened = anyio.Event()
        self.status = 200

    async def __call__(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.knocked.set()
        await self.opened.wait()
        if self.status != 200:
            return web.json_response({"message": "no", "code": "X"}, status=self.status)
        return login_answer()


async def test_a_given_token_needs_no_login() -> None:
    auth = Authenticator(Transport(settings()))
    assert auth.token == await auth.log_in(NOWHERE) == TOKEN


async def test_the_login_sends_the_credentials_and_keeps_the_token() -> None:
    seen: list[tuple[str, Any, str | None, str]] = []

    async def handler(request: web.Request) -> web.Response:
        language = request.headers["content-language"]
        token = request.headers.get("authorization")
        seen.append((request.path, await request.json(), token, language))
        return login_answer()

    async with serve(handler) as url, authenticator(url, content_language="zh-CN") as auth:
        assert auth.token is None
        assert await auth.log_in(url) == await auth.log_in(url) == auth.token == TOKEN
    body = {"username": "root", "password": PASSWORD, "source": "LOCAL"}
    assert seen == [("/v2/api/login", body, None, "zh-CN")]


async def test_concurrent_callers_share_one_login() -> None:
    door = Door()
    async with serve(door) as url, authenticator(url) as auth:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(auth.log_in, url)
            await door.knocked.wait()
            door.opened.set()
        assert auth.token == TOKEN
    assert len(door.bodies) == 1


async def test_cancelling_the_caller_that_logs_in_passes_the_login_on() -> None:
    door = Door()
    async with serve(door) as url, authenticator(url) as auth:
        tokens: list[str] = []

        async def lead(scope: anyio.CancelScope) -> None:
            with scope:
                await auth.log_in(url)

        async def follow() -> None:
            tokens.append(await auth.log_in(url))

        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(lead, scope)
            await door.knocked.wait()
            for _ in range(5):
                group.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            door.opened.set()
        assert tokens == [TOKEN] * 5
    assert len(door.bodies) == 2


async def test_cancelling_a_waiting_caller_does_not_affect_the_others() -> None:
    door = Door()
    async with serve(door) as url, authenticator(url) as auth:
        tokens: list[str] = []
        scope = anyio.CancelScope()

        async def cancelled() -> None:
            with scope:
                await auth.log_in(url)

        async def log_in() -> None:
            tokens.append(await auth.log_in(url))

        async with anyio.create_task_group() as group:
            group.start_soon(log_in)
            await door.knocked.wait()
            group.start_soon(cancelled)
            group.start_soon(log_in)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            door.opened.set()
        assert tokens == [TOKEN] * 2
    assert len(door.bodies) == 1


async def test_all_waiters_get_the_error_and_the_next_call_logs_in_again() -> None:
    door = Door()
    door.status = 401
    async with serve(door) as url, authenticator(url) as auth:
        failures: list[errors.LoginFailed] = []

        async def log_in() -> None:
            with pytest.raises(errors.LoginFailed) as info:
                await auth.log_in(url)
            failures.append(info.value)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(log_in)
            await door.knocked.wait()
            await anyio.wait_all_tasks_blocked()
            door.opened.set()
        assert len(door.bodies) == 1
        assert len({id(failure) for failure in failures}) == 10
        assert len({str(failure) for failure in failures}) == 1

        door.status = 200
        assert await auth.log_in(url) == TOKEN
    assert len(door.bodies) == 2


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_refused_credentials(status: int) -> None:
    door = Door()
    door.opened.set()
    door.status = status
    async with serve(door) as url, authenticator(url) as auth:
        with pytest.raises(errors.LoginFailed) as info:
            await auth.log_in(url)
    error = info.value
    assert (error.status, error.code, error.server_message) == (status, "X", "no")
    assert "Check username, password and source" in str(error)
    assert "API key" in str(error)


async def test_a_server_error_is_not_reported_as_wrong_credentials() -> None:
    door = Door()
    door.opened.set()
    door.status = 503
    async with serve(door) as url, authenticator(url) as auth:
        with pytest.raises(errors.ServerError):
            await auth.log_in(url)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"data": {"token": "abc',
        b'{"data": null}',
        b'{"data": {"token": ""}}',
        b'{"data": {"token": "secret-\xff"}}',
        b"[" * 100_000,
    ],
)
async def test_an_answer_without_a_token_is_not_quoted(body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with serve(handler) as url, authenticator(url) as auth:
        with pytest.raises(errors.LoginFailed, match="without a token") as info:
            await auth.log_in(url)
    assert info.value.__context__ is None
    assert "secret" not in str(info.value)


@pytest.mark.parametrize("status", [200, 400, 401, 403])
async def test_a_web_page_is_reported_as_a_wrong_endpoint(status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b"<html>Welcome", status=status)

    async with serve(handler) as url, authenticator(url) as auth:
        with pytest.raises(errors.LoginFailed, match="an HTML page came back instead") as info:
            await auth.log_in(url)
    assert info.value.hint.startswith("Check the endpoint")
    assert "two-factor" not in str(info.value)


async def test_a_404_of_the_login_is_reported_as_a_wrong_endpoint() -> None:
    door = Door()
    door.opened.set()
    door.status = 404
    async with serve(door) as url, authenticator(url) as auth:
        with pytest.raises(errors.NotFound) as info:
            await auth.log_in(url)
    assert info.value.hint.startswith("Check the endpoint")


async def test_a_login_without_an_answer_times_out() -> None:
    async with serve_bytes(hang=True) as url, authenticator(url, timeout=0.05) as auth:
        with pytest.raises(errors.CallTimeout, match=r"user\.login: no token within 0\.05 s"):
            await auth.log_in(url)


async def logged_in_by_ldap(strategies: web.Response, **options: object) -> list[dict[str, Any]]:
    """Log in with source LDAP; return the earlier requests and the body of the login."""
    asked: list[dict[str, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return strategies if request.path == "/api" else login_answer()

    async with serve(handler) as url, authenticator(url, source="LDAP", **options) as auth:
        await auth.log_in(url)
    return asked


NO_FIELD = 'Cannot query field "authnStrategies" on type "Query".'  # of graphql-js


def strategies(*pairs: tuple[str | None, str | None]) -> web.Response:
    found = [{"id": id_, "type": type_} for id_, type_ in pairs]
    return web.json_response({"data": {"authnStrategies": found}})


async def test_ldap_logs_in_with_the_strategy_of_the_server() -> None:
    question, login = await logged_in_by_ldap(strategies(("a", "OIDC"), ("b", "LDAP")))
    assert question == {"query": "{authnStrategies{id type}}"}
    assert (login["source"], login["auth_config_id"]) == ("AUTHN", "b")


async def test_ldap_with_a_given_strategy_looks_up_nothing() -> None:
    (login,) = await logged_in_by_ldap(strategies(), auth_config_id="c")
    assert (login["source"], login["auth_config_id"]) == ("AUTHN", "c")


@pytest.mark.parametrize(
    "answer",
    [
        strategies,
        lambda: strategies(("a", "OIDC")),
        lambda: strategies(("a", None), (None, "LDAP")),
        lambda: web.json_response({"data": {"authnStrategies": None}}),
        lambda: web.json_response({"errors": [{"message": NO_FIELD}], "data": None}),
        lambda: web.json_response({"errors": [{"message": NO_FIELD}]}, status=400),
        lambda: web.Response(status=404),
    ],
)
async def test_ldap_of_a_server_without_strategies_is_sent_as_it_is(
    answer: Callable[[], web.Response],
) -> None:
    _, login = await logged_in_by_ldap(answer())
    assert login["source"] == "LDAP"
    assert "auth_config_id" not in login


async def test_a_strategy_of_no_type_is_skipped() -> None:
    _, login = await logged_in_by_ldap(strategies(("a", None), ("b", "LDAP")))
    assert (login["source"], login["auth_config_id"]) == ("AUTHN", "b")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda: web.Response(status=401), errors.Unauthorized),
        (lambda: web.json_response({"errors": [{"message": "?"}]}, status=400), errors.BadRequest),
        (lambda: web.Response(status=429), errors.TooManyRequests),
        (lambda: web.Response(status=503), errors.ServerError),
        (lambda: web.json_response({"errors": [{"message": "no DB"}]}), errors.ServerError),
        (lambda: web.json_response({"data": None}), errors.ResponseDecodeError),
        (lambda: web.Response(text="<html>"), errors.ResponseDecodeError),
        (lambda: web.json_response({"data": {"authnStrategies": 5}}), errors.ResponseDecodeError),
    ],
)
async def test_a_failed_lookup_of_the_strategy_sends_no_login(
    answer: Callable[[], web.Response], kind: type[errors.CallError]
) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return answer()

    async with serve(handler) as url, authenticator(url, source="LDAP") as auth:
        with pytest.raises(kind, match="looking up the LDAP strategy failed") as info:
            await auth.log_in(url)
    assert asked == ["/api"]
    assert "auth_config_id=" in info.value.hint
    assert (info.value.operation, info.value.endpoint) == ("user.login", url)


async def test_with_several_ldap_strategies_one_has_to_be_chosen() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return strategies(("a", "LDAP"), ("b", "OIDC"), ("c", "LDAP"))

    async with serve(handler) as url, authenticator(url, source="LDAP") as auth:
        with pytest.raises(errors.LoginFailed, match="2 LDAP strategies: a, c") as info:
            await auth.log_in(url)
    assert asked == ["/api"]
    assert "auth_config_id=" in info.value.hint


async def test_another_source_is_sent_with_its_strategy() -> None:
    door = Door()
    door.opened.set()
    async with serve(door) as url, authenticator(url, source="AUTHN", auth_config_id="x") as auth:
        await auth.log_in(url)
    assert (door.bodies[0]["source"], door.bodies[0]["auth_config_id"]) == ("AUTHN", "x")


async def test_a_function_gives_the_credentials_of_each_login() -> None:
    door = Door()
    door.opened.set()
    passwords = iter(["first", "second"])

    async def ask() -> tuple[str, str]:
        return "root", next(passwords)

    async with serve(door) as url, by_function(url, ask) as auth:
        assert auth.can_log_in
        await auth.log_in(url)
        auth.forget(0)  # not the login of the token
        assert auth.token == TOKEN
        auth.forget(1)
        assert await auth.log_in(url) == TOKEN
    assert [(body["username"], body["password"]) for body in door.bodies] == [
        ("root", "first"),
        ("root", "second"),
    ]


async def test_a_function_may_give_the_token_itself() -> None:
    async def ask() -> str:
        return "of-the-vault"

    async with by_function(NOWHERE, ask) as auth:
        assert await auth.log_in(NOWHERE) == "of-the-vault"


async def test_an_error_of_the_function_is_the_cause_for_all_waiters() -> None:
    asked: list[int] = []
    failures: list[errors.CredentialsUnavailable] = []

    async def ask() -> str:
        asked.append(1)
        await anyio.wait_all_tasks_blocked()
        raise PermissionError("sealed with s3cret")

    async def log_in() -> None:
        with pytest.raises(errors.CredentialsUnavailable, match="function raised Perm") as info:
            await auth.log_in(NOWHERE)
        failures.append(info.value)

    async with by_function(NOWHERE, ask) as auth, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(log_in)
    assert len(asked) == 1
    assert all(isinstance(one.__cause__, PermissionError) for one in failures)
    assert "s3cret" not in str(failures[0])


async def test_a_function_may_hide_the_secret_in_an_object() -> None:
    door = Door()
    door.opened.set()
    given: list[Any] = [SecretStr("of-the-vault"), ("root", SecretStr("p"))]

    async def ask() -> Any:  # noqa: ANN401
        return given.pop(0)

    async with serve(door) as url, by_function(url, ask) as auth:
        assert await auth.log_in(url) == "of-the-vault"
        auth.forget(1)
        await auth.log_in(url)
    assert door.bodies[0]["password"] == "p"


async def test_a_wait_outlives_a_function_that_raises_for_a_while() -> None:
    broken = False

    async with Simulator(clusters=1, vms=1, task_duration=0) as sim:

        async def ask() -> tuple[str, str]:
            nonlocal broken
            if broken:
                broken = False
                raise OSError("the vault restarts")
            return sim.username, sim.password

        async with Cloudtower(sim.url, credentials=ask) as tower:
            vm = sim.add_vm(status="STOPPED")
            started = await tower.vm.start_vm(where={"id": vm["id"]})
            sim.accounts.revoke_tokens()
            broken = True
            await tower.wait(started, timeout=30)
            assert not broken
            sim.accounts.revoke_tokens()
            broken = True
            with pytest.raises(errors.CredentialsUnavailable) as info:
                await tower.vm.get_vms()
            assert not info.value.sent
            assert isinstance(info.value.__cause__, OSError)


@pytest.mark.parametrize(
    "token", ["a b", "a\nb", "a\x00b", "tök", " "], ids=["space", "line", "nul", "letter", "blank"]
)
async def test_a_token_of_a_login_that_no_header_can_hold_is_refused(token: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return login_answer(token)

    async with serve(handler) as url, authenticator(url) as auth:
        with pytest.raises(errors.LoginFailed, match="a token that cannot be used: it is") as info:
            await auth.log_in(url)
    assert info.value.__context__ is None
    if len(token) > 1:
        assert token not in str(info.value)


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"mfa_types": ["Totp"]}},
        {"data": {"token": None, "mfa_required": True}},
        {"data": None, "mfa": {}},
        {"code": "MFA_REQUIRED"},
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401])
async def test_an_answer_that_asks_for_a_second_factor_is_named(
    body: dict[str, Any], status: int
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    async with serve(handler) as url, authenticator(url) as auth:
        with pytest.raises(errors.LoginFailed) as info:
            await auth.log_in(url)
    if status == 200 or "code" in body:
        assert "the server asks for a second factor" in str(info.value)
    assert "pass an API key as token=" in info.value.hint


async def test_an_error_of_the_login_reports_the_number_of_attempts() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        if request.path == "/v2/api/login" and seen.count("/v2/api/login") == 1:
            return login_answer()
        return web.json_response({"message": "no"}, status=401)

    async with serve(handler) as url, Cloudtower(url, username="root", password=PASSWORD) as tower:
        with pytest.raises(errors.LoginFailed) as info:
            await tower.vm.get_vms()
    assert [path.rpartition("/")[2] for path in seen] == ["login", "get-vms", "login"]
    assert info.value.attempts == 1
    assert "tried" not in str(info.value)


async def test_an_error_of_a_login_that_was_tried_again_counts_the_logins() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=503)

    retry = RetryPolicy(attempts=3, backoff=0.001)
    async with serve(handler) as url:
        tower = Cloudtower(url, username="root", password=PASSWORD, retry=retry)
        with pytest.raises(errors.ServerError, match="tried 3 times"):
            await tower.vm.get_vms()
        await tower.close()
    assert seen == ["/v2/api/login"] * 3


async def test_an_attempt_that_only_waited_for_its_turn_is_not_counted() -> None:
    answered = anyio.Event()

    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("get-vms"):
            answered.set()
            return web.Response(status=503, headers={"retry-after": "1"})
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        serve(handler) as url,
        Cloudtower(url, token=TOKEN, max_in_flight=1, timeout=1.2) as tower,
        anyio.create_task_group() as group,
    ):

        async def occupy() -> None:
            await answered.wait()
            await tower.cluster.get_clusters(timeout=60)

        group.start_soon(occupy)
        with pytest.raises(errors.CallTimeout) as info:
            await tower.vm.get_vms()
        assert info.value.attempts == 1
        assert isinstance(info.value.__cause__, errors.ServerError)
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    "given", [None, "", "a b", ("root",), ("root", 5), ("root", "\udc80"), ("root", ""), 7]
)
async def test_invalid_credentials_are_rejected(given: Any) -> None:  # noqa: ANN401
    async def ask() -> Any:  # noqa: ANN401
        return given

    async with by_function(NOWHERE, ask) as auth:
        with pytest.raises(
            errors.LoginFailed, match=r"credentials: (it|the function) .* as credentials="
        ) as info:
            await auth.log_in(NOWHERE)
    assert info.value.__cause__ is None


async def test_a_function_that_is_not_async_is_reported() -> None:
    def ask() -> Any:  # noqa: ANN401
        return "a-token"

    async with by_function(NOWHERE, ask) as auth:
        with pytest.raises(
            errors.LoginFailed, match="credentials: the function is not an async function"
        ):
            await auth.log_in(NOWHERE)


async def test_a_function_that_never_returns_is_given_up() -> None:
    async def ask() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async with by_function(NOWHERE, ask, timeout=0.05) as auth:
        with pytest.raises(errors.CallTimeout):
            await auth.log_in(NOWHERE)


@pytest.mark.parametrize("fault", ["503", "reset"])
async def test_entering_retries_a_transient_failure_of_the_login(fault: str) -> None:
    quick = RetryPolicy(backoff=0.001)
    async with Simulator(clusters=1, vms=2) as sim:
        if fault == "503":
            sim.faults.fail("login", status=503, times=2)
        else:
            sim.faults.reset("login", times=2)
        async with Cloudtower(
            sim.url, username=sim.username, password=sim.password, retry=quick
        ) as tower:
            assert len(await tower.vm.get_vms()) == 2
        assert len(sim.sent("login")) == 3


async def test_entering_tries_no_more_often_than_the_policy_says() -> None:
    quick = RetryPolicy(attempts=3, backoff=0.001)
    async with Simulator(clusters=1, vms=2) as sim:
        sim.faults.fail("login", status=503, times=9)
        tower = Cloudtower(sim.url, username=sim.username, password=sim.password, retry=quick)
        with pytest.raises(errors.ServerError) as info:
            await tower.open()
        await tower.close()
        assert info.value.attempts == len(sim.sent("login")) == 3


async def test_entering_tries_a_refused_password_once() -> None:
    async with Simulator(clusters=1, vms=2) as sim:
        tower = Cloudtower(sim.url, username=sim.username, password="no")
        with pytest.raises(errors.LoginFailed):
            await tower.open()
        await tower.close()
        assert len(sim.sent("login")) == 1
