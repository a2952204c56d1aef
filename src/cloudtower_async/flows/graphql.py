"""What only GraphQL offers: API keys, and tickets for the screens of VMs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

import msgspec

from ..calls.again import LOGIN_IN_VAIN, NO_LOGIN
from ..calls.operation import Kind, Operation
from ..errors import BadRequest, GraphQLError, InvalidInput, ResponseDecodeError, Unauthorized
from ..types import CODEC_ERRORS
from ..wire.failures import without_frames
from ..wire.telemetry import record_exchanges

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..calls.caller import Caller

T = TypeVar("T")

_NAME = "graphql"
_KEY = "id name key roles { id preset }"
_CREATE = (
    "mutation createApiKey($name: String!) "
    f"{{ createApiKey(data: {{ name: $name }}) {{ {_KEY} }} }}"
)
_DELETE = "mutation deleteApiKey($key: String!) { deleteApiKey(where: { key: $key }) { id } }"
_LIST = f"query apiKeys {{ apiKeys {{ {_KEY} }} }}"
_VNC = (
    "query vnc($input: VncInput!) "
    "{ vnc(input: $input) { vm_uuid host_ip cluster_ip raw_token token } }"
)
_PIECES = re.compile(r'"""(?:\\"""|.)*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*|[{}()]|\w+', re.DOTALL)


class ApiKeyRole(msgspec.Struct, frozen=True, gc=False):
    """A role that an API key acts with."""

    id: str
    preset: str | None = None


class ApiKey(msgspec.Struct, frozen=True):
    """A key that takes the place of a token: ``Cloudtower(endpoint, token=key.key)``.

    Attributes:
        id: Of the key on the server.
        name: As it was made.
        key: The secret; ``repr`` does not show it.
        roles: What it may do.
    """

    id: str
    name: str
    key: str
    roles: list[ApiKeyRole] = []

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r}, name={self.name!r}, key='***')"


class VncTicket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What opens the screen of a VM; ``repr`` shows no address, as these hold the ticket.

    Attributes:
        vm_uuid: The VM, as its cluster calls it.
        host_ip: Where it runs.
        cluster_ip: Of its cluster.
        direct: Address of a WebSocket of the cluster, for who can reach that.
        proxied: The same by way of CloudTower.
    """

    vm_uuid: str
    host_ip: str
    cluster_ip: str
    direct: str
    proxied: str

    def __repr__(self) -> str:
        return f"VncTicket(vm_uuid={self.vm_uuid!r}, direct='***', proxied='***')"


class GraphQL:
    """GraphQL, as methods of a session."""

    _caller: Caller

    async def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Ask what the server offers by GraphQL only, and return ``data`` as plain dicts and lists.

        A document with a mutation is sent again only when it certainly was not carried out, as any
        other mutation; one with queries only after any fault of the way.

        Args:
            query: The document.
            variables: For it.
            timeout: Seconds for the whole call; None: the session's.

        Raises:
            GraphQLError: The answer tells of errors; what there is of ``data`` is in it.
            CallError: See its subclasses.
            InvalidInput: The arguments cannot be sent.

        Example:
            ::

                found = await tower.graphql("{ authnStrategies { id type } }")
        """
        return await _ask(self._caller, query, variables, timeout)

    @property
    def api_keys(self) -> ApiKeys:
        """The API keys of the server: ``await tower.api_keys.create("bot")``."""
        return ApiKeys(self._caller)

    async def vnc(self, vm_id: str, *, timeout: float | None = None) -> VncTicket:
        """Get a ticket for the screen of a VM that runs, with the addresses to open it by.

        Args:
            vm_id: The VM.
            timeout: Seconds for the whole call; None: the session's.

        Raises:
            GraphQLError: There is no such VM, or it does not run.
            CallError: See its subclasses.
            InvalidInput: The id is not a text.

        Example:
            ::

                ticket = await tower.vnc(vm.id)
                async with websockets.connect(ticket.proxied, subprotocols=["binary"]) as screen:
                    ...
        """
        _check_text("vnc", "vm_id", vm_id)
        caller = self._caller
        wanted = {"input": {"vm": {"id": vm_id}}}
        made = _read(caller, await _ask(caller, _VNC, wanted, timeout), "vnc", _Vnc)
        for secret in (made.raw_token, made.token):
            caller.transport.mask.add(secret, passing=True)
        tower = caller.endpoints.latest.partition("://")[2]
        cluster = f"[{made.cluster_ip}]" if ":" in made.cluster_ip else made.cluster_ip
        place = f"uuid={made.vm_uuid}"
        token = quote(made.token, safe="")
        return VncTicket(
            vm_uuid=made.vm_uuid,
            host_ip=made.host_ip,
            cluster_ip=made.cluster_ip,
            direct=(
                f"wss://{cluster}/websockify/?{place}&token={made.raw_token}&host={made.host_ip}"
            ),
            proxied=f"wss://{tower}/websockify/?token={token}&{place}&host={made.host_ip}",
        )


Keys: TypeAlias = list[ApiKey]  # inside the class `list` is the method


class ApiKeys:
    """Making and deleting API keys; ``tower.api_keys``."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create(self, name: str) -> ApiKey:
        """Make a key that acts with the roles of the session's user.

        Args:
            name: To know it by; no two keys have the same.

        Raises:
            GraphQLError: The server refused, as the name is taken for example.
            OutcomeUnknown: The key may have been made.
            CallError: See its subclasses.
            InvalidInput: The name is empty, or no text.
        """
        _check_text("api_keys.create", "name", name)
        caller = self._caller
        key = _read(caller, await _ask(caller, _CREATE, {"name": name}), "createApiKey", ApiKey)
        return self._masked(key)

    async def delete(self, key: str | ApiKey) -> None:
        """Delete a key: who uses it is shut out at once.

        Args:
            key: The key, or the secret itself.

        Raises:
            GraphQLError: There is no such key.
            OutcomeUnknown: It may have been deleted.
            CallError: See its subclasses.
            InvalidInput: The key is empty, or no text.
        """
        secret = key.key if isinstance(key, ApiKey) else key
        _check_text("api_keys.delete", "key", secret)
        self._caller.transport.mask.add(secret)
        await _ask(self._caller, _DELETE, {"key": secret})

    async def list(self) -> Keys:
        """Read the keys that there are.

        Raises:
            GraphQLError: The server refused.
            CallError: See its subclasses.
        """
        keys = _read(self._caller, await _ask(self._caller, _LIST), "apiKeys", Keys)
        return [self._masked(key) for key in keys]

    def _masked(self, key: ApiKey) -> ApiKey:
        self._caller.transport.mask.add(key.key)
        return key


class _Vnc(msgspec.Struct, frozen=True):
    vm_uuid: str
    host_ip: str
    cluster_ip: str
    raw_token: str
    token: str


def _check_text(asker: str, argument: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        # Of a key only what is wrong with it: it may be a secret.
        got = "an empty text" if value == "" else type(value).__name__
        raise InvalidInput(f"{asker}: {argument}: expected a text, got {got}")


async def _ask(
    caller: Caller,
    query: str,
    variables: Mapping[str, object] | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    _check_text(_NAME, "query", query)
    kind = Kind.MUTATION if _changes(query) else Kind.QUERY
    operation = Operation(_NAME, "", kind, lambda: dict[str, Any], root="/api")
    body: dict[str, object] = {"query": query}
    if variables is not None:
        body["variables"] = variables
    authenticator = caller.authenticator
    now = caller.transport.running_loop().time
    deadline = now() + (caller.timeout if timeout is None else timeout)
    login = authenticator.logins
    try:
        return await _ask_once(caller, operation, body, timeout)
    except GraphQLError as exc:
        refused = exc
    if not _is_logged_out(refused):
        raise without_frames(refused)
    left = deadline - now()
    if not authenticator.can_log_in or not _is_untouched(refused, kind) or left <= 0:
        raise _logged_out(refused, NO_LOGIN)
    authenticator.forget(login)  # unless somebody has logged in since
    try:
        return await _ask_once(caller, operation, body, left)
    except GraphQLError as exc:
        refused = exc
    if not _is_logged_out(refused):
        raise without_frames(refused)
    raise _logged_out(refused, LOGIN_IN_VAIN, attempts=2)


async def _ask_once(
    caller: Caller,
    operation: Operation[dict[str, Any]],
    body: dict[str, object],
    timeout: float | None,
) -> dict[str, Any]:
    try:
        with record_exchanges() as log:
            answer = await caller.send(operation, body, timeout=timeout)
    except BadRequest as exc:  # what is no GraphQL, or none of this server
        if errors := _errors_in(exc.server_message):
            raise _error(caller, {"errors": errors}, exc.status, exc.request_id) from exc
        raise
    data: object = answer.get("data")
    if isinstance(data, dict) and not answer.get("errors"):
        return cast("dict[str, Any]", data)
    error = _error(caller, answer, log[-1].status, log[-1].request_id)
    del answer, data  # errors show the variables of this frame
    raise error


def _is_logged_out(error: GraphQLError) -> bool:
    """Whether an answer says that the token is not valid: with Apollo's code, or with a 401."""
    return any(
        said.get("code") == "UNAUTHENTICATED" or 401 in (said.get("status"), said.get("statusCode"))
        for one in error.errors
        for said in _parts(one)
    )


def _parts(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the places of a GraphQL error where servers put a code or a status."""
    yield error
    extensions: object = error.get("extensions")
    if isinstance(extensions, dict):
        known = cast("dict[str, Any]", extensions)
        yield known
        for name in ("http", "response", "exception"):
            if isinstance(known.get(name), dict):
                yield known[name]


def _is_untouched(error: GraphQLError, kind: Kind) -> bool:
    """Whether the document may be sent again: it changes nothing, or nothing of it was done."""
    if kind is Kind.QUERY or not error.data:
        return True
    data = error.data
    return isinstance(data, dict) and not any(cast("dict[str, object]", data).values())


def _logged_out(error: GraphQLError, hint: str, attempts: int = 1) -> Unauthorized:
    unauthorized = Unauthorized(
        "not logged in",
        operation=_NAME,
        endpoint=error.endpoint,
        status=error.status,
        request_id=error.request_id,
        code=error.code,
        server_message=error.server_message,
        hint=hint,
    )
    unauthorized.attempts = attempts
    return unauthorized


def _changes(query: str) -> bool:
    """Whether a document holds anything but queries."""
    depth = 0
    for piece in _PIECES.findall(query):
        if piece in "{(":
            depth += 1
        elif piece in "})":
            depth -= 1
        elif depth == 0 and piece in ("mutation", "subscription"):
            return True
    return False


def _errors_in(text: str | None) -> list[Any] | None:
    try:
        return msgspec.json.decode(text or "", type=_Refusal).errors
    except CODEC_ERRORS:
        return None


class _Refusal(msgspec.Struct):
    errors: list[Any]


def _error(
    caller: Caller, answer: dict[str, Any], status: int | None, request_id: str | None
) -> GraphQLError:
    errors = answer.get("errors")
    given = cast("list[object]", errors) if isinstance(errors, list) else []
    told = [cast("object", one) for one in given if isinstance(one, dict)]
    masked = cast("list[dict[str, Any]]", caller.transport.mask.within(told))
    messages = [str(one["message"]) for one in masked if one.get("message")]
    extensions: object = masked[0].get("extensions") if masked else None
    code = None
    if isinstance(extensions, dict):
        code = cast("dict[str, object]", extensions).get("code")
    return GraphQLError(
        "the server answered with errors" if messages else "the server answered without data",
        operation=_NAME,
        endpoint=caller.endpoints.latest,
        status=status,
        request_id=request_id,
        code=code if isinstance(code, str) else None,
        server_message="; ".join(messages) or None,
        errors=masked,
        data=caller.transport.mask.within(answer.get("data")),
    )


def _read(caller: Caller, data: dict[str, Any], field: str, wanted: type[T]) -> T:
    fault = ""
    try:
        return msgspec.convert(data.get(field), wanted)
    except CODEC_ERRORS as exc:
        fault = str(exc)
    del data  # errors show the variables of this frame; and the one above holds it, too
    raise ResponseDecodeError(
        f"{field} is not what was asked for: {fault}",
        operation=_NAME,
        endpoint=caller.endpoints.latest,
        status=200,
        place=f"$.data.{field}",
    )
