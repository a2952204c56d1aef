"""Fixtures of every test."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import hypothesis
import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


# A process that ignores Ctrl-C (what shells start with `&`, and nohup) hands that on to those that
# it starts, and tests send it to them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    """The SDK runs on asyncio only, as aiohttp does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[None]:
    """Fail what blocks the event loop: files and sockets belong in threads."""
    with blockbuster_ctx("cloudtower_async"):
        yield
