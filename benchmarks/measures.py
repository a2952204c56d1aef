"""Measurement of the time and memory of this process."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


class Times:
    """Durations of blocks in seconds: elapsed time, and CPU time of this process."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    @contextmanager
    def measured(self) -> Generator[None]:
        """Measure a block, and add its elapsed time and CPU time."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def peak_mb() -> float:
    """Return the peak memory of this process in megabytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss: bytes or KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def held_mb() -> float:
    """Return the current memory of this process in megabytes.

    If the system does not report the current memory, return `peak_mb`. Unlike `peak_mb`, the
    current memory does not include memory of the parent process.
    """
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return peak_mb()
    return int(pages.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
