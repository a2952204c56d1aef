"""Templates from files: what an OVF and its disks describe, uploaded into the content library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import anyio
import msgspec

from .. import inputs, models
from ..client import Cloudtower
from ..errors import InvalidInput, ResponseDecodeError
from ..options import StrPath
from ..types import CODEC_ERRORS
from ..uploads.targets import ElfFile
from ..uploads.upload import UploadProgress
from ..validators import check_seconds
from .batch import identified
from .progress import OnProgress, Telling, created_resource
from .vm_spec import Place


async def import_template(
    tower: Cloudtower,
    name: str,
    *,
    ovf: StrPath,
    disks: Sequence[StrPath],
    cluster: str,
    nic_model: inputs.VmNicModel = "VIRTIO",
    timeout: float | None = 3600.0,
    on_progress: OnProgress | None = None,
) -> models.ContentLibraryVmTemplate:
    """Make a template of the content library from an OVF and the images of its disks.

    The server reads the OVF, the images are uploaded one after the other, and the template is made
    of both. The steps that `on_progress` is told are ``"upload"`` and ``"import"``. Who cancels it
    while it uploads leaves no half upload; once the import has begun, the template comes to be.

    Args:
        tower: The session to work with.
        name: Of the template.
        ovf: The OVF file.
        disks: The image files of its disks, in the order in which the OVF has the disks.
        cluster: Name or id of the cluster that has the template first.
        nic_model: What the NICs of the OVF become. Which network each is in is said when a VM is
            made.
        timeout: Seconds to wait for each task; None: no limit.
        on_progress: Told how far it is.

    Returns:
        The template, settled.

    Raises:
        InvalidInput: A file cannot be read, or there are not as many images as disks.
        NotFound: There is no such cluster.
        UploadError: An image was not brought to the server.
        TaskError: The template was not made, or not in time; `resource_ids` of the error has its
            id. It is a `ReadBackFailed` if the template was made, but could not be read.
        CallError: One of the calls failed; `BadRequest` for a file that is no OVF.

    Example:
        ::

            template = await import_template(
                tower, "rocky-9", ovf="rocky.ovf", disks=["rocky-disk1.vmdk"], cluster="prod"
            )
    """
    if not name:
        raise InvalidInput("import_template: name: must not be empty")
    check_seconds("import_template", "timeout", timeout, none_ok=True)
    described, sizes = await _read(ovf, disks)
    place = await Place.find(tower, cluster)
    parsed = await tower.ovf.parse_ovf(cluster_id=place.cluster.id, file=described)
    described_again = _as_input(parsed)
    wanted = [disk.name for disk in parsed.disks if disk.type == "DISK"]
    if len(wanted) != len(disks):
        raise InvalidInput(
            f"import_template: disks: the OVF has {len(wanted)} ({', '.join(wanted)}), "
            f"got {len(disks)} images"
        )
    tell = Telling(on_progress)
    with tell.about(name):
        tasks: list[str] = []
        for number, disk in enumerate(disks):
            told = partial(_tell_upload, tell, name, sum(sizes[:number]), sum(sizes))
            target = ElfFile(cluster_id=place.cluster.id)
            uploaded = await tower.upload(disk, target, timeout=timeout, on_progress=told)
            tasks.append(identified(uploaded, "upload").id)
        tell.step(name, "import")
        answer = await tower.content_library_vm_template.import_content_library_vm_template(
            [
                {
                    "name": name,
                    "cluster_id": place.cluster.id,
                    "upload_tasks": tasks,
                    "parsed_ovf": described_again,
                    "vm_nics": [{"model": nic_model, "enabled": True} for _ in parsed.nics],
                }
            ]
        )
        operation = "content_library_vm_template.import_content_library_vm_template"
        told = partial(tell.step, name, "import")
        return await created_resource(tower, answer, operation, timeout, told)


async def _read(ovf: StrPath, disks: Sequence[StrPath]) -> tuple[bytes, list[int]]:
    """The OVF, and the sizes of the images."""
    path = anyio.Path(ovf)
    try:
        content = await path.read_bytes()
        sizes: list[int] = []
        for path in map(anyio.Path, disks):
            sizes.append((await path.stat()).st_size)
    except OSError as error:
        raise InvalidInput(f"import_template: {path}: {error.strerror}") from error
    return content, sizes


def _tell_upload(tell: Telling, name: str, before: int, total: int, news: UploadProgress) -> None:
    tell.step(name, "upload", (before + news.sent) / total if total else 0.0)


def _as_input(parsed: models.ParsedOVF) -> inputs.ParsedOVF:
    """What the server said, to be said to it again, without what it left out.

    Raises:
        ResponseDecodeError: It left out what it wants to be told.
    """
    from ..models import ParsedOVF  # only now, as importing recipes must load nothing generated

    told = _without_nulls(msgspec.to_builtins(parsed))
    try:
        msgspec.convert(told, ParsedOVF)
    except CODEC_ERRORS as error:
        raise ResponseDecodeError(
            f"the server does not say all that an import needs: {error}", operation="ovf.parse_ovf"
        ) from error
    return cast("inputs.ParsedOVF", told)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {key: _without_nulls(one) for key, one in members.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in cast("list[object]", value)]
    return value
