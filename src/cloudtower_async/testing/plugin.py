"""The pytest plugin: a simulated CloudTower for each test that asks for one.

pytest loads this at its start, wherever the package is installed: nothing else is loaded here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from ..session import Cloudtower
    from .simulator import Simulator

_MARKER = (
    "tower(size, **options): what the simulator of the test is made with: a size such as "
    '"3 clusters, 200 VMs", and the options of cloudtower_async.testing.Simulator'
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def tower_simulator(request: pytest.FixtureRequest) -> Generator[Simulator]:
    """A simulated CloudTower that runs for as long as the test.

    It has an event loop of its own, in a thread: tests need no event loop, and may block theirs.
    ``@pytest.mark.tower("3 clusters, 200 VMs", seed=7)`` says what it is made with.
    """
    from anyio.from_thread import start_blocking_portal

    simulator = _simulator(request.node)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(simulator) as running,
    ):
        yield running


@pytest.fixture
async def tower(tower_simulator: Simulator) -> AsyncGenerator[Cloudtower]:
    """A session with the simulator, logged in."""
    from ..session import Cloudtower

    async with Cloudtower(
        tower_simulator.url, username=tower_simulator.username, password=tower_simulator.password
    ) as session:
        yield session


def _simulator(node: pytest.Item) -> Simulator:
    """The simulator that the markers of a test ask for; the nearest marker comes first."""
    from .simulator import Simulator

    options: dict[str, Any] = {}
    for marker in node.iter_markers("tower"):
        given = dict(zip(("size",), marker.args, strict=False))
        if len(marker.args) > 1:
            raise pytest.UsageError(f"{node.nodeid}: the marker tower takes one size, then options")
        options = given | dict(marker.kwargs) | options
    return Simulator(**options)
