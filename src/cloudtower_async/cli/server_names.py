"""Names of resources for shell completion, read from the server and cached.

The time-out for the server is short. The cache files contain only names and times. Completion never
prompts the user: without a stored token or password, no names are completed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict

from ..folders import cache_folder
from .private_files import read_private, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SWITCH = "CLOUDTOWER_COMPLETE_NAMES"
"""Environment variable that turns off the completion of names if it is ``false``."""

_TIMEOUT = 1.5  # time-out in seconds to connect, log in and read
_FRESH = 60.0  # seconds for which cached names are used without asking the server
_PAUSE = 30.0  # seconds without a request after a failure
_KEPT = 86_400.0  # seconds for which cached names are used if the server fails
_MAX_NAMES = 2000  # maximum number of names of a kind of resource
_MAX_LENGTH = 256  # maximum number of characters of a name
_MAX_FILES = 20  # maximum number of cache files

_OPTIONS = {
    "--endpoint": "endpoint",
    "--username": "username",
    "--source": "source",
    "--auth-config-id": "auth_config_id",
    "--ca-file": "ca_file",
    "--proxy": "proxy",
}
_FLAGS: dict[str, tuple[str, bool]] = {
    "--verify-tls": ("verify_tls", True),
    "--no-verify-tls": ("verify_tls", False),
    "--trust-env": ("trust_env", True),
    "--no-trust-env": ("trust_env", False),
}


class Known(TypedDict):
    """Cached names of one kind of resource.

    Attributes:
        at: Time when the names were read, in seconds since 1970.
        failed_at: Time of the last failure to read the names, in seconds since 1970. 0.0 means that
            reading has not failed since `at`.
        names: The names.
        all: Whether `names` contains all names on the server.
    """

    at: float
    failed_at: float
    names: list[str]
    all: bool


def server_names(resource: str, part: str, options: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of resources, from the server or from the cache.

    Return an empty list if completion of names is turned off, credentials are missing, or the
    server has failed and the cache is empty.

    Args:
        resource: Name of the resource: ``"vms"``.
        part: Beginning of the names. If the server has more names than the cache can hold, only
            names with this beginning are read.
        options: Options of the command line, as in `complete.Typed`.
    """
    if _switched_off() or "--token-stdin" in options or "--profiles" in options:
        return []
    settings = _settings(options)
    if settings is None:
        return []
    file, now = _file(settings), time.time()
    kinds = _read(file)
    known = kinds.get(resource)
    if known is None or not 0 <= now - known["at"] < _KEPT:
        known = Known(at=now, failed_at=0.0, names=[], all=False)
    elif now - known["at"] < _FRESH and (known["all"] or not part):
        return known["names"]
    if 0 <= now - known["failed_at"] < _PAUSE:
        return known["names"]
    found = _ask(resource, part, settings)
    if found is None:
        _write(file, {**kinds, resource: {**known, "failed_at": now}})
        return known["names"]
    names, everything = found
    if everything or not part:
        new = Known(at=now, failed_at=0.0, names=names, all=everything)
        _write(file, {**kinds, resource: new})
    return names


def _switched_off() -> bool:
    text = os.environ.get(SWITCH, "").strip().lower()
    return text in ("0", "false", "no", "off")


def _settings(options: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """Return arguments for `Cloudtower` from the command line, the environment and the profile.

    Return None if an option is invalid, or if there are no credentials.
    """
    from ..errors import InvalidSettings
    from ..options import from_environment
    from ..profiles import default_profile

    given: dict[str, Any] = {
        argument: options[name][-1] for name, argument in _OPTIONS.items() if name in options
    }
    given |= {argument: value for name, (argument, value) in _FLAGS.items() if name in options}
    if "," in given.get("endpoint", ""):
        given["endpoint"] = given["endpoint"].split(",")
    profile = options["--profile"][-1] if "--profile" in options else None
    try:
        if profile is None and not (
            os.environ.get("CLOUDTOWER_PROFILE")
            or "endpoint" in given
            or os.environ.get("CLOUDTOWER_ENDPOINT")
        ):
            profile = default_profile()
        found = from_environment(given, profile)
    except InvalidSettings:
        return None
    complete = found.get("token") or (found.get("username") and found.get("password"))
    return found if complete else None


def _ask(resource: str, part: str, settings: Mapping[str, Any]) -> tuple[list[str], bool] | None:
    """Return names of resources, and whether these are all names on the server.

    If the server has `_MAX_NAMES` names or more, return only names that begin with `part`. If the
    server fails or is too slow, return None.
    """
    import anyio
    import msgspec

    from ..client import Cloudtower
    from ..errors import CloudtowerError
    from ..queries.projection import select_fields
    from .resource_names import query_for

    class NameOnly(msgspec.Struct, kw_only=True, frozen=True, gc=False):
        name: str | None = None

    method = query_for(resource)
    options: dict[str, Any] = {**settings, "mutations": "refuse"}

    async def ask() -> tuple[list[str], bool] | None:
        with anyio.move_on_after(_TIMEOUT):
            async with Cloudtower(**options) as tower:
                namespace, _, name = method.partition(".")
                query: Any = select_fields(getattr(getattr(tower, namespace), name), NameOnly)
                rows = await query(first=_MAX_NAMES, order_by="name_ASC")
                everything = len(rows) < _MAX_NAMES
                if part and not everything:
                    where = {"name_starts_with": part}
                    rows = await query(first=_MAX_NAMES, order_by="name_ASC", where=where)
                names = {row.name for row in rows if row.name and _is_usable(row.name)}
                return sorted(names), everything
        return None

    try:
        return anyio.run(ask)
    except (CloudtowerError, OSError):
        return None


def _is_usable(name: str) -> bool:
    return len(name) <= _MAX_LENGTH and name.isprintable()


def _file(settings: Mapping[str, Any]) -> Path:
    """Return the path of the cache file for a server and a user.

    The file name is a hash, so that it reveals neither the server nor the user.
    """
    endpoint = settings["endpoint"]
    server = endpoint if isinstance(endpoint, str) else ",".join(endpoint)
    # Users with different tokens may see different names. They share a file, because no digest of a
    # token may be stored.
    user = settings.get("username") or "token"
    digest = hashlib.sha256(f"{server}\n{user}".encode()).hexdigest()[:16]
    return cache_folder() / f"names-{digest}.json"


def _read(file: Path) -> dict[str, Known]:
    """Return the content of the cache file, or an empty dict if the file is missing or broken."""
    import msgspec

    try:
        return msgspec.json.decode(read_private(file) or "{}", type=dict[str, Known])
    except msgspec.MsgspecError:
        return {}


def _write(file: Path, kinds: Mapping[str, Known]) -> None:
    """Write recent names to the cache file, and delete old cache files."""
    now = time.time()
    fresh = {
        name: known
        for name, known in kinds.items()
        if 0 <= now - max(known["at"], known["failed_at"]) < _KEPT
    }
    write_private(file, json.dumps(fresh))
    with suppress(OSError):
        files = sorted(
            file.parent.glob("names-*"), key=lambda each: each.stat().st_mtime, reverse=True
        )
        for place, each in enumerate(files):
            if place >= _MAX_FILES or now - each.stat().st_mtime > _KEPT:
                each.unlink()
