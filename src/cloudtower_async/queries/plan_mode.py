"""Plan mode: record what mutations would change, and answer mutations without sending them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from uuid import uuid4

import msgspec

from ..calls import registry
from ..calls.arg_types import arguments_of
from ..calls.modes import changes
from ..calls.operation import Carries
from ..calls.plan_effects import PlanAnswer, PlanEffect, StructType, Target, effect_of, filters_in
from ..calls.samples import make
from ..errors import InvalidInput, PlanEnded
from ..plans import Plan, PlannedAnswer, PlannedMutation, PlannedResource
from ..secret_names import STARS, is_secret
from ..transport.http import is_confidential
from ..types import Everything, WithTask
from .batches import IDS_AT_ONCE, batches, read_by_ids
from .pages import PagedQuery, iter_pages
from .planned_filters import matches, texts_in, without_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ..calls.executor import Executor
    from ..calls.operation import Operation
    from ..options import Mutations

Row: TypeAlias = Any
"""A resource: a struct of any type that a query lists."""

Answer: TypeAlias = Any
"""Answer of an operation."""

_MOST = 10_000
"""Maximum number of resources to read for one filter."""

_AUTO = "AUTO_SCHEDULE"
"""Host id that lets the server choose the host."""


class _Placeholder(msgspec.Struct, frozen=True):
    """Placeholder for a resource that a planned mutation would create.

    Args:
        resource: Struct that the planned mutation returns. Unknown fields have made-up values.
        fields: Known field values by API name, used to match filters.
    """

    resource: Any
    fields: dict[str, object]


class PlanMode:
    """Plan mode of a session: no mutation is sent.

    Attributes:
        plan: The mutations that were planned so far.
    """

    name: Mutations = "plan"

    def __init__(self) -> None:
        self.plan: Plan = Plan()
        self._placeholders: dict[str, _Placeholder] = {}

    def stops(self, operation: Operation[Any], arguments: object) -> bool:
        if changes(operation):
            return True
        if self._placeholders and (named := self._named(arguments)):
            raise self._ended(
                operation.name,
                f"it asks about {self._describe(named[0])}, which a planned mutation creates",
            )
        return False

    def check_wait(self, operation: str, where: object, seen: Collection[str]) -> None:
        """Raise an error if a wait may never end, because the plan is not carried out.

        Args:
            operation: Query that the wait repeats.
            where: Filter of the repeated query.
            seen: Ids of the resources that the query found.

        Raises:
            PlanEnded: The plan creates or changes a resource that the query found or that `where`
                names. Or the plan changes any resource, and the query found no resource.
        """
        touched = self.plan.resource_ids
        ids = {*seen, *texts_in(where)}
        if touched and (not seen or not touched.isdisjoint(ids)):
            raise self._ended(operation, "the call waits for an effect of a planned mutation")

    async def answer(
        self,
        executor: Executor,
        operation: Operation[Any],
        arguments: object,
        options: Mapping[str, Any],
    ) -> Answer:
        """Record a mutation and return its predicted answer.

        Raises:
            PlanEnded: The answer cannot be predicted.
            CallError: The resources that the mutation's filters match cannot be read.
        """
        effect = effect_of(operation)
        body = _builtins(operation, arguments)
        found, complete, resolved = await self._select(executor, operation, effect, body, options)
        rows = _unique(row for _, part in found for row in part)
        made = self._create(effect, body) if effect.answer is PlanAnswer.PLACEHOLDERS else []
        owners = await self._owners(executor, effect, found, options)
        mutation = PlannedMutation(
            operation=operation.name,
            body=_shown(executor, operation, arguments, body),
            resources=tuple(map(self._planned, _unique([*rows, *owners]))),
            resolved=resolved,
            creates=tuple(map(self._planned, made)),
            complete=complete,
        )
        self.plan.add(mutation)
        if effect.answer is PlanAnswer.NOTHING:
            raise self._ended(operation.name, "only the server knows the answer")
        if not complete:
            raise self._ended(operation.name, f"it matches more than {_MOST:,} resources")
        targets = _unique(row for target, part in found if target for row in part)
        return self._wrapped(operation, effect, made or owners or targets)

    async def _select(
        self,
        executor: Executor,
        operation: Operation[Any],
        effect: PlanEffect,
        body: object,
        options: Mapping[str, Any],
    ) -> tuple[list[tuple[bool, list[Row]]], bool, bool]:
        """Read the resources that the filters in a body match.

        Returns:
            The tuple ``(found, complete, resolved)``:

            - ``found`` is a list with one pair for each filter. The first value is True if the
              mutation returns the matching resources or their owners. The second value is the
              list of matching resources.
            - ``complete`` is True if ``found`` has all matching resources.
            - ``resolved`` is False if the body has no filter, or if no query can read the resources
              of a filter.
        """
        shape = arguments_of(operation)
        filters = [
            (kind, where, _is_target(effect.target, body, where))
            for kind, where in filters_in(shape, body)
        ]
        if effect.target is not None and effect.target.id_key is not None:
            kind, ids = effect.target.kind, list(_ids_in(effect.target, body))
            filters.append((kind, {"id_in": ids}, True))
        resolved = bool(filters) and all(registry.reader_name(kind) for kind, _, _ in filters)
        found: list[tuple[bool, list[Row]]] = []
        for kind, where, is_target in filters:
            rows = await self._matching(executor, operation, kind, where, options)
            found.append((is_target, rows[:_MOST]))
            if len(rows) > _MOST:
                return found, False, resolved
        return found, True, resolved

    async def _matching(
        self,
        executor: Executor,
        operation: Operation[Any],
        kind: str,
        where: object,
        options: Mapping[str, Any],
    ) -> list[Row]:
        """Return the resources that a filter matches; those that the plan creates come first."""
        name = registry.reader_name(kind)
        if name is None:
            return []
        rows = [
            one.resource
            for one in self._placeholders.values()
            if type(one.resource).__name__ == kind and matches(where, one.fields)
        ]
        rest = without_ids(where, self._placeholders.keys())
        if rest is None:
            return rows
        if named := self._named(rest):
            raise self._ended(
                operation.name,
                f"a filter asks about {self._describe(named[0])}, which a planned mutation creates",
            )
        method = registry.bound_method(registry.operation(name), executor)
        query: PagedQuery[Row] = PagedQuery(operation.name, method, {"where": rest, **options})
        async with aclosing(iter_pages(query, IDS_AT_ONCE)) as pages:
            async for row in pages:
                rows.append(row)
                if len(rows) > _MOST:
                    break
        return rows

    async def _owners(
        self,
        executor: Executor,
        effect: PlanEffect,
        found: list[tuple[bool, list[Row]]],
        options: Mapping[str, Any],
    ) -> list[Row]:
        """Return the owners of the resources in `found`, such as the VMs of disks."""
        if effect.owner is None:
            return []
        nested = [getattr(row, effect.owner) for target, part in found if target for row in part]
        ids = list(dict.fromkeys(one.id for one in nested if one is not None))
        reader = registry.reader(effect.struct.__name__)
        method = registry.bound_method(reader, executor)

        async def ask(**query: object) -> list[Row]:
            return cast("list[Row]", await method(**query, **options))

        owners: dict[str, Any] = {}
        for part in batches(ids):
            owners |= await read_by_ids(reader.name, ask, part)
        return [owners[one] for one in ids if one in owners]

    def _create(self, effect: PlanEffect, body: object) -> list[Row]:
        given = body if effect.items is None else _fields(body).get(effect.items)
        items = cast("list[object]", given) if isinstance(given, list) else [given]
        made: list[Row] = []
        for item in items:
            known = _known_fields(_fields(item))
            known["id"] = f"planned-{uuid4()}"
            resource = _placeholder(effect.struct, known)
            self._placeholders[resource.id] = _Placeholder(resource, known)
            made.append(resource)
        return made

    def _planned(self, resource: Row) -> PlannedResource:
        name: object = getattr(resource, "name", None)
        return PlannedResource(
            type=type(resource).__name__,
            id=resource.id,
            name=name if isinstance(name, str) else None,
            exists=resource.id not in self._placeholders,
        )

    def _wrapped(self, operation: Operation[Any], effect: PlanEffect, rows: list[Row]) -> Answer:
        """Wrap resources in the predicted answer of an operation.

        Raises:
            PlanEnded: The answer must be a single resource, but the filters match several resources
                or none.
        """
        struct = effect.struct
        data = [
            row if type(row) is struct else msgspec.convert(row, struct, from_attributes=True)
            for row in rows
        ]

        def answer(one: object) -> PlannedAnswer[Row]:
            return PlannedAnswer(data=one, operation=operation.name)

        if effect.wraps == (list, WithTask):
            return [answer(one) for one in data]
        if effect.wraps == (list, WithTask, list):
            return [answer(data)] if data else []
        if effect.wraps == (WithTask, list):
            return answer(data)
        if effect.wraps == (list,):
            return data
        if len(data) != 1:
            raise self._ended(
                operation.name, f"it is about one resource, and its filter matches {len(data)}"
            )
        return answer(data[0]) if effect.wraps else data[0]

    def _named(self, arguments: object) -> list[str]:
        """Return the placeholder ids that occur in arguments."""
        return [one for one in texts_in(arguments) if one in self._placeholders]

    def _describe(self, identifier: str) -> str:
        return str(self._planned(self._placeholders[identifier].resource))

    def _ended(self, operation: str, reason: str) -> PlanEnded:
        return PlanEnded(operation, reason, self.plan.copy())


def _is_target(target: Target | None, body: object, where: object) -> bool:
    """Return whether `where` is the filter in the body that `target` describes."""
    if target is None or target.key is None:
        return False
    return any(part.get(target.key) is where for part in _parts(body))


def _ids_in(target: Target, body: object) -> Iterator[str]:
    """Yield the ids in a body that select resources. `target` has the keys of the ids."""
    for part in _parts(body):
        fields = part if target.key is None else _fields(part.get(target.key))
        identifier = fields.get(cast(str, target.id_key))
        if isinstance(identifier, str):
            yield identifier


def _parts(body: object) -> list[dict[str, object]]:
    """Return the objects in a body: the items of a list, or only the body itself.

    An item that is not an object becomes an empty object.
    """
    return list(map(_fields, cast("list[object]", body) if isinstance(body, list) else [body]))


def _fields(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _unique(rows: Iterable[Row]) -> list[Row]:
    distinct: dict[tuple[object, str], Row] = {(type(row), row.id): row for row in rows}
    return list(distinct.values())


def _builtins(operation: Operation[Any], arguments: object) -> object:
    """Return arguments as plain JSON values, with a short text in place of each file."""
    if operation.carries is Carries.JSON:
        return None if arguments is None else msgspec.json.decode(msgspec.json.encode(arguments))
    if operation.carries is not Carries.FORM or not isinstance(arguments, Mapping):
        return None
    fields = cast("Mapping[str, object]", arguments)
    return {name: _form_field(value) for name, value in fields.items()}


def _form_field(value: object) -> object:
    if isinstance(value, Everything):
        return {}
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    return value if type(value) in (str, int, float, dict) else "<file>"


def _shown(
    executor: Executor, operation: Operation[Any], arguments: object, body: object
) -> object:
    """Return the arguments for display in a plan, with secrets redacted."""
    mask = executor.transport.mask
    if is_confidential(operation.name, operation.root + operation.path):
        return STARS
    if operation.carries is Carries.QUERY_STRING:
        return mask.within({"query": dict(cast("Mapping[str, object]", arguments))})
    if operation.carries is not Carries.AS_GIVEN:
        return mask.within(body)
    given = cast("Mapping[str, Any]", arguments)
    shown: dict[str, object] = {}
    if query := given.get("query"):
        shown["query"] = {name: value for name, value in query.items() if value is not None}
    if (content := given.get("body")) is not None:
        shown["body"] = mask.body(content)
    if fields := given.get("fields"):
        shown["fields"] = {name: _form_field(value) for name, value in fields.items()}
    return mask.within(shown) if shown else None


def _known_fields(given: Mapping[str, object]) -> dict[str, object]:
    """Return those arguments of a creation that become fields of the new resource.

    An amount with a unit is left out, because only the server can convert the amount.
    """
    return {
        key: value
        for key, value in given.items()
        if value not in (None, _AUTO)
        and given.get(f"{key}_unit") is None
        and not key.endswith("_unit")
        and not is_secret(key)
    }


def _placeholder(struct: StructType, known: Mapping[str, object]) -> Row:
    """Make a resource from known fields. Invalid and unknown fields get placeholder values."""
    fitting: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        related = known.get(f"{field.encode_name}_id")
        value = known.get(field.encode_name, None if related is None else {"id": related})
        if value is not None:
            try:
                make(struct, **{field.name: value})
            except InvalidInput:
                continue  # the arguments use another form for this field
            fitting[field.name] = value
    return make(struct, **fitting)
