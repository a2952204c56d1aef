"""Chunks with an unknown outcome, on a server behind a proxy with a short time-out."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec
import pytest

from benchmarks.late_chunks import (
    CHUNK,
    CHUNKS,
    JUST_BEFORE,
    NEVER,
    LateServer,
    Outcome,
    run,
)
from cloudtower_async import (
    CallError,
    Cloudtower,
    ElfImage,
    InvalidInput,
    OutcomeUnknown,
    RetryPolicy,
    UploadFailed,
    UploadInterrupted,
    UploadTimeout,
    models,
)
from cloudtower_async.uploads.session import UploadSession
from tests.support import TOKEN, serve
from tests.uploads.late_uploads import CONTENT, POLLED, UPLOADED, arrived, session, upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from tests.conftest import Loop

pytestmark = pytest.mark.anyio


async def outcomes(runs: int, *, lost: bool, settling_time: float) -> Counter[Outcome]:
    """Upload files of which some chunks arrive 0 to 10 polls late."""
    found: Counter[Outcome] = Counter()
    for seed in range(runs):
        server = LateServer()
        async with session(server) as tower:
            found[
                await run(
                    server,
                    tower,
                    seed,
                    latest=10,
                    lost=lost,
                    settling_time=settling_time,
                    interval=0.001,
                )
            ] += 1
    return found


async def test_a_late_chunk_is_waited_for_and_never_sent_twice(
    tell: Callable[[str], None],
) -> None:
    found = await outcomes(200, lost=False, settling_time=60.0)
    tell(f"504, chunks taken 0 to 10 polls late, 200 uploads: {dict(found)}")
    assert found == {"right": 200}


async def test_a_chunk_that_comes_after_the_settling_time_is_never_a_success_with_other_content(
    tell: Callable[[str], None],
) -> None:
    found = await outcomes(200, lost=True, settling_time=0.003)
    tell(f"the same with chunks that come too late or never, 200 uploads: {dict(found)}")
    assert found["wrong"] == 0
    assert found["right"] > 0
    assert found["failed"] > 0


@pytest.mark.parametrize("number", range(1, CHUNKS + 1))
@pytest.mark.parametrize("count_from", [0, 1, 2])
async def test_a_lost_chunk_is_sent_again_when_the_settling_time_is_over(
    number: int, count_from: int
) -> None:
    server = LateServer()
    server.count_from = count_from
    server.late = {number: NEVER}
    async with session(server) as tower:
        await upload(tower)
    assert arrived(server)
    assert server.requests.count(UPLOADED) == CHUNKS + 1


@pytest.mark.parametrize("number", range(2, CHUNKS))
async def test_a_chunk_that_arrives_twice_fails_the_upload(number: int) -> None:
    server = LateServer()
    # The settling time ends after two polls at most, and each time the outcome is unknown.
    server.late = {number: 3, number + 1: 9, number + 2: 9, number + 3: 9}
    async with session(server) as tower:
        with pytest.raises(UploadFailed, match=r"unknown: .* Start again") as info:
            await upload(tower, settling_time=1e-6)
    assert info.value.state is None
    assert server.statuses == {"task-0": "FAILED"}


@pytest.mark.parametrize("later", [0.0, 301.0])
async def test_a_chunk_thought_lost_makes_later_doubts_undecidable_for_300_seconds(
    later: float,
) -> None:
    server = LateServer()
    server.late = {2: NEVER, 4: 0}
    async with session(server) as tower, upload(tower) as steps:
        await anext(steps)
        await anext(steps)
        cast("Loop", asyncio.get_running_loop()).ahead += later
        if later:
            assert [one.sent async for one in steps][-1] == len(CONTENT)
        else:
            with pytest.raises(UploadFailed, match="which can be either"):
                await anext(steps)
    assert server.statuses == {"task-0": "SUCCESSED" if later else "FAILED"}


async def test_a_resent_chunk_that_the_server_already_has_is_stored_once() -> None:
    server = LateServer()
    server.late = {CHUNKS: JUST_BEFORE}
    async with session(server) as tower:
        await upload(tower)
    assert arrived(server)
    assert server.requests.count(UPLOADED) == CHUNKS + 1


@pytest.mark.parametrize("number", range(2, CHUNKS - 1))  # there has to be room for it
async def test_a_chunk_that_comes_with_the_one_sent_again_fails_the_upload(number: int) -> None:
    server = LateServer()
    server.late = {number: JUST_BEFORE}
    async with session(server) as tower:
        with pytest.raises(UploadFailed, match=rf"has {number + 1} chunks where {number} were"):
            await upload(tower)
    assert server.statuses == {"task-0": "FAILED"}


@pytest.mark.parametrize("shown", [None, "2", -1, 0, 1, 5])
async def test_an_inconclusive_chunk_count_fails_the_upload(shown: object) -> None:
    server = LateServer()
    server.count = lambda count: shown if count > 1 else count
    server.late = {3: NEVER}
    async with session(server) as tower:
        with pytest.raises(UploadFailed, match=r"unknown: .* Start again"):
            await upload(tower)
    assert server.statuses == {"task-0": "FAILED"}
    assert server.requests.count(UPLOADED) <= 3


async def test_without_faults_the_chunk_count_is_not_used() -> None:
    server = LateServer()
    server.count = lambda _: None
    async with session(server) as tower:
        await upload(tower)
    assert arrived(server)


@pytest.mark.parametrize("count_from", [0, 2])
async def test_an_upload_task_is_not_ours_unless_it_has_exactly_the_first_chunk(
    count_from: int,
) -> None:
    server = LateServer()
    server.count_from = count_from
    server.late = {1: 0}
    async with session(server) as tower:
        with pytest.raises(UploadFailed, match=r"unknown: .* may have created upload task task-0"):
            await upload(tower)


async def test_an_upload_task_with_another_name_is_not_ours() -> None:
    server = LateServer()
    server.name = "another.iso"
    server.late = {1: 0}
    async with session(server) as tower:
        with pytest.raises(UploadFailed, match=r"unknown: .* may have created upload task task-0"):
            await upload(tower)
    assert server.requests.count(UPLOADED) == 1


@pytest.mark.parametrize("size", [None, 3, 7.5])
async def test_after_sending_a_chunk_again_the_result_is_verified(size: object) -> None:
    server = LateServer()
    server.late = {3: NEVER}
    server.size_shown = lambda _: size
    async with session(server) as tower:
        with pytest.raises(UploadFailed, match=r"unknown: .*image-task-0 cannot be verified"):
            await upload(tower)


async def test_a_session_without_retries_leaves_a_lost_chunk_to_resuming() -> None:
    server = LateServer()
    server.late = {3: NEVER}
    async with session(server, retry=RetryPolicy(attempts=1)) as tower:
        with pytest.raises(UploadInterrupted, match="504") as info:
            await upload(tower)
        assert isinstance(info.value.__cause__, OutcomeUnknown)
        assert info.value.state is not None
        assert (info.value.state.sent, info.value.state.pending) == (2 * CHUNK, 0)
        await upload(tower, resume=info.value.state)
    assert arrived(server)


async def test_polls_keep_their_interval_while_a_chunk_is_in_doubt() -> None:
    server = LateServer()
    server.late = {3: NEVER}
    async with session(server, retry=RetryPolicy(attempts=1)) as tower:
        with pytest.raises(UploadInterrupted):
            await upload(tower, interval=0.05, settling_time=0.2)
    assert server.requests.count(POLLED) <= 1 + 4 + 1  # before the first chunk, and at the end


async def test_polls_keep_their_interval_while_the_image_is_not_listed() -> None:
    server = LateServer()
    server.listed = False
    async with session(server) as tower:
        with pytest.raises(UploadTimeout, match="the result did not appear"):
            await upload(tower, interval=0.05, timeout=0.2)
    assert 1 <= server.requests.count("get-elf-images") <= 5


async def test_polls_keep_their_interval_while_the_server_is_not_done() -> None:
    server = LateServer()
    async with session(server) as tower:
        async with upload(tower, interval=0.05, timeout=0.2) as steps:
            for _ in range(CHUNKS - 1):
                await anext(steps)
            server.answers[CHUNKS] = [{**unfinished(), "current_chunk": CHUNKS}]
            await anext(steps)
            server.statuses["task-0"] = "UPLOADING"
            polled = server.requests.count(POLLED)
            with pytest.raises(UploadTimeout, match="still processing"):
                await anext(steps)
        assert server.requests.count(POLLED) - polled <= 5


def unfinished() -> dict[str, Any]:
    """Return an upload task as the server would show it."""
    return {
        "id": "task-0",
        "args": {},
        "chunk_size": CHUNK,
        "current_chunk": 1,
        "resource_type": "ELF_IMAGE",
        "size": len(CONTENT),
        "status": "UPLOADING",
        "updatedAt": "2024-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize("wanted", [None, "8 MiB", 0, -8, True, {}])
async def test_a_chunk_size_that_is_no_size_ends_the_upload(wanted: object) -> None:
    server = LateServer()
    server.chunk_size = wanted
    async with session(server) as tower:
        with pytest.raises((UploadFailed, UploadInterrupted)):
            await upload(tower)
    assert server.chunks == [CHUNK]


async def test_a_chunk_size_that_cannot_be_read_does_not_matter_for_a_single_chunk() -> None:
    server = LateServer()
    server.chunk_size = None
    async with session(server) as tower:
        await upload(tower, chunk_size=len(CONTENT))
    assert arrived(server)


async def test_no_chunk_is_larger_than_64_mib_whatever_the_server_asks_for() -> None:
    server = LateServer()
    server.chunk_size = 620_000_000
    most = 64 * 1024 * 1024
    async with session(server) as tower:
        content = io.BytesIO(bytes(9 * 1024 * 1024 + most))
        await tower.upload(content, ElfImage(cluster_id="c1"), name="x")
    assert server.chunks == [8 * 1024 * 1024, most, 1024 * 1024]


@pytest.mark.parametrize("wanted", [620_000_000, 1.5e300])
async def test_a_chunk_size_that_is_passed_bounds_every_chunk(wanted: float) -> None:
    server = LateServer()
    server.chunk_size = wanted
    async with session(server) as tower:
        await upload(tower, chunk_size=2000)
    assert server.chunks == [2000, 2000, len(CONTENT) - 4000]


@pytest.mark.parametrize("size", [0, 64 * 1024 * 1024 + 1, 1.5, "8"])
async def test_a_chunk_size_that_cannot_be_sent_is_refused(size: object) -> None:
    server = LateServer()
    async with session(server) as tower:
        with pytest.raises(InvalidInput, match="chunk_size: expected a number of bytes from 1 to"):
            await upload(tower, chunk_size=size)
    assert server.requests == []


@pytest.mark.parametrize("number", [1, 3])
async def test_a_chunk_that_is_too_large_for_a_proxy_says_so_and_cancels(number: int) -> None:
    server = LateServer()
    server.answers = {number: 413}
    async with session(server) as tower:
        with pytest.raises(UploadFailed, match=r"1,024 bytes is too large .*smaller chunk_size="):
            await upload(tower)
    assert server.statuses == ({} if number == 1 else {"task-0": "FAILED"})
    assert server.requests.count(UPLOADED) == number


@pytest.mark.parametrize("answer", [[], [None], [{"id": "another", "chunk_size": 1}], {"x": 1}])
@pytest.mark.parametrize("number", [1, 3, CHUNKS])
async def test_an_answer_that_does_not_name_the_upload_task_is_not_taken_for_one(
    answer: object, number: int
) -> None:
    server = LateServer()
    server.answers = {number: answer}
    async with session(server) as tower:
        if number == 1 and answer == []:
            with pytest.raises(CallError, match="has begun no upload"):
                await upload(tower)
            return
        if number == 1 and answer != [None] and isinstance(answer, list):
            with pytest.raises((CallError, UploadFailed)):
                await upload(tower)
            return
        await upload(tower)
    assert arrived(server)
    assert server.requests.count(UPLOADED) == CHUNKS


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_chunk_in_doubt_can_be_resumed_if_the_count_cannot_be_read(
    attempts: int,
) -> None:
    server = LateServer()
    server.late = {3: 1}
    async with session(server, retry=RetryPolicy(attempts=attempts, backoff=0.001)) as tower:
        async with upload(tower) as steps:
            await anext(steps)
            await anext(steps)
            server.refuse_polls = True
            with pytest.raises(UploadInterrupted) as info:
                await anext(steps)
        state = info.value.state
        assert state is not None
        assert (state.sent, state.pending) == (2 * CHUNK, CHUNK)
        assert steps.state == state  # also when the block was left
        server.refuse_polls = False
        await upload(tower, resume=state)
    assert arrived(server)
    assert server.requests.count(UPLOADED) == CHUNKS


async def test_a_server_that_does_not_answer_a_cancellation_is_named_as_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(hang) as url, Cloudtower(url, token=TOKEN) as tower:
        sending = UploadSession(
            tower._executor,  # pyright: ignore[reportPrivateUsage]
            tower._shared.locks,  # pyright: ignore[reportPrivateUsage]
            ElfImage(cluster_id="c1"),
            name="x.iso",
            chunk_size=None,
            settling_time=1.0,
            interval=1.0,
        )
        sending.task = msgspec.convert(unfinished(), models.UploadTask)
        await sending.cancel(0.01)
    assert "upload task task-0 could not be cancelled: no answer within 0.01 s" in caplog.text
