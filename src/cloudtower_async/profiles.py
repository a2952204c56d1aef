"""Profiles: named addresses and credentials of CloudTower servers, in a file of the user."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import sys
import tempfile
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from .addresses import normalise_endpoints, parse_proxy
from .control_characters import one_line
from .errors import InvalidSettings
from .folders import config_folder
from .types import CODEC_ERRORS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from types import ModuleType

TokenPlace: TypeAlias = Literal["keyring", "file"]

DEFAULT = "default"
"""Name of the profile that commands use by default if there is no current profile."""

STORED = (
    "source",
    "content_language",
    "mutations",
    "verify_tls",
    "ca_file",
    "proxy",
    "trust_env",
)
"""Options of a profile, without the endpoint, the user and the token."""

_log = logging.getLogger("cloudtower_async")

_SERVICE = "cloudtower-async"
_MAX_NAME = 256  # characters of the current profile's name
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PATIENCE = 30.0  # seconds to wait for other processes that change the file
_PAUSE = 0.02  # seconds between two attempts to lock the file
_HEAD = "# Written by `cloudtower-async login`, which keeps what it does not change.\n"


class Profile(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Stored options of `Cloudtower`, and where the token is stored.

    Args:
        keyring: Whether the token is stored in the system's keyring instead of the profile file.
    """

    endpoint: str
    username: str | None = None
    source: str | None = None
    content_language: str | None = None
    mutations: str | None = None
    verify_tls: bool | None = None
    ca_file: str | None = None
    proxy: str | None = None
    trust_env: bool | None = None
    token: str | None = None
    keyring: bool = False

    def __repr__(self) -> str:
        return f"<Profile {self.endpoint} {self.username}>"  # the token is a secret

    @property
    def is_secret(self) -> bool:
        """Whether the file holds a secret of this profile: the token, or proxy credentials."""
        return self.token is not None or (self.proxy is not None and "@" in self.proxy)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Normalized address of the server, or both normalized addresses of a pair."""
        return normalise_endpoints(self.endpoint.split(","))

    @property
    def account(self) -> str:
        """Name under which the keyring stores the token, unique for the user and the server."""
        return f"{self.username or 'token'}@{','.join(self.addresses)}"


def profiles_file() -> Path:
    """Return the path of the file with the profiles."""
    return config_folder() / "profiles.toml"


def current_profile() -> str | None:
    """Return the name of the profile that `use_profile` chose, or None if no profile was chosen.

    Only the command line uses the current profile by default. The returned profile may no
    longer be stored.

    Raises:
        InvalidSettings: The file that holds the name cannot be read, or has no valid name.
    """
    path = _current_file()
    try:
        with path.open("rb") as file:
            name = file.read(_MAX_NAME + 1).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _refused(f"{path}: {exc.strerror}") from exc
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise _refused(
            f"{path}: expected the name of a profile; choose one with "
            "`cloudtower-async profile use NAME`"
        )
    return name


def default_profile() -> str | None:
    """Return the name of the profile that commands use by default: the current one, or `DEFAULT`.

    Returns:
        Name of the profile. None if there is no current profile and no stored profile is named
        `DEFAULT`.

    Raises:
        InvalidSettings: The current profile is no longer stored, or a file is invalid or
            unreadable.
    """
    stored, current = read_profiles(), current_profile()
    if current is None:
        return DEFAULT if DEFAULT in stored else None
    if current not in stored:
        raise _refused(
            f"the current profile {current!r} is not in {profiles_file()}: choose another one with "
            "`cloudtower-async profile use NAME`"
        )
    return current


def use_profile(name: str) -> None:
    """Make a stored profile the current profile.

    Raises:
        InvalidSettings: The profile does not exist, or the choice cannot be stored.
    """
    with _locked():
        named_profile(name)
        _replace_file(_current_file(), f"{name}\n")


def _current_file() -> Path:
    return profiles_file().with_name("current-profile")


def read_profiles() -> dict[str, Profile]:
    """Return the stored profiles by name, or an empty dict if the file does not exist.

    Raises:
        InvalidSettings: The file cannot be read, or other users can read the tokens in it.
    """
    path = profiles_file()
    try:
        with path.open("rb") as file:
            loose = os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077
            profiles = msgspec.convert(tomllib.load(file), dict[str, Profile])
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise _refused(f"{path}: {exc.strerror}") from exc
    except CODEC_ERRORS as exc:
        raise _refused(f"{path}: {exc}") from exc
    if loose and any(profile.is_secret for profile in profiles.values()):
        raise _refused(
            f"{path}: other users can read the tokens in this file; run chmod 600 {path}"
        )
    return profiles


def from_profile(name: str, over: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a profile, to be combined with the options `over`.

    If `over` has a token or ``credentials``, the user name and the token of the profile are left
    out. If `over` has a user name or a password, the token of the profile is left out. The user
    name and the token of a profile are only sent to the server of the profile.

    Args:
        name: Name of the profile.
        over: Options that take precedence over the profile.

    Raises:
        InvalidSettings: The profile does not exist, or `over` has an endpoint of another server.
    """
    profile = named_profile(name)
    endpoint = over.get("endpoint", profile.endpoint.split(","))
    if normalise_endpoints(endpoint) != profile.addresses:
        raise _refused(
            f"profile {name}: it is for {profile.endpoint}: leave out the other endpoint, or it"
        )
    found: dict[str, object] = {
        option: value
        for option in (*STORED, "username")
        if (value := getattr(profile, option)) is not None
    }
    if "proxy" in found:
        parse_proxy(found["proxy"], f"profile {name}: proxy")
    found["endpoint"] = endpoint
    if {"token", "credentials"} & over.keys():
        found.pop("username", None)
    elif not {"username", "password"} & over.keys() and (token := _token(name, profile)):
        found["token"] = token
    return found


