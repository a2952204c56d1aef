"""Names of resources and operations as users type them in commands."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from ..api.catalogue import OPERATIONS
from .errors import UsageError
from .language import tr
from .similar_names import did_you_mean, may_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_UNCOUNTED = (
    "backup_plan.get_backup_plan_without_executions",
    "gpu_device.get_detail_vm_info_by_gpu_devices",
    "ipmi.get_ipmis",
    "pci_device.get_pci_devices",
    "replication_plan.get_replication_plan_without_executions",
    "vm.get_vm_gpu_device_info",
)
"""Queries that return a list of resources, but have no matching query for the count."""

_MOST_ENDS = 5  # suggested names in a message
_MOST_ELSEWHERE = 10  # suggested operations of other resources

_VERBS = {
    "clone": ("clone", "copy"),
    "deploy": ("create",),
    "destroy": ("delete",),
    "detach": ("remove",),
    "disable": ("disable", "enter"),
    "edit": ("update",),
    "enter": ("enter",),
    "exit": ("exit", "leave"),
    "grow": ("expand", "update"),
    "kill": ("poweroff",),
    "leave": ("exit", "leave"),
    "list": ("get",),
    "new": ("create",),
    "pause": ("suspend",),
    "reboot": ("restart",),
    "rename": ("update",),
    "reset": ("force_restart",),
    "resize": ("update",),
    "revert": ("rollback",),
    "rm": ("delete", "remove"),
    "show": ("get",),
    "shutdown": ("shut_down",),
    "stop": ("shut_down", "poweroff"),
    "unpause": ("resume",),
    "wait": ("get",),
}
"""Words that users type for actions, and the words with the same meaning in the API."""

_COMMANDS = {
    "image": "content_library_image",
    "snapshot": "vm_snapshot",
    "template": "content_library_vm_template",
}
"""Short names that commands use for resources, and the names of the resources in the API."""


def queries() -> dict[str, str]:
    """Return a dict of queries by resource name: ``vms`` and ``vm`` have the value vm.get_vms."""
    methods = set(OPERATIONS.values())
    found: dict[str, str] = {}
    # Take short names first, so that the name of a namespace refers to its main resource.
    for method in sorted(methods, key=lambda name: (len(name), name)):
        if f"{method}_connection" in methods or method in _UNCOUNTED:
            namespace, _, name = method.partition(".")
            plural = name.removeprefix("get_")
            found[plural] = method
            if plural.startswith(namespace.rstrip("y")):
                found.setdefault(namespace, method)
    return found


def resource_names() -> list[str]:
    """Return one name for each kind of resource, as users type the name: ``vm-snapshots``."""
    names: dict[str, str] = {}
    for name, method in queries().items():
        names.setdefault(method, name.replace("_", "-"))
    return sorted(names.values())


def operation_names() -> list[str]:
    """Return the names of all operations, in the spelling of the API: ``get-vms``."""
    return sorted(path.lstrip("/") for path in OPERATIONS)


def find_query(resource: str) -> str | None:
    """Return the query of a kind of resource, or None if the name is unknown. See `query_for`."""
    return _by_letters(queries()).get(_letters(resource))


def find_topic(name: str) -> str | None:
    """Return the query of a kind of resource, or None if the name is unknown.

    Unlike `find_query`, also accept the name of a group of commands, such as ``image``.
    """
    return find_query(name) or find_query(_COMMANDS.get(name, ""))


def query_for(resource: str) -> str:
    """Return the query of a kind of resource.

    The name may have any spelling: ``VMs``, ``vm``, ``content-library-image``.

    Raises:
        UsageError: No kind of resource has this name.
    """
    if method := find_query(resource):
        return method
    meant = _meant(resource, _shown(queries())) or tr("; `cloudtower-async resources` lists them")
    raise UsageError(tr("there is no resource {resource!r}{meant}", resource=resource, meant=meant))


def find_method(operation: str) -> str | None:
    """Return the method of an operation, or None if the name is unknown."""
    return _by_letters(_methods()).get(_letters(_without_root(operation)))


def _methods() -> dict[str, str]:
    names: dict[str, str] = {}
    for path, method in OPERATIONS.items():
        for name in (path.lstrip("/"), method, method.partition(".")[2]):
            names[name] = method
    return names


def _without_root(path: str) -> str:
    return path.removeprefix("/v2/api").lstrip("/")


def verb_methods(resource: str, words: Sequence[str]) -> list[str]:
    """Return the operations that match a resource and an action: ``vm start``, ``vm stop``.

    Args:
        resource: Name of a resource or a namespace.
        words: Words of the action, such as ``["start"]``.

    Returns:
        The operation with exactly this name, such as ``vm.start_vm``. If there is no such
        operation, all operations of the resource whose names contain the words. If there are none,
        operations of other resources: for example, ``snapshot revert`` is an operation of VMs.
    """
    query = find_topic(resource)
    namespace = query.partition(".")[0] if query else resource.lower().replace("-", "_")
    spelled = [part for word in words for part in word.lower().replace("-", "_").split("_")]
    methods = sorted(set(OPERATIONS.values()), key=lambda method: (len(method), method))
    does = [method for method in methods if _does(method, spelled)]
    found = [method for method in does if method.startswith(f"{namespace}.")]
    verbs = map("_".join, product(*(_VERBS.get(word, (word,)) for word in spelled)))
    named = {f"{verb}_{namespace}{end}" for verb in verbs for end in ("", "s")}
    exact = [method for method in found if method.partition(".")[2] in named]
    about = [method for method in does if f"_{resource.lower()}" in method]
    elsewhere = does if query and len(does) <= _MOST_ELSEWHERE else []
    return exact or found or elsewhere or about


def _does(method: str, words: Sequence[str]) -> bool:
    name = f"_{method.partition('.')[2]}_"
    return all(any(f"_{verb}_" in name for verb in _VERBS.get(word, (word,))) for word in words)


def unknown_operation(name: str) -> str:
    """Return the error message about an unknown operation."""
    meant = _meant(_without_root(name), _shown(_methods()))
    return tr("there is no operation {name!r}{meant}", name=name, meant=meant)


def unknown_topic(name: str) -> str:
    """Return the error message about a name that is neither a resource nor an operation."""
    known = {*resource_names(), *_shown(_methods())}
    meant = _meant(name, known) or tr("; `cloudtower-async resources` lists the resources")
    return tr("there is no resource and no operation {name!r}{meant}", name=name, meant=meant)


def _shown(known: Iterable[str]) -> set[str]:
    """Return the known names that messages may suggest, in the spelling of users."""
    return {one.replace("_", "-") for one in known if "." not in one}


def _meant(name: str, known: Collection[str]) -> str:
    """Return text that suggests known names similar to `name`, or an empty text."""
    typed = name.lower().replace("_", "-").replace(" ", "-")
    verb, _, rest = typed.partition("-")
    # First look for another word for the action, or a name that ends with the typed text.
    others = [f"{other}-{rest}".replace("_", "-") for other in _VERBS.get(verb, ())]
    same = [one for one in (*others, *(f"{other}s" for other in others)) if one in known]
    ends = sorted(
        (one for one in known if one.endswith(f"-{typed}")), key=lambda one: (len(one), one)
    )
    return may_mean(same or ends[:_MOST_ENDS]) or did_you_mean(typed, known)


def _by_letters(known: Mapping[str, str]) -> dict[str, str]:
    return {_letters(one): method for one, method in known.items()}


def _letters(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
