"""The command ``call``: call any operation of the API and print its answer as JSON."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

import anyio
import msgspec
from cyclopts import Parameter

from ..calls import registry
from ..calls.arg_types import Record, arguments_of, member, place
from ..calls.empty_filter import matches_all
from ..calls.operation import Carries, Kind, Operation
from ..calls.validation import check
from ..errors import PlanEnded
from ..types import EVERYTHING
from .changes import running_tasks
from .confirm import check_can_ask, confirm
from .connect import ConnectOptions, connect, place_of, planning
from .errors import UsageError
from .formats import json_text
from .language import tr
from .resource_names import find_method
from .sent_tasks import SentTasks
from .streams import print_error, write_output
from .suggestions import suggest_for_operation
from .where_option import parse_json

if TYPE_CHECKING:
    from ..client import Cloudtower

Json: TypeAlias = dict[str, Any] | list[Any]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def call(
    operation: str,
    body: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,  # for "-"
    /,
    *,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="", show_default=False)] = False,
    dry_run: Flag = False,
    wait: Flag = False,
    everything: Flag = False,
    connection: ConnectOptions | None = None,
) -> None:
    """Call any operation of the API and print its answer as JSON.

    If the operation is a mutation, the command first shows the planned change and asks for
    confirmation on the terminal. The body is validated before the request is sent.

    Args:
        operation: Name of the operation, as in the API's documentation (start-vm) or in Python
            (vm.start_vm).
        body: Body of the request as JSON. @FILE reads the body from a file, and - from standard
            input.
        yes: Do not ask for confirmation. Required if there is no terminal.
        dry_run: Change nothing. Print the planned changes and requests.
        wait: Wait for the tasks that the call starts. If a task fails, the exit status is 1.
        everything: Allow a filter that matches everything: "where" may be empty or missing.
        connection: Connection options.
    """
    if body == "-" and connection is not None and connection.token_stdin:
        raise UsageError(tr("--token-stdin: standard input is already the body"))
    method = find_method(operation)
    if method is None:
        raise UsageError(suggest_for_operation(operation))
    called = registry.operation(method)
    arguments = _arguments(called, body, everything=everything)
    connection = connection or ConnectOptions()
    if dry_run:
        connection = dataclasses.replace(connection, mutations="plan")
    sent = SentTasks()
    tower = connect(connection, middleware=[sent])
    place = None
    if called.kind is not Kind.QUERY and not yes and tower.mutations == "allow":
        if body == "-":
            raise UsageError(
                tr(
                    "{method} changes something: pass --yes, because standard input is the body",
                    method=method,
                )
            )
        check_can_ask(method)
        place = place_of(tower, connection)
    anyio.run(_call, tower, sent, method, arguments, wait, place)


async def _call(
    tower: Cloudtower,
    sent: SentTasks,
    method: str,
    arguments: Json,
    wait: bool,
    place: str | None,
) -> None:
    """Send the call and print its answer.

    If `place` is not None, ask for confirmation first, with `place` as the name of the server.
    """
    async with planning(tower):
        if place is not None:
            await _confirm(tower, method, arguments, place)
        try:
            answer = await _send(tower, method, arguments)
            text = msgspec.json.format(json_text(answer), indent=2)
            await anyio.to_thread.run_sync(write_output, text + b"\n")
            if wait:
                await tower.wait(answer)
        except anyio.get_cancelled_exc_class():
            for line in running_tasks(sent, {}):
                print_error(line)
            raise


async def _send(tower: Cloudtower, method: str, arguments: Json) -> Any:  # noqa: ANN401
    namespace, _, name = method.partition(".")
    function = getattr(getattr(tower, namespace), name)
    if isinstance(arguments, list):
        return await function(arguments)
    return await function(**arguments)


async def _confirm(tower: Cloudtower, method: str, arguments: Json, place: str) -> None:
    """Show the effect of the call, and ask the user to confirm it."""
    rehearsal = tower.with_options(mutations="plan")
    with suppress(PlanEnded):  # the plan contains the call even after this error
        await _send(rehearsal, method, arguments)
    planned = rehearsal.plan[-1]
    count = len(planned.resources) + len(planned.creates)
    # Treat every mutation as destructive, because its effect is unknown here.
    await confirm(
        tr("Send this call to {place}? {planned}", place=place, planned=planned),
        count,
        destructive=True,
    )


def _arguments(called: Operation[object], body: str | None, *, everything: bool) -> Json:
    """Return a JSON body as arguments of the SDK method: a list, or a dict by parameter name.

    Raises:
        UsageError: The body cannot be read, the operation takes no body, or it takes a file.
        InvalidInput: The body does not fit the API schema.
    """
    if called.carries is Carries.FORM:
        raise UsageError(tr("{name} takes a file; `call` cannot send files", name=called.name))
    if called.body is None:
        if body is not None:
            raise UsageError(tr("{name} takes no body", name=called.name))
        return {}
    wanted = arguments_of(called)
    given: Json = {} if body is None else parse_json(_read(body), tr("the body"))
    if everything:
        record = wanted.item.record if wanted.item else wanted.record
        for one in given if isinstance(given, list) else [given]:
            _widen(record, one)
    if isinstance(given, dict):  # at the top level, null means that the argument is omitted
        given = {key: value for key, value in given.items() if value is not None}
    check(called, given, validate=True)
    if isinstance(given, dict):
        return {place(f".{key}"): value for key, value in given.items()}
    return given


def _widen(record: Record, given: object) -> None:
    """Replace each required filter in `given` by `EVERYTHING` if the filter matches everything."""
    if not isinstance(given, dict):
        return
    fields = cast("dict[str, object]", given)
    for key in record.__required_keys__:
        shape = member(record, key)
        if shape is not None and shape.is_filter and matches_all(fields.get(key)):
            fields[key] = EVERYTHING


def _read(body: str) -> str | bytes:
    if body == "-":
        return sys.stdin.buffer.read()
    if not body.startswith("@"):
        return body
    try:
        return Path(body[1:]).read_bytes()
    except OSError as exc:
        raise UsageError(f"{body[1:]}: {exc.strerror}") from None
