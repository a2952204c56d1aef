"""`python -m benchmarks.calls`: CPU time of a call, and calls per second.

Our client is compared with two others on the same server: aiohttp and msgspec alone, which decode
into the same struct, and the vendor's client. "bare" is aiohttp as in its documentation. "tuned" is
aiohttp with the options that our client uses: no cookies, no timer per request, and a parsed
address. Bare and tuned clients send the same headers as our client.

CPU is measured in short turns, whose order changes, so that changes of the machine's speed affect
all clients equally. Each turn is compared with the neighboring turns.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from .apart import given_address, measure_apart, replay
from .figures import Figure, print_as_lines, spread
from .vendors import THREADS as CONCURRENCY
from .vendors import Vendor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import aiohttp
    from yarl import URL

    from cloudtower_async import Cloudtower, models

    from .apart import Address

    Call = Callable[[], Awaitable[object]]

CALLS = {1: 200, 50: 50}
"""Number of calls in a turn, by the number of VMs in an answer."""
WARM_UP, ROUNDS, RATES = 3, 60, 5
APART = {
    "aiohttp": ("bare", "ours"),
    "cloudtower": ("vendor",),
    "uvloop": ("ours with uvloop",),
}
"""Clients that are measured in each process, by package. Our client and the bare client share a
process: in two processes, different memory layouts could hide the difference between the clients.
"""
COMPARED = (("ours", "vendor"), ("bare", "vendor"), ("ours", "bare"), ("ours with uvloop", "ours"))
SECONDS = 2.0
"""Duration in seconds of one measurement of calls per second."""
GOALS = {1: (1.07, 25.0), 50: (1.03, 250.0)}


class Bare:
    """Client that uses only aiohttp and msgspec.

    Args:
        session: Session with the token of a logged-in user.
        vms: Number of VMs to request.
        url: Address of the calls.
    """

    def __init__(
        self, session: aiohttp.ClientSession, vms: int, url: str | URL = "get-vms"
    ) -> None:
        from cloudtower_async import models

        self._session = session
        self._url = url
        self._body = {"first": vms, "orderBy": "id_ASC"}
        self._encode = msgspec.json.Encoder().encode
        self._decoder = msgspec.json.Decoder(list[models.Vm])

    async def __call__(self) -> list[models.Vm]:
        async with self._session.post(self._url, data=self._encode(self._body)) as response:
            return self._decoder.decode(await response.read())


def ours(tower: Cloudtower, vms: int) -> Call:
    """Return a function that makes the same call with our client."""

    async def call() -> object:
        return await tower.vm.get_vms(first=vms, order_by="id_ASC")

    return call


async def cpu(call: Call, calls: int) -> float:
    """Return the CPU time in microseconds per call. The calls are made one after the other."""
    start = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - start) / calls * 1e6


async def rate(call: Call) -> float:
    """Return the number of calls per second with `CONCURRENCY` concurrent calls."""
    await call()  # the first call loads modules and builds decoders
    gc.collect()
    until = time.perf_counter() + SECONDS
    done = 0

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await call()
            done += 1

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())
    return done / (time.perf_counter() - start)


def vendor_rate(vendor: Vendor, vms: int, threads: int) -> float:
    """Return the number of calls per second of the vendor's client with a number of threads."""
    vendor.vms.get_vms({"first": vms, "orderBy": "id_ASC"})
    gc.collect()
    until = time.perf_counter() + SECONDS

    def work() -> int:
        done = 0
        while time.perf_counter() < until:
            vendor.vms.get_vms({"first": vms, "orderBy": "id_ASC"})
            done += 1
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(future.result() for future in [pool.submit(work) for _ in range(threads)])
    return done / (time.perf_counter() - start)


