"""Base class of the generated namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .executor import Executor


class Namespace:
    """The operations of one kind of resource: ``tower.vm``, ``tower.cluster``, …

    In addition to its own arguments, every operation has these arguments:

    - ``content_language`` is the language of texts in the answer. None uses the session's language.
    - ``timeout`` is the time-out in seconds for the whole call. None uses the session's time-out.
    - ``external_cloudtower_id`` is the value of the header ``external-cloudtower-id``. None sends
      no such header.

    A failed call raises `CallError`, and invalid arguments raise `InvalidInput`. A mutation whose
    filter is empty raises `EmptyFilter`. To select all resources, pass `EVERYTHING` as the filter.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor


def executor_of(method: object) -> Executor:
    """Return the executor that a method of a namespace uses."""
    namespace: object = getattr(method, "__self__", None)
    return cast("Executor", vars(namespace)["_executor"])
