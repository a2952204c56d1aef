"""`python -m benchmarks.decoding`: what decoding VMs costs, and holding many of them.

The vendor's client decodes the same answers, in turn with ours. What many VMs need in memory is
measured in a process of its own for each of the two.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio
import msgspec

from .figures import Figure, print_as_lines, spread
from .replay import Address, replay
from .vendors import Vendor

if TYPE_CHECKING:
    from collections.abc import Callable

VMS = 1_000
ROUNDS = 5
HELD, PAGE = 20_000, 500


def seconds(decode: Callable[[bytes], object], body: bytes, times: int) -> float:
    """Seconds of CPU to decode once."""
    gc.collect()
    start = time.process_time()
    for _ in range(times):
        decode(body)
    return (time.process_time() - start) / times


async def answer(address: Address) -> bytes:
    """The bytes of an answer with many VMs."""
    from cloudtower_async import Cloudtower

    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:
        vms = await tower.request("get-vms", {"first": VMS})
    return msgspec.json.encode(vms)


def decoding(address: Address) -> list[Figure]:
    """Decode the same answer with both."""
    from cloudtower_async.api.vm import GET_VMS

    body = anyio.run(answer, address)
    decode = GET_VMS.decoder.decode
    vendor = Vendor(address)
    assert len(decode(body)) == len(vendor.decode(body)) == VMS  # noqa: S101
    pairs = [(seconds(decode, body, 20), seconds(vendor.decode, body, 1)) for _ in range(ROUNDS)]
    value, low, high = spread([theirs / mine for mine, theirs in pairs])
    mine, theirs = (spread(each)[0] for each in zip(*pairs, strict=True))
    return [
        Figure(
            what=f"decode {VMS:,} VMs, vendor / ours",
            value=value,
            low=low,
            high=high,
            goal=180,
            better="more",
            note=f"{theirs * 1e3:,.0f} ms / {mine * 1e3:.1f} ms; {len(body) // VMS:,} bytes a VM",
        )
    ]


async def hold(address: Address) -> int:
    """Read many VMs with ours, and hold them."""
    from cloudtower_async import Cloudtower

    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:
        vms = [vm async for vm in tower.iterate(tower.vm.get_vms, page_size=PAGE)]
    return len(vms)


def vendor_hold(address: Address) -> int:
    """The same with the vendor's client."""
    vendor = Vendor(address)
    vms: list[object] = []
    for skip in range(0, HELD, PAGE):
        vms += vendor.vms.get_vms({"first": PAGE, "skip": skip, "orderBy": "id_ASC"})
    return len(vms)


def peak(who: str, address: Address) -> float:
    """Most megabytes that a process has in use which holds the VMs."""
    command = [sys.executable, "-m", "benchmarks.decoding", "--hold", who]
    place = msgspec.json.encode(address)
    done = subprocess.run(  # noqa: S603 - our own code
        command, input=place, check=True, stdout=subprocess.PIPE
    )
    return float(done.stdout)


def holding(address: Address) -> list[Figure]:
    """The memory of both."""
    mine, theirs = peak("ours", address), peak("vendor", address)
    return [
        Figure(
            what=f"peak RSS holding {HELD:,} VMs, vendor / ours",
            value=theirs / mine,
            goal=8,
            better="more",
            note=f"{theirs:,.0f} MB / {mine:,.0f} MB",
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hold", choices=["ours", "vendor"], help=argparse.SUPPRESS)
    who: str | None = parser.parse_args().hold
    if who:
        address = msgspec.json.decode(sys.stdin.buffer.read(), type=Address)
        held = anyio.run(hold, address) if who == "ours" else vendor_hold(address)
        assert held == HELD, held  # noqa: S101
        unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes or KiB
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
        return
    if not find_spec("cloudtower"):
        return  # there is nothing to compare with
    with replay(f"4 clusters, {HELD} VMs") as address:
        print_as_lines(decoding(address))
        print_as_lines(holding(address))


if __name__ == "__main__":
    main()
