"""Base of the generated namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .executor import Executor


class Namespace:
    """The operations of one kind of resource: ``tower.vm``, ``tower.cluster``, …

    In addition to its own arguments, every operation takes:

    - ``content_language``: language of texts in the answer; None: the session's.
    - ``timeout``: time-out in seconds for the whole call; None: the session's.
    - ``external_cloudtower_id``: sent as the header of that name, unless it is None.

    A failed call raises `CallError`, and invalid arguments raise `InvalidInput`.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor


def executor_of(method: object) -> Executor:
    """Return the executor that a method of a namespace calls with."""
    namespace: object = getattr(method, "__self__", None)
    return cast("Executor", vars(namespace)["_executor"])
