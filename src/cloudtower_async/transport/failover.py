"""Failover: find the active node of an active/passive pair."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ..concurrency import map_concurrently
from ..errors import (
    CallError,
    CallTimeout,
    MultipleActive,
    NoActive,
    StatusError,
    UnexpectedStatus,
)
from .http import FIND_ACTIVE, PING
from .tracebacks import another, without_frames

if TYPE_CHECKING:
    from .http import Transport

_log = logging.getLogger("cloudtower_async")

_HEALTH = "/api/healthz"
_ACTIVE, _PASSIVE, _SILENT = "active", "passive", "no answer in time"
_ROUND_SECONDS = 5.0  # time-out for the responses of all nodes
_ATTEMPTS = 3  # maximum probes of each node while no node is active
_PAUSE_SECONDS = 0.05
_GRACE_SECONDS = 0.5  # seconds to wait for other nodes after an active node was found


class Endpoints:
    """Addresses of a session, and the search for the active node of an active/passive pair.

    The first caller that needs the address of the active node probes all nodes at once, and all
    other callers wait for the result. There is no background task. If the first caller is
    cancelled, the next caller probes the nodes. If no node or more than one node is active, all
    waiting callers get the error. If the session has a single address, `find` does not probe it.

    Args:
        transport: Transport to the servers, with the settings of the session.

    Attributes:
        active: Address of the active node. None if the active node is unknown.
        latest: Address that the latest search has found. Before the first search, this is the first
            address of the session.
        several: Whether the session has more than one address.
    """

    def __init__(self, transport: Transport) -> None:
        settings = transport.settings
        self._transport = transport
        self._addresses = settings.endpoints
        self._failover = settings.failover
        self.several: bool = len(self._addresses) > 1
        self.latest: str = self._addresses[0]
        self.active: str | None = None if self.several else self.latest
        self._lock = anyio.Lock()
        self._rounds = 0
        self._outcome: str | CallError = self.latest

    @property
    def follows(self) -> bool:
        """Whether calls switch to a new active node automatically."""
        return self.several and self._failover != "manual"

    def forget(self, endpoint: str) -> None:
        """Forget the node at `endpoint`, which failed, so that the next call starts a search.

        This has no effect if `follows` is False or another node is now the active node.
        """
        if self.follows and self.active == endpoint:
            self.active = None

    async def find(self, *, ask: bool = False) -> str:
        """Return the address of the active node. Probe the nodes if the active node is unknown.

        Args:
            ask: Whether to probe the nodes even if the active node is known.

        Raises:
            NoActive: No node is active.
            MultipleActive: More than one node is active.
            InvalidSettings: A certificate or key file is missing or invalid.
            SessionClosed: The session was closed before or during the call.
        """
        if not self.several:
            return self.latest
        self._transport.running_loop()
        rounds = self._rounds
        async with self._lock:
            if self.active is not None and not ask:
                return self.active
            if self._rounds == rounds:  # no other caller has probed in the meantime
                self._outcome = self._adopt(_choose(await self._ask_all()))
                self._rounds += 1
            outcome = self._outcome
        if isinstance(outcome, str):
            return outcome
        raise another(outcome)

    async def ping(self, seconds: float) -> str:
        """Check that the server is ready. In a pair, exactly one node must be active.

        Unlike `find`, this method does not change which node receives the calls.

        Args:
            seconds: Time-out in seconds.

        Returns:
            Root address of the server.

        Raises:
            CallError: The server is not ready.
            InvalidSettings: A certificate or key file is missing or invalid.
            SessionClosed: The session was closed before or during the call.
        """
        self._transport.running_loop()
        if self.several:
            outcome = _choose(await self._ask_all(PING, seconds))
        else:
            outcome = await self._ask_only(seconds)
        if isinstance(outcome, str):
            return outcome
        raise without_frames(outcome)

    async def _ask_only(self, seconds: float) -> str | CallError:
        (address,) = self._addresses
        with self._transport.until_closed(seconds, PING):
            try:
                answer = await self._transport.exchange(PING, "GET", address, {}, path=_HEALTH)
            except CallError as exc:
                return exc
            if answer.status == 200:
                return address
            return UnexpectedStatus(
                "the server is not ready", operation=PING, endpoint=address, status=answer.status
            )
        error = CallTimeout(f"no answer within {seconds:g} s", operation=PING, endpoint=address)
        error.proxy = self._transport.proxy_of(address)
        return error

    async def _ask_all(
        self, operation: str = FIND_ACTIVE, seconds: float = _ROUND_SECONDS
    ) -> dict[str, str]:
        await self._transport.open()
        answers = dict.fromkeys(self._addresses, _SILENT)
        with self._transport.until_closed(seconds, operation) as scope:
            ask = partial(self._ask, operation, answers, scope)
            await map_concurrently(ask, self._addresses)
        return answers

    async def _ask(
        self,
        operation: str,
        answers: dict[str, str],
        scope: anyio.CancelScope,
        address: str,
    ) -> None:
        exchange = self._transport.exchange
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = await exchange(
                    operation, "GET", address, {}, path=_HEALTH, attempt=attempt
                )
            except CallError as exc:
                answers[address] = _said(exc)
            else:
                answers[address] = _ACTIVE if answer.status == 200 else f"HTTP {answer.status}"
            if answers[address] == _ACTIVE:
                scope.deadline = min(scope.deadline, anyio.current_time() + _GRACE_SECONDS)
            # Probe again, because a short network fault should not fail all waiting calls.
            if answers[address] == _PASSIVE or attempt == _ATTEMPTS or _ACTIVE in answers.values():
                return
            await anyio.sleep(_PAUSE_SECONDS)
            if _ACTIVE in answers.values():
                return

    def _adopt(self, outcome: str | CallError) -> str | CallError:
        """Store the active node that a search has found, and return the outcome of the search.

        The outcome is the address of the active node, or an error.
        """
        if isinstance(outcome, str):
            if outcome != self.latest:
                _log.info(
                    "failover: %s is now the active node, instead of %s", outcome, self.latest
                )
            self.latest = outcome
            if self._failover != "always":
                self.active = outcome
        return outcome


def _choose(answers: dict[str, str]) -> str | CallError:
    active = [address for address, said in answers.items() if said == _ACTIVE]
    if len(active) == 1:
        return active[0]
    told = ", ".join(f"{address}: {said}" for address, said in answers.items())
    if active:
        return MultipleActive(f"several servers are active ({told})", answers=answers)
    return NoActive(f"no server is active ({told})", answers=answers)


def _said(error: CallError) -> str:
    if error.status == 307:
        return _PASSIVE
    said = f"HTTP {error.status}" if isinstance(error, StatusError) else error.message
    return said if error.proxy is None else f"{said}, via proxy {error.proxy}"
