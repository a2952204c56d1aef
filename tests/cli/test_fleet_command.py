"""The command ``fleet``: its arguments, and the extra that it needs."""

from __future__ import annotations

import sys

import pytest

from cloudtower_async.cli import main

JOB = "examples.fleet.snapshots:nightly"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["worker"], "fleet worker: pass the jobs to work on, as module:name"),
        (["worker", "nightly"], "'nightly' is not the name of a job: expected module:name"),
        (["run", JOB, "--profiles=a", "--per-tower=0"], "Must be >= 1"),
        (["run", JOB], "parameter --profiles requires an argument"),
    ],
)
def test_wrong_arguments_are_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["fleet", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_an_address_that_cannot_be_used_is_refused_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ("http://:secret@queue/0", "redis://:secret@queue:port"):
        monkeypatch.setenv("CLOUDTOWER_FLEET_REDIS", address)
        assert main(["fleet", "status"]) == 2
        told = capsys.readouterr().err
        assert "CLOUDTOWER_FLEET_REDIS is not an address of Redis" in told
        assert "secret" not in told


@pytest.mark.parametrize("package", ["redis", "taskiq", "taskiq_redis"])
def test_without_the_extra_the_error_names_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("cloudtower_async.jobs.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["fleet", "worker", JOB]) == 2
    assert 'pip install "cloudtower-async[fleet]"' in capsys.readouterr().err
