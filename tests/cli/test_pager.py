"""Long tables in a pager."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async.testing import Simulator
from tests.cli.command import Terminal, plain, run_with
from tests.support import login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]

PAGED = "paged: "
PAGER = f"sed 's/^/{PAGED}/'"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=60) as simulator:
        yield simulator


async def on_terminal(sim: Simulator, *arguments: str, **variables: str) -> str:
    given = login_variables(sim) | {"COLUMNS": "80", "LINES": "24", "PAGER": PAGER} | variables

    def look() -> str:
        with Terminal(*arguments, variables=given) as terminal:
            assert terminal.wait() == 0
            return plain(terminal.shown)

    return await anyio.to_thread.run_sync(partial(look))


async def test_a_table_that_is_higher_than_the_terminal_goes_through_the_pager(
    sim: Simulator,
) -> None:
    shown = await on_terminal(sim, "get", "vms")
    assert shown.count(PAGED) == 61
    assert max(len(line.removeprefix(PAGED)) for line in shown.splitlines()) <= 80


async def test_other_output_is_written_as_it_is(sim: Simulator) -> None:
    for arguments, variables in (
        (("get", "vms", "--limit", "20"), {}),
        (("get", "vms", "--no-pager"), {}),
        (("get", "vms"), {"PAGER": "/no/such/pager"}),
    ):
        shown = await on_terminal(sim, *arguments, **variables)
        assert PAGED not in shown
        assert len(shown.splitlines()) >= 20
    ended = await run_with(sim, "get", "vms", PAGER=PAGER, LINES="24")
    assert ended.stdout.count("\n") == 61
    assert PAGED not in ended.stdout


async def test_quitting_the_pager_early_is_no_error(sim: Simulator) -> None:
    shown = await on_terminal(sim, "get", "vms", PAGER="head -n 3")
    assert len(shown.splitlines()) == 3


async def test_ctrl_c_is_for_the_pager(sim: Simulator) -> None:
    given = login_variables(sim) | {"LINES": "24", "PAGER": "sh -c 'trap : INT; cat; read end'"}

    def look() -> None:
        with Terminal("get", "vms", variables=given) as terminal:
            terminal.read_until("AGE")
            terminal.send(b"\x03")
            terminal.enter("end\n")
            assert terminal.wait() == 0
            assert "Traceback" not in terminal.shown

    await anyio.to_thread.run_sync(look)
