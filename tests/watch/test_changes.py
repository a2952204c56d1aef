"""Reading the change feed of the simulator."""

from __future__ import annotations

import itertools
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from aiohttp import web

from cloudtower_async import (
    Change,
    Cloudtower,
    InvalidInput,
    NoChangeFeed,
    ResponseDecodeError,
    Resync,
    RetryPolicy,
    ServerError,
    SessionClosed,
    Unauthorized,
    models,
)
from cloudtower_async.simulator.clock import Clock
from cloudtower_async.testing import Simulator
from tests.support import TOKEN, serve, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from cloudtower_async import Changes

pytestmark = pytest.mark.anyio

QUICK = 0.001  # seconds between polls
ONCE = RetryPolicy(attempts=1)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3, clock=Clock(running=False)) as simulator:
        yield simulator


@asynccontextmanager
async def session(sim: Simulator, **options: Any) -> AsyncGenerator[Cloudtower]:  # noqa: ANN401
    feed = (sim.changes.username, sim.changes.password)
    given: dict[str, Any] = {"token": None, "change_feed": feed, "retry": ONCE, **options}
    async with Cloudtower(sim.url, username=sim.username, password=sim.password, **given) as tower:
        yield tower


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


def rename(sim: Simulator, *names: str) -> str:
    """Rename a VM several times; each is a separate change."""
    vm = next(iter(sim.store.table("Vm").values()))
    for name in names:
        vm["name"] = name
        sim.store.report()
    return str(vm["id"])


async def take(changes: Changes, number: int) -> list[Change]:
    return [await anext(changes) for _ in range(number)]


def names(changes: list[Change]) -> list[str]:
    return [str((change.new_values or {})["name"]) for change in changes]


def polls(sim: Simulator) -> list[Any]:
    return [request for request in sim.requests if request.path == "resource-changes"]


async def test_changes_after_the_anchor_come_once_and_in_order(
    sim: Simulator, tower: Cloudtower
) -> None:
    rename(sim, "before")
    changes = tower.changes(["Vm"], interval=QUICK)
    assert changes.revision is None
    assert await changes.anchor() == sim.changes.current_revision == changes.revision
    vm = rename(sim, "one", "two")
    first, second = await take(changes, 2)
    assert names([first, second]) == ["one", "two"]
    assert (first.action, first.resource_type, first.resource_id) == ("UPDATE", "Vm", vm)
    assert first.created_at == "2026-01-01T00:00:00.000Z"
    assert repr(first) == f"<Change {first.revision} UPDATE Vm {vm}>"
    rename(sim, "three")
    assert names(await take(changes, 1)) == ["three"]
    assert changes.revision == sim.changes.current_revision


async def test_without_an_anchor_it_begins_with_the_first_step(
    sim: Simulator, tower: Cloudtower
) -> None:
    rename(sim, "before")
    changes = tower.changes(["Vm"], interval=QUICK)
    async with anyio.create_task_group() as group:
        group.start_soon(take, changes, 1)
        while not polls(sim):
            await anyio.lowlevel.checkpoint()
        rename(sim, "after")
    assert changes.revision == sim.changes.current_revision


async def test_it_continues_from_a_stored_revision(sim: Simulator, tower: Cloudtower) -> None:
    changes = tower.changes(["Vm"])
    await changes.anchor()
    rename(sim, "one", "two", "three")
    (first,) = await take(changes, 1)
    assert changes.revision == first.revision  # not that of the whole page
    again = tower.changes(["Vm"], since=first.revision)
    assert names(await take(again, 2)) == ["two", "three"]


@pytest.mark.parametrize("inclusive", [False, True])
async def test_a_backlog_is_read_without_pauses(sim: Simulator, inclusive: bool) -> None:
    sim.changes.inclusive = inclusive
    async with session(sim) as tower:
        changes = tower.changes(["Vm"], interval=3600)
        await changes.anchor()
        rename(sim, *map(str, range(2500)))
        assert names(await take(changes, 2500)) == [str(number) for number in range(2500)]
    assert len(polls(sim)) == 4


