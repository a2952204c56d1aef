"""Check that a struct of the caller can hold every value that the API may send."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeAlias, get_origin

import msgspec
from msgspec import inspect

from ..errors import InvalidInput
from ..spelling import did_you_mean
from ..types import OpenEnum

if TYPE_CHECKING:
    from collections.abc import Iterable

Path: TypeAlias = tuple[str, ...]
"""Names of the fields that lead to a value, starting at the outermost struct."""

_CONSTRAINTS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")

_NAMES: dict[type[inspect.Type], str] = {
    inspect.AnyType: "Any",
    inspect.BoolType: "bool",
    inspect.BytesType: "bytes",
    inspect.FloatType: "float",
    inspect.IntType: "int",
    inspect.NoneType: "None",
    inspect.RawType: "msgspec.Raw",
    inspect.StrType: "str",
}

_SAME = (inspect.BoolType, inspect.BytesType, inspect.IntType)
"""Types that have no nested types to compare."""


def check_struct(asker: str, api: type[msgspec.Struct], struct: type[msgspec.Struct]) -> None:
    """Check that a struct can decode every row that the API may send.

    Args:
        asker: Prefix of error messages: the names of the function and the operation.
        api: The API's struct of a row, with all fields.
        struct: The struct of the caller.

    Raises:
        InvalidInput: The API lacks a field of the struct, a field cannot hold every value that the
            API may send, or the annotations of the struct cannot be resolved.
    """
    asker = f"{asker}: {struct.__name__}"
    try:
        info = inspect.type_info(struct)
        msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]
    except NameError as exc:
        raise InvalidInput(
            f"{asker}: cannot resolve an annotation: {exc}; define and import what its "
            "annotations name at the top level of the module, not in a function nor under "
            "`if TYPE_CHECKING`"
        ) from exc
    except TypeError as exc:
        raise InvalidInput(f"{asker}: {exc}") from exc
    assert isinstance(info, inspect.StructType)  # noqa: S101 - for type checkers
    if not info.fields:
        raise InvalidInput(f"{asker}: it has no fields, so it selects nothing")
    _Comparison(asker).structs(api, info, ())


def declaration(field: msgspec.structs.FieldInfo) -> str:
    """Return the declaration of a field of the API: ``"cpu_usage: float | None = None"``."""
    spelled = f"{field.name}: {_spelled(inspect.type_info(field.type))}"
    if field.encode_name != field.name:
        default = "" if field.required else "default=None, "
        return f'{spelled} = msgspec.field({default}name="{field.encode_name}")'
    return spelled if field.required else f"{spelled} = None"


class _Comparison:
    """Compares the types of a struct with the types of the API.

    Args:
        asker: As for `check_struct`.
    """

    def __init__(self, asker: str) -> None:
        self._asker = asker
        self._seen: set[tuple[object, object]] = set()

    def structs(self, api: type[msgspec.Struct], mine: inspect.StructType, path: Path) -> None:
        """Raise InvalidInput if the caller's struct cannot hold every value of the API's struct.

        `path` contains the names of the fields from the row to `mine`.
        """
        if mine.cls is api or (api, mine.cls) in self._seen:
            return
        self._seen.add((api, mine.cls))
        self._options(mine, path)
        fields = {field.encode_name: field for field in msgspec.structs.fields(api)}
        for field in mine.fields:
            known = fields.get(field.encode_name)
            if known is None:
                self._unknown(field, fields.values(), path)
            self._field(known, field, (*path, field.encode_name))

    def _options(self, mine: inspect.StructType, path: Path) -> None:
        kind: type[msgspec.Struct] = get_origin(mine.cls) or mine.cls
        name = f"`{_dotted(path)}`: {kind.__name__}: " if path else ""
        if mine.forbid_unknown_fields:
            self._refuse(
                f"{name}forbid_unknown_fields would refuse every answer, "
                "as the server sends all fields; remove it"
            )
        if mine.tag is not None:
            self._refuse(f"{name}the API has no tags; remove tag and tag_field")
        if mine.array_like:
            self._refuse(f"{name}array_like does not fit: the API sends objects; remove it")
        if not kind.__struct_config__.eq:
            self._refuse(f"{name}eq=False does not fit: rows are compared by value; remove it")
        if hasattr(kind, "__post_init__"):
            self._refuse(
                f"{name}__post_init__ is not supported, as it would run, and could fail, while "
                "answers are decoded; use a method or a property"
            )

    def _unknown(
        self,
        field: inspect.Field,
        known: Iterable[msgspec.structs.FieldInfo],
        path: Path,
    ) -> NoReturn:
        for one in known:
            if one.name == field.encode_name:
                self._refuse(
                    f"the API calls `{_dotted((*path, one.name))}` `{one.encode_name}`; "
                    f"declare it `{declaration(one)}`"
                )
        near = did_you_mean(f"`{field.encode_name}`", [f"`{one.encode_name}`" for one in known])
        self._refuse(f"the API has no field `{_dotted((*path, field.encode_name))}`{near}")

    def _field(self, api: msgspec.structs.FieldInfo, mine: inspect.Field, path: Path) -> None:
        kind = mine.type
        is_raw = any(isinstance(part, inspect.RawType) for part in _parts(kind))
        if path == ("id",) and is_raw:
            self._refuse("`id` must be a `str`, as rows are told apart by it")
        if not api.required and not _takes_anything(kind) and not _takes_none(kind):
            self._refuse(
                f"`{_dotted(path)}` may be None; declare it `{_spelled(kind)} | None = None`"
            )
        if not api.required and mine.required:
            optional = " | None" if is_raw and not _takes_none(kind) else ""
            self._refuse(
                f"servers may leave out `{_dotted(path)}`; "
                f"declare it `{_spelled(kind)}{optional} = None`"
            )
        self._types(inspect.type_info(api.type), kind, path)

    def _types(self, api: inspect.Type, mine: inspect.Type, path: Path) -> None:
        """Raise InvalidInput if the caller's type cannot hold every value of the API's type."""
        if _takes_anything(mine):
            return
        for part in _parts(api):
            if isinstance(part, inspect.NoneType):
                continue  # `_field` has checked None
            fitting = next((one for one in _parts(mine) if _fits(part, one)), None)
            if fitting is None:
                self._mismatch(api, mine, path)
            if any(getattr(fitting, name, None) is not None for name in _CONSTRAINTS):
                self._refuse(
                    f"`{_dotted(path)}`: constraints of msgspec.Meta are not supported, as they "
                    "would make answers of the server invalid; check the values in your own code"
                )
            if isinstance(fitting, inspect.ListType) and isinstance(part, inspect.ListType):
                self._types(part.item_type, fitting.item_type, path)
            elif isinstance(fitting, inspect.StructType) and isinstance(part, inspect.StructType):
                self.structs(part.cls, fitting, path)
            elif isinstance(fitting, inspect.DictType):
                inner = part.value_type if isinstance(part, inspect.DictType) else _ANY
                self._types(inner, fitting.value_type, path)

    def _mismatch(self, api: inspect.Type, mine: inspect.Type, path: Path) -> NoReturn:
        for part in _parts(mine):
            if isinstance(part, inspect.EnumType | inspect.LiteralType):
                self._refuse(
                    f"`{_dotted(path)}`: `{_spelled(part)}` would refuse values that newer servers "
                    f"send; use `{_spelled(api)}`, `str` or an enum derived from "
                    "cloudtower_async.OpenEnum"
                )
        self._refuse(f"`{_dotted(path)}` is `{_spelled(api)}` in the API, not `{_spelled(mine)}`")

    def _refuse(self, why: str) -> NoReturn:
        raise InvalidInput(f"{self._asker}: {why}")


_ANY = inspect.AnyType()


def _fits(api: inspect.Type, mine: inspect.Type) -> bool:
    """Return whether `mine` can hold the values of `api`. Nested types are not compared."""
    if isinstance(mine, inspect.StrType):
        return isinstance(api, inspect.StrType | inspect.EnumType)
    if isinstance(mine, inspect.EnumType):
        text = isinstance(api, inspect.StrType | inspect.EnumType)
        return text and issubclass(mine.cls, OpenEnum)
    if isinstance(mine, inspect.FloatType):
        return isinstance(api, inspect.FloatType | inspect.IntType)
    if isinstance(mine, inspect.ListType):
        return isinstance(api, inspect.ListType)
    if isinstance(mine, inspect.StructType):
        return isinstance(api, inspect.StructType)
    if isinstance(mine, inspect.DictType):
        keys = _takes_anything(mine.key_type) or isinstance(mine.key_type, inspect.StrType)
        return keys and isinstance(api, inspect.DictType | inspect.StructType)
    return isinstance(mine, _SAME) and type(api) is type(mine)


def _parts(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    """Return the members of a union; for any other type, return the type alone."""
    kind = _plain(kind)
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _plain(kind: inspect.Type) -> inspect.Type:
    """Remove metadata such as a description from a type. Constraints such as ``gt`` remain."""
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _takes_anything(kind: inspect.Type) -> bool:
    return any(
        isinstance(part, inspect.AnyType | inspect.RawType)
        or (isinstance(part, inspect.CustomType) and part.cls is object)
        for part in _parts(kind)
    )


def _takes_none(kind: inspect.Type) -> bool:
    return any(isinstance(part, inspect.NoneType) for part in _parts(kind))


def _spelled(kind: inspect.Type) -> str:
    """Format a type as in source code."""
    kind = _plain(kind)
    if isinstance(kind, inspect.UnionType):
        return " | ".join(map(_spelled, kind.types))
    if isinstance(kind, inspect.ListType):
        return f"list[{_spelled(kind.item_type)}]"
    if isinstance(kind, inspect.DictType):
        return f"dict[{_spelled(kind.key_type)}, {_spelled(kind.value_type)}]"
    if isinstance(kind, inspect.LiteralType):
        return f"Literal[{', '.join(map(repr, kind.values))}]"
    cls: object = getattr(kind, "cls", None)
    name: str = getattr(cls, "__name__", "") or str(cls)
    return name if cls is not None else _NAMES.get(type(kind), type(kind).__name__)


def _dotted(path: Path) -> str:
    return ".".join(path)
