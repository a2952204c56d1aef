"""Suggestions for misspelled names."""

from __future__ import annotations

from cloudtower_async.spelling import did_you_mean


def test_the_nearest_names_are_suggested() -> None:
    assert did_you_mean("nmae", ["name", "size"]) == "; did you mean name?"
    assert did_you_mean("vms", ["vm", "vmd"]) == "; did you mean vm or vmd?"


def test_case_does_not_count() -> None:
    assert did_you_mean("VM", ["VmDisk", "Vm"]) == "; did you mean Vm?"
    assert did_you_mean("name", ["NAME", "Name", "named"]) == "; did you mean NAME or Name?"
    assert did_you_mean("VMDISKS", ["Vm", "VmDisk"]) == "; did you mean VmDisk?"


def test_without_near_names_nothing_is_suggested() -> None:
    assert did_you_mean("x", ["name"]) == ""