def named_profile(name: str) -> Profile:
    """Return the profile with this name.

    Raises:
        InvalidSettings: No profile has this name.
    """
    profiles = read_profiles()
    if name not in profiles:
        known = ", ".join(profiles) or "none"
        raise _refused(f"there is no profile {name!r} in {profiles_file()}; there are: {known}")
    return profiles[name]


def save_profile(name: str, profile: Profile, token: str) -> TokenPlace:
    """Store a profile, and return where the token is stored: ``"keyring"`` or ``"file"``.

    Raises:
        InvalidSettings: The profile cannot be stored.
    """
    if not _NAME.fullmatch(name):
        raise _refused(f"profile {name!r}: a name has letters, digits, - and _")
    kept = _keep(profile.account, token)
    profile = msgspec.structs.replace(profile, keyring=kept, token=None if kept else token)
    with _locked() as path:
        _write(path, {**read_profiles(), name: profile})
    return "keyring" if kept else "file"


def remove_profile(name: str) -> None:
    """Remove a profile and its token.

    Raises:
        InvalidSettings: The profile does not exist.
    """
    with _locked() as path:
        profile = named_profile(name)
        others = {other: each for other, each in read_profiles().items() if other != name}
        shared = any(each.keyring and each.account == profile.account for each in others.values())
        if profile.keyring and not shared:
            _forget(name, profile.account)
        _write(path, others)
        if current_profile() == name:
            _current_file().unlink()


def _token(name: str, profile: Profile) -> str | None:
    if not profile.keyring:
        return profile.token
    try:
        token: str | None = _keyring().get_password(_SERVICE, profile.account)
    except Exception as exc:
        raise _refused(f"profile {name}: its token is in the keyring: {_reason(exc)}") from exc
    if not token:
        raise _refused(
            f"profile {name}: its token is not in the keyring any more: log in again with "
            f"`cloudtower-async login --profile {name}`"
        )
    return token


def _keep(account: str, token: str) -> bool:
    """Store a token in the keyring. Return False if the token could not be stored."""
    try:
        keyring = _keyring()
        if keyring.get_keyring().priority < 1:  # such a keyring stores nothing, or is unsafe
            return False
        keyring.set_password(_SERVICE, account, token)
        if keyring.get_password(_SERVICE, account) == token:
            return True
        reason = "the keyring does not return the stored token"
    except Exception as exc:
        if isinstance(exc, ModuleNotFoundError) and exc.name == "keyring":
            return False
        reason = _reason(exc).replace(token, "***")
    _log.warning("the keyring cannot be used, so the token is stored in the file: %s", reason)
    return False


def _forget(name: str, account: str) -> None:
    try:
        keyring = _keyring()
        if keyring.get_password(_SERVICE, account) is not None:
            keyring.delete_password(_SERVICE, account)
    except Exception as exc:
        if type(exc).__name__ == "PasswordDeleteError":
            return  # another process deleted the token
        raise _refused(
            f"profile {name}: the token cannot be deleted from the keyring: {_reason(exc)}"
        ) from exc


def _keyring() -> ModuleType:
    # Callers catch every exception, because keyring backends are third-party code.
    return importlib.import_module("keyring")


def _reason(exc: Exception) -> str:
    """Return a line for an error message: why the keyring failed, or how to install it."""
    if isinstance(exc, ModuleNotFoundError) and exc.name == "keyring":
        return "pip install keyring"
    if type(exc).__name__ == "NoKeyringError":
        return "this machine has no keyring"
    return one_line(f"{type(exc).__name__}: {exc}")


@contextmanager
def _locked() -> Generator[Path]:
    """Lock the profiles file against other processes, and yield its path with links resolved.

    The lock is on the folder, because the file itself is replaced. Windows cannot lock folders. On
    Windows, the lock is on a separate file, which is never removed.

    Raises:
        InvalidSettings: The folder is not writable, or another process holds the lock.
    """
    path = Path(os.path.realpath(profiles_file()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":
            handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        else:
            handle = os.open(path.parent, os.O_RDONLY)
    except OSError as exc:
        raise _refused(f"{path}: {exc.strerror}") from exc
    try:
        until = time.monotonic() + _PATIENCE
        while not _lock(handle):
            if time.monotonic() > until:
                raise _refused(f"{path}: other processes are changing it; try again later")
            time.sleep(_PAUSE)
        yield path
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed. Return False if another process holds the lock."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as exc:
        raise _refused(f"the file of the profiles cannot be locked: {exc.strerror}") from exc
    return True


def _write(path: Path, profiles: Mapping[str, Profile]) -> None:
    """Replace the content of the profiles file with these profiles, in TOML."""
    parts = [_HEAD]
    for name, profile in profiles.items():
        # JSON and TOML have the same syntax for strings and booleans.
        options = msgspec.to_builtins(profile)
        lines = [f"{key} = {_toml(value)}\n" for key, value in options.items()]
        parts.append(f"\n[{name}]\n{''.join(lines)}")
    _replace_file(path, "".join(parts))


def _replace_file(path: Path, text: str) -> None:
    """Replace a file atomically. Only the owner can read the new file."""
    try:
        # A temporary file is made with mode 600.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - not a path
                file.write(text)
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as exc:
        raise _refused(f"{path}: {exc.strerror}") from exc


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _refused(why: str) -> InvalidSettings:
    return InvalidSettings(why, option="profile")
