"""Parser for GraphQL documents with one operation. Fragments are not supported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from ...types import CODEC_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN = re.compile(
    r"""(?P<skip>[\s,]+|\#[^\n]*)|(?P<text>"(?:\\.|[^"\\\n])*")|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<word>\$?[A-Za-z_]\w*)|(?P<mark>[{}()\[\]:=!])"""
)
_WORDS = {"true": True, "false": False, "null": None}


class GraphQLSyntaxError(Exception):
    """The GraphQL document is invalid or contains unsupported syntax."""


@dataclass(frozen=True, slots=True)
class GraphQLField:
    """Field that an operation requests.

    Args:
        name: Name of the field in the schema.
        alias: Name of the field in the response.
        arguments: Arguments of the field. Variables are replaced by their values.
        fields: Requested subfields. The tuple is empty for fields without subfields.
    """

    name: str
    alias: str
    arguments: dict[str, Any]
    fields: tuple[GraphQLField, ...]


@dataclass(frozen=True, slots=True)
class GraphQLOperation:
    """Query or mutation.

    Args:
        mutation: Whether the operation is a mutation.
        fields: Requested fields.
    """

    mutation: bool
    fields: tuple[GraphQLField, ...]


def parse(text: str, variables: Mapping[str, Any]) -> GraphQLOperation:
    """Parse a GraphQL document with one operation.

    Raises:
        GraphQLSyntaxError: The document is invalid or contains unsupported syntax, or a variable
            has no value.
    """
    return _Parser(text, variables).operation()


class _Parser:
    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._tokens = [*_split(text), ""]
        self._variables = variables

    def operation(self) -> GraphQLOperation:
        kind = "query"
        if self._next() != "{":
            kind = self._take()
            if kind not in {"query", "mutation"}:
                raise GraphQLSyntaxError(f"expected query or mutation, found {kind!r}")
            if self._next() not in {"(", "{"}:
                self._take()  # the name of the operation
            if self._next() == "(":
                while self._take() != ")":  # skip the types of the variables
                    pass
        fields = self._fields()
        self._expect("")
        return GraphQLOperation(kind == "mutation", fields)

    def _fields(self) -> tuple[GraphQLField, ...]:
        self._expect("{")
        fields: list[GraphQLField] = []
        while self._next() != "}":
            fields.append(self._field())
        self._expect("}")
        if not fields:
            raise GraphQLSyntaxError("expected a field, found '}'")
        return tuple(fields)

    def _field(self) -> GraphQLField:
        alias = name = self._word()
        if self._next() == ":":
            self._take()
            name = self._word()
        arguments = self._pairs("(", ")") if self._next() == "(" else {}
        fields = self._fields() if self._next() == "{" else ()
        return GraphQLField(name, alias, arguments, fields)

    def _pairs(self, start: str, end: str) -> dict[str, Any]:
        self._expect(start)
        pairs: dict[str, Any] = {}
        while self._next() != end:
            name = self._word()
            self._expect(":")
            pairs[name] = self._value()
        self._expect(end)
        return pairs

    def _value(self) -> object:
        if self._next() == "{":
            return self._pairs("{", "}")
        if self._next() == "[":
            self._take()
            values: list[object] = []
            while self._next() != "]":
                values.append(self._value())
            self._take()
            return values
        token = self._take()
        if token.startswith("$"):
            if token[1:] not in self._variables:
                raise GraphQLSyntaxError(f"the variable {token} is not given")
            return self._variables[token[1:]]
        if token[:1].isalpha() or token[:1] == "_":
            return _WORDS.get(token, token)
        try:
            return msgspec.json.decode(token)
        except CODEC_ERRORS:
            raise GraphQLSyntaxError(f"expected a value, found {token!r}") from None

    def _next(self) -> str:
        return self._tokens[0]

    def _take(self) -> str:
        if not self._tokens[0]:
            raise GraphQLSyntaxError("the text ends too early")
        return self._tokens.pop(0)

    def _word(self) -> str:
        token = self._take()
        if not (token[0].isalpha() or token[0] == "_"):
            raise GraphQLSyntaxError(f"expected a name, found {token!r}")
        return token

    def _expect(self, mark: str) -> None:
        if self._next() != mark:
            raise GraphQLSyntaxError(f"expected {mark or 'the end'!r}, found {self._next()!r}")
        if mark:
            self._take()


def _split(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise GraphQLSyntaxError(f"unexpected {text[place]!r}")
        place = found.end()
        if found.lastgroup != "skip":
            yield found[0]
