"""Validation of arguments: valid ones are sent, invalid ones are rejected with their place."""

from __future__ import annotations

import gc
import logging
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtower_async import EVERYTHING, Cloudtower, EmptyFilter, InvalidInput, inputs, models
from cloudtower_async.api.content_library_image import CREATE_CONTENT_LIBRARY_IMAGE
from cloudtower_async.api.resource_change import GET_RESOURCE_CHANGES
from cloudtower_async.api.task import UPDATE_TASK
from cloudtower_async.api.vm import (
    CREATE_VM,
    CREATE_VM_FROM_CONTENT_LIBRARY_TEMPLATE,
    GET_VMS,
    MIGRATE_VM,
    START_VM,
)
from cloudtower_async.calls.arg_types import keys_of_answers
from cloudtower_async.calls.operation import Kind, Operation
from cloudtower_async.calls.validation import check
from cloudtower_async.testing import Simulator
from tests.simulator.client import our_client
from tests.support import serve

from .random_inputs import arguments, corruptions, every_operation

OPERATIONS = every_operation()
SENT_ALL_THE_SAME = (
    "; the API schema requires it, and a session with validate=False sends the call without it"
)


def rejection(operation: Operation[Any], given_: object) -> str:
    """Return why arguments are rejected, without the name of the operation."""
    with pytest.raises(InvalidInput) as caught:
        check(operation, given_, validate=True)
    assert caught.value.__cause__ is None
    text = str(caught.value)
    assert text.startswith(f"{operation.name}: ")
    return text.removeprefix(f"{operation.name}: ")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"nmae": "x"}, "where.nmae: no such field; did you mean name?"),
        ({"cluster": {"nmae": "x"}}, "where.cluster.nmae: no such field; did you mean name?"),
        ({"xyzxyz": 1}, "where.xyzxyz: no such field"),
        ({7: 1}, "where.7: no such field"),
        (
            {"OR": [{"ha": True}, {"host": {"cluster": {"vms_some": {"idin": ["a"]}}}}]},
            (
                "where.OR[1].host.cluster.vms_some.idin: no such field; "
                "did you mean id_in or id or id_not_in?"
            ),
        ),
        ({"id_in": "abc"}, "where.id_in: expected a list, got a string; put it in a list"),
        ({"OR": "a"}, "where.OR: expected a list, got a string; put it in a list"),
        ({"NOT": {"nmae": "a"}}, "where.NOT[0].nmae: no such field; did you mean name?"),
        (
            {"id_in": ["a", 7]},
            "where.id_in[1]: expected a string, got a whole number; give it as str(…)",
        ),
        ({"id": ["a"]}, "where.id: expected a string, got a list; several go in id_in"),
        ({"name": 3.5}, "where.name: expected a string, got a number; give it as str(…)"),
        ({"name": b"x"}, "where.name: expected a string, got bytes"),
        ({"vcpu": True}, "where.vcpu: expected a whole number, got True or False"),
        ({"vcpu": "2"}, "where.vcpu: expected a whole number, got a string"),
        ({"vcpu": 2.5}, "where.vcpu: expected a whole number, got a fraction; round it"),
        (
            {"vcpu_in": [4.0, float("inf")]},
            "where.vcpu_in[1]: expected a whole number, got a fraction; round it",
        ),
        ({"ha": 1}, "where.ha: expected True or False, got a whole number"),
        ({"ha": "true"}, "where.ha: expected True or False, got a string"),
        ({"cpu_usage": True}, "where.cpu_usage: expected a number, got True or False"),
        (
            {"cpu_usage_gt": float("nan")},
            "where.cpu_usage_gt: expected a finite number, got infinity or NaN",
        ),
        ({"cluster": "c1"}, "where.cluster: expected an object, got a string"),
        ({"status": 1}, "where.status: expected a string, got a whole number; give it as str(…)"),
        (
            {"status": ["RUNNING"]},
            "where.status: expected a string, got a list; several go in status_in",
        ),
        ([{"id": "a"}], "where: expected an object, got a list"),
        (models, "where: expected an object, got module"),
    ],
)
def test_an_invalid_filter_is_rejected_with_its_field_path(where: object, message: str) -> None:
    assert rejection(GET_VMS, {"where": where}) == message


@pytest.mark.parametrize("key", ["AND", "OR", "NOT"])
def test_a_single_filter_in_a_combination_is_sent_in_a_list(key: str) -> None:
    where = {key: {"name": "a", "cluster": {key: {"name": "b"}}}}
    sent = {key: [{"name": "a", "cluster": {key: [{"name": "b"}]}}]}
    assert check(GET_VMS, {"where": where}, validate=True) == {"where": sent}


