"""Modules that are loaded by imports and first uses. Each case runs in a separate process."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import get_args

import msgspec
import pytest

import cloudtower_async
from cloudtower_async.calls.operation import Operation

pytestmark = pytest.mark.subprocess

PACKAGE = "cloudtower_async"
SESSION = "from cloudtower_async import Cloudtower; tower = Cloudtower('tower.example', token='t')"


def names_after(code: str, names: str) -> set[str]:
    """Return the value of the expression `names` in a new process after running the code."""
    program = f"{code}\nimport sys\nprint(*{names})"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def loaded_by(code: str) -> set[str]:
    """Return the modules of the package that a new process has loaded after this code."""
    modules = names_after(code, "sys.modules")
    return {name for name in modules if name.partition(".")[0] == PACKAGE}


def below(package: str, modules: set[str]) -> set[str]:
    """Return the modules below a package of ours, without the name of that package."""
    prefix = f"{PACKAGE}.{package}."
    return {name.removeprefix(prefix) for name in modules if name.startswith(prefix)}


def answer_modules(namespace: str) -> set[str]:
    """Return the modules below models that the answers of a namespace use, directly or not."""
    module = import_module(f"{PACKAGE}.api.{namespace}")
    seen: set[object] = set()
    left: list[object] = [
        operation.answer()
        for operation in vars(module).values()
        if isinstance(operation, Operation)
    ]
    while left:
        kind = left.pop()
        if kind in seen:
            continue
        seen.add(kind)
        left += get_args(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            left += [field.type for field in msgspec.structs.fields(kind)]
    return below("models", {str(getattr(kind, "__module__", "")) for kind in seen})


def test_importing_the_package_loads_nothing_but_itself() -> None:
    assert loaded_by("import cloudtower_async") == {PACKAGE, f"{PACKAGE}._version"}


def test_making_a_session_loads_no_namespace_and_no_generated_type() -> None:
    modules = loaded_by(SESSION)
    assert not below("api", modules)
    assert not below("models", modules)
    assert not below("inputs", modules)


def test_making_a_session_loads_nothing_that_reads_profiles() -> None:
    assert f"{PACKAGE}.profiles" not in loaded_by(SESSION)


def test_an_error_is_loaded_without_the_session() -> None:
    modules = loaded_by("from cloudtower_async import TaskFailed")
    assert {name for name in modules if not name.startswith(f"{PACKAGE}.errors.")} == {
        PACKAGE,
        f"{PACKAGE}._version",
        f"{PACKAGE}.control_characters",
        f"{PACKAGE}.errors",
        f"{PACKAGE}.lazy_module",
    }


def test_the_first_use_of_a_namespace_loads_that_namespace_and_no_types() -> None:
    modules = loaded_by(f"{SESSION}; tower.vm.get_vms")
    assert below("api", modules) == {"vm"}
    assert not below("models", modules)
    assert not below("inputs", modules)


@pytest.mark.parametrize("namespace", ["vm", "cluster", "host"])
def test_decoding_answers_loads_the_models_that_they_hold(namespace: str) -> None:
    modules = loaded_by(
        f"{SESSION}; tower.{namespace}\n"
        "from cloudtower_async.calls.operation import Operation\n"
        f"from cloudtower_async.api import {namespace} as module\n"
        "for operation in vars(module).values():\n"
        "    if isinstance(operation, Operation): operation.decoder"
    )
    assert below("api", modules) == {namespace}
    assert not below("inputs", modules)
    models = below("models", modules) - {"enums", "references", "shared"}
    assert models == answer_modules(namespace)
    assert namespace in models


def test_every_public_name_is_found_at_its_first_use() -> None:
    assert names_after("from cloudtower_async import *", "globals()") >= set(
        cloudtower_async.__all__
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Cloudtowr'"):
        _ = cloudtower_async.Cloudtowr  # type: ignore[attr-defined]


def test_dir_names_everything_public() -> None:
    assert set(cloudtower_async.__all__) <= set(dir(cloudtower_async))
