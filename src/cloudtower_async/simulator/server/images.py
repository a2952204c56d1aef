"""What a finished upload becomes, by the operation that takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from ...types import CODEC_ERRORS
from ..http_errors import QueryError, RefusedError
from ..mutations.generic.default_documents import new_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..factory import Maker
    from ..store.filters import Document


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload leads.

    Args:
        resource_type: Of the upload task.
        args: Of the upload task; they name what will be there at the end.
        finish: Puts that there.
    """

    resource_type: str
    args: dict[str, Any]
    finish: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the first chunk says.

    Args:
        maker: Has the store.
        fields: Of the form.
        size: Of the whole file, in bytes.
        as_volumes: Whether clusters keep it as a volume, and not as an ELF image.
    """

    maker: Maker
    fields: Mapping[str, str]
    size: int
    as_volumes: bool

    @property
    def name(self) -> str:
        """What it will be called."""
        return self.fields["name"]

    @property
    def described(self) -> dict[str, Any]:
        """Plain fields that images have in common."""
        return {"name": self.name, "size": self.size, "path": f"images/{self.name}"}

    def cluster(self) -> Document:
        """The cluster that the form names."""
        identifier = self.fields.get("cluster_id")
        if not identifier:
            raise QueryError("cluster_id: required with the first chunk")
        cluster = self.maker.store.table("Cluster").get(identifier)
        if cluster is None:
            raise RefusedError(404, f"there is no cluster {identifier}")
        return cluster

    def add(self, resource: str, **values: object) -> Document:
        """Put something there."""
        blank = new_document(self.maker, resource)
        return self.maker.store.add(resource, {**blank, **values})


def library_image(wanted: Wanted) -> Target | None:
    """An image of the content library, in every cluster that the form's filter matches."""
    ids = wanted.maker.ids
    try:
        where = msgspec.json.decode(wanted.fields["clusters"])
    except (KeyError, *CODEC_ERRORS):
        raise QueryError("clusters: required, a filter as JSON") from None
    clusters = wanted.maker.store.select("Cluster", where)
    if not clusters:
        return None
    uuids = {cluster["id"]: ids.uuid() for cluster in clusters}

    def finish() -> None:
        image = wanted.add(
            "ContentLibraryImage",
            **wanted.described,
            description=wanted.fields.get("description", ""),
            clusters=list(uuids),
            elf_image_uuids=[] if wanted.as_volumes else list(uuids.values()),
        )
        copies = [
            (_volume if wanted.as_volumes else _elf_image)(wanted, cluster, uuid)["id"]
            for cluster, uuid in uuids.items()
        ]
        field = "iscsi_luns" if wanted.as_volumes else "elf_images"
        wanted.maker.store.change("ContentLibraryImage", image["id"], **{field: copies})

    made, other = "uploadIscsiLunZbsVolumeIds", "uploadElfImageLocalIds"
    if not wanted.as_volumes:
        made, other = other, made
    args = {"name": wanted.name, made: list(uuids.values()), other: []}
    return Target("CONTENT_LIBRARY_IMAGE", args, finish)


def elf_image(wanted: Wanted) -> Target:
    """An image of one cluster."""
    cluster, uuid = wanted.cluster()["id"], wanted.maker.ids.uuid()
    return Target(
        "ELF_IMAGE",
        {"attributes": {"uuid": uuid, "name": wanted.name}},
        lambda: _elf_image(wanted, cluster, uuid),
    )


def svt_image(wanted: Wanted) -> Target:
    """An image with the VM tools."""
    cluster, uuid = wanted.cluster()["id"], wanted.maker.ids.uuid()
    version = wanted.fields.get("version", "")
    if not (version.isascii() and version.isdigit()):
        raise QueryError("version: required with the first chunk, a whole number")
    return Target(
        "SVT_IMAGE",
        {"attributes": {"uuid": uuid, "name": wanted.name}},
        lambda: wanted.add(
            "SvtImage", **wanted.described, local_id=uuid, cluster=cluster, version=int(version)
        ),
    )


def package(wanted: Wanted) -> Target:
    """A package of an application. What its file says of it is not known: the file is not kept."""
    return Target(
        "CLOUDTOWER_APPLICATION_PACKAGE",
        {"name": wanted.name},
        lambda: wanted.add("CloudTowerApplicationPackage", name=wanted.name, version="1.0.0"),
    )


def elf_file(wanted: Wanted) -> Target:
    """A file that an import takes later, by the upload task's id: nothing else comes of it."""
    kinds = {".ovf": "OVF", ".qcow2": "VM_VOLUME_QCOW2", ".vmdk": "VM_VOLUME_VMDK"}
    kind = kinds.get(PurePosixPath(wanted.name).suffix.lower(), "VM_VOLUME_RAW")
    args = {"name": wanted.name, "cluster_id": wanted.cluster()["id"]}
    return Target(kind, args, lambda: None)


def _elf_image(wanted: Wanted, cluster: str, uuid: str) -> Document:
    description = wanted.fields.get("description", "")
    return wanted.add(
        "ElfImage", **wanted.described, local_id=uuid, cluster=cluster, description=description
    )


def _volume(wanted: Wanted, cluster: str, uuid: str) -> Document:
    targets = wanted.maker.store.select("IscsiTarget", {"cluster": {"id": cluster}})
    return wanted.add(
        "IscsiLun",
        name=wanted.name,
        assigned_size=wanted.size,
        local_id=uuid,
        zbs_volume_id=uuid,
        iscsi_target=targets[0]["id"],
    )
