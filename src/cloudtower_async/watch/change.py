"""One change of the change feed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import msgspec

from .. import models
from ..calls.lenient import WRONG, repair_at_once
from ..control_characters import replace_lone_surrogates
from ..types import CODEC_ERRORS

if TYPE_CHECKING:
    from ..models import ResourceChangeEvent


class Change:
    """A change of one resource, or of one relation.

    Attributes:
        revision: When in the order of all changes: a whole number, as text.
        action: ``"INSERT"``, ``"UPDATE"`` or ``"DELETE"``.
        resource_type: ``"Vm"``; for relations the name of their table: ``"_LabelToVm"``.
        resource_id: None for relations.
        created_at: When it happened, as the server writes it.
    """

    def __init__(self, event: ResourceChangeEvent) -> None:
        self.revision: str = event.revision
        self.action: str = event.action or ""
        self.resource_type: str = event.resource_type or ""
        self.resource_id: str | None = event.resource_id
        self.created_at: str | None = event.created_at
        self._old = event.old_value
        self._new = event.new_value

    @property
    def texts(self) -> tuple[str | None, str | None]:
        """The rows before and after the change, as the server sent them."""
        return self._old, self._new

    @cached_property
    def old_values(self) -> dict[str, object] | None:
        """The row before the change, as the server keeps it; None before an insertion."""
        return _row(self._old)

    @cached_property
    def new_values(self) -> dict[str, object] | None:
        """The row after the change, as the server keeps it; None after a deletion."""
        return _row(self._new)

    @property
    def old(self) -> msgspec.Struct | dict[str, object] | None:
        """The resource before the change: `models.Vm` and so on; what is no resource as a dict.

        A row holds only the resource's own fields. Relations are None: `old_values` has the ids of
        some of them.
        """
        return _resource(self.resource_type, self.old_values)

    @property
    def new(self) -> msgspec.Struct | dict[str, object] | None:
        """The resource after the change; as `old`."""
        return _resource(self.resource_type, self.new_values)

    def __repr__(self) -> str:
        about = " ".join(filter(None, (self.action, self.resource_type, self.resource_id)))
        return f"<Change {self.revision} {about}>"


def _row(text: str | None) -> dict[str, object] | None:
    try:
        value = msgspec.json.decode(replace_lone_surrogates((text or "null").encode()))
    except CODEC_ERRORS:
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _resource(
    resource_type: str, values: dict[str, object] | None
) -> msgspec.Struct | dict[str, object] | None:
    model: Any = None if resource_type.startswith("_") else getattr(models, resource_type, None)
    if values is None or not (isinstance(model, type) and issubclass(model, msgspec.Struct)):
        return values
    resource = repair_at_once(values, model)
    return values if resource is WRONG else cast("msgspec.Struct", resource)
