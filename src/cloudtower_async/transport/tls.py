"""TLS contexts that are reloaded when their files change.

Creating a context takes milliseconds of time and megabytes of memory. Therefore sessions with the
same files share a context.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakValueDictionary

import anyio.to_thread

from ..errors import InvalidSettings

if TYPE_CHECKING:
    from ..options import ClientCert, Settings, StrPath

_log = logging.getLogger("cloudtower_async")

_CHECK_SECONDS = 1.0
"""Seconds between checks for changed files."""

_Stamp: TypeAlias = "tuple[tuple[int, ...] | None, ...]"
_PATH_START = re.compile(r"[/.~\\]|[A-Za-z]:[/\\]")
_shared: WeakValueDictionary[tuple[bool, _Stamp], ssl.SSLContext] = WeakValueDictionary()
"""Contexts that were made from files and are in use.

The key has the value of `verify_tls` and a stamp of each file (see `_stamp`). A changed file has
another stamp. Therefore changed files get another key and a new context.
"""
_loading = threading.Lock()
"""Lock between worker threads. With this lock, sessions that open at the same time read the files
only once."""


class TLS:
    """The TLS context of a session.

    A rotated CA certificate or client certificate takes effect without a restart. While the session
    sends requests, it checks the files once a second, and reads changed files again. Open
    connections stay open. If a changed file is invalid, for example because it is only half
    written, the session logs a warning and keeps the previous context.

    Args:
        settings: The session's options.

    Attributes:
        context: Value for the argument ``ssl`` of aiohttp: an SSL context, True for the default of
            the connector, or False to accept any certificate.
        reloads: Whether the context is made from files, which may change.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.context: ssl.SSLContext | bool = True
        self.reloads: bool = bool(settings.ca_file or settings.client_cert)
        self._stamp: _Stamp = ()
        self._next_check = 0.0

    def load(self) -> None:
        """Create the context. The method reads files, so call the method in a worker thread.

        Raises:
            InvalidSettings: A file is missing or has invalid content.
        """
        self._stamp = _current_stamp(self._settings)
        self.context = tls_context(self._settings)

    async def refresh(self) -> None:
        """Read the files again if they have changed. Check the files at most once a second."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            await anyio.to_thread.run_sync(self._reload)

    def _reload(self) -> None:
        stamp = _current_stamp(self._settings)
        if stamp == self._stamp:
            return
        self._stamp = stamp  # from before the read, so that later changes are noticed
        try:
            self.context = _shared_context(self._settings)
        except InvalidSettings as exc:
            _log.warning("the previous content of the changed file stays in use: %s", exc)
        else:
            _log.info("a changed CA or client certificate was read; new connections use it")


def tls_context(settings: Settings) -> ssl.SSLContext | bool:
    """Return the value for the argument ``ssl`` of aiohttp; see `TLS.context`.

    If certificates are not verified, a warning is logged. If `settings.ssl_context` is set, the
    function returns it. The function reads files, so call the function in a worker thread.

    Raises:
        InvalidSettings: A file is missing or has invalid content.
    """
    if settings.ssl_context is not None:
        return settings.ssl_context
    unsafe = [address for address in settings.endpoints if address.startswith("https:")]
    if unsafe and not settings.verify_tls:
        _log.warning(
            "verify_tls=False: the certificate of %s is not verified, so an attacker on the "
            "network can impersonate the server and read the credentials; ca_file= is the safe way",
            ", ".join(unsafe),
        )
    if not settings.ca_file and not settings.client_cert:
        return settings.verify_tls
    return _shared_context(settings)


def _shared_context(settings: Settings) -> ssl.SSLContext:
    key = settings.verify_tls, _current_stamp(settings)  # the stamps from before the read
    with _loading:
        context = _shared.get(key)
        if context is None:
            context = _shared[key] = _from_files(settings)
        return context


def _from_files(settings: Settings) -> ssl.SSLContext:
    context = _authorities(settings.ca_file)
    if not settings.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.client_cert:
        _load_client_cert(context, settings.client_cert)
    return context


def _authorities(ca_file: StrPath | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as exc:
        raise InvalidSettings(
            f"ca_file: {_shown(ca_file)} cannot be used: {_why(exc)}; "
            "expected a PEM file with the certificate of the authority that signed the server's",
            option="ca_file",
        ) from exc


def _load_client_cert(context: ssl.SSLContext, files: ClientCert) -> None:
    cert, key = _cert_and_key(files)
    try:
        # Pass an empty password. Otherwise OpenSSL would ask for a password on the terminal, and
        # wait for the input.
        context.load_cert_chain(cert or "", key, password="")
    except (OSError, ValueError) as exc:
        raise InvalidSettings(
            f"client_cert: {_shown(cert)} cannot be used: {_diagnose(cert, key) or _why(exc)}; "
            "expected a PEM file with certificate and key, or a pair (certificate, key)",
            option="client_cert",
        ) from exc


def _current_stamp(settings: Settings) -> _Stamp:
    return tuple(map(_stamp, (settings.ca_file, *_cert_and_key(settings.client_cert))))


def _cert_and_key(files: ClientCert | None) -> tuple[StrPath | None, StrPath | None]:
    return files if isinstance(files, tuple) else (files, None)


def _diagnose(cert: StrPath | None, key: StrPath | None) -> str | None:
    """Return an error message about a certificate or key file.

    Return None if OpenSSL's own message is more helpful.
    """
    content = _read(cert)
    if content is None:
        return None
    keys = content if key is None else _read(key)
    if keys is None:
        return "the key file does not exist or cannot be read"
    if "PRIVATE KEY-----" not in keys:
        if key is not None and "PRIVATE KEY-----" in content and "CERTIFICATE-----" in keys:
            return "the two files are swapped"
        return "there is no private key in the key file" if key else "there is no private key in it"
    if "ENCRYPTED" in keys:
        return "the private key is encrypted; decrypt it, or pass an SSL context"
    if "CERTIFICATE-----" not in content:
        return "there is no certificate in it"
    return None


def _read(path: StrPath | None) -> str | None:
    try:
        return Path(path or "").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None


def _stamp(path: StrPath | None) -> tuple[int, ...] | None:
    try:
        found = os.stat(path or "")  # noqa: PTH116 - a path of any kind
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _shown(path: StrPath | None) -> str:
    """Return the path in quotes, or a placeholder if the text may be a secret instead of a path."""
    text = os.fspath(path or "")
    if _stamp(path) or "." in text or _PATH_START.match(text):
        return repr(text)
    return "what was given"


def _why(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        if exc.reason == "KEY_VALUES_MISMATCH":
            return "the private key does not belong to the certificate"
        return exc.reason or "it is not in PEM form"
    return getattr(exc, "strerror", None) or str(exc)
