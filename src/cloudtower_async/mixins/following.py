"""What a session offers for following what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ..queries.paged_query import Resource
from ..validators import reject_positional

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..calls.executor import Executor
    from ..watch.changes import Changes
    from ..watch.view import Watch

P = ParamSpec("P")


R = TypeVar("R", bound=Resource)


class Following:
    """Following changes, as methods of a session."""

    _caller: Executor

    def changes(
        self,
        types: Sequence[str] | None = None,
        *,
        since: str | None = None,
        interval: float = 5.0,
    ) -> Changes:
        """Iterate over the changes on the server, each once and in their order, without end.

        They are read from the server's change feed, which is there since CloudTower 4.6 and needs
        the option ``change_feed`` of the session. While the server cannot be reached it is tried
        again and again, with a warning in the log; only the very first request fails at once.

        Args:
            types: Of which resources: ``["Vm", "_LabelToVm"]``, the latter a table of relations.
                None: of all.
            since: A revision; changes after it are told: the ``revision`` of a change, or of the
                iterator. None: what changes from the first step of the iteration on, or from
                ``anchor()`` on.
            interval: Seconds between requests while there is little to tell. A backlog is read
                without pausing.

        Returns:
            An iterator; it may be cancelled and used again.

        Raises:
            Resync: The server no longer has all changes since then, or counts its revisions from
                an earlier one again. It ends the iteration, so that
                nobody overlooks it; iterate again to go on behind the gap.
            NoChangeFeed: The server has none, or the session no credential for it.
            InvalidInput: An argument is not one of these.
            CallError: See its subclasses.
            SessionClosed: The session was closed meanwhile.

        Example:
            ::

                async for change in tower.changes(["Vm"], since=stored):
                    print(change.action, change.resource_id, change.old, change.new)
        """
        from ..watch.changes import Changes

        return Changes(self._caller, types, since, interval)

    def watch(
        self,
        method: Callable[P, Awaitable[list[R]]],
        interval: float = 5.0,
        grace: float = 60.0,
        *args: P.args,
        **query: P.kwargs,
    ) -> Watch[R]:
        """Keep a view of the resources that match a query, and iterate over what happens to them.

        Entering the context reads them; ``snapshot`` has them by their ids. Each event then is one
        step of the view. With the change feed only what was touched is read again; without it, or
        without the option ``change_feed``, everything, every so often. While the server cannot be
        reached it is tried again and again; only entering fails at once.

        Args:
            method: A query: ``tower.vm.get_vms``.
            interval: Seconds between requests while nothing changes.
            grace: Seconds for which a resource that the change feed tells of, but that the server
                does not list, is looked for again. Everything is read once more this long after
                entering. 0 turns both off.
            args: None: pass the arguments of the query by keyword.
            query: As for the method: ``where``, and options such as ``content_language``.

        Returns:
            An asynchronous context manager and iterator; a step of it may be cancelled and made
            again.

        Raises:
            InvalidInput: The method is no query, or the arguments cannot be used.
            TypeError: Arguments of the query were passed by position.
            CallError: See its subclasses.
            SessionClosed: The session was closed meanwhile.

        Example:
            ::

                async with tower.watch(tower.vm.get_vms, where={"status": "RUNNING"}) as running:
                    print(len(running.snapshot))
                    async for event in running:
                        print(event.what, event.id, event.old, event.new)
        """
        from ..watch.view import Watch

        reject_positional("watch", "tower.vm.get_vms, where={…}", args, interval, grace)
        return Watch(self._caller, method, query, interval, grace)
