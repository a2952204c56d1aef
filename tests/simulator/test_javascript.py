"""Numbers in answers are written as a JavaScript server writes them."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async.simulator.server.javascript import encode

NODE = shutil.which("node")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (5.0, b"5"),
        (-0.0, b"0"),
        (42245280000.0, b"42245280000"),
        (107374182400.5, b"107374182400.5"),
        (1e16, b"10000000000000000"),
        (1e21, b"1e+21"),
        (1.5e-5, b"0.000015"),
        (1e-7, b"1e-7"),
        (2**53 + 1, b"9007199254740992"),
        (12345678901234567890, b"12345678901234567000"),
        (math.inf, b"null"),
        ({"a": [1.0, {"b": 2.0}], "c": "3.0, x"}, b'{"a":[1,{"b":2}],"c":"3.0, x"}'),
        (True, b"true"),
    ],
)
def test_a_value_is_written_as_json_stringify_writes_it(value: object, written: bytes) -> None:
    assert encode(value) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_float_reads_back_as_the_same_float(value: float) -> None:
    assert float(encode(value)) == value


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists))
def test_values_that_need_no_conversion_stay_unchanged(value: object) -> None:
    assert encode(value) == msgspec.json.encode(value)


@pytest.mark.subprocess
@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_node_writes_the_same_numbers() -> None:
    choose = random.Random(7)  # noqa: S311 - no secret
    numbers = [
        choose.choice(
            [choose.random() * 10.0 ** choose.randint(-12, 25), 10.0 ** choose.randint(-9, 25)]
        )
        for _ in range(20_000)
    ]
    body = encode(numbers)
    script = (
        "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8'))))"
    )
    command = [str(NODE), "-e", script]
    node = subprocess.run(command, input=body, capture_output=True, check=True)  # noqa: S603
    assert node.stdout == body
    assert json.loads(body, parse_int=float) == numbers
