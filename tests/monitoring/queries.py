"""The queries of docs/monitoring, and the names in them."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "monitoring"
RULES: Final = FOLDER / "matterlog.rules.yml"
DASHBOARD: Final = FOLDER / "matterlog-dashboard.json"
# What Prometheus itself adds.
OF_PROMETHEUS: Final = {"up", "job", "instance"}
_SELECTOR: Final = re.compile(r"\b(matterlog_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+)(=~|=)"([^"]*)"')
_LABELS: Final = re.compile(r"\b(?:by|on) \(([^)]*)\)|\{\{ *([a-z_]\w*) *\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm as the file of rules has it."""

    name: str
    query: str
    severity: str
    texts: dict[str, str]


def alarms() -> list[Alarm]:
    """Return all alarms, in their order."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [_alarm(rule) for rule in group["rules"]]


def _alarm(rule: dict[str, Any]) -> Alarm:
    return Alarm(name=rule["alert"], query=rule["expr"], severity=rule["labels"]["severity"], texts=rule["annotations"])


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard that are no headings."""
    found = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def dashboard_queries() -> list[str]:
    """Return what the dashboard asks, with Grafana's variables filled in."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [query.replace("$instance", ".*").replace("$__rate_interval", "1m") for query in asked]


def selectors(query: str) -> list[tuple[str, dict[str, re.Pattern[str]]]]:
    """Return each metric that a query asks for, with a pattern for each label of the service's own."""
    return [
        (
            name,
            {
                label: re.compile(value if how == "=~" else re.escape(value))
                for label, how, value in _MATCHER.findall(matchers)
                if label not in OF_PROMETHEUS
            },
        )
        for name, matchers in _SELECTOR.findall(query)
        if name not in OF_PROMETHEUS
    ]


def label_names(text: str) -> set[str]:
    """Return the labels by which a query groups or matches, or that a legend shows, but Prometheus' own."""
    found = [name for pair in _LABELS.findall(text) for names in pair for name in names.split(",")]
    return {name.strip() for name in found if name.strip()} - OF_PROMETHEUS - {"le"}
