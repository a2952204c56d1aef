"""A small fictional API about trees with every construct that a schema can contain."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]

TEXT: Raw = {"type": "string"}
NULLABLE_TEXT: Raw = {"type": "string", "nullable": True}
COUNT: Raw = {"type": "integer", "format": "int32"}
TOKEN: list[Raw] = [{"Authorization": []}]


def ref(name: str, **more: object) -> Raw:
    return {"$ref": f"#/components/schemas/{name}", **more}


def listed(items: Raw, **more: object) -> Raw:
    return {"type": "array", "items": items, **more}


def record(properties: Raw, *required: str, **more: object) -> Raw:
    return {"type": "object", "properties": properties, "required": list(required), **more}


def operation(
    name: str,
    tag: str,
    answer: Raw,
    body: Raw | None = None,
    *,
    content: str = "application/json",
    security: list[Raw] = TOKEN,
    **more: object,
) -> Raw:
    made: Raw = {
        "operationId": name,
        "tags": [tag],
        "security": security,
        "responses": {"200": {"content": {"application/json": {"schema": answer}}}, "400": {}},
        **more,
    }
    if body is not None:
        made["requestBody"] = {"content": {content: {"schema": body}}}
    return made


_SCHEMAS: Raw = {
    "TreeStatus": {"type": "string", "enum": ["GROWING", "FELLED"]},
    "TreeGrade": {
        "type": "string",
        "enum": ["A", "*", "second-hand", "class", "10 PCT", 'say "b"'],
    },
    "TreeOrderByInput": {"type": "string", "enum": ["name_ASC", "name_DESC"]},
    "RingCount": {"type": "integer", "format": "int32", "minimum": 2, "maximum": 3},
    "Nicknames": listed(TEXT, minItems=1),
    "NestedOrchard": record({"id": TEXT, "name": TEXT}, "id", "name"),
    "Tree": record(
        {
            "id": TEXT,
            "status": ref("TreeStatus"),
            "entityAsyncStatus": {"allOf": [ref("TreeStatus")], "nullable": True},
            "_label": TEXT,
            "class": NULLABLE_TEXT,
            "seed-lot": TEXT,
            "heights": listed({"type": "number", "format": "double"}),
            "orchard": {"allOf": [ref("NestedOrchard")]},
            "neighbours": listed(ref("NestedOrchard"), nullable=True),
            "trunk": record({"girth": COUNT, "bark": record({"deep": COUNT}, "deep")}, "girth"),
            "rings": listed(record({"width": COUNT}, "width")),
            "notes": {"type": "object"},
            "anything": {},
            "kind": {"type": "string", "enum": ["Tree"]},
            "grade": ref("TreeGrade"),
            "ring_count": ref("RingCount"),
            "nicknames": ref("Nicknames"),
            "planted": {"type": "boolean"},
            "picture": {"type": "string", "format": "byte"},
            "old_name": {"type": "string", "deprecated": True},
            "grafts": listed(ref("Tree"), nullable=True),
            "new_in_two": TEXT,
        },
        *("id", "status", "heights", "orchard", "trunk", "rings", "seed-lot", "_label"),
        *("grade", "ring_count", "new_in_two", "picture"),
    ),
    "NestedAggregate": record({"count": COUNT}, "count"),
    "TreeConnection": record({"aggregate": ref("NestedAggregate")}, "aggregate"),
    "WithTask_Tree_": record({"task_id": NULLABLE_TEXT, "data": ref("Tree")}, "data"),
    "DeleteTree": record({"id": TEXT}, "id"),
    "WithTask_DeleteTree_": record({"task_id": NULLABLE_TEXT, "data": ref("DeleteTree")}, "data"),
    "WithTask_Tree_Array": record({"task_id": NULLABLE_TEXT, "data": listed(ref("Tree"))}, "data"),
    "Stand": record(
        {"id": TEXT, "orchard": ref("NestedOrchard"), "status": ref("TreeStatus")}, "id", "orchard"
    ),
    "TreeWhereInput": record(
        {
            "AND": listed(ref("TreeWhereInput"), nullable=True),
            "name": NULLABLE_TEXT,
            "name_in": listed(TEXT, nullable=True),
            "status_in": listed(ref("TreeStatus"), nullable=True),
            "orchard": {"allOf": [ref("OrchardWhereInput")], "nullable": True},
        }
    ),
    "OrchardWhereInput": record(
        {
            "OR": listed(ref("OrchardWhereInput"), nullable=True),
            "class": NULLABLE_TEXT,
            "trees_some": {"allOf": [ref("TreeWhereInput")], "nullable": True},
            "best_tree": {"allOf": [ref("TreeWhereInput")], "nullable": True},
        }
    ),
    "GetTreesRequestBody": record(
        {
            "where": {"allOf": [ref("TreeWhereInput")], "nullable": True},
            "orderBy": {"allOf": [ref("TreeOrderByInput")], "nullable": True},
            "first": {"type": "integer", "format": "int32", "nullable": True},
        }
    ),
    "CommonParams": record(
        {"depth": {"type": "number", "minimum": 0}, "site": {**TEXT, "deprecated": True}}, "site"
    ),
    "PlantTreeParams": {
        "allOf": [
            record(
                {
                    "name": {"type": "string", "minLength": 1},
                    "spot": record({"row": COUNT}, "row"),
                    "rings": ref("RingCount"),
                    "groves": listed(ref("OrchardWhereInput")),
                    "companions": listed(ref("PlantTreeParams"), minItems=1),
                },
                "name",
            ),
            ref("CommonParams"),
            {"required": ["depth"]},
        ]
    },
    "ReplantTreeParams": ref("PlantTreeParams"),
    "PruneTreeParams": record({"__typename": TEXT, "how-far": COUNT, "from": TEXT}, "from"),
    "PruneTreesParams": listed(ref("PruneTreeParams")),
    "MoveTreeParams": record(
        {
            "data": record({"to": ref("TreeGrade")}, "to"),
            "where": ref("TreeWhereInput"),
            "import": TEXT,
        },
        "where",
        "data",
    ),
    "ChangeLimit": {"type": "integer", "minimum": 1},
    "TreeChanges": record({"data": listed(TEXT), "error": {}}, "data"),
}

_PATHS: Raw = {
    "/get-trees": {
        "post": operation("GetTrees", "Tree", listed(ref("Tree")), ref("GetTreesRequestBody"))
    },
    "/get-trees-connection": {
        "post": operation(
            "GetTreesConnection", "Tree", ref("TreeConnection"), ref("GetTreesRequestBody")
        )
    },
    "/plant-tree": {
        "post": operation(
            "PlantTree", "Tree", listed(ref("WithTask_Tree_")), listed(ref("PlantTreeParams"))
        )
    },
    "/replant-tree": {
        "post": operation(
            "ReplantTree",
            "Tree",
            ref("WithTask_Tree_Array"),
            ref("ReplantTreeParams"),
            deprecated=True,
        )
    },
    "/prune-trees": {
        "post": operation(
            "PruneTrees",
            "Tree",
            listed(ref("WithTask_Tree_")),
            ref("PruneTreesParams"),
            responses={
                "200": {"content": {"application/json": {"schema": listed(ref("WithTask_Tree_"))}}},
                "304": {},
            },
        )
    },
    "/fell-tree": {
        "post": operation(
            "FellTree", "Tree", listed(ref("WithTask_DeleteTree_")), ref("MoveTreeParams")
        )
    },
    "/move-tree": {
        "post": operation("MoveTree", "Tree", listed(ref("WithTask_Tree_")), ref("MoveTreeParams"))
    },
    "/upload-bark": {
        "post": operation(
            "UploadBark",
            "Tree",
            ref("Stand"),
            record(
                {"size": TEXT, "file": {"type": "string", "format": "binary"}, "part": COUNT},
                "file",
            ),
            content="multipart/form-data",
        )
    },
    "/get-stands": {"post": operation("GetStands", "FruitStand", listed(ref("Stand")))},
    "/get-picture": {
        "post": operation(
            "GetPicture",
            "FruitStand",
            {"type": "string", "format": "byte"},
            record({"of": ref("TreeWhereInput"), "id": TEXT}),
        )
    },
    "/get-season": {
        "get": operation("GetSeason", "Season", {"type": "string"}, security=[], parameters=[])
    },
    "/get-seasons-weather": {
        "get": operation(
            "GetSeasonsWeather",
            "Season",
            ref("TreeChanges"),
            security=[{"Basic": []}],
            parameters=[
                {"in": "header", "name": "content-language", "schema": TEXT},
                {"in": "query", "name": "from-day", "schema": TEXT},
                {"in": "query", "name": "limit", "required": True, "schema": ref("ChangeLimit")},
            ],
        )
    },
}

# Some contain names used in annotations, which must not be mistaken for annotations.
TEXTS = """
[fields]
name = "Name that gardeners use."
first = "Maximum number of resources."
where = "Filter."
id = "Identifier. Any letters."

