"""Time and memory of the process that measures."""

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
    """Seconds of blocks, each by the clock and by the processor time of this process."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    @contextmanager
    def measured(self) -> Generator[None]:
        """Measure the block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)


def peak_mb() -> float:
    """Most megabytes that this process has had in use."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes or KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def held_mb() -> float:
    """Megabytes that this process has in use; where the system does not tell, the most so far.

    Unlike `peak_mb` it does not count what the process that started this one had in use.
    """
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return peak_mb()
    return int(pages.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 2**20
