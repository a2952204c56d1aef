"""Handler of GraphQL requests about API keys, VNC tickets, logins, clusters and VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..http_errors import BadRequestError, HttpError, require_member
from .graphql_parser import GraphQLSyntaxError, parse
from .graphql_resources import GraphQLNode, several, single, token, update_vm
from .vnc import vnc_ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..store.filters import Document
    from .context import RequestContext
    from .graphql_parser import GraphQLField

_Resolver: TypeAlias = "Callable[[RequestContext, dict[str, Any]], object]"


def answer(context: RequestContext) -> object:
    """Return the response to a GraphQL request.

    If a field fails, the response has status 200 and contains the failure in ``errors``.

    Raises:
        BadRequestError: The body contains no query.
        HttpError: The query is invalid GraphQL, or the simulator does not model a field.
    """
    body: Any = context.request.body
    text = require_member(body, "query", str)
    try:
        operation = parse(text, body.get("variables") or {})
    except GraphQLSyntaxError as exc:
        raise HttpError(400, f"Syntax Error: {exc}") from None
    known = _MUTATIONS if operation.mutation else _QUERIES
    data: dict[str, object] = {}
    errors: list[dict[str, object]] = []
    for field in operation.fields:
        if field.name not in known:
            raise HttpError(501, f"the simulator does not model {field.name} of GraphQL")
        try:
            if not context.user and field.name not in _WITHOUT_TOKEN:
                raise HttpError(401, "the token is missing or not valid")
            data[field.alias] = _pick(known[field.name](context, field.arguments), field)
        except (HttpError, BadRequestError) as exc:
            data[field.alias] = None
            errors.append({"message": str(exc), "path": [field.alias]})
    return {"data": data, "errors": errors} if errors else {"data": data}


def _pick(value: object, field: GraphQLField) -> object:
    """Return the requested subfields of a value."""
    if isinstance(value, list):
        return [_pick(one, field) for one in cast("list[object]", value)]
    if not isinstance(value, dict | GraphQLNode):
        return value
    if not field.fields:
        raise BadRequestError(f'Field "{field.name}" must have a selection of subfields.')
    if isinstance(value, GraphQLNode):
        return {one.alias: _pick(value.field(one), one) for one in field.fields}
    members = cast("dict[str, object]", value)
    if unknown := [one.name for one in field.fields if one.name not in members]:
        raise BadRequestError(f'Cannot query field "{unknown[0]}".')
    return {one.alias: _pick(members[one.name], one) for one in field.fields}


def _strategies(context: RequestContext, _: object) -> object:
    return context.accounts.strategies


def _keys(context: RequestContext, arguments: dict[str, Any]) -> object:
    keys = context.store.select("ApiKey", arguments.get("where"))
    return [_shown(context, key) for key in keys]


def _create_key(context: RequestContext, arguments: dict[str, Any]) -> object:
    data = require_member(arguments, "data", dict[str, Any])
    name = require_member(data, "name", str)
    store, ids = context.store, context.factory.ids
    if store.select("ApiKey", {"name": name}):
        raise HttpError(400, f"there is an API key {name} already")
    user = store.get("User", context.user)
    key = store.add(
        "ApiKey",
        {
            "id": ids.cuid(),
            "name": name,
            "key": ids.uuid(),
            "description": data.get("description", ""),
            "editable": True,
            "username": user["username"],
            "user": user["id"],
            "roles": user["roles"] or [],
        },
    )
    context.accounts.add_key(key["key"], user["id"])
    return _shown(context, key)


def _delete_key(context: RequestContext, arguments: dict[str, Any]) -> object:
    where = require_member(arguments, "where", dict[str, Any])
    found = context.store.select("ApiKey", where) if where else []
    if len(found) != 1:
        raise HttpError(404, "there is no such API key")
    shown = _shown(context, found[0])
    context.accounts.drop_key(found[0]["key"])
    context.store.remove("ApiKey", found[0]["id"])
    return shown


def _shown(context: RequestContext, key: Document) -> dict[str, object]:
    store = context.store
    user = store.table("User").get(key["user"])
    roles: list[str] = key.get("roles") or []
    plain = ("id", "name", "key", "description", "editable", "username")
    return {
        **{field: key[field] for field in plain},
        "user": user and {"id": user["id"], "name": user["name"]},
        "roles": [dict(store.get("UserRoleNext", role)) for role in roles],
    }


def _vnc(context: RequestContext, arguments: dict[str, Any]) -> object:
    wanted = require_member(arguments, "input", dict[str, Any])
    return vnc_ticket(context, require_member(wanted, "vm", dict[str, Any]))


_QUERIES: Mapping[str, _Resolver] = {
    "apiKeys": _keys,
    "authnStrategies": _strategies,
    "cluster": single("Cluster"),
    "clusters": several("Cluster"),
    "vm": single("Vm"),
    "vms": several("Vm"),
    "vnc": _vnc,
}
_MUTATIONS: Mapping[str, _Resolver] = {
    "createApiKey": _create_key,
    "deleteApiKey": _delete_key,
    "login": token,
    "updateVm": update_vm,
}
_WITHOUT_TOKEN = ("authnStrategies", "login")
