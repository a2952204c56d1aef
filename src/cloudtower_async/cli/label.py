"""The commands ``label …``: list labels, and add labels to resources or remove labels from them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cyclopts import App

from ..errors import CloudtowerError
from .changes import (
    ChangeOptions,
    ChangeOutcome,
    ChangeTarget,
    CommandChange,
    question,
    run_change,
)
from .connect import ConnectOptions
from .errors import UsageError
from .language import tr
from .output_options import OutputOptions
from .reading_commands import add_list
from .resolve_names import Where, select

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .. import models
    from ..client import Cloudtower
    from ..recipes import OnProgress
    from ..types import WithTask
    from .changes import Ask

Kind: TypeAlias = Literal["vm", "host", "cluster"]

_QUERIES: dict[Kind, tuple[str, str, str]] = {
    "vm": ("vm.get_vms", "VM", "vms"),
    "host": ("host.get_hosts", "host", "hosts"),
    "cluster": ("cluster.get_clusters", "cluster", "clusters"),
}
"""Query, noun in messages, and key in label mutations, for each kind of resource."""

_ADD: dict[Kind, Callable[[str], Ask]] = {
    "vm": lambda text: question(
        "Add label {label} to {number} VM on {place}?",
        "Add label {label} to {number} VMs on {place}?",
        label=text,
    ),
    "host": lambda text: question(
        "Add label {label} to {number} host on {place}?",
        "Add label {label} to {number} hosts on {place}?",
        label=text,
    ),
    "cluster": lambda text: question(
        "Add label {label} to {number} cluster on {place}?",
        "Add label {label} to {number} clusters on {place}?",
        label=text,
    ),
}
_REMOVE: dict[Kind, Callable[[str], Ask]] = {
    "vm": lambda text: question(
        "Remove label {label} from {number} VM on {place}?",
        "Remove label {label} from {number} VMs on {place}?",
        label=text,
    ),
    "host": lambda text: question(
        "Remove label {label} from {number} host on {place}?",
        "Remove label {label} from {number} hosts on {place}?",
        label=text,
    ),
    "cluster": lambda text: question(
        "Remove label {label} from {number} cluster on {place}?",
        "Remove label {label} from {number} clusters on {place}?",
        label=text,
    ),
}
"""Questions of ``label remove``, by the kind of the resources; `_ADD` has those of ``label
add``."""

label: App = App(name="label", help="Label resources, and remove labels from them.")
add_list(label, "labels", "labels")


@label.command
def add(
    text: str,
    /,
    *names: str,
    kind: Kind = "vm",
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Add a label to resources. If the label does not exist, the command creates it.

    Args:
        text: The label: tier=web, or only the key.
        names: Names or ids of the resources.
        kind: Kind of the resources.
        where: Filter that selects the resources, as in `vm list --where`. Use it instead of names
            or ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    key, value = _parse(text)
    query, noun, field = _QUERIES[kind]

    async def plan(tower: Cloudtower) -> CommandChange:
        found = await select(tower, query, names, where, noun=noun)
        known = [one.id for one in await _labels(tower, key, value)]

        async def send(data: Any) -> list[WithTask[models.Label]]:  # noqa: ANN401
            if not known:
                created = await tower.label.create_label([{"key": key, "value": value}])
                known.extend(one.id for one in await tower.settle(created))
            return await tower.label.add_labels_to_resources(where={"id": known[0]}, data=data)

        return CommandChange(
            ask=_ADD[kind](text),
            noun=noun,
            kind="Label",
            step="label",
            targets=_targets(found),
            run=partial(_run, tower, field, send),
            sends="label.add_labels_to_resources",
        )

    run_change("label add", plan, change, output, connection)


@label.command
def remove(
    text: str,
    /,
    *names: str,
    kind: Kind = "vm",
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Remove a label from resources. The label itself is not deleted.

    Args:
        text: The label: tier=web, or only the key.
        names: Names or ids of the resources.
        kind: Kind of the resources.
        where: Filter that selects the resources, as in `vm list --where`. Use it instead of names
            or ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    key, value = _parse(text)
    query, noun, field = _QUERIES[kind]

    async def plan(tower: Cloudtower) -> CommandChange:
        found = await select(tower, query, names, where, noun=noun)
        known = await _labels(tower, key, value)
        if not known:
            raise UsageError(tr("there is no label {text!r}", text=text))

        async def send(data: Any) -> list[WithTask[models.Label]]:  # noqa: ANN401
            return await tower.label.remove_labels_from_resources(
                where={"id": known[0].id}, data=data
            )

        return CommandChange(
            ask=_REMOVE[kind](text),
            noun=noun,
            kind="Label",
            step="remove label",
            targets=_targets(found),
            run=partial(_run, tower, field, send),
            sends="label.remove_labels_from_resources",
        )

    run_change("label remove", plan, change, output, connection)


def _parse(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise UsageError(tr("{text!r} is not a label: write key=value, or a key", text=text))
    return key, value


async def _labels(tower: Cloudtower, key: str, value: str) -> list[models.Label]:
    found = await tower.fetch_all(tower.label.get_labels, where={"key": key})
    return [one for one in found if (one.value or "") == value and one.id]


def _targets(found: Sequence[Any]) -> list[ChangeTarget]:
    return [ChangeTarget(one.name or one.id, resource=one) for one in found]


async def _run(
    tower: Cloudtower,
    field: str,
    send: Callable[[Any], Awaitable[list[WithTask[models.Label]]]],
    targets: Sequence[ChangeTarget],
    on_progress: OnProgress,
    timeout: float | None,
) -> list[ChangeOutcome]:
    """Call `send` once for all targets, to add or remove a label. Return the outcomes."""
    from ..recipes.progress import Telling

    telling = Telling(on_progress, len(targets))
    for one in targets:
        telling.step(one.name, "label")
    error: CloudtowerError | None = None
    settled: Sequence[object] = ()
    try:
        ids = [one.resource.id for one in targets]
        settled = await tower.settle(await send({field: {"id_in": ids}}), timeout=timeout)
    except CloudtowerError as exc:
        error = exc
    for one in targets:
        telling.end(one.name, error)
    return [ChangeOutcome(one, settled, error) for one in targets]
