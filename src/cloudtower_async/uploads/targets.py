"""Where an upload leads, by its kind: what is sent beside the file, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import msgspec

from ..calls import registry
from ..calls.validation import check
from ..errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..calls.executor import Executor
    from ..calls.operation import Operation
    from ..models import UploadTask
    from ..types import Everything
from ..validators import check_argument, choice_fault

UploadKind: TypeAlias = Literal[
    "content_library_image", "elf_image", "svt_image", "elf_file", "application_package"
]
"""What an upload is to become."""


class _Way(msgspec.Struct, frozen=True):
    """How one kind is uploaded.

    Args:
        send: Takes the chunks.
        resource_types: Of its upload tasks.
        read: Lists what comes of it; None: nothing does beside the upload task itself.
        target: Which argument says where it goes.
    """

    send: str
    resource_types: tuple[str, ...]
    read: str | None
    target: Literal["clusters", "cluster_id"] | None


_WAYS: dict[str, _Way] = {
    "content_library_image": _Way(
        "content_library_image.create_content_library_image",
        ("CONTENT_LIBRARY_IMAGE",),
        "content_library_image.get_content_library_images",
        "clusters",
    ),
    "elf_image": _Way(
        "elf_image.create_elf_image", ("ELF_IMAGE",), "elf_image.get_elf_images", "cluster_id"
    ),
    "svt_image": _Way(
        "svt_image.upload_svt_image", ("SVT_IMAGE",), "svt_image.get_svt_images", "cluster_id"
    ),
    "elf_file": _Way(
        "ovf.upload_elf_file",
        ("OVF", "VM_VOLUME_QCOW2", "VM_VOLUME_RAW", "VM_VOLUME_VMDK"),
        None,
        "cluster_id",
    ),
    "application_package": _Way(
        "cloud_tower_application.upload_cloud_tower_application_package",
        ("CLOUDTOWER_APPLICATION_PACKAGE",),
        "cloud_tower_application_package.get_cloud_tower_application_packages",
        None,
    ),
}
_DESCRIBED = ("content_library_image", "elf_image")

_VERSION_AT = 32 * 1024 + 190
_VERSION_LENGTH = 128


class Target:
    """Where one upload leads.

    Args:
        caller: Asks the server.
        kind: What it becomes.
        clusters: For an image of the content library: a filter, in which clusters.
        cluster_id: For the others but packages: in which cluster.
        name: What it will be called.
        description: Of the image.

    Raises:
        InvalidInput: These do not go together.
        EmptyFilter: `clusters` may match everything.
    """

    def __init__(
        self,
        caller: Executor,
        kind: UploadKind,
        *,
        clusters: Mapping[str, Any] | Everything | None,
        cluster_id: str | None,
        name: str,
        description: str | None,
    ) -> None:
        check_argument("upload", "kind", choice_fault(kind, UploadKind))
        self._caller = caller
        self._way = way = _WAYS[kind]
        self._kind = kind
        given = {"clusters": clusters, "cluster_id": cluster_id}
        for argument, value in given.items():
            if argument == way.target and value is None:
                raise InvalidInput(f"upload: {argument}: missing; {kind} needs it")
            if argument != way.target and value is not None:
                raise InvalidInput(f"upload: {argument}: {kind} takes {way.target or 'none'}")
        if description is not None and kind not in _DESCRIBED:
            raise InvalidInput(f"upload: description: {kind} has none")
        self.name = name
        self._cluster_id = cluster_id
        if isinstance(clusters, dict):
            clusters = cast("Any", msgspec.json.encode(clusters).decode())
        target: dict[str, object] = {}
        if way.target is not None:
            target[way.target] = clusters or cluster_id
        self._again: dict[str, object] = target if way.target == "clusters" else {}
        self._first: dict[str, object] = {**target, "name": name}
        if description is not None:
            self._first["description"] = description
        self._there_before: frozenset[str] = frozenset()
        self.send: Operation[Any] = registry.operation(way.send)
        check(self.send, {**self._first, "file": b""}, validate=caller.validate)

    @property
    def resource_types(self) -> tuple[str, ...]:
        """Of upload tasks that lead here."""
        return self._way.resource_types

    @property
    def form(self) -> dict[str, str]:
        """The fields of the first chunk that say what it becomes and where."""
        return {name: str(value) for name, value in self._first.items()}

    @property
    def existing_ids(self) -> tuple[str, ...]:
        """The resources that `look_around` has found."""
        return tuple(sorted(self._there_before))

    def restore(self, existing_ids: Iterable[str]) -> None:
        """Take over what `look_around` found before the upload began."""
        self._there_before = frozenset(existing_ids)

    def first(self, chunk: bytes, size: int) -> dict[str, object]:
        """What is sent with the first chunk.

        Raises:
            InvalidInput: It has no version where an image of the VM tools has one.
        """
        fields = {**self._first, "file": chunk, "size": str(size)}
        if self._kind == "svt_image":
            fields["version"] = _svt_version(chunk)
        return fields

    def next(self, chunk: bytes, upload_task_id: str) -> dict[str, object]:
        """What is sent with a later chunk."""
        return {**self._again, "file": chunk, "upload_task_id": upload_task_id}

    def is_named_in(self, task: UploadTask) -> bool:
        """Whether the arguments of an upload task hold the name of what this becomes."""
        return _mentions(task.args, self.name)

    async def look_around(self) -> None:
        """Note what is there already, where the server does not say what comes of an upload."""
        if self._way.read is not None and self._kind not in _DESCRIBED:
            self._there_before = frozenset(one.id for one in await self._list(self._scope()))

    async def find(self, task: UploadTask) -> object | None:
        """What has come of an upload that has succeeded; None: it is not there yet."""
        if self._way.read is None:
            return task
        if self._kind in _DESCRIBED:
            where = _by_args(task.args)
            found = [] if where is None else await self._list(where)
        else:
            every = await self._list(self._scope())
            found = [one for one in every if one.id not in self._there_before]
            if len(found) > 1:
                found = [one for one in found if one.name == self.name]
        return cast("object", found[0]) if len(found) == 1 else None

    def _scope(self) -> dict[str, object]:
        return {"cluster": {"id": self._cluster_id}} if self._cluster_id else {}

    async def _list(self, where: Mapping[str, object]) -> list[Any]:
        query: Operation[list[Any]] = registry.operation(self._way.read or "")
        return await self._caller.call(query, {"where": where})


def _by_args(args: Mapping[str, Any]) -> dict[str, object] | None:
    """The filter that the arguments of an upload task lead to."""
    match args:
        case {"uploadElfImageLocalIds": [str(first), *_]}:
            return {"elf_images_some": {"local_id": first}}
        case {"uploadIscsiLunZbsVolumeIds": [str(first), *_]}:
            return {"iscsi_luns_some": {"zbs_volume_id": first}}
        case {"attributes": {"uuid": str(uuid)}}:
            return {"local_id": uuid}
        case _:
            return None


def _mentions(args: object, name: str) -> bool:
    if isinstance(args, dict):
        return any(_mentions(value, name) for value in cast("dict[str, object]", args).values())
    return args == name


def _svt_version(chunk: bytes) -> str:
    """Read the version off the image of the VM tools: its label has it."""
    label = chunk[_VERSION_AT : _VERSION_AT + _VERSION_LENGTH]
    try:
        version = label.decode().strip(" \0")
    except UnicodeDecodeError:
        version = ""
    if len(label) < _VERSION_LENGTH or not version:
        raise InvalidInput(
            "upload: this is no image of the VM tools, or chunk_size is too small: its first chunk "
            f"has no version, which is expected in the {_VERSION_LENGTH} bytes from {_VERSION_AT:,}"
        )
    return version
