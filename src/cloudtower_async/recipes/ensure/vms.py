"""Make sure that a VM exists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ... import models
from ...client import Cloudtower
from ...validators import check_argument, function_fault
from ..vm_spec import Place
from .flow import RECONCILE_TIMEOUT, Ensured, Lookup, check_texts, check_times, ensure, in_cluster


async def ensure_vm(
    tower: Cloudtower,
    name: str,
    *,
    cluster: str,
    create: Callable[..., Awaitable[models.Vm]],
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 3600.0,
) -> Ensured[models.Vm]:
    """Make sure that a cluster has a VM with this name; create it if it is missing.

    An existing VM is returned as it is; its configuration is not compared. If an earlier call was
    interrupted while it created the VM, this call waits for the VM and returns it. VMs in the
    recycle bin do not count.

    A server refuses to create a VM whose name is taken, so duplicates are rare. There is one
    exception: a creation can fail with a time-out of the hypervisor, although the VM appears later.
    The call then raises `TaskFailed`. If you call `ensure_vm` again before the VM has appeared, the
    name is still free, so the call creates a second VM.

    Args:
        tower: The session to work with.
        name: Name of the VM.
        cluster: Name or id of the cluster.
        create: Function that creates and returns the VM, such as ``partial(create_blank_vm, vcpu=2,
            memory=4 * 2**30)``. The function is called as ``create(tower, name, cluster=…,
            timeout=…)``, where `cluster` is the id of the cluster.
        reconcile_timeout: Seconds to look for the VM if the response to the create request is lost.
            If the VM does not appear in this time, the request is sent once more. If the server
            reports that the name is taken, the call looks for the VM for the same time, because a
            new VM may not be listed yet.
        timeout: Maximum number of seconds for each of two waits: first for the task, then until the
            VM is no longer changing. None means no limit.

    Returns:
        An `Ensured`: `resource` is the VM, read after the server has completed all changes (see
        `Cloudtower.settle`), and `result` is ``"created"`` or ``"unchanged"``.

    Raises:
        Ambiguous: Several VMs of the cluster have the name.
        NotFound: The cluster, or another resource that `create` needs, does not exist.
        BadRequest: The server refused to create the VM. The code ``VM_DUPLICATE`` means that a VM
            of another cluster has the name.
        TaskError: The task failed, or a wait took longer than `timeout`. After a time-out, call
            again to wait for the VM.
        OutcomeUnknown: The VM did not appear within `reconcile_timeout` after the last request.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            ensured = await ensure_vm(
                tower,
                "web-9",
                cluster="prod",
                create=partial(create_vm_from_template, template="rocky-9", start=True),
            )
            print(ensured.result, ensured.resource.id)
    """
    check_texts("ensure_vm", name=name, cluster=cluster)
    check_argument("ensure_vm", "create", function_fault(create))
    check_times("ensure_vm", timeout, reconcile_timeout)
    place = (await Place.find(tower, cluster)).cluster

    def fits(vm: models.Vm) -> bool:
        return vm.name == name and not vm.in_recycle_bin and in_cluster(vm, place.id)

    vms = Lookup(tower, tower.vm.get_vms, {"name": name}, fits, f"VM {name!r}", timeout)

    async def make() -> models.Vm:
        return await create(tower, name, cluster=place.id, timeout=timeout)

    async with tower.lock(f"ensure VM {name}"):
        return await ensure(
            vms.look, make, "created", reconcile_timeout, taken_elsewhere=lambda: vms.others
        )
