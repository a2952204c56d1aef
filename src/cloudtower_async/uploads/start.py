"""Start of an upload: from the arguments of `Cloudtower.upload_image` to an `Upload`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ..errors import InvalidInput
from .source import Source
from .targets import Target
from .upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..calls.executor import Executor
    from ..inputs import ClusterWhereInput
    from ..session_state import SessionState
    from .source import Uploadable
    from .targets import UploadKind
    from .upload import UploadProgress
    from .upload_state import UploadState


class UploadOptions(TypedDict, total=False):
    """Options of uploads of every kind."""

    name: str | None
    size: int | None
    chunk_size: int | None
    resume: UploadState | None
    timeout: float | None
    interval: float
    settling_time: float


def start_upload(
    executor: Executor,
    state: SessionState,
    source: Uploadable,
    kind: UploadKind,
    clusters: ClusterWhereInput | None,
    cluster_id: str | None,
    description: str | None,
    options: UploadOptions,
) -> Upload[object]:
    """See `Cloudtower.uploading`."""
    known = UploadOptions.__annotations__
    if unknown := options.keys() - known:
        raise InvalidInput(f"upload: {', '.join(sorted(unknown))}: no such option")
    opened = Source(source, options.get("size"))
    name = options.get("name") or opened.name
    if not name:
        raise InvalidInput("upload: name: it cannot be told from what is uploaded; pass name=")
    target = Target(
        executor,
        name=name,
        kind=kind,
        clusters=clusters,
        cluster_id=cluster_id,
        description=description,
    )
    return Upload(
        executor,
        state,
        opened,
        target,
        chunk_size=options.get("chunk_size"),
        resume=options.get("resume"),
        timeout=options.get("timeout", 300.0),
        interval=options.get("interval", 5.0),
        settling_time=options.get("settling_time", 300.0),
    )


async def finish_upload(
    upload: Upload[object], on_progress: Callable[[UploadProgress], object] | None
) -> object:
    """See `Cloudtower.upload_image`."""
    async with upload:
        async for progress in upload:
            if on_progress is not None:
                on_progress(progress)
    return upload.result
