"""What type checkers make of uploads. Not run; see `calls.py` on the ignores."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from cloudtower_async import EVERYTHING, Upload, UploadProgress, UploadState, models

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cloudtower_async import Cloudtower


async def finished(tower: Cloudtower, pieces: AsyncIterator[bytes]) -> None:
    """What comes back depends on the kind."""
    path = Path("x.iso")
    assert_type(
        await tower.upload_image(path, clusters={"name": "prod"}), models.ContentLibraryImage
    )
    assert_type(
        await tower.upload_image("x.iso", clusters=EVERYTHING, on_progress=print),
        models.ContentLibraryImage,
    )
    assert_type(
        await tower.upload_image(path, cluster_id="c1", kind="elf_image", description="x"),
        models.ElfImage,
    )
    assert_type(
        await tower.upload_image(pieces, cluster_id="c1", kind="svt_image", size=9, name="x"),
        models.SvtImage,
    )
    assert_type(
        await tower.upload_image(io.BytesIO(b"x"), cluster_id="c1", kind="elf_file", name="x"),
        models.UploadTask,
    )
    assert_type(
        await tower.upload_image(path, kind="application_package", timeout=None),
        models.CloudTowerApplicationPackage,
    )


async def stepwise(tower: Cloudtower) -> None:
    """So does the result at the end of the steps."""
    stored = UploadState.from_json("{}")
    upload = tower.uploading("x.iso", cluster_id="c1", kind="elf_image", resume=stored)
    assert_type(upload.state, UploadState | None)
    assert_type(upload, Upload[models.ElfImage])
    async with upload as entered:
        assert_type(entered, Upload[models.ElfImage])
        async for progress in entered:
            assert_type(progress, UploadProgress)
            assert_type(progress.rate, float)
    assert_type(upload.result, models.ElfImage)


async def mistakes(tower: Cloudtower) -> None:
    """What both checkers refuse."""
    await tower.upload_image("x.iso")  # type: ignore[call-overload]
    await tower.upload_image("x.iso", clusters={"nmae": "x"})  # type: ignore[call-overload]
    await tower.upload_image("x.iso", cluster_id="c1")  # type: ignore[call-overload]
    await tower.upload_image("x.iso", clusters={}, kind="elf_image")  # type: ignore[call-overload]
    await tower.upload_image(b"x", clusters={"id": "c1"})  # type: ignore[call-overload]
    tower.uploading("x.iso", cluster_id="c1", kind="iso")  # type: ignore[call-overload]
