"""State of the server outside the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..change_feed import ChangeFeed
    from ..uploads import Uploads


class MetricLimits:
    """Limits for responses with metrics. Tests can change the limits."""

    def __init__(self) -> None:
        self.most_streams = 200
        """Maximum number of series per metric in a response.

        If a metric has more series, the response omits the remaining series, and ``dropped`` in
        the response is true.
        """


@dataclass(slots=True)
class ServerState:
    """State of the server outside the store.

    Args:
        uploads: Uploads, including uploads that have ended.
        changes: Change feed.
        metrics: Limits for responses with metrics.
        url: URL of the server, for links in responses.
        nvram: Uploaded NVRAM by VM id, as a tuple: content in Base64, and time of the upload
            in seconds by the server's clock.
    """

    uploads: Uploads
    changes: ChangeFeed
    metrics: MetricLimits
    url: str = ""
    nvram: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
