"""`python -m benchmarks.installed`: size of the wheel, and cost of the package for type checkers.

The wheel is built from this checkout. The CPU time of mypy is measured without a cache, alternately
on a program with the package and on a program without it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from .figures import Figure, print_as_lines, spread

ROUNDS = 3
# `pyarrow-stubs`, a dependency of our own type checks, imports all of pyarrow and numpy. Users of
# the extra `arrow` have only pyarrow, which has no stubs that mypy would read.
CONFIG = "[mypy]\n[mypy-pyarrow.*]\nfollow_imports = skip\nfollow_imports_for_stubs = True\n"
WITHOUT = "import aiohttp\nimport anyio\nimport msgspec\n"
WITH = f"""{WITHOUT}
from cloudtower_async import Cloudtower


async def main(tower: Cloudtower) -> None:
    vms = await tower.vm.get_vms(where={{"name_contains": "web", "cluster": {{"name": "prod"}}}})
    hosts = await tower.host.get_hosts(where={{"vms_some": {{"id_in": [vm.id for vm in vms]}}}})
    await tower.alert.get_alerts(where={{"host": {{"id_in": [host.id for host in hosts]}}}})
"""


def sizes() -> list[Figure]:
    """Return the figures of the size of the wheel, packed and unpacked."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, "."]
        subprocess.run(command, check=True)  # noqa: S603 - our own code
        [wheel] = Path(folder).glob("*.whl")
        packed = wheel.stat().st_size / 1e6
        with zipfile.ZipFile(wheel) as archive:
            unpacked = sum(member.file_size for member in archive.infolist()) / 1e6
    return [
        Figure(what="size of the wheel", value=packed, unit="MB", goal=1.5, note="vendor: 5 MB"),
        Figure(
            what="size of the unpacked wheel",
            value=unpacked,
            unit="MB",
            goal=8,
            note="vendor: 32 MB",
        ),
    ]


def checking(program: str) -> float:
    """Return the CPU time in seconds of mypy on a program, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "program.py").write_text(program)
        Path(folder, "mypy.ini").write_text(CONFIG)
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir=cache", "program.py"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(  # noqa: S603 - our own code
            command,
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def types() -> Figure:
    """Return the figure of the CPU time that the package adds to mypy with an empty cache."""
    pairs = [(checking(WITH), checking(WITHOUT)) for _ in range(ROUNDS)]
    value, low, high = spread([own - base for own, base in pairs])
    own, base = (spread(each)[0] for each in zip(*pairs, strict=True))
    return Figure(
        what="time that the package adds to a cold `mypy --strict` of a small program",
        value=value,
        low=low,
        high=high,
        unit="s",
        goal=5,
        note=f"{own:.1f} s with the package, {base:.1f} s without; measured without type stubs "
        "of pyarrow, because the extra `arrow` does not install them",
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print_as_lines(sizes())
    if find_spec("mypy"):
        print_as_lines([types()])


if __name__ == "__main__":
    main()
