"""Operations of the API."""

from __future__ import annotations

from cloudtower_async.calls.operation import Auth, Carries, Kind, Operation


def test_the_answer_type_is_loaded_once_at_first_use() -> None:
    asked: list[int] = []

    def answer() -> type[list[int]]:
        asked.append(1)
        return list[int]

    operation = Operation("a.get_b", "/get-b", Kind.QUERY, answer)
    assert not asked
    assert operation.decoder.decode(b"[1]") == [1]
    assert operation.decoder is operation.decoder
    assert asked == [1]


def test_the_defaults_are_those_of_nearly_every_operation() -> None:
    operation = Operation("a.get_b", "/get-b", Kind.QUERY, lambda: int)
    assert (operation.method, operation.carries, operation.auth) == (
        "POST",
        Carries.JSON,
        Auth.TOKEN,
    )
    assert operation.body is None
    assert not operation.not_modified
    assert repr(operation) == "<Operation a.get_b POST /get-b (query)>"
