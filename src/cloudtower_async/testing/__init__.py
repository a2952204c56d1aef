"""A simulated CloudTower, for tests of whatever talks to one.

Needs nothing but the package itself: ``async with Simulator(vms=100, seed=7) as sim: ...``
"""

from .clock import Clock
from .fleet.fleet import FleetSize
from .server.answers import Request
from .simulator import Simulator
from .tasks import Failure

__all__ = ["Clock", "Failure", "FleetSize", "Request", "Simulator"]