[Tree]
id = "Identifier of the tree."
kind = 'What people say, such as "old".'

[PlantTreeParams]
depth = "Depth of the roots in centimeters; None means no roots."

[MoveTreeParams]
data = "Place to move the tree to."

[operations]
move-tree = "Move a tree to another place. Its task ends when the tree has taken root there, \
which may take a Mapping of seasons."
"""


def document() -> Raw:
    """Return the parsed schema file."""
    return {
        "info": {"version": "1.2.3", "x-cloudtower-version": "3.1.0"},
        "components": {"schemas": _SCHEMAS},
        "paths": _PATHS,
    }


def small(schemas: Raw, paths: Raw | None = None) -> Raw:
    """Return a schema file with only these parts."""
    return {"info": {"version": "1.0"}, "components": {"schemas": schemas}, "paths": paths or {}}


def history() -> Raw:
    """Return the history file of the test API.

    Almost everything exists since 3.0.0. The parts that tests examine exist since 3.1.0.
    """
    operations: dict[str, Raw] = {
        method["operationId"]: {"since": "3.0.0"}
        for methods in _PATHS.values()
        for method in methods.values()
    }
    operations["PlantTree"] = {"since": "3.1.0"}
    schemas: dict[str, Raw] = {}
    for name, raw in _SCHEMAS.items():
        entry: Raw = {"since": "3.0.0", "properties": dict(_properties(raw, ""))}
        entry["values"] = {value: {"since": "3.0.0"} for value in raw.get("enum", ())}
        schemas[name] = entry
    schemas["Tree"]["properties"]["new_in_two"] = {"since": "3.1.0", "required_since": "3.1.0"}
    schemas["TreeStatus"]["values"]["FELLED"] = {"since": "3.1.0"}
    schemas["Stand"]["since"] = "3.1.0"
    for wire in ("id", "orchard"):
        schemas["Stand"]["properties"][wire] = {"since": "3.1.0", "required_since": "3.1.0"}
    schemas["GetTreesRequestBody"]["properties"]["first"] = {"since": "3.1.0"}
    schemas["TreeWhereInput"]["properties"]["name_in"] = {"since": "3.1.0"}
    return {"versions": ["3.0.0", "3.1.0"], "operations": operations, "schemas": schemas}


def _properties(raw: Raw, within: str) -> list[tuple[str, Raw]]:
    """Return the dotted path and the history entry of each property, including nested ones."""
    found: list[tuple[str, Raw]] = []
    if not within and "$ref" in raw:
        raw = _SCHEMAS[raw["$ref"].rpartition("/")[2]]
    for part in raw.get("allOf", ()):
        found += _properties(part, within)
    for wire, value in raw.get("properties", {}).items():
        required = "3.0.0" if wire in raw.get("required", ()) else None
        found.append((within + wire, {"since": "3.0.0", "required_since": required}))
        inner, path = (
            (value["items"], f"{within}{wire}[].")
            if "items" in value
            else (value, f"{within}{wire}.")
        )
        found += _properties(inner, path)
    return found
