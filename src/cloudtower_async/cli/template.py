"""The commands ``template …``: list templates of the content library, and deploy VMs from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from .amount_options import parse_size
from .changes import (
    ChangeOptions,
    ChangeOutcome,
    ChangeTarget,
    CommandChange,
    Flag,
    one_by_one,
    question,
    run_change,
)
from .connect import ConnectOptions
from .output_options import OutputOptions
from .reading_commands import add_list
from .resolve_names import find_one
from .vm import Repeated, Vcpu, new_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import Cloudtower
    from ..recipes import OnProgress

template: App = App(name="template", help="List templates, and deploy VMs from them.")
add_list(template, "content-library-vm-templates", "templates of the content library")


@template.command
def deploy(
    name: str,
    /,
    *vms: str,
    cluster: str,
    vcpu: Vcpu = None,
    memory: str | None = None,
    network: Repeated = None,
    hostname: Flag = False,
    full_copy: Flag = False,
    start: Flag = False,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Create VMs from a template of the content library, one after the other.

    Args:
        name: Name or id of the template.
        vms: Names of the new VMs.
        cluster: Name or id of the cluster. The template must be available on this cluster.
        vcpu: Number of virtual CPUs. [default: as in the template]
        memory: Memory of each VM, such as 8GiB. [default: as in the template]
        network: Name or id of a VM network for a NIC. Repeat the option for several NICs. [default:
            NICs of the template]
        hostname: Set the host name of each guest to the name of the VM. The template must support
            cloud-init.
        full_copy: Copy the disks completely. By default, a VM shares unchanged data with the
            template.
        start: Start the VMs after creating them.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    targets = new_targets("template deploy", vms)
    size = None if memory is None else parse_size("--memory", memory)

    async def plan(tower: Cloudtower) -> CommandChange:
        from ..recipes import Nic, create_vm_from_template

        place = await find_one(tower, "cluster.get_clusters", cluster, noun="cluster")
        found = await find_one(
            tower,
            "content_library_vm_template.get_content_library_vm_templates",
            name,
            noun="template",
            within={"clusters_some": {"id": place.id}},
        )

        async def run(
            targets: Sequence[ChangeTarget], on_progress: OnProgress, timeout: float | None
        ) -> list[ChangeOutcome]:
            async def one(target: ChangeTarget) -> ChangeOutcome:
                made = await create_vm_from_template(
                    tower,
                    target.name,
                    template=found.id,
                    cluster=place.id,
                    vcpu=vcpu,
                    memory=size,
                    nics=[Nic(vlan=each) for each in network] if network else None,
                    cloud_init={"hostname": target.name} if hostname else None,
                    full_copy=full_copy,
                    start=start,
                    timeout=timeout,
                    on_progress=on_progress,
                )
                return ChangeOutcome(target, [made])

            return await one_by_one(one, targets)

        return CommandChange(
            ask=question(
                "Create {number} VM from template {template} in cluster {cluster} on {place}?",
                "Create {number} VMs from template {template} in cluster {cluster} on {place}?",
                template=found.name or found.id,
                cluster=place.name or place.id,
            ),
            noun="VM",
            kind="Vm",
            step="create",
            targets=targets,
            run=run,
            sends="vm.create_vm_from_content_library_template",
        )

    run_change("template deploy", plan, change, output, connection)
