"""Suggestions for commands and operations that do not exist."""

from __future__ import annotations

import pytest

from cloudtower_async.cli import main


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["stop-vm"], "there is no command 'stop-vm'; did you mean `vm stop`?"),
        (["vms_stop", "web-1"], "there is no command 'vms_stop'; did you mean `vm stop`?"),
        (["dashbord"], "there is no command 'dashbord'; did you mean dashboard?"),
        (["create-vm-vlan"], "did you mean `call create-vm-vlan`?"),
        (["vlans"], "did you mean `get vlans`?"),
        (["qqq"], "there is no command 'qqq'; `cloudtower-async --help` lists the commands"),
        (["vm", "strat"], "vm: there is no command 'strat'; did you mean start"),
        (["host", "maintenance", "go"], "expected one of enter, exit"),
        (
            ["call", "stop-vm"],
            "did you mean shut-down-vm or poweroff-vm? The command `vm stop` is similar.",
        ),
        (["call", "start-vmm"], "there is no operation 'start-vmm'; did you mean start-vm"),
        (["get", "vms", "--colums", "name"], "Did you mean --columns?"),
        (["get", "vms", "-o", "jsn"], 'Did you mean "json"?'),
        (["metrics", "vms", "web"], "expected one of vm, "),
        (["\x1b[31m"], "there is no command"),
    ],
)
def test_a_name_that_does_not_exist_gets_suggestions(
    capsys: pytest.CaptureFixture[str], typed: list[str], told: str
) -> None:
    assert main(typed) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert told in output.err
    assert output.err.count("\n") == 1
    assert "\x1b" not in output.err
