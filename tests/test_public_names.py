"""Public names: lazy, complete, and the same for type checkers and at run time."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_origin

import msgspec
import pytest

import cloudtower_async
import cloudtower_async.errors
import cloudtower_async.recipes

if TYPE_CHECKING:
    from types import ModuleType

SOURCE = Path(cloudtower_async.__file__)


def test_every_public_name_is_there() -> None:
    for name in cloudtower_async.__all__:
        assert hasattr(cloudtower_async, name)
    assert set(cloudtower_async.__all__) <= set(dir(cloudtower_async))


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Cloudtowr'"):
        _ = cloudtower_async.Cloudtowr  # type: ignore[attr-defined] # pyright: ignore


def test_checkers_see_the_same_names_in_the_same_places() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    homes = {
        alias.name: f"cloudtower_async.{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*homes, "__version__"} == set(cloudtower_async.__all__)
    for name, home in homes.items():
        __import__(home)
        assert getattr(cloudtower_async, name) is getattr(sys.modules[home], name)


@pytest.mark.subprocess
def test_importing_loads_nothing_else() -> None:
    code = (
        "import sys, cloudtower_async\n"
        "print(*sorted(m for m in sys.modules if m.startswith('cloudtower_async')))\n"
        "print('aiohttp' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert run.stdout.split() == ["cloudtower_async", "cloudtower_async._version", "False"]


def test_the_version_is_that_of_the_package() -> None:
    assert importlib.metadata.version("cloudtower-async") == cloudtower_async.__version__


def test_every_error_is_public() -> None:
    errors = {
        name
        for name, value in vars(cloudtower_async.errors).items()
        if isinstance(value, type) and issubclass(value, cloudtower_async.CloudtowerError)
    }
    assert errors <= set(cloudtower_async.__all__)


def test_types_in_signatures_of_the_session_are_public() -> None:
    tree = ast.parse(SOURCE.with_name("client.py").read_text(encoding="utf-8"))
    homes = {
        alias.asname or alias.name: (*filter(None, (node.module,)), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    (session,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    methods = (
        node
        for node in session.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.name == "__init__" or not node.name.startswith("_"))
    )
    nodes = [
        node
        for method in methods
        for part in (method.args, method.returns)
        for node in (ast.walk(part) if part else ())
    ]
    qualified = {
        (*homes[node.value.id], node.attr)
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in homes
    }
    modules = {node.value for node in nodes if isinstance(node, ast.Attribute)}
    plain = {
        homes[node.id]
        for node in nodes
        if isinstance(node, ast.Name) and node.id in homes and node not in modules
    }
    used = {
        name: ".".join(home)
        for *home, name in qualified | plain
        if home[0] not in ("inputs", "models")
    }
    assert {"Waitable", "UploadOptions", "EnvironmentOptions", "Uploadable"} <= used.keys()
    literals = {name for name, home in used.items() if _is_literal(home, name)}
    assert used.keys() - literals <= set(cloudtower_async.__all__)


def _is_literal(home: str | None, name: str) -> bool:
    """Return whether a type is a choice of strings, which callers write literally."""
    value = getattr(importlib.import_module(f"cloudtower_async.{home}"), name)
    return get_origin(value) is Literal


@pytest.mark.parametrize("module", [cloudtower_async, cloudtower_async.recipes])
def test_every_struct_has_a_signature_for_help(module: ModuleType) -> None:
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) and issubclass(value, msgspec.Struct):
            assert inspect.signature(value).parameters or value is cloudtower_async.Everything


def test_no_two_classes_share_a_name() -> None:
    package, generated = SOURCE.parent, {"api", "models", "inputs"}
    places: dict[str, list[str]] = {}
    for path in package.rglob("*.py"):
        place = path.relative_to(package)
        if place.parts[0] in generated:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(place))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
