"""A session belongs to one event loop, and rejects calls from other event loops immediately."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from cloudtower_async import (
    CallTimeout,
    Cloudtower,
    CloudtowerError,
    ElfImage,
    RetryPolicy,
    SessionClosed,
)
from tests.support import PASSWORD, serve_bytes, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    Use = Callable[[Cloudtower], Awaitable[object]]

ONCE = RetryPolicy(attempts=1)


async def call(tower: Cloudtower) -> object:
    return await tower.vm.get_vms(timeout=0.001)


async def wait(tower: Cloudtower) -> object:
    return await tower.wait("a", timeout=0.001)


async def as_completed(tower: Cloudtower) -> object:
    return [task async for task in tower.as_completed("a", timeout=0.001)]


async def settle(tower: Cloudtower) -> object:
    return await tower.settle(tower.vm.start_vm(where={"id": "a"}), timeout=0.001)


async def lock(tower: Cloudtower) -> object:
    async with tower.lock("a", timeout=0.001):
        return None


async def upload(tower: Cloudtower) -> object:
    async with tower.upload(__file__, ElfImage(cluster_id="c")) as started:
        return [progress async for progress in started]


async def watch(tower: Cloudtower) -> object:
    async with tower.watch(tower.vm.get_vms) as view:
        return view.snapshot


async def changes(tower: Cloudtower) -> object:
    return await tower.changes(["Vm"]).anchor()


async def iterate(tower: Cloudtower) -> object:
    return [vm async for vm in tower.iterate(tower.vm.get_vms)]


async def graphql(tower: Cloudtower) -> object:
    return await tower.graphql("{vms{id}}")


USES: list[Use] = [
    call,
    wait,
    as_completed,
    settle,
    lock,
    upload,
    watch,
    changes,
    iterate,
    graphql,
    Cloudtower.open,
    Cloudtower.get_token,
    Cloudtower.server_version,
    Cloudtower.close,
]


def in_another_loop(use: Use, tower: Cloudtower) -> BaseException | None:
    """Use a session in the event loop of another thread; return the exception."""
    raised: list[BaseException] = []

    async def main() -> None:
        try:
            await use(tower)
        except Exception as exc:
            raised.append(exc)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    thread.join()
    return raised[0] if raised else None


@asynccontextmanager
async def waiting(**options: Any) -> AsyncGenerator[Cloudtower]:  # noqa: ANN401
    """A session in which every call hangs."""
    async with serve_bytes(hang=True) as url:
        tower = Cloudtower(url, token="t", retry=ONCE, change_feed=("u", "p"), **options)
        yield tower
        await tower.close()


@pytest.mark.anyio
@pytest.mark.parametrize("use", USES)
async def test_use_from_another_thread_leaves_the_first_loop_alone(use: Use) -> None:
    # If the timer is lost, nothing else ends earlier.
    async with asyncio.timeout(30), waiting(timeout=0.2) as tower, asyncio.TaskGroup() as group:
        running = [group.create_task(calling(tower)) for _ in range(3)]
        await anyio.wait_all_tasks_blocked()
        error = await anyio.to_thread.run_sync(in_another_loop, use, tower)
        assert isinstance(error, SessionClosed)
        assert "another event loop" in str(error)
        # The timer of the first loop still fires, although the other timer was earlier.
        assert [type(await one) for one in running] == [CallTimeout] * 3
        with pytest.raises(CallTimeout):
            await tower.vm.get_vms()


async def calling(tower: Cloudtower) -> BaseException | None:
    try:
        await tower.vm.get_vms()
    except CloudtowerError as exc:
        return exc
    return None


@pytest.mark.anyio
async def test_login_and_failover_are_rejected_in_another_loop() -> None:
    async with serve_bytes(hang=True) as first, serve_bytes(hang=True) as second:
        tower = Cloudtower([first, second], username="root", password=PASSWORD, timeout=0.2)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(calling(tower))
            await anyio.wait_all_tasks_blocked()
            for use in (Cloudtower.find_active, Cloudtower.get_token):
                error = await anyio.to_thread.run_sync(in_another_loop, use, tower)
                assert isinstance(error, SessionClosed)
            assert isinstance(await running, CallTimeout)
        await tower.close()


def test_after_its_loop_has_ended_a_session_rejects_calls_and_can_be_closed() -> None:
    tower = Cloudtower("tower.example", token="t")

    async def used() -> None:
        with pytest.raises(SessionClosed, match="another event loop"):
            await tower.vm.get_vms()
        await tower.close()
        with pytest.raises(SessionClosed):
            await tower.vm.get_vms()

    asyncio.run(opened(tower))
    asyncio.run(used())


async def opened(tower: Cloudtower) -> None:
    await tower.open()


def test_a_session_that_could_not_be_opened_may_be_used_in_the_next_loop(tmp_path: Any) -> None:  # noqa: ANN401
    authority = tmp_path / "ca.pem"
    tower = Cloudtower(f"https://127.0.0.1:{unused_port()}", token="t", ca_file=authority)

    async def fail(match: str) -> None:
        with pytest.raises(CloudtowerError, match=match):
            await tower.vm.get_vms()

    asyncio.run(fail("ca_file"))
    asyncio.run(fail("ca_file"))


@pytest.mark.parametrize("use", USES)
def test_without_an_event_loop_the_error_says_asyncio_only(use: Use) -> None:
    if use is Cloudtower.close:
        pytest.skip("a session that was never used can be closed anywhere")
    tower = Cloudtower("tower.example", token="t", change_feed=("u", "p"))
    coroutine: Any = use(tower)
    with pytest.raises(CloudtowerError, match="asyncio only"):
        coroutine.send(None)


@pytest.mark.parametrize("use", USES)
def test_under_trio_the_error_says_asyncio_only(use: Use) -> None:
    trio = pytest.importorskip("trio")

    async def main() -> None:
        tower = Cloudtower("tower.example", token="t", change_feed=("u", "p"))
        with pytest.raises(CloudtowerError, match="asyncio only"):
            async with tower:
                pass
        if use is not Cloudtower.close:
            with pytest.raises(CloudtowerError, match="asyncio only"):
                await use(Cloudtower("tower.example", token="t", change_feed=("u", "p")))
        await tower.close()

    trio.run(main)


def test_with_raises_an_error_that_suggests_async_with() -> None:
    tower: Any = Cloudtower("tower.example", token="t")
    with pytest.raises(TypeError, match="async with Cloudtower"), tower:
        raise AssertionError
