"""Applications that bundle the package: built by PyInstaller, and as a zipapp."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipapp
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

import cloudtower_async
from cloudtower_async.testing import Simulator
from tests.support import THOROUGH

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.subprocess

PROGRAM = """
import asyncio
import sys

import cloudtower_async
from cloudtower_async import Cloudtower
from cloudtower_async.recipes import build_dashboard


async def main() -> None:
    endpoint, username, password = sys.argv[1:]
    async with Cloudtower(endpoint, username=username, password=password) as tower:
        vms = await tower.vm.get_vms(where={"status": "STOPPED"}, order_by="name_ASC")
        [vm] = await tower.settle(tower.vm.start_vm(where={"id": vms[0].id}))
        board = await build_dashboard(tower)
        print(vm.status, len(board.clusters), cloudtower_async.__file__, sep="|")


if sys.argv[1] == "dashboard":
    from cloudtower_async.cli import main as command

    sys.exit(command())
asyncio.run(main())
"""

# Large packages for other tests, which PyInstaller would analyze.
OTHERS = ("IPython", "keyring", "numpy", "opentelemetry", "pandas", "polars", "pyarrow", "pytest")


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Run a command and return its output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def call(command: Sequence[str | Path], folder: Path) -> tuple[str, str]:
    """Run the program against a simulator; return the path of its package and a cluster count."""
    async with Simulator(clusters=2) as sim:
        arguments = [*command, sim.url, sim.username, sim.password]
        output = await anyio.to_thread.run_sync(run, arguments, folder)
        assert len(sim.sent("start-vm")) == 1
    status, clusters, package = output.strip().split("|")
    assert status == "RUNNING"
    return package, clusters


@pytest.mark.anyio
@pytest.mark.skipif(not THOROUGH, reason="takes minutes; `nox -s thorough` runs this test")
@pytest.mark.timeout(600)  # PyInstaller reads every module of every imported package
async def test_a_program_frozen_by_pyinstaller_runs(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller", reason="PyInstaller is not installed")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    excluded = [f"--exclude-module={name}" for name in OTHERS]
    freeze = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=ERROR", *excluded]
    await anyio.to_thread.run_sync(partial(run, [*freeze, program], tmp_path))
    frozen = tmp_path / "dist" / "program" / "program"
    package, clusters = await call([frozen], tmp_path)
    assert Path(package).is_relative_to(tmp_path)
    assert clusters == "2"
    shown = await anyio.to_thread.run_sync(partial(run, [frozen, "dashboard", "--demo"], tmp_path))
    assert "CPU" in shown


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Build a zipapp of the program and the package, without their dependencies."""
    root = Path(cloudtower_async.__file__).parent
    source, target = tmp_path / "app", tmp_path / "app.pyz"
    shutil.copytree(root, source / root.name, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    zipapp.create_archive(source, target, compressed=True)
    return target


@pytest.mark.anyio
async def test_a_zipapp_runs_where_its_dependencies_are_installed(
    archive: Path, tmp_path: Path
) -> None:
    package, clusters = await call([sys.executable, archive], tmp_path)
    assert Path(package).is_relative_to(archive)
    assert clusters == "2"
