"""pytest plugin: fixtures with a simulated CloudTower for one test, one module or the whole run.

If the package is installed, pytest loads this module at every start. Therefore, the module imports
few other modules.
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
    """Register the marker ``tower``. If pytest-asyncio is active, add support for it."""
    config.addinivalue_line("markers", _MARKER)
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.register(_PytestAsyncio(), "cloudtower-async-asyncio")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that uses a shared simulator if the test or its class has the marker ``tower``.

    A shared simulator would ignore this marker. A marker of the whole module is allowed.
    """
    names = getattr(item, "fixturenames", ())
    for fixture in [name for name in _SHARED if name in names]:
        for node, _ in item.iter_markers_with_node("tower"):
            # A marker on a module is allowed, because other tests of the module may use the marker.
            if not isinstance(node, (pytest.Module, pytest.Package, pytest.Session)):
                pytest.fail(
                    _NOT_ITS_OWN.format(item.nodeid, _SHARED_OPTIONS[fixture]), pytrace=False
                )


@pytest.hookimpl(wrapper=True, trylast=True)  # runs after the plugins that run coroutines
def pytest_fixture_setup(
    fixturedef: Any,  # noqa: ANN401 - its type declares `func` as final, but this hook sets `func`
    request: pytest.FixtureRequest,
) -> Generator[None, object, object]:
    """Fail tests that use the fixture `tower` if no plugin runs coroutines.

    Without this hook, pytest would fail only the first of these tests. The other tests would get a
    broken fixture.
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
    """Support for pytest-asyncio: it runs the fixture `tower` in the event loop of the test.

    In strict mode, pytest-asyncio only runs fixtures created with its own decorator. In strict and
    auto mode, a fixture without a loop scope may run in a different event loop than the test.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # runs before pytest-asyncio inspects the fixture
    def pytest_fixture_setup(
        self,
        fixturedef: Any,  # noqa: ANN401 - its type declares `func` as final
        request: pytest.FixtureRequest,
    ) -> Generator[None, object, object]:
        """Turn the fixture `tower` into a pytest-asyncio fixture until its teardown."""
        function = fixturedef.func
        marker = request.node.get_closest_marker("asyncio") if _is_ours(function) else None
        if marker is None:
            return (yield)
        from pytest_asyncio import fixture

        # Use a copy, because the decorator marks the function, and other tests may use anyio.
        copy = types.FunctionType(function.__code__, function.__globals__, function.__name__)
        fixture(copy, loop_scope=_loop_scope(marker, request.config))
        fixturedef.func = copy
        fixturedef.addfinalizer(lambda: setattr(fixturedef, "func", function))
        return (yield)


def _is_ours(function: Callable[..., object]) -> bool:
    """Return whether `function` is the original function of the fixture `tower`."""
    return function.__module__ == __name__ and inspect.isasyncgenfunction(function)


def _loop_scope(marker: pytest.Mark, config: pytest.Config) -> Any:  # noqa: ANN401 - a literal
    """Return the scope of the event loop in which pytest-asyncio runs a test.

    An example is ``"module"``.
    """
    named = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")
    try:
        return named or config.getini("asyncio_default_test_loop_scope")
    except ValueError:  # pytest-asyncio before 0.26 lacks this option
        return "function"


@pytest.fixture
def tower_simulator(request: pytest.FixtureRequest) -> Generator[Simulator]:
    """A simulated CloudTower for one test.

    The simulator runs in a separate thread with its own event loop. Therefore, the test can be a
    plain function without an event loop. If the test has an event loop, blocking this loop does not
    block the simulator.

    ``@pytest.mark.tower("3 clusters, 200 VMs", seed=7)`` sets the options of the simulator.
    """
    with _running(_options(request.node)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def module_tower_simulator(request: pytest.FixtureRequest) -> Generator[Simulator]:
    """A simulated CloudTower shared by all tests of a module.

    ``pytestmark = pytest.mark.tower(...)`` in the module sets the options of the simulator.
    """
    with _running(_options(request.node)) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def session_tower_options() -> dict[str, Any]:
    """Keyword arguments of `Simulator` for the fixture `session_tower_simulator`.

    Override this fixture in ``conftest.py``.
    """
    return {}


@pytest.fixture(scope="session")
def session_tower_simulator(session_tower_options: dict[str, Any]) -> Generator[Simulator]:
    """A simulated CloudTower shared by all tests of the run.

    The fixture ``session_tower_options`` provides the options of the simulator.
    """
    with _running(session_tower_options) as simulator:
        yield simulator


@pytest.fixture
async def tower(tower_simulator: Simulator) -> AsyncGenerator[Cloudtower]:
    """A logged-in session with the simulator of the fixture ``tower_simulator``."""
    from ..client import Cloudtower

    async with Cloudtower(
        tower_simulator.url, username=tower_simulator.username, password=tower_simulator.password
    ) as session:
        yield session


@contextmanager
def _running(options: dict[str, Any]) -> Generator[Simulator]:
    """Run a simulator in a separate thread, and stop it at the end of the ``with`` block."""
    from anyio.from_thread import start_blocking_portal

    from ..simulator.simulator import Simulator

    simulator = Simulator(**options)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(simulator) as running,
    ):
        yield running


def _options(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """Return the options in the markers ``tower``. A marker of a test overrides its module's."""
    options: dict[str, Any] = {}
    for marker in node.iter_markers("tower"):
        given = dict(zip(("size",), marker.args, strict=False))
        if len(marker.args) > 1:
            raise pytest.UsageError(f"{node.nodeid}: the marker tower takes one size, then options")
        options = given | dict(marker.kwargs) | options
    return options