async def test_the_next_page_is_requested_only_after_the_last_one_is_consumed(
    sim: Simulator, tower: Cloudtower
) -> None:
    changes = tower.changes(["Vm"], interval=QUICK)
    await changes.anchor()
    rename(sim, *map(str, range(1001)))
    await take(changes, 1000)
    assert len(polls(sim)) == 2
    await take(changes, 1)
    assert len(polls(sim)) == 3


async def test_the_revision_advances_even_if_no_change_has_a_requested_type(
    sim: Simulator, tower: Cloudtower
) -> None:
    changes = tower.changes(["Host", "_LabelToVm"], interval=QUICK)
    await changes.anchor()
    rename(sim, "one")
    current = sim.changes.current_revision
    async with anyio.create_task_group() as group:
        group.start_soon(take, changes, 1)
        while changes.revision != current:
            await anyio.lowlevel.checkpoint()
        sim.changes.compact()  # which keeps everything that it still needs
        vm = sim.store.table("Vm")[rename(sim, "two")]
        sim.store.add("Label", {"id": "l1", "key": "k", "vms": [vm["id"]]})


async def test_values_are_models_or_dicts(sim: Simulator, tower: Cloudtower) -> None:
    changes = tower.changes(interval=QUICK)
    await changes.anchor()
    vm = rename(sim, "new name")
    sim.store.add("Label", {"id": "l1", "key": "k", "vms": [vm]})
    found = {change.resource_type: change for change in await take(changes, 3)}
    changed = found["Vm"]
    assert isinstance(changed.old, models.Vm)
    assert isinstance(changed.new, models.Vm)
    assert changed.new.name == "new name" != changed.old.name
    assert changed.new.status is models.VmStatus(changed.new.status)
    assert changed.new.cluster is None
    assert changed.new_values is not None
    assert changed.new_values["cluster"] == sim.store.get("Vm", vm)["cluster"]
    assert found["Label"].old is None
    assert isinstance(found["Label"].new, models.Label)
    assert found["_LabelToVm"].new == {"A": "l1", "B": vm}
    assert found["_LabelToVm"].resource_id is None


@pytest.mark.parametrize(
    ("resource_type", "value", "expected"),
    [
        ("Unheard", '{"a": 1}', {"a": 1}),
        ("VmStatus", '{"a": 1}', {"a": 1}),
        ("Vm", '{"none": "of it"}', {"none": "of it"}),
        ("Vm", "[1]", None),
        ("Vm", "{", None),
        (None, '{"a": 1}', {"a": 1}),
    ],
)
def test_rows_of_unknown_types_stay_unchanged(
    resource_type: str | None, value: str, expected: object
) -> None:
    event = models.ResourceChangeEvent(
        revision="1", resource_type=resource_type, new_value=value, old_value=None
    )
    assert Change(event).new == expected
    assert Change(event).old is None


async def test_compacted_changes_raise_resync_and_the_iteration_can_continue(
    sim: Simulator, tower: Cloudtower
) -> None:
    changes = tower.changes(["Vm"], interval=QUICK)
    begin = await changes.anchor()
    rename(sim, "lost")
    sim.changes.compact()
    with pytest.raises(Resync, match="List again, then go on from there") as info:
        await anext(changes)
    assert info.value.since == begin
    assert info.value.compact_revision == info.value.revision == sim.changes.current_revision
    rename(sim, "found")
    assert names(await take(changes, 1)) == ["found"]
    assert names(await take(tower.changes(["Vm"], since=info.value.revision), 1)) == ["found"]


async def test_changes_up_to_the_given_revision_may_be_compacted(
    sim: Simulator, tower: Cloudtower
) -> None:
    rename(sim, "known")
    sim.changes.compact()
    changes = tower.changes(["Vm"], since=sim.changes.compact_revision)
    rename(sim, "next")
    assert names(await take(changes, 1)) == ["next"]


