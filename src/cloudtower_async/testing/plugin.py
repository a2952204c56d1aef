"""The pytest plugin: a simulated CloudTower for each test that asks for one.

pytest loads this at its start, wherever the package is installed: nothing else is loaded here.
"""

from __future__ import annotations

import inspect
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

_NOT_RUN = (
    "{} takes the fixture tower, which is for tests that are coroutines, and nothing runs it as "
    "one: mark such a test with @pytest.mark.anyio; one that is no coroutine can take the fixture "
    "tower_simulator"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(wrapper=True, trylast=True)  # when those that run coroutines have had their turn
def pytest_fixture_setup(
    fixturedef: Any,  # noqa: ANN401 - its type says that `func` is final, yet this is how it is done
    request: pytest.FixtureRequest,
) -> Generator[None, object, object]:
    """Refuse the fixture `tower` where nothing runs coroutines.

    pytest would, too, but only once: for the tests that come next the fixture would be broken.
    """
    function = fixturedef.func
    if function.__module__ != __name__ or not inspect.isasyncgenfunction(function):
        return (yield)

    def refuse(**_: object) -> None:
        pytest.fail(_NOT_RUN.format(request.node.name), pytrace=False)

    fixturedef.func = refuse
    try:
        return (yield)
    finally:
        fixturedef.func = function


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
