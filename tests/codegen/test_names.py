from __future__ import annotations

import pytest

from codegen import names


@pytest.mark.parametrize(
    ("wire", "python"),
    [
        ("name", "name"),
        ("orderBy", "order_by"),
        ("entityAsyncStatus", "entity_async_status"),
        ("TreeID", "tree_id"),
        ("HTTPServer", "http_server"),
        ("V2EverTree", "v2_ever_tree"),
        ("exec_h_m", "exec_h_m"),
        ("_label", "label"),
        ("__typename", "typename"),
        ("seed-lot", "seed_lot"),
        ("a - b", "a_b"),
        ("class", "class_"),
        ("_import", "import_"),
        ("manageVDSes", "manage_vdses"),
        ("GetTopNVmVolumeMetrics", "get_top_nvm_volume_metrics"),
    ],
)
def test_python_names_are_words_in_lower_case(wire: str, python: str) -> None:
    assert names.snake(wire) == python
    assert python.isidentifier()


@pytest.mark.parametrize(
    ("wire", "name"),
    [("vmVolumes", "VmVolumes"), ("exec_h_m", "ExecHM"), ("_in", "In"), ("seed-lot", "SeedLot")],
)
def test_a_schema_named_after_a_property_is_in_capital_words(wire: str, name: str) -> None:
    assert names.pascal(wire) == name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("GROWING", "GROWING"),
        ("name_ASC", "name_ASC"),
        ("second-hand", "SECOND_HAND"),
        ("class", "CLASS"),
        ("10 PCT", "VALUE_10_PCT"),
        ("*", "ANY"),
    ],
)
def test_an_enum_member_is_named_like_its_value_where_that_is_possible(
    value: str, name: str
) -> None:
    assert names.member(value) == name
    assert name.isidentifier()


@pytest.mark.parametrize(
    ("values", "aliases"),
    [
        (["FIR_RED", "FIR_BLUE"], {"RED": "FIR_RED", "BLUE": "FIR_BLUE"}),
        (["FIR_1_RED", "FIR_2_RED"], {"_1_RED": "FIR_1_RED", "_2_RED": "FIR_2_RED"}),
        (["mixedCase", "OTHER"], {"MIXEDCASE": "mixedCase"}),
        (["10 PCT", "B"], {"_10_PCT": "VALUE_10_PCT"}),
        (["FIR_RED"], {}),
        (["FIR_RED", "FIRM"], {}),
        (["*", "ALL"], {}),
        (["red", "RED"], {}),
    ],
)
def test_members_have_the_vendors_short_names_as_aliases(
    values: list[str], aliases: dict[str, str]
) -> None:
    assert names.aliases("Fir", values) == aliases


def test_an_enum_value_without_letters_asks_for_a_correction() -> None:
    with pytest.raises(ValueError, match=r"'\+-' needs a name in corrections.MEMBERS"):
        names.member("+-")


@pytest.mark.parametrize(
    ("key", "possible"),
    [
        ("name", True),
        ("_name", True),
        ("__name", False),
        ("from", False),
        ("seed-lot", False),
        ("1st", False),
    ],
)
def test_a_key_of_a_class_body_is_an_identifier_that_is_not_mangled(
    key: str, possible: bool
) -> None:
    assert names.is_key(key) is possible
