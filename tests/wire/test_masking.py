"""Known secrets are blotted out."""

from __future__ import annotations

from cloudtower_async.wire.masking import Mask


def test_secrets_are_blotted_out_however_json_spells_them() -> None:
    mask = Mask('pä"ss', None)
    assert mask('raw pä"ss') == "raw ***"
    assert mask('{"echo": "p\\u00e4\\"ss"}') == '{"echo": "***"}'
    assert mask('{"echo": "pä\\"ss"}') == '{"echo": "***"}'


def test_a_secret_within_another_leaves_no_rest() -> None:
    assert Mask("abc", "abcdef")("abcdef abc") == "*** ***"


def test_very_short_secrets_are_left_as_they_would_mask_everything() -> None:
    assert Mask("ab")("about") == "about"


def test_a_secret_can_be_added_later() -> None:
    mask = Mask()
    mask.add("token")
    assert mask("a token") == "a ***"
    assert "token" not in repr(mask)


def test_every_text_within_json_is_masked_and_its_keys_stay() -> None:
    value = {"token": ["a token", 1, None, {"x": "token"}]}
    assert Mask("token").within(value) == {"token": ["a ***", 1, None, {"x": "***"}]}
