"""Tools for testing code that uses this package: a simulated CloudTower and sample structs.

`Simulator` and `make` need no extra dependencies. Examples are
``async with Simulator(vms=100, seed=7) as sim: ...`` and ``make(models.Vm, name="web-1")``.

pytest imports `cloudtower_async.testing` at every start, because it contains a pytest plugin.
Therefore, `cloudtower_async.testing` imports other modules only when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..calls.samples import make
    from ..simulator.clock import Clock
    from ..simulator.fleet.fleet import FleetSize
    from ..simulator.server.request_parser import Request
    from ..simulator.simulator import Simulator
    from ..simulator.tasks import Failure

__all__ = ["Clock", "Failure", "FleetSize", "Request", "Simulator", "make"]

_HOMES = {
    "Clock": "cloudtower_async.simulator.clock",
    "Failure": "cloudtower_async.simulator.tasks",
    "FleetSize": "cloudtower_async.simulator.fleet.fleet",
    "Request": "cloudtower_async.simulator.server.request_parser",
    "Simulator": "cloudtower_async.simulator.simulator",
    "make": "cloudtower_async.calls.samples",
}

if not TYPE_CHECKING:  # a type checker that sees this function would accept any name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value  # later lookups do not call this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
