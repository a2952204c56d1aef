"""What the server has besides its store, with a state of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .feed import ChangeFeed
    from .metrics import Metrics
    from .uploads import Uploads


@dataclass(slots=True)
class Services:
    """What answers need that the store does not have.

    Args:
        uploads: What is on its way.
        changes: The change feed.
        metrics: How much of a load curve is shown.
        url: Where the server listens, as its answers name it.
        nvram: What was uploaded of each VM, by the VM's id.
    """

    uploads: Uploads
    changes: ChangeFeed
    metrics: Metrics
    url: str = ""
    nvram: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])

    def advance(self) -> None:
        """Let everything happen that is due."""
        self.uploads.advance()
