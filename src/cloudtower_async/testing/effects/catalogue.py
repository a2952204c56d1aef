"""Every mutation that is modelled, by its path. Each answers before anything has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import power, snapshots

if TYPE_CHECKING:
    from .world import Effect

EFFECTS: dict[str, Effect] = {**power.EFFECTS, **snapshots.EFFECTS}
