"""The command ``simulate``: serve a simulated CloudTower until SIGTERM or Ctrl-C."""

from __future__ import annotations

import importlib
import shlex
import ssl
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import anyio
from cyclopts import Parameter, validators

from ..simulator.behavior import BehaviorOptions
from ..simulator.clock import Clock
from ..simulator.fleet.fleet import FleetSize
from ..simulator.simulator import Simulator
from .errors import UsageError
from .language import tr
from .signals import sigterm_receiver
from .streams import print_error

if TYPE_CHECKING:
    from collections.abc import Mapping

Seconds = Annotated[float | None, Parameter(validator=validators.Number(gte=0))]
Preset: TypeAlias = Literal["realistic", "fast"]

_PRESETS: dict[Preset, Mapping[str, float]] = {
    "realistic": {
        "task_duration": 5.0,
        "settle_delay": 1.0,
        "guest_tools_delay": 20.0,
        "guest_address_delay": 90.0,
        "guest_shutdown_delay": 30.0,
    },
    "fast": {"task_duration": 0.2, "settle_delay": 0.0},
}
"""Durations in seconds for each preset. Options of the command override these durations."""


def simulate(
    *,
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 0,
    size: str = "2 clusters, 40 VMs",
    seed: int = 1,
    preset: Preset = "realistic",
    task_duration: Seconds = None,
    settle_delay: Seconds = None,
    clock: str = "now",
    tls: Annotated[bool, Parameter(negative="")] = False,
    faults: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=1))] = 0.0,
    behavior: Annotated[BehaviorOptions | None, Parameter(name="*")] = None,
) -> None:
    """Serve a simulated CloudTower on this machine, until SIGTERM or Ctrl-C.

    The command prints environment variables for clients. All changes are lost when the command
    ends.

    Args:
        port: Port to listen on. 0 means any free port.
        size: Size of the fleet, such as "3 clusters" or "200 hosts, 20,000 VMs".
        seed: Seed of the fleet and the faults. The same seed results in the same fleet and the same
            faults.
        preset: Durations. With realistic, tasks take 5 s and guests take minutes to start. With
            fast, tasks and guests take moments.
        task_duration: Duration of a task in seconds.
        settle_delay: Seconds for which resources stay locked after their task has ended.
        clock: Date and time of the simulated clock at the start: now, or a date such as
            2026-01-31T08:00:00Z.
        tls: Serve HTTPS. The certificate is issued by a new authority. The command prints the path
            of the authority's certificate.
        faults: Share of requests that fail, from 0 to 1. Faults include error responses, missing
            responses, incomplete responses, late responses and reset connections. Some requests
            fail after the server has executed them.
        behavior: Options that choose how the simulated server behaves where real servers differ.
    """
    try:
        fleet = FleetSize.parse(size)
    except ValueError as exc:
        raise UsageError(f"--size: {exc}") from None
    times = {"task_duration": task_duration, "settle_delay": settle_delay}
    options = simulator_options(preset, {**times, **(behavior or {})})
    with TemporaryDirectory(prefix="cloudtower-simulator-") as folder:
        ca_file = Path(folder, "ca.pem") if tls else None
        try:
            simulator = Simulator(
                fleet,
                seed=seed,
                port=port,
                clock=Clock(started_at=_date(clock)),
                tls=None if ca_file is None else _context(ca_file),
                **options,
            )
        except ValueError as exc:
            name, _, fault = str(exc).partition(": ")
            raise UsageError(f"--{name.replace('_', '-')}: {fault}") from None
        simulator.faults.at_random(faults, seed=seed)
        with suppress(KeyboardInterrupt):
            anyio.run(_serve, simulator, port, ca_file)


def simulator_options(preset: Preset, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the options in `given` that are not None, and the preset's durations for the rest."""
    known = {name: value for name, value in given.items() if value is not None}
    return {**_PRESETS[preset], **known}


def _date(text: str) -> datetime:
    """Return a date and time, parsed from a text. Without an offset, the text is in UTC."""
    if text == "now":
        return datetime.now(UTC)
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            tr(
                "--clock: expected now or a date such as 2026-01-31T08:00:00Z, got {text!r}",
                text=text,
            )
        ) from None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _context(ca_file: Path) -> ssl.SSLContext:
    """Return a TLS context with a server certificate of a new certificate authority.

    The certificate of the authority is written to `ca_file`.
    """
    try:
        trustme: Any = importlib.import_module("trustme")
    except ModuleNotFoundError:
        raise UsageError(
            tr(
                '--tls needs an extra: pip install "cloudtower-async[tls]"; from a clone '
                "of the repository: pip install '.[cli,tls]'"
            )
        ) from None
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


async def _serve(simulator: Simulator, port: int, ca_file: Path | None) -> None:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(simulator)
        except OSError as exc:
            raise UsageError(f"--port {port}: {exc.strerror}") from None
        until_sigterm = stack.enter_context(sigterm_receiver())
        _print_variables(simulator, ca_file)
        await until_sigterm()


def _print_variables(simulator: Simulator, ca_file: Path | None) -> None:
    """Print the environment variables that a client needs, such as ``CLOUDTOWER_ENDPOINT``."""
    size = simulator.size
    print_error(
        tr(
            "Simulating a CloudTower (clusters: {clusters:,}, VMs: {vms:,}) until "
            "Ctrl-C. Paste these lines into another shell:",
            clusters=size.clusters,
            vms=size.vms,
        )
    )
    settings = {
        "ENDPOINT": simulator.url,
        "USERNAME": simulator.username,
        "PASSWORD": simulator.password,
        **({} if ca_file is None else {"CA_FILE": str(ca_file)}),
    }
    for name, value in settings.items():
        print(f"export CLOUDTOWER_{name}={shlex.quote(value)}", flush=True)