def test_a_single_filter_in_a_combination_is_judged_like_one_in_a_list() -> None:
    wheres: list[object] = [{"AND": {}}, {"OR": {}}, {"NOT": {"id_in": []}}, {"AND": EVERYTHING}]
    for where in wheres:
        for validate in (True, False):
            with pytest.raises(EmptyFilter):
                check(START_VM, {"where": where}, validate=validate)


def test_a_key_at_the_top_is_named_as_it_was_passed() -> None:
    assert rejection(GET_VMS, {"orderBy": 1}).startswith("order_by: expected a string")
    assert rejection(GET_RESOURCE_CHANGES, {"limit": "x"}).startswith(
        "limit: expected a whole number"
    )
    assert rejection(GET_VMS, {"were": {}}) == "were: no such field; did you mean where or before?"


def test_a_missing_key_is_named() -> None:
    one = {"name": "web", "cluster_id": "c", "memory": 1, "ha": True, "status": "RUNNING"}
    one |= {"cpu_cores": 1, "cpu_sockets": 1, "firmware": "BIOS", "vm_disks": {}, "vm_nics": []}
    check(CREATE_VM, [one], validate=True)
    without: dict[str, object] = {key: value for key, value in one.items() if key != "memory"}
    assert rejection(CREATE_VM, [one, without]) == f"items[1].memory: missing{SENT_ALL_THE_SAME}"
    del without["name"], without["ha"]
    missing = f"items[0].ha: missing, and so are memory, name{SENT_ALL_THE_SAME}"
    assert rejection(CREATE_VM, (without,)) == missing
    disk = {"boot": 1, "vm_volume": {"name": "v", "size": 1}}
    one["vm_disks"] = {"mount_new_create_disks": [disk]}
    place = "items[0].vm_disks.mount_new_create_disks[0].bus"
    assert rejection(CREATE_VM, [one]) == f"{place}: missing{SENT_ALL_THE_SAME}"
    assert rejection(CREATE_VM, one) == "items: expected a list, got an object; put it in a list"


def test_a_missing_key_that_documentation_leaves_out_has_a_workaround() -> None:
    one: dict[str, Any] = {"name": "web", "template_id": "t", "is_full_copy": True}
    network = {"nic_index": 0, "ip_address": "10.0.0.2"}
    one["cloud_init"] = {"networks": [network]}
    message = rejection(CREATE_VM_FROM_CONTENT_LIBRARY_TEMPLATE, [one])
    assert message == f"items[0].cloud_init.networks[0].type: missing{SENT_ALL_THE_SAME}"


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({"where": {"vcpu": 4.0}}, {"where": {"vcpu": 4}}),
        ({"first": 2.0, "skip": 0.0}, {"first": 2, "skip": 0}),
        (
            {"where": {"OR": [{"memory_in": (8e9, 5)}]}},
            {"where": {"OR": [{"memory_in": [8e9, 5]}]}},
        ),
    ],
)
def test_a_float_without_a_fraction_is_sent_as_an_integer(
    arguments: dict[str, Any], sent: dict[str, Any]
) -> None:
    before = repr(arguments)
    found = check(GET_VMS, arguments, validate=True)
    assert found == sent
    assert ".0" not in repr(found)
    assert repr(arguments) == before


def test_arguments_without_such_floats_are_sent_as_they_are() -> None:
    arguments = {"where": {"vcpu": 4, "cpu_usage": 5.5}}
    assert check(GET_VMS, arguments, validate=True) is arguments


@pytest.mark.anyio
async def test_whole_floats_reach_the_server_as_integers() -> None:
    bodies: list[bytes] = []

    async def note(request: web.Request) -> web.Response:
        bodies.append(await request.read() or request.query_string.encode())
        return web.json_response([])

    first: Any = 2.0
    async with serve(note) as url, Cloudtower(url, token="t") as tower:
        await tower.vm.get_vms(first=first, where={"memory": cast("Any", 8e9)})
        await tower.vm.update_vm(where={"id": "v"}, data={"memory": cast("Any", 1.07e11)})
        vms = tower.iterate(tower.vm.get_vms, page_size=first, first=first)
        assert [vm async for vm in vms] == []
    assert bodies == [
        b'{"first":2,"where":{"memory":8000000000}}',
        b'{"data":{"memory":107000000000},"where":{"id":"v"}}',
        b'{"first":2,"orderBy":"id_ASC"}',
    ]


