"""Upload targets: one class for each kind of resource that the server can create from a file.

To add a kind, define a subclass of `UploadTarget` here, and export it from the package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import msgspec

from .. import inputs, models
from ..calls.validation import dates_as_texts
from ..errors import InvalidInput

R_co = TypeVar("R_co", covariant=True)

Listing: TypeAlias = Callable[[Mapping[str, object]], Awaitable[list[Any]]]
"""Function that returns the resources that match a filter; it calls `UploadTarget.query`."""

_VERSION_OFFSET = 32 * 1024 + 190
_VERSION_LENGTH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadTarget(ABC, Generic[R_co]):
    """Base class of upload targets.

    The result of an upload is the value that awaiting the upload returns, such as the new resource.
    The type parameter `R_co` is the type of the result.

    The fields of an instance, such as ``cluster_id``, are form fields of the operation that
    receives the chunks. The following class attributes describe how a file of this kind is
    uploaded.

    Attributes:
        operation: Name of the operation that receives the chunks.
        resource_types: Values that the field `resource_type` of the upload task may have, such as
            ``"ELF_IMAGE"``.
        query: Name of the query that lists the results; empty if the upload task itself is the
            result.
        in_every_chunk: Names of the form fields to send with every chunk. The other fields are only
            sent with the first chunk.
    """

    operation: ClassVar[str]
    resource_types: ClassVar[tuple[str, ...]]
    query: ClassVar[str] = ""
    in_every_chunk: ClassVar[tuple[str, ...]] = ()

    def form(self) -> dict[str, object]:
        """Return the form fields that describe the new resource, such as its cluster.

        Raises:
            InvalidInput: A required field is None.
        """
        form: dict[str, object] = {}
        for field in fields(self):
            value: object = getattr(self, field.name)
            if isinstance(value, dict):
                where = dates_as_texts("upload", f".{field.name}", cast("object", value))
                form[field.name] = msgspec.json.encode(where).decode()
            elif value is not None:
                form[field.name] = value
            elif field.default is MISSING:
                raise InvalidInput(f"upload: {field.name}: missing; {type(self).__name__} needs it")
        return form

    def first_chunk_form(self, chunk: bytes) -> dict[str, str]:
        """Return additional form fields, whose values are read from the first chunk.

        Raises:
            InvalidInput: The chunk is not the start of a valid file.
        """
        return {}

    async def existing_ids(self, listing: Listing) -> frozenset[str]:
        """Return the ids of the resources that exist before the upload.

        After the upload, `find` ignores the resources with these ids. The base class returns an
        empty set.

        Args:
            listing: Async function that takes a filter and returns the resources that match.
        """
        return frozenset()

    @abstractmethod
    async def find(
        self, listing: Listing, task: models.UploadTask, name: str, existing_ids: frozenset[str]
    ) -> R_co | None:
        """Find the result of an upload.

        Args:
            listing: Async function that takes a filter and returns the resources that match.
            task: The upload task, which has succeeded.
            name: Name of the result.
            existing_ids: Ids of the resources that existed before the upload, as the method
                `existing_ids` returned them.

        Returns:
            The result, or None if the server does not list the result yet.
        """


class _NamedByTask(UploadTarget[R_co]):
    """Target whose result can be identified by the arguments of the upload task."""

    __slots__ = ()

    async def find(
        self, listing: Listing, task: models.UploadTask, name: str, existing_ids: frozenset[str]
    ) -> R_co | None:
        where = _result_filter(task.args)
        found = [] if where is None else await listing(where)
        return found[0] if len(found) == 1 else None


class _FoundByComparison(UploadTarget[R_co]):
    """Target whose result is found by comparing the resources before and after the upload."""

    __slots__ = ()

    async def existing_ids(self, listing: Listing) -> frozenset[str]:
        return frozenset(one.id for one in await listing(self._scope()))

    async def find(
        self, listing: Listing, task: models.UploadTask, name: str, existing_ids: frozenset[str]
    ) -> R_co | None:
        found = [one for one in await listing(self._scope()) if one.id not in existing_ids]
        if len(found) > 1:
            found = [one for one in found if one.name == name]
        return found[0] if len(found) == 1 else None

    def _scope(self) -> Mapping[str, object]:
        """Return the filter of the listings before and after the upload, which find the result."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLibraryImage(_NamedByTask["models.ContentLibraryImage"]):
    """Upload target for an image of the content library.

    The result is a `models.ContentLibraryImage`.

    Args:
        clusters: Filter for the clusters that get the image; `EVERYTHING` selects all clusters.
        description: Description of the image. None means no description.
    """

    operation: ClassVar[str] = "content_library_image.create_content_library_image"
    resource_types: ClassVar[tuple[str, ...]] = ("CONTENT_LIBRARY_IMAGE",)
    query: ClassVar[str] = "content_library_image.get_content_library_images"
    in_every_chunk: ClassVar[tuple[str, ...]] = ("clusters",)

    clusters: inputs.ClusterWhereInput
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfImage(_NamedByTask["models.ElfImage"]):
    """Upload target for an image of one cluster.

    The result is a `models.ElfImage`.

    Args:
        cluster_id: Id of the cluster.
        description: Description of the image. None means no description.
    """

    operation: ClassVar[str] = "elf_image.create_elf_image"
    resource_types: ClassVar[tuple[str, ...]] = ("ELF_IMAGE",)
    query: ClassVar[str] = "elf_image.get_elf_images"

    cluster_id: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SvtImage(_FoundByComparison["models.SvtImage"]):
    """Upload target for an image of the VM tools. The version of the tools is read from the file.

    The result is a `models.SvtImage`.

    Args:
        cluster_id: Id of the cluster.
    """

    operation: ClassVar[str] = "svt_image.upload_svt_image"
    resource_types: ClassVar[tuple[str, ...]] = ("SVT_IMAGE",)
    query: ClassVar[str] = "svt_image.get_svt_images"

    cluster_id: str

    def first_chunk_form(self, chunk: bytes) -> dict[str, str]:
        label = chunk[_VERSION_OFFSET : _VERSION_OFFSET + _VERSION_LENGTH]
        try:
            version = label.decode().strip(" \0")
        except UnicodeDecodeError:
            version = ""
        if len(label) < _VERSION_LENGTH or not version:
            raise InvalidInput(
                "upload: this is no image of the VM tools, or chunk_size is too small: the first "
                f"chunk has no version in the {_VERSION_LENGTH} bytes from {_VERSION_OFFSET:,}"
            )
        return {"version": version}

    def _scope(self) -> Mapping[str, object]:
        return {"cluster": {"id": self.cluster_id}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile(UploadTarget["models.UploadTask"]):
    """Upload target for an import: an OVF file, or a disk image of a VM, a volume or a template.

    The result is the `models.UploadTask`. Pass the id of the upload task to the operation that
    imports the file.

    Args:
        cluster_id: Id of the cluster.
    """

    operation: ClassVar[str] = "ovf.upload_elf_file"
    resource_types: ClassVar[tuple[str, ...]] = (
        "OVF",
        "VM_VOLUME_QCOW2",
        "VM_VOLUME_RAW",
        "VM_VOLUME_VMDK",
    )

    cluster_id: str

    async def find(
        self, listing: Listing, task: models.UploadTask, name: str, existing_ids: frozenset[str]
    ) -> models.UploadTask:
        return task


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudTowerApplicationPackage(_FoundByComparison["models.CloudTowerApplicationPackage"]):
    """Upload target for an application package.

    The result is a `models.CloudTowerApplicationPackage`.
    """

    operation: ClassVar[str] = "cloud_tower_application.upload_cloud_tower_application_package"
    resource_types: ClassVar[tuple[str, ...]] = ("CLOUDTOWER_APPLICATION_PACKAGE",)
    query: ClassVar[str] = "cloud_tower_application_package.get_cloud_tower_application_packages"


def _result_filter(args: Mapping[str, Any]) -> Mapping[str, object] | None:
    """Return a filter for the result of an upload task, made from the arguments of the task.

    Return None if the arguments do not identify the result.
    """
    match args:
        case {"uploadElfImageLocalIds": [str(first), *_]}:
            return {"elf_images_some": {"local_id": first}}
        case {"uploadIscsiLunZbsVolumeIds": [str(first), *_]}:
            return {"iscsi_luns_some": {"zbs_volume_id": first}}
        case {"attributes": {"uuid": str(uuid)}}:
            return {"local_id": uuid}
        case _:
            return None
