"""The command ``exporter``: serve metrics of CloudTowers for Prometheus."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from urllib.parse import urlsplit

import anyio
from cyclopts import App, Parameter, validators

from ..calls import registry
from .connect import ConnectOptions, ask, connect
from .errors import UsageError
from .language import ntr, tr
from .messages import warn
from .profiles_option import profile_sessions
from .signals import sigterm_receiver
from .streams import print_error
from .where_option import parse_where

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ..client import Cloudtower
    from ..inputs import VmWhereInput
    from ..jobs.exporter import Exporter, MetricsServer

Seconds = Annotated[float, Parameter(validator=validators.Number(gt=0))]

_USERNAME, _PASSWORD = "CLOUDTOWER_EXPORTER_USERNAME", "CLOUDTOWER_EXPORTER_PASSWORD"
_LOOPBACK = ("127.", "localhost", "::1")
_THREADS = 8
"""Number of threads in addition to one thread per Tower. A lookup of a Tower's host name can block
a thread for a long time."""

exporter: App = App(name="exporter")


@exporter.default
def serve(
    *,
    profiles: str | None = None,
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 9469,
    host: str = "127.0.0.1",
    interval: Seconds = 60.0,
    timeout: Seconds | None = None,
    stale_after: Seconds | None = None,
    vm_metrics: Annotated[bool, Parameter(negative="")] = False,
    vm_where: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    vm_limit: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=20_000))] = 1_000,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    basic_auth_file: Path | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Serve metrics of CloudTowers for Prometheus, until SIGTERM or Ctrl-C.

    Requires the extra exporter. The metrics are at /metrics. /healthz responds as long as the
    process works. The metrics of each Tower are collected independently in the background.

    Args:
        profiles: Comma-separated profiles of the Towers, or all. The value of the label `tower` is
            the name of the profile. [default: one Tower, from the connection options]
        port: Port to listen on. 0 means any free port.
        host: Address to listen on. 0.0.0.0 or :: means all addresses of the machine.
        interval: Seconds between the starts of two collections.
        timeout: Time-out of a collection in seconds. [default: 30, or the interval if it is
            shorter]
        stale_after: Age in seconds after which figures are no longer served. [default: 5 intervals]
        vm_metrics: Also collect figures of individual VMs.
        vm_where: Filter of the VMs of --vm-metrics, as key=value or as the API's JSON. If you
            repeat the option, a VM must match all filters.
        vm_limit: Maximum number of VMs of --vm-metrics for each Tower.
        tls_cert: PEM file with the certificate of the exporter, for HTTPS. If the file changes, it
            is read again.
        tls_key: PEM file with the private key. [default: the file of --tls-cert]
        basic_auth_file: File with lines that `exporter hash-password` prints: users and password
            hashes. Instead of the file, you can set CLOUDTOWER_EXPORTER_USERNAME and
            CLOUDTOWER_EXPORTER_PASSWORD.
        connection: Connection options.
    """
    with _extra_required():
        from ..jobs.exporter import Exporter, MetricsServer
    where = parse_where(vm_where or (), registry.operation("vm.get_vms"))
    if where is not None and not vm_metrics:
        raise UsageError(tr("--vm-where: pass --vm-metrics, too"))
    if tls_key is not None and tls_cert is None:
        raise UsageError(tr("--tls-key: pass --tls-cert, too"))
    users = _users(basic_auth_file)
    if users and tls_cert is None and not host.startswith(_LOOPBACK):
        warn(tr("the password for the metrics is sent without encryption; pass --tls-cert"))
    sessions = _sessions(profiles, connection or ConnectOptions())
    collecting = Exporter(
        sessions,
        interval=interval,
        timeout=timeout,
        stale_after=stale_after,
        vm_metrics=vm_metrics,
        vm_where=cast("VmWhereInput | None", where),
        vm_limit=vm_limit,
    )
    server = MetricsServer(
        collecting, host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, basic_auth=users
    )
    with suppress(KeyboardInterrupt):
        anyio.run(_serve, collecting, server, list(sessions.values()))


@exporter.command
def hash_password(username: str, /) -> None:
    """Print a line with a user and a password hash for the file of --basic-auth-file.

    On a terminal, the command asks for the password. Otherwise, the password is the first line of
    standard input.

    Args:
        username: Name of the user.
    """
    with _extra_required():
        from ..jobs import exporter as jobs
    if sys.stdin.isatty():
        password = ask(tr("Password of {username}: ", username=username), hidden=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    print(jobs.hash_password(username, password))


async def _serve(collecting: Exporter, server: MetricsServer, sessions: list[Cloudtower]) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(sessions) + _THREADS))
    async with AsyncExitStack() as stack:
        for session in sessions:
            stack.push_async_callback(session.close)
        await stack.enter_async_context(collecting)
        try:
            await stack.enter_async_context(server)
        except OSError as exc:
            raise UsageError(f"--host, --port: {exc.strerror or exc}") from None
        until_sigterm = stack.enter_context(sigterm_receiver())
        print_error(
            tr(
                "Serving metrics of {towers} at {url} until Ctrl-C",
                towers=_towers(len(sessions)),
                url=server.url,
            )
        )
        await until_sigterm()


def _towers(number: int) -> str:
    return ntr("{number} Tower", "{number} Towers", number)


def _sessions(profiles: str | None, connection: ConnectOptions) -> Mapping[str, Cloudtower]:
    if profiles is None:
        tower = connect(connection)
        return {urlsplit(tower.endpoint).hostname or tower.endpoint: tower}
    return profile_sessions(profiles, connection=connection)


def _users(file: Path | None) -> Mapping[str, str] | None:
    """Return the password hashes by user name, from the file or the environment.

    Return None if neither has users.
    """
    from ..jobs.exporter import hash_password as line_of
    from ..jobs.exporter import read_password_file

    given = {name: os.environ.get(name, "") for name in (_USERNAME, _PASSWORD)}
    missing = [name for name, text in given.items() if not text]
    if file is not None:
        if len(missing) < len(given):
            raise UsageError(
                tr(
                    "--basic-auth-file: unset {username} and {password}, or leave it out",
                    username=_USERNAME,
                    password=_PASSWORD,
                )
            )
        return read_password_file(file)
    if len(missing) == len(given):
        return None
    if missing:
        raise UsageError(
            tr(
                "{variable} is not set: set both {username} and {password}",
                variable=missing[0],
                username=_USERNAME,
                password=_PASSWORD,
            )
        )
    username, _, text = line_of(*given.values()).partition(":")
    return {username: text}


@contextmanager
def _extra_required() -> Generator[None]:
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name != "prometheus_client":
            raise
        raise UsageError(str(exc)) from None
