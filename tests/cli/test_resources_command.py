"""``cloudtower-async resources``, and errors for unknown names."""

from __future__ import annotations

from typing import get_args

import pytest

from cloudtower_async.calls import registry
from cloudtower_async.cli import main
from cloudtower_async.cli.columns import Columns, every_column
from cloudtower_async.cli.errors import UsageError
from cloudtower_async.cli.resource_names import queries, query_for, resource_names
from tests.cli.command import run


@pytest.mark.subprocess
def test_each_resource_is_a_line() -> None:
    ended = run("resources")
    assert (ended.returncode, ended.stderr) == (0, "")
    head, *names = ended.stdout.splitlines()
    assert head == "RESOURCE"
    assert {"vms", "hosts", "content-library-images"} <= set(names)
    assert sorted(map(query_for, names)) == sorted(set(queries().values()))


def test_the_columns_of_a_resource_are_listed_with_their_types(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["resources", "vm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["COLUMN", "HOLDS"]
    held = dict(line.split(maxsplit=1) for line in lines[1:])
    assert held["vcpu"] == "whole number"
    assert held["cluster.name"] == held["vm_disks.id"] == "text"
    assert held["ha"] == "true or false"
    assert "RUNNING, STOPPED" in held["status"]
    assert held["age"] == "in tables only, from local_created_at"


def test_listed_fields_can_be_columns() -> None:
    for name in resource_names():
        [kind] = get_args(registry.operation(query_for(name)).answer())
        columns = list(every_column(kind))
        assert Columns(kind, columns).names == columns


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (
            "images",
            "elf-images or svt-images or cluster-images or content-library-images?",
        ),
        ("vmz", "vm or vms?"),
    ],
)
def test_a_partial_or_misspelled_name_gets_suggestions(typed: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        query_for(typed)
    assert str(refused.value) == f"there is no resource {typed!r}; did you mean {meant}"


def test_a_name_without_a_near_match_points_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("get", "resources"):
        assert main([command, "qqq"]) == 2
        assert capsys.readouterr().err == (
            "cloudtower-async: there is no resource 'qqq'; "
            "`cloudtower-async resources` lists them\n"
        )
