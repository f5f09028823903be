# SPDX-License-Identifier: Apache-2.0
"""What is packaged for Prometheus and Grafana, by a real Prometheus (Debian's) that scrapes a real daemon: the page of metrics keeps its
conventions, the alerts fire for what they say, and every panel of the dashboard asks for something that is there.
"""
import json
import re
import socket
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from clients import tool
from internet import DNSMASQ
from limits import HEAD, ONE, PACKET, PORT, spend
from observe import until
from quotas import RULE

PACKAGING = Path(__file__).parents[2] / "packaging"
RULES, DASHBOARD = PACKAGING / "prometheus/penstock.rules.yml", PACKAGING / "grafana/penstock.json"
ECHO, DENIALS = 9000, 2000  # a container may tell of 1,000 at once
SPECS = {"spent": RULE, "near": RULE,
         "busy": f"  dns: {{resolvers: [{DNSMASQ}], search: []}}\n  allow: [{{domains: [good.test]}}, {{cidrs: [{ONE}], ports: [udp/{ECHO}]}}]\n"
                 "  limits: {packets: 1/h burst 64}\n"}
CONFIG = """global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - {{job_name: penstock, static_configs: [{{targets: ["{target}"]}}]}}
"""
VARIABLES = {"$instance": ".*", "$container": ".*", "$__rate_interval": "10s"}
CASES = Path(__file__).parent / "alert_cases.yml"


DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever http_proxy says


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


class Prometheus:
    def __init__(self, directory: Path, target: str):
        self.address = free_address()
        config = directory / "prometheus.yml"
        config.write_text(CONFIG.format(rules=RULES, target=target))
        self.log = directory / "prometheus.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([tool("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
                                             f"--web.listen-address={self.address}"], stdout=log, stderr=log)

    def ask(self, what: str, **parameters: str):
        url = f"http://{self.address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with DIRECTLY.open(url, timeout=10) as answer:
            told = json.load(answer)
        assert told["status"] == "success", (parameters, told)
        return told["data"]

    def query(self, expression: str) -> list[dict]:
        return self.ask("query", query=expression)["result"]

    def is_scraping(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return [row["value"][1] for row in self.query('up{job="penstock"}')] == ["1"]
        except OSError:
            return False

    def firing(self) -> list[dict]:
        return [alert for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def world(lab, tmp_path_factory):
    made = {name: lab.container(name) for name in SPECS}
    target = free_address()
    lab.daemon.start({f"{name}.yaml": HEAD.format(name=name, path=made[name].path) + spec for name, spec in SPECS.items()},
                     "--metrics-address", target)
    assert spend(made["spent"], 11) == {"sent": 10, "EPERM": 1}
    assert spend(made["near"], 9) == {"sent": 9}
    busy = made["busy"]
    assert busy.probe("query", server=DNSMASQ, name="good.test")["error"] is None
    assert busy.probe("echoes", address=ONE, port=ECHO, octets=PACKET, count=40)["outcomes"].count(None) > 20
    assert busy.probe("datagrams", address=ONE, port=PORT, octets=PACKET, count=DENIALS)["outcomes"] == {"EPERM": DENIALS}
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), target)
    try:
        until(prometheus.is_scraping, 30, "the daemon is scraped")
        yield made, prometheus
    finally:
        prometheus.close()


def test_the_rules_are_rules_and_alert_of_what_they_say():
    for words in (("check", "rules", str(RULES)), ("test", "rules", str(CASES))):
        done = subprocess.run([tool("promtool"), *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "SUCCESS" in done.stdout, done


def test_every_alert_has_a_case():
    names = re.findall(r"alert: (\w+)", RULES.read_text())
    cases = CASES.read_text()
    assert len(names) >= 10 and [name for name in names if f'"{name}"' not in cases] == []


def test_the_page_keeps_the_conventions(lab, world):
    page = lab.daemon.request("GET", "/metrics")[1]
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=page, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, b""), done


def test_a_spent_quota_alerts_until_it_is_reset(lab, world):
    made, prometheus = world

    def told() -> dict[tuple, str]:
        return {(alert["labels"]["alertname"], alert["labels"]["container"]): alert["annotations"]["summary"]
                for alert in prometheus.firing() if "container" in alert["labels"]}
    both = {("PenstockQuotaSpent", made["spent"].path), ("PenstockQuotaNearlySpent", made["near"].path)}
    until(lambda: set(told()) == both, 30, "both quotas are told of")
    assert re.search(r"/near on 127.0.0.1:\d+ has spent 90 % of a quota", told()["PenstockQuotaNearlySpent", made["near"].path])
    assert lab.daemon.cli("quota", "reset", "--container", made["spent"].path, "--rule", "spent/out").returncode == 0
    until(lambda: set(told()) == {("PenstockQuotaNearlySpent", made["near"].path)}, 30, "the quota that was reset is not")


def test_a_daemon_that_is_gone_is_seen(lab, world):
    _, prometheus = world
    pending = 'ALERTS{alertname="PenstockDown",alertstate="pending"}'
    until(lambda: not prometheus.query(pending), 30, "scraped again, if a look was too slow")
    lab.daemon.kill9()
    until(lambda: prometheus.query(pending), 30, "the alert is pending")
    lab.daemon.start(None, "--metrics-address", prometheus.query("up")[0]["metric"]["instance"])
    until(lambda: not prometheus.query(pending), 30, "it is over")


def test_the_dashboard_shows_what_there_is(world):
    made, prometheus = world
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(asked) > 15

    def empty() -> list[tuple[str, str]]:
        nothing = []
        for title, expression in asked:
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            if not prometheus.query(expression):
                nothing.append((title, expression))
        return nothing
    until(lambda: not empty(), 30, f"every panel has something to show; first not: {empty()}")
    of_quotas = next(expr for title, expr in asked if title == "Quota spent").replace("$instance", ".*").replace("$container", ".*")

    def shown() -> dict[str, float]:
        return {row["metric"]["container"]: float(row["value"][1]) for row in prometheus.query(of_quotas)}
    until(lambda: shown().get(made["near"].path) == 90, 30, "how much of its quota is spent")


def test_its_variables_have_values(world):
    made, prometheus = world
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] != "query":
            continue
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
        wanted = {container.path for container in made.values()} if label == "container" else set()

        def values() -> set[str]:
            return {row["metric"][label] for row in prometheus.query(series.replace("$instance", ".*"))}
        until(lambda: values() and values() >= wanted, 30, f"values of {variable['name']}")
