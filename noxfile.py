"""Checks of this project: `nox` runs the required ones, `nox --list` lists all sessions."""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
import zipfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = False  # skip a session whose interpreter is missing
nox.options.download_python = "never"

PROJECT = nox.project.load_toml("pyproject.toml")
BUILD, DIST = Path("build"), Path("dist")
LARGEST_WHEEL, LARGEST_UNPACKED = 1_500_000, 8_000_000  # bytes

# Without `speed`: aiodns watches a file per session, and Linux limits the watches per user.
EXTRAS = ",".join(sorted(PROJECT["project"]["optional-dependencies"].keys() - {"speed"}))
INTERPRETERS = ["3.12", "3.13"]  # in addition to the oldest version, which `tests` uses

IN_PARALLEL = ["-n", "auto"]  # tests/conftest.py distributes the files over the processes

# The tests of `quick`: everything that depends on versions of other packages.
QUICK = [
    "tests/calls/test_executor.py",
    "tests/calls/test_decoding.py",
    "tests/cli/test_vm_command.py",
    "tests/tasks/test_settle.py",
    "tests/tasks/test_waiter.py",
    "tests/uploads/test_upload_state.py",
    "tests/simulator/test_server.py",
    "tests/test_concurrency.py",
    "tests/test_errors.py",
    "tests/test_import.py",
    "tests/test_profiles.py",
    "tests/test_client.py",
    "tests/test_options.py",
    "tests/test_types.py",
    "tests/transport",
]

# nox finds all interpreters of pyenv, whichever is active.
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
os.environ["PATH"] = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), *map(str, PYENV.glob("versions/3.*/bin"))]
)


def install(session: nox.Session, *groups: str) -> None:
    """Install the package as users do, and install dependency groups.

    The groups are read here, because older versions of pip cannot install groups.
    """
    session.install("--quiet", ".[cli]", *nox.project.dependency_groups(PROJECT, *groups))


def install_with_uv(session: nox.Session, *options: str) -> None:
    """Install the package, its extras and the tests with uv.

    uv does not read pip's configuration: set another package index in UV_DEFAULT_INDEX.
    """
    session.install("--quiet", "uv")
    packages = [f".[{EXTRAS}]", *nox.project.dependency_groups(PROJECT, "test")]
    environment = f"--python={session.virtualenv.location}"
    session.run("uv", "pip", "install", "--quiet", "--upgrade", environment, *options, *packages)


def run_tests(session: nox.Session) -> None:
    """Run the tests, or a quick selection of them, in parallel."""
    chosen = QUICK if session.posargs == ["quick"] else session.posargs
    session.run("python", "-m", "pytest", *IN_PARALLEL, *chosen)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest."""
    install(session, "test")
    session.run("python", "-m", "pytest", *(session.posargs or IN_PARALLEL))


@nox.session
def thorough(session: nox.Session) -> None:
    """Run more test cases and measure coverage; arguments go to pytest."""
    install(session, "test")
    everything = [*IN_PARALLEL, "--cov", "--cov-report=term"]
    chosen = session.posargs or everything
    session.run("python", "-m", "pytest", *chosen, env={"THOROUGH": "1"})


@nox.session(name="tests-fast")
def tests_fast(session: nox.Session) -> None:
    """Run the tests that start no processes; arguments go to pytest."""
    install(session, "test")
    session.run("python", "-m", "pytest", *IN_PARALLEL, "-m", "not subprocess", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest supported dependencies; `-- quick` runs only a part."""
    install_with_uv(session, "--resolution=lowest-direct")
    run_tests(session)


@nox.session(python=INTERPRETERS)
def interpreters(session: nox.Session) -> None:
    """Run the tests with other versions of Python; `-- quick` runs only a part."""
    install_with_uv(session)
    run_tests(session)


@nox.session
def debug(session: nox.Session) -> None:
    """Run the tests in Python's development mode: asyncio debug mode and resource warnings."""
    install(session, "test")
    session.run("python", "-X", "dev", "-m", "pytest", *session.posargs)


