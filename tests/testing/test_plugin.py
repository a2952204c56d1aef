"""The pytest plugin, in a separate pytest process."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.support import THOROUGH

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.subprocess

pytest_plugins = ["pytester"]

Passes: TypeAlias = "Callable[[str, int], None]"


# pytest-asyncio warns unless the loop of its fixtures is configured.
ASYNCIO = ("-o", "asyncio_default_fixture_loop_scope=function")
STRICT = ("-W", "error", "--strict-markers", "--strict-config", "-p", "no:cacheprovider")


@pytest.fixture
def passes(pytester: pytest.Pytester) -> Passes:
    """Run a test module with anyio and strict settings; return the number of passed tests."""

    def run(module: str, number: int) -> None:
        pytester.makepyfile(module)
        pytester.runpytest_subprocess(*STRICT, "-p", "no:asyncio").assert_outcomes(passed=number)

    return run


def test_loading_the_plugin_imports_only_the_plugin() -> None:
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


def test_nodes_refuse_and_accept_from_the_loop_of_the_test(passes: Passes) -> None:
    passes(
        """
        import anyio
        import pytest
        from cloudtower_async import ConnectionFailed

        pytestmark = pytest.mark.anyio

        async def test_it(tower, tower_simulator):
            [vm] = await tower.vm.get_vms(where={"status": "STOPPED"}, first=1)
            [node] = tower_simulator.nodes
            for _ in range(20):
                await tower.vm.get_vms(first=1)  # leaves a connection open
                await node.refuse()
                with anyio.fail_after(10), pytest.raises(ConnectionFailed) as caught:
                    await tower.vm.start_vm(where={"id": vm.id})
                assert caught.value.sent is False
                await node.accept()
            assert tower_simulator.sent("start-vm") == []

        async def test_a_call_that_hangs_ends(tower, tower_simulator):
            [node] = tower_simulator.nodes
            await tower.vm.get_vms(first=1)
            tower_simulator.faults.hang("get-vms")
            with anyio.fail_after(10):
                async with anyio.create_task_group() as group:
                    group.start_soon(tower.vm.get_vms)
                    while len(tower_simulator.sent("get-vms")) < 2:
                        await anyio.lowlevel.checkpoint()
                    await node.refuse()
                    await node.accept()  # so that it can be asked again

        async def test_when_it_has_stopped_there_is_nothing_left_to_do(tower_simulator):
            [node] = tower_simulator.nodes
            await node.stop()
            await node.refuse()
            await node.accept()
        """,
        3,
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


def test_markers_set_the_options_of_the_simulator(passes: Passes) -> None:
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


def test_the_tests_of_a_module_and_of_a_run_share_a_simulator(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def session_tower_options():
            return {"vms": 3}
        """
    )
    module = """
        import pytest

        pytestmark = [pytest.mark.anyio, pytest.mark.tower(vms=5)]

        @pytest.fixture
        def tower_simulator(module_tower_simulator):
            return module_tower_simulator

        async def test_first(tower, session_tower_simulator):
            assert await tower.count(tower.vm.get_vms) == 5
            assert session_tower_simulator.size.vms == 3
            session_tower_simulator.requests.append(None)

        async def test_second(tower, module_tower_simulator, session_tower_simulator):
            assert len(module_tower_simulator.sent("login")) == 2
            assert len(session_tower_simulator.requests) == {number}
        """
    pytester.makepyfile(test_a=module.replace("{number}", "1"))
    pytester.makepyfile(test_b=module.replace("{number}", "2"))
    result = pytester.runpytest_subprocess(*STRICT, "-p", "no:asyncio")
    result.assert_outcomes(passed=4)


