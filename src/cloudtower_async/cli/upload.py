"""The command ``upload``: upload a file and show the progress."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import anyio
from cyclopts import Parameter, validators
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from ..control_characters import printable
from ..errors import CloudtowerError, UploadError, UploadInterrupted, UploadTimeout
from ..uploads.targets import (
    CloudTowerApplicationPackage,
    ContentLibraryImage,
    ElfFile,
    ElfImage,
    SvtImage,
)
from .cluster_option import cluster_ids
from .connect import ConnectOptions, connect, planning
from .errors import UsageError
from .language import tr
from .streams import replace_unencodable
from .upload_states import StateMemory, load_state

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..client import Cloudtower
    from ..uploads.targets import UploadTarget
    from ..uploads.upload import UploadOptions, UploadProgress

Kind: TypeAlias = Literal[
    "content-library-image", "elf-image", "svt-image", "elf-file", "application-package"
]
Put: TypeAlias = Callable[["UploadProgress"], None]

_ONE_CLUSTER: dict[str, type[ElfImage | SvtImage | ElfFile]] = {
    "elf-image": ElfImage,
    "svt-image": SvtImage,
    "elf-file": ElfFile,
}
_LINES = 10  # number of progress lines for a whole file


def upload(
    file: Path,
    /,
    *,
    cluster: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    kind: Kind = "content-library-image",
    name: str | None = None,
    resume: str | None = None,
    timeout: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 300.0,
    settling_time: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 300.0,
    connection: ConnectOptions | None = None,
) -> None:
    """Upload a file and show the progress.

    On a terminal, the command shows a progress bar. Otherwise, it prints a line for each tenth of
    the file. The last line contains the kind and the id of the result. Ctrl-C also cancels the
    upload on the server.

    Args:
        file: File to upload.
        cluster: Name or id of the cluster to upload to. An image of the content library can go to
            several clusters: repeat the option.
        kind: Kind of resource that the server creates from the file.
        name: Name of the result. [default: name of the file]
        resume: Id of the upload task of an interrupted upload of this file. Only the rest is sent.
            The state of the upload must be stored on this machine, and is checked first.
        timeout: Maximum seconds to wait for the server after the last byte. 0 means no limit.
        settling_time: Seconds to wait before a chunk with an unknown outcome is resent, for example
            after status 504. In this time, the chunk may appear on the server. Pass a longer time
            than the time-out of any proxy.
        connection: Connection options.
    """
    names = cluster or []
    if kind == "application-package" and names:
        raise UsageError(tr("an application package belongs to no cluster: leave out --cluster"))
    if kind != "application-package" and not names:
        raise UsageError(tr("--cluster: pass the name or id of the cluster to upload to"))
    if kind != "content-library-image" and len(names) > 1:
        raise UsageError(tr("--cluster: {kind} takes one cluster only", kind=kind))
    # Call `connect` outside the event loop, because it may prompt for the password.
    tower = connect(connection or ConnectOptions(), all_languages=False)
    options: UploadOptions = {
        "name": name,
        "resume": None if resume is None else load_state(resume),
        "timeout": timeout or None,
        "settling_time": settling_time,
    }
    anyio.run(_upload, tower, file, names, kind, options)


async def _upload(
    tower: Cloudtower, file: Path, names: list[str], kind: Kind, options: UploadOptions
) -> None:
    async with planning(tower):
        target = await _target(tower, kind, names)
        memory = StateMemory(options.get("resume"))
        try:
            async with tower.upload(file, target, **options) as upload:
                with _outlet(options.get("name") or file.name) as put:
                    async for progress in upload:
                        await memory.keep(upload.state)
                        put(progress)
        except (UploadInterrupted, UploadTimeout) as exc:
            await memory.keep(exc.state)
            told = str(exc).removesuffix(exc.hint)  # the hint is for Python programs
            raise CloudtowerError(f"{told}{memory.advice}") from exc
        except (UploadError, anyio.get_cancelled_exc_class()):
            await memory.forget()
            raise
        await memory.forget()
    what = "upload-task" if kind == "elf-file" else kind
    print(printable(f"{what} {upload.result.id}"), flush=True)


async def _target(tower: Cloudtower, kind: Kind, names: list[str]) -> UploadTarget[Any]:
    """Return the target for `Cloudtower.upload`. `names` are names or ids of clusters."""
    if kind == "application-package":
        return CloudTowerApplicationPackage()
    ids = await cluster_ids(tower, names)
    if kind == "content-library-image":
        return ContentLibraryImage(clusters={"id_in": ids})
    if len(ids) > 1:
        raise UsageError(
            tr("--cluster: several clusters are called {name!r}: pass an id", name=names[0])
        )
    return _ONE_CLUSTER[kind](cluster_id=ids[0])


@contextmanager
def _outlet(name: str) -> Generator[Put]:
    """Yield a function that displays the progress of the upload called `name`."""
    replace_unencodable()
    console = Console(highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _as_lines(name)
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}", markup=False, table_column=Column(no_wrap=True)),
        console=console,
        auto_refresh=False,
        expand=True,
    )
    shown = bar.add_task(printable(name), total=None, pace="")
    told = False

    def put(progress: UploadProgress) -> None:
        nonlocal told
        if not told:  # print the id, which --resume needs if the process is killed
            told = True
            task_id = printable(progress.upload_task_id)
            console.print(tr("upload task {id}", id=task_id), markup=False, soft_wrap=True)
        bar.update(shown, completed=progress.sent, total=progress.total, pace=_pace(progress))
        bar.refresh()

    with bar:
        bar.refresh()
        yield put


def _as_lines(name: str) -> Put:
    told = -1

    def put(progress: UploadProgress) -> None:
        nonlocal told
        tenth = _LINES * progress.sent // progress.total
        if tenth > told:
            told = tenth
            share = progress.sent / progress.total
            line = f"{progress.upload_task_id} {share:.0%} {_pace(progress)} {name}"
            print(printable(line), flush=True)

    return put


def _pace(progress: UploadProgress) -> str:
    """Return the progress as text: amount, rate and time left."""
    amounts = f"{decimal(progress.sent)}/{decimal(progress.total)}"
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{seconds:02}"
    return f"{amounts} {decimal(int(progress.rate))}/s {left}"
