"""Types of test doubles. Not run: `nox -s types` checks it with mypy and pyright.

A line that both type checkers must reject has a comment `type: ignore`; see ``calls.py``.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import Protocol, assert_type

from cloudtower_async import Cloudtower, inputs, models
from cloudtower_async.api.vm import VmNamespace
from cloudtower_async.testing import make
from cloudtower_async.types import OMITTED, WithTask


class Vms(Protocol):
    """Part of a namespace that a function needs."""

    async def get_vms(self, *, where: inputs.VmWhereInput = OMITTED) -> list[models.Vm]:
        """Return VMs."""
        ...


class Volumes(Protocol):
    """Methods that the namespace of VMs lacks."""

    async def get_volumes(self) -> list[models.VmVolume]:
        """Return volumes."""
        ...


class HasVms(Protocol):
    """Part of a session that a function needs."""

    @property
    def vm(self) -> Vms:
        """Operations for VMs."""
        ...


class HasVolumes(Protocol):
    """Attributes that sessions lack."""

    @property
    def vm(self) -> Volumes:
        """Operations for VMs."""
        ...


class TwoVms:
    """A double of `Vms`."""

    async def get_vms(self, *, where: inputs.VmWhereInput = OMITTED) -> list[models.Vm]:
        """Return two VMs."""
        return [make(models.Vm, name="a"), make(models.Vm, name="b")] if not where else []


class TwoVmsTower:
    """A double of `HasVms`."""

    vm = TwoVms()


async def of_namespace(vms: Vms) -> list[models.Vm]:
    """Take a namespace or a double of one."""
    return await vms.get_vms(where={"name": "web-1"})


async def of_session(tower: HasVms) -> list[models.Vm]:
    """Take a session or a double of one."""
    return await tower.vm.get_vms()


async def of_volumes(tower: HasVolumes) -> list[models.VmVolume]:
    """Take an object that is not a session."""
    return await tower.vm.get_volumes()


async def protocols(tower: Cloudtower) -> None:
    """Sessions, namespaces and doubles all fit protocols."""
    assert_type(tower.vm, VmNamespace)
    await of_namespace(tower.vm)
    await of_namespace(TwoVms())
    await of_session(tower)
    await of_session(TwoVmsTower())
    await of_volumes(tower)  # type: ignore[arg-type]
    tower.vm = TwoVms()  # type: ignore[assignment, misc]


def made() -> None:
    """A struct from `make` has the requested type."""
    assert_type(make(models.Vm, name="web-1"), models.Vm)
    assert_type(make(WithTask[models.Vm]), WithTask[models.Vm])
    make(dict)  # type: ignore[type-var]
