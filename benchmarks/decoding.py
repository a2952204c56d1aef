"""`python -m benchmarks.decoding`: CPU time to decode VMs, and memory of many VMs.

The vendor's client and our client decode the same answers in alternation, each in a separate
process.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from .apart import given_address, measure_apart, replay
from .figures import Figure, print_as_lines, spread
from .measures import peak_mb
from .vendors import Vendor

if TYPE_CHECKING:
    from collections.abc import Callable

    from .apart import Address

VMS = 1_000
TIMES = {"ours": 100, "vendor": 1}
"""Number of times that each client decodes the answer in one measurement, by client."""
ROUNDS = 5
HELD, PAGE = 20_000, 500


def answer(address: Address) -> bytes:
    """Return the bytes of an answer with many VMs, requested without either client."""

    def ask(path: str, body: dict[str, Any], token: str = "") -> bytes:
        headers = {"authorization": token, "content-type": "application/json"}
        request = Request(f"{address.url}/v2/api/{path}", json.dumps(body).encode(), headers)  # noqa: S310
        with urlopen(request) as response:  # noqa: S310 - our own server
            content: bytes = response.read()
        return content

    who = {"username": address.username, "password": address.password, "source": "LOCAL"}
    token: str = json.loads(ask("login", who))["data"]["token"]
    return ask("get-vms", {"first": VMS}, token)


def decode(who: str, address: Address) -> tuple[float, float]:
    """Return the CPU time in milliseconds to decode the answer once, and the bytes per VM."""
    body = answer(address)
    decoder: Callable[[bytes], Any]
    if who == "ours":
        from cloudtower_async.api.vm import GET_VMS

        decoder = GET_VMS.decoder.decode
    else:
        decoder = Vendor(address).decode
    assert len(decoder(body)) == VMS  # noqa: S101
    times = TIMES[who]
    gc.collect()
    start = time.process_time()
    for _ in range(times):
        decoder(body)
    return (time.process_time() - start) / times * 1e3, len(body) / VMS


def decoding(address: Address) -> Figure:
    """Return the figure that compares the decoding time of both clients."""
    pairs = [_both("--decode", address) for _ in range(ROUNDS)]
    value, low, high = spread([theirs / mine for (mine, _), (theirs, _) in pairs])
    mine, theirs = (spread([time for time, _ in each])[0] for each in zip(*pairs, strict=True))
    [(_, size), _] = pairs[0]
    return Figure(
        what=f"time to decode {VMS:,} VMs: vendor / ours",
        value=value,
        low=low,
        high=high,
        goal=180,
        better="more",
        note=f"{theirs:,.0f} ms / {mine:.1f} ms; {size:,.0f} bytes per VM",
    )


async def hold(address: Address) -> int:
    """Read many VMs with our client, keep all of them in memory, and return their number."""
    from cloudtower_async import Cloudtower

    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:
        vms = [vm async for vm in tower.iterate(tower.vm.get_vms, page_size=PAGE)]
    return len(vms)


def vendor_hold(address: Address) -> int:
    """Read many VMs with the vendor's client, keep them in memory, and return their number."""
    vendor = Vendor(address)
    vms: list[object] = []
    for skip in range(0, HELD, PAGE):
        vms += vendor.vms.get_vms({"first": PAGE, "skip": skip, "orderBy": "id_ASC"})
    return len(vms)


def peak(who: str, address: Address) -> float:
    """Return the peak memory in megabytes of this process, which keeps all VMs in memory."""
    held = asyncio.run(hold(address)) if who == "ours" else vendor_hold(address)
    assert held == HELD, held  # noqa: S101
    return peak_mb()


def holding(address: Address) -> Figure:
    """Return the figure that compares the memory of both clients."""
    [mine], [theirs] = _both("--hold", address)
    return Figure(
        what=f"peak memory of a process that keeps {HELD:,} VMs: vendor / ours",
        value=theirs / mine,
        goal=8,
        better="more",
        note=f"{theirs:,.0f} MB / {mine:,.0f} MB",
    )


def _both(what: str, address: Address) -> list[list[float]]:
    """Return the numbers of both clients, each measured in a separate process."""
    return [measure_apart("decoding", what, who, address=address) for who in TIMES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decode", choices=TIMES, help=argparse.SUPPRESS)
    parser.add_argument("--hold", choices=TIMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.decode:
        print(*decode(options.decode, given_address()))
    elif options.hold:
        print(peak(options.hold, given_address()))
    elif find_spec("cloudtower"):  # without it, there is no client to compare with
        with replay(f"4 clusters, {HELD} VMs") as address:
            print_as_lines([decoding(address), holding(address)])


if __name__ == "__main__":
    main()
