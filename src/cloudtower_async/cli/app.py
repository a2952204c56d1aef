"""What can be typed, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError, validators

from .._version import __version__
from ..errors import CloudtowerError, InvalidInput, InvalidSettings
from .connect import ConnectOptions
from .endings import (
    EXPLAINED,
    FAILED,
    INTERRUPTED,
    OK,
    TERMINATED,
    USAGE,
    UsageError,
    one_line,
    terminable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

app: App = App(
    name="cloudtower-async",
    help="Work with SmartX CloudTower from the command line.",
    help_epilogue=EXPLAINED,
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
)


@app.command
def dashboard(
    *,
    demo: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    watch: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    interval: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 5.0,
    output: Annotated[Literal["table", "json"], Parameter(name="--format")] = "table",
    cluster: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    language: Literal["en-US", "zh-CN"] | None = None,
    size: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=50))] = None,
    seed: int | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show alerts, disks, CPU, memory and storage of the clusters.

    Args:
        demo: Show a simulated fleet; nothing else is needed.
        watch: Go on showing the present state, until Ctrl-C.
        interval: Seconds between two pictures of --watch.
        output: table: a picture. json: every figure; with --watch one line of it for each.
        cluster: Name or id of a cluster to show; repeat it for more. Without it: all.
        language: Language of the alerts' texts. [default: en-US]
        size: Number of clusters in the fleet of --demo. [default: 4]
        seed: The same seed makes the same fleet of --demo. [default: 1]
        connection: How to reach the server.
    """
    from .dashboard import Wanted, show

    show(
        Wanted(
            demo=demo,
            watch=watch,
            interval=interval,
            json=output == "json",
            clusters=tuple(cluster or ()),
            language=language,
            size=size,
            seed=seed,
        ),
        connection or ConnectOptions(),
    )


@app.command
def simulate(
    *,
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 0,
    size: str = "2 clusters, 40 VMs",
    seed: int = 1,
) -> None:
    """Serve a simulated CloudTower on this machine, until Ctrl-C.

    It prints the lines that make a shell use it. Nothing that is done to it lasts.

    Args:
        port: Where to listen; 0: any port that is free.
        size: How large its fleet is: "3 clusters", "200 hosts, 20,000 VMs".
        seed: The same seed makes the same fleet.
    """
    from .simulate import simulate

    simulate(port=port, size=size, seed=seed)


tasks: App = App(name="tasks", help="Look after the tasks that mutations start.")
app.command(tasks)


@tasks.command
def wait(
    *ids: str,
    timeout: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 300.0,
    connection: ConnectOptions | None = None,
) -> None:
    """Wait until tasks have ended, and show how far they are.

    On a terminal each has a bar; elsewhere each change is a line. The exit status is 1 when a task
    failed, is unknown to the server, or still ran at the end of the time.

    Args:
        ids: The tasks.
        timeout: Seconds to wait at most; 0: without limit.
        connection: How to reach the server.
    """
    from .tasks import wait

    wait(ids, timeout or None, connection or ConnectOptions())


def run(arguments: Sequence[str]) -> int:
    """Carry out what was typed and return the exit status."""
    came: list[int] = []
    try:
        with terminable() as came:
            status = _carry_out(arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    return TERMINATED if came else status


def _carry_out(arguments: Sequence[str]) -> int:
    try:
        if not arguments:
            app.help_print([])
            return USAGE
        app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except UnusedCliTokensError as exc:
        return _fail(_unexpected(exc), USAGE)
    except (CycloptsError, UsageError, InvalidInput, InvalidSettings) as exc:
        return _fail(exc, USAGE)
    except CloudtowerError as exc:
        return _fail(exc, FAILED)
    except OSError as exc:
        # Nobody reads our output, or its disk is full. Python must not stumble over it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED if isinstance(exc, BrokenPipeError) else _fail(exc, FAILED)
    return OK


def _unexpected(exc: UnusedCliTokensError) -> UsageError:
    hint = ""
    if exc.command_chain == ("dashboard",):
        hint = "; a cluster is given with --cluster"
    unexpected = " ".join(exc.unused_tokens or ())
    return UsageError(f"unexpected argument {unexpected!r}{hint}")


def _fail(exc: Exception, status: int) -> int:
    print(f"cloudtower-async: {one_line(exc)}", file=sys.stderr)
    return status
