"""The test API, read and generated once."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from codegen import schema
from codegen.__main__ import generate
from codegen.history import History

from . import made_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

FOLDER = Path(__file__).parent

# Modules of the package that generated code imports.
_SURROUNDINGS = {
    "__init__.py": "",
    "types.py": "from cloudtower_async.types import *",
    "any_of.py": "from cloudtower_async.any_of import *",
    "lazy_module.py": "from cloudtower_async.lazy_module import *",
    "calls/__init__.py": "",
    "calls/namespace.py": "from cloudtower_async.calls.namespace import Namespace as Namespace",
    "calls/operation.py": "from cloudtower_async.calls.operation import *",
    "calls/registry.py": "from cloudtower_async.calls.registry import *",
    "calls/executor.py": "from cloudtower_async.calls.executor import Executor as Executor",
}


@pytest.hookimpl(tryfirst=True)  # before tests are selected by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests whose fixtures generate code: the generator runs ruff."""
    for item in items:
        if not isinstance(item, pytest.Function) or not item.path.is_relative_to(FOLDER):
            continue
        if "package" in item.fixturenames:
            item.add_marker("subprocess")


@pytest.fixture
def read(tmp_path: Path) -> Callable[[made_up.Raw], schema.Api]:
    """Reads a document like a schema file."""

    def load(document: made_up.Raw) -> schema.Api:
        file = tmp_path / "document.json"
        file.write_text(json.dumps(document))
        return schema.load(file)

    return load


@pytest.fixture
def api(read: Callable[[made_up.Raw], schema.Api]) -> schema.Api:
    return read(made_up.document())


@pytest.fixture
def history() -> History:
    return History(made_up.history())


@pytest.fixture(scope="session")
def made_up_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The test schema and its history as files, with documentation texts next to them."""
    folder = tmp_path_factory.mktemp("schema")
    schema_file, history_file = folder / "schema.json", folder / "history.json"
    schema_file.write_text(json.dumps(made_up.document()))
    history_file.write_text(json.dumps(made_up.history()))
    (folder / "texts").mkdir()
    (folder / "texts" / "trees.toml").write_text(made_up.TEXTS)
    return schema_file, history_file


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory, made_up_files: tuple[Path, Path]) -> Path:
    """A package `trees` with the code generated for the test API."""
    package = tmp_path_factory.mktemp("generated") / "trees"
    for name, text in _SURROUNDINGS.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    generate(*made_up_files, package)
    return package


@pytest.fixture(scope="session")
def load(package: Path) -> Iterator[Callable[[str], Any]]:
    """Imports a module of the generated package: `load("models")`."""
    name = package.name

    def module(path: str) -> ModuleType:
        return importlib.import_module(f"{name}.{path}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(package.parent), *sys.path])
        yield module
    for loaded in [key for key in sys.modules if key.split(".")[0] == name]:
        del sys.modules[loaded]
