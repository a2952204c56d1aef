"""Recipe that imports a template into the content library from an OVF file and disk images."""

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
    """Import a template into the content library from an OVF file and its disk images.

    The server parses the OVF file. Then the disk images are uploaded one after the other. Finally,
    the server creates the template from the parsed OVF and the images. `on_progress` reports the
    steps ``"upload"`` and ``"import"``. If the call is cancelled during an upload, the partial
    upload is removed. If the call is cancelled during the import, the server still completes the
    import.

    Args:
        tower: The session to work with.
        name: Name of the template.
        ovf: Path of the OVF file.
        disks: Paths of the disk images, in the order of the disks in the OVF.
        cluster: Name or id of the cluster to which the template is imported.
        nic_model: Model of the template's NICs. You choose the networks of the NICs when you create
            a VM.
        timeout: Seconds to wait for each task. None means no limit.
        on_progress: Function to call with each `Progress`.

    Returns:
        The template, read after the server has completed all changes (see `Cloudtower.settle`).

    Raises:
        InvalidInput: A file cannot be read, or the number of images differs from the number of
            disks in the OVF.
        NotFound: The cluster does not exist.
        UploadError: An image could not be uploaded.
        TaskError: The task failed, or the template was not created within `timeout`. The error's
            `resource_ids` contains the id of the template. The subclass `ReadBackFailed` means that
            the template was created, but could not be read.
        CallError: A call failed. A `BadRequest` means that the server cannot parse the OVF file.

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
    """Return the content of the OVF file, and the sizes of the disk images in bytes."""
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
    """Return the parsed OVF from the server as an argument for the import, without null fields.

    Raises:
        ResponseDecodeError: The parsed OVF lacks a field that the import requires.
    """
    # Import here, so that importing `recipes` does not import the generated code.
    from ..models import ParsedOVF

    told = _without_nulls(msgspec.to_builtins(parsed))
    try:
        msgspec.convert(told, ParsedOVF)
    except CODEC_ERRORS as error:
        raise ResponseDecodeError(
            f"the parsed OVF lacks a field that an import needs: {error}", operation="ovf.parse_ovf"
        ) from error
    return cast("inputs.ParsedOVF", told)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {key: _without_nulls(one) for key, one in members.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in cast("list[object]", value)]
    return value
