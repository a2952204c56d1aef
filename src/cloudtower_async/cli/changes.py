"""Common flow of all commands that change something.

The flow finds the resources, asks for confirmation, shows the progress of the change, and prints
the result.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import anyio
from cyclopts import Group, Parameter

from ..concurrency import map_concurrently
from ..control_characters import one_line, printable
from ..errors import CloudtowerError, NotFound, PlanEnded
from .amount_options import parse_duration
from .confirm import check_can_ask, confirm, listed
from .connect import ConnectOptions, connect, place_of
from .errors import UsageError
from .language import ntr, tr
from .listing import print_resources
from .messages import error_line
from .nouns import counted, singular, step_text
from .output_options import OutputOptions
from .sent_tasks import SentTasks
from .streams import print_error, write_output

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..client import Cloudtower
    from ..recipes import OnProgress
    from ..recipes import Progress as RecipeProgress
    from ..types import WithTask

Flag = Annotated[bool, Parameter(negative="", show_default=False)]

_AT_A_TIME = 10
"""Maximum number of resources to change concurrently."""
_QUESTION_MARKS = "?\uff1f"


@Parameter(name="*", group=Group("Change", sort_key=1))
@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangeOptions:
    """Options of commands that change something."""

    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="", show_default=False)] = False
    "Do not ask for confirmation. Required if there is no terminal."

    dry_run: Flag = False
    "Change nothing. Print the planned changes and requests."

    no_wait: Flag = False
    "Print the ids of the tasks instead of waiting for the tasks."

    timeout: str = "5m"
    "Maximum time to wait for the tasks of each resource: 90s, 10m, 1h30m. 0 means no limit."


@dataclasses.dataclass(frozen=True)
class ChangeTarget:
    """A resource that a command changes or creates.

    Attributes:
        name: Display name of the resource.
        state: State to show after the name. If the state is empty, only the name is shown.
        resource: The resource before the change, or None if the command creates the resource.
    """

    name: str
    state: str = ""
    resource: Any = None

    def __str__(self) -> str:
        return f"{self.name} ({self.state})" if self.state else self.name


@dataclasses.dataclass(frozen=True)
class ChangeOutcome:
    """Result of a change for one target.

    Attributes:
        target: The target.
        settled: Resources to print, as they are after the change or were before their deletion.
        error: Error that made the change fail, or None.
        note: Note for the user, or an empty text.
    """

    target: ChangeTarget
    settled: Sequence[object] = ()
    error: Exception | None = None
    note: str = ""


Ask: TypeAlias = "Callable[[int, str], str]"
Send: TypeAlias = "Callable[[ChangeTarget], Awaitable[Sequence[WithTask[Any]]]]"
Run: TypeAlias = (
    "Callable[[Sequence[ChangeTarget], OnProgress, float | None], Awaitable[list[ChangeOutcome]]]"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandChange:
    """A change that a command is about to carry out.

    Attributes:
        ask: Function that returns the question for the user. Its arguments are the number of
            targets and the name of the server.
        noun: Noun for a target: ``"VM"``.
        kind: Name of the struct of the resources that are printed after the change: ``"Vm"``.
        targets: Resources that the change affects or creates.
        step: Name of the step in progress messages: ``"delete"``.
        destructive: Whether the user must type the number of resources, instead of yes, to confirm
            a change of more than 10 resources.
        deletes: Whether the change deletes the resources.
        run: Function that carries out the change with a recipe. None means that `send` is used.
        send: Function that sends the mutation for one target, and returns its answer. With
            --no-wait, `send` is used instead of `run`.
        sends: Name of the last mutation that `run` sends. If `send` is None, --no-wait stops `run`
            after this mutation. If `sends` is empty, too, --no-wait is an error.
        read: Function that reads the resources to print after the change. None means that the
            resources in the answer of the mutation are printed.
    """

    ask: Ask
    noun: str
    kind: str
    targets: Sequence[ChangeTarget]
    step: str
    destructive: bool = False
    deletes: bool = False
    send: Send | None = None
    run: Run | None = None
    sends: str = ""
    read: Callable[[ChangeTarget], Awaitable[Sequence[object]]] | None = None

    def question(self, place: str) -> str:
        """Return the one-line question for the user. `place` is the name of the server."""
        return f"{self._asked(place)} {self._names()}"

    def rehearsed(self, place: str) -> str:
        """Return the first line of a dry run on the server with the name `place`."""
        change = self._asked(place).rstrip(_QUESTION_MARKS)
        return tr("Dry run: {change}: {names}", change=change, names=self._names())

    def _asked(self, place: str) -> str:
        return one_line(self.ask(len(self.targets), place))

    def _names(self) -> str:
        return listed([str(one) for one in self.targets])


def question(one: str, many: str, /, **values: str) -> Ask:
    """Return a function that builds the question of a change; see `CommandChange.ask`.

    Args:
        one: English text for one target, with the placeholders ``{number}`` and ``{place}``.
        many: English text for several targets.
        values: Values of further placeholders.
    """
    return lambda number, place: ntr(one, many, number, place=place, **values)


def run_change(
    command: str,
    plan: Callable[[Cloudtower], Awaitable[CommandChange]],
    options: ChangeOptions | None,
    output: OutputOptions | None,
    connection: ConnectOptions | None,
) -> None:
    """Run a command that changes something, from reading its options to printing the result.

    Call this function outside an event loop, because it may prompt for a password.

    Args:
        command: Name of the command for error messages: ``"vm delete"``.
        plan: Function that finds the resources and returns the change.
        options: Options such as --yes.
        output: Output options.
        connection: Connection options.

    Raises:
        UsageError: The user did not confirm, or an option is invalid. No mutation was sent.
        CloudtowerError: The change failed for a resource. Other resources may have been changed.
    """
    options, connection = options or ChangeOptions(), connection or ConnectOptions()
    timeout = parse_duration("--timeout", options.timeout) or None
    if options.dry_run:
        connection = dataclasses.replace(connection, mutations="plan")
    sent = SentTasks()
    tower = connect(connection, all_languages=False, middleware=[sent])
    if tower.mutations == "refuse":
        raise UsageError(
            tr(
                "{command}: the session is read-only: pass --mutations allow to change the server",
                command=command,
            )
        )
    if tower.mutations == "allow" and not options.yes:
        check_can_ask(command)
    work = _Work(tower, sent, options, timeout, place_of(tower, connection))
    anyio.run(work.run, plan, output or OutputOptions())


@dataclasses.dataclass(frozen=True)
class _Work:
    """One run of a command that changes something."""

    tower: Cloudtower
    sent: SentTasks
    options: ChangeOptions
    timeout: float | None
    place: str

    async def run(
        self, plan: Callable[[Cloudtower], Awaitable[CommandChange]], output: OutputOptions
    ) -> None:
        async with self.tower:
            change = await plan(self.tower)
            if self.tower.mutations == "plan":
                await self._rehearse(change)
                return
            if self.options.no_wait and change.send is None and not change.sends:
                raise UsageError(
                    tr(
                        "{step} takes several steps: leave out --no-wait",
                        step=step_text(change.step),
                    )
                )
            if not self.options.yes:
                count = len(change.targets)
                question = change.question(self.place)
                await confirm(question, count, destructive=change.destructive)
            if self.options.no_wait:
                await self._send_only(change)
                return
            outcomes = await self._carry_out(change)
        await self._report(change, outcomes, output)

    async def _rehearse(self, change: CommandChange) -> None:
        """Print the changes and the requests that the command would make without --dry-run."""
        print_error(change.rehearsed(self.place))
        try:
            outcomes = await self._outcomes(change, lambda _: None)
        finally:
            print_error(tr("Plan (nothing was sent):\n{plan}", plan=self.tower.plan))
        ended = [one.error for one in outcomes if isinstance(one.error, PlanEnded)]
        raise_failures(
            change,
            [
                dataclasses.replace(one, error=None) if one.error in ended else one
                for one in outcomes
            ],
        )
        if ended:
            raise ended[0]

    async def _send_only(self, change: CommandChange) -> None:
        """Send the mutations for all targets, and print the ids of the started tasks."""
        try:
            outcomes = await self._sent_outcomes(change)
        except anyio.get_cancelled_exc_class():
            for line in running_tasks(self.sent, _names(change)):
                print_error(line)
            raise
        ids_of_running = [task.id for task in self.sent.running()]
        ids = "".join(f"{printable(task)}\n" for task in ids_of_running)
        await anyio.to_thread.run_sync(write_output, ids.encode())
        if not ids and not any(one.error for one in outcomes):
            print_error(tr("no task was started: there is nothing to wait for"))
        raise_failures(change, outcomes)

    async def _sent_outcomes(self, change: CommandChange) -> list[ChangeOutcome]:
        if change.send is None:
            return await self._until_sent(change)

        async def send(target: ChangeTarget) -> ChangeOutcome:
            await _send(change, target)
            return ChangeOutcome(target)

        return await map_concurrently(partial(_isolated, send), change.targets, _AT_A_TIME)

    async def _until_sent(self, change: CommandChange) -> list[ChangeOutcome]:
        """Run `change.run` for each target, and stop it after the mutation `change.sends`."""
        outcomes: list[ChangeOutcome] = []
        for target in change.targets:
            with anyio.CancelScope() as scope:

                def stop(operation: str, scope: anyio.CancelScope = scope) -> None:
                    if operation == change.sends:
                        scope.cancel()

                self.sent.on_sent = stop
                alone = dataclasses.replace(change, targets=[target])
                outcomes += await self._outcomes(alone, lambda _: None)
        return outcomes

    async def _carry_out(self, change: CommandChange) -> list[ChangeOutcome]:
        """Carry out the change and show its progress.

        On Ctrl-C, print which targets are done and which tasks are still running.
        """
        from .change_display import (
            progress_display,  # imported here, because commands that list do not need it
        )

        progress = ChangeProgress(change.noun, [one.name for one in change.targets], self.sent)
        with progress_display(change.noun, lines=True) as (show, print_line):

            def on_progress(news: RecipeProgress) -> None:
                progress.take(news)
                show(news)

            try:
                return await self._outcomes(change, on_progress)
            except anyio.get_cancelled_exc_class():
                for line in progress.interrupted(_names(change)):
                    print_line(line)
                raise

    async def _outcomes(
        self, change: CommandChange, on_progress: OnProgress
    ) -> list[ChangeOutcome]:
        if change.run is not None and not (self.options.no_wait and change.send):
            return await change.run(change.targets, on_progress, self.timeout)
        from ..recipes.progress import Telling

        telling = Telling(on_progress, len(change.targets))

        async def one(target: ChangeTarget) -> ChangeOutcome:
            outcome = await _isolated(
                partial(self._change_one, change, partial(telling.step, target.name, change.step)),
                target,
            )
            telling.end(target.name, outcome.error)
            return outcome

        return await map_concurrently(one, change.targets, _AT_A_TIME)

    async def _change_one(
        self, change: CommandChange, tell: Callable[..., None], target: ChangeTarget
    ) -> ChangeOutcome:
        from ..recipes.progress import carry_out

        tell()
        settled: list[object] = []
        for answer in await _send(change, target):
            try:
                settled.append(await carry_out(self.tower, answer, tell, self.timeout))
            except NotFound as error:
                if not change.deletes or error.status is not None:
                    raise
        if change.deletes and self.tower.mutations != "plan":
            if settled:
                raise CloudtowerError(
                    tr("{noun} {name} still exists", noun=singular(change.noun), name=target.name)
                )
            settled = [target.resource]
        elif change.read is not None:
            settled = list(await change.read(target))
        return ChangeOutcome(target, settled)

    async def _report(
        self, change: CommandChange, outcomes: Sequence[ChangeOutcome], output: OutputOptions
    ) -> None:
        """Print the changed resources, and raise an error if a change failed."""
        from .. import models

        for outcome in outcomes:
            if outcome.note:
                print_error(printable(f"{outcome.target.name}: {outcome.note}"))
        settled = {
            getattr(one, "id", place): one
            for place, outcome in enumerate(outcomes)
            for one in outcome.settled
        }
        if change.deletes and output.columns is None:
            output = dataclasses.replace(output, columns="name,id")
        if settled or output.output not in ("table", "wide", "name"):
            await print_resources(settled.values(), getattr(models, change.kind), output)
        raise_failures(change, outcomes)


def _names(change: CommandChange) -> dict[str, str]:
    """Return a dict from ids to names of the targets. It lacks targets that are to be created."""
    return {one.resource.id: one.name for one in change.targets if one.resource is not None}


async def _send(change: CommandChange, target: ChangeTarget) -> Sequence[WithTask[Any]]:
    """Send the mutation for a target. Return the changed resources (at least one) and tasks."""
    assert change.send is not None  # noqa: S101
    answers = await change.send(target)
    if not answers:
        raise CloudtowerError(
            tr(
                "the server changed nothing: {noun} {name} may no longer exist",
                noun=singular(change.noun),
                name=target.name,
            )
        )
    return answers


async def _isolated(
    act: Callable[[ChangeTarget], Awaitable[ChangeOutcome]], target: ChangeTarget
) -> ChangeOutcome:
    """Call `act` for a target and return the outcome.

    If `act` raises a `CloudtowerError`, the outcome contains the error.
    """
    try:
        return await act(target)
    except CloudtowerError as error:
        return ChangeOutcome(target, error=error)


async def one_by_one(
    act: Callable[[ChangeTarget], Awaitable[ChangeOutcome]], targets: Sequence[ChangeTarget]
) -> list[ChangeOutcome]:
    """Call `act` for one target after another and return the outcomes.

    If `act` fails for a target, the next target still follows.
    """
    return [await _isolated(act, target) for target in targets]


def raise_failures(change: CommandChange, outcomes: Sequence[ChangeOutcome]) -> None:
    """Raise an error if the change failed for at least one target.

    If there is only one target, raise the error of that target. Otherwise, print the error of each
    failed target and raise a summary.

    Raises:
        CloudtowerError: At least one target failed.
    """
    failed = [(one.target.name, one.error) for one in outcomes if one.error is not None]
    if not failed:
        return
    [(first, error), *others] = failed
    if len(outcomes) == 1:
        raise error
    for name, each in failed:
        print_error(printable(f"{name}: {error_line(each)}"))
    more = "" if others else f": {one_line(first)}"
    raise CloudtowerError(
        tr(
            "{step} failed for {failed} of {count}{names}",
            step=step_text(change.step),
            failed=len(failed),
            count=counted(len(outcomes), change.noun),
            names=more,
        )
    )


class ChangeProgress:
    """Record of the progress of a change, for the report after an interruption.

    Args:
        noun: Noun for a target in messages: ``"VM"``.
        names: Names of all targets, or an empty list if the names are unknown.
        sent: Tasks that the command has started.
    """

    def __init__(self, noun: str, names: Sequence[str], sent: SentTasks) -> None:
        self._noun = noun
        self._names = names
        self._sent = sent
        self._steps: dict[str, str] = {}

    def take(self, news: RecipeProgress) -> None:
        """Record the current step of a target."""
        self._steps[news.subject] = news.step

    def interrupted(self, names: dict[str, str]) -> list[str]:
        """Return lines that tell which targets were finished and which tasks are still running.

        Args:
            names: Dict from ids to names of the resources.
        """
        from ..recipes.progress import ENDS

        tasks = running_tasks(self._sent, names)
        done = [name for name, step in self._steps.items() if step == "done"]
        lines = [
            tr(
                "interrupted; {count} done{names}",
                count=counted(len(done), self._noun),
                names=_after(done),
            )
        ]
        failed = [name for name, step in self._steps.items() if step == "failed"]
        if failed:
            lines.append(tr("failed: {names}", names=listed(failed)))
        waited_for = {names.get(one) for task in self._sent.running() for one in task.resource_ids}
        for name, step in self._steps.items():
            if step not in ENDS and name not in waited_for:
                lines.append(tr("unfinished: {name}: {step}", name=name, step=step_text(step)))
        waiting = [name for name in self._names if name not in self._steps]
        if waiting:
            lines.append(tr("not started: {names}", names=listed(waiting)))
        return [printable(line) for line in (*lines, *tasks)]


def running_tasks(sent: SentTasks, names: dict[str, str]) -> list[str]:
    """Return lines about running tasks, and about mutations that the server did not answer.

    The last line is a command that waits for the running tasks.

    Args:
        sent: Started tasks and unanswered mutations of the command.
        names: Dict from ids to names of the resources.
    """
    running = sent.running()
    lines: list[str] = []
    for task in running:
        about = ", ".join(names[one] for one in task.resource_ids if one in names)
        lines.append(
            tr("still running: {what}: task {id}", what=about or task.operation, id=task.id)
        )
    lines += [
        tr(
            "{operation} was sent, but the server did not answer; check whether it was executed",
            operation=operation,
        )
        for operation in dict.fromkeys(sent.unanswered)
    ]
    if running:
        ids = " ".join(task.id for task in running)
        lines.append(tr("follow it with: {command}", command=f"cloudtower-async task wait {ids}"))
    return [printable(line) for line in lines]


def _after(names: Sequence[str]) -> str:
    return f": {listed(names)}" if names else ""
