"""Full-screen view on a terminal: refreshed until the user quits, and scrolled with keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.to_thread
from rich.console import Group
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from ..errors import CallError
from .keys import keys_at_once, pressed_keys
from .language import mark, tr
from .messages import error_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from .keys import Key

_KEYS_SHOWN = mark("arrows, PgUp, PgDn: scroll   q: quit")


@dataclass(frozen=True)
class ScreenPage:
    """Content of a full-screen view.

    Attributes:
        head: Lines that are always at the top.
        body: Content below the head. The user can scroll the content if the screen is too small.
    """

    body: RenderableType
    head: Sequence[RenderableType] = field(default=())


Draw: TypeAlias = "Callable[[int | None], ScreenPage]"
"""Function that draws a page for a number of lines. None means that the height is not limited."""


class LiveScreen:
    """Full-screen view that shows one page after another.

    Args:
        console: The terminal.
        interval: Seconds between two refreshes.
    """

    def __init__(self, console: Console, interval: float) -> None:
        self._console = console
        self._interval = interval
        self._page = ScreenPage("")
        self._viewport = _Viewport()

    async def show(self, draw: Draw, refresh: Callable[[], Awaitable[Draw]]) -> None:
        """Show pages until the user quits. Afterwards the last page stays on the terminal.

        If a refresh fails, the view shows the error, and the next refresh follows after the
        interval.

        Args:
            draw: Function that draws the first page.
            refresh: Async function that reads new data and returns the function that draws the next
                page.
        """
        last = draw
        with keys_at_once() as keys:
            live = Live(console=self._console, screen=True, auto_refresh=False)
            with live:
                try:
                    async with anyio.create_task_group() as group:
                        if keys:
                            group.start_soon(self._scroll, live, group.cancel_scope)
                        error: CallError | None = None
                        while True:
                            await self._update(live, last, error, keys=keys)
                            await anyio.sleep(self._interval)
                            try:
                                last, error = await refresh(), None
                            except CallError as exc:
                                # Show the error and continue, so that the view survives a server
                                # restart.
                                error = exc
                finally:
                    live.stop()
                    # The terminal shows its previous content again: print the last page below it.
                    page = last(None)
                    self._console.print(*page.head, page.body)

    async def _update(self, live: Live, draw: Draw, error: CallError | None, *, keys: bool) -> None:
        notes = (
            [Text(tr("Refresh failed: {error}", error=error_line(error)), style="bold red")]
            if error
            else []
        )
        page = draw(self._console.height - len(notes) - 1)
        self._viewport.page = ScreenPage(page.body, [*notes, *page.head])
        self._viewport.keys = keys
        await self._draw(live)

    async def _draw(self, live: Live) -> None:
        # Draw in a thread, because a slow terminal would block the event loop.
        await anyio.to_thread.run_sync(
            lambda: live.update(self._viewport, refresh=True), abandon_on_cancel=True
        )

    async def _scroll(self, live: Live, scope: anyio.CancelScope) -> None:
        async for key in pressed_keys():
            if key == "quit":
                scope.cancel()
                return
            self._viewport.scroll(key)
            await self._draw(live)


class _Viewport:
    """The part of a page that is on the screen."""

    def __init__(self) -> None:
        self.page = ScreenPage("")
        self.keys = False
        self._top = 0  # index of the first visible line of the body
        self._room = 1  # number of visible lines of the body
        self._height = 0  # number of all lines of the body

    def scroll(self, key: Key) -> None:
        """Scroll in response to a key."""
        self._top = {
            "up": self._top - 1,
            "down": self._top + 1,
            "page up": self._top - self._room,
            "page down": self._top + self._room,
            "home": 0,
            "end": self._height,
            "quit": self._top,
        }[key]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        free = options.update(height=None)
        head = console.render_lines(Group(*self.page.head), free) if self.page.head else []
        body = console.render_lines(self.page.body, free)
        height = console.height
        self._height = len(body)
        self._room = max(1, height - len(head) - 1)  # the last line of the screen is the footer
        self._top = max(0, min(self._top, self._height - self._room))
        shown = body[self._top : self._top + self._room]
        for line in [*head, *shown]:
            yield from line
            yield Segment.line()
        blank = height - 1 - len(head) - len(shown)
        yield from [Segment.line()] * max(0, blank)
        yield Text(self._footer(), style="dim", no_wrap=True, overflow="crop", end="")

    def _footer(self) -> str:
        below = self._height - self._top - self._room
        parts = [tr("{number} more above", number=self._top)] if self._top else []
        parts += [tr("{number} more below", number=below)] if below > 0 else []
        parts += [tr(_KEYS_SHOWN)] if self.keys else []
        return "   ".join(parts)
