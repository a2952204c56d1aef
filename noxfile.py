"""Everything that checks this project: `nox` runs it all, `nox --list` names the sessions."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True

PROJECT = nox.project.load_toml("pyproject.toml")
SPECS = Path("..", "shared", "specs")


def install(session: nox.Session, *groups: str) -> None:
    """Install the package as its users get it, and dependency groups.

    The groups are read here, as not every pip in use can install them itself.
    """
    session.install("--quiet", ".[cli]", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest. Without any, coverage is measured too."""
    install(session, "test")
    coverage = [] if session.posargs else ["--cov", "--cov-report=term"]
    session.run("python", "-m", "pytest", *coverage, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, and who imports whom."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", env={"PYTHONPATH": "src"})


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with mypy and pyright, and that the public ones are complete."""
    install(session, "test", "lint", "types", "docs", "dev")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "cloudtower_async", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-q", "docs", "docs/_build/html")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure. Only prints figures: they say something about one machine only."""
    session.install("--quiet", ".")
    session.run("python", "-m", "benchmarks.import_time", *session.posargs)


@nox.session
def generate(session: nox.Session) -> None:
    """Write api, models and inputs anew from an API schema; arguments as of `python -m codegen`."""
    session.install("--quiet", *nox.project.dependency_groups(PROJECT, "lint"))
    defaults = [f"--schema={SPECS / 'latest.json'}", f"--history={SPECS / 'history.json'}"]
    session.run("python", "-m", "codegen", *(session.posargs or defaults))


@nox.session
def demo(session: nox.Session) -> None:
    """Show the dashboard of a made-up CloudTower."""
    session.install("--quiet", ".[cli]")
    session.run("cloudtower-async", "dashboard", "--demo", *session.posargs)