def test_a_marker_without_effect_on_a_shared_simulator_is_rejected(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.tower(vms=1)
        def test_module(module_tower_simulator): ...

        @pytest.mark.tower(vms=1)
        class TestRun:
            def test_run(self, session_tower_simulator): ...

        @pytest.mark.tower(vms=1)
        def test_own(tower_simulator): ...
        """
    )
    result = pytester.runpytest_subprocess(*STRICT, "-p", "no:asyncio")
    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*::test_module: the marker tower*pytestmark = pytest.mark.tower*",
            "*::test_run: the marker tower*override the fixture session_tower_options*",
        ]
    )


@pytest.mark.parametrize(
    ("scope", "mode"),
    [("function", "auto"), ("session", "strict")]
    if not THOROUGH
    else itertools.product(["function", "module", "session"], ["strict", "auto"]),
)
def test_pytest_asyncio_runs_the_session_in_the_loop_of_the_test(
    pytester: pytest.Pytester, scope: str, mode: str
) -> None:
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(
        f"""
        import pytest

        pytestmark = pytest.mark.asyncio(loop_scope="{scope}")

        async def test_it(tower, tower_simulator):
            assert await tower.vm.get_vms(first=1)
            assert tower_simulator.sent("get-vms") == [{{"first": 1}}]

        async def test_again(tower):
            assert await tower.vm.get_vms(first=1)

        class TestInClasses:
            @pytest.mark.tower(vms=2)
            async def test_it(self, tower):
                assert len(await tower.vm.get_vms()) == 2
        """
    )
    result = pytester.runpytest_subprocess(*STRICT, *ASYNCIO, f"--asyncio-mode={mode}")
    result.assert_outcomes(passed=3)


def test_pytest_asyncio_may_set_the_loop_of_all_tests(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(
        """
        async def test_it(tower):
            assert await tower.vm.get_vms(first=1)
        """
    )
    options = ("--asyncio-mode=auto", "-o", "asyncio_default_test_loop_scope=session")
    pytester.runpytest_subprocess(*STRICT, *ASYNCIO, *options).assert_outcomes(passed=1)


def test_tests_of_anyio_and_of_pytest_asyncio_live_in_one_module(
    pytester: pytest.Pytester,
) -> None:
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.asyncio
        async def test_asyncio(tower):
            assert await tower.vm.get_vms(first=1)

        @pytest.mark.anyio
        async def test_anyio(tower):
            assert await tower.vm.get_vms(first=1)

        async def test_nobody(tower): ...

        @pytest.mark.asyncio(loop_scope="module")
        async def test_asyncio_again(tower):
            assert await tower.vm.get_vms(first=1)
        """
    )
    result = pytester.runpytest_subprocess(*ASYNCIO, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        ["test_nobody takes the fixture tower,*@pytest.mark.anyio*@pytest.mark.asyncio*"]
    )


def test_a_session_can_last_as_long_as_a_module(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(
        """
        import pytest
        import pytest_asyncio
        from cloudtower_async import Cloudtower

        pytestmark = pytest.mark.asyncio(loop_scope="module")

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def tower(module_tower_simulator):
            simulator = module_tower_simulator
            async with Cloudtower(
                simulator.url, username=simulator.username, password=simulator.password
            ) as session:
                yield session

        async def test_it(tower):
            assert await tower.vm.get_vms(first=1)

        async def test_again(tower, module_tower_simulator):
            assert await tower.vm.get_vms(first=1)
            assert len(module_tower_simulator.sent("login")) == 1
        """
    )
    pytester.runpytest_subprocess(*STRICT, *ASYNCIO).assert_outcomes(passed=2)


def test_a_test_that_cannot_have_a_session_gets_an_error_with_the_reason(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_no_coroutine(tower): ...

        async def test_no_mark(tower): ...

        async def test_neither_has_this(tower): ...

        @pytest.mark.anyio
        async def test_the_mark(tower):
            await tower.vm.get_vms(first=1)

        class TestOverridden:
            @pytest.fixture
            def tower(self):
                return "of bricks"

            def test_it(self, tower):
                assert tower == "of bricks"
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(errors=3, passed=2)
    for name in ("test_no_coroutine", "test_no_mark", "test_neither_has_this"):
        result.stdout.fnmatch_lines([f"{name} takes the fixture tower,*@pytest.mark.anyio,*"])
