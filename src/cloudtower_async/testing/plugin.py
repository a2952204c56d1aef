"""The pytest plugin: simulated CloudTowers for tests, each for one test, a module or the whole run.

pytest loads this at its start, wherever the package is installed: nothing else is loaded here.
"""

from __future__ import annotations

import inspect
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from ..client import Cloudtower
    from ..simulator.simulator import Simulator

_MARKER = (
    "tower(size, **options): options of the test's simulator: a size such as "
    '"3 clusters, 200 VMs", and the options of cloudtower_async.testing.Simulator'
)

_NOT_RUN = (
    "{} takes the fixture tower, but nothing runs it as a coroutine: mark an `async def` test with "
    "@pytest.mark.anyio, or with @pytest.mark.asyncio where pytest-asyncio 1.1 or later is "
    "installed; a test that is not a coroutine can take the fixture tower_simulator"
)

_SHARED = ("module_tower_simulator", "session_tower_simulator")

_NOT_ITS_OWN = (
    "{}: the marker tower of a test has no effect on the simulator that it shares: {}; for a "
    "simulator of its own, use the fixture tower_simulator alone"
)
_SHARED_OPTIONS = {
    "module_tower_simulator": "mark the module instead, with pytestmark = pytest.mark.tower(...)",
    "session_tower_simulator": "override the fixture session_tower_options in conftest.py instead",
}


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the support for pytest-asyncio where that is in use."""
    config.addinivalue_line("markers", _MARKER)
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.register(_PytestAsyncio(), "cloudtower-async-asyncio")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Reject markers that would have no effect."""
    names = getattr(item, "fixturenames", ())
    for fixture in [name for name in _SHARED if name in names]:
        for node, _ in item.iter_markers_with_node("tower"):
            # Marks of a module also apply to its tests that share a simulator of the run.
            if not isinstance(node, (pytest.Module, pytest.Package, pytest.Session)):
                pytest.fail(
                    _NOT_ITS_OWN.format(item.nodeid, _SHARED_OPTIONS[fixture]), pytrace=False
                )


@pytest.hookimpl(wrapper=True, trylast=True)  # after the plugins that run coroutines
def pytest_fixture_setup(
    fixturedef: Any,  # noqa: ANN401 - its type says that `func` is final, yet this is how it is done
    request: pytest.FixtureRequest,
) -> Generator[None, object, object]:
    """Reject the fixture `tower` where nothing runs coroutines.

    pytest would, too, but only once: the fixture would be broken for the tests that follow.
    """
    function = fixturedef.func
    if not _is_ours(function):
        return (yield)

    def reject(**_: object) -> None:
        pytest.fail(_NOT_RUN.format(request.node.name), pytrace=False)

    fixturedef.func = reject
    try:
        return (yield)
    finally:
        fixturedef.func = function


class _PytestAsyncio:
    """Lets pytest-asyncio run the fixture `tower`, in the event loop of the test.

    In its strict mode pytest-asyncio runs fixtures that were made with its own decorator only, and
    in either mode a fixture that does not name the scope of its event loop gets a loop that may
    not be the one of the test.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-asyncio looks at it
    def pytest_fixture_setup(
        self,
        fixturedef: Any,  # noqa: ANN401 - as above
        request: pytest.FixtureRequest,
    ) -> Generator[None, object, object]:
        """Mark the fixture as one of pytest-asyncio until it is torn down."""
        function = fixturedef.func
        marker = request.node.get_closest_marker("asyncio") if _is_ours(function) else None
        if marker is None:
            return (yield)
        from pytest_asyncio import fixture

        # A copy, as the decorator leaves its mark on the function, and other tests may use anyio.
        copy = types.FunctionType(function.__code__, function.__globals__, function.__name__)
        fixture(copy, loop_scope=_loop_scope(marker, request.config))
        fixturedef.func = copy
        fixturedef.addfinalizer(lambda: setattr(fixturedef, "func", function))
        return (yield)


def _is_ours(function: Callable[..., object]) -> bool:
    """Whether this is the fixture `tower` of this module, and nothing has wrapped it yet."""
    return function.__module__ == __name__ and inspect.isasyncgenfunction(function)


def _loop_scope(marker: pytest.Mark, config: pytest.Config) -> Any:  # noqa: ANN401 - a literal
    """The scope of the event loop that pytest-asyncio runs a test in."""
    named = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")
    try:
        return named or config.getini("asyncio_default_test_loop_scope")
    except ValueError:  # before pytest-asyncio 0.26 there is no such option
        return "function"


@pytest.fixture
def tower_simulator(request: pytest.FixtureRequest) -> Generator[Simulator]:
    """A simulated CloudTower that runs for as long as the test.

    It has its own event loop in a thread: tests need no event loop, and may block theirs.
    ``@pytest.mark.tower("3 clusters, 200 VMs", seed=7)`` sets its options.
    """
    with _running(_options(request.node)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def module_tower_simulator(request: pytest.FixtureRequest) -> Generator[Simulator]:
    """A simulated CloudTower that the tests of a module share.

    ``pytestmark = pytest.mark.tower(...)`` in the module sets its options.
    """
    with _running(_options(request.node)) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def session_tower_options() -> dict[str, Any]:
    """Options of the simulator that all tests share; override it in ``conftest.py``."""
    return {}


@pytest.fixture(scope="session")
def session_tower_simulator(session_tower_options: dict[str, Any]) -> Generator[Simulator]:
    """A simulated CloudTower that all tests share.

    The fixture ``session_tower_options`` returns its options.
    """
    with _running(session_tower_options) as simulator:
        yield simulator


@pytest.fixture
async def tower(tower_simulator: Simulator) -> AsyncGenerator[Cloudtower]:
    """A session with the simulator, logged in."""
    from ..client import Cloudtower

    async with Cloudtower(
        tower_simulator.url, username=tower_simulator.username, password=tower_simulator.password
    ) as session:
        yield session


@contextmanager
def _running(options: dict[str, Any]) -> Generator[Simulator]:
    """Run a simulator in a thread."""
    from anyio.from_thread import start_blocking_portal

    from ..simulator.simulator import Simulator

    simulator = Simulator(**options)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(simulator) as running,
    ):
        yield running


def _options(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """The options that the markers of a test or a module set; the nearest marker comes first."""
    options: dict[str, Any] = {}
    for marker in node.iter_markers("tower"):
        given = dict(zip(("size",), marker.args, strict=False))
        if len(marker.args) > 1:
            raise pytest.UsageError(f"{node.nodeid}: the marker tower takes one size, then options")
        options = given | dict(marker.kwargs) | options
    return options
