"""Known secrets are blotted out."""

from __future__ import annotations

from cloudtower_async.wire.masking import Mask


def test_secrets_are_blotted_out_however_json_spells_them() -> None:
    mask = Mask('pä"ss', None)
    assert mask('raw pä"ss'.encode()) == b"raw ***"
    assert mask(b'{"echo": "p\\u00e4\\"ss"}') == b'{"echo": "***"}'
    assert mask('{"echo": "pä\\"ss"}'.encode()) == b'{"echo": "***"}'


def test_a_secret_within_another_leaves_no_rest() -> None:
    assert Mask("abc", "abcdef")(b"abcdef abc") == b"*** ***"


def test_very_short_secrets_are_left_as_they_would_mask_everything() -> None:
    assert Mask("ab")(b"about") == b"about"


def test_a_secret_can_be_added_later() -> None:
    mask = Mask()
    mask.add("token")
    assert mask(b"a token") == b"a ***"
    assert "token" not in repr(mask)
