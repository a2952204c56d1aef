"""Results of benchmarks: one figure per row, with its goal."""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PEERS = ("aiohttp", "anyio", "msgspec", "uvloop", "cloudtower-sdk")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure.

    Args:
        what: Measured quantity.
        value: The figure; the median if there are several measurements.
        unit: Unit of the figure; empty for a ratio.
        low: The lower quartile of the measurements; None for a single measurement.
        high: The upper quartile.
        goal: Goal; None if the figure is only reported.
        better: Whether the goal is a maximum (``less``) or a minimum.
        note: How the figure was measured.
    """

    what: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    goal: float | None = None
    better: Literal["less", "more"] = "less"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "less" else self.value >= self.goal


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run, and the machine."""

    machine: str
    python: str
    packages: dict[str, str]
    figures: list[Figure]


def spread(measured: Sequence[float]) -> tuple[float, float, float]:
    """The median of measurements, and their quartiles."""
    low, median, high = statistics.quantiles(measured, n=4, method="inclusive")
    return median, low, high


def print_as_lines(figures: Iterable[Figure]) -> None:
    """Print figures for the process that collects them."""
    for figure in figures:
        print(msgspec.json.encode(figure).decode(), flush=True)


def report(figures: list[Figure]) -> Report:
    """Store the environment of the measurements with the figures."""
    packages: dict[str, str] = {}
    for name in PEERS:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    parts = f"{platform.system()} {platform.machine()}", _cpu(), f"{os.cpu_count()} cores"
    machine = ", ".join(filter(None, parts))
    return Report(
        machine=machine, python=sys.version.split()[0], packages=packages, figures=figures
    )


def _cpu() -> str:
    """Return the processor model, or an empty string if the system does not report it."""
    listed = Path("/proc/cpuinfo")
    if not listed.is_file():
        return platform.processor()
    model = re.search(r"^model name\s*: (.+)$", listed.read_text(), re.MULTILINE)
    return model[1].strip() if model else ""


def markdown(found: Report) -> str:
    """Return the figures as a table for the documentation."""
    packages = ", ".join(f"{name} {number}" for name, number in found.packages.items())
    lines = [
        f"Measured on {found.machine}, Python {found.python}, {packages}.",
        "",
        "| figure | measured | goal | details |",
        "| --- | ---: | ---: | --- |",
    ]
    lines += [
        f"| {figure.what} | {shown(figure)} | {_goal(figure)} | {figure.note} |"
        for figure in found.figures
    ]
    return "\n".join([*lines, ""])


def shown(figure: Figure) -> str:
    """Return a figure with its unit, and its quartiles if any."""
    text = f"{_number(figure.value, _more(figure))} {figure.unit}".rstrip()
    if figure.low is None or figure.high is None:
        return text
    return f"{text} ({_number(figure.low)} to {_number(figure.high)})"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "≤" if figure.better == "less" else "≥"
    mark = "" if figure.met else " (missed)"
    return f"{sign} {_number(figure.goal, _more(figure))} {figure.unit}".rstrip() + mark


def _more(figure: Figure) -> int:
    """Return more digits than usual, so that a missed goal does not look reached."""
    more = 0
    if figure.goal is not None and not figure.met:
        while _rounded(figure.value, more) == _rounded(figure.goal, more):
            more += 1
    return more


def _number(value: float, more: int = 0) -> str:
    return f"{value:,.{_decimals(value, more)}f}"


def _rounded(value: float, more: int) -> float:
    return round(value, _decimals(value, more))


def _decimals(value: float, more: int) -> int:
    if float(value).is_integer():  # a count
        return 0
    return more + (0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)
