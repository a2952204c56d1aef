"""The vendor's client in the installed version.

The client validates answers while it decodes them. It blocks, so async tests call it in a thread.
"""

# ruff: noqa: ANN401 - it has no types
from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.api.catalogue import OPERATIONS

if TYPE_CHECKING:
    from cloudtower_async.testing import Simulator

cloudtower: Any = pytest.importorskip("cloudtower")
VERSION = importlib.metadata.version("cloudtower-sdk")


class Vendor:
    """The vendor's client, logged in."""

    def __init__(self, sim: Simulator) -> None:
        self.client: Any = cloudtower.ApiClient(cloudtower.Configuration(host=f"{sim.url}/v2/api"))
        credentials = {"username": sim.username, "password": sim.password, "source": "LOCAL"}
        token = self.api("user").login(credentials).data.token
        self.client.configuration.api_key["Authorization"] = token

    def api(self, tag: str) -> Any:
        """The class with the operations of a tag."""
        return _api(tag)(self.client)

    def ask(self, path: str, **arguments: Any) -> Any:
        """The answer of the query with this path."""
        tag, _, method = OPERATIONS[f"/{path}"].partition(".")
        return getattr(self.api(tag), method)(arguments)


def knows(path: str) -> bool:
    """Return whether this version has the operation with this path."""
    tag, _, method = OPERATIONS[f"/{path}"].partition(".")
    try:
        return hasattr(_api(tag), method)
    except ModuleNotFoundError:
        return False


def _api(tag: str) -> Any:
    name = "".join(part.capitalize() for part in tag.split("_"))
    return getattr(importlib.import_module(f"cloudtower.api.{tag}_api"), f"{name}Api")
