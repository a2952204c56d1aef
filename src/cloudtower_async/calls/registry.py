"""Find operations and namespaces by name, path or struct.

Importing this module loads no generated code. Each function loads the code that it needs.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from ..validators import no_method
from .namespace import Namespace
from .operation import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from .executor import Executor


@functools.cache
def operation(name: str) -> Operation[Any]:
    """Return the operation that a method calls.

    Args:
        name: Namespace and method, such as ``"vm.get_vms"``.
    """
    namespace, _, method = name.partition(".")
    found: Operation[Any] = getattr(_module(namespace), method.upper())
    return found


def operation_at(path: str) -> Operation[Any]:
    """Return the operation at a path, such as ``"/get-vms"``.

    Raises:
        KeyError: The API has no operation at this path.
    """
    return operation(_module("catalogue").OPERATIONS[path])


def reader(struct: str) -> Operation[Any]:
    """Return the query that reads resources by their ids, such as ``GET_VMS`` for ``"Vm"``.

    Args:
        struct: Name of the struct that a mutation returns, such as ``"Vm"`` or ``"DeleteVm"``.

    Raises:
        KeyError: No query reads resources of this type.
    """
    return operation(_module("catalogue").READERS[struct])


def reader_name(struct: str) -> str | None:
    """Return the name of the query that reads a struct by ids, or None if no query reads it."""
    readers: Mapping[str, str] = _module("catalogue").READERS
    return readers.get(struct)


def operation_of(method: object) -> Operation[object] | None:
    """Return the operation that a bound method calls, such as ``GET_VMS`` for ``tower.vm.get_vms``.

    Return None if the object is not a method of a namespace.
    """
    namespace = getattr(method, "__self__", None)
    if not isinstance(namespace, Namespace):
        return None
    name: str = getattr(method, "__name__", "")
    return getattr(sys.modules[type(namespace).__module__], name.upper(), None)


def require_operation(asker: str, method: object) -> Operation[object]:
    """Return the operation that a bound method calls.

    Args:
        asker: Name of the function that received the method, for the error message.
        method: Value that should be a method of a namespace.

    Raises:
        InvalidInput: `method` is not a method of a namespace.
    """
    found = operation_of(method)
    if found is None:
        raise InvalidInput(
            f"{asker}: expected a method of the session, such as tower.vm.get_vms; got "
            + no_method(method)
        )
    return found


def bound_method(called: Operation[Any], executor: Executor) -> Any:  # noqa: ANN401 - a method
    """Return the namespace method for an operation, bound to an executor."""
    namespace, _, method = called.name.partition(".")
    return getattr(namespace_class(namespace)(executor), method)


def namespace_class(namespace: str) -> type[Namespace]:
    """Return the class of a namespace, such as `VmNamespace` for ``"vm"``."""
    class_name = "".join(map(str.capitalize, namespace.split("_"))) + "Namespace"
    found: type[Namespace] = getattr(_module(namespace), class_name)
    return found


class namespace_property(functools.cached_property[Namespace]):  # noqa: N801 - used as a decorator
    """Attribute of a session that holds a namespace. The namespace is created at first use.

    For example, ``tower.vm`` is an instance of `VmNamespace`. ``Cloudtower.vm`` is the class
    `VmNamespace`, so that ``create_autospec(Cloudtower)`` has its methods. Type checkers see a
    property.
    """

    def __get__(self, instance: object, owner: type[object] | None = None) -> Any:  # noqa: ANN401
        if instance is None:
            return namespace_class(self.func.__name__)
        return super().__get__(instance, owner)


def namespaces() -> list[str]:
    """Return the sorted names of all namespaces: ``"alert"``, …, ``"zone_topo"``."""
    names: Mapping[str, str] = _module("catalogue").OPERATIONS
    return sorted({name.partition(".")[0] for name in names.values()})


def operations_in(namespace: str) -> list[Operation[Any]]:
    """Return all operations of a namespace."""
    return [value for value in vars(_module(namespace)).values() if isinstance(value, Operation)]


def _module(name: str) -> ModuleType:
    """Import a module of the generated package `api`.

    The import is inside a function, because `api` imports this package.
    """
    return importlib.import_module(f"..api.{name}", __package__)