@nox.session
@nox.parametrize("sdk", ["2.14.2", "2.18.0"])
def compat(session: nox.Session, sdk: str) -> None:
    """Query the simulator with older versions of the vendor's client."""
    install(session, "test")
    session.install("--quiet", f"cloudtower-sdk=={sdk}")
    readers = ["tests/simulator/test_vendor_client.py", "tests/simulator/test_vendor_queries.py"]
    session.run("python", "-m", "pytest", *(session.posargs or readers))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and import layers."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, in code and pages; public types must be complete."""
    install(session, "dev")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "cloudtower_async", "--ignoreexternal")
    session.run("python", "-m", "tests.types.checkers", "mypy", "pyright")
    code = str(BUILD / "pages")
    session.run("python", "-m", "tests.pages", code)
    # The snippets of a page may use a name for different things.
    several = ("--allow-redefinition", "--local-partial-types")
    session.run("mypy", *several, code, env={"MYPYPATH": code})
    session.run("pyright", "-p", code)


@nox.session
def checkers(session: nox.Session) -> None:
    """Run three more type checkers over the type tests."""
    install(session, "checkers")
    session.run("python", "-m", "tests.types.checkers", "basedpyright", "pyrefly", "ty")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, where a warning is an error, and try its search with Node."""
    session.install("--quiet", ".", *nox.project.dependency_groups(PROJECT, "docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")
    if shutil.which("node"):
        session.run("node", "docs/_ext/search.js", "docs/_build/html", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Run all benchmarks, or the named ones; the figures apply to this machine only."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)
    if not session.posargs:
        session.run("python", "-m", "pytest", "benchmarks")


@nox.session
def package(session: nox.Session) -> None:
    """Build the release archives in dist/, and a bill of materials in build/."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "package"))
    for folder in (DIST, BUILD):
        shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "build", f"--outdir={DIST}")  # the wheel from the sdist
    session.run("python", "-m", "build", "--wheel", f"--outdir={BUILD}")  # and from the checkout
    for wheel in BUILD.glob("*.whl"):
        if not filecmp.cmp(wheel, DIST / wheel.name, shallow=False):
            session.error("the sdist builds another wheel than the checkout")
        with zipfile.ZipFile(wheel) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if wheel.stat().st_size > LARGEST_WHEEL or unpacked > LARGEST_UNPACKED:
            session.error(f"{wheel.name} has {wheel.stat().st_size} bytes, {unpacked} unpacked")
    session.run("twine", "check", "--strict", *map(str, DIST.iterdir()))
    environment = Path(session.create_tmp(), "installed")
    session.run("python", "-m", "venv", "--clear", str(environment))
    python = str(environment / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    session.run(python, "-m", "pip", "install", "--quiet", ".[cli]", external=True)
    sbom = f"--output-file={BUILD / 'sbom.cdx.json'}"
    session.run("cyclonedx-py", "environment", "--pyproject=pyproject.toml", sbom, python)


@nox.session
def generate(session: nox.Session) -> None:
    """Generate code from an API schema, and the reference pages: `-- --schema FILE`."""
    session.install("--quiet", ".", *nox.project.dependency_groups(PROJECT, "generate"))
    session.run("python", "-m", "codegen", *session.posargs)
    session.run("python", "-m", "codegen.reference")


@nox.session
def web(session: nox.Session) -> None:
    """Serve the FastAPI dashboard; set CLOUDTOWER_ENDPOINT and so on for a real Tower."""
    session.install("--quiet", ".", *nox.project.dependency_groups(PROJECT, "examples"))
    session.run("python", "-m", "examples.fastapi_dashboard", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Show the dashboard of a simulated CloudTower."""
    session.install("--quiet", ".[cli]")
    session.run("cloudtower-async", "dashboard", "--demo", *session.posargs)
