"""Functions that create the resource for a complete upload, one function for each operation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from ...types import CODEC_ERRORS
from ..http_errors import BadRequestError, HttpError
from ..mutations.generic.default_documents import new_document
from ..uploads import UploadDestination

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..factory import Factory
    from ..store.filters import Document


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """Request with the first chunk of an upload.

    Args:
        factory: Factory whose store contains the resources.
        fields: Fields of the form.
        size: Size of the whole file in bytes.
        as_volumes: Whether clusters store a library image as a volume instead of an ELF image.
    """

    factory: Factory
    fields: Mapping[str, str]
    size: int
    as_volumes: bool

    @property
    def name(self) -> str:
        """Name of the new resource."""
        return self.fields["name"]

    @property
    def described(self) -> dict[str, Any]:
        """Values for the fields that all types of images have: name, size and path."""
        return {"name": self.name, "size": self.size, "path": f"images/{self.name}"}

    def cluster(self) -> Document:
        """Return the cluster whose id is in the form.

        Raises:
            BadRequestError: The form contains no cluster id.
            HttpError: The cluster does not exist.
        """
        identifier = self.fields.get("cluster_id")
        if not identifier:
            raise BadRequestError("cluster_id: required with the first chunk")
        cluster = self.factory.store.table("Cluster").get(identifier)
        if cluster is None:
            raise HttpError(404, f"there is no cluster {identifier}")
        return cluster

    def add(self, resource: str, **values: object) -> Document:
        """Add a document with these values, and return the document."""
        blank = new_document(self.factory, resource)
        return self.factory.store.add(resource, {**blank, **values})


def library_image(request: UploadRequest) -> UploadDestination | None:
    """Return the destination for a content library image.

    Each cluster that matches the filter in the form gets a copy of the image. If no cluster
    matches, return None.
    """
    ids = request.factory.ids
    try:
        where = msgspec.json.decode(request.fields["clusters"])
    except (KeyError, *CODEC_ERRORS):
        raise BadRequestError("clusters: required, a filter as JSON") from None
    clusters = request.factory.store.select("Cluster", where)
    if not clusters:
        return None
    uuids = {cluster["id"]: ids.uuid() for cluster in clusters}

    def finish() -> None:
        image = request.add(
            "ContentLibraryImage",
            **request.described,
            description=request.fields.get("description", ""),
            clusters=list(uuids),
            elf_image_uuids=[] if request.as_volumes else list(uuids.values()),
        )
        copies = [
            (_volume if request.as_volumes else _elf_image)(request, cluster, uuid)["id"]
            for cluster, uuid in uuids.items()
        ]
        field = "iscsi_luns" if request.as_volumes else "elf_images"
        request.factory.store.change("ContentLibraryImage", image["id"], **{field: copies})

    made, other = "uploadIscsiLunZbsVolumeIds", "uploadElfImageLocalIds"
    if not request.as_volumes:
        made, other = other, made
    args = {"name": request.name, made: list(uuids.values()), other: []}
    return UploadDestination("CONTENT_LIBRARY_IMAGE", args, finish)


def elf_image(request: UploadRequest) -> UploadDestination:
    """Return the destination for an ELF image in the cluster that the form names."""
    cluster, uuid = request.cluster()["id"], request.factory.ids.uuid()
    return UploadDestination(
        "ELF_IMAGE",
        {"attributes": {"uuid": uuid, "name": request.name}},
        lambda: _elf_image(request, cluster, uuid),
    )


def svt_image(request: UploadRequest) -> UploadDestination:
    """Return the destination for an image with VM tools."""
    cluster, uuid = request.cluster()["id"], request.factory.ids.uuid()
    version = request.fields.get("version", "")
    if not (version.isascii() and version.isdigit()):
        raise BadRequestError("version: required with the first chunk, a whole number")
    return UploadDestination(
        "SVT_IMAGE",
        {"attributes": {"uuid": uuid, "name": request.name}},
        lambda: request.add(
            "SvtImage", **request.described, local_id=uuid, cluster=cluster, version=int(version)
        ),
    )


def package(request: UploadRequest) -> UploadDestination:
    """Return the destination for an application package. The content is not stored."""
    return UploadDestination(
        "CLOUDTOWER_APPLICATION_PACKAGE",
        {"name": request.name},
        lambda: request.add("CloudTowerApplicationPackage", name=request.name, version="1.0.0"),
    )


def elf_file(request: UploadRequest) -> UploadDestination:
    """Return the destination for a file that a later mutation imports.

    No resource is created. The mutation refers to the file by the id of the upload task.
    """
    kinds = {".ovf": "OVF", ".qcow2": "VM_VOLUME_QCOW2", ".vmdk": "VM_VOLUME_VMDK"}
    kind = kinds.get(PurePosixPath(request.name).suffix.lower(), "VM_VOLUME_RAW")
    args = {"name": request.name, "cluster_id": request.cluster()["id"]}
    return UploadDestination(kind, args, lambda: None)


def _elf_image(request: UploadRequest, cluster: str, uuid: str) -> Document:
    description = request.fields.get("description", "")
    return request.add(
        "ElfImage", **request.described, local_id=uuid, cluster=cluster, description=description
    )


def _volume(request: UploadRequest, cluster: str, uuid: str) -> Document:
    targets = request.factory.store.select("IscsiTarget", {"cluster": {"id": cluster}})
    return request.add(
        "IscsiLun",
        name=request.name,
        assigned_size=request.size,
        local_id=uuid,
        zbs_volume_id=uuid,
        iscsi_target=targets[0]["id"],
    )
