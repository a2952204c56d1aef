"""Log records of exchanges, and their recipients."""

from __future__ import annotations

import asyncio
import io
import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import msgspec
import pytest
from aiohttp import web

from cloudtower_async import (
    CallTimeout,
    Cloudtower,
    Exchange,
    InvalidInput,
    OutcomeUnknown,
    ResponseDecodeError,
    RetryPolicy,
    ServerError,
    record_exchanges,
)
from cloudtower_async.testing import Simulator
from tests.support import PASSWORD, TOKEN, is_login, login_answer, serve, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(backoff=1e-6)
LOGGER = "cloudtower_async"


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator(vms=3, seed=1) as simulator:
        yield simulator


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401 - those of a session
    options = {"retry": AT_ONCE, **options}
    return Cloudtower(sim.url, username=sim.username, password=sim.password, **options)


NOT_LOGGED = ("headers", "body", "body_size")
LOGGED = [name for name in Exchange.__struct_fields__ if name not in NOT_LOGGED]


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields of an exchange in a log record."""
    assert vars(record).keys().isdisjoint(NOT_LOGGED)
    return {name: getattr(record, name, "missing") for name in LOGGED}


async def test_each_exchange_is_a_log_record_with_fields(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    async with session(sim) as tower:
        await tower.vm.get_vms(first=1)
    login, call = caplog.records
    assert login.getMessage().endswith("; sent ***; answered ***")
    assert call.levelno == logging.DEBUG
    assert call.getMessage().startswith("vm.get_vms: HTTP 200 in ")
    assert '; sent {"first": 1}; answered [{"' in call.getMessage()
    told = fields(call)
    request_id, duration = told.pop("request_id"), told.pop("duration")
    assert isinstance(request_id, str)
    assert isinstance(duration, float)
    assert told == {
        "operation": "vm.get_vms",
        "endpoint": sim.url,
        "attempt": 1,
        "status": 200,
        "error": None,
    }


async def test_at_debug_every_exchange_has_one_record(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    sim.faults.fail("get-vms", status=503)
    sim.faults.reset("get-vms")
    with record_exchanges(max_body_bytes=9) as exchanges:
        async with session(sim) as tower:
            await tower.vm.get_vms(first=1)
            await tower.ping()
            sim.faults.hang("get-hosts")
            with pytest.raises(CallTimeout):
                await tower.host.get_hosts(timeout=0.05)
            with pytest.raises(InvalidInput):
                await tower.request("GET", "get-version", query={"a": object()})
    records = [record for record in caplog.records if hasattr(record, "duration")]
    assert [fields(record) for record in records] == [
        {name: getattr(exchange, name) for name in LOGGED} for exchange in exchanges
    ]
    assert [exchange.error for exchange in exchanges] == [
        *(None, "ServerError", "ConnectionFailed", None, None, "CancelledError"),
    ]


async def test_failures_and_retries_are_logged_at_info(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    async with session(sim) as tower:
        caplog.set_level(logging.INFO, LOGGER)
        sim.faults.fail("get-vms", status=503)
        sim.faults.reset("get-vms")
        await tower.vm.get_vms(first=1)
    failed, again, cut, last = caplog.records
    assert fields(failed)["status"] == 503
    assert fields(failed)["error"] == "ServerError"
    assert (fields(again)["operation"], fields(again)["attempt"]) == ("vm.get_vms", 2)
    assert "retrying in 0.00 s, attempt 2" in again.getMessage()
    told = fields(cut)
    assert (told["attempt"], told["status"], told["error"]) == (2, None, "ConnectionFailed")
    assert "; sent" not in cut.getMessage()
    assert fields(last)["attempt"] == 3


async def test_at_debug_a_failure_shows_what_was_sent(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    async with session(sim) as tower:
        caplog.set_level(logging.DEBUG, LOGGER)
        sim.faults.fail("get-vms", status=500)
        with pytest.raises(ServerError):
            await tower.vm.get_vms(first=2)
    assert caplog.records[-1].getMessage().endswith('; sent {"first": 2}')


async def test_an_exception_of_a_hook_is_named(sim: Simulator) -> None:
    async def raising(*_: object) -> None:
        raise LookupError

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(raising)
    with record_exchanges() as exchanges:
        tower = session(sim, trace_configs=[trace])
        with pytest.raises(LookupError):
            await tower.vm.get_vms()
        await tower.close()
    assert [exchange.error for exchange in exchanges] == ["LookupError"]


async def test_nothing_is_logged_above_info(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, LOGGER)
    async with session(sim) as tower:
        sim.faults.reset("get-vms")
        await tower.vm.get_vms(first=1)
    assert not caplog.records


async def test_secrets_of_bodies_are_masked_and_files_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return login_answer() if is_login(request) else web.json_response([{"token": "s3cret"}])

    caplog.set_level(logging.DEBUG, LOGGER)
    async with (
        serve(handler) as url,
        Cloudtower(url, username="u", password="Tr0ub4dor&3") as tower,
    ):
        await tower.request("/x", {"password": "s3cret", "name": "shown", "note": "is Tr0ub4dor&3"})
        await tower.request("/x", method="GET", query={"token": "s3cret", "first": 1})
        with pytest.raises(OutcomeUnknown):  # the answer is not an upload task
            await tower.ovf.upload_elf_file(
                file=io.BytesIO(b"s3cret"), name="shown", size="6", cluster_id="c"
            )
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "s3cret" not in text
    assert "Tr0ub4dor&3" not in text
    assert (
        '{"password": "***", "name": "shown", "note": "is ***"}; answered [{"token": "***"}]'
        in text
    )
    assert 'sent {"token": "***", "first": 1}' in text
    assert 'sent {"cluster_id": "c", "name": "shown", "size": "6"}' in text


async def test_a_block_collects_its_exchanges(sim: Simulator) -> None:
    async with session(sim) as tower:
        await tower.vm.get_vms(first=1)
        with record_exchanges() as log:
            sim.faults.fail("get-hosts", status=502)
            await tower.host.get_hosts()
        await tower.vm.get_vms(first=1)
    failed, done = log
    assert (failed.operation, failed.attempt, failed.status) == ("host.get_hosts", 1, 502)
    assert failed.error == "ServerError"
    assert (done.attempt, done.status, done.error) == (2, 200, None)
    assert done.endpoint == sim.url
    assert done.request_id
    assert done.request_id != failed.request_id
    assert done.duration > 0


async def test_blocks_nest_and_see_the_tasks_that_they_start(sim: Simulator) -> None:
    async def other() -> None:
        with record_exchanges() as theirs:
            started.set()
            await tower.host.get_hosts(first=1)
        assert [one.operation for one in theirs] == ["host.get_hosts"]

    async with session(sim) as tower:
        started = asyncio.Event()
        with record_exchanges() as outer:
            with record_exchanges() as inner:
                async with anyio.create_task_group() as group:
                    group.start_soon(tower.vm.get_vms)
                    group.start_soon(other)
            await tower.cluster.get_clusters()
        task = asyncio.create_task(other())  # a separate block
        await task
    assert {one.operation for one in inner} == {"vm.get_vms", "host.get_hosts"}
    assert [one.operation for one in outer][2:] == ["cluster.get_clusters"]
    assert outer[:2] == inner


async def test_failures_without_an_answer_are_collected_too(sim: Simulator) -> None:
    with record_exchanges() as log:
        nowhere = Cloudtower(
            f"http://127.0.0.1:{unused_port()}", token="t", retry=RetryPolicy(attempts=1)
        )
        with pytest.raises(ConnectionError):
            await nowhere.vm.get_vms()
        await nowhere.close()
        async with session(sim) as tower:
            sim.faults.hang("get-vms")
            with pytest.raises(CallTimeout):
                await tower.vm.get_vms(timeout=0.05)
    refused, _, hung = log
    assert (refused.status, refused.error) == (None, "ConnectionFailed")
    assert (hung.status, hung.error) == (None, "CancelledError")


async def test_requests_that_were_not_sent_are_no_exchanges(sim: Simulator) -> None:
    async with session(sim) as tower:
        with record_exchanges() as log, pytest.raises(InvalidInput):
            await tower.request("/x", method="GET", query={"a": object()})
    assert log == []


async def test_a_block_may_keep_the_headers_and_bodies_of_typed_calls(sim: Simulator) -> None:
    async with session(sim) as tower:
        with record_exchanges(max_body_bytes=2**20) as exchanges:
            sim.faults.fail("get-vms", status=503)
            [vm] = await tower.vm.get_vms(first=1)
    failed, done = exchanges
    assert (failed.status, failed.error) == (503, "ServerError")
    assert failed.body
    assert failed.headers["x-tower-request-id"] == failed.request_id
    assert (done.status, done.error, done.endpoint) == (200, None, sim.url)
    assert done.headers["content-type"].startswith("application/json")
    assert done.headers["x-tower-request-id"] == done.request_id
    assert done.body is not None
    assert done.body_size == len(done.body)
    assert msgspec.json.decode(done.body)[0]["id"] == vm.id


async def test_the_body_of_an_answer_that_cannot_be_decoded_is_kept() -> None:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b"no JSON")

    async with serve(handler) as url, Cloudtower(url, token="t", retry=AT_ONCE) as tower:
        with record_exchanges(max_body_bytes=100) as exchanges, pytest.raises(ResponseDecodeError):
            await tower.vm.get_vms()
    assert {exchange.body for exchange in exchanges} == {b"no JSON"}
    assert {exchange.error for exchange in exchanges} == {None}  # the exchange itself succeeded


async def test_each_block_keeps_the_requested_parts(sim: Simulator) -> None:
    async with session(sim) as tower:
        with (
            record_exchanges() as plain,
            record_exchanges(max_body_bytes=0) as headers,
            record_exchanges(max_body_bytes=10) as starts,
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(tower.vm.get_vms)
                group.start_soon(tower.host.get_hosts)
    assert len(plain) == len(headers) == len(starts) == 2
    for one, other, third in zip(plain, headers, starts, strict=True):
        assert (one.headers, one.body, one.body_size) == ({}, None, None)
        assert (other.headers, other.body) == (third.headers, b"")
        assert third.body is not None
        assert len(third.body) == 10
        assert third.body_size == other.body_size == int(other.headers["content-length"])
        assert hash(one) == hash(other) == hash(third)


async def test_nothing_of_a_login_and_no_credential_in_a_header_is_kept() -> None:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        answer = login_answer() if is_login(request) else web.json_response([])
        answer.headers.add("Set-Cookie", "session=s3cret-of-a-cookie")
        answer.headers.add("X-Auth-Token", "s3cret-of-a-header")
        answer.headers.add("X-Echo", "one")
        answer.headers.add("X-Echo", f"two {TOKEN}")
        return answer

    async with serve(handler) as url:
        with record_exchanges(max_body_bytes=1000) as exchanges:
            async with Cloudtower(url, username="u", password=PASSWORD) as tower:
                await tower.vm.get_vms()
                await tower.user.login(username="u", password=PASSWORD, source="LOCAL")
    login, call, typed_login = exchanges
    assert (login.operation, typed_login.operation) == ("user.login", "user.login")
    for one in (login, typed_login):
        assert (one.headers, one.body, one.body_size) == ({}, None, None)
    assert call.body == b"[]"
    assert call.headers["x-echo"] == "one, two ***"
    assert call.headers["set-cookie"] == call.headers["x-auth-token"] == "***"
    everything = repr([msgspec.structs.asdict(one) for one in exchanges])
    assert "s3cret" not in everything
    assert TOKEN not in everything


async def test_the_repr_of_an_exchange_shows_neither_headers_nor_body() -> None:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response([], headers={"x-note": "note-of-the-tests"})

    async with serve(handler) as url, Cloudtower(url, token=TOKEN) as tower:
        with record_exchanges(max_body_bytes=1000) as exchanges:
            await tower.vm.get_vms()
    [exchange] = exchanges
    assert repr(exchange).startswith("Exchange(operation='vm.get_vms', endpoint='http://")
    assert exchange.headers["x-note"] == "note-of-the-tests"
    for shown in (repr(exchange), repr(exchange.__rich_repr__())):
        assert "note-of-the-tests" not in shown
        assert "b'[]'" not in shown
    assert msgspec.json.decode(msgspec.json.encode(exchange))["status"] == 200


async def test_nothing_is_added_after_the_end_of_a_block(sim: Simulator) -> None:
    async def later() -> None:
        await ended.wait()
        await tower.vm.get_vms(first=1)

    ended = asyncio.Event()
    async with session(sim) as tower:
        with record_exchanges(max_body_bytes=2**20) as exchanges:
            task = asyncio.create_task(later())
            await tower.host.get_hosts()
        ended.set()
        await task
    assert [one.operation for one in exchanges] == ["host.get_hosts"]


@pytest.mark.parametrize("limit", [-1, 1.5, True, "1"])
def test_a_limit_of_bodies_that_is_no_number_is_refused(limit: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInput, match="record_exchanges: max_body_bytes: expected"):
        record_exchanges(max_body_bytes=limit).__enter__()
