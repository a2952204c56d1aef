"""The change feed of servers that break its rules."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web

from cloudtower_async import (
    BadRequest,
    Cloudtower,
    NoChangeFeed,
    ResponseDecodeError,
    Resync,
    RetryPolicy,
    ServerError,
)
from tests.support import TOKEN, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

pytestmark = pytest.mark.anyio

QUICK = 0.001
FIRST = 2**53 + 1
MOST = 1000


class OddFeed:
    """A configurable change feed.

    Attributes:
        revisions: Revisions of the changes, in sending order; each change has a name.
        current: Current revision that the feed reports. None means the latest revision.
        compacted: Reported revision of the compaction.
        inclusive: Whether a page includes the change with the requested revision.
        cap: Maximum number of changes in a page.
        heeds_start: Whether the requested revision has an effect.
        spoil: Called with each correct answer; returns the answer to send.
        requests: The requested revisions.
    """

    def __init__(self, revisions: list[int]) -> None:
        self.revisions = revisions
        self.current: int | None = None
        self.compacted = 0
        self.inclusive = False
        self.cap = MOST
        self.heeds_start = True
        self.spoil: Callable[[dict[str, Any]], object] = lambda answer: answer
        self.requests: list[int | None] = []
        self.vms: list[dict[str, Any]] = []
        self.listed = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.endswith("/get-vms"):
            self.listed += 1
            body = await request.json()
            started = body.get("after") is not None or "id_gt" in str(body)
            return web.json_response([] if started else self.vms)
        text = request.query.get("start_revision")
        start = None if text is None else int(text)
        self.requests.append(start)
        least = 0 if start is None or not self.heeds_start else start + (not self.inclusive)
        found = [
            {"revision": str(one), "resource_type": "Vm", "action": "UPDATE", "resource_id": f"{n}"}
            for n, one in enumerate(self.revisions)
            if one >= least
        ]
        latest = max(self.revisions, default=FIRST)
        answer: dict[str, Any] = {
            "currentRevision": str(latest if self.current is None else self.current),
            "compactRevision": str(self.compacted),
            "data": found[: min(self.cap, int(request.query["limit"]))],
            "ec": "EOK",
        }
        given = answer if start is None else self.spoil(answer)
        if isinstance(given, int):
            return web.json_response({"message": "start_revision is compacted"}, status=given)
        return web.json_response(given)


@asynccontextmanager
async def session(server: OddFeed) -> AsyncGenerator[Cloudtower]:
    retry = RetryPolicy(attempts=1)
    async with (
        serve(server.answer) as url,
        Cloudtower(url, token=TOKEN, change_feed=("feed", "pw"), retry=retry) as tower,
    ):
        yield tower


async def read_all(server: OddFeed) -> list[str]:
    """Return the names of all changes in the order in which they were yielded."""
    found: list[str] = []
    async with session(server) as tower:
        changes = tower.changes(since=str(FIRST), interval=QUICK)
        while len(found) < len(server.revisions):
            found.append((await anext(changes)).resource_id or "")
        with anyio.move_on_after(0.05):  # a repeated change would arrive in this time
            found.append((await anext(changes)).resource_id or "")
    return found


def names(server: OddFeed) -> list[str]:
    """Return the names of all changes in the order of their revisions."""
    numbered = sorted((one, number) for number, one in enumerate(server.revisions))
    return [str(number) for _, number in numbered]


def with_event(event: object) -> Callable[[dict[str, Any]], object]:
    return lambda answer: {**answer, "data": [*answer["data"], event]}


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "current null": lambda answer: {**answer, "currentRevision": None},
    "current integer": lambda answer: {**answer, "currentRevision": 7},
    "current text": lambda answer: {**answer, "currentRevision": "seven"},
    "current missing": lambda answer: {"data": [], "ec": "EOK", "compactRevision": "0"},
    "current huge": lambda answer: {**answer, "currentRevision": "9" * 5000},
    "compact null": lambda answer: {**answer, "compactRevision": None},
    "compact integer": lambda answer: {**answer, "compactRevision": 7},
    "data null": lambda answer: {**answer, "data": None},
    "data text": lambda answer: {**answer, "data": "none"},
    "data object": lambda answer: {**answer, "data": {}},
    "event null": with_event(None),
    "event list": with_event([]),
    "event text": with_event("x"),
    "event without a revision": with_event({"action": "UPDATE"}),
    "event with null": with_event({"revision": None}),
    "event with an integer": with_event({"revision": FIRST}),
    "event with a minus": with_event({"revision": "-1"}),
    "list": lambda _: [],
    "null": lambda _: None,
    "error": lambda answer: {**answer, "ec": "EFEED", "error": {"msg": "no etcd"}},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_an_error_inside_a_later_page_is_retried_and_loses_nothing(
    broken: Callable[[dict[str, Any]], object],
) -> None:
    server = OddFeed([FIRST + 1])
    async with session(server) as tower:
        changes = tower.changes(since=str(FIRST), interval=QUICK)
        assert (await anext(changes)).resource_id == "0"
        left = [3]

        def spoil(answer: dict[str, Any]) -> object:
            left[0] -= 1
            return broken(answer) if left[0] >= 0 else answer

        server.spoil = spoil
        server.revisions += [FIRST + 2, FIRST + 3]
        assert [(await anext(changes)).resource_id for _ in range(2)] == ["1", "2"]
        assert left[0] < 0


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
async def test_an_error_inside_the_first_page_is_reported(
    broken: Callable[[dict[str, Any]], object],
) -> None:
    server = OddFeed([FIRST + 1])
    server.spoil = broken
    async with session(server) as tower:
        with pytest.raises((ResponseDecodeError, ServerError)):
            await anext(tower.changes(since=str(FIRST), interval=QUICK))


COMPACTED: dict[str, Callable[[dict[str, Any]], object]] = {
    "field": lambda answer: {**answer, "compactRevision": answer["currentRevision"]},
    "ec": lambda answer: {**answer, "ec": "REVISION_COMPACTED", "data": []},
    "ec and no more": lambda _: {"ec": "ECompacted"},
    "error": lambda answer: {**answer, "ec": "EFEED", "error": {"msg": "revision compacted"}},
    "error as a text": lambda _: {"ec": None, "error": "mvcc: required revision was compacted"},
    "status 400": lambda _: 400,
}


@pytest.mark.parametrize("told", COMPACTED.values(), ids=COMPACTED.keys())
@pytest.mark.parametrize("first", [False, True])
async def test_compaction_is_a_resync_however_it_is_reported(
    told: Callable[[dict[str, Any]], object], first: bool
) -> None:
    server = OddFeed([FIRST + 1])
    async with session(server) as tower:
        changes = tower.changes(since=str(FIRST), interval=QUICK)
        if not first:
            await anext(changes)
        server.revisions += [FIRST + 5]
        server.spoil = told
        with pytest.raises(Resync) as info:
            await anext(changes)
        assert info.value.since == str(FIRST if first else FIRST + 1)
        assert info.value.revision == changes.revision == str(FIRST + 5)
        server.spoil = lambda answer: answer
        server.revisions += [FIRST + 6]
        assert (await anext(changes)).resource_id == "2"


async def test_a_bad_request_that_is_not_about_the_revision_is_raised() -> None:
    server = OddFeed([FIRST + 1])

    async def refuse(request: web.Request) -> web.Response:
        if server.requests:
            return web.json_response({"message": "resource_type: unknown"}, status=400)
        return await server.answer(request)

    async with (
        serve(refuse) as url,
        Cloudtower(url, token=TOKEN, change_feed=("feed", "pw")) as tower,
    ):
        changes = tower.changes(since=str(FIRST), interval=QUICK)
        await anext(changes)
        with pytest.raises(BadRequest, match="resource_type: unknown"):
            await anext(changes)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("cap", [MOST, 3])
@pytest.mark.parametrize(
    "steps",
    [
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 0, 0, 1, 0, 1],
        [1, 0, 1, 0, 1, 0, 1, 0, 1, 0],
        [1, 1, 0, 1, 0, 0, 1],
    ],
)
async def test_equal_revisions_across_the_border_of_a_page_come_once(
    inclusive: bool, cap: int, steps: list[int]
) -> None:
    revisions: list[int] = []
    at = FIRST
    lead = MOST - 2 if cap == MOST else 0
    for step in [1] * lead + steps:
        at += step
        revisions.append(at)
    server = OddFeed(revisions)
    server.inclusive = inclusive
    server.cap = cap
    assert await read_all(server) == names(server)


@pytest.mark.parametrize("inclusive", [False, True])
async def test_a_page_that_is_not_sorted_is_handed_out_in_order(inclusive: bool) -> None:
    server = OddFeed([FIRST + one for one in (3, 1, 2, 5, 4, 4, 9, 7)])
    server.inclusive = inclusive
    found = await read_all(server)
    assert found == names(server)


@pytest.mark.parametrize(
    "revisions",
    [
        [FIRST + 1] * (MOST + 5),
        [FIRST + MOST + 5 - one for one in range(MOST + 4)],
    ],
    ids=["more of one revision than a page holds", "the newest first"],
)
async def test_unreachable_changes_are_reported_as_lost(revisions: list[int]) -> None:
    server = OddFeed(revisions)
    async with session(server) as tower:
        changes = tower.changes(since=str(FIRST), interval=QUICK)
        with pytest.raises(Resync):  # noqa: PT012 - somewhere in the loop
            for _ in range(len(revisions)):
                await anext(changes)
        server.revisions.append(max(revisions) + 1)
        assert (await anext(changes)).revision == str(max(revisions))
    assert len(server.requests) < 10


def goes_back(server: OddFeed) -> None:
    server.current = FIRST - 1000
    server.revisions = [FIRST - 1000]


def ignores_the_start(server: OddFeed) -> None:
    server.revisions = [FIRST - 2 * MOST + one for one in range(MOST)] + [FIRST]
    server.heeds_start = False


def tells_less_than_it_has(server: OddFeed) -> None:
    server.revisions = [FIRST + 10]
    server.current = FIRST - 5


def is_two_servers(server: OddFeed) -> None:
    def spoil(answer: dict[str, Any]) -> object:
        server.current = FIRST + 10 if server.current == FIRST - 10 else FIRST - 10
        return answer

    server.revisions = []
    server.spoil = spoil


@pytest.mark.parametrize(
    "change", [goes_back, ignores_the_start, tells_less_than_it_has, is_two_servers]
)
async def test_a_feed_that_goes_backwards_is_polled_once_per_interval(
    change: Callable[[OddFeed], None],
) -> None:
    server = OddFeed([FIRST])
    async with session(server) as tower:
        changes = tower.changes(interval=0.05)
        await changes.anchor()
        change(server)
        seen: list[str] = []
        with anyio.move_on_after(0.5):
            while True:
                with suppress(Resync):
                    seen.append((await anext(changes)).revision)
    assert change is tells_less_than_it_has or len(seen) == len(set(seen))
    assert len(server.requests) <= 1 + 1 + 10


async def test_one_404_does_not_end_a_feed_but_many_do() -> None:
    server = OddFeed([FIRST + 1])
    async with session(server) as tower:
        changes = tower.changes(since=str(FIRST), interval=QUICK)
        await anext(changes)
        left = [4]

        def missing(answer: dict[str, Any]) -> object:
            left[0] -= 1
            return 404 if left[0] >= 0 else answer

        server.spoil = missing
        server.revisions += [FIRST + 2]
        assert (await anext(changes)).resource_id == "1"
        server.spoil = lambda _: 404
        with pytest.raises(NoChangeFeed):
            await anext(changes)


async def test_a_view_follows_the_feed_again_when_that_is_back() -> None:
    server = OddFeed([FIRST])
    gone = [True]

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/resource-changes") and gone[0]:
            return web.json_response({"message": "no such path"}, status=404)
        return await server.answer(request)

    async with (
        serve(answer) as url,
        Cloudtower(url, token=TOKEN, change_feed=("feed", "pw")) as tower,
        tower.watch(tower.vm.get_vms, QUICK) as view,
    ):
        assert view.polls
        async with anyio.create_task_group() as group:
            group.start_soon(follow, view)
            while server.listed < 15:
                await anyio.wait_all_tasks_blocked()
            assert view.polls
            gone[0] = False
            while view.polls or len(server.requests) < 5:
                await anyio.wait_all_tasks_blocked()
            listed = server.listed
            while len(server.requests) < 10:
                await anyio.wait_all_tasks_blocked()
            assert server.listed <= listed + 1
            group.cancel_scope.cancel()


async def follow(view: Any) -> None:  # noqa: ANN401
    async for _ in view:
        pass


async def test_one_404_leaves_a_view_at_its_feed() -> None:
    server = OddFeed([FIRST])
    async with session(server) as tower, tower.watch(tower.vm.get_vms, QUICK) as view:
        left = [1]

        def missing(answer: dict[str, Any]) -> object:
            left[0] -= 1
            return 404 if left[0] >= 0 else answer

        server.spoil = missing
        async with anyio.create_task_group() as group:
            group.start_soon(follow, view)
            while len(server.requests) < 6:
                await anyio.wait_all_tasks_blocked()
            assert not view.polls
            group.cancel_scope.cancel()


async def test_a_view_lists_once_in_an_interval_when_every_page_is_a_resync() -> None:
    server = OddFeed([FIRST])
    async with session(server) as tower, tower.watch(tower.vm.get_vms, 0.05) as view:
        is_two_servers(server)
        with anyio.move_on_after(0.5):
            await follow(view)
    assert server.listed <= 1 + 10
    assert len(server.requests) <= 1 + 1 + 10
