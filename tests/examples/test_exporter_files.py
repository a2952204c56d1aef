"""The dashboard and the alert rules of the exporter use metrics and labels that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cloudtower_async.jobs.exporter.families import FAMILIES

yaml: Any = importlib.import_module("yaml")  # it has no types

FOLDER = Path(__file__).parents[2] / "examples" / "exporter"
OTHERS = {"up": {"job", "instance"}, "process_resident_memory_bytes": {"job", "instance"}}
LABELS = {family.name: {"tower", *family.labels} for family in FAMILIES} | OTHERS

METRIC = re.compile(r"\b(cloudtower_\w+|process_\w+|up)\b(?:\{([^}]*)\})?")


def dashboard() -> dict[str, Any]:
    return msgspec.json.decode((FOLDER / "dashboard.json").read_bytes(), type=dict[str, Any])


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    chosen = [one["definition"] for one in dashboard()["templating"]["list"] if "definition" in one]
    return [*shown, *chosen, *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize("expression", expressions())
def test_expressions_use_metrics_and_labels_that_exist(expression: str) -> None:
    assert expression.count("(") == expression.count(")")
    found = METRIC.findall(expression)
    assert found
    for name, matchers in found:
        for label in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers):
            assert label in LABELS[name], f"{name} has no label {label}"
    known = set[str]().union(*(LABELS[name] for name, _ in found))
    for grouping in re.findall(r"\b(?:by|on|without) \(([^)]*)\)", expression):
        assert set(grouping.split(", ")) <= known


def test_the_dashboard_shows_every_group_of_metrics() -> None:
    shown = {name for text in expressions() for name, _ in METRIC.findall(text)}
    groups = {re.sub(r"^cloudtower_([a-z]+).*", r"\1", name) for name in shown & LABELS.keys()}
    assert {"up", "cluster", "host", "disks", "vms", "vm", "alerts", "tasks", "license"} <= groups


def test_panels_have_unique_places_and_ids() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_rules_have_the_fields_that_promtool_wants(rule: dict[str, Any]) -> None:
    assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smhdw]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description"}
    metrics = [name for name, _ in METRIC.findall(rule["expr"])]
    for text in rule["annotations"].values():
        for label in re.findall(r"\$labels\.(\w+)", text):
            assert any(label in LABELS[name] for name in metrics), label


def test_rules_have_different_names() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)


def test_the_scrape_configuration_names_the_rules() -> None:
    loaded = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert loaded["rule_files"] == ["alerts.yml"]
    assert loaded["scrape_configs"][0]["static_configs"][0]["targets"] == ["localhost:9469"]
