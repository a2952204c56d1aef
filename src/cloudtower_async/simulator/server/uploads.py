"""Handlers for chunks of uploads and for cancelling uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..http_errors import BadRequestError, HttpError, require_member
from ..mutations.body import amount
from ..uploads import ReceivedUpload, check_size, is_open
from . import upload_destinations
from .request_parser import FilePart
from .upload_destinations import UploadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..store.filters import Document
    from ..uploads import UploadDestination
    from .context import Handler, RequestContext


def _upload(
    context: RequestContext, aim: Callable[[UploadRequest], UploadDestination | None]
) -> Document:
    body = cast("dict[str, Any]", context.request.body)
    part = require_member(body, "file", object)
    if not isinstance(part, FilePart):
        raise BadRequestError("file: required, in a form")
    uploads = context.state.uploads
    if identifier := body.get("upload_task_id"):
        task = context.store.table("UploadTask").get(identifier)
        if task is None:
            raise HttpError(404, f"there is no upload task {identifier}")
        if not is_open(task):
            raise HttpError(400, f"upload task {identifier} has ended")
    else:
        size = _size(body)
        check_size(part, size)
        target = aim(UploadRequest(context.factory, body, size, uploads.as_volumes))
        if target is None:
            raise HttpError(304, "nothing to upload to")
        task = uploads.begin(ReceivedUpload(body["name"], size, target))
    uploads.receive(task, part, context.content)
    return context.store.render("UploadTask", task, context.language)


def _size(fields: dict[str, Any]) -> int:
    name, size = fields.get("name"), fields.get("size", "")
    if not name or not (size.isascii() and size.isdigit()):
        raise BadRequestError(
            "name, size: required with the first chunk; the size is a whole number"
        )
    try:
        size = amount({**fields, "size": int(size)}, "size")
    except KeyError:
        raise BadRequestError(f"size_unit: {fields['size_unit']!r} is no unit") from None
    return cast("int", size)


def _several(aim: Callable[[UploadRequest], UploadDestination | None]) -> Handler:
    return lambda context: [_upload(context, aim)]


def _cancel(context: RequestContext) -> object:
    where = require_member(context.request.body, "where", dict[str, Any])
    tasks = [one for one in context.store.select("UploadTask", where) if is_open(one)]
    if not tasks:
        raise HttpError(304, "nothing to cancel")
    for task in tasks:
        context.state.uploads.cancel(task)
    return [task["id"] for task in tasks]


HANDLERS: dict[str, Handler] = {
    "upload-content-library-image": _several(upload_destinations.library_image),
    "upload-elf-image": _several(upload_destinations.elf_image),
    "upload-svt-image": _several(upload_destinations.svt_image),
    "upload-cloudtower-application-package": _several(upload_destinations.package),
    "upload-elf-file": lambda context: _upload(context, upload_destinations.elf_file),
    "cancel-upload-task": _cancel,
}
