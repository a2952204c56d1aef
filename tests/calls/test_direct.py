"""Calls by path: valid targets, requests and answers."""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import traceback
from base64 import b64encode
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, InvalidInput, RetryPolicy, errors
from cloudtower_async.calls.arg_types import arguments_of
from tests.support import PASSWORD, TOKEN, is_login, login_answer, serve, serve_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

QUICK = RetryPolicy(backoff=1e-6)


class Seen(NamedTuple):
    """A request as received."""

    method: str
    target: str
    body: bytes
    headers: dict[str, str]


class Tower:
    """A server that records requests and answers as configured."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: list[web.Response] = []

    async def __call__(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.raw_path, await request.read(), headers))
        if is_login(request):
            return login_answer()
        return self.answers.pop(0) if self.answers else web.json_response([])

    @property
    def targets(self) -> list[str]:
        return [one.target for one in self.seen]


@pytest.fixture
def tower() -> Tower:
    return Tower()


LEADING_ELSEWHERE = [
    "..",
    ".",
    "/../api",
    "/x/../../../api",
    "/v2/api/../../api",
    "/x/%2e%2e/%2E%2E/api",
    "/x/.%2e/api",
    "/x/%252e%252e/api",
    "/x/.\udc80./api",  # half of a surrogate pair, which yarl drops
    "/x/%2e\ud83d%2e/api",
    "/x/%25252e%25252e/api",
    "/x/..;a=b/api",
    "/x/..%3b/api",
    "/x\\..\\api",
    "/x/%5c..%5capi",
    "/x%2f..%2fapi",
    "/x%2Fapi",
    "/x%252fapi",
    "/x/%c0%ae%c0%ae/api",
    "/x\r\nHost: other",
    "/x%0d%0aHost: other",
    "/x/%00",
    "/x/\x9b",
    "/%2525252525252525252e",
    "https://other.example/x",
    "get-vms?x=1",
    "a#b",
]


@pytest.mark.parametrize("path", LEADING_ELSEWHERE)
@pytest.mark.parametrize("how", ["request", "raw"])
async def test_a_path_that_could_lead_elsewhere_is_refused(
    tower: Tower, how: str, path: str
) -> None:
    async with serve(tower) as url, Cloudtower(f"{url}/prefix", token=TOKEN) as session:
        with pytest.raises(InvalidInput, match=rf"^{how}: path: {re.escape(repr(path))} ") as info:
            await (session.request(path) if how == "request" else session.raw("GET", path))
    assert len(str(info.value).splitlines()) == 1
    assert tower.seen == []


@pytest.mark.parametrize("path", [None, b"/x", 5])
async def test_a_path_is_a_text(path: Any) -> None:  # noqa: ANN401
    session = Cloudtower("tower.example", token=TOKEN)
    for call in (session.request(path), session.raw("GET", path)):
        with pytest.raises(InvalidInput, match="path: expected a string, got"):
            await call


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/ovm/10.0.0.5/traffic-visualization/download/7", None),
        ("api/healthz", "/api/healthz"),
        ("/a..b/.hidden/x.tar.gz/...", None),
        ("/名/a b/c%20d/100%25", "/%E5%90%8D/a%20b/c%20d/100%25"),
        ("//other.example/x", "/other.example/x"),
    ],
)
async def test_a_raw_path_is_below_the_prefix_of_the_endpoint(
    tower: Tower, path: str, target: str | None
) -> None:
    async with serve(tower) as url, Cloudtower(f"{url}/prefix", token=TOKEN) as session:
        await session.raw("GET", path)
    assert tower.targets == [f"/prefix{target or path}"]


# request


@pytest.mark.parametrize("path", ["get-vms", "/get-vms", "v2/api/get-vms", "/v2/api//get-vms"])
async def test_request_takes_paths_with_or_without_the_slash_and_the_root(
    tower: Tower, path: str
) -> None:
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        assert await session.request(path, {"first": 1}) == []
    (seen,) = tower.seen
    assert (seen.target, seen.body) == ("/v2/api/get-vms", b'{"first":1}')
    assert seen.headers["content-language"] == "en-US"


async def test_request_keeps_a_path_that_only_starts_like_the_root(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        await session.request("v2/apis")
    assert tower.targets == ["/v2/api/v2/apis"]


async def test_request_returns_plain_values_and_names_its_path_in_errors(tower: Tower) -> None:
    tower.answers += [
        web.json_response({"got": 1}),
        web.json_response({"message": "no"}, status=404),
    ]
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        assert await session.request("things", method="GET", query={"a": 1}) == {"got": 1}
        with pytest.raises(errors.NotFound, match=r"^/things: not found: no .*Check the path") as i:
            await session.request("things")
        assert "ids" not in i.value.hint
    assert tower.targets == ["/v2/api/things?a=1", "/v2/api/things"]


async def test_request_reports_a_404_of_the_login_as_an_error_of_the_login() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=404)

    async with serve(handler) as url:
        session = Cloudtower(url, username="root", password=PASSWORD)
        with pytest.raises(errors.NotFound, match=r"^user\.login: .*Check the endpoint"):
            await session.request("things")
        await session.close()


async def test_request_sends_the_body_as_it_is_and_the_language_always(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, token=TOKEN, content_language="*") as session:
        await session.request("x", {"where": {"id": "a"}, "data": None, "size": 5.0})
        await session.request("y", method="GET")
    assert [one.body for one in tower.seen] == [
        b'{"where":{"id":"a"},"data":null,"size":5.0}',
        b"",
    ]
    assert {one.headers["content-language"] for one in tower.seen} == {"*"}


async def test_request_refuses_other_methods() -> None:
    with pytest.raises(InvalidInput, match="request x: method: expected one of POST, GET"):
        await Cloudtower("tower.example", token=TOKEN).request("x", method="PUT")  # type: ignore[arg-type]


async def test_request_takes_a_body_or_a_query() -> None:
    with pytest.raises(InvalidInput, match="not both"):
        await Cloudtower("tower.example", token=TOKEN).request("x", {}, query={})
    with pytest.raises(InvalidInput, match="request /x: query: expected a dict"):
        await Cloudtower("tower.example", token=TOKEN).request("x", query="a=1")  # type: ignore[arg-type]


async def test_request_takes_a_dict_as_query() -> None:
    query: Any = "a=b"
    with pytest.raises(InvalidInput, match="query: expected a dict of names and values, got str"):
        await Cloudtower("tower.example", token=TOKEN).request("x", query=query)


# raw


async def test_raw_returns_any_status_headers_and_bytes(tower: Tower) -> None:
    packed = gzip.compress(b"id,name\n1,\xff\n")
    tower.answers = [
        web.Response(status=201, body=b"<html>", headers={"X-Size": "5"}),
        web.Response(body=packed, headers={"content-encoding": "gzip", "content-type": "text/csv"}),
        web.Response(status=204),
        web.json_response({"status": 500, "headers": {}, "body": ""}),
    ]
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        made = await session.raw("POST", "/made")
        assert (made.status, made.body, made.headers["x-size"]) == (201, b"<html>", "5")
        file = await session.raw("GET", "/file")
        assert (file.body, file.headers["Content-Type"]) == (b"id,name\n1,\xff\n", "text/csv")
        assert repr(file) == "<RawResponse 200, 12 bytes>"
        gone = await session.raw("DELETE", "/gone")
        assert (gone.status, gone.body) == (204, b"")
        assert json.loads((await session.raw("GET", "/odd")).body)["status"] == 500
    assert [one.method for one in tower.seen] == ["POST", "GET", "DELETE", "GET"]
    assert {one.headers["accept"] for one in tower.seen} == {"*/*"}


async def test_raw_sends_json_bytes_or_a_form_and_a_query(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        query = {"limit": 5, "kind": "a/b", "none": None}
        await session.raw("PUT", "/x", json={"a": [1, None]}, query=query)
        await session.raw("PATCH", "/x", data=b"\x00\xff")
        fields = MappingProxyType({"name": "n", "file": io.BytesIO(b"content")})
        await session.raw("POST", "/x", data=fields, query=MappingProxyType({"a": 1}))
        await session.raw("POST", "/x")
    put, patch, form, bare = tower.seen
    assert (put.target, put.body) == ("/x?limit=5&kind=a/b", b'{"a":[1,null]}')
    assert put.headers["content-type"] == "application/json"
    assert (patch.body, patch.headers["content-type"]) == (b"\x00\xff", "application/octet-stream")
    assert form.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert form.target == "/x?a=1"
    assert b'name="file"' in form.body
    assert b"content" in form.body
    assert bare.body == b""


async def test_raw_sends_the_selected_credential(tower: Tower) -> None:
    basic = "Basic " + b64encode("öbs:pässwörd:1".encode()).decode()
    async with serve(tower) as url:
        session = Cloudtower(url, username="root", password=PASSWORD)
        await session.raw("GET", "/open", auth="none")
        await session.raw("GET", "/own", auth=("öbs", "pässwörd:1"))
        await session.raw("GET", "/token")
        await session.close()
    sent = [(one.target, one.headers.get("authorization")) for one in tower.seen]
    assert sent == [("/open", None), ("/own", basic), ("/v2/api/login", None), ("/token", TOKEN)]


async def test_raw_follows_the_rules_of_outcomes_and_retries(tower: Tower) -> None:
    def failing(*statuses: int) -> None:
        tower.seen.clear()
        tower.answers = [web.Response(status=status) for status in statuses]

    async with serve(tower) as url, Cloudtower(url, token=TOKEN, retry=QUICK) as session:
        failing(503, 502)
        assert (await session.raw("GET", "/api/ovm/10.0.0.5/x")).status == 200
        assert len(tower.seen) == 3
        failing(503)
        with pytest.raises(errors.OutcomeUnknown, match=r"^/api/ovm/10\.0\.0\.5/x: ") as info:
            await session.raw("POST", "/api/ovm/10.0.0.5/x", json={})
        assert info.value.hint == errors.OutcomeUnknown.default_hint
        assert len(tower.seen) == 1
        failing(429)
        form = {"file": io.BytesIO(b"all of it")}
        assert (await session.raw("DELETE", "/x", data=form)).status == 200
        assert [b"all of it" in one.body for one in tower.seen] == [True, True]
        failing(404)
        with pytest.raises(errors.NotFound, match="Check the path"):
            await session.raw("GET", "/x")
        failing(302)
        with pytest.raises(errors.UnexpectedStatus):
            await session.raw("GET", "/x")


async def test_a_refused_body_that_is_no_json_raises_the_error_of_the_call(tower: Tower) -> None:
    tower.answers = [web.json_response({"message": "no"}, status=400)]
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        with pytest.raises(errors.BadRequest, match="no"):
            await session.raw("POST", "/x", data=b"\x00\xff")


async def test_refused_calls_by_path_are_not_remembered(tower: Tower) -> None:
    known = arguments_of.cache_info().currsize
    tower.answers = [web.json_response({"message": "no"}, status=400) for _ in range(2)]
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        with pytest.raises(errors.BadRequest):
            await session.raw("POST", "/x", json={"a": 1})
        with pytest.raises(errors.BadRequest):
            await session.request("/x", {"a": 1})
    assert arguments_of.cache_info().currsize == known


async def test_raw_logs_in_again_for_the_token_only(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, username="root", password=PASSWORD) as session:
        tower.answers = [web.Response(status=401)]
        assert (await session.raw("GET", "/x")).status == 200
        assert tower.targets == ["/v2/api/login", "/x", "/v2/api/login", "/x"]
        others: list[Any] = ["none", ("obs", "p")]
        for auth in others:
            tower.seen.clear()
            tower.answers = [web.Response(status=401)]
            with pytest.raises(errors.Unauthorized, match="Check auth="):
                await session.raw("GET", "/x", auth=auth)
            assert tower.targets == ["/x"]


async def test_raw_respects_its_time_out() -> None:
    async with serve_bytes(hang=True) as url, Cloudtower(url, token=TOKEN) as session:
        with pytest.raises(errors.CallTimeout, match=r"no answer within 0\.05 s"):
            await session.raw("GET", "/x", timeout=0.05)
        with pytest.raises(errors.MutationTimeout):
            await session.raw("DELETE", "/x", timeout=0.05)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"method": "TRACE"}, "method: expected one of GET, HEAD"),
    ({"method": "get"}, "method: expected one of GET, HEAD"),
    ({"json": {}, "data": b""}, "pass json= or data=, not both"),
    ({"data": "text"}, "data: expected bytes or a dict of form fields, got str"),
    ({"data": {1: "planted"}}, "data: expected strings as names, got int"),
    ({"query": "a=planted"}, "query: expected a dict of names and values, got str"),
    ({"query": [("a", 1)]}, "query: expected a dict of names and values, got list"),
    ({"query": {b"planted": 1}}, "query: expected strings as names, got bytes"),
    ({"json": object()}, "json: it cannot be written as JSON"),
    ({"query": {"a": object()}}, "the arguments cannot be sent"),
    ({"query": {"a": "planted\udc80"}}, "character 8 of a string is not UTF-8"),
    ({"query": {"planted\udc80": 1}}, "character 8 of a string is not UTF-8"),
    ({"data": {"a": "planted\udc80"}, "method": "POST"}, "character 8 of a string is not UTF-8"),
    ({"query": [("a", 1)]}, "query: expected a dict of names and values, got list"),
    ({"auth": ("user", "planted\udc80")}, 'auth: expected "token", "none", or a pair '),
    ({"auth": "planted"}, 'auth: expected "token", "none", or a pair'),
    ({"auth": None}, 'auth: expected "token", "none", or a pair'),
    ({"auth": ("user", "")}, 'auth: expected "token", "none", or a pair'),
    ({"auth": ("us:er", "planted")}, 'auth: expected "token", "none", or a pair'),
    ({"auth": ("user", b"planted")}, 'auth: expected "token", "none", or a pair'),
    ({"timeout": 0}, "timeout: expected a number of seconds"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[said for _, said in WRONG])
async def test_raw_rejects_wrong_arguments_without_revealing_a_secret(
    tower: Tower, wrong: dict[str, Any], said: str
) -> None:
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        arguments: dict[str, Any] = {"method": "GET", "path": "/x", **wrong}
        with pytest.raises(InvalidInput, match=said) as info:
            await session.raw(**arguments)
        assert "planted" not in str(info.value)
    assert tower.seen == []


async def test_raw_shows_no_credential_in_logs_and_errors(
    tower: Tower, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "pl4n7ed!Pa55w0rd"
    header = b64encode(f"obs:{secret}".encode()).decode()
    caplog.set_level(logging.DEBUG, "cloudtower_async")
    echo = f"you sent Basic {header}, that is {secret}"
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        for status in (200, 400, 401, 500):
            tower.answers = [web.Response(status=status, text=echo)]
            shown = await report(lambda: session.raw("POST", "/x", auth=("obs", secret)))
            assert secret not in shown
            assert header not in shown
        tower.answers = [web.Response(text=echo)]
        shown = await report(
            lambda: session.raw("GET", "/x", auth=("obs", secret), query={"a": object()})
        )
        assert header not in shown
    assert caplog.records
    assert secret not in caplog.text
    assert header not in caplog.text


async def report(call: Callable[[], Awaitable[object]]) -> str:
    """Return the report of an error tracker: the error and the variables of our frames."""
    try:
        await call()
    except errors.CloudtowerError as error:
        text = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown = [str(frame.locals) for frame in text.stack if "cloudtower_async" in frame.filename]
        assert shown
        causes = text.__cause__.format() if text.__cause__ else ()
        return "".join([str(error), *shown, *causes])
    return ""
