"""Resuming uploads from a stored state, on a server with unusual counts and chunk sizes."""

from __future__ import annotations

import io
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.late_chunks import CHUNK, CHUNKS, LateServer, serving
from cloudtower_async import (
    Cloudtower,
    InvalidInput,
    NotFound,
    RetryPolicy,
    SessionClosed,
    SourceChanged,
    UploadFailed,
    UploadInterrupted,
    UploadState,
)
from tests.support import TOKEN
from tests.uploads import late_uploads
from tests.uploads.late_uploads import CONTENT, UPLOADED, arrived, upload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


session = partial(late_uploads.session, retry=RetryPolicy(attempts=1))


async def interrupted(
    server: LateServer,
    tower: Cloudtower,
    source: Any,  # noqa: ANN401
    *,
    after: int,
    **options: Any,  # noqa: ANN401
) -> UploadState:
    """Upload a number of chunks; return the state after the next one was rejected."""
    server.answers[after + 1] = 403
    with pytest.raises(UploadInterrupted) as info:
        await upload(tower, source, **options)
    assert info.value.state is not None
    return info.value.state


@pytest.mark.anyio
@pytest.mark.parametrize("count_from", [0, 1, 2])
@pytest.mark.parametrize("after", [1, 3, CHUNKS - 1])
@pytest.mark.parametrize("first", [CHUNK, 700, 1500])
async def test_an_upload_is_resumed_from_its_stored_state_wherever_the_server_counts_from(
    count_from: int, after: int, first: int
) -> None:
    server = LateServer()
    server.count_from = count_from
    server.chunk_size = 700
    async with session(server) as tower:
        state = await interrupted(server, tower, io.BytesIO(CONTENT), after=after, chunk_size=first)
        assert state.sent == sum(server.chunks)
        server.chunk_size = 300  # it may request another size now
        stored = UploadState.from_json(state.to_json())
        assert stored == state
        await upload(tower, io.BytesIO(CONTENT), resume=stored, chunk_size=None)
    assert arrived(server)


@pytest.mark.anyio
async def test_another_file_of_the_same_size_is_refused(tmp_path: Path) -> None:
    server = LateServer()
    file = tmp_path / "x.iso"
    await anyio.to_thread.run_sync(file.write_bytes, CONTENT)
    async with session(server) as tower:
        state = await interrupted(server, tower, file, after=3)
        sent = server.requests.count(UPLOADED)
        other = bytearray(CONTENT)
        other[5] ^= 1
        await anyio.to_thread.run_sync(file.write_bytes, other)
        with pytest.raises(InvalidInput, match="of another file: its modification time in ns was"):
            await upload(tower, file, resume=state)
        assert state.modified_ns is not None
        times = (state.modified_ns, state.modified_ns)
        await anyio.to_thread.run_sync(lambda: os.utime(file, ns=times))
        with pytest.raises(InvalidInput, match=r"the first 3,072 bytes of x\.iso are not those"):
            await upload(tower, file, resume=state)
        with pytest.raises(InvalidInput, match="of another file: its size in bytes was 5220"):
            await upload(
                tower,
                io.BytesIO(CONTENT[:-1]),
                resume=msgspec.structs.replace(state, modified_ns=None),
            )
        assert server.requests.count(UPLOADED) == sent
        await anyio.to_thread.run_sync(file.write_bytes, CONTENT)
        await anyio.to_thread.run_sync(lambda: os.utime(file, ns=times))
        await upload(tower, file, resume=state)
    assert arrived(server)


