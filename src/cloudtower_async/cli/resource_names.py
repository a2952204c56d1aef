"""What resources and operations are called by those who type their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.catalogue import OPERATIONS
from ..spelling import did_you_mean, may_mean
from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNCOUNTED = (
    "backup_plan.get_backup_plan_without_executions",
    "gpu_device.get_detail_vm_info_by_gpu_devices",
    "ipmi.get_ipmis",
    "pci_device.get_pci_devices",
    "replication_plan.get_replication_plan_without_executions",
    "vm.get_vm_gpu_device_info",
)
"""Queries of many resources that have no sister which counts them."""

_MOST_ENDS = 5  # in a message


def queries() -> dict[str, str]:
    """The query of each kind of resource, by its names: ``vms`` and ``vm`` for vm.get_vms."""
    methods = set(OPERATIONS.values())
    found: dict[str, str] = {}
    # The shortest first: a namespace gives its name to the query of what it is about.
    for method in sorted(methods, key=lambda name: (len(name), name)):
        if f"{method}_connection" in methods or method in _UNCOUNTED:
            namespace, _, name = method.partition(".")
            plural = name.removeprefix("get_")
            found[plural] = method
            if plural.startswith(namespace.rstrip("y")):
                found.setdefault(namespace, method)
    return found


def resource_names() -> list[str]:
    """One name of each kind of resource, as it is typed."""
    names: dict[str, str] = {}
    for name, method in queries().items():
        names.setdefault(method, name.replace("_", "-"))
    return sorted(names.values())


def query_for(resource: str) -> str:
    """The query of a resource as somebody names it: ``VMs``, ``vm``, ``content-library-image``.

    Raises:
        UsageError: There is no such resource.
    """
    return _look_up("resource", resource, queries(), "; `cloudtower-async resources` lists them")


def method_for(operation: str) -> str:
    """The method of an operation, by its path or its method: ``start-vm``, ``vm.start_vm``.

    Raises:
        UsageError: There is no such operation.
    """
    names: dict[str, str] = {}
    for path, method in OPERATIONS.items():
        for name in (path.lstrip("/"), method, method.partition(".")[2]):
            names[name] = method
    return _look_up("operation", operation.removeprefix("/v2/api").lstrip("/"), names)


def _look_up(what: str, name: str, known: Mapping[str, str], or_else: str = "") -> str:
    by_letters = {_letters(one): method for one, method in known.items()}
    if method := by_letters.get(_letters(name)):
        return method
    shown = {one.replace("_", "-") for one in known if "." not in one}
    typed = name.lower().replace("_", "-")
    # Who types the last word of a name does not misspell it.
    ends = sorted(
        (one for one in shown if one.endswith(f"-{typed}")), key=lambda one: (len(one), one)
    )
    meant = may_mean(ends[:_MOST_ENDS]) or did_you_mean(typed, shown) or or_else
    raise UsageError(f"there is no {what} {name!r}{meant}")


def _letters(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
