"""Uploads to a server that answers late, or counts and cuts chunks in an unusual way."""

from __future__ import annotations

import hashlib
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.late_chunks import CHUNK, LateServer, content_of, serving
from cloudtower_async import Cloudtower, ElfImage, RetryPolicy
from tests.support import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async import Upload, models

CONTENT = content_of(1)
UPLOADED = "upload-elf-image"
POLLED = "get-upload-tasks"


@asynccontextmanager
async def session(server: LateServer, **options: Any) -> AsyncGenerator[Cloudtower]:  # noqa: ANN401
    options.setdefault("retry", RetryPolicy(backoff=0.001))
    async with serving(server) as url, Cloudtower(url, token=TOKEN, **options) as tower:
        yield tower


def upload(
    tower: Cloudtower,
    source: Any = None,  # noqa: ANN401
    *,
    cluster_id: str = "c1",
    description: str | None = None,
    **options: Any,  # noqa: ANN401
) -> Upload[models.ElfImage]:
    """Upload `CONTENT`, unless there is another source, in small chunks."""
    defaults: dict[str, Any] = {
        "name": "x.iso",
        "chunk_size": CHUNK,
        "interval": 0.001,
        "settling_time": 0.003,
    }
    target = ElfImage(cluster_id=cluster_id, description=description)
    return tower.upload(source or io.BytesIO(CONTENT), target, **defaults | options)


def arrived(server: LateServer, content: bytes = CONTENT) -> bool:
    """Return whether the only upload has exactly this content."""
    [task] = server.statuses
    return server.sha256(task) == hashlib.sha256(content).hexdigest()
