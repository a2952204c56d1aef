"""What clients ask of GraphQL: API keys, console tickets, logins, clusters and VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..http_errors import QueryError, RefusedError, member
from .consoles import ticket
from .graphql_parser import GraphQLSyntaxError, parse
from .graphql_resources import Node, several, single, token, update_vm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..store.filters import Document
    from .graphql_parser import Field
    from .handlers import Asked

_Resolver: TypeAlias = "Callable[[Asked, dict[str, Any]], object]"


def answer(asked: Asked) -> object:
    """Answer a GraphQL request. What goes wrong is told in ``errors``, with status 200.

    Raises:
        RefusedError: It is no GraphQL, or it asks for what the simulator does not model.
    """
    body: Any = asked.request.body
    text = member(body, "query", str)
    try:
        operation = parse(text, body.get("variables") or {})
    except GraphQLSyntaxError as exc:
        raise RefusedError(400, f"Syntax Error: {exc}") from None
    known = _MUTATIONS if operation.mutation else _QUERIES
    data: dict[str, object] = {}
    errors: list[dict[str, object]] = []
    for field in operation.fields:
        if field.name not in known:
            raise RefusedError(501, f"the simulator does not model {field.name} of GraphQL")
        try:
            if not asked.user and field.name not in _WITHOUT_TOKEN:
                raise RefusedError(401, "the token is missing or not valid")
            data[field.alias] = _pick(known[field.name](asked, field.arguments), field)
        except (RefusedError, QueryError) as exc:
            data[field.alias] = None
            errors.append({"message": str(exc), "path": [field.alias]})
    return {"data": data, "errors": errors} if errors else {"data": data}


def _pick(value: object, field: Field) -> object:
    """Of a value, what is asked for."""
    if isinstance(value, list):
        return [_pick(one, field) for one in cast("list[object]", value)]
    if not isinstance(value, dict | Node):
        return value
    if not field.fields:
        raise QueryError(f'Field "{field.name}" must have a selection of subfields.')
    if isinstance(value, Node):
        return {one.alias: _pick(value.field(one), one) for one in field.fields}
    members = cast("dict[str, object]", value)
    if unknown := [one.name for one in field.fields if one.name not in members]:
        raise QueryError(f'Cannot query field "{unknown[0]}".')
    return {one.alias: _pick(members[one.name], one) for one in field.fields}


def _strategies(asked: Asked, _: object) -> object:
    return asked.accounts.strategies


def _keys(asked: Asked, arguments: dict[str, Any]) -> object:
    keys = asked.maker.store.select("ApiKey", arguments.get("where"))
    return [_shown(asked, key) for key in keys]


def _create_key(asked: Asked, arguments: dict[str, Any]) -> object:
    data = member(arguments, "data", dict[str, Any])
    name = member(data, "name", str)
    store, ids = asked.maker.store, asked.maker.ids
    if store.select("ApiKey", {"name": name}):
        raise RefusedError(400, f"there is an API key {name} already")
    user = store.get("User", asked.user)
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
    asked.accounts.add_key(key["key"], user["id"])
    return _shown(asked, key)


def _delete_key(asked: Asked, arguments: dict[str, Any]) -> object:
    where = member(arguments, "where", dict[str, Any])
    found = asked.maker.store.select("ApiKey", where) if where else []
    if len(found) != 1:
        raise RefusedError(404, "there is no such API key")
    shown = _shown(asked, found[0])
    asked.accounts.drop_key(found[0]["key"])
    asked.maker.store.remove("ApiKey", found[0]["id"])
    return shown


def _shown(asked: Asked, key: Document) -> dict[str, object]:
    store = asked.maker.store
    user = store.table("User").get(key["user"])
    roles: list[str] = key.get("roles") or []
    plain = ("id", "name", "key", "description", "editable", "username")
    return {
        **{field: key[field] for field in plain},
        "user": user and {"id": user["id"], "name": user["name"]},
        "roles": [dict(store.get("UserRoleNext", role)) for role in roles],
    }


def _vnc(asked: Asked, arguments: dict[str, Any]) -> object:
    wanted = member(arguments, "input", dict[str, Any])
    return ticket(asked, member(wanted, "vm", dict[str, Any]))


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
