"""Files with the states of uploads. `upload --resume` reads them to continue an upload."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from pathlib import Path

import anyio
import anyio.to_thread

from ..errors import InvalidInput, UploadState
from ..folders import state_folder
from .errors import UsageError
from .language import tr


def load_state(upload_task_id: str) -> UploadState:
    """Return the stored state of an interrupted upload.

    Raises:
        UsageError: The state is not stored on this machine, or cannot be read.
    """
    path = _path(upload_task_id)
    try:
        return UploadState.from_json(path.read_bytes())
    except FileNotFoundError:
        why = tr("the state of this upload is not stored on this machine")
    except OSError as exc:
        why = f"{path}: {exc.strerror}"
    except InvalidInput as exc:
        why = f"{path}: {exc}"
    raise UsageError(
        tr(
            "--resume {upload_task_id}: {why}; start again without --resume",
            upload_task_id=upload_task_id,
            why=why,
        )
    )


class StateMemory:
    """File with the state of one upload. The file is deleted when the upload has ended.

    Args:
        state: State of the upload to resume, or None for a new upload.
    """

    def __init__(self, state: UploadState | None) -> None:
        self._id = None if state is None else state.upload_task_id
        self._failure: str | None = None
        self._forgotten = False
        self._files = threading.Lock()  # a thread may still write after the caller was cancelled

    @property
    def advice(self) -> str:
        """Advice to the user after an interrupted upload: how to resume, or to start again."""
        if self._id is None or self._failure is not None:
            why = self._failure or tr("it is not known what was sent")
            return tr("Start again: the state of the upload could not be stored: {why}", why=why)
        return tr("Continue with --resume {id}", id=self._id)

    async def keep(self, state: UploadState | None) -> None:
        """Store the state in the file. If that fails, the text of `advice` names the error."""
        if state is None:
            return
        self._id = state.upload_task_id
        try:
            await anyio.to_thread.run_sync(self._write, _path(self._id), state.to_json())
        except OSError as exc:
            self._failure = f"{_path(self._id)}: {exc.strerror}"
        else:
            self._failure = None

    async def forget(self) -> None:
        """Delete the file: the upload is complete, has failed, or was cancelled.

        Cancellation does not interrupt the deletion.
        """
        if self._id is None:
            return
        self._forgotten = True
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._delete, _path(self._id))
        except OSError as exc:
            self._failure = str(exc.strerror)

    def _write(self, path: Path, text: str) -> None:
        """Replace the file atomically. Only the owner can read the new file."""
        with self._files:
            if self._forgotten:
                return
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
            Path(file.name).replace(path)

    def _delete(self, path: Path) -> None:
        with self._files:
            path.unlink(missing_ok=True)


def _path(upload_task_id: str) -> Path:
    # The id comes from outside. Hash it, so that it cannot contain a path to another folder.
    return (
        state_folder()
        / "uploads"
        / f"{hashlib.sha256(upload_task_id.encode()).hexdigest()[:32]}.json"
    )
