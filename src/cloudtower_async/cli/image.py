"""The commands ``image …``: list, upload and delete images of the content library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from .changes import ChangeOptions, ChangeTarget, CommandChange, question, run_change
from .connect import ConnectOptions
from .output_options import OutputOptions
from .reading_commands import add_list
from .resolve_names import Where, select
from .upload import upload as upload_file
from .vm import Repeated

if TYPE_CHECKING:
    from ..client import Cloudtower

image: App = App(name="image", help="List, upload and delete images of the content library.")
add_list(image, "content-library-images", "images of the content library")


@image.command
def upload(
    file: Path,
    /,
    *,
    cluster: Repeated = None,
    name: str | None = None,
    resume: str | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Upload an image to the content library. The command `upload` has more options.

    Args:
        file: File with the image.
        cluster: Name or id of a cluster to upload to. Repeat the option for several clusters.
        name: Name of the image. [default: name of the file]
        resume: Id of the upload task of an interrupted upload of this file. Only the rest is sent.
        connection: Connection options.
    """
    upload_file(file, cluster=cluster, name=name, resume=resume, connection=connection)


@image.command
def delete(
    *names: str,
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Delete images of the content library from all clusters.

    Args:
        names: Names or ids of the images.
        where: Filter that selects the images, as in `list --where`. Use it instead of names or ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        library = tower.content_library_image
        found = await select(
            tower, "content_library_image.get_content_library_images", names, where, noun="image"
        )
        return CommandChange(
            ask=question(
                "Delete {number} image on {place}?",
                "Delete {number} images on {place}?",
            ),
            noun="image",
            kind="ContentLibraryImage",
            step="delete",
            destructive=True,
            deletes=True,
            targets=[ChangeTarget(one.name or one.id, "", one) for one in found],
            send=lambda one: library.delete_content_library_image(where={"id": one.resource.id}),
        )

    run_change("image delete", plan, change, output, connection)
