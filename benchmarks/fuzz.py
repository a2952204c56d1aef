"""`python -m benchmarks.fuzz`: check that broken answers raise only errors of this package.

Valid answers of all operations are generated from the models and then broken. Bytes and values are
replaced, removed, inserted or duplicated. Some bodies are purely random.
"""

# ruff: noqa: S311 - the same seed must result in the same bodies
from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.decoding import SlicedAnswer, decode
from cloudtower_async.errors import ResponseDecodeError
from cloudtower_async.transport.responses import Answer

from .full import make

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtower_async.calls.operation import Operation

BODIES = 200_000
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**63, -(2**63), 1e308),
    *("", "x", "null", "\u0000", "𝄞", "2026-13-45T99:99:99Z"),
    *([], {}, [[]], [None], [{}], {"": None}, {"id": []}, [[[[[[]]]]]]),
)
BYTES = (b"", b"{", b"[", b'"', b"\\u", b"\x00", b"\xff", b"nul", b"1e999", b"NaN", b",")


def operations() -> list[Operation[Any]]:
    """Return every operation of the API."""
    return [
        getattr(importlib.import_module(f"cloudtower_async.api.{namespace}"), method.upper())
        for namespace, _, method in (name.partition(".") for name in OPERATIONS.values())
    ]


def right_answer(operation: Operation[Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Return a valid answer to the operation."""
    return make(inspect.type_info(operation.answer()))


def broken_value(value: Any, chance: random.Random) -> Any:  # noqa: ANN401
    """Return the value with one part replaced or removed, possibly the whole value."""
    if not value or not isinstance(value, list | dict) or chance.random() < 0.1:
        return chance.choice(ODD)
    if isinstance(value, list):
        return _with_broken_item(value, chance)  # pyright: ignore[reportUnknownArgumentType]
    return _with_broken_member(value, chance)  # pyright: ignore[reportUnknownArgumentType]


def _with_broken_item(items: list[Any], chance: random.Random) -> list[Any]:
    place = chance.randrange(len(items))
    return [*items[:place], broken_value(items[place], chance), *items[place + 1 :]]


def _with_broken_member(members: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    key = chance.choice([*members])
    if chance.random() < 0.2:
        return {name: one for name, one in members.items() if name != key}
    return members | {key: broken_value(members[key], chance)}


def broken_bytes(body: bytes, chance: random.Random) -> bytes:
    """Return the body with some bytes replaced, inserted or removed."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(body) + 1)
        end = min(len(body), place + chance.choice((0, 0, 1, 1, 7, 300)))
        more = chance.choice((b"", chance.randbytes(2), chance.choice(BYTES), body[place:end] * 2))
        body = body[:place] + more + body[end:]
    return body


def nonsense(_: bytes, chance: random.Random) -> bytes:
    """Return a body that is not derived from a valid answer."""
    if chance.random() < 0.1:
        return chance.choice((b"[", b'{"a":', b"[{},")) * chance.randint(1, 20_000)
    return chance.randbytes(chance.randint(0, 200))


def fuzz(bodies: int, seed: int = 1) -> Counter[str]:
    """Decode a number of broken bodies, and return the number of each outcome.

    Raises:
        Exception: Decoding raised an exception that is not from this package.
    """
    return asyncio.run(_fuzz(bodies, seed))


async def _fuzz(bodies: int, seed: int) -> Counter[str]:
    chance = random.Random(seed)
    asked = operations()
    right: dict[str, Any] = {}
    counted: Counter[str] = Counter()
    ways: tuple[Callable[[bytes, random.Random], bytes], ...] = (broken_bytes, nonsense)
    for _ in range(bodies):
        operation = chance.choice(asked)
        if operation.name not in right:
            right[operation.name] = right_answer(operation)
        value = right[operation.name]
        if chance.random() < 0.6:
            body = msgspec.json.encode(broken_value(value, chance))
        else:
            (way,) = chance.choices(ways, (8, 2))
            body = way(msgspec.json.encode(value), chance)
        answer = Answer(200, body, "r-1")
        try:
            strict = chance.random() < 0.3
            found = decode(operation, answer, "https://tower.example", strict=strict)
            if isinstance(found, SlicedAnswer):
                await found.read()
        except ResponseDecodeError as exc:
            counted["refused"] += 1
            counted["of several lines"] += len(str(exc).splitlines()) != 1
        else:
            counted["decoded"] += 1
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=int, default=BODIES)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("cloudtower_async").setLevel(logging.ERROR)
    start = time.perf_counter()
    counted = fuzz(options.bodies, options.seed)
    told = ", ".join(f"{number:,} {name}" for name, number in counted.items())
    print(
        f"{counted.total():,} bodies in {time.perf_counter() - start:.0f} s: {told}; nothing else"
    )


if __name__ == "__main__":
    main()