@pytest.mark.anyio
async def test_a_stream_that_differs_in_the_pending_chunk_is_refused() -> None:
    server = LateServer()
    async with session(server) as tower, upload(tower, io.BytesIO(CONTENT)) as steps:
        await anext(steps)
        state = steps.state
        await anext(steps)
        await tower.close()
        with pytest.raises(SessionClosed):
            await anext(steps)
    assert state is not None
    assert (state.sent, state.pending, state.chunks) == (CHUNK, CHUNK, 1)
    other = bytearray(CONTENT)
    other[CHUNK + 5] ^= 1

    async def stream() -> AsyncGenerator[bytes]:
        yield bytes(other)

    async with session(server) as tower:
        moved = msgspec.structs.replace(state, endpoint=str(tower.endpoint))
        with pytest.raises(InvalidInput, match="the first 2,048 bytes of this one are not those"):
            await upload(tower, stream(), resume=moved, size=len(CONTENT))
        await upload(tower, io.BytesIO(CONTENT), resume=moved)
    assert arrived(server)


@pytest.mark.anyio
@pytest.mark.parametrize("taken", [False, True])
async def test_a_killed_process_is_resumed_from_the_state_of_its_last_step(taken: bool) -> None:
    server = LateServer()
    async with serving(server) as url:
        async with (
            Cloudtower(url, token=TOKEN) as tower,
            upload(tower, io.BytesIO(CONTENT)) as steps,
        ):
            await anext(steps)
            await anext(steps)
            state = steps.state
            if taken:
                await anext(steps)
            await tower.close()
            with pytest.raises(SessionClosed):
                await anext(steps)
        assert state is not None
        async with Cloudtower(url, token=TOKEN) as tower:
            await upload(tower, io.BytesIO(CONTENT), resume=state)
    assert arrived(server)
    assert server.requests.count(UPLOADED) == CHUNKS


@pytest.mark.anyio
async def test_a_state_that_is_two_chunks_old_is_refused() -> None:
    server = LateServer()
    async with session(server) as tower, upload(tower, io.BytesIO(CONTENT)) as steps:
        await anext(steps)
        state = steps.state
        await anext(steps)
        await anext(steps)
        with pytest.raises(UploadFailed, match="unknown: the server has 3 chunks where 1 were"):
            await upload(tower, io.BytesIO(CONTENT), resume=state)
    assert state is not None


@pytest.mark.anyio
async def test_the_old_state_of_an_upload_that_has_ended_leads_to_its_result() -> None:
    server = LateServer()
    async with session(server) as tower:
        async with upload(tower, io.BytesIO(CONTENT)) as steps:
            await anext(steps)
            state = steps.state
            async for _ in steps:
                pass
        sent = server.requests.count(UPLOADED)
        with pytest.raises(UploadFailed, match="has ended: look for its result before starting"):
            await upload(tower, io.BytesIO(CONTENT), resume=state)
        assert server.requests.count(UPLOADED) == sent


@pytest.mark.anyio
@pytest.mark.parametrize("shown", [None, "3", 0, 4, 9])
async def test_a_count_that_does_not_fit_the_state_is_refused(shown: object) -> None:
    server = LateServer()
    async with session(server) as tower:
        state = await interrupted(server, tower, io.BytesIO(CONTENT), after=3)
        assert (state.pending, state.pending_sha256) == (0, state.sha256)
        server.count = lambda _: shown
        sent = server.requests.count(UPLOADED)
        with pytest.raises(UploadFailed, match=r"unknown: .* Start again"):
            await upload(tower, io.BytesIO(CONTENT), resume=state)
        assert server.requests.count(UPLOADED) == sent


@pytest.mark.anyio
async def test_a_state_without_a_count_that_follows_is_refused() -> None:
    server = LateServer()
    server.count = lambda _: None
    async with session(server) as tower:
        state = await interrupted(server, tower, io.BytesIO(CONTENT), after=3)
        with pytest.raises(UploadFailed, match="unknown: the server does not count"):
            await upload(tower, io.BytesIO(CONTENT), resume=state)


