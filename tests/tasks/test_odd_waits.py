"""Waits on servers with valid but odd answers, and with clocks that jump."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import trustme
from aiohttp import web
from anyio import wait_all_tasks_blocked

from cloudtower_async import (
    Cloudtower,
    NotFound,
    RetryPolicy,
    TaskNotFound,
    TaskTimeout,
    TLSFailed,
    UnknownTaskStatus,
)
from tests.support import TOKEN, serve, serve_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from cloudtower_async.models import Label
    from cloudtower_async.types import WithTask

QUICK = 0.002  # seconds between polls
LABEL = {"id": "l1", "key": "tier", "value": "web", "createdAt": "2026-01-01T00:00:00.000Z"}


def task(status: str | None, progress: float = 0.0) -> dict[str, Any]:
    """A task as a server sends it."""
    return {
        "args": {},
        "description": "Create a VM",
        "id": "t1",
        "internal": False,
        "local_created_at": "2026-01-01T00:00:00.000Z",
        "progress": progress,
        "snapshot": "{}",
        "status": status,
        "steps": [],
    }


class OddServer:
    """A server with scripted answers to each operation; the last one repeats.

    Attributes:
        url: Root address of the server.
        requests: Number of requests for each operation.
    """

    def __init__(self, **answers: list[object]) -> None:
        self.url = ""
        self.requests: dict[str, int] = dict.fromkeys(answers, 0)
        self._answers = answers

    async def handle(self, request: web.Request) -> web.Response:
        operation = request.path.rpartition("/")[2].replace("-", "_")
        answers = self._answers[operation]
        answer = answers[min(self.requests[operation], len(answers) - 1)]
        self.requests[operation] += 1
        if answer == "hang":
            await anyio.sleep_forever()
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response(answer)


@asynccontextmanager
async def odd(**answers: list[object]) -> AsyncGenerator[tuple[OddServer, Cloudtower]]:
    """Serve these answers; yield the server and a session."""
    server = OddServer(**answers)
    async with serve(server.handle) as server.url:
        retry = RetryPolicy(attempts=1)
        async with Cloudtower(server.url, token=TOKEN, retry=retry) as tower:
            yield server, tower


@pytest.mark.anyio
async def test_a_task_that_disappears_is_reported_with_its_last_state() -> None:
    async with odd(get_tasks=[[task("EXECUTING", 0.4)], []]) as (_, tower):
        with pytest.raises(
            TaskNotFound, match=r"its last known state was EXECUTING \(40%\)"
        ) as info:
            await tower.wait("t1", timeout=None, interval=QUICK, grace=0.01)
    assert info.value.last_seen == ("EXECUTING", 0.4)


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["CANCELLING", "", None])
async def test_an_unknown_status_that_does_not_change_ends_the_wait(status: str | None) -> None:
    async with odd(get_tasks=[[task(status, 0.5)]]) as (server, tower):
        with pytest.raises(UnknownTaskStatus, match="may still run") as info:
            await tower.wait("t1", timeout=None, interval=QUICK, grace=0.01)
        assert (info.value.task_id, info.value.progress) == ("t1", 0.5)
        assert server.requests["get_tasks"] > 1
        with pytest.raises(UnknownTaskStatus):
            _ = [one async for one in tower.progress("t1", interval=QUICK, grace=0)]


@pytest.mark.anyio
async def test_an_unknown_status_whose_progress_changes_is_waited_for() -> None:
    moving: list[object] = [[task("THAWING", number / 100)] for number in range(50)]
    async with odd(get_tasks=[*moving, [task("SUCCESSED", 1.0)]]) as (server, tower):
        # Each poll finds another progress, so no state lasts for any time.
        [ended] = await tower.wait("t1", timeout=None, interval=QUICK, grace=QUICK / 100)
        assert ended.status == "SUCCESSED"
        assert server.requests["get_tasks"] == 51


@pytest.mark.anyio
async def test_a_known_status_may_stay_for_longer_than_the_grace() -> None:
    paused: list[object] = [[task("PAUSED")]] * 20
    async with odd(get_tasks=[*paused, [task("SUCCESSED", 1.0)]]) as (_, tower):
        [ended] = await tower.wait("t1", timeout=None, interval=QUICK, grace=0)
        assert ended.status == "SUCCESSED"


@pytest.mark.anyio
@pytest.mark.parametrize("answer", ["hang", 500])
async def test_a_time_out_says_when_get_tasks_never_answered(answer: object) -> None:
    async with odd(get_tasks=[answer]) as (_, tower):
        with pytest.raises(TaskTimeout, match="The server never answered get_tasks") as info:
            await tower.wait("t1", timeout=0.1, interval=QUICK)
    assert not info.value.answered
    assert "not known to have ended" in str(info.value)


@pytest.mark.anyio
async def test_a_time_out_after_an_answer_does_not_say_so() -> None:
    async with odd(get_tasks=[[task("EXECUTING")], 500]) as (_, tower):
        with pytest.raises(TaskTimeout, match="The last poll failed") as info:
            await tower.wait("t1", timeout=0.1, interval=QUICK)
    assert info.value.answered


@pytest.mark.anyio
async def test_a_connection_that_is_cut_in_the_tls_handshake_is_polled_again() -> None:
    async with serve_bytes(b"") as url:
        endpoint = url.replace("http:", "https:")
        async with Cloudtower(endpoint, token=TOKEN, retry=RetryPolicy(attempts=1)) as tower:
            with pytest.raises(TaskTimeout, match=r"never answered get_tasks: .*TLS handshake"):
                await tower.wait("t1", timeout=0.2, interval=QUICK)


@pytest.mark.anyio
async def test_a_refused_certificate_ends_a_wait() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    server = OddServer(get_tasks=[[task("EXECUTING")]])
    async with (
        serve(server.handle, tls=context) as url,
        Cloudtower(url, token=TOKEN) as tower,
    ):
        with pytest.raises(TLSFailed, match="certificate was refused"):
            await tower.wait("t1", timeout=None, interval=QUICK)
    assert server.requests["get_tasks"] == 0


# settle


def created(answer: object = LABEL) -> list[object]:
    return [[{"task_id": None, "data": answer}]]


@pytest.mark.anyio
async def test_settle_waits_for_a_resource_that_a_listing_does_not_show_yet() -> None:
    late: list[object] = [[], 500, [], [LABEL]]
    async with odd(create_label=created(), get_labels=late) as (server, tower):
        [label] = await tower.settle(
            tower.label.create_label([{"key": "tier", "value": "web"}]), interval=QUICK
        )
        assert label.id == "l1"
        assert server.requests["get_labels"] == 4


@pytest.mark.anyio
async def test_settle_takes_a_resource_for_gone_when_the_grace_is_over() -> None:
    async with odd(create_label=created(), get_labels=[[]]) as (server, tower):
        answer = await tower.label.create_label([{"key": "tier", "value": "web"}])
        assert await tower.settle(answer, interval=QUICK, grace=0.01) == []
        assert server.requests["get_labels"] > 1
        with pytest.raises(NotFound, match="no longer exists"):
            await tower.settle(answer[0], interval=QUICK, grace=0)


@pytest.mark.anyio
async def test_settle_does_not_wait_for_deleted_resources() -> None:
    async with odd(delete_label=created({"id": "l1"}), get_labels=[[]]) as (server, tower):
        assert await tower.settle(tower.label.delete_label(where={"id": "l1"})) == []
        assert server.requests["get_labels"] == 1


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [[], 304])
async def test_a_mutation_that_matches_nothing_settles_to_an_empty_list(answer: object) -> None:
    async with odd(update_label=[answer]) as (server, tower):
        update = tower.label.update_label
        assert await update(where={"id": "l1"}, data={"value": "db"}) == []
        assert await tower.wait(update(where={"id": "l1"}, data={"value": "db"})) == []
        assert await tower.settle(update(where={"id": "l1"}, data={"value": "db"})) == []
        assert server.requests == {"update_label": 3}


@pytest.mark.anyio
async def test_a_mutation_that_is_answered_with_404_raises_not_found() -> None:
    async with odd(update_label=[404]) as (server, tower):
        with pytest.raises(NotFound):
            await tower.settle(tower.label.update_label(where={"id": "l1"}, data={"value": "db"}))
        assert server.requests == {"update_label": 1}


# clocks that jump


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be set forward, as when a machine resumes from sleep."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def run_with_jumps(main: Callable[[Callable[[], None]], Any]) -> None:
    """Run a test in a `JumpingLoop`. Its argument is a function that skips 1,000 seconds."""

    def jump() -> None:
        loop.ahead += 1_000.0

    loop = JumpingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(jump))


async def asked(server: OddServer, operation: str, times: int) -> None:
    """Wait until the server has received `times` requests and all tasks of the test wait."""
    while server.requests[operation] < times:
        await anyio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()


@pytest.mark.parametrize("moment", ["asleep", "asking"])
def test_after_a_clock_jump_a_wait_polls_once_more(moment: str) -> None:
    async def main(jump: Callable[[], None]) -> None:
        before: object = "hang" if moment == "asking" else [task("EXECUTING")]
        answers: list[object] = [[task("EXECUTING")], before, [task("SUCCESSED", 1.0)]]
        statuses: list[str] = []
        async with odd(get_tasks=answers) as (server, tower):

            async def wait() -> None:
                [ended] = await tower.wait("t1", timeout=600, interval=500)
                statuses.append(ended.status)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await asked(server, "get_tasks", 2)
                jump()
            assert server.requests["get_tasks"] == 3
        assert statuses == ["SUCCESSED"]

    run_with_jumps(main)


def test_after_a_clock_jump_a_task_that_still_runs_is_a_time_out() -> None:
    async def main(jump: Callable[[], None]) -> None:
        async with odd(get_tasks=[[task("EXECUTING")]]) as (server, tower):
            errors: list[TaskTimeout] = []

            async def watch() -> None:
                try:
                    _ = [one async for one in tower.as_completed("t1", timeout=600, interval=500)]
                except TaskTimeout as error:
                    errors.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(watch)
                await asked(server, "get_tasks", 2)
                jump()
            assert server.requests["get_tasks"] == 3
            assert errors[0].last_seen == {"t1": ("EXECUTING", 0.0)}

    run_with_jumps(main)


def test_a_clock_jump_does_not_use_up_the_grace() -> None:
    async def main(jump: Callable[[], None]) -> None:
        answers: list[object] = [[], [], [], [task("SUCCESSED", 1.0)]]
        async with odd(get_tasks=answers) as (server, tower):

            async def wait() -> None:
                await tower.wait("t1", timeout=None, interval=0.25)

            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await asked(server, "get_tasks", 1)
                jump()
            assert server.requests["get_tasks"] == 4

    run_with_jumps(main)


def test_after_a_clock_jump_settle_looks_once_more() -> None:
    async def main(jump: Callable[[], None]) -> None:
        late: list[object] = [[], [], [LABEL]]
        settled: list[list[Label]] = []
        async with odd(create_label=created(), get_labels=late) as (server, tower):
            answer: list[WithTask[Label]] = await tower.label.create_label(
                [{"key": "tier", "value": "web"}]
            )

            async def settle() -> None:
                settled.append(await tower.settle(answer, timeout=600, interval=500, grace=900))

            async with anyio.create_task_group() as group:
                group.start_soon(settle)
                await asked(server, "get_labels", 2)
                jump()
        assert [one.id for one in settled[0]] == ["l1"]

    run_with_jumps(main)
