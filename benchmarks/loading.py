"""`python -m benchmarks.loading`: 1,000 coroutines that each read one VM by id.

With bare aiohttp, each coroutine sends one request. A loader sends one request for 500 ids. The CPU
time of this process is measured in alternating rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
from typing import TYPE_CHECKING

import aiohttp
import anyio
import msgspec

from .apart import replay
from .figures import Figure, print_as_lines, spread
from .measures import Times

if TYPE_CHECKING:
    from .apart import Address

READERS = 1_000
ROUNDS = 7


async def measure(address: Address) -> tuple[list[float], list[float], int]:
    """Return CPU times in seconds with a loader and with bare aiohttp, and requests per round."""
    from cloudtower_async import Cloudtower, models, record_exchanges

    decoder = msgspec.json.Decoder(list[models.Vm])
    ours, bare = Times(), Times()
    async with (
        Cloudtower(address.url, username=address.username, password=address.password) as tower,
        aiohttp.ClientSession(headers={"authorization": await tower.get_token()}) as session,
    ):
        ids = [vm.id for vm in await tower.vm.get_vms(first=READERS)]

        async def read(one: str) -> models.Vm:
            body = msgspec.json.encode({"where": {"id": one}})
            headers = {"content-type": "application/json"}
            async with session.post(
                f"{address.url}/v2/api/get-vms", data=body, headers=headers
            ) as response:
                [vm] = decoder.decode(await response.read())
                return vm

        async def load() -> None:
            loader = tower.loader(tower.vm.get_vms)
            await asyncio.gather(*map(loader.get, ids))

        await asyncio.gather(*map(read, ids))  # let the server cache its answers
        with record_exchanges() as exchanges:
            await load()
        for _ in range(ROUNDS):
            gc.collect()
            with ours.measured():
                await load()
            gc.collect()
            with bare.measured():
                await asyncio.gather(*map(read, ids))
    return ours.cpu, bare.cpu, len(exchanges)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with replay(f"2 clusters, {READERS} VMs") as address:
        ours, bare, requests = anyio.run(measure, address)
    value, low, high = spread([one / other for one, other in zip(ours, bare, strict=True)])
    print_as_lines(
        [
            Figure(
                what=f"CPU time of {READERS:,} reads by id: ours with `loader` / bare",
                value=value,
                low=low,
                high=high,
                goal=0.25,
                note=f"{requests} requests instead of {READERS:,}",
            ),
        ]
    )


if __name__ == "__main__":
    main()
