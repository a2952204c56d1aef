"""Stored states of uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async import UploadState
from cloudtower_async.cli.errors import UsageError
from cloudtower_async.cli.upload_states import StateMemory, load_state

if TYPE_CHECKING:
    from pathlib import Path

STATE = UploadState(
    endpoint="https://tower.example",
    operation="elf_image.create_elf_image",
    upload_task_id="t",
    form={"name": "x.iso"},
    size=3,
    modified_ns=None,
    chunk_size=2,
    sent=2,
    sha256="0" * 64,
    pending=0,
    pending_sha256="0" * 64,
    chunks=1,
    count_base=0,
    resent=False,
    existing_ids=(),
)


@pytest.mark.anyio
async def test_a_state_that_is_kept_late_does_not_outlive_the_upload(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If a task is cancelled, its thread may still write the state after the state was deleted."""
    for variable in ("HOME", "LOCALAPPDATA", "USERPROFILE", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    memory = StateMemory(None)
    await memory.keep(STATE)
    stored = await anyio.to_thread.run_sync(load_state, "t")
    assert stored == STATE
    await memory.forget()
    await memory.keep(STATE)
    with pytest.raises(UsageError, match="--resume t: the state of this upload is not stored"):
        await anyio.to_thread.run_sync(load_state, "t")
