"""Operations and namespaces are found by name, path or struct."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.api.catalogue import OPERATIONS, READERS
from cloudtower_async.calls import registry
from cloudtower_async.testing import Simulator


def test_every_operation_is_found_by_its_name_and_its_path() -> None:
    for path, name in OPERATIONS.items():
        found = registry.operation(name)
        assert (found.path, found.name) == (path, name)
        assert registry.operation_at(path) is found


def test_every_reader_is_found_by_the_struct_that_a_mutation_returns() -> None:
    for struct, name in READERS.items():
        assert registry.reader(struct) is registry.operation(name)


def test_every_operation_belongs_to_one_namespace() -> None:
    names = [one.name for name in registry.namespaces() for one in registry.operations_in(name)]
    assert sorted(names) == sorted(OPERATIONS.values())


def test_unknown_names_and_paths_are_not_found() -> None:
    with pytest.raises(KeyError):
        registry.operation_at("/get-nothing")
    with pytest.raises(KeyError):
        registry.reader("Nothing")
    assert registry.operation_of(len) is None


@pytest.mark.anyio
async def test_a_bound_method_is_that_of_the_session() -> None:
    async with (
        Simulator(vms=3) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        operation = registry.operation("vm.get_vms")
        assert registry.operation_of(tower.vm.get_vms) is operation
        executor = tower.vm._executor  # pyright: ignore[reportPrivateUsage]
        method = registry.bound_method(operation, executor)
        assert await method(first=1) == await tower.vm.get_vms(first=1)


@pytest.mark.subprocess
def test_importing_the_registry_loads_nothing_generated() -> None:
    code = (
        "import sys, cloudtower_async.calls.registry; "
        "print([m for m in sys.modules if m.startswith(('cloudtower_async.api', "
        "'cloudtower_async.inputs', 'cloudtower_async.models'))])"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
