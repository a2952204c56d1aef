"""Fixtures of every test."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The SDK runs on asyncio only, as aiohttp does."""
    return "asyncio"