@pytest.mark.anyio
async def test_resuming_with_another_destination_is_rejected() -> None:
    server = LateServer()
    async with session(server) as tower:
        state = await interrupted(server, tower, io.BytesIO(CONTENT), after=3)
        seen = len(server.requests)
        wrong: list[tuple[dict[str, Any], dict[str, Any], str]] = [
            ({"endpoint": "https://other.example"}, {}, "the upload is at https://other.example"),
            ({"operation": "ovf.upload_elf_file"}, {}, "begun with ovf.upload_elf_file, this one"),
            ({}, {"name": "y.iso"}, "name: the upload was begun with 'x.iso', not 'y.iso'"),
            ({}, {"cluster_id": "c2"}, "cluster_id: the upload was begun with 'c1', not 'c2'"),
            ({}, {"description": "new"}, "description: the upload was begun with None, not 'new'"),
            ({"sent": 0}, {}, "sent: 0 of 5,220 bytes"),
            ({}, {"resume": "task-0"}, "expected an UploadState, .* got str"),
        ]
        for changes, options, message in wrong:
            given: dict[str, Any] = {"resume": msgspec.structs.replace(state, **changes), **options}
            with pytest.raises(InvalidInput, match=message):
                await upload(tower, io.BytesIO(CONTENT), **given)
        assert len(server.requests) == seen
        unknown = msgspec.structs.replace(state, upload_task_id="none")
        with pytest.raises(NotFound, match="there is no upload task none"):
            await upload(tower, io.BytesIO(CONTENT), resume=unknown)


@pytest.mark.anyio
async def test_resuming_a_completely_sent_upload_only_waits_for_its_end() -> None:
    server = LateServer()
    server.listed = False
    async with session(server) as tower:
        async with upload(tower, io.BytesIO(CONTENT), timeout=0.01) as steps:
            with pytest.raises(TimeoutError) as info:
                async for _ in steps:
                    pass
        state: Any = info.value
        server.listed = True
        server.count = lambda _: 0  # the effect at the end is unknown
        image = await upload(tower, io.BytesIO(CONTENT), resume=state.state)
    assert image.size == len(CONTENT)
    assert server.requests.count(UPLOADED) == CHUNKS


@pytest.mark.anyio
async def test_a_file_that_became_shorter_is_refused() -> None:
    server = LateServer()

    async def short() -> AsyncGenerator[bytes]:
        yield CONTENT[:2000]

    async with session(server) as tower:
        state = await interrupted(server, tower, io.BytesIO(CONTENT), after=3)
        with pytest.raises(SourceChanged, match="ended after 2,000 of its 5,220 bytes"):
            await upload(tower, short(), resume=state, size=len(CONTENT))


STATE = UploadState(
    endpoint="https://tower.example",
    operation="elf_image.create_elf_image",
    upload_task_id="t",
    form={"name": "x"},
    size=100,
    modified_ns=None,
    chunk_size=10,
    sent=50,
    sha256="0" * 64,
    pending=10,
    pending_sha256="1" * 64,
    chunks=5,
    count_base=0,
    resent=False,
    existing_ids=("a",),
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        STATE.to_json().replace('"sent":50', '"sent":0'),
        STATE.to_json().replace('"sent":50', '"sent":101'),
        STATE.to_json().replace('"sent":50', '"sent":null'),
        STATE.to_json().replace('"pending":10', '"pending":60'),
        STATE.to_json().replace('"pending":10', '"pending":-1'),
        STATE.to_json().replace('"chunks":5', '"chunks":0'),
        STATE.to_json().replace('"chunk_size":10', '"chunk_size":0'),
        STATE.to_json().replace("0" * 64, "z" * 64),
        STATE.to_json().replace('"version":1', '"version":2'),
        STATE.to_json().replace('"version":1', '"version":1,"more":1'),
        STATE.to_json()[:-1],
        "[" * 100_000,
    ],
)
def test_an_invalid_state_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput, match="upload: resume: "):
        UploadState.from_json(text)


@given(st.binary(max_size=50) | st.text(max_size=50))
def test_other_text_raises_only_our_error(text: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        UploadState.from_json(text)


def test_a_state_is_one_line_of_json() -> None:
    assert UploadState.from_json(STATE.to_json()) == STATE
    assert "\n" not in STATE.to_json()
    assert msgspec.json.decode(STATE.to_json())["version"] == 1
