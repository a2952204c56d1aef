"""Placeholders for modules. The first use of an attribute loads the module."""

from __future__ import annotations

import importlib


class LazyModule:
    """Placeholder for a module. The first use of an attribute loads the module.

    Use a placeholder for a module that only annotations or rare calls need. Annotations that name
    attributes of the module can still be evaluated at run time, for example by
    `typing.get_type_hints`::

        if TYPE_CHECKING:
            from .. import plans
        else:
            plans = LazyModule("..plans", __package__)

    Args:
        name: Name of the module. A name with leading dots is relative to `package`.
        package: Package of the module that uses the placeholder.
    """

    def __init__(self, name: str, package: str | None = None) -> None:
        self._name = name
        self._package = package

    def __getattr__(self, name: str) -> object:
        value: object = getattr(importlib.import_module(self._name, self._package), name)
        setattr(self, name, value)  # later look-ups find the attribute directly
        return value
