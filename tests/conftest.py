"""Fixtures of every test."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from blockbuster import blockbuster_ctx

from tests import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

SIMULATOR = "tests/simulator/"

# The duration of an example depends on the machine more than on the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


# A process that ignores Ctrl-C (as after `&` in a shell, or nohup) passes that on to its children,
# and tests send Ctrl-C to them.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Check the marker of tests that start processes."""
    config.pluginmanager.register(processes)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose debug mode accepts that clients abort the TLS handshake.

    Clients abort the handshake when they do not trust the server. The debug mode of asyncio treats
    this as an error, and the test would fail.

    Attributes:
        ahead: Seconds by which a test has put the clock forward.
    """

    ahead = 0.0

    def time(self) -> float:
        """Return the time of the clock."""
        return super().time() + self.ahead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if context["message"] != "Error on transport creation for incoming connection":
            super().call_exception_handler(context)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Distribute whole files over the processes, and the simulator's tests to one process.

    The tests of the simulator share a count of compared answers.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return SIMULATOR if nodeid.startswith(SIMULATOR) else nodeid.partition("::")[0]

    return ByFile(config, log)


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that adds a line to the report after all tests.

    The function also works in the processes of pytest-xdist.
    """

    def note(text: str) -> None:
        request.node.user_properties.append(("told", text))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests reported."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in getattr(report, "user_properties", ()):
                if name == "told":
                    terminalreporter.write_line(text)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The SDK runs on asyncio only, as aiohttp does."""
    return "asyncio", {"loop_factory": Loop}


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[None]:
    """Fail if files or sockets block the event loop: they belong in threads."""
    with blockbuster_ctx("cloudtower_async"):
        yield


@pytest.fixture
def metric_reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """Reads the metrics of the test."""
    from opentelemetry.metrics import _internal
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    # A process can set a provider only once: remove that of the test when the test ends.
    monkeypatch.setattr(_internal, "_METER_PROVIDER", provider)
    yield reader
    provider.shutdown()


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Collects the spans of the test."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # A process can set a provider only once: remove that of the test when the test ends.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter
