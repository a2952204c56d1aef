"""The error tree and the messages of errors."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from cloudtower_async import Plan, errors
from cloudtower_async.models import Task, TaskStatus

FULL = {
    "operation": "vm.start_vm",
    "endpoint": "https://tower.example",
    "status": 400,
    "request_id": "r-1",
    "code": "X",
    "props": {"a": 1},
    "server_message": "it is\r\n  not so",
}


def test_a_call_error_is_one_line_with_all_details() -> None:
    error = errors.BadRequest("refused", **FULL)  # type: ignore[arg-type]
    assert str(error) == (
        "vm.start_vm: refused: it is not so "
        "[https://tower.example, HTTP 400, code X, request id r-1]. "
        "Check the arguments of the call; the message usually names the faulty argument."
    )
    assert error.server_message == "it is\r\n  not so"


def test_a_call_error_needs_only_a_message() -> None:
    assert str(errors.CallError("odd")) == "odd"


def test_a_long_server_message_is_cut_in_the_line_only() -> None:
    error = errors.ServerError("failed", server_message="x" * 9000)
    assert len(str(error)) < 700
    assert error.server_message == "x" * 9000


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("InvalidSettings", ValueError),
        ("InvalidInput", ValueError),
        ("ConnectionFailed", ConnectionError),
        ("NameNotResolved", ConnectionError),
        ("TLSFailed", ConnectionError),
        ("CallTimeout", TimeoutError),
        ("TaskTimeout", TimeoutError),
    ],
)
def test_errors_are_caught_by_their_builtin_base_class(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_every_error_is_in_the_drawing_under_its_base() -> None:
    drawn = re.findall(r"^    (.*?)([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    bases: dict[int, str] = {}
    for indent, name in drawn:
        bases[len(indent)] = name
        if indent:
            base = bases[max(column for column in bases if column < len(indent))]
            assert issubclass(getattr(errors, name), getattr(errors, base)), name
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.CloudtowerError)
    }
    assert {name for _, name in drawn} == defined


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidSettings("no", option="endpoint"),
        errors.ResourceLocked("locked", **FULL),  # type: ignore[arg-type]
        errors.TLSFailed("refused", reason="self-signed", hint="trust it"),
        errors.NoActive("none", answers={"https://a": "passive"}),
        errors.MultipleActive("both", answers={"https://a": "active"}),
        errors.CallTimeout("late", sent=False),
        errors.ResponseDecodeError("odd", place="$[3].vcpu", excerpt="{}"),
        errors.GraphQLError("no", errors=[{"message": "no"}], data={"vnc": None}),
        errors.TaskFailed("t", "CODE", "EC", "broken"),
        errors.TaskTimeout(["a", "b"], 3.0),
        errors.TaskTimeout(["a"], 3.0, answered=False),
        errors.TaskNotFound("t"),
        errors.TaskNotFound("t", last_seen=(TaskStatus.EXECUTING, 0.5)),
        errors.UnknownTaskStatus("t", TaskStatus("NEW"), 0.5, grace=30.0),
        errors.SettleTimeout({"v": "UPDATING", "w": None}, 3.0),
        errors.LockTimeout(["v"], 3.0),
        errors.JobLocked("nightly"),
        errors.LeaseLost("nightly"),
        errors.EffectMissing("nightly/vm"),
        errors.MutationRefused("vm.start_vm"),
        errors.PlanEnded("vm.export_vm", "only the server knows", Plan()),
        errors.NoChangeFeed("none"),
        errors.Resync("1", "5", "7"),
    ],
)
def test_errors_survive_copying_and_pickling(error: errors.CloudtowerError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize("done", [True, False])
def test_a_copied_error_reports_changes_that_were_not_read(done: bool) -> None:
    error = errors.ReadBackFailed(["v", "w"], errors.Forbidden("refused"), done=done)
    for one in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert (one.done, one.resource_ids, type(one.reason)) == (
            done,
            ("v", "w"),
            errors.Forbidden,
        )
        assert str(one) == str(error)
        assert "v, w. Do not repeat it" in str(one)


def test_locked_resources_are_read_from_the_props() -> None:
    props = {"locked_resources": [{"id": "v", "type": "VM"}]}
    error = errors.ResourceLocked("locked", props=props)
    assert error.locked_resources == [errors.LockedResource("v", "VM")]


@pytest.mark.parametrize("props", [None, 5, {}, {"locked_resources": "x"}])
def test_props_of_another_shape_lock_nothing(props: object) -> None:
    assert errors.ResourceLocked("locked", props=props).locked_resources == []


def test_task_errors_name_the_tasks_and_the_next_step() -> None:
    assert str(errors.TaskFailed("t", "CODE", "EC", "it\nbroke")) == (
        "task t failed: it broke [CODE, EC]"
    )
    assert str(errors.TaskFailed("t")) == "task t failed: the server gave no reason"
    late = str(errors.TaskTimeout(["1", "2", "3", "4", "5", "6"], 300.0))
    assert late.startswith(
        "6 tasks still running after 300 s: 1, 2, 3, 4, 5, …. The tasks continue"
    )
    assert "still running: a." in str(errors.TaskTimeout(["a"]))
    seen = {"a": (TaskStatus.EXECUTING, 0.5)}
    some = str(errors.TaskTimeout(["a", "b"], last_seen=seen, unknown=["b"]))
    assert some.startswith(
        "2 tasks not known to have ended: a (EXECUTING, 50%), b (unknown to the server so far). "
        "The other tasks continue. Check the unknown ids"
    )
    assert "unknown to the server" in str(errors.TaskNotFound("t"))


def _group() -> errors.TasksFailed:
    failures = [errors.TaskFailed("a", message="no space"), errors.TaskNotFound("b")]
    group = errors.TasksFailed("2 of 3 tasks failed", failures)
    values = dict.fromkeys(Task.__struct_fields__, None)
    group.succeeded = (Task(**{**values, "id": "c"}),)  # type: ignore[arg-type]
    return group


def _ids(group: BaseException | None) -> list[str | None]:
    """Return the ids of the failed tasks. Check that the group still contains task c."""
    assert isinstance(group, errors.TasksFailed)
    assert [task.id for task in group.succeeded] == ["c"]
    return [error.task_id for error in group.exceptions if isinstance(error, errors.TaskError)]


def test_a_group_has_the_tasks_that_failed_by_themselves() -> None:
    group = _group()
    assert [error.message for error in group.failed] == ["no space"]
    assert group.failed == group.exceptions[:1]


def test_parts_of_a_group_keep_the_tasks_that_succeeded() -> None:
    group = _group()
    group.add_note("seen at night")
    match, rest = group.split(errors.TaskNotFound)
    for part, task_id in ((match, "b"), (rest, "a"), (group.subgroup(errors.TaskFailed), "a")):
        assert _ids(part) == [task_id]
        assert part is not None
        assert part.message == group.message
        assert part.__notes__ == ["seen at night"]
    nothing, everything = group.split(errors.UploadFailed)
    assert nothing is None
    assert _ids(everything) == ["a", "b"]


def test_parts_of_except_star_keep_the_tasks_that_succeeded() -> None:
    taken: list[BaseException] = []

    def take() -> None:
        try:
            raise _group()
        except* errors.TaskFailed as part:
            taken.append(part)

    with pytest.raises(errors.TasksFailed) as left:
        take()
    assert (_ids(taken[0]), _ids(left.value)) == (["a"], ["b"])


@pytest.mark.parametrize(
    ("error", "task_id"),
    [
        (errors.TaskFailed("t"), "t"),
        (errors.TaskNotFound("t"), "t"),
        (errors.UnknownTaskStatus("t", None), "t"),
        (errors.TaskTimeout(["t"]), "t"),
        (errors.TaskTimeout(["t", "u"]), None),
        (errors.SettleTimeout({"v": None}), None),
        (errors.ReadBackFailed(["v"], ValueError()), None),
    ],
)
def test_a_task_error_has_the_id_of_its_task(error: errors.TaskError, task_id: str | None) -> None:
    assert error.task_id == task_id


def test_the_repr_of_an_error_carries_its_message() -> None:
    error = errors.TaskFailed("t", "CODE", message="it\nbroke")
    assert repr(error) == "TaskFailed('task t failed: it broke [CODE]')"
    assert repr(errors.TaskTimeout(["a"], 3.0)).startswith("TaskTimeout('1 task still running aft")
    assert repr(_group()) == "TasksFailed('2 of 3 tasks failed (2 sub-exceptions)')"
    assert repr(errors.CallError("no", operation="vm.get_vms")) == "CallError('vm.get_vms: no')"


def test_resources_that_did_not_settle_are_reported_with_their_status() -> None:
    late = errors.SettleTimeout({"a": "DELETING", "b": None}, 300.0)
    assert str(late) == (
        "2 resources not known to be ready after 300 s: a (DELETING), b. "
        "Their tasks have ended; read the resources again later."
    )
    many = str(errors.SettleTimeout(dict.fromkeys("123456"), None, errors.SessionClosed("shut")))
    assert many == (
        "6 resources not known to be ready: 1, 2, 3, 4, 5, …. The last poll failed: shut"
    )
