"""`python -m benchmarks.growth`: CPU per VM as the number of VMs grows.

All VMs are read page by page and released, and the CPU time of this process is measured. An
unmeasured first read lets the server cache its answers.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import TYPE_CHECKING

import anyio

from .apart import replay
from .figures import Figure, print_as_lines, spread

if TYPE_CHECKING:
    from .apart import Address

SIZES = (1_000, 10_000, 100_000)
PAGE = 500


async def measure(address: Address) -> dict[int, list[float]]:
    """Return the CPU times in microseconds per VM, by the number of VMs that are read."""
    from cloudtower_async import Cloudtower

    spent: dict[int, list[float]] = {size: [] for size in SIZES}
    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:

        async def read(size: int) -> None:
            seen = 0
            async for _ in tower.iterate(tower.vm.get_vms, page_size=PAGE):
                seen += 1
                if seen == size:
                    break

        await read(SIZES[-1])
        # Read the same total number of VMs for each size, in alternation.
        for _ in range(3):
            for size in SIZES:
                gc.collect()
                start = time.process_time()
                for _ in range(SIZES[-1] // size):
                    await read(size)
                spent[size].append((time.process_time() - start) / SIZES[-1] * 1e6)
    return spent


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with replay(f"8 clusters, {SIZES[-1]} VMs") as address:
        spent = anyio.run(measure, address)
    few, many = SIZES[0], SIZES[-1]
    value, low, high = spread(
        [large / small for small, large in zip(spent[few], spent[many], strict=True)]
    )
    print_as_lines(
        [
            Figure(
                what=f"CPU time per VM: reading {many:,} VMs / reading {few:,} VMs",
                value=value,
                low=low,
                high=high,
                goal=1.10,
                note=", ".join(f"{size:,} VMs: {spread(spent[size])[0]:.0f} µs" for size in SIZES),
            )
        ]
    )


if __name__ == "__main__":
    main()
