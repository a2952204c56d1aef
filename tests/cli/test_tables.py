"""Tables that fit into a terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from cloudtower_async.cli.tables import Fit, format_table, lay_out
from cloudtower_async.cli.views import View
from cloudtower_async.models import Task, Vm

HEADS = ["NAME", "STATUS", "MEMORY", "IPS", "CLUSTER"]
FITS = [Fit(kept=True), Fit(kept=True), Fit(right=True), Fit(flexible=True), Fit()]
ROWS = [
    ["web-1", "RUNNING", "8 GiB", "192.168.0.1, 192.168.0.2, 192.168.0.3", "atlas-01"],
    ["数据库服务器-主", "STOPPED", "128 GiB", "-", "北京"],
    ["🚀-rocket-👩\u200d🚀", "SUSPENDED", "512 MiB", "10.0.0.1", "atlas-01"],
]


def lines(width: int | None) -> list[str]:
    return ["  ".join(cell.text for cell in line) for line in lay_out(HEADS, ROWS, FITS, width)]


def test_without_a_limit_columns_are_as_wide_as_their_texts() -> None:
    head, first, second, _ = lines(None)
    assert head.split() == HEADS
    assert "192.168.0.1, 192.168.0.2, 192.168.0.3" in first
    assert cell_len(first.partition("RUNNING")[0]) == cell_len(second.partition("STOPPED")[0])


@pytest.mark.parametrize("width", [200, 100, 80, 72, 60, 50, 40, 35, 28, 20, 10, 4])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(cell_len, lines(width))) <= width


@pytest.mark.parametrize("width", range(29, 90))
def test_names_and_states_are_cut_only_after_all_other_columns(width: int) -> None:
    shown = lines(width)
    for row, line in zip(ROWS, shown[1:], strict=True):
        assert line.startswith(row[0])
        assert row[1] in line
    assert shown[0].split()[:2] == ["NAME", "STATUS"]


def test_columns_are_dropped_from_the_right() -> None:
    shown = [tuple(lines(width)[0].split()) for width in range(90, 3, -1)]
    different = list(dict.fromkeys(shown))
    assert [len(heads) for heads in different] == sorted(map(len, different), reverse=True)
    assert all(heads == tuple(HEADS)[: len(heads)] for heads in different[:4])


def test_numbers_are_aligned_to_the_right() -> None:
    head, first, second, third = lines(None)
    end = head.index("MEMORY") + len("MEMORY")
    assert first[:end].endswith("  8 GiB")
    assert second.partition("128 GiB")[1]
    assert cell_len(third.partition("512 MiB")[0]) == cell_len(second.partition("128 GiB")[0])


def test_a_pipe_gets_whole_lines_without_trailing_space() -> None:
    text = format_table(["name", "note"], [["a" * 200, ""], ["b", "x\ny"]]).decode()
    assert text.splitlines() == [
        "NAME" + " " * 198 + "NOTE",
        "a" * 200 + "  -",
        "b" + " " * 201 + "x y",
    ]
    assert format_table(["name"], [["a"]], headings=False) == b"a\n"


def test_a_forced_color_is_in_a_pipe_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert format_table(["status"], [["FAILED"]]) == (
        b"\x1b[1mSTATUS\x1b[0m\n\x1b[1;31mFAILED\x1b[0m\n"
    )
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"[1;31m" not in format_table(["status"], [["FAILED"]])
    monkeypatch.setenv("CLICOLOR_FORCE", "0")
    assert format_table(["status"], [["FAILED"]]) == b"STATUS\nFAILED\n"


def test_views_have_the_expected_columns() -> None:
    assert View(Task).names[:5] == ["what", "status", "progress", "started", "duration"]
    assert View(Vm, wide=True).names[-1] == "id"
    assert "id" not in View(Vm).names
    assert View(Vm, ["memory", "cluster.name"]).names == ["memory", "cluster.name"]
