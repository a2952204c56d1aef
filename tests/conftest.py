"""Fixtures of every test."""

from __future__ import annotations

import hypothesis
import pytest

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def anyio_backend() -> str:
    """The SDK runs on asyncio only, as aiohttp does."""
    return "asyncio"