@pytest.mark.parametrize(
    ("where", "sent"),
    [
        ({"entity_async_status": None}, {"entityAsyncStatus": None}),
        (
            {"OR": {"cluster": {"entity_async_status_not_in": ["CREATING"]}}},
            {"OR": [{"cluster": {"entityAsyncStatus_not_in": ["CREATING"]}}]},
        ),
        ({"vm_nics_some": {"id": "a"}}, {"vm_nics_some": {"id": "a"}}),
    ],
)
def test_keys_of_filters_may_be_spelled_as_in_answers(where: Any, sent: Any) -> None:  # noqa: ANN401
    assert check(GET_VMS, {"where": where}, validate=True) == {"where": sent}


def test_every_renamed_field_of_an_answer_is_a_key_of_its_filter() -> None:
    renamed = 0
    for name in dir(inputs):
        model = getattr(models, name.removesuffix("WhereInput"), None)
        if not name.endswith("WhereInput") or not isinstance(model, type):
            continue
        for field in msgspec.structs.fields(model):
            known = getattr(inputs, name).__annotations__
            if field.name != field.encode_name and field.encode_name in known:
                assert keys_of_answers(getattr(inputs, name))[field.name] == field.encode_name
                renamed += 1
    assert renamed > 100


def test_two_spellings_of_one_key_are_refused() -> None:
    where = {"vcpu": 2.0, "entityAsyncStatus": None, "entity_async_status": "CREATING"}
    message = "where.entity_async_status: the same field as entityAsyncStatus; leave one out"
    assert rejection(GET_VMS, {"where": where}) == message


def test_a_mutation_whose_filter_is_spelled_as_in_answers_is_guarded() -> None:
    for where in ({"entity_async_status": None}, {"id": None, "entity_async_status": "CREATING"}):
        with pytest.raises(InvalidInput):
            check(START_VM, {"where": where}, validate=True)


def test_a_text_of_json_may_be_spelled_as_in_answers() -> None:
    upload = CREATE_CONTENT_LIBRARY_IMAGE
    text = '{"entity_async_status_not":null,"host_num":3.0}'
    checked = check(upload, {"file": b"", "clusters": text}, validate=True)
    assert checked == {"file": b"", "clusters": '{"entityAsyncStatus_not":null,"host_num":3}'}


def test_a_text_of_json_may_hold_whole_floats() -> None:
    upload = next(op for op in OPERATIONS if op.path == "/upload-content-library-image")
    arguments = {"file": b"", "clusters": '{"host_num": 3.0}'}
    assert check(upload, arguments, validate=True) == arguments


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("name", "name_ASC or name_DESC"),
        ("-name", "name_DESC"),
        ("-local_created_at", "local_created_at_DESC"),
        ("+name", "name_ASC"),
        ("name desc", "name_DESC"),
        ("name_asc", "name_ASC"),
    ],
)
def test_an_order_in_another_notation_is_rejected_with_a_suggestion(given: str, meant: str) -> None:
    assert rejection(GET_VMS, {"orderBy": given}) == (
        f"order_by: expected a field with _ASC or _DESC; did you mean {meant}?"
    )


def test_null_is_accepted_where_the_api_allows_it() -> None:
    check(GET_VMS, {"where": {"name": None, "cluster": None, "id_in": None}}, validate=True)
    message = "items[0].name: expected a string, got None; leave the key out, or give it a value"
    assert rejection(CREATE_VM, [{"name": None}]) == message


def test_lists_may_be_of_any_kind_and_texts_members_of_an_enum() -> None:
    for ids in (["a"], ("a",), {"a"}, frozenset("a")):
        check(GET_VMS, {"where": {"id_in": ids}}, validate=True)
    status = [models.VmStatus.RUNNING, "STOPPED"]
    check(GET_VMS, {"where": {"status_in": status, "vcpu_gt": 2, "cpu_usage": 1}}, validate=True)


def test_an_unknown_text_of_an_enum_is_sent_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        check(GET_VMS, {"where": {"status": "RUNING"}, "orderBy": "name_UP"}, validate=True)
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("cloudtower_async", logging.WARNING)
    ] * 2
    assert caplog.messages[0] == (
        "VmWhereInput.status: sending 'RUNING', which this version does not know; "
        "did you mean RUNNING?"
    )


