"""Types of waits and locks. Not run; see `calls.py`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from cloudtower_async import Pending, models

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower
    from cloudtower_async.inputs import ExitMaintenanceModeInput


async def settled(tower: Cloudtower, data: ExitMaintenanceModeInput) -> None:
    """`settle` returns the type and form of the mutation's answer."""
    ids = ["v1", "v2"]
    started = await tower.vm.start_vm(where={"id_in": ids})
    assert_type(await tower.settle(tower.vm.start_vm(where={"id_in": ids})), list[models.Vm])
    assert_type(await tower.settle(started), list[models.Vm])
    assert_type(await tower.settle(one for one in started), list[models.Vm])
    assert_type(await tower.settle(started[0]), models.Vm)
    back = tower.host.exit_maintenance_mode(data=data, where={"host_id": "h1"})
    assert_type(await tower.settle(back, timeout=None), models.Host)
    assert_type(await tower.settle(tower.vm.delete_vm(where={"id_in": ids})), list[models.DeleteVm])
    batch = tower.vm.create_vm_from_content_library_template_batch
    assert_type(await tower.settle(await batch(template_id="t1", vms=[])), list[models.Vm])

    await tower.settle("cl01")  # type: ignore[arg-type]
    await tower.settle([models.DeleteVm(id="v1")])  # type: ignore[arg-type]
    await tower.settle(tower.vm.get_vms())  # type: ignore[arg-type]
    await tower.settle(started, fail_fast=True)  # type: ignore[call-overload]


async def stored(tower: Cloudtower) -> None:
    """A pending answer keeps the type and form of the answer until it is stored."""
    started = await tower.vm.start_vm(where={"id": "v1"})
    assert_type(tower.pending(started), Pending[list[models.Vm]])
    assert_type(tower.pending(started[0]), Pending[models.Vm])
    assert_type(await tower.settle(tower.pending(started)), list[models.Vm])
    assert_type(await tower.settle(tower.pending(started[0])), models.Vm)
    assert_type(await tower.wait(tower.pending(started)), list[models.Task])
    vms: list[models.Vm] = await tower.settle(Pending.from_json("{}"))
    await tower.wait([Pending.from_json("{}"), "t1"])
    tower.pending(tower.vm.start_vm(where={"id": "v1"}))  # type: ignore[call-overload]
    tower.pending("t1")  # type: ignore[arg-type]
    del vms


async def locked(tower: Cloudtower) -> None:
    """`lock` takes each id as a separate argument, not a list of ids."""
    async with tower.lock("v1", "v2", timeout=3) as nothing:
        assert_type(nothing, None)
    async with tower.lock(*["v1"]):
        pass
    tower.lock(["v1"])  # type: ignore[arg-type]
