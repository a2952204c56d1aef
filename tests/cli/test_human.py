"""Values in human-readable form."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import cloudtower_async
from cloudtower_async.cli import human

MODELS = Path(cloudtower_async.__file__).parent / "models"
BYTES = {human.size, human.rate}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1023.96, "1 KiB"),  # after rounding
        (8 * 2**30, "8 GiB"),
        (107374182400.5, "100 GiB"),
        (5000 * 2**50, "5000 PiB"),
        (-(2**31), "-2 GiB"),
        (None, ""),
        ("odd", "odd"),
    ],
)
def test_sizes_have_the_unit_that_suits_them(value: object, text: str) -> None:
    assert human.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (59, "59s"),
        (119, "119s"),
        (125, "2m5s"),
        (600, "10m"),
        (3 * 3600 + 300, "3h5m"),
        (24 * 3600, "24h"),
        (3 * 86400 + 7200, "3d2h"),
        (300 * 86400, "300d"),
        (3 * 365 * 86400 + 40 * 86400, "3y40d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_spans_have_their_largest_units(seconds: float, text: str) -> None:
    assert human.span(seconds) == text


def test_ages_and_durations_are_counted_until_now() -> None:
    ago = (datetime.now(UTC) - timedelta(hours=5, minutes=2)).isoformat()
    assert human.age(ago) == "5h2m"
    assert human.duration(ago, None) == "5h2m"
    assert human.duration("2026-01-31T08:00:00.000Z", "2026-01-31T08:00:42Z") == "42s"
    assert human.duration("2026-01-31T08:00:00", "2026-01-31T08:00:42Z") == "42s"  # it is UTC
    assert human.duration(None, ago) == ""
    for odd in (None, "", "soon", 5):
        assert human.age(odd) == ("" if odd is None else str(odd))


def test_times_are_in_the_time_zone_of_the_machine() -> None:
    local = datetime(2026, 1, 31, 8, 0, tzinfo=UTC).astimezone()
    assert human.moment("2026-01-31T08:00:00.000Z") == f"{local:%Y-%m-%d %H:%M}"
    assert human.moment("next week") == "next week"


@pytest.mark.parametrize(
    ("used", "total", "text"),
    [(1, 3, "33%"), (0, 5, "0%"), (1, 0, ""), (None, 5, ""), (5, "x", "")],
)
def test_a_share_of_nothing_is_unknown(used: object, total: object, text: str) -> None:
    assert human.usage(used, total) == text


def test_units_follow_the_documentation_of_every_field() -> None:
    wrong: set[str] = set()
    found = 0
    for name, kind, text in documented_fields():
        if kind not in ("int", "float") or "not documented" in text or "stripe_size" in name:
            continue
        format_value, _ = human.text_for(name)
        sizes = "in bytes" in text and name != "mtu"
        found += sizes
        if sizes != (format_value in BYTES) or ("in Hz" in text) != (format_value is human.hertz):
            wrong.add(f"{name}: {text}")
        if "bytes per second" in text and format_value is not human.rate:
            wrong.add(f"{name}: {text}")
    assert wrong == set()
    assert found > 100


def test_every_time_is_formatted_as_one() -> None:
    times = {name for name, _, text in documented_fields() if "ISO 8601" in text}
    missed = {name for name in times if human.text_for(name)[0] is not human.moment}
    assert {name for name in missed if re.search("time|date|_at$", name)} == set()
    assert len(times) > 30


def documented_fields() -> list[tuple[str, str, str]]:
    """Return name, type and description of every field of an answer."""
    fields: list[tuple[str, str, str]] = []
    for file in MODELS.rglob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            body = node.body if isinstance(node, ast.ClassDef) else []
            for field, text in pairwise(body):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    kind = ast.unparse(field.annotation).partition(" ")[0]
                    fields.append((field.target.id, kind, str(text.value.value)))
    return fields