def test_the_memory_of_unknown_enum_values_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1200):
        check(GET_VMS, {"where": {"firmware": f"made up {number}"}}, validate=True)
    assert len(caplog.records) <= 1000


def test_error_messages_never_contain_values() -> None:
    secret = {"name": ["hunter2"], "cluster": "hunter2", "hunter": 1}
    for key, value in secret.items():
        assert "hunter2" not in rejection(GET_VMS, {"where": {key: value}})


def test_a_filter_within_itself_is_refused() -> None:
    where: dict[str, Any] = {"name": "x"}
    where["AND"] = [where]
    message = "the arguments are nested too deeply, or contain themselves"
    assert rejection(GET_VMS, {"where": where}) == message
    only: dict[str, Any] = {}
    only["AND"] = [only]
    assert rejection(START_VM, {"where": only}) == message


def test_older_servers_have_other_keys() -> None:
    check(GET_VMS, {"where": {"vm_nics_some": {"vlan": {"id": "x"}}}}, validate=True)
    for description in ("text", {"en-US": "a", "zh-CN": "b"}):
        update = {"where": {"id": "t"}, "data": {"description": description}}
        check(UPDATE_TASK, update, validate=True)


def test_files_are_bytes_or_can_be_read() -> None:
    upload = next(op for op in OPERATIONS if op.path == "/upload-elf-image")
    check(upload, {"file": memoryview(b"x"), "name": "x"}, validate=True)
    assert (
        rejection(upload, {"file": "a.iso"})
        == "file: expected bytes or a binary file, got a string"
    )
    library = next(op for op in OPERATIONS if op.path == "/upload-content-library-image")
    wrong = {"file": b"", "clusters": '{"nmae": "x"}'}
    assert rejection(library, wrong) == "clusters.nmae: no such field; did you mean name?"
    assert rejection(library, {"file": b"", "clusters": 7}).startswith(
        "clusters: expected a string with JSON"
    )


def test_free_form_takes_any_object() -> None:
    task: dict[str, Any] = {"where": {"id": "t"}, "data": {"args": {"any": [1, None]}}}
    check(UPDATE_TASK, task, validate=True)
    task["data"]["args"] = "text"
    assert rejection(UPDATE_TASK, task) == "data.args: expected an object, got a string"


def test_without_validation_anything_goes_but_filters_that_match_everything() -> None:
    check(MIGRATE_VM, {"where": {"new_key": 1}, "data": 7}, validate=False)
    with pytest.raises(EmptyFilter):
        check(MIGRATE_VM, {"where": {}, "data": 7}, validate=False)


@pytest.mark.anyio
async def test_an_invalid_filter_is_rejected_before_a_request() -> None:
    wrong: Any = {"nmae": "x"}
    async with Simulator() as sim, our_client(sim) as tower:
        before = len(sim.requests)
        with pytest.raises(InvalidInput, match=r"vm\.get_vms: where\.nmae: no such field"):
            await tower.vm.get_vms(where=wrong)
        assert len(sim.requests) == before


@pytest.mark.anyio
async def test_with_options_keeps_the_validate_option_of_the_session() -> None:
    wrong: Any = {"nmae": "x"}
    async with Simulator() as sim:
        options: Any = {"username": sim.username, "password": sim.password}
        async with Cloudtower(sim.url, **options, validate=False) as tower:
            for session in (tower, tower.with_options(timeout=5)):
                before = len(sim.requests)
                with pytest.raises(Exception, match="no such key") as caught:
                    await session.vm.get_vms(where=wrong)
                assert not isinstance(caught.value, InvalidInput)
                assert len(sim.requests) == before + 1


@pytest.mark.parametrize("operation", OPERATIONS, ids=[op.name for op in OPERATIONS])
@settings(max_examples=4)
@given(data=st.data())
def test_valid_arguments_pass_and_corrupted_keys_are_named(
    operation: Any,  # noqa: ANN401
    data: st.DataObject,
) -> None:
    valid = data.draw(arguments(operation))
    check(operation, valid, validate=True)
    spoilt = data.draw(st.sampled_from(corruptions(operation, valid)))
    assert rejection(operation, spoilt.arguments).startswith(f"{spoilt.place}: ")


def test_an_operation_created_for_one_call_is_released() -> None:
    def kept() -> int:
        gc.collect()
        return sum(type(one) is Operation for one in gc.get_objects())

    before = kept()
    check(Operation("/new", "/new", Kind.MUTATION, lambda: object), {"x": 1}, validate=True)
    assert kept() == before
