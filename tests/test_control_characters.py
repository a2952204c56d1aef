"""Control characters in texts of a server never reach a terminal or a log."""

from __future__ import annotations

import json
import logging
import traceback
import unicodedata
import warnings
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import Cloudtower, CloudtowerError, RetryPolicy, errors, record_exchanges
from cloudtower_async.control_characters import (
    escaped,
    one_line,
    printable,
    replace_lone_surrogates,
)
from cloudtower_async.metrics.results import MetricsWarning
from tests.support import is_login, login_answer, serve, serve_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.anyio

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
C0, C1 = "".join(map(chr, range(0x20))), "".join(map(chr, range(0x80, 0xA0)))
EVERY = C0 + "\x7f" + C1 + BIDI + ZERO_WIDTH + "\u2028\u2029\ud800\U000e0041"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
HEART = "\u2764\ufe0f\u200d\U0001f525"
PLAIN = f"虚拟机 é \u3000 {FAMILY} {HEART} \U0001f44d\U0001f3fd"


def controls_in(text: str) -> list[str]:
    return [letter for letter in text if letter in EVERY]


def test_each_control_character_becomes_a_space() -> None:
    assert printable(f"a{EVERY}b") == f"a{' ' * len(EVERY)}b"
    assert printable(PLAIN) == PLAIN
    assert one_line(f" a\r\n{EVERY}\x1b b{'x' * 600}")[-1] == "…"
    assert one_line(f"{PLAIN}\nb") == f"{' '.join(PLAIN.split())} b"


def test_control_characters_are_escaped_as_json_has_them() -> None:
    assert escaped("a\x1b[2J\n\x9b\u202e\x7f") == r"a\u001b[2J\n\u009b\u202e\u007f"
    assert escaped(PLAIN) == PLAIN
    assert json.loads(escaped(json.dumps(EVERY, ensure_ascii=False))) == EVERY


@pytest.mark.parametrize("text", ["\u200d", "a\u200db", f"{FAMILY}\u200d", "\u200d\U0001f469"])
def test_a_joiner_stays_only_between_emoji(text: str) -> None:
    assert printable(text).count("\u200d") == FAMILY.count("\u200d") * (FAMILY in text)


@given(st.text())
def test_nothing_else_changes(text: str) -> None:
    for letter, shown in zip(text, printable(text), strict=True):
        control = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        assert shown == letter or (control and shown == " ")
        assert not control or shown == " " or letter == "\u200d"


def every_error() -> Iterator[type[CloudtowerError]]:
    kinds = [CloudtowerError]
    while kinds:
        kind = kinds.pop()
        yield kind
        kinds += kind.__subclasses__()


def test_every_error_is_printed_by_the_same_function() -> None:
    kinds = [kind for kind in every_error() if kind.__module__.startswith("cloudtower_async")]
    assert len(kinds) > 20
    assert [kind for kind in kinds if kind.__str__ is not CloudtowerError.__str__] == []


