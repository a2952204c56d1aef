"""Fixtures of every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def anyio_backend() -> str:
    """The SDK runs on asyncio only, as aiohttp does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[None]:
    """Fail what blocks the event loop: files and sockets belong in threads."""
    with blockbuster_ctx("cloudtower_async"):
        yield
