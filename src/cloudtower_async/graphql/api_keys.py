"""API keys, which take the place of a token."""

from __future__ import annotations

import logging
import re
from typing import TypeAlias, cast

import msgspec

from ..calls.executor import Executor
from ..errors import CallError, OutcomeUnknown, ResponseDecodeError
from ..types import CODEC_ERRORS
from ..validators import check_argument, text_fault
from .requests import NAME, ask

_log = logging.getLogger("cloudtower_async")

_KEY = "id name key roles { id preset }"
_CREATE = (
    "mutation createApiKey($name: String!) "
    f"{{ createApiKey(data: {{ name: $name }}) {{ {_KEY} }} }}"
)
_DELETE = "mutation deleteApiKey($key: String!) { deleteApiKey(where: { key: $key }) { id } }"
_LIST = f"query apiKeys {{ apiKeys {{ {_KEY} }} }}"
_IN_A_BROKEN_BODY = re.compile(rb'"key"\s*:\s*("(?:[^"\\]|\\.)+")')
_LOOK = "Look with tower.api_keys.list() whether there is such a key, and delete it."


class ApiKeyRole(msgspec.Struct, frozen=True, gc=False):
    """A role that an API key acts with."""

    id: str
    preset: str | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """A key that takes the place of a token: ``Cloudtower(endpoint, token=key.key)``.

    Attributes:
        id: Id of the key on the server; empty if the server leaves it out.
        name: Name of the key; empty if the server leaves it out.
        key: The secret; ``repr`` does not show it. Empty if a list leaves it out.
        roles: Roles that the key acts with.
    """

    id: str
    name: str
    key: str
    roles: list[ApiKeyRole] = []

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r}, name={self.name!r}, key='***')"


Keys: TypeAlias = list[ApiKey]  # inside the class `list` is the method
Values: TypeAlias = list[object]


class ApiKeys:
    """Making and deleting API keys; ``tower.api_keys``."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def create(self, name: str) -> ApiKey:
        """Make a key that acts with the roles of the session's user.

        Args:
            name: To know it by; no two keys have the same.

        Raises:
            GraphQLError: The server refused, as the name is taken for example.
            OutcomeUnknown: The key may have been made. An answer that contains a key returns it,
                however wrong the rest is.
            CallError: See its subclasses.
            InvalidInput: The name is empty, or not a string.
        """
        check_argument("api_keys.create", "name", text_fault(name))
        made: Keys = []

        def take(body: bytes) -> None:
            if (found := _key_in(body, name)) is not None:
                made.append(self._masked(found))

        try:
            data = await ask(self._executor, _CREATE, {"name": name}, take=take)
        except CallError as exc:
            if not made:
                raise
            _log.warning("api_keys.create: the key %r was made, but: %s", made[-1].name, exc)
        else:
            told = "nothing" if data.get("createApiKey") is None else "something"
            del data  # errors show the variables of this frame
            if not made:
                raise OutcomeUnknown(
                    f"the server answered with {told}, but no key: it may have been made",
                    operation=NAME,
                    endpoint=self._executor.endpoints.latest,
                    status=200,
                    hint=_LOOK,
                )
        return made[-1]

    async def delete(self, key: str | ApiKey) -> None:
        """Delete a key: who uses it is shut out at once.

        Args:
            key: The key, or the secret itself.

        Raises:
            GraphQLError: There is no such key.
            OutcomeUnknown: It may have been deleted.
            CallError: See its subclasses.
            InvalidInput: The key is empty, or not a string.
        """
        secret = key.key if isinstance(key, ApiKey) else key
        check_argument("api_keys.delete", "key", text_fault(secret))
        self._executor.transport.mask.add(secret)
        await ask(self._executor, _DELETE, {"key": secret})

    async def list(self) -> Keys:
        """Read the keys that there are.

        Raises:
            GraphQLError: The server refused.
            CallError: See its subclasses.
        """
        data = await ask(self._executor, _LIST)
        given: object = data.get("apiKeys")
        del data  # errors show the variables of this frame
        if not isinstance(given, list):
            raise ResponseDecodeError(
                f"apiKeys is not what was asked for: {type(given).__name__}, not a list",
                operation=NAME,
                endpoint=self._executor.endpoints.latest,
                status=200,
                place="$.data.apiKeys",
            )
        entries = cast("Values", given)
        keys = [_api_key(members) for one in entries if (members := _members(one))]
        if odd := len(entries) - len(keys):
            _log.warning("api_keys.list: %d entries are no keys and were left out", odd)
        return [self._masked(key) for key in keys]

    def _masked(self, key: ApiKey) -> ApiKey:
        self._executor.transport.mask.add(key.key)
        return key


def _key_in(body: bytes, name: str) -> ApiKey | None:
    """Find the new key in an answer, whatever else is wrong with that."""
    try:
        answer: object = msgspec.json.decode(body)
    except CODEC_ERRORS:
        if (found := _IN_A_BROKEN_BODY.search(body)) is None:
            return None
        try:
            return ApiKey("", name, msgspec.json.decode(found[1], type=str))
        except CODEC_ERRORS:
            return None
    data = cast("dict[str, object]", answer).get("data") if isinstance(answer, dict) else None
    made = _with_key(data)
    return None if made is None else _api_key(made, name)


def _with_key(value: object) -> dict[str, object] | None:
    """Return the outermost object that has a key, in an answer of any shape."""
    level: Values = [value]
    while level:  # an answer may be nested too deeply for recursion
        for one in level:
            if _text((members := _members(one)).get("key")):
                return members
        level = [part for one in level for part in _parts(one)]
    return None


def _parts(value: object) -> Values:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values())
    return cast("Values", value) if isinstance(value, list) else []


def _api_key(given: dict[str, object], name: str = "") -> ApiKey:
    """Read a key, and leave out what is no text."""
    roles = given.get("roles")
    return ApiKey(
        id=_text(given.get("id")),
        name=_text(given.get("name")) or name,
        key=_text(given.get("key")),
        roles=[
            ApiKeyRole(id=_text(role.get("id")), preset=_text(role.get("preset")) or None)
            for role in map(_members, cast("Values", roles) if isinstance(roles, list) else ())
            if role
        ],
    )


def _members(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    # An id or a key of digits only may come as a number.
    return str(value) if type(value) is int else ""
