"""Generated modules load only when they are used, and checkers see all names."""

from __future__ import annotations

import ast
import functools
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import cloudtower_async
from cloudtower_async import inputs, models
from cloudtower_async.api import Namespaces
from cloudtower_async.types import OpenEnum

_PACKAGE = Path(cloudtower_async.__file__).parent
_SHARED = ("models.enums", "models.references", "models.shared")


def _for_checkers(module: str) -> dict[str, str]:
    """Return the module of each name that the stub re-exports."""
    tree = ast.parse((_PACKAGE / module / "__init__.pyi").read_text())
    found: dict[str, str] = {}
    for node in tree.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.level == 1
        for alias in node.names:
            assert alias.asname == alias.name
            assert alias.name not in found
            found[alias.name] = str(node.module)
    return found


@pytest.mark.parametrize("package", ["models", "inputs"])
def test_checkers_see_exactly_what_loads_at_first_use(package: str) -> None:
    module: Any = importlib.import_module(f"cloudtower_async.{package}")
    assert _for_checkers(package) == module.MODULES
    assert dir(module) == sorted(module.MODULES)


@pytest.mark.parametrize("package", ["models", "inputs"])
def test_every_name_of_a_package_loads(package: str) -> None:
    module: Any = importlib.import_module(f"cloudtower_async.{package}")
    assert len(module.MODULES) > 300
    for name, home in module.MODULES.items():
        there = importlib.import_module(f"cloudtower_async.{package}.{home}")
        assert getattr(module, name) is getattr(there, name)


def test_models_are_structs_and_open_enums() -> None:
    for name in dir(models):
        kind = getattr(models, name)
        assert issubclass(kind, msgspec.Struct | OpenEnum), name
        assert kind.__name__ == name
        if issubclass(kind, msgspec.Struct):
            config = kind.__struct_config__
            assert config.frozen, name
            assert not config.gc, name


@pytest.mark.parametrize("package", [models, inputs])
def test_an_unknown_name_is_an_attribute_error(package: object) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = package.Nonsense  # type: ignore[attr-defined]


def test_each_namespace_has_one_cached_property_that_loads_its_module() -> None:
    tower: Any = Namespaces()
    tower._executor = object()
    files = {file.stem for file in (_PACKAGE / "api").glob("*.py")}
    modules = files - {"__init__", "catalogue", "namespaces"}
    properties = {
        name for name, v in vars(Namespaces).items() if isinstance(v, functools.cached_property)
    }
    assert properties == modules
    for name in properties:
        namespace = getattr(tower, name)
        assert namespace is getattr(tower, name)
        assert type(namespace).__module__ == f"cloudtower_async.api.{name}"
        assert namespace._executor is tower._executor


def _loaded_after(*lines: str) -> set[str]:
    """Return the generated modules that a new interpreter has loaded after these lines."""
    code = "\n".join(
        [
            "import sys",
            *lines,
            "print([n[17:] for n in sys.modules if n.startswith('cloudtower_async.')])",
        ]
    )
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names: list[str] = ast.literal_eval(run.stdout)
    return {name for name in names if name.split(".")[0] in ("api", "inputs", "models")}


@pytest.mark.subprocess
def test_importing_the_package_loads_nothing_that_is_generated() -> None:
    assert _loaded_after("import cloudtower_async") == set()


@pytest.mark.subprocess
def test_the_session_loads_no_namespace_model_or_input() -> None:
    assert _loaded_after("from cloudtower_async import Cloudtower") == {"api"}


@pytest.mark.subprocess
def test_a_namespace_loads_itself_alone() -> None:
    loaded = _loaded_after(
        "from cloudtower_async.api import Namespaces",
        "tower = Namespaces()",
        "tower._executor = None",
        "tower.vm",
    )
    assert loaded == {"api", "api.vm", "inputs", "models"}


@pytest.mark.subprocess
def test_a_decoder_loads_the_models_of_its_answer_alone() -> None:
    loaded = _loaded_after(
        "from cloudtower_async.api import vm",
        "vm.GET_VMS.decoder",
    )
    here = {name for name in loaded if not name.startswith(_SHARED)}
    assert here == {"api", "api.vm", "inputs", "models", "models.vm"}
    assert {"models.enums.vm", "models.references.common"} <= loaded
    assert not {"models.enums.backup", "models.references.topology", "models.shared.task"} & loaded
