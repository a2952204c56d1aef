"""Decoding of bytes into the declared type."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import CallTimeout, Cloudtower, MutationTimeout
from cloudtower_async.calls.decoding import SlicedAnswer, decode
from cloudtower_async.calls.operation import Auth, Kind, Operation
from cloudtower_async.errors import ResponseDecodeError
from cloudtower_async.transport.responses import Answer
from cloudtower_async.types import OpenEnum, WithTask
from tests.support import serve

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Status(OpenEnum):
    RUNNING = "RUNNING"


class Ref(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    id: str
    name: str | None = None


class Vm(msgspec.Struct, kw_only=True, frozen=True, gc=False, rename="camel"):
    id: str
    vcpu: int
    status: Status | None = None
    io_policy: str | None = None
    host: Ref | None = None
    disks: list[Ref] = []
    labels: dict[str, int] | None = None


class Shares(msgspec.Struct):
    counts: list[int]
    size: int | None = None


VMS = Operation("vm.get_vms", "/get-vms", Kind.QUERY, lambda: list[Vm])
ONE = Operation("vm.get_vm", "/get-vm", Kind.QUERY, lambda: Vm)
TASK = Operation("vm.start_vm", "/start-vm", Kind.MUTATION, lambda: list[WithTask[Vm]])
SHARES = Operation("x.shares", "/x", Kind.QUERY, lambda: Shares)
TEXT = Operation("x.text", "/x", Kind.QUERY, lambda: str)
FILE = Operation("x.file", "/x", Kind.QUERY, lambda: bytes)
SECRET = Operation("user.login", "/login", Kind.MUTATION, lambda: WithTask[Ref], auth=Auth.NONE)


def decoded(operation: Operation[Any], body: object, *, strict: bool = False) -> Any:  # noqa: ANN401
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found: Any = decode(operation, Answer(200, raw, "r-1"), "https://t", strict=strict)
    return run(cast("Any", found).read()) if isinstance(found, SlicedAnswer) else found


def run(reading: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
    """Run a decoder to its end, and return its result.

    No event loop is needed, because a decoder only yields to other tasks.
    """
    return run_in_turns(reading)[0]


def run_in_turns(reading: Coroutine[Any, Any, Any]) -> tuple[Any, int]:
    """Run a decoder to its end; return its result and how often it yielded to other tasks."""
    turns = 0
    while True:
        try:
            reading.send(None)
        except StopIteration as stop:
            return stop.value, turns
        turns += 1


def refused(
    operation: Operation[Any], body: object, *, strict: bool = False
) -> ResponseDecodeError:
    with pytest.raises(ResponseDecodeError) as info:
        decoded(operation, body, strict=strict)
    error = info.value
    assert (error.operation, error.endpoint, error.request_id) == (
        operation.name,
        "https://t",
        "r-1",
    )
    assert error.hint
    assert len(str(error).splitlines()) == 1
    return error


def vm(**fields: object) -> dict[str, object]:
    return {"id": "v", "vcpu": 2, **fields}


def test_a_valid_answer_is_decoded_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    body = [vm(status="NEW", ioPolicy="x", future=1)]
    assert decoded(VMS, body) == [Vm(id="v", vcpu=2, status=Status("NEW"), io_policy="x")]
    assert not caplog.records


@pytest.mark.parametrize(
    ("broken", "field", "place"),
    [
        (vm(vcpu=None), "vcpu", "$[1].vcpu"),
        (vm(vcpu="two"), "vcpu", "$[1].vcpu"),
        (vm(vcpu=True), "vcpu", "$[1].vcpu"),
        (vm(vcpu="2.0"), "vcpu", "$[1].vcpu"),
        ({"id": "v"}, "vcpu", "$[1].vcpu"),
        (vm(ioPolicy=[]), "io_policy", "$[1].ioPolicy"),
        (vm(status=5), "status", "$[1].status"),
        (vm(host="h"), "host", "$[1].host"),
    ],
)
def test_an_invalid_value_becomes_none_and_the_others_are_decoded(
    broken: object, field: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad, also_good = decoded(VMS, [vm(), broken, vm()])
    assert good == also_good == Vm(id="v", vcpu=2)
    assert isinstance(bad, Vm)
    assert getattr(bad, field) is None
    assert bad.id == "v"
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("cloudtower_async", logging.WARNING)
    said = record.getMessage()
    assert "vm.get_vms" in said
    assert f"at {place};" in said
    assert "r-1" in said


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("number", "whole"),
    [
        (b"4.0", 4),
        (b"107374182400.0", 107374182400),
        (b"1.07e11", 107000000000),
        (b"0.5e1", 5),
        (b"-0.0", 0),
        (b"9007199254740992.0", 2**53),
    ],
)
def test_a_float_without_a_fraction_is_an_integer(
    number: bytes, whole: int, strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    row = b'{"id": "v", "vcpu": %s, "labels": {"a": %s, "b": 1}}' % (number, number)
    right = Vm(id="v", vcpu=whole, labels={"a": whole, "b": 1})
    assert decoded(VMS, b"[%s, %s]" % (row, row), strict=strict) == [right, right]
    assert decoded(ONE, row, strict=strict) == right
    started = b'[{"task_id": null, "data": %s}]' % row
    assert decoded(TASK, started, strict=strict) == [WithTask(data=right)]
    shares = decoded(SHARES, b'{"counts": [1, %s], "size": %s}' % (number, number), strict=strict)
    assert shares == Shares(counts=[1, whole], size=whole)
    assert all(type(count) is int for count in [*shares.counts, shares.size])
    assert not caplog.records


@pytest.mark.parametrize("strict", [False, True])
def test_a_name_cut_within_an_emoji_is_decoded_without_a_warning(
    caplog: pytest.LogCaptureFixture, strict: bool
) -> None:
    body = rb'[{"id": "1", "vcpu": 1, "host": {"id": "h", "name": "cut \ud83d"}}]'
    [vm] = decoded(VMS, body, strict=strict)
    assert vm.host.name == "cut \N{REPLACEMENT CHARACTER}"
    assert not caplog.records


@pytest.mark.parametrize(
    ("number", "rounded"), [(2.9, 3), (107374182400.5, 107374182400), (-1.2, -1)]
)
def test_a_fraction_is_rounded_without_a_warning(
    number: float, rounded: int, caplog: pytest.LogCaptureFixture
) -> None:
    (found,) = decoded(VMS, [vm(vcpu=number)])
    assert (found.vcpu, type(found.vcpu)) == (rounded, int)
    assert decoded(SHARES, {"counts": [number], "size": number}) == Shares([rounded], rounded)
    assert not caplog.records


def test_strict_refuses_a_fraction() -> None:
    error = refused(VMS, [vm(vcpu=4.0), vm(vcpu=2.9)], strict=True)
    assert (error.place, error.excerpt) == ("$[1].vcpu", "2.9")
    assert refused(SHARES, {"counts": [1, 2.5]}, strict=True).place == "$.counts[1]"


@pytest.mark.anyio
async def test_whole_floats_arrive_as_integers_in_a_strict_session() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b'{"aggregate": {"count": 4e1}}')

    async with serve(answer) as url, Cloudtower(url, token="t", strict=True) as tower:
        count = await tower.count(tower.vm.get_vms)
    assert (count, type(count)) == (40, int)


LONG: list[tuple[Operation[Any], bytes]] = [
    (VMS, b"[%s]" % b",".join([b'{"id":"v","vcpu":null}'] * 50_000)),
    (VMS, b"[%s,null]" % b",".join([b'{"id":"v","vcpu":1}'] * 300_000)),
    (VMS, b"[%s]" % b",".join([b"{}"] * 100_000)),
    (ONE, b'{"id":"v","vcpu":1,"disks":[%s]}' % b",".join([b'{"id":5}'] * 50_000)),
    (ONE, b'{"id":"v","vcpu":1,"disks":[%s,5]}' % b",".join([b'{"id":"d"}'] * 300_000)),
    (
        ONE,
        b'{"id":"v","vcpu":1,"labels":{%s}}' % b",".join(b'"%d":null' % i for i in range(100_000)),
    ),
]


@pytest.mark.parametrize(("operation", "body"), LONG, ids=range(len(LONG)))
def test_repairing_a_large_answer_lets_other_tasks_run(
    operation: Operation[Any], body: bytes
) -> None:
    found = decode(operation, Answer(200, body, None), "https://t", strict=False)
    assert isinstance(found, SlicedAnswer)
    turns = 0
    reading = cast("Any", found).read()
    with contextlib.suppress(StopIteration, ResponseDecodeError):
        while True:
            reading.send(None)
            turns += 1
    assert turns > 3


def large(*rows: bytes) -> bytes:
    """Return a list of more than 4 MB with valid VMs and these rows."""
    right = b'{"id":"v","vcpu":1,"labels":{"a":1}},' * 70_000
    return b"[" + right + b"".join(row + b"," for row in rows) + right[:-1] + b"]"


@pytest.mark.parametrize("strict", [False, True])
def test_a_large_answer_is_decoded_in_slices(
    strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    body = large(rb'{"id":"\ud83d","vcpu":2.0}')
    found = decode(VMS, Answer(200, body, None), "https://t", strict=strict)
    assert isinstance(found, SlicedAnswer)
    rows, turns = run_in_turns(cast("Any", found).read())
    assert turns > 1
    vm = Vm(id="v", vcpu=1, labels={"a": 1})
    assert rows == [vm] * 70_000 + [Vm(id="\ufffd", vcpu=2)] + [vm] * 70_000
    assert not caplog.records


def test_a_slice_ends_when_the_call_is_cancelled() -> None:
    found = decode(VMS, Answer(200, large(), None), "https://t", strict=False)
    assert isinstance(found, SlicedAnswer)
    reading = cast("Any", found).read()
    reading.send(None)
    with pytest.raises(asyncio.CancelledError):
        reading.throw(asyncio.CancelledError())


def test_faults_in_a_large_answer_have_the_same_field_paths(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = decoded(VMS, large(b'{"id":"w","vcpu":null}', b"5"))
    assert len(found) == 140_001
    assert found[70_000] == Vm(id="w", vcpu=None)  # type: ignore[arg-type]
    assert "at $[70000].vcpu, $[70001];" in caplog.messages[0]
    assert refused(VMS, large(b'{"id":"w","vcpu":null}'), strict=True).place == "$[70000].vcpu"
    assert "not JSON" in str(refused(VMS, large(b'{"id":"\xff","vcpu":1}')))
    assert "not JSON" in str(refused(VMS, large(b"nul")))


@pytest.mark.anyio
async def test_repairing_an_answer_ends_at_the_deadline_of_the_call() -> None:
    body = b"[%s]" % b",".join([b"{}"] * 2_000_000)  # takes seconds on any machine

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with serve(answer) as url, Cloudtower(url, token="t") as tower:
        with pytest.raises(CallTimeout, match=r"no answer within 0\.5 s"):
            await tower.vm.get_vms(timeout=0.5)
        with pytest.raises(MutationTimeout):
            await tower.vm.start_vm(where={"id": "v"}, timeout=0.5)


def test_only_rows_that_fail_to_decode_are_repaired(caplog: pytest.LogCaptureFixture) -> None:
    odd = b'{"id": "a", "vcpu": 1, "unknown": "\xff"}'  # unknown fields are not read
    assert decoded(VMS, b'[%s, {"id": "b", "vcpu": null}]' % odd)[0] == Vm(id="a", vcpu=1)
    assert "at $[1].vcpu;" in caplog.messages[0]
    assert "not JSON" in str(refused(VMS, b'[%s, {"id": "\xff", "vcpu": 1}]' % odd))
    assert "not JSON" in str(refused(VMS, b'[%s, {"id": "b", "vcpu": 1e999}]' % odd))


def test_faults_are_repaired_at_any_depth(caplog: pytest.LogCaptureFixture) -> None:
    body = vm(
        host={"id": 5, "name": "h"}, disks=[{"id": "d"}, None, {"id": None}], labels={"a": "x"}
    )
    found = decoded(ONE, body)
    assert found.host == Ref(id=None, name="h")  # type: ignore[arg-type]
    assert found.disks == [Ref(id="d"), Ref(id=None)]  # type: ignore[arg-type]
    assert found.labels == {"a": None}
    places = "$.host.id, $.disks[1], $.disks[2].id, $.labels.a"
    assert places in caplog.messages[0]


def test_elements_that_are_no_objects_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    assert decoded(VMS, [None, vm(), "x", True, 5]) == [Vm(id="v", vcpu=2)]
    assert len(caplog.records) == 1


def test_generic_answers_are_repaired_too() -> None:
    (started,) = decoded(TASK, [{"task_id": "t", "data": vm(vcpu=None)}])
    assert started == WithTask(data=Vm(id="v", vcpu=None), task_id="t")  # type: ignore[arg-type]


def test_the_warning_names_a_few_field_paths_and_counts_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    decoded(VMS, [vm(vcpu=None)] * 100)
    assert caplog.messages[0].count(".vcpu") == 5
    assert "and 95 more places" in caplog.messages[0]


@pytest.mark.parametrize("body", [{}, "x", 5, None, ["x"], [None, None], [{}], [{"error": "x"}]])
def test_an_answer_without_a_usable_row_is_rejected(body: object) -> None:
    assert refused(VMS, body).place.startswith("$")


def test_an_object_of_another_kind_is_refused() -> None:
    error = refused(ONE, {"message": "not today"})
    assert "none of the declared members" in str(error)
    assert error.excerpt == '{"message":"not today"}'


def test_strict_refuses_the_first_fault_and_quotes_it() -> None:
    error = refused(VMS, [vm(), vm(vcpu="two")], strict=True)
    assert (error.place, error.excerpt) == ("$[1].vcpu", '"two"')
    assert "$[1].vcpu: Expected `int`, got `str`" in str(error)
    assert refused(VMS, [{"id": "v"}], strict=True).place == "$[0].vcpu"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b'[{"id": "v", "vc', "in the middle of the JSON"),
        (b'["\xff"]', "not JSON"),
        (b"{'id': 1}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1e999]", "not JSON"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_the_error_distinguishes_kinds_of_invalid_json(
    body: bytes, said: str, strict: bool
) -> None:
    error = refused(VMS, body, strict=strict)
    assert said in str(error)
    assert error.place == "$"
    assert len(error.excerpt) <= 81
    assert error.__context__ is None


def test_excerpts_hide_secrets() -> None:
    body = b'{"name": "n", "api_token": "planted", "Password" : "planted", "x'
    assert refused(VMS, body).excerpt == '{"name": "n", "api_token": "***", "Password" : "***", "x'
    assert refused(SECRET, {"data": "planted"}, strict=True).excerpt == ""


@pytest.mark.parametrize("kind", [b"[%b]", b'{"a": %b}'])
@pytest.mark.parametrize("strict", [False, True])
def test_invalid_values_may_be_nested_deeply(kind: bytes, strict: bool) -> None:
    nested = b"1"
    for _ in range(500):
        nested = kind.replace(b"%b", nested)
    error = refused(VMS, b'[{"other": ' + nested + b"}]", strict=strict)
    assert error.place == "$[0]"
    assert len(error.excerpt) <= 81


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["id", "vcpu", "host", "disks", "data", "x"]), inner)
    ),
)


@pytest.mark.parametrize("operation", [VMS, ONE, TASK, TEXT, FILE, SECRET])
@given(body=st.binary() | JSON.map(lambda value: json.dumps(value).encode()), strict=st.booleans())
def test_any_body_is_decoded_or_raises_our_error(
    operation: Operation[object], body: bytes, strict: bool
) -> None:
    try:
        decoded(operation, body, strict=strict)
    except ResponseDecodeError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


@given(JSON)
def test_only_an_empty_list_is_decoded_as_no_vms(value: object) -> None:
    try:
        found = decoded(VMS, value)
    except ResponseDecodeError:
        return
    assert json.dumps(value).startswith("[")
    assert bool(found) == bool(value)


@pytest.mark.parametrize(
    ("body", "text"), [(b'"4.9.0"', "4.9.0"), (b"4.9.0\n", "4.9.0"), (b'""', ""), (b"5", "5")]
)
def test_a_text_may_be_sent_without_json_quotes(body: bytes, text: str) -> None:
    assert decoded(TEXT, body) == text


@pytest.mark.parametrize("body", [b"", b"null", b"<html>"])
def test_html_null_and_an_empty_body_are_rejected_as_text(body: bytes) -> None:
    refused(TEXT, body)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b'"aWQsbmFtZQo="', b"id,name\n"),
        (b'"id,name"', b"id,name"),
        (b"id,name\n1,\xff\n", b"id,name\n1,\xff\n"),
        (b'"id","name"\n', b'"id","name"\n'),
        (b"", b""),
    ],
)
def test_a_file_may_be_base64_or_raw(body: bytes, content: bytes) -> None:
    assert decoded(FILE, body) == content


def test_an_html_page_is_rejected_as_a_file() -> None:
    refused(FILE, b"<!doctype html>")
