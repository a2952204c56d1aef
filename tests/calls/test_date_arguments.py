"""Datetimes in arguments: where they are accepted, how they are sent, what is rejected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, ContentLibraryImage, InvalidInput, inputs
from cloudtower_async.api.alert import GET_ALERTS
from cloudtower_async.api.content_library_image import CREATE_CONTENT_LIBRARY_IMAGE
from cloudtower_async.api.log_collection import CREATE_LOG_COLLECTION
from cloudtower_async.api.snapshot_plan import CREATE_SNAPSHOT_PLAN
from cloudtower_async.api.task import CREATE_TASK, UPDATE_TASK
from cloudtower_async.api.vm import GET_VMS, START_VM
from cloudtower_async.calls.arg_types import member
from cloudtower_async.calls.validation import check
from cloudtower_async.date_fields import DATE_FIELDS
from tests.support import TOKEN, serve

if TYPE_CHECKING:
    from cloudtower_async.calls.operation import Operation

MOMENT = datetime(2026, 11, 29, 18, 0, 0, 1999, timezone(timedelta(hours=8)))
TEXT = "2026-11-29T10:00:00.001Z"
NAIVE = datetime(2026, 11, 29, 10)  # noqa: DTZ001 - that is the fault
NO_ZONE = (
    "got a datetime without a time zone, so it is unknown which moment it means; give it one, as "
    "in datetime.now(UTC) or value.replace(tzinfo=UTC)"
)
DATE = "expected a date: a string, or a datetime with a time zone"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (GET_VMS, {"where": {"local_created_at_gte": MOMENT}}),
        (GET_VMS, {"where": {"deleted_at_in": [MOMENT, TEXT]}}),
        (GET_VMS, {"where": {"deleted_at_not_in": (MOMENT,)}}),
        (GET_VMS, {"where": {"OR": [{"cluster": {"license_expire_date_lt": MOMENT}}]}}),
        (GET_VMS, {"where": {"snapshots_some": {"local_created_at": MOMENT}}}),
        (GET_ALERTS, {"where": {"create_time_not": MOMENT}}),
        (START_VM, {"where": {"id": "vm", "last_shutdown_time_lte": MOMENT}}),
        (UPDATE_TASK, {"where": {"id": "t"}, "data": {"finished_at": MOMENT}}),
    ],
)
def test_an_aware_datetime_is_sent_as_the_server_writes_dates(
    operation: Operation[Any], arguments: dict[str, Any]
) -> None:
    before = repr(arguments)
    checked = check(operation, arguments, validate=True)
    assert checked == msgspec.json.decode(
        msgspec.json.encode(arguments).replace(b"2026-11-29T18:00:00.001999+08:00", TEXT.encode())
    )
    assert repr(arguments) == before


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (CREATE_TASK, "started_at"),
        (CREATE_SNAPSHOT_PLAN, "start_time"),
        (CREATE_LOG_COLLECTION, "log_started_at"),
    ],
)
def test_an_argument_that_is_a_date_takes_a_datetime(operation: Operation[Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(operation, [{field: NAIVE}], validate=True)
    assert f": items[0].{field}: {NO_ZONE}" in str(caught.value)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"local_created_at_gte": NAIVE}, f"where.local_created_at_gte: {NO_ZONE}"),
        ({"deleted_at_in": [MOMENT, NAIVE]}, f"where.deleted_at_in[1]: {NO_ZONE}"),
        ({"vcpu": 2.0, "deleted_at": NAIVE}, f"where.deleted_at: {NO_ZONE}"),
        (
            {"deleted_at": MOMENT, "cluster": {"license_sign_date": NAIVE}},
            f"where.cluster.license_sign_date: {NO_ZONE}",
        ),
        (
            {"deleted_at": date(2026, 11, 29)},
            (
                "where.deleted_at: expected a string or a datetime with a time zone, got date; the "
                "server wants the time of day and the time zone, too"
            ),
        ),
        ({"deleted_at": 1767225600000}, f"where.deleted_at: {DATE}, got a whole number"),
        ({"deleted_at_in": MOMENT}, "where.deleted_at_in: expected a list, got datetime"),
        ({"name": MOMENT}, "where.name: expected a string, got datetime"),
        ({"deleted_at": MOMENT, "name": MOMENT}, "where.name: expected a string, got datetime"),
        ({"vcpu": MOMENT}, "where.vcpu: expected a whole number, got datetime"),
        ({"status": MOMENT}, "where.status: expected a string, got datetime"),
    ],
)
def test_an_invalid_date_is_rejected_with_its_field_path(
    where: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(GET_VMS, {"where": where}, validate=True)
    assert str(caught.value) == f"vm.get_vms: {message}"


@dataclass
class Note:
    at: object


class Entry(msgspec.Struct):
    at: object


def in_dict(at: object) -> dict[str, object]:
    return {"at": at}


@pytest.mark.parametrize("wrap", [Note, Entry, in_dict])
def test_values_of_any_kind_are_searched_for_dates(wrap: Any) -> None:  # noqa: ANN401
    free = {"where": {"id": "t"}, "data": {"args": {"steps": [wrap(MOMENT)]}}}
    expected = {"where": {"id": "t"}, "data": {"args": {"steps": [{"at": TEXT}]}}}
    assert check(UPDATE_TASK, free, validate=True) == expected
    for value in (NAIVE, date(2026, 1, 1), time(1, tzinfo=UTC), timedelta(1)):
        free = {"where": {"id": "t"}, "data": {"args": {"steps": [wrap(value)]}}}
        with pytest.raises(InvalidInput, match=r"data\.args\.steps\[0\]\.at: (got|expected) a "):
            check(UPDATE_TASK, free, validate=True)


@pytest.mark.parametrize("operation", [GET_VMS, START_VM])
def test_dates_are_converted_without_validation_too(operation: Operation[Any]) -> None:
    where: dict[str, Any] = {"id": "vm", "no_such_key": {"at": MOMENT}}
    checked = check(operation, {"where": where}, validate=False)
    assert checked == {"where": {"id": "vm", "no_such_key": {"at": TEXT}}}
    where["no_such_key"]["at"] = NAIVE
    with pytest.raises(InvalidInput, match=r"where\.no_such_key\.at: got a datetime without"):
        check(operation, {"where": where}, validate=False)


def test_a_date_as_a_key_is_rejected() -> None:
    arguments = {"where": {"id": "t"}, "data": {"args": {MOMENT: 1}}}
    with pytest.raises(InvalidInput, match="got a date as the name of a field; use a string"):
        check(UPDATE_TASK, arguments, validate=True)


def test_the_table_names_fields_that_are_texts() -> None:
    for name, fields in DATE_FIELDS.items():
        record = getattr(inputs, name)
        for field in fields.split():
            found = member(record, field)
            assert found is not None
            assert (found.kind, found.is_date) == (str, True), (name, field)
            listed = member(record, f"{field}_in")
            assert listed is None or (listed.item is not None and listed.item.is_date)
    assert len(DATE_FIELDS) > 70


@pytest.mark.anyio
async def test_calls_by_path_spell_dates_too() -> None:
    got: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.query_string, await request.text()))
        return web.json_response({"data": {}})

    async with serve(answer) as url, Cloudtower(url, token=TOKEN) as tower:
        await tower.request("/x", {"at": [MOMENT]})
        await tower.request("/x", query={"at": MOMENT}, method="GET")
        await tower.raw("POST", "/x", json=[MOMENT])
        await tower.raw("POST", "/x", query={"at": MOMENT, "n": 1})
        await tower.raw("POST", "/x", data={"at": MOMENT})
        await tower.graphql("query($at: X) { a(at: $at) }", {"at": MOMENT})
        assert [text.count(TEXT) for _, text in (got[0], got[2], got[4], got[5])] == [1, 1, 1, 1]
        quoted = TEXT.replace(":", "%3A")
        for query in (got[1][0], got[3][0]):
            assert query.startswith((f"at={TEXT}", f"at={quoted}"))
        sent = len(got)
        for call, place in (
            (tower.request("/x", {"at": [NAIVE]}), r"/x: body\.at\[0\]"),
            (tower.request("/x", query={"at": NAIVE}, method="GET"), r"/x: query\.at"),
            (tower.raw("POST", "/x", json=NAIVE), "/x: json"),
            (tower.raw("POST", "/x", query={"at": NAIVE}), r"/x: query\.at"),
            (tower.raw("POST", "/x", data={"at": NAIVE}), r"/x: data\.at"),
            (tower.graphql("query { a }", {"at": NAIVE}), r"graphql: variables\.at"),
        ):
            with pytest.raises(InvalidInput, match=f"{place}: got a datetime without"):
                await call
        assert len(got) == sent


def test_the_filter_of_an_upload_spells_dates_too() -> None:
    target = ContentLibraryImage(clusters={"license_expire_date_gt": MOMENT})
    form = target.form()
    assert form["clusters"] == f'{{"license_expire_date_gt":"{TEXT}"}}'
    checked = check(CREATE_CONTENT_LIBRARY_IMAGE, {"file": b"", **form}, validate=True)
    assert isinstance(checked, dict)
    assert checked["clusters"] == form["clusters"]
    target = ContentLibraryImage(clusters={"license_expire_date_gt": NAIVE})
    with pytest.raises(InvalidInput, match=r"upload: clusters\.license_expire_date_gt: got a date"):
        target.form()
