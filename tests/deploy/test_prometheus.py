"""Alert rules, scrape sample and dashboard: read by promtool, and only of metrics that there are."""

import json
import re
import shutil
import socket
from http.client import HTTPResponse
from urllib.request import Request, urlopen

import pytest
import yaml
from support.gateway import Gateway, merged
from support.tls import Authority
from support.waiting import DEADLINE

from conftest import ROOT
from tools import find_tool

PROMETHEUS = ROOT / "deploy" / "prometheus"
UNIT_TESTS = ROOT / "tests" / "deploy" / "prometheus" / "alerts_test.yaml"
ALERTS = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "psgate.json").read_text())
# What alerts and dashboard ask for, and its labels; a test asks a gateway whether it gives all of it.
METRICS = {
    "psgate_requests_total": {"operation", "status", "cache"},
    "psgate_request_duration_seconds_bucket": {"operation", "le"},
    "psgate_upstream_duration_seconds_bucket": {"operation", "le"},
    "psgate_upstream_connections": {"state"},
    "psgate_upstream_up": set(),
    "psgate_credential_state": {"credential", "slot", "state"},
    "psgate_cache_bytes": set(),
    "psgate_cache_memory_bytes": set(),
    "psgate_cache_entries": set(),
    "psgate_audit_records_total": {"phase"},
    "psgate_audit_sync_seconds_bucket": {"le"},
    "psgate_audit_writable": set(),
    "psgate_clients_rejected_total": {"reason"},
    "psgate_config_last_reload_successful": set(),
    "psgate_certificate_expiry_timestamp_seconds": {"listener"},
    "psgate_cluster_current": set(),
    "psgate_cluster_raises_total": {"result"},
    "psgate_log_dropped_total": set(),
    "psgate_build_info": {"version"},
}
OF_THE_SCRAPE = {"instance", "job"}


@pytest.fixture(scope="session")
def promtool():
    return find_tool("promtool", "prometheus")


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_expressions():
    """Each expression of the dashboard, with Grafana's variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")


def expressions():
    return [*(alert["expr"] for alert in ALERTS), *dashboard_expressions()]


def unit_tests():
    return yaml.safe_load(UNIT_TESTS.read_text())["tests"]


# -- alerts ------------------------------------------------------------------------------


def test_the_rules_are_rules(promtool):
    result = promtool.run("check", "rules", "--lint=all", "--lint-fatal", PROMETHEUS / "alerts.yaml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_fires_when_it_should_and_only_then(promtool, tmp_path):
    shutil.copy(PROMETHEUS / "alerts.yaml", tmp_path)
    shutil.copy(UNIT_TESTS, tmp_path)
    result = promtool.run("test", "rules", UNIT_TESTS.name, folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_is_expected_to_fire_by_a_unit_test(alert):
    wanted = f'alertname="{alert["alert"]}", alertstate="firing"'
    assert any(wanted in sample["labels"] for test in unit_tests() for asked in test.get("promql_expr_test", [])
               for sample in asked["exp_samples"]) or any(
        asked["alertname"] == alert["alert"] for test in unit_tests() for asked in test.get("alert_rule_test", []))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_says_how_urgent_it_is_and_what_to_do(alert):
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"] and alert["annotations"]["action"].endswith(".")


def test_the_healthy_gateway_of_the_unit_tests_has_every_metric_of_the_alerts():
    healthy = " ".join(series["series"] for series in unit_tests()[0]["input_series"])
    for name in re.findall(r"psgate_\w+", " ".join(alert["expr"] for alert in ALERTS)):
        assert name in healthy


def test_the_scrape_sample_is_a_configuration(promtool, tmp_path):
    for path in PROMETHEUS.iterdir():
        shutil.copy(path, tmp_path)
    result = promtool.run("check", "config", "prometheus.yaml", folder=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


# -- metrics -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scraped(binary, tmp_path_factory):
    """What a gateway with everything on gives to Prometheus."""
    folder = tmp_path_factory.mktemp("scraped")
    authority = Authority(folder)
    tls = {"certificate": "right.pem", "private_key": "right.key"}
    gateway = Gateway(binary, folder, "http://127.0.0.1:1")
    gateway.write_config(merged(gateway.config, {
        "listen": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": tls}], "audit": {"directory": "audit"},
        "cluster": {"redis": "redis://127.0.0.1:1"}, "admin": {"address": f"unix:{authority.folder / 'admin.sock'}"}}))
    token = gateway.add_client("tester")
    gateway.start("--sandbox")
    try:
        asked = Request(f"http://127.0.0.1:{gateway.port}/v1/auth/session", headers={"Authorization": f"Bearer {token}"})
        with urlopen(asked, timeout=DEADLINE) as answer:
            assert answer.status == 200
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(DEADLINE)
            admin.connect(str(folder / "admin.sock"))
            admin.sendall(b"GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            answer = HTTPResponse(admin)
            answer.begin()
            return answer.read().decode()
    finally:
        gateway.stop()


def test_prometheus_understands_what_the_gateway_gives(promtool, scraped):
    result = promtool.run("check", "metrics", text=scraped)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_series_is_given_twice(scraped):
    series = [line.rpartition(" ")[0] for line in scraped.splitlines() if not line.startswith("#")]
    assert sorted(series) == sorted(set(series))


def test_the_gateway_gives_every_metric_and_label_that_is_asked_for(scraped):
    given = {}
    for name, labels in re.findall(r"^(psgate_\w+)(?:\{(.*)\})? ", scraped, re.MULTILINE):
        given.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    assert {name: given.get(name) for name in METRICS} == METRICS


def test_only_metrics_that_there_are_are_asked_for():
    for expression in expressions():
        named = set(re.findall(r"\bpsgate_\w+", expression))
        assert named or "up{" in expression
        assert named <= set(METRICS), expression


def test_only_labels_that_the_metrics_have_are_asked_for():
    for expression in expressions():
        for name, matchers in re.findall(r"\b(psgate_\w+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)\s*[=!]~?\"", matchers)) <= METRICS[name] | OF_THE_SCRAPE, expression
        known = set().union(*(METRICS[name] for name in re.findall(r"\bpsgate_\w+", expression))) | OF_THE_SCRAPE
        for labels in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
            assert set(re.split(r",\s*", labels)) <= known, expression


# -- the dashboard -----------------------------------------------------------------------


def test_every_expression_of_the_dashboard_is_one(promtool, tmp_path):
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(dashboard_expressions())]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    result = promtool.run("check", "rules", tmp_path / "rules.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(rules)} rules found" in result.stdout


def test_the_dashboard_shows_every_metric():
    shown = " ".join(dashboard_expressions())
    for name in METRICS:
        assert name in shown


def test_the_dashboard_can_be_imported_anywhere():
    assert DASHBOARD["uid"] == "psgate"
    assert "id" not in DASHBOARD and "__inputs" not in DASHBOARD
    source, instance = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert "label_values(psgate_build_info, instance)" == instance["query"]["query"]
    for holder in (instance, *panels(), *(target for panel in panels() for target in panel["targets"])):
        assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_panel_has_a_place_a_unit_and_a_description():
    taken = set()
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"] and panel["description"].endswith(".")
        assert panel["type"] in ("stat", "timeseries", "table")
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
