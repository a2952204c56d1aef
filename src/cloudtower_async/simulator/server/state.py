"""State of the server outside the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..change_feed import ChangeFeed
    from ..uploads import Uploads


class MetricLimits:
    """Limits of the metrics in a response."""

    def __init__(self) -> None:
        self.most_streams = 200
        """Maximum number of series per metric; if there are more, ``dropped`` is set."""


@dataclass(slots=True)
class ServerState:
    """State of the server outside the store.

    Args:
        uploads: The uploads, including those that have ended.
        changes: The change feed.
        metrics: Limits of the metrics in a response.
        url: Address of the server, for links in responses.
        nvram: Uploaded NVRAM, with the time of the upload, by VM id.
    """

    uploads: Uploads
    changes: ChangeFeed
    metrics: MetricLimits
    url: str = ""
    nvram: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