class Sessions:
    """Sessions of our client and of the bare client, both logged in.

    Attributes:
        tuned: Session of aiohttp with the options that our client uses.
        url: Address of the calls, already parsed.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    async def __aenter__(self) -> tuple[Cloudtower, aiohttp.ClientSession]:
        import aiohttp
        from yarl import URL

        from cloudtower_async import Cloudtower

        address = self._address
        self._tower = await Cloudtower(
            address.url, username=address.username, password=address.password
        ).open()
        login = await self._tower.user.login(username=address.username, password=address.password)
        headers = {
            "accept": "application/json",
            "authorization": login.data.token,
            "content-language": "en-US",
            "content-type": "application/json",
        }
        self._session = aiohttp.ClientSession(f"{address.url}/v2/api/", headers=headers)
        self.tuned = aiohttp.ClientSession(
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0),
        )
        self.url = URL(f"{address.url}/v2/api/get-vms")
        return self._tower, self._session

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self.tuned.close()
        await self._tower.close()


async def costs(address: Address) -> list[Figure]:
    """Return figures of the CPU time of a call with our client, relative to aiohttp alone."""
    figures: list[Figure] = []
    sessions = Sessions(address)
    async with sessions as (tower, session):
        for vms, calls in CALLS.items():
            peers: dict[str, Call] = {
                "ours": ours(tower, vms),
                "bare": Bare(session, vms),
                "tuned": Bare(sessions.tuned, vms, sessions.url),
            }
            spent = await _in_turns(peers, calls)
            for peer, goal in (("bare", GOALS[vms][0]), ("tuned", None)):
                pairs = zip(spent["ours"], spent[peer], strict=True)
                value, low, high = spread([mine / other for mine, other in pairs])
                medians = (f"{spread(spent[who])[0]:,.0f} µs" for who in ("ours", peer))
                figures.append(
                    Figure(
                        what=f"CPU time per call with a {vms}-VM response: ours / {peer}",
                        value=value,
                        low=low,
                        high=high,
                        goal=goal,
                        note=" / ".join(medians),
                    )
                )
    return figures


async def _in_turns(peers: dict[str, Call], calls: int) -> dict[str, list[float]]:
    """Return the CPU time per call of each client in each turn.

    The order of the clients changes from turn to turn.
    """
    for call in peers.values():
        await cpu(call, calls * WARM_UP)  # the first call loads modules and builds decoders
    gc.collect()
    gc.freeze()  # loaded modules must not slow down later collections
    spent: dict[str, list[float]] = {who: [] for who in peers}
    names = list(peers)
    for number in range(ROUNDS):
        first = number % len(names)
        order = names[first:] + names[:first]
        for who in order if number % 2 else reversed(order):
            spent[who].append(await cpu(peers[who], calls))
    return spent


async def _rates_of(who: Sequence[str], vms: int, address: Address) -> list[float]:
    async with Sessions(address) as (tower, session):
        calls: dict[str, Call] = {"bare": Bare(session, vms), "ours": ours(tower, vms)}
        for one in who:  # an unmeasured round, until memory stops growing
            await rate(calls[one])
        return [await rate(calls[one]) for one in who]


def rates_apart(package: str, vms: int, address: Address) -> list[float]:
    """Return the calls per second of each client of a package.

    For the vendor's client, this is the highest rate with 1, 4 or `CONCURRENCY` threads.
    """
    if package == "cloudtower":
        vendor = Vendor(address)
        return [max(vendor_rate(vendor, vms, threads) for threads in (1, 4, CONCURRENCY))]
    if package == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_rates_of(["ours"], vms, address))
    return asyncio.run(_rates_of(APART[package], vms, address))


def _round(packages: Sequence[str], vms: int, address: Address) -> dict[str, float]:
    """Return the calls per second of each client, measured in separate processes."""
    found: dict[str, float] = {}
    for package in packages:
        numbers = measure_apart("calls", "--rate", package, str(vms), address=address)
        found.update(zip(APART[package], numbers, strict=True))
    return found


def rates(address: Address) -> list[Figure]:
    """Return figures that compare the calls per second of all clients."""
    figures: list[Figure] = []
    packages = [package for package in APART if find_spec(package)]
    peers = [who for package in packages for who in APART[package]]
    for vms, (_, goal) in GOALS.items():
        measured = [_round(packages, vms, address) for _ in range(RATES)]
        medians = {who: spread([one[who] for one in measured])[0] for who in peers}
        listed = ", ".join(f"{who} {value:,.0f}" for who, value in medians.items())
        note = f"calls per second: {listed}"
        for who, peer in COMPARED:
            if who in peers and peer in peers:
                value, low, high = spread([one[who] / one[peer] for one in measured])
                figures.append(
                    Figure(
                        what=f"calls per second with {vms}-VM responses: {who} / {peer}",
                        value=value,
                        low=low,
                        high=high,
                        goal=goal if (who, peer) == ("ours", "vendor") else None,
                        better="more",
                        note=note,
                    )
                )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["cpu", "rates"], help="measure only this part")
    parser.add_argument("--rate", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rate:
        package, vms = options.rate
        print(*rates_apart(package, int(vms), given_address()))
        return
    with replay("2 clusters, 100 VMs") as address:
        if options.part != "rates":
            print_as_lines(asyncio.run(costs(address)))
        if options.part != "cpu":
            print_as_lines(rates(address))


if __name__ == "__main__":
    main()