async def test_a_feed_that_counts_from_the_beginning_again_is_noticed(
    sim: Simulator, tower: Cloudtower
) -> None:
    rename(sim, *map(str, range(20)))
    changes = tower.changes(["Vm"], interval=QUICK)
    await changes.anchor()
    sim.changes.start_over()
    rename(sim, "lost")
    with pytest.raises(Resync):
        await anext(changes)
    rename(sim, "found")
    assert names(await take(changes, 1)) == ["found"]


async def test_revisions_compare_as_numbers_not_as_texts() -> None:
    """As texts, "10" would come before "9"."""
    events = [{"revision": one, "resource_type": "Vm"} for one in ("9", "10", "99", "100")]
    answer = {"currentRevision": "100", "compactRevision": "8", "data": events, "ec": "EOK"}
    async with feed(answer) as changes:
        assert [change.revision for change in await take(changes, 3)] == ["10", "99", "100"]


@asynccontextmanager
async def feed(*answers: object, since: str | None = "9") -> AsyncGenerator[Changes]:
    """Read the changes of a server with these answers; the last one repeats."""
    coming = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def handler(_: web.Request) -> web.Response:
        return web.json_response(next(coming))

    async with (
        serve(handler) as url,
        Cloudtower(url, token=TOKEN, change_feed=("feed", "pw"), retry=ONCE) as tower,
    ):
        yield tower.changes(since=since, interval=QUICK)


def feed_page(*revisions: int, current: int, **more: object) -> dict[str, object]:
    events = [{"revision": str(one)} for one in revisions]
    return {
        "currentRevision": str(current),
        "compactRevision": "0",
        "data": events,
        "ec": "EOK",
        **more,
    }


async def test_changes_between_two_requests_are_not_missed() -> None:
    """The first answer has the current revision 12, but does not contain change 12 yet."""
    async with feed(feed_page(current=12), feed_page(12, current=12)) as changes:
        assert [change.revision for change in await take(changes, 1)] == ["12"]


async def test_an_error_in_an_answer_with_status_200_is_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = feed_page(current=9, error={"msg": "no etcd"}, ec="EFEED")
    async with feed(broken) as changes:
        with pytest.raises(ServerError, match=r"no etcd.*EFEED"):
            await anext(changes)
    async with feed(feed_page(10, current=10), broken, feed_page(11, current=11)) as changes:
        assert [change.revision for change in await take(changes, 2)] == ["10", "11"]
    assert "no etcd" in caplog.text


async def test_an_invalid_revision_is_rejected() -> None:
    async with feed({**feed_page(current=9), "compactRevision": "x"}) as changes:
        with pytest.raises(ResponseDecodeError, match="'x' is no revision"):
            await anext(changes)


async def test_an_outage_ends_nothing_and_is_logged(
    sim: Simulator, tower: Cloudtower, caplog: pytest.LogCaptureFixture
) -> None:
    changes = tower.changes(["Vm"], interval=QUICK)
    await changes.anchor()
    for _ in range(3):
        sim.faults.fail("resource-changes", status=503)
        sim.faults.reset("resource-changes")
        sim.faults.html("resource-changes")
    rename(sim, "one")
    assert names(await take(changes, 1)) == ["one"]
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    (warning,) = [one for one in warnings if "retrying" in one.getMessage()]
    assert "reading the change feed failed" in warning.getMessage()


@pytest.mark.parametrize("since", [None, "1"])
async def test_the_very_first_request_fails_at_once(
    sim: Simulator, tower: Cloudtower, since: str | None
) -> None:
    sim.faults.fail("resource-changes", status=503)
    with pytest.raises(ServerError):
        await anext(tower.changes(since=since))


async def test_a_missing_feed_or_credential_is_reported(sim: Simulator, tower: Cloudtower) -> None:
    sim.changes.available = False
    with pytest.raises(NoChangeFeed, match=r"CloudTower 4\.6 and later have one"):
        await tower.changes().anchor()
    sim.changes.available = True
    requests = len(sim.requests)
    async with session(sim, change_feed=None) as other:
        with pytest.raises(NoChangeFeed, match=r"change_feed=\(username, password\)"):
            await anext(other.changes(since="1"))
        assert len(sim.requests) == requests + 1  # the login
    async with session(sim, change_feed=("changes", "wrong")) as other:
        with pytest.raises(Unauthorized, match=r"check change_feed=\(username, password\)"):
            await anext(other.changes())


