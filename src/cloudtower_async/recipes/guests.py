"""Waits for the guest of a VM, until it reports IP addresses or running VM tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..client import Cloudtower
from ..errors import InvalidInput
from ..models import Vm, VmToolsStatus
from ..validators import check_wait

Choice: TypeAlias = Vm | str


async def wait_for_addresses(
    tower: Cloudtower, vm: Choice, *, timeout: float | None = 600.0, interval: float = 5.0
) -> Vm:
    """Wait until the guest of a VM reports an IP address.

    A guest reports addresses through VM tools, 1 to 3 minutes after the tools have started. If a VM
    has several NICs, the addresses of some NICs can appear later.

    Args:
        tower: The session to work with.
        vm: The VM, or its id.
        timeout: Seconds after which ConditionTimeout is raised. None means no limit.
        interval: Maximum number of seconds between polls.

    Returns:
        The VM. Its ``ips`` contains the addresses.

    Raises:
        ConditionFailed: The VM no longer exists.
        ConditionTimeout: The guest reported no IP address within `timeout`.
        CallError: The VM cannot be read.
        InvalidInput: An argument is invalid.

    Example:
        ::

            vm = await wait_for_addresses(tower, vm)
            print(vm.ips)
    """
    return await _wait(tower, "wait_for_addresses", vm, _has_addresses, timeout, interval)


async def wait_for_tools(
    tower: Cloudtower, vm: Choice, *, timeout: float | None = 300.0, interval: float = 5.0
) -> Vm:
    """Wait until VM tools are running in the guest of a VM.

    Args:
        tower: The session to work with.
        vm: The VM, or its id.
        timeout: Seconds after which ConditionTimeout is raised. None means no limit.
        interval: Maximum number of seconds between polls.

    Returns:
        The VM, as last read.

    Raises:
        ConditionFailed: The VM no longer exists.
        ConditionTimeout: VM tools were not running within `timeout`.
        CallError: The VM cannot be read.
        InvalidInput: An argument is invalid.

    Example:
        ::

            await wait_for_tools(tower, vm)
    """
    return await _wait(tower, "wait_for_tools", vm, _has_tools, timeout, interval)


async def _wait(
    tower: Cloudtower,
    asker: str,
    vm: object,
    condition: Callable[[Vm], object],
    timeout: float | None,
    interval: float,
) -> Vm:
    vm_id = vm.id if isinstance(vm, Vm) else vm
    if not isinstance(vm_id, str) or not vm_id:
        raise InvalidInput(f"{asker}: vm: expected a VM or its id, got {type(vm).__name__}")
    check_wait(asker, timeout, interval, 0.0)
    [found] = await tower.wait_until(
        tower.vm.get_vms, condition, timeout=timeout, interval=interval, where={"id": vm_id}
    )
    return found


def _has_addresses(vm: Vm) -> bool:
    return bool(vm.ips)


def _has_tools(vm: Vm) -> bool:
    return vm.vm_tools_status == VmToolsStatus.RUNNING