@pytest.mark.parametrize(
    "error",
    [
        CloudtowerError(EVERY),
        errors.InvalidInput(EVERY),
        errors.CallError(EVERY, code=EVERY, request_id=EVERY, server_message=EVERY, hint=EVERY),
        errors.TaskFailed(EVERY, EVERY, EVERY, EVERY),
        errors.TaskTimeout([EVERY], unknown=[EVERY]),
        errors.TasksFailed(EVERY, [errors.TaskFailed(EVERY)]),
        errors.SettleTimeout({EVERY: EVERY}),
        errors.ReadBackFailed([EVERY], errors.CloudtowerError(EVERY), done=True),
        errors.UploadError(EVERY, EVERY),
        errors.Resync(EVERY, EVERY, EVERY),
        errors.LockTimeout([EVERY]),
        errors.JobLocked(EVERY),
        errors.LeaseLost(EVERY),
        errors.EffectMissing(EVERY),
        MetricsWarning(EVERY, fault="empty"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_and_warnings_print_no_control_characters(error: Exception) -> None:
    assert controls_in(str(error)) == []
    assert controls_in(repr(error)) == []
    shown = "".join(traceback.format_exception_only(error))
    assert controls_in(shown.replace("\n", "")) == []


def test_the_texts_of_an_error_stay_as_the_server_wrote_them() -> None:
    assert errors.CallError("x", server_message=EVERY).server_message == EVERY


async def test_log_records_hold_no_control_characters(caplog: pytest.LogCaptureFixture) -> None:
    """The server sends control characters in its status line, headers and bodies."""
    evil = f"{EVERY.replace(chr(0xD800), '')}2030-01-01 INFO forged"
    bodies = [
        (200, json.dumps([{"id": evil, "name": evil, evil: evil}])),
        (200, json.dumps([{"id": None, "description": evil}], ensure_ascii=False)),
        (200, evil),
        (400, json.dumps({"message": evil, "code": evil}, ensure_ascii=False)),
        (500, evil),
        (500, f"<p>{evil}</p>"),
    ]
    answers = iter(bodies * 2)

    async def answer(request: web.Request) -> web.Response:
        if is_login(request):
            return login_answer()
        status, body = next(answers)
        headers = {"x-tower-request-id": "r\x9b2J\u202e"}
        return web.Response(status=status, body=body.encode(), headers=headers)

    caplog.set_level(logging.DEBUG, "cloudtower_async")
    retry = RetryPolicy(attempts=1)
    said: list[Any] = []
    async with serve(answer) as url, Cloudtower(url, username="u", password="p", retry=retry) as t:
        calls: list[Callable[[], Awaitable[object]]] = [
            t.vm.get_vms,
            lambda: t.request("/x", {"a": evil}),
        ]
        for _ in bodies:
            for call in calls:
                try:
                    await call()
                except CloudtowerError as error:
                    said += [str(error), getattr(error, "excerpt", "")]
    assert len(caplog.records) >= 2 * len(bodies)
    assert said
    for record in caplog.records:
        texts = [record.getMessage(), *map(str, vars(record).values())]
        said += [text for text in texts if text is not record.pathname]
    assert [text for text in said if controls_in(text)] == []


async def test_a_request_id_controls_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "cloudtower_async")
    body = b'{"message": "no"}'
    head = b"HTTP/1.1 400 No\r\nx-tower-request-id: \x1b[2J\x7f\xc2\x9b\xff\r\n"
    head += b"content-length: %d\r\n\r\n"
    async with serve_bytes(head % len(body) + body) as url:
        tower = Cloudtower(url, token="t0ken")
        with record_exchanges() as exchanges, pytest.raises(CloudtowerError) as info:
            await tower.vm.get_vms()
        await tower.close()
    shown = [str(info.value), str(exchanges[0].request_id)]
    for record in caplog.records:
        shown += [record.getMessage(), str(vars(record)["request_id"])]
    assert [text for text in shown if not text.isprintable()] == []


def test_a_log_record_keeps_what_is_harmless(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("cloudtower_async")
    error = CloudtowerError("x")
    log.warning("%s %d %.1f %s", error, 5, 0.25, "a\nb")
    assert caplog.records[0].args == (error, 5, 0.25, r"a\nb")


def test_a_warning_of_measurements_is_one_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(MetricsWarning("a\nb\x1b", fault="empty"), stacklevel=1)
    assert "a b " in warnings.formatwarning(caught[0].message, UserWarning, "f", 1)


@pytest.mark.parametrize(
    ("content", "replaced"),
    [
        (rb'"a\ud83d"', rb'"a\ufffd"'),
        (rb'"\uDE00a"', rb'"\ufffda"'),
        (rb'"\ud83d\ud83d\ude00\ud83d\n"', rb'"\ufffd\ud83d\ude00\ufffd\n"'),
        (rb'"\\ud83d \\\ud83d"', rb'"\\ud83d \\\ufffd"'),
        (rb'"\u00e9\ud7ff"', rb'"\u00e9\ud7ff"'),
    ],
)
def test_lone_surrogates_in_json_are_replaced(content: bytes, replaced: bytes) -> None:
    assert replace_lone_surrogates(content) == replaced


@given(st.text(st.characters(categories=["L", "Cs", "P", "Cc"])))
def test_any_text_of_javascript_decodes_after_the_replacement(text: str) -> None:
    content = json.dumps(text).encode()
    pairs = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    decoded = msgspec.json.decode(replace_lone_surrogates(content))
    assert len(decoded) <= len(text)
    if "\ufffd" not in pairs:
        assert decoded == pairs
