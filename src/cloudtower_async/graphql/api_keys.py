"""API keys: credentials that are used like a token."""

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
_LOOK = "Check with tower.api_keys.list() whether the key exists, and delete the key."


class ApiKeyRole(msgspec.Struct, frozen=True, gc=False):
    """Role of an API key. The roles determine the permissions of the key.

    Attributes:
        id: Id of the role; empty if the server left out the id.
        preset: Name of a role that the server defines, such as ``"ROOT"``. None for other roles.
    """

    id: str
    preset: str | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """API key. It is used like a token: ``Cloudtower(endpoint, token=key.key)``.

    Attributes:
        id: Id of the API key; empty if the server left out the id.
        name: Name of the API key; empty if the server left out the name.
        key: The secret, which ``repr`` hides; empty if the server left out the secret.
        roles: Roles of the API key.
    """

    id: str
    name: str
    key: str
    roles: list[ApiKeyRole] = []

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r}, name={self.name!r}, key='***')"


Keys: TypeAlias = list[ApiKey]  # inside `ApiKeys`, the name `list` is a method
Values: TypeAlias = list[object]


class ApiKeys:
    """Creation, listing and deletion of API keys: ``tower.api_keys``."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def create(self, name: str) -> ApiKey:
        """Create an API key with the roles of the session's user.

        Args:
            name: Unique name of the new API key.

        Raises:
            GraphQLError: The server refused the request, for example because the name is already
                used.
            OutcomeUnknown: The API key may have been created. If the answer is invalid but contains
                the key, the method returns the key and does not raise this error.
            CallError: The request failed. The subclass of the error gives the reason.
            InvalidInput: The name is empty or not a string.
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
            _log.warning("api_keys.create: the key %r was created, but: %s", made[-1].name, exc)
        else:
            told = "nothing" if data.get("createApiKey") is None else "something"
            del data  # errors show the variables of this frame
            if not made:
                raise OutcomeUnknown(
                    f"the server answered with {told}, but no key: the key may have been created",
                    operation=NAME,
                    endpoint=self._executor.endpoints.latest,
                    status=200,
                    hint=_LOOK,
                )
        return made[-1]

    async def delete(self, key: str | ApiKey) -> None:
        """Delete an API key. The server then rejects requests with this key.

        Args:
            key: The `ApiKey`, or the secret as a string.

        Raises:
            GraphQLError: The API key does not exist.
            OutcomeUnknown: The API key may have been deleted.
            CallError: The request failed. The subclass of the error gives the reason.
            InvalidInput: The key is empty, or is neither an `ApiKey` nor a string.
        """
        secret = key.key if isinstance(key, ApiKey) else key
        check_argument("api_keys.delete", "key", text_fault(secret))
        self._executor.transport.mask.add(secret)
        await ask(self._executor, _DELETE, {"key": secret})

    async def list(self) -> Keys:
        """Return all API keys.

        Raises:
            GraphQLError: The server refused the request.
            CallError: The request failed. The subclass of the error gives the reason.
        """
        data = await ask(self._executor, _LIST)
        given: object = data.get("apiKeys")
        del data  # errors show the variables of this frame
        if not isinstance(given, list):
            raise ResponseDecodeError(
                f"apiKeys has an unexpected form: {type(given).__name__}, not a list",
                operation=NAME,
                endpoint=self._executor.endpoints.latest,
                status=200,
                place="$.data.apiKeys",
            )
        entries = cast("Values", given)
        keys = [_api_key(members) for one in entries if (members := _members(one))]
        if odd := len(entries) - len(keys):
            _log.warning("api_keys.list: %d entries are not keys and were left out", odd)
        return [self._masked(key) for key in keys]

    def _masked(self, key: ApiKey) -> ApiKey:
        self._executor.transport.mask.add(key.key)
        return key


def _key_in(body: bytes, name: str) -> ApiKey | None:
    """Return the new API key from the body of an answer, or None if the body contains no key.

    The rest of the body may be invalid. If the body lacks the name, use `name`.
    """
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
    """Return the outermost object with a field ``key`` in a JSON value, or None."""
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
    """Convert an object in an answer to an `ApiKey`. If the object lacks the name, use `name`."""
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
    # The server may send an id or a key as a number if it consists of digits only.
    return str(value) if type(value) is int else ""
