"""Public names of the package are loaded at first use."""

from __future__ import annotations

import pytest

from cloudtower_async import testing


def test_every_public_name_is_there() -> None:
    assert all(getattr(testing, name).__name__ == name for name in testing.__all__)
    assert set(testing.__all__) <= set(dir(testing))


def test_any_other_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Simulatr'"):
        _ = testing.Simulatr  # type: ignore[attr-defined] # pyright: ignore
