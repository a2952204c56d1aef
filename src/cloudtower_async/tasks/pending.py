"""Pending work of a mutation, which can be stored as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from ..api.catalogue import READERS
from ..errors import InvalidInput
from ..types import CODEC_ERRORS, WithTask

T_co = TypeVar("T_co", covariant=True)


class PendingResource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resource that a mutation changes.

    Attributes:
        type: Name of the resource's struct, such as ``"Vm"``. None if the mutation returned null in
            place of the resource.
        id: Id of the resource. The value is None if the server left out the id, or if no query
            reads resources of this type.
    """

    type: str | None
    id: str | None


class PendingAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a mutation.

    Attributes:
        task_id: Id of the task. The value is None if the mutation needed no task and the work is
            done.
        resources: The resources in the answer.
        is_list: True if the answer holds a list of resources, False if it holds a single resource.
    """

    task_id: str | None
    resources: tuple[PendingResource, ...]
    is_list: bool


class Pending(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pending work of a mutation: store it as JSON, and wait for it in another process.

    `Cloudtower.pending` returns a `Pending`. `Cloudtower.settle`, `wait`, `as_completed` and
    `progress` accept a `Pending`. It contains no secrets, only ids, names of types and the server's
    address.

    Attributes:
        endpoint: Root address of the server. A session that is connected to another server refuses
            the pending work.
        answers: The answers of the mutation, in the order in which the server sent them.
        single: True if the mutation returned a single answer, False if it returned a list of
            answers.
        version: Version number of the JSON format.
    """

    endpoint: str
    answers: tuple[PendingAnswer, ...]
    single: bool
    version: Literal[1] = 1

    @property
    def task_ids(self) -> tuple[str, ...]:
        """Distinct ids of the tasks; empty if the mutation needed no task."""
        ids = (answer.task_id for answer in self.answers)
        return tuple(dict.fromkeys(one for one in ids if one is not None))

    def to_json(self) -> str:
        """Return the pending work as one line of JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Pending[Any]:
        """Read pending work that `to_json` has written.

        Raises:
            InvalidInput: The text is not the JSON of pending work, or an incompatible version of
                this package wrote the text.
        """
        try:
            pending = msgspec.json.decode(text, type=Pending[Any])
        except CODEC_ERRORS as exc:
            raise _invalid(str(exc)) from exc
        if pending.single and len(pending.answers) != 1:
            raise _invalid(f"single answer expected, got {len(pending.answers)} - at `$.answers`")
        for place, answer in enumerate(pending.answers):
            if answer.task_id == "":
                raise _invalid(f"the id is empty - at `$.answers[{place}].task_id`")
            if not answer.is_list and len(answer.resources) != 1:
                raise _invalid(
                    f"single resource expected, got {len(answer.resources)} - at "
                    f"`$.answers[{place}].resources`"
                )
        return pending


def pending_of(answers: Sequence[WithTask[object]], endpoint: str, *, single: bool) -> Pending[Any]:
    """Make a `Pending` from the answers of a mutation.

    Args:
        answers: Answers of the mutation.
        endpoint: Root address of the server.
        single: True if the mutation returned a single answer, False if it returned a list of
            answers.
    """
    return Pending(
        endpoint=endpoint,
        answers=tuple(
            PendingAnswer(
                task_id=answer.task_id,
                resources=tuple(map(_resource, resources_in(answer))),
                is_list=isinstance(answer.data, list),
            )
            for answer in answers
        ),
        single=single,
    )


def resources_in(answer: WithTask[object]) -> list[object]:
    """Return the resources in an answer, which holds a single resource or a list of resources."""
    data = answer.data
    return cast("list[object]", data) if isinstance(data, list) else [data]


def check_endpoint(asker: str, pending: Pending[object], endpoints: Sequence[str]) -> None:
    """Raise an error if pending work belongs to another server.

    Args:
        asker: Name of the method that waits, for the error message.
        pending: The pending work.
        endpoints: Root addresses of the session's server.

    Raises:
        InvalidInput: The pending work belongs to another server.
    """
    if pending.endpoint not in endpoints:
        raise InvalidInput(
            f"{asker}: endpoint: the tasks are at {pending.endpoint!r}, this session is for "
            f"{' and '.join(endpoints)}: wait with a session for the former"
        )


def _resource(resource: object) -> PendingResource:
    if resource is None:
        return PendingResource(type=None, id=None)
    name = type(resource).__name__
    identifier = cast("Any", resource).id if name in READERS else None
    return PendingResource(type=name, id=identifier or None)


def _invalid(why: str) -> InvalidInput:
    return InvalidInput(
        f"Pending.from_json: {why}: pass the text that to_json() of the same version returned"
    )
