"""The vendor's client as its users run it: threads, and a pool of the same size."""

# ruff: noqa: ANN401 - it has no types
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .apart import Address

THREADS = 32
"""Maximum number of threads, equal to our concurrent calls in the same measurement."""


class Vendor:
    """The vendor's client, logged in.

    Args:
        address: Address of the server.
    """

    def __init__(self, address: Address) -> None:
        sdk: Any = importlib.import_module("cloudtower")
        configuration = sdk.Configuration(host=f"{address.url}/v2/api")
        configuration.connection_pool_maxsize = THREADS
        self.client: Any = sdk.ApiClient(configuration)
        who = {"username": address.username, "password": address.password, "source": "LOCAL"}
        configuration.api_key["Authorization"] = sdk.UserApi(self.client).login(who).data.token
        self.vms: Any = sdk.VmApi(self.client)

    def decode(self, body: bytes) -> Any:
        """Decode an answer with VMs."""
        return self.client.deserialize(_Response(body), "list[Vm]")


class _Response:
    """A response in the form that the vendor's decoder expects."""

    def __init__(self, body: bytes) -> None:
        self.data = body.decode()
