"""Requests through a proxy: the data that each side sees, and the source of errors."""

from __future__ import annotations

import logging
import ssl
import traceback
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from cloudtower_async import Cloudtower, RetryPolicy, errors
from tests.support import (
    PASSWORD,
    TOKEN,
    Proxy,
    is_login,
    login_answer,
    serve,
    serve_bytes,
    serve_proxy,
    unused_port,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

CA = trustme.CA()
CREDENTIAL = "Basic " + b64encode(f"me:{PASSWORD}".encode()).decode()
ONCE = RetryPolicy(attempts=1)
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


class Tower:
    """A server that accepts every login, has no VMs, and records the headers."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.seen.append({name.lower(): value for name, value in request.headers.items()})
        return login_answer() if is_login(request) else web.json_response([])


@pytest.fixture
def tower() -> Tower:
    return Tower()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return path


def server_context(host: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(host).configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def with_credential(proxy: Proxy) -> str:
    return proxy.url.replace("://", f"://me:{PASSWORD}@")


async def failure(url: str, **options: Any) -> errors.CallError:  # noqa: ANN401
    options.setdefault("retry", ONCE)
    async with Cloudtower(url, token=TOKEN, **options) as session:
        return await failed_call(session)


async def failed_call(session: Cloudtower) -> errors.CallError:
    with pytest.raises(errors.CallError) as info:
        await session.vm.get_vms()
    return info.value


async def test_https_goes_through_a_tunnel_that_hides_everything_from_the_proxy(
    tower: Tower, ca_file: Path
) -> None:
    async with (
        serve(tower, tls=server_context()) as url,
        serve_proxy(Proxy(credential=CREDENTIAL)) as proxy,
        Cloudtower(
            url,
            username="root",
            password=PASSWORD,
            ca_file=ca_file,
            headers={"x-key": "a-secret"},
            proxy=with_credential(proxy),
        ) as session,
    ):
        assert await session.vm.get_vms() == []
    assert len(tower.seen) == 2
    assert all("proxy-authorization" not in headers for headers in tower.seen)
    assert all(headers["x-key"] == "a-secret" for headers in tower.seen)
    assert {head.partition("\r\n")[0] for head in proxy.heads} == {
        f"CONNECT {url.removeprefix('https://')} HTTP/1.1"
    }
    assert "x-key" not in "".join(proxy.heads)
    assert "authorization: t0ken" not in "".join(proxy.heads).lower()


async def test_http_is_forwarded(tower: Tower) -> None:
    async with (
        serve(tower) as url,
        serve_proxy(Proxy(credential=CREDENTIAL)) as proxy,
        Cloudtower(url, token=TOKEN, proxy=with_credential(proxy)) as session,
    ):
        assert await session.vm.get_vms() == []
    assert proxy.heads[0].startswith(f"POST {url}/v2/api/get-vms HTTP/1.1\r\n")


async def test_a_session_or_connector_of_the_caller_goes_through_the_proxy_too(
    tower: Tower,
) -> None:
    async with serve(tower) as url, serve_proxy(Proxy()) as proxy:
        async with (
            aiohttp.ClientSession() as own,
            Cloudtower(url, token=TOKEN, proxy=proxy.url, session=own) as session,
        ):
            await session.vm.get_vms()
        assert len(proxy.heads) == 1


@pytest.mark.parametrize("how", ["proxy", "session"])
async def test_a_proxy_that_is_down_is_named_and_not_the_server(how: str) -> None:
    address = f"http://127.0.0.1:{unused_port()}"
    if how == "proxy":
        error = await failure("https://tower.example", proxy=address)
        assert f"[https://tower.example, via proxy {address}]" in str(error)
    else:
        async with aiohttp.ClientSession(proxy=address) as own:
            error = await failure("https://tower.example", session=own)
        assert f"no connection to the proxy {address[7:]}: " in str(error)
    assert type(error) is errors.ProxyFailed
    assert "no connection to the proxy" in str(error)
    assert "Connection refused" in str(error)
    assert "proxy=" in error.hint
    assert not error.sent


async def test_a_proxy_whose_name_does_not_resolve_is_named() -> None:
    error = await failure("https://tower.example", proxy="http://proxy.invalid:3128")
    assert type(error) is errors.ProxyFailed
    assert "the host name 'proxy.invalid' of the proxy cannot be resolved" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (407, errors.ProxyRefused, "the proxy wants a user name and a password"),
        (403, errors.ProxyRefused, r"the proxy refused to connect to the server \(HTTP 403\)"),
        (502, errors.ProxyFailed, r"the proxy could not connect to the server \(HTTP 502\)"),
    ],
)
async def test_a_proxy_that_builds_no_tunnel_is_not_taken_for_the_server(
    status: int, kind: type[errors.ProxyFailed], told: str
) -> None:
    async with serve_proxy(Proxy(status=status)) as proxy:
        error = await failure("https://tower.example", proxy=proxy.url)
        assert type(error) is kind
        assert (error.proxy_status, error.status, error.proxy) == (status, None, proxy.url)
        with pytest.raises(kind, match=told):
            raise error
        async with Cloudtower("https://tower.example", token=TOKEN, proxy=proxy.url) as session:
            with pytest.raises(kind):  # and not OutcomeUnknown
                await session.vm.start_vm(where={"id": "a"})


async def test_only_a_failing_proxy_is_retried_not_one_that_rejects() -> None:
    for status, requests in ((407, 1), (403, 1), (503, 3)):
        async with serve_proxy(Proxy(status=status)) as proxy:
            policy = RetryPolicy(attempts=3, backoff=0.001)
            await failure("https://tower.example", proxy=proxy.url, retry=policy)
        assert len(proxy.heads) == requests


async def test_a_forwarding_proxy_that_wants_credentials_is_not_taken_for_the_server(
    tower: Tower,
) -> None:
    async with serve(tower) as url, serve_proxy(Proxy(credential=CREDENTIAL)) as proxy:
        without = await failure(url, proxy=proxy.url)
        wrong = await failure(url, proxy=proxy.url.replace("://", "://me:wrong@"))
    assert "the proxy wants a user name and a password" in str(without)
    assert "the proxy refused its user name or password" in str(wrong)
    for error in (without, wrong):
        assert type(error) is errors.ProxyRefused
        assert not error.sent
    assert tower.seen == []


async def test_an_error_status_without_tls_may_be_the_forwarding_proxys_own() -> None:
    async with serve_proxy(Proxy(status=403)) as proxy:
        error = await failure("http://tower.example", proxy=proxy.url)
    assert type(error) is errors.Forbidden
    assert f"via proxy {proxy.url}" in str(error)
    assert "The proxy may have answered in place of CloudTower" in error.hint


async def test_errors_through_a_tunnel_are_the_servers(ca_file: Path) -> None:
    async def forbid(_: web.Request) -> web.Response:
        return web.Response(status=407)

    async with serve(forbid, tls=server_context()) as url, serve_proxy(Proxy()) as proxy:
        error = await failure(url, proxy=proxy.url, ca_file=ca_file)
    assert type(error) is errors.UnexpectedStatus
    assert error.proxy == proxy.url


async def test_a_certificate_behind_a_proxy_is_still_verified(ca_file: Path, tower: Tower) -> None:
    async with (
        serve(tower, tls=server_context("other.example")) as url,
        serve_proxy(Proxy()) as proxy,
    ):
        error = await failure(url, proxy=proxy.url, ca_file=ca_file)
    assert type(error) is errors.TLSFailed
    assert "the server's certificate was refused: it is for another host name" in str(error)


async def test_the_certificate_of_an_https_proxy_is_not_taken_for_the_servers(
    tower: Tower,
) -> None:
    async with serve(tower, tls=server_context()) as proxy:
        error = await failure("http://tower.example", proxy=proxy)
    assert type(error) is errors.TLSFailed
    assert "the proxy's certificate was refused" in str(error)


async def test_a_time_out_names_the_proxy() -> None:
    async with serve_bytes(hang=True) as proxy:
        error = await failure("http://tower.example", proxy=proxy, timeout=0.05)
        outcome: errors.CallError
        async with Cloudtower("http://t.example", token=TOKEN, proxy=proxy, timeout=0.05) as tower:
            with pytest.raises(errors.OutcomeUnknown) as info:
                await tower.vm.start_vm(where={"id": "a"})
            outcome = info.value
    assert isinstance(error, errors.CallTimeout)
    assert f"via proxy {proxy}" in str(error)
    assert f"via proxy {proxy}" in str(outcome)


async def test_a_web_page_in_place_of_an_answer_names_the_proxy() -> None:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome to the proxy", content_type="text/html")

    async with serve(page) as url, serve_proxy(Proxy()) as proxy:
        error = await failure(url, proxy=proxy.url)
        tower = Cloudtower(url, username="root", password=PASSWORD, proxy=proxy.url)
        with pytest.raises(errors.LoginFailed) as info:
            await tower.open()
        await tower.close()
    assert isinstance(error, errors.ResponseDecodeError)
    for each in (error, info.value):
        assert f"via proxy {proxy.url}" in str(each)


async def test_a_pair_behind_a_proxy_that_is_down_names_the_proxy() -> None:
    address = f"http://127.0.0.1:{unused_port()}"
    tower = Cloudtower(
        ["https://a.example", "https://b.example"], token=TOKEN, proxy=address, retry=ONCE
    )
    error = await failed_call(tower)
    await tower.close()
    assert isinstance(error, errors.NoActive)
    assert f"no connection to the proxy: Connection refused, via proxy {address}" in str(error)


# The environment


async def test_trust_env_uses_the_proxy_of_the_environment(
    environment: pytest.MonkeyPatch, tower: Tower, ca_file: Path
) -> None:
    async with (
        serve(tower) as plain,
        serve(tower, tls=server_context()) as secure,
        serve_proxy(Proxy(credential=CREDENTIAL)) as proxy,
    ):
        environment.setenv("HTTP_PROXY", with_credential(proxy).removeprefix("http://"))
        environment.setenv("HTTPS_PROXY", with_credential(proxy))
        for url in (plain, secure):
            async with Cloudtower(url, token=TOKEN, trust_env=True, ca_file=ca_file) as session:
                await session.vm.get_vms()
        assert [head.split()[0] for head in proxy.heads] == ["POST", "CONNECT"]


@pytest.mark.parametrize("exempt", ["127.0.0.1", "127.0.0.1:{port}", "*"])
async def test_no_proxy_exempts_a_server(
    environment: pytest.MonkeyPatch, tower: Tower, exempt: str
) -> None:
    environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    async with serve(tower) as url:
        environment.setenv("NO_PROXY", exempt.format(port=url.rpartition(":")[2]))
        async with Cloudtower(url, token=TOKEN, trust_env=True) as session:
            assert await session.vm.get_vms() == []


async def test_a_proxy_that_is_given_wins_over_the_environment(
    environment: pytest.MonkeyPatch, tower: Tower
) -> None:
    environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    environment.setenv("NO_PROXY", "*")
    async with serve(tower) as url, serve_proxy(Proxy()) as proxy:
        async with Cloudtower(url, token=TOKEN, trust_env=True, proxy=proxy.url) as session:
            await session.vm.get_vms()
        assert len(proxy.heads) == 1


async def test_a_variable_that_holds_no_proxy_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", f"socks5://me:{PASSWORD}@proxy.example")
    with pytest.raises(errors.InvalidSettings, match="HTTPS_PROXY: a SOCKS proxy is") as info:
        async with Cloudtower("https://tower.example", token=TOKEN, trust_env=True):
            raise AssertionError
    assert PASSWORD not in repr(info.value)


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"HTTP_PROXY": "http://proxy.example"}, True),
        ({"http_proxy": "http://proxy.example"}, True),
        ({"HTTPS_PROXY": "http://proxy.example"}, False),
        ({"HTTP_PROXY": "http://proxy.example", "NO_PROXY": "127.0.0.1"}, False),
        ({}, False),
    ],
)
async def test_a_failed_connection_mentions_a_proxy_that_is_set_but_not_used(
    environment: pytest.MonkeyPatch, variables: dict[str, str], hint: bool
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    error = await failure(f"http://127.0.0.1:{unused_port()}")
    assert ("HTTP_PROXY is set but not used: pass trust_env=True" in error.hint) is hint


async def test_a_failure_after_sending_does_not_mention_the_proxy_variable(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("HTTP_PROXY", "http://proxy.example")
    async with serve_bytes() as url:
        assert "HTTP_PROXY" not in str(await failure(url))


# Secrets


async def test_the_credentials_of_a_proxy_are_shown_nowhere(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=500, text=str(dict(request.headers)))

    async with (
        serve(echo) as url,
        serve_proxy(Proxy()) as forwarding,
        serve_proxy(Proxy(status=407)) as refusing,
        serve_bytes(b"junk\r\n\r\n") as junk,
    ):
        down = f"http://127.0.0.1:{unused_port()}"
        for proxy in (forwarding.url, refusing.url, junk, down, "http://proxy.invalid"):
            address = proxy.replace("://", f"://me:{PASSWORD}@")
            environment.setenv("HTTP_PROXY", address)
            environment.setenv("HTTPS_PROXY", address)
            for endpoint in (url, "https://tower.example"):
                given: list[dict[str, Any]] = [{"proxy": address}, {"trust_env": True}]
                for options in given:
                    error = await failure(endpoint, **options)
                    shown = [error, *_causes(error)]
                    text = "".join(f"{one} {one!r} {vars(one)} {one.args}" for one in shown)
                    report = traceback.TracebackException.from_exception(error, capture_locals=True)
                    text += "".join(report.format())
                    for secret in (PASSWORD, CREDENTIAL, CREDENTIAL[6:]):
                        assert secret not in text
                        assert secret not in caplog.text


def _causes(error: BaseException) -> list[BaseException]:
    cause = error.__cause__ or error.__context__
    return [] if cause is None else [cause, *_causes(cause)]
