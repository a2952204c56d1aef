"""Runs of the calls of `benchmarks.chaos` with the vendor's client."""

from __future__ import annotations

import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .chaos_calls import (
    CONCURRENCY,
    READ_TIMEOUT,
    SWITCHES,
    Outcome,
    Tally,
    chosen,
    count,
    executed,
    new_vm,
    pair,
    script,
)

if TYPE_CHECKING:
    from .chaos_calls import Call, Place


def vendors(seed: int, calls: int, faults: float) -> Tally:
    """Make the calls with the vendor's client and its failover, and return the counted outcomes.

    The number of threads is the number of concurrent calls of our client.
    """
    with pair(seed, faults) as servers:
        place, outcomes = servers.place, dict[str, Outcome]()
        coming = script(seed, calls, place)
        tally = Tally(calls=calls)
        vms = _vendor_vms(place)
        vms.get_vms({"first": 1})
        servers.say("faults")
        start = time.perf_counter()
        every = calls // (SWITCHES + 1)

        def work(numbered: tuple[int, Call]) -> None:
            number, call = numbered
            if number and number % every == 0 and number // every <= SWITCHES:
                servers.say("switch")
            outcomes[call.marker] = _vendor_outcome(vms, call, place)

        with ThreadPoolExecutor(CONCURRENCY) as pool:
            list(pool.map(work, enumerate(coming)))
        tally.seconds = time.perf_counter() - start
        servers.say("calm")
        count(tally, coming, outcomes, executed(servers))
    return tally


def _vendor_vms(place: Place) -> Any:  # noqa: ANN401 - it has no types
    sdk: Any = importlib.import_module("cloudtower")
    endpoints = [{"root_url": url, "scheme": "http"} for url in place.urls]
    user = {"name": place.username, "password": place.password, "source": "LOCAL"}
    return sdk.VmApi(sdk.ActivePassiveApiClient(endpoints, user_config=user))


def _vendor_outcome(vms: Any, call: Call, place: Place) -> Outcome:  # noqa: ANN401
    """Return the outcome that the vendor's client reports.

    The errors of this client do not say whether the server executed the call, so every error is
    counted as ``not done``.
    """
    # Without a time-out, the client waits forever.
    limit = {"_request_timeout": READ_TIMEOUT}
    try:
        if call.kind == "query":
            found = vms.get_vms({"where": {"id": call.vm}}, **limit)
            right = [getattr(vm, "id", None) for vm in found] == [call.vm]
            return Outcome("done" if right else "wrong")
        if call.kind == "create":
            vms.create_vm([new_vm(call, place)], **limit)
        else:
            vms.restart_vm({"where": chosen(call)}, **limit)
    except Exception as exc:
        return Outcome("not done", type(exc).__name__)
    return Outcome("done")
