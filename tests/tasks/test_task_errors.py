"""Parsing of the text of a failed task."""

from __future__ import annotations

import json

import pytest

from cloudtower_async.models import Task, TaskStatus
from cloudtower_async.tasks.task_errors import task_failed


def failed(message: str | None, code: str | None = None) -> Task:
    return Task(
        args={},
        description="Create the VM",
        error_code=code,
        error_message=message,
        id="cl01",
        internal=False,
        local_created_at="2026-01-01T00:00:00.000Z",
        progress=0.5,
        snapshot="{}",
        status=TaskStatus.FAILED,
        steps=[],
    )


NESTED = (
    "创建虚拟机失败 \r\ncode: CREATE_VM_FORM_TEMPLATE_FAILED\r\n"
    'message: {"ec":"VM_CLOUD_INIT_CONFIG_ERROR","error":{"msg":"no \\"user\\" key"}}'
)


BY_LANGUAGE = json.dumps(
    {
        language: f'{words}\r\ncode: A\r\nmessage: {{"ec": "B", "error": {{"msg": "no room"}}}}'
        for language, words in (("en-US", "It failed"), ("zh-CN", "失败"))
    }
)


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        (
            NESTED,
            None,
            ("CREATE_VM_FORM_TEMPLATE_FAILED", "VM_CLOUD_INIT_CONFIG_ERROR", 'no "user" key'),
        ),
        (NESTED, "OWN", ("OWN", "VM_CLOUD_INIT_CONFIG_ERROR", 'no "user" key')),
        (BY_LANGUAGE, None, ("A", "B", "no room")),
        (
            "[VM_SCHEDULE_FAILED]EmptyCandidateHostsException::PlacementGroupMustFilter",
            None,
            (
                "VM_SCHEDULE_FAILED",
                "EmptyCandidateHostsException::PlacementGroupMustFilter",
                "[VM_SCHEDULE_FAILED]EmptyCandidateHostsException::PlacementGroupMustFilter",
            ),
        ),
        (
            "[VM_SCHEDULE_FAILED] no host",
            None,
            ("VM_SCHEDULE_FAILED", None, "[VM_SCHEDULE_FAILED] no host"),
        ),
        (
            "JOB_VM_SHUTDOWN_TIMEOUT",
            None,
            ("JOB_VM_SHUTDOWN_TIMEOUT", None, "JOB_VM_SHUTDOWN_TIMEOUT"),
        ),
        (" GPU_ASSIGN_FAILED\r\n", None, ("GPU_ASSIGN_FAILED", None, "GPU_ASSIGN_FAILED")),
        (
            '{"ec": "VM_DUPLICATED_NAME"}',
            None,
            (None, "VM_DUPLICATED_NAME", '{"ec": "VM_DUPLICATED_NAME"}'),
        ),
        ('{"ec": "A", "error": {"msg": "no room"}}', "OWN", ("OWN", "A", "no room")),
        ('{"ec": "A", "error": "no room"}', None, (None, "A", "no room")),
        ('code: B\r\nmessage: {"ec": "A", "error": "no room"}\r\n', None, ("B", "A", "no room")),
        (
            'failed: {"ec": "A", "error": {"msg": 5}} (code 7)',
            None,
            (None, "A", 'failed: {"ec": "A", "error": {"msg": 5}} (code 7)'),
        ),
        ('{"ec": null, "error": null}', None, (None, None, '{"ec": null, "error": null}')),
        ("message: " + '{"a":' * 100_000, None, (None, None, "message: " + '{"a":' * 100_000)),
        ("OK", None, (None, None, "OK")),
        ('{"en-US": "words"}', None, (None, None, '{"en-US": "words"}')),
        ("{}", None, (None, None, "{}")),
        ("plain words", None, (None, None, "plain words")),
        ("code: A\nmessage: {broken", None, ("A", None, "code: A\nmessage: {broken")),
        ('code: A\nmessage: {"ec":"B"}', None, ("A", "B", 'code: A\nmessage: {"ec":"B"}')),
        ('message: {"ec":1}', None, (None, None, 'message: {"ec":1}')),
        ("  ", None, (None, None, None)),
        (None, "A", ("A", None, None)),
    ],
)
def test_code_ec_and_message_are_found_where_they_are(
    text: str | None, code: str | None, expected: tuple[str | None, str | None, str | None]
) -> None:
    error = task_failed(failed(text, code))
    assert (error.code, error.ec, error.message) == expected
    assert error.task_id == "cl01"
    assert error.task is not None
