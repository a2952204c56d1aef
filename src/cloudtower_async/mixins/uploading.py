"""What a session offers for uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from ..calls.executor import Executor
    from ..inputs import ClusterWhereInput
    from ..models import (
        CloudTowerApplicationPackage,
        ContentLibraryImage,
        ElfImage,
        SvtImage,
        UploadTask,
    )
    from ..session_state import SessionState
    from ..uploads.source import Uploadable
    from ..uploads.targets import UploadKind
    from ..uploads.upload import Upload, UploadProgress
    from ..uploads.upload_state import UploadState


class UploadOptions(TypedDict, total=False):
    """What uploads of every kind take."""

    name: str | None
    size: int | None
    chunk_size: int | None
    resume: UploadState | None
    timeout: float | None
    interval: float
    settling_time: float


class Uploading:
    """Uploading files, as methods of a session."""

    _caller: Executor
    _shared: SessionState

    @overload
    async def upload_image(
        self,
        source: Uploadable,
        *,
        clusters: ClusterWhereInput,
        kind: Literal["content_library_image"] = "content_library_image",
        description: str | None = None,
        on_progress: Callable[[UploadProgress], object] | None = None,
        **options: Unpack[UploadOptions],
    ) -> ContentLibraryImage: ...
    @overload
    async def upload_image(
        self,
        source: Uploadable,
        *,
        cluster_id: str,
        kind: Literal["elf_image"],
        description: str | None = None,
        on_progress: Callable[[UploadProgress], object] | None = None,
        **options: Unpack[UploadOptions],
    ) -> ElfImage: ...
    @overload
    async def upload_image(
        self,
        source: Uploadable,
        *,
        cluster_id: str,
        kind: Literal["svt_image"],
        on_progress: Callable[[UploadProgress], object] | None = None,
        **options: Unpack[UploadOptions],
    ) -> SvtImage: ...
    @overload
    async def upload_image(
        self,
        source: Uploadable,
        *,
        cluster_id: str,
        kind: Literal["elf_file"],
        on_progress: Callable[[UploadProgress], object] | None = None,
        **options: Unpack[UploadOptions],
    ) -> UploadTask: ...
    @overload
    async def upload_image(
        self,
        source: Uploadable,
        *,
        kind: Literal["application_package"],
        on_progress: Callable[[UploadProgress], object] | None = None,
        **options: Unpack[UploadOptions],
    ) -> CloudTowerApplicationPackage: ...
    async def upload_image(
        self,
        source: Uploadable,
        *,
        clusters: ClusterWhereInput | None = None,
        cluster_id: str | None = None,
        kind: UploadKind = "content_library_image",
        description: str | None = None,
        on_progress: Callable[[UploadProgress], object] | None = None,
        **options: Unpack[UploadOptions],
    ) -> object:
        """Upload a file and return what comes of it.

        It is sent in chunks, one after the other and each exactly once, with no more than two of
        them in memory. Cancelling this cancels the upload on the server.

        Args:
            source: A path, a file opened in binary mode, read from where it stands, or an async
                iterator of bytes.
            clusters: For an image of the content library: a filter, in which clusters; EVERYTHING
                for all of them.
            cluster_id: For an ELF image, an SVT image or an ELF file: in which cluster.
            kind: What it becomes: ``content_library_image``, ``elf_image``, ``svt_image`` (the VM
                tools; its version is read from the file), ``elf_file`` (for an import, which takes
                the upload task's id) or ``application_package``.
            description: Description of an image of the content library or an ELF image.
            on_progress: Called with an `UploadProgress` each time the server has another chunk.
            options: ``name``: what it will be called; None: as the file.
                ``size``: size in bytes, required for async iterators and pipes.
                ``chunk_size``: size of the first chunk and maximum size of later ones, in bytes;
                None: 8 MiB, then the size that the server asks for, up to 64 MiB.
                ``resume``: state of an interrupted upload of the same file to the same place:
                ``error.state``, or a stored state read with `UploadState.from_json`.
                ``timeout``: seconds from the last chunk until the result appears, 300 by default;
                None waits without limit. Each chunk has the session's time-out.
                ``interval``: maximum number of seconds between polls, 5 by default.
                ``settling_time``: seconds that a chunk whose outcome is unknown (a 504, a broken
                connection) has to show in the server's count before it is resent, 300 by default.
                It has to be longer than the time-out of any proxy on the way.

        Returns:
            A `ContentLibraryImage`, an `ElfImage`, an `SvtImage`, for an ELF file the `UploadTask`,
            or a `CloudTowerApplicationPackage`.

        Raises:
            UploadInterrupted: A chunk could not be delivered; ``error.state`` resumes the upload.
            UploadFailed: The server gave up the upload or refuses its chunks, it was cancelled on
                the server, or it is unknown what the server has.
            UploadTimeout: Everything was sent, but the result did not appear in time.
            SourceChanged: The file became shorter or longer meanwhile.
            InvalidInput: An argument or the file cannot be used; nothing was sent.
            EmptyFilter: `clusters` may match everything.
            CallError: The upload could not begin.
            SessionClosed: The session was closed meanwhile.

        Example:
            ::

                image = await tower.upload_image("tools.iso", clusters={"name_in": ["prod"]})
        """
        arguments: dict[str, Any] = {
            "kind": kind,
            "clusters": clusters,
            "cluster_id": cluster_id,
            "description": description,
        }
        async with self._upload(source, arguments, options) as upload:
            async for progress in upload:
                if on_progress is not None:
                    on_progress(progress)
        return upload.result

    @overload
    def uploading(
        self,
        source: Uploadable,
        *,
        clusters: ClusterWhereInput,
        kind: Literal["content_library_image"] = "content_library_image",
        description: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> Upload[ContentLibraryImage]: ...
    @overload
    def uploading(
        self,
        source: Uploadable,
        *,
        cluster_id: str,
        kind: Literal["elf_image"],
        description: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> Upload[ElfImage]: ...
    @overload
    def uploading(
        self,
        source: Uploadable,
        *,
        cluster_id: str,
        kind: Literal["svt_image"],
        **options: Unpack[UploadOptions],
    ) -> Upload[SvtImage]: ...
    @overload
    def uploading(
        self,
        source: Uploadable,
        *,
        cluster_id: str,
        kind: Literal["elf_file"],
        **options: Unpack[UploadOptions],
    ) -> Upload[UploadTask]: ...
    @overload
    def uploading(
        self,
        source: Uploadable,
        *,
        kind: Literal["application_package"],
        **options: Unpack[UploadOptions],
    ) -> Upload[CloudTowerApplicationPackage]: ...
    def uploading(
        self,
        source: Uploadable,
        *,
        clusters: ClusterWhereInput | None = None,
        cluster_id: str | None = None,
        kind: UploadKind = "content_library_image",
        description: str | None = None,
        **options: Unpack[UploadOptions],
    ) -> Upload[object]:
        """Upload a file step by step, and see how far it is.

        Leaving the block before the end of the iteration cancels the upload on the server. A step
        that fails or is cancelled is the last one.

        Args:
            source: As of `upload_image`.
            clusters: As of `upload_image`.
            cluster_id: As of `upload_image`.
            kind: As of `upload_image`.
            description: As of `upload_image`.
            options: As of `upload_image`.

        Returns:
            An asynchronous context manager and iterator over `UploadProgress`; ``result`` is there
            at the end.

        Raises:
            InvalidInput: The arguments cannot be used. Iterating raises what `upload_image` does.
            EmptyFilter: `clusters` may match everything.

        Example:
            ::

                async with tower.uploading("tools.iso", clusters={"name": "prod"}) as upload:
                    async for progress in upload:
                        print(f"{progress.sent / progress.total:.0%}, {progress.rate:,.0f} B/s")
                print(upload.result.id)
        """
        arguments: dict[str, Any] = {
            "kind": kind,
            "clusters": clusters,
            "cluster_id": cluster_id,
            "description": description,
        }
        return self._upload(source, arguments, options)

    def _upload(
        self, source: Uploadable, arguments: dict[str, Any], options: UploadOptions
    ) -> Upload[object]:
        from ..errors import InvalidInput
        from ..uploads.source import Source
        from ..uploads.targets import Target
        from ..uploads.upload import Upload

        known = UploadOptions.__annotations__
        if unknown := options.keys() - known:
            raise InvalidInput(f"upload: {', '.join(sorted(unknown))}: no such option")
        opened = Source(source, options.get("size"))
        name = options.get("name") or opened.name
        if not name:
            raise InvalidInput("upload: name: it cannot be told from what is uploaded; pass name=")
        return Upload(
            self._caller,
            self._shared,
            opened,
            Target(self._caller, name=name, **arguments),
            chunk_size=options.get("chunk_size"),
            resume=options.get("resume"),
            timeout=options.get("timeout", 300.0),
            interval=options.get("interval", 5.0),
            settling_time=options.get("settling_time", 300.0),
        )
