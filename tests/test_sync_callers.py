"""The page about synchronous callers: notebooks, forks, and one login per event loop."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from cloudtower_async.testing import Simulator
from tests.pages import DOCS, NAMED, blocks
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

PAGE = DOCS / "sync.md"

FORKS = """
import os, sys
from cloudtower_async import Cloudtower
import blocking_tower

unused = Cloudtower.from_env()  # made before the fork, as by a server that preloads the app

def work():
    import asyncio
    async def one_call():
        async with unused:
            return len(await unused.vm.get_vms())
    tower = blocking_tower.get_tower()
    assert len(blocking_tower.call(tower.vm.get_vms)) == 3
    assert asyncio.run(one_call()) == 3

children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        work()
        sys.exit()
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""

USED_BEFORE_THE_FORK = """
import asyncio, os, sys
from cloudtower_async import Cloudtower, SessionClosed

used = Cloudtower.from_env()
loop = asyncio.new_event_loop()
loop.run_until_complete(used.vm.get_vms())
if os.fork() == 0:
    try:
        asyncio.run(used.vm.get_vms())
    except SessionClosed as error:
        os._exit(7 if "another event loop" in str(error) else 1)
    os._exit(1)
code = os.waitstatus_to_exitcode(os.wait()[1])
loop.run_until_complete(used.vm.get_vms())  # the parent's connections still work
loop.run_until_complete(used.close())
loop.close()
sys.exit(code)
"""


async def run(program: str, folder: Path, sim: Simulator, code: int = 0) -> None:
    done = await anyio.run_process(
        [sys.executable, "-c", program], env=login_variables(sim), cwd=folder, check=False
    )
    assert done.returncode == code, done.stderr.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the modules of the page."""
    for block in blocks(PAGE, "python"):
        if named := NAMED.match(block.text):
            (tmp_path / named[1]).write_text(block.text, encoding="utf-8")
    return tmp_path


@pytest.mark.subprocess
async def test_each_forked_process_opens_a_separate_session(folder: Path) -> None:
    async with Simulator(vms=3) as sim:
        await run(FORKS, folder, sim)
        assert len(sim.sent("login")) == 4


@pytest.mark.subprocess
async def test_a_session_that_was_used_before_a_fork_is_refused_after_it(tmp_path: Path) -> None:
    async with Simulator(vms=3) as sim:
        await run(USED_BEFORE_THE_FORK, tmp_path, sim, code=7)
        assert len(sim.sent("login")) == 1


REFUSED = """
import asyncio
closing = tower.close()
try:
    asyncio.run(closing)
except RuntimeError:
    print("refused")
closing.close()
"""


@pytest.mark.subprocess
async def test_the_cells_of_the_page_run_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [block.text for block in blocks(PAGE, "py")]
    cells.insert(-1, REFUSED)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    async with Simulator(vms=0) as sim:
        set_login_variables(monkeypatch, sim)
        sim.add_vm(name="till")
        await nbclient.NotebookClient(notebook, kernel_name="python3").async_execute()
        assert len(sim.sent("login")) == 1
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    shown = [output.get("text") or output.data["text/plain"] for output in outputs]
    assert shown == ["['till']", "refused\n"]


ONE_LOOP_FOR_EACH_CALL = """
import asyncio
from asgiref.sync import async_to_sync
from cloudtower_async import Cloudtower, SessionClosed

async def count():
    async with Cloudtower.from_env() as tower:
        return await tower.count(tower.vm.get_vms)

assert [async_to_sync(count)(), async_to_sync(count)()] == [3, 3]

async def count_shared():
    return await shared.count(shared.vm.get_vms)

for run in (async_to_sync(count_shared), lambda: asyncio.run(count_shared())):
    shared = Cloudtower.from_env()
    assert run() == 3
    try:
        run()
    except SessionClosed as error:
        assert "the session belongs to another event loop" in str(error)
    else:
        raise AssertionError
"""


@pytest.mark.subprocess
async def test_a_loop_for_each_call_needs_a_session_and_a_login_for_each_call(
    tmp_path: Path,
) -> None:
    pytest.importorskip("asgiref")
    async with Simulator(vms=3) as sim:
        await run(ONE_LOOP_FOR_EACH_CALL, tmp_path, sim)
        assert len(sim.sent("login")) == 4
