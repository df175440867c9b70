"""The dashboard and the alerts can be read, and ask for metrics that exist."""

import json
import re
from collections.abc import Iterator

import yaml

from tests.support import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SCRAPE = ROOT / "deploy" / "prometheus" / "prometheus.yml"
SOURCES = [ROOT / "app" / "core" / "metrics.py", ROOT / "app" / "jobs" / "metrics.py"]
LABELS = {
    *("instance", "job", "le", "method", "of", "pid", "queue", "route", "state", "status", "task")
}


def metrics() -> set[str]:
    """Return the names of our metrics, as they are asked for."""
    text = "\n".join(path.read_text("utf-8") for path in SOURCES)
    named = set(re.findall(r"[\"'](stockpot_\w+)[\"']", text))
    return named | {f"{name}_{part}" for name in named for part in ("bucket", "count", "total")}


def queries() -> Iterator[str]:
    """Yield every expression of the dashboard and of the alerts."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = {name for query in queries() for name in re.findall(r"\b(stockpot_\w+)", query)}
    assert len(asked) > 8, "the expression finds them"
    assert asked - metrics() == set()


def test_every_query_names_known_labels() -> None:
    for query in queries():
        bare = re.sub(r'"[^"]*"|\[[^\]]*\]|\boffset \w+', "", query)
        for group in re.findall(r"\bby \(([^)]*)\)", bare):
            assert set(re.findall(r"\w+", group)) <= LABELS, query
        for name in re.findall(r"\{(\w+)", bare):
            assert name in LABELS, query


def test_each_alert_says_what_happened_and_what_to_do() -> None:
    (group,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for rule in group["rules"]:
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert f"`{rule['alert']}`" in page


def test_prometheus_is_told_where_the_alerts_are() -> None:
    told = yaml.safe_load(SCRAPE.read_text("utf-8"))
    assert [SCRAPE.parent / name for name in told["rule_files"]] == [ALERTS]
    assert told["scrape_configs"][0]["job_name"] == "stockpot", "the alert about `up` names it"
