"""Make sure that labels exist and are attached to resources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from ... import inputs, models
from ...calls import registry
from ...calls.empty_filter import matches_all
from ...client import Cloudtower
from ...errors import EmptyFilter, InvalidInput
from ...validators import check_argument, mapping_fault
from ..progress import created_resource, read_back
from .flow import RECONCILE_TIMEOUT, Ensured, Lookup, check_texts, check_times, ensure, if_planned

UNCHECKED_KINDS = frozenset({"security_policies"})
"""Kinds of resources that cannot be filtered by label."""


async def ensure_label(
    tower: Cloudtower,
    key: str,
    value: str = "",
    *,
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> Ensured[models.Label]:
    """Make sure that a label exists; create it if it is missing.

    Duplicates are possible, because a server may accept a second label with the same key and value.
    Calls in one session run one after the other, but two programs that run at the same time can
    create two labels. If a call times out or its program is killed, the server may list the label
    later. If you call again before the server lists the label, a second label is created. If there
    are two labels, later calls raise `Ambiguous`.

    Args:
        tower: The session to work with.
        key: Key of the label.
        value: Value of the label. An empty string means a label without a value.
        reconcile_timeout: Seconds to look for the label if the response to the create request is
            lost. If the label does not appear in this time, the request is sent once more.
        timeout: Seconds to wait for the task. None means no limit.

    Returns:
        An `Ensured`: `resource` is the label, and `result` is ``"created"`` or ``"unchanged"``.

    Raises:
        Ambiguous: Several labels have this key and value.
        TaskError: The task failed, or the label was not created within `timeout`.
        OutcomeUnknown: The label did not appear within `reconcile_timeout` after the last request.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            label = (await ensure_label(tower, "env", "prod")).resource
    """
    check_texts("ensure_label", key=key)
    if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"ensure_label: value: expected a string, got {type(value).__name__}")
    check_times("ensure_label", timeout, reconcile_timeout)
    return await _ensure_label(tower, key, value, reconcile_timeout, timeout)


async def _ensure_label(
    tower: Cloudtower, key: str, value: str, reconcile_timeout: float, timeout: float | None
) -> Ensured[models.Label]:
    def fits(label: models.Label) -> bool:
        return label.key == key and (label.value or "") == value

    # The value of a label without a value is null or an empty string.
    values = [{"value": value}] if value else [{"value": ""}, {"value": None}]
    where = {"key": key, "OR": values}
    name = f"label {key}={value}" if value else f"label {key}"
    labels = Lookup(tower, tower.label.get_labels, where, fits, name, timeout)

    async def make() -> models.Label:
        item: inputs.LabelCreationParams = {"key": key}
        if value:
            item["value"] = value
        answers = await tower.label.create_label([item])
        return await created_resource(tower, answers, "label.create_label", timeout)

    async with tower.lock(f"ensure {name}"):
        return await ensure(labels.look, make, "created", reconcile_timeout)


async def ensure_labels(
    tower: Cloudtower,
    labels: Mapping[str, str],
    resources: inputs.AddLabelsToResourcesParamsData,
    *,
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> list[Ensured[models.Label]]:
    """Make sure that labels exist and that resources have them; keep all other labels.

    A resource never has the same label twice. For duplicate labels, see `ensure_label`.

    Args:
        tower: The session to work with.
        labels: Labels as a dict of keys and values: ``{"env": "prod"}``. An empty string means a
            label without a value.
        resources: Filters of the resources, by kind: ``{"vms": {"name_starts_with": "web-"}}``. All
            kinds except ``security_policies`` are allowed.
        reconcile_timeout: Seconds to look for the new label, or for the label on the resources, if
            the response to a request is lost. If the change does not appear in this time, the
            request is sent once more.
        timeout: Seconds to wait for each task. None means no limit.

    Returns:
        One result for each label, in the order of `labels`. ``"created"`` means that the label is
        new. ``"changed"`` means that the label existed, but some of the resources did not have it.
        ``"unchanged"`` means that all resources already had the label.

    Raises:
        Ambiguous: Several labels have the same key and value.
        TaskError: A task failed, or a label was not created or attached within `timeout`.
        OutcomeUnknown: A label did not appear, or was not attached, within `reconcile_timeout`
            after the last request.
        EmptyFilter: A filter is empty, or could match every resource.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            await ensure_labels(tower, {"env": "prod", "team": "web"}, {"vms": {"id_in": ids}})
    """
    recipe = "ensure_labels"
    check_argument(recipe, "labels", mapping_fault(labels))
    for key, value in labels.items():
        check_texts(recipe, labels=key)
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(
                f"{recipe}: labels[{key!r}]: expected a string, got {type(value).__name__}"
            )
    check_argument(recipe, "resources", mapping_fault(resources))
    check_times(recipe, timeout, reconcile_timeout)
    filters = _filters(recipe, cast("Mapping[str, Any]", resources))
    return [
        await _attach(tower, key, value, filters, reconcile_timeout, timeout)
        for key, value in labels.items()
    ]


def _filters(recipe: str, resources: Mapping[str, Any]) -> dict[str, Any]:
    """Check `resources`, and return it as a dict: ``{"vms": {"name": "web"}}``."""
    # Imported here, so that importing recipes loads no generated code.
    from ...inputs import AddLabelsToResourcesParamsData

    kinds = AddLabelsToResourcesParamsData.__annotations__.keys() - UNCHECKED_KINDS
    if not resources:
        raise InvalidInput(f"{recipe}: resources: expected at least one kind, such as 'vms'")
    for kind, where in resources.items():
        if kind not in kinds:
            raise InvalidInput(
                f"{recipe}: resources: no kind {kind!r}; expected one of {', '.join(sorted(kinds))}"
            )
        if matches_all(where):
            raise EmptyFilter(
                f"{recipe}: resources[{kind!r}]: this filter may match every resource: it is "
                "empty, or has only empty or None values; say which resources are meant"
            )
    return dict(resources)


async def _attach(
    tower: Cloudtower,
    key: str,
    value: str,
    filters: dict[str, Any],
    reconcile_timeout: float,
    timeout: float | None,
) -> Ensured[models.Label]:
    ensured = await _ensure_label(tower, key, value, reconcile_timeout, timeout)
    label = ensured.resource

    is_new = ensured.result == "created"

    async def look() -> models.Label | None:
        nonlocal is_new
        if is_new:
            is_new = False
            return None
        for kind, where in filters.items():
            lacking = {"AND": [where, {"labels_none": {"id": label.id}}]}
            if await _query(tower, kind)(where=lacking, first=1):
                return None
        return await read_back(tower, label, timeout)

    async def attach() -> models.Label | None:
        data = cast("inputs.AddLabelsToResourcesParamsData", filters)
        answers = await tower.label.add_labels_to_resources(where={"id": label.id}, data=data)
        await tower.wait(answers, timeout=timeout)
        return if_planned(tower, label)

    async with tower.lock(label.id):
        attached = await ensure(look, attach, "changed", reconcile_timeout)
    result = attached.result if ensured.result == "unchanged" else ensured.result
    return Ensured(result=result, resource=attached.resource)


def _query(tower: Cloudtower, kind: str) -> Callable[..., Awaitable[list[Any]]]:
    """Return the query that lists resources of a kind: ``tower.vm.get_vms`` for ``"vms"``."""
    operation = registry.operation_at(f"/get-{kind.replace('_', '-')}")
    namespace, _, method = operation.name.partition(".")
    found: Callable[..., Awaitable[list[Any]]] = getattr(getattr(tower, namespace), method)
    return found
