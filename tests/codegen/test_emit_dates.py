"""Arguments that the generator recognizes as dates."""

from __future__ import annotations

from codegen import emit_dates, emit_inputs
from codegen.schema import Api, ListOf, Node, Operation, Property, Record, Ref, Scalar

TEXT = Scalar("str")


def _record(name: str, /, **properties: Node) -> Record:
    made = (Property(wire, node, False, True, False) for wire, node in properties.items())
    return Record(name, name, tuple(made))


def _api(*records: Record) -> Api:
    """Return an API with one operation per record, whose arguments are that record."""
    api = Api("1", "1")
    for record in records:
        api.types[record.name] = record
        arguments = Ref(record.name)
        operation = Operation(
            f"get{record.name}", "POST", f"/{record.name}", "Tree", "JSON", "TOKEN",
            arguments, TEXT,
            not_modified=False, deprecated=False,
        )  # fmt: skip
        api.operations.append(operation)
    return api


TREE_FILTER = _record(
    "TreeWhereInput",
    planted_at=TEXT, planted_at_lt=TEXT, planted_at_in=ListOf(TEXT),
    name=TEXT, name_lt=TEXT, name_contains=TEXT,
    height=Scalar("int"), height_lt=Scalar("int"),
    ended=TEXT,
)  # fmt: skip


def test_a_filter_compares_a_date_and_cannot_search_in_it() -> None:
    assert emit_dates.date_fields(_api(TREE_FILTER)) == {"TreeWhereInput": "planted_at"}


def test_an_argument_is_a_date_if_filters_know_its_name_as_a_date() -> None:
    argument = _record(
        "TreeParams", planted_at=TEXT, name=TEXT, ended=TEXT, at=Scalar("str", is_date=True)
    )
    number = _record("OtherParams", planted_at=Scalar("int"))
    found = emit_dates.date_fields(_api(TREE_FILTER, argument, number))
    assert found == {"TreeWhereInput": "planted_at", "TreeParams": "at planted_at"}


def test_a_name_that_is_a_text_in_another_filter_says_nothing_of_an_argument() -> None:
    other = _record("FernWhereInput", planted_at=TEXT, planted_at_lt=TEXT, planted_at_contains=TEXT)
    argument = _record("TreeParams", planted_at=TEXT)
    found = emit_dates.date_fields(_api(TREE_FILTER, other, argument))
    assert found == {"TreeWhereInput": "planted_at"}


def test_annotations_of_dates_say_so() -> None:
    api = _api(TREE_FILTER, _record("TreeParams", planted_at=TEXT, name=TEXT))
    emit_dates.mark(api)
    annotations = {
        f"{name}.{prop.wire}": emit_inputs.annotation(prop.node)
        for name, record in api.types.items()
        if isinstance(record, Record)
        for prop in record.properties
        if emit_inputs.annotation(prop.node) not in ("str", "int")
    }
    assert annotations == {
        "TreeWhereInput.planted_at": "Date",
        "TreeWhereInput.planted_at_lt": "Date",
        "TreeWhereInput.planted_at_in": "Dates",
        "TreeParams.planted_at": "Date",
    }


def test_the_module_holds_the_table() -> None:
    said: dict[str, object] = {}
    exec(emit_dates.module(_api(TREE_FILTER)), said)  # noqa: S102 - the generator's own text
    assert said["DATE_FIELDS"] == {"TreeWhereInput": "planted_at"}
