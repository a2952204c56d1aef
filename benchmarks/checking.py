"""`python -m benchmarks.checking`: cost of validating arguments before they are sent."""

from __future__ import annotations

import argparse
import time

from cloudtower_async.api.vm import GET_VMS
from cloudtower_async.calls.validation import check

from .figures import Figure, print_as_lines, spread

WHERE = {"name_contains": "web", "status": "RUNNING", "cluster": {"name": "atlas-01"}}
TIMES, ROUNDS = 20_000, 7


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    body = {"where": WHERE}
    check(GET_VMS, body, validate=True)  # the first call creates the validators
    measured: list[float] = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(TIMES):
            check(GET_VMS, body, validate=True)
        measured.append((time.process_time() - start) / TIMES * 1e6)
    value, low, high = spread(measured)
    what = "time to validate a typical `where` argument"
    print_as_lines([Figure(what=what, value=value, low=low, high=high, unit="µs", goal=5)])


if __name__ == "__main__":
    main()
