from __future__ import annotations

from typing import Any

import pytest

from codegen.history import History, newer
from codegen.schema import Property, Record, Scalar

_DOCUMENT: dict[str, Any] = {
    "versions": ["3.4.0", "4.2.0", "4.10.0"],
    "operations": {"Weigh": {"since": "4.2.0"}},
    "schemas": {
        "Box": {
            "since": "3.4.0",
            "values": {"RED": {"since": "4.0.0"}},
            "properties": {
                "size": {"since": "3.4.0", "required_since": "3.4.0"},
                "lid": {"since": "4.1.0", "required_since": "4.1.0"},
                "name": {"since": "3.4.0", "required_since": None, "removed": "4.2.0"},
                "sides": {"since": "3.4.0", "required_since": "3.4.0"},
                "sides[].width": {"since": "3.4.0", "required_since": "3.4.0"},
            },
        }
    },
}


def _property(wire: str, *, required: bool = True, nullable: bool = False) -> Property:
    return Property(wire, Scalar("int"), required, nullable, deprecated=False)


@pytest.fixture
def boxes() -> History:
    return History(_DOCUMENT)


def test_versions_are_looked_up_by_operation_schema_value_and_property(boxes: History) -> None:
    box = Record("Box", "Box", ())
    assert boxes.operation_since("Weigh") == "4.2.0"
    assert boxes.schema_since("Box") == "3.4.0"
    assert boxes.value_since("Box", "RED") == "4.0.0"
    assert boxes.property_since(box, _property("lid")) == "4.1.0"


def test_the_newest_version_is_found_by_its_numbers(boxes: History) -> None:
    assert boxes.newest == "4.10.0"


def test_properties_of_older_servers_only_are_known(boxes: History) -> None:
    assert boxes.removed("Box") == {"name"}
    assert boxes.removed("Form") == set()


def test_a_property_of_an_inline_record_is_looked_up_by_its_path(boxes: History) -> None:
    side = Record("BoxSides", "Box.sides[]", ())
    assert boxes.property_since(side, _property("width")) == "3.4.0"


def test_parts_without_history_always_existed(boxes: History) -> None:
    form = Record("UploadForm", "Upload", ())
    assert boxes.schema_since("Upload") == "3.0.0"
    assert boxes.schema_since("Upload.part") == "3.0.0"
    assert boxes.property_since(form, _property("file")) == "3.0.0"


@pytest.mark.parametrize(
    ("prop", "always"),
    [
        (_property("size"), True),
        (_property("size", nullable=True), False),
        (_property("size", required=False), False),
        (_property("lid"), False),
        (_property("name"), False),
        (_property("unheard_of"), False),
    ],
)
def test_a_property_is_always_sent_when_it_is_as_old_as_its_schema(
    boxes: History, prop: Property, always: bool
) -> None:
    assert boxes.always_sent(Record("Box", "Box", ()), prop) is always


def test_a_property_in_place_is_measured_by_the_schema_around_it(boxes: History) -> None:
    assert boxes.always_sent(Record("BoxSides", "Box.sides[]", ()), _property("width"))


def test_a_record_in_place_is_as_old_as_the_property_that_holds_it(boxes: History) -> None:
    assert boxes.schema_since("Box.sides[]") == "3.4.0"
    assert boxes.schema_since("Box.lid") == "4.1.0"


def test_a_form_is_as_old_as_its_operation(boxes: History) -> None:
    assert boxes.schema_since("Weigh") == "4.2.0"
    assert boxes.property_since(Record("WeighForm", "Weigh", ()), _property("file")) == "4.2.0"


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [
        ("4.9.0", "4.8.0", True),
        ("4.10.0", "4.9.0", True),
        ("4.9.0", "4.10.0", False),
        ("4.9.0", "4.9.0", False),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, expected: bool) -> None:
    assert newer(version, than) is expected
