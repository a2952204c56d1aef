"""The commands ``image …``: list images of the content library, and upload them."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from .connect import ConnectOptions
from .reading_commands import add_list
from .upload import upload as upload_file
from .vm import Repeated

image: App = App(name="image", help="List images of the content library, and upload them.")
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
    """Upload an image to the content library; the command `upload` has more options.

    Args:
        file: The image.
        cluster: Name or id of the cluster that it goes to; repeat it for more.
        name: Name of the image. [default: that of the file]
        resume: Upload task of an interrupted upload of this file, to send the rest.
        connection: How to reach the server.
    """
    upload_file(file, cluster=cluster, name=name, resume=resume, connection=connection)
