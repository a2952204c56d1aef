"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

Passes: TypeAlias = "Callable[[str, int], None]"


@pytest.fixture
def passes(pytester: pytest.Pytester) -> Passes:
    """Run a test module as users do, as strict as we are; so many tests must pass."""

    def run(module: str, number: int) -> None:
        pytester.makepyfile(module)
        options = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:cacheprovider")
        pytester.runpytest_subprocess(*options).assert_outcomes(passed=number)

    return run


def test_loading_it_loads_nothing_of_weight() -> None:
    code = (
        "import sys, cloudtower_async.testing.plugin\n"
        "print(*sorted(m for m in sys.modules if m.startswith('cloudtower_async')))\n"
        "print(*{'aiohttp', 'anyio', 'msgspec'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == [
        *("cloudtower_async", "cloudtower_async._version"),
        *("cloudtower_async.testing", "cloudtower_async.testing.plugin"),
    ]


def test_an_async_test_gets_a_session_and_the_simulator(passes: Passes) -> None:
    passes(
        """
        import pytest

        @pytest.mark.anyio
        async def test_it(tower, tower_simulator):
            stopped = await tower.vm.get_vms(where={"status": "STOPPED"})
            await tower.wait(await tower.vm.start_vm(where={"status": "STOPPED"}), interval=0.05)
            assert not await tower.vm.get_vms(where={"status": "STOPPED"})
            assert tower_simulator.sent("start-vm") == [{"where": {"status": "STOPPED"}}]
            assert len(stopped) > 0
        """,
        1,
    )


def test_a_test_without_an_event_loop_gets_the_simulator(passes: Passes) -> None:
    passes(
        """
        from urllib.request import urlopen

        def test_it(tower_simulator):
            with urlopen(tower_simulator.url + "/api/healthz") as answer:
                assert answer.status == 200

        def test_each_has_its_own(tower_simulator):
            assert tower_simulator.requests == []
        """,
        2,
    )


def test_markers_say_what_the_simulator_is_made_with(passes: Passes) -> None:
    passes(
        """
        import pytest
        from cloudtower_async.testing import FleetSize

        pytestmark = pytest.mark.tower(vms=3, seed=7)

        def test_of_the_module(tower_simulator):
            assert (tower_simulator.size.vms, tower_simulator.seed) == (3, 7)

        @pytest.mark.tower(vms=5, task_duration=0)
        def test_the_nearest_counts(tower_simulator):
            assert (tower_simulator.size.vms, tower_simulator.seed) == (5, 7)

        @pytest.mark.tower(FleetSize(clusters=1))
        def test_a_size(tower_simulator):
            assert len(tower_simulator.store.table("Cluster")) == 1

        @pytest.mark.tower("3 clusters, 6 VMs", vms=4)
        def test_a_size_in_words(tower_simulator):
            assert len(tower_simulator.store.table("Cluster")) == 3
            assert len(tower_simulator.store.table("Vm")) == 4
        """,
        4,
    )


def test_a_marker_that_makes_no_sense_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.tower(1, 2)
        def test_two_sizes(tower_simulator): ...

        @pytest.mark.tower(vmms=1)
        def test_a_slip(tower_simulator): ...
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*the marker tower takes one size, then options"])
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'vmms'"])
