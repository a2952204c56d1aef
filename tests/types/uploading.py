"""Types of uploads. Not run; see `calls.py`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from cloudtower_async import (
    EVERYTHING,
    CloudTowerApplicationPackage,
    ContentLibraryImage,
    ElfFile,
    ElfImage,
    SvtImage,
    Upload,
    UploadProgress,
    UploadState,
    UploadTarget,
    models,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cloudtower_async import Cloudtower


async def finished(tower: Cloudtower, pieces: AsyncIterator[bytes]) -> None:
    """The target determines the result."""
    path = Path("x.iso")
    library = ContentLibraryImage(clusters={"name": "prod"})
    assert_type(await tower.upload(path, library), models.ContentLibraryImage)
    assert_type(
        await tower.upload(
            "x.iso", ContentLibraryImage(clusters=EVERYTHING, description="x"), on_progress=print
        ),
        models.ContentLibraryImage,
    )
    elf = ElfImage(cluster_id="c1", description="x")
    assert_type(await tower.upload(path, elf), models.ElfImage)
    svt = SvtImage(cluster_id="c1")
    assert_type(await tower.upload(pieces, svt, size=9, name="x"), models.SvtImage)
    file = ElfFile(cluster_id="c1")
    assert_type(await tower.upload(io.BytesIO(b"x"), file, name="x"), models.UploadTask)
    assert_type(
        await tower.upload(path, CloudTowerApplicationPackage(), timeout=None),
        models.CloudTowerApplicationPackage,
    )


async def chosen_later(tower: Cloudtower, target: UploadTarget[models.ElfImage]) -> None:
    """A program can take any target with a result of one type."""
    assert_type(await tower.upload("x.iso", target), models.ElfImage)


async def stepwise(tower: Cloudtower) -> None:
    """The result at the end of the steps has the same type."""
    stored = UploadState.from_json("{}")
    upload = tower.upload("x.iso", ElfImage(cluster_id="c1"), resume=stored)
    assert_type(upload.state, UploadState | None)
    assert_type(upload, Upload[models.ElfImage])
    async with upload as entered:
        assert_type(entered, Upload[models.ElfImage])
        async for progress in entered:
            assert_type(progress, UploadProgress)
            assert_type(progress.rate, float)
    assert_type(upload.result, models.ElfImage)


async def mistakes(tower: Cloudtower) -> None:
    """Mistakes that both checkers report."""
    elf = ElfImage(cluster_id="c1")
    await tower.upload("x.iso")  # type: ignore[call-arg]
    await tower.upload("x.iso", "elf_image")  # type: ignore[arg-type]
    await tower.upload("x.iso", elf, kind="elf_image")  # type: ignore[call-arg]
    await tower.upload(b"x", elf)  # type: ignore[arg-type]
    await tower.upload("x.iso", elf, timeout="5")  # type: ignore[arg-type]
    ContentLibraryImage(clusters={"nmae": "x"})  # type: ignore[typeddict-unknown-key]
    ContentLibraryImage()  # type: ignore[call-arg]
    ElfImage(clusters={"id": "c1"})  # type: ignore[call-arg]
    ElfImage("c1")  # type: ignore[call-arg]
    CloudTowerApplicationPackage(cluster_id="c1")  # type: ignore[call-arg]
    elf.cluster_id = "c2"  # type: ignore[misc]
