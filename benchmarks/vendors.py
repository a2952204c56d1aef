"""The vendor's client in typical use: threads, with a connection pool of the same size."""

# ruff: noqa: ANN401 - the vendor's client has no types
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .apart import Address

THREADS = 32
"""Maximum number of threads. It equals the number of concurrent calls of our client."""


class Vendor:
    """The vendor's client with a logged-in user.

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
        """Return the decoded VMs of an answer."""
        return self.client.deserialize(_Response(body), "list[Vm]")


class _Response:
    """Response object that the decoder of the vendor's client accepts."""

    def __init__(self, body: bytes) -> None:
        self.data = body.decode()