async def test_a_credential_that_is_withdrawn_ends_it(sim: Simulator, tower: Cloudtower) -> None:
    changes = tower.changes(interval=QUICK)
    await changes.anchor()
    sim.changes.password = "another"
    with pytest.raises(Unauthorized):
        await anext(changes)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"types": "Vm"}, "types: expected names"),
        ({"types": []}, "types: expected names"),
        ({"since": "latest"}, "since: expected a revision"),
        ({"since": ""}, "since: expected a revision"),
        ({"since": 7}, "since: expected a revision, a whole number as a string; got 7"),
        ({"interval": 0}, "interval: expected a number of seconds above 0"),
    ],
)
async def test_wrong_arguments_are_refused(
    tower: Cloudtower, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=f"changes: {complaint}"):
        tower.changes(**arguments)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vm", "did you mean Vm?"),
        ("VM", "did you mean Vm?"),
        ("Hosts", "did you mean Host"),
        ("_LabelToVm", ""),
        ("Vm", ""),
    ],
)
async def test_an_unknown_type_is_reported(
    tower: Cloudtower, name: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    tower.changes([name])
    assert told in caplog.text
    assert bool(told) == bool(caplog.records)


async def test_only_one_may_read_at_a_time(sim: Simulator, tower: Cloudtower) -> None:
    changes = tower.changes(interval=3600)
    await changes.anchor()
    async with anyio.create_task_group() as group:
        group.start_soon(take, changes, 1)
        while len(polls(sim)) < 2:
            await anyio.lowlevel.checkpoint()
        with pytest.raises(anyio.BusyResourceError):
            await anext(changes)
        group.cancel_scope.cancel()


async def test_closing_the_session_ends_the_pauses(sim: Simulator) -> None:
    async with session(sim) as tower:
        changes = tower.changes(interval=3600)

        async def read() -> None:
            with pytest.raises(SessionClosed):
                await anext(changes)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            while len(polls(sim)) < 2:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            await tower.close()


async def test_steps_that_are_cancelled_repeatedly_still_make_progress(
    sim: Simulator, tower: Cloudtower
) -> None:
    """A step that is cancelled repeatedly does not restart its pause each time."""
    changes = tower.changes(["Vm"], interval=0.05)
    await changes.anchor()
    found: list[Change] = []
    for _ in range(3):
        rename(sim, str(len(found)))
        number = len(found)
        while len(found) == number:
            with anyio.move_on_after(0.01):
                found += await take(changes, 1)
    assert names(found) == ["0", "1", "2"]


async def test_cancelling_anywhere_loses_and_repeats_nothing(
    sim: Simulator, tower: Cloudtower
) -> None:
    changes = tower.changes(["Vm"], interval=QUICK)
    await changes.anchor()
    tasks = tasks_of_clients()
    found: list[Change] = []

    async def step() -> None:
        found.append(await anext(changes))

    steps = 0
    while len(found) < 10:  # the first ones are cancelled, the last ones complete
        rename(sim, str(steps))
        async with anyio.create_task_group() as group:
            group.start_soon(step)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert not tower._transport.scopes  # pyright: ignore[reportPrivateUsage]
        steps += 1
    found += await take(changes, steps - len(found))
    assert names(found) == [str(one) for one in range(steps)]
    assert tasks_of_clients() == tasks


def test_rows_are_decoded_on_request() -> None:
    event = models.ResourceChangeEvent(
        revision="1", resource_type="Vm", new_value=msgspec.json.encode({"id": "v"}).decode()
    )
    change = Change(event)
    assert "new_values" not in vars(change)
    assert change.new_values == {"id": "v"}
    assert change.new_values is change.new_values


def test_rows_with_a_name_cut_within_an_emoji_are_decoded() -> None:
    event = models.ResourceChangeEvent(revision="1", new_value=r'{"name": "cut \ud83d"}')
    assert Change(event).new_values == {"name": "cut \N{REPLACEMENT CHARACTER}"}
