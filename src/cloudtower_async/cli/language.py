"""Language of the command line: English, or a translation from a gettext catalog.

The catalog is read directly from the ``.po`` file. Translators edit this file, and the package
installs it without compiling it to a ``.mo`` file.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal, TypeAlias

from .errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Language: TypeAlias = Literal["en-US", "zh-CN"]

LANGUAGES: tuple[Language, Language] = ("en-US", "zh-CN")
"""Languages that the command line supports."""

_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_CATALOGS = {"zh-CN": "locale/zh_CN/LC_MESSAGES/cloudtower-async.po"}
_SIMPLIFIED = ("zh", "zh_cn", "zh_sg", "zh_hans", "zh_hans_cn", "zh_hans_sg")
_SAMPLE = {"zh-CN": "虚拟机"}
_LEFT_OUT = "en"


class _Chosen:
    """Language that this process has chosen."""

    catalog: Mapping[str, str] | None = None
    """Translations by English text. None means that the language is English."""

    option: Language | None = None
    """Value of ``--language``, or None if the option is missing."""


def tr(text: str, /, **values: object) -> str:
    """Return a text in the language of the user.

    Args:
        text: English text of whole sentences, with a placeholder ``{name}`` for each value.
        values: Values of the placeholders. If there are no values, braces in the text are not
            replaced.
    """
    if _Chosen.catalog is not None:
        text = _Chosen.catalog.get(text) or text
    return text.format_map(values) if values else text


def ntr(one: str, many: str, number: int, /, **values: object) -> str:
    """Return the singular or the plural form of a text, in the language of the user.

    Args:
        one: English text for the number 1.
        many: English text for any other number, with the placeholder ``{number}``.
        number: The number that the text contains.
        values: Values of the other placeholders.
    """
    # Chinese has one form for any number.
    text = (_Chosen.catalog or {}).get(one) or (one if number == 1 else many)
    return text.format_map({"number": number, **values})


def heading(name: str) -> str:
    """Return a column heading in the language of the user. English headings are in capitals.

    Each part of a name with dots, such as ``host.name``, is translated.
    """
    catalog = _Chosen.catalog or {}
    return ".".join(
        catalog.get(key_of(part, "heading")) or part.upper() for part in name.split(".")
    )


def key_of(text: str, context: str = "") -> str:
    """Return the key under which a gettext catalog stores a text."""
    return f"{context}\x04{text}" if context else text


def mark(text: str) -> str:
    """Return `text` unchanged. The call marks it for the catalog; `tr` translates it later."""
    return text


def is_translated() -> bool:
    """Return whether the language of this process is not English."""
    return _Chosen.catalog is not None


def content_language() -> Language | None:
    """Return the value of ``--language``, or None if the option is missing.

    The option also sets the language of texts from the server.
    """
    return _Chosen.option


def choose_language(arguments: Sequence[str] = ()) -> list[str]:
    """Choose the language from ``--language``, or else from the environment.

    Return the arguments without ``--language``; see `take_option`.
    """
    use_environment()
    return take_option(arguments)


def use_environment() -> None:
    """Choose the language that the environment variables request."""
    _Chosen.option = None
    _load(language_of(os.environ))


def take_option(arguments: Sequence[str]) -> list[str]:
    """If ``--language`` is among the arguments, use the requested language from now on.

    Returns:
        The arguments without ``--language`` and its value.

    Raises:
        UsageError: ``--language`` has no value, or the language is not supported.
    """
    option, others = _split(arguments)
    if option is None:
        return others
    languages: dict[str, Language] = {one.lower(): one for one in LANGUAGES}
    chosen = languages.get(option.lower())
    if chosen is None:
        names = tr("{first} or {second}", first=LANGUAGES[0], second=LANGUAGES[1])
        raise UsageError(
            tr("--language: expected {known}, got {value!r}", known=names, value=option)
        )
    _Chosen.option = chosen
    _load(chosen)
    return others


def language_of(environment: Mapping[str, str]) -> Language:
    """Return the language that the environment variables request, by the rules of gettext.

    The first variable that is set decides: LANGUAGE, LC_ALL, LC_MESSAGES, then LANG. As in GNU
    gettext, LANGUAGE is ignored if the locale is ``C`` or ``POSIX``.
    """
    locale = next((text for name in _VARIABLES[1:] if (text := environment.get(name))), "")
    wanted = environment.get("LANGUAGE") or locale
    if locale.partition(".")[0] in ("C", "POSIX"):
        wanted = locale
    for one in wanted.split(":"):
        name = one.partition(".")[0].partition("@")[0].replace("-", "_").lower()
        if name in _SIMPLIFIED:
            return "zh-CN"
        if name.partition("_")[0] == _LEFT_OUT:
            break
    return "en-US"


def _split(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the value of the last ``--language`` (None if missing), and the other arguments."""
    option: str | None = None
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--":
            others += [argument, *rest]
        elif name != "--language":
            others.append(argument)
        else:
            option = value if equals else next(rest, "")
    return option, others


def _load(language: Language) -> None:
    _Chosen.catalog = None
    if language not in _CATALOGS or not _can_show(_SAMPLE[language]):
        return
    import pkgutil

    try:
        data = pkgutil.get_data(__package__ or "", _CATALOGS[language])
    except OSError:  # an application was frozen without the catalog
        data = None
    if data is not None:
        _Chosen.catalog = read_catalog(data.decode())


def _can_show(text: str) -> bool:
    """Return whether standard output and standard error can both encode the text."""
    for stream in (sys.stdout, sys.stderr):
        try:
            text.encode(getattr(stream, "encoding", None) or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return False
    return True


def read_catalog(text: str) -> dict[str, str]:
    """Read a ``.po`` file, and return a dict from keys to translations.

    Each string in the file must be on one line.
    """
    import json

    found: dict[str, str] = {}
    for entry in text.split("\n\n"):
        parts: dict[str, str] = {}
        for line in entry.splitlines():
            keyword, _, quoted = line.partition(" ")
            if keyword.startswith("msg"):
                parts[keyword] = json.loads(quoted)
        if parts.get("msgid"):
            translation = parts.get("msgstr") or parts.get("msgstr[0]", "")
            found[key_of(parts["msgid"], parts.get("msgctxt", ""))] = translation
    return found
