"""Translated help pages. English help pages are printed by the argument parser itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts.help import DefaultFormatter, InlineText
from rich.markdown import Markdown
from rich.text import Text

from .language import mark, tr

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

PARSER_TEXTS = (
    mark("Arguments"),
    mark("Commands"),
    mark("Parameters"),
    mark("Display this message and exit."),
    mark("Display application version."),
)
"""Texts of the argument parser."""


def translated(markup: str) -> str:
    """Return a text of a help page in the language of the user, translated by paragraph."""
    return "\n\n".join(tr(" ".join(part.split())) for part in markup.split("\n\n") if part.strip())


class TranslatedHelp(DefaultFormatter):
    """Formatter that translates the texts of a help page."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a panel of a help page, such as the list of options, with translated texts."""
        shown = panel.copy(
            title=tr(panel.title) if isinstance(panel.title, str) else panel.title,
            description=_description(panel.description),
            entries=[_entry(entry) for entry in panel.entries],
        )
        super().__call__(console, options, shown)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:  # noqa: ANN401
        """Print the usage line."""
        if usage:
            console.print(Text(tr("Usage: {usage}", usage=usage), style="bold"))

    def render_description(
        self,
        console: Console,
        options: ConsoleOptions,
        description: Any,  # noqa: ANN401
    ) -> None:
        """Print the description of a command."""
        super().render_description(console, options, _description(description))


def _entry(entry: HelpEntry) -> HelpEntry:
    """Return an entry of a help panel with translated description, choices and default value."""
    description = _description(entry.description)
    if not isinstance(description, InlineText):
        return entry
    if entry.choices:
        choices = ", ".join(entry.choices)
        description.append(Text(tr("[choices: {choices}]", choices=choices), "cyclopts.choices"))
    if entry.default is not None:
        description.append(Text(tr("[default: {value}]", value=entry.default), "cyclopts.default"))
    if entry.required:
        description.append(Text(tr("[required]"), "cyclopts.required"))
    return entry.copy(description=description, choices=None, default=None, required=False)


def _description(text: Any) -> Any:  # noqa: ANN401 - the form in which the parser passes a text
    if isinstance(text, InlineText) and isinstance(text.primary_renderable, Markdown):
        markup = translated(text.primary_renderable.markup)
        return InlineText.from_format(markup, "markdown", force_empty_end=text.force_empty_end)
    return text
