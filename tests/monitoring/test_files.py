"""Deployment files, each given to the program that will read it, or to that program's published schema."""

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from support.drifting import FLIPPED, drifting_run
from support.requires import tool

from driftwatch.monitoring.config import Config
from driftwatch.monitoring.files import dashboard_texts, deployment, everything, grafana_rules_text, prometheus_text
from driftwatch.record.samples import samples
from tools.series_budget import series_of_run

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "tests" / "data" / "prometheus-operator"
FILES = deployment(Config())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything as `driftwatch mixin --out` writes it."""
    out = tmp_path_factory.mktemp("deploy")
    for path, text in everything(Config()).items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text, encoding="utf-8")
    return out


def run(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)


def test_prometheus_accepts_its_configuration_and_rules(folder):
    done = run(tool("promtool"), "check", "config", folder / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    rules = folder / "prometheus" / "rules" / "driftwatch.rules.yml"
    done = run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", rules)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_do_without_what_an_older_vmalert_refuses(folder):
    assert "keep_firing_for" not in (folder / "prometheus" / "rules" / "driftwatch.rules.yml").read_text()


def alertmanager_config(folder, receiver=None):
    """The shipped configuration, with the receivers of an example in the place of ours."""
    config = yaml.safe_load((folder / "alertmanager" / "alertmanager.yml").read_text())
    if receiver is not None:
        example = yaml.safe_load((folder / "alertmanager" / "receivers" / f"{receiver}.yml").read_text())
        config["receivers"] = example["receivers"]
    path = folder / f"alertmanager-{receiver}.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("receiver", [None, "slack", "email", "webhook"])
def test_alertmanager_accepts_its_configuration_with_each_example(folder, receiver):
    done = run(tool("amtool"), "check-config", alertmanager_config(folder, receiver))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 receivers" in done.stdout


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=DriftwatchValueDriftBeyondTolerance severity=critical run=r1 topic=parks", "drift-critical"),
        ("alertname=DriftwatchValueDrift severity=warning run=r1 topic=parks", "drift-warning"),
        ("alertname=DriftwatchGeneralDrift severity=info run=r1", "nobody"),
        ("alertname=SomethingElse", "nobody"),
    ],
)
def test_alert_is_routed_by_its_severity(folder, labels, receiver):
    config = alertmanager_config(folder, "webhook")
    command = ["config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}"]
    done = run(tool("amtool"), *command, *labels.split())
    assert done.returncode == 0, done.stdout + done.stderr


def test_nobody_is_notified_until_a_receiver_is_filled_in(folder):
    config = yaml.safe_load((folder / "alertmanager" / "alertmanager.yml").read_text())
    assert all(set(receiver) == {"name"} for receiver in config["receivers"])


def compose(path, *arguments, environment=None):
    program = tool("docker-compose")
    return run(program, "-f", path, *arguments, env={"PATH": "/usr/bin:/bin", **(environment or {})})


@pytest.mark.parametrize("profile", [(), ("--profile", "push")])
def test_compose_file_is_accepted_by_a_real_parser(folder, profile):
    path = folder / "compose.yaml"
    done = run(
        tool("docker-compose"), "-f", path, *profile, "config", "--format", "json", env={"GRAFANA_PASSWORD": "x"}
    )
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert ("pushgateway" in services) == bool(profile)
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), f"{name} is not pinned"
        assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}
        mounts = service.get("volumes", [])
        assert all(mount["read_only"] for mount in mounts if mount["type"] == "bind")
        assert all(Path(mount["source"]).exists() for mount in mounts if mount["type"] == "bind")
    assert services["prometheus"]["extra_hosts"] == ["host.docker.internal=host-gateway"]


def test_compose_file_refuses_to_start_grafana_without_a_password(folder):
    done = compose(folder / "compose.yaml", "config")
    assert not done.stdout
    assert "choose a password for the Grafana user admin" in done.stderr


def test_compose_file_of_the_stack_is_accepted_by_a_real_parser(tmp_path):
    from driftwatch.monitoring.stack.compose import text

    (tmp_path / "compose.yaml").write_text(text("127.0.0.1", 9090, 9093))
    done = compose(tmp_path / "compose.yaml", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert all(service["network_mode"] == "host" for service in services.values())


def test_compose_file_of_the_repository_finds_what_it_mounts():
    """There the dashboards lie beside deploy/."""
    done = compose(
        ROOT / "deploy" / "compose.yaml", "config", "--format", "json", environment={"GRAFANA_PASSWORD": "x"}
    )
    assert done.returncode == 0, done.stderr
    mounts = [mount for service in json.loads(done.stdout)["services"].values() for mount in service["volumes"]]
    assert all(Path(mount["source"]).exists() for mount in mounts if mount["type"] == "bind")


def test_dockerfile_has_nothing_that_a_linter_minds():
    done = run(tool("hadolint"), ROOT / "deploy" / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_dockerfile_runs_as_an_ordinary_user_and_pins_its_base():
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    final = text[text.rindex("FROM ") :]
    assert re.search(r"^USER 10001$", final, re.MULTILINE)
    assert all(re.match(r"FROM python:\d+\.\d+\.\d+-", line) for line in text.splitlines() if line.startswith("FROM"))


def test_dockerfile_starts_a_command_that_exists():
    from click.testing import CliRunner

    from driftwatch.cli import group

    text = (ROOT / "deploy" / "Dockerfile").read_text()
    command = json.loads(re.search(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)[1])
    command += json.loads(re.search(r"^CMD (.+)$", text, re.MULTILINE)[1])
    assert command[0] == "driftwatch"
    done = CliRunner().invoke(group, [*command[1:], "--help"])
    assert done.exit_code == 0, done.output
    port = command[command.index("--port") + 1]
    assert f"EXPOSE {port}" in text
    assert f"127.0.0.1:{port}/healthz" in text


# Kubernetes


def closed(schema):
    """The schema, refusing keys that it does not name: the API server would drop a misspelt one without a word."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and "x-kubernetes-preserve-unknown-fields" not in found:
        found.setdefault("additionalProperties", False)
    if found.pop("x-kubernetes-int-or-string", False):
        found["type"] = ["integer", "string"]
        found.pop("anyOf", None)
    return found


@pytest.fixture(scope="module")
def schemas():
    found = {}
    for path in CRDS.glob("*.yaml"):
        crd = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        version = next(version for version in crd["spec"]["versions"] if version["storage"])
        schema = closed(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        found[crd["spec"]["names"]["kind"]] = schema
    return found


MANIFESTS = {path: yaml.safe_load(text) for path, text in FILES.items() if path.startswith("kubernetes/")}


@pytest.mark.parametrize(
    "path", [path for path, made in MANIFESTS.items() if "monitoring.coreos" in made.get("apiVersion")]
)
def test_manifest_is_what_the_operator_expects(path, schemas):
    manifest = MANIFESTS[path]
    jsonschema.Draft7Validator(schemas[manifest["kind"]]).validate(manifest)
    assert manifest["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_misspelt_key_of_a_manifest_would_be_found(schemas):
    manifest = yaml.safe_load(FILES["kubernetes/podmonitor.yaml"])
    manifest["spec"]["podMetricsEndpoint"] = manifest["spec"].pop("podMetricsEndpoints")
    with pytest.raises(jsonschema.ValidationError, match="podMetricsEndpoint"):
        jsonschema.Draft7Validator(schemas["PodMonitor"]).validate(manifest)


def test_kustomization_names_every_manifest():
    named = MANIFESTS["kubernetes/kustomization.yaml"]["resources"]
    assert sorted(named) == sorted(Path(path).name for path in MANIFESTS if "kustomization" not in path)


def test_kubernetes_has_the_rules_of_the_rule_file():
    rules = yaml.safe_load(FILES["prometheus/rules/driftwatch.rules.yml"])
    assert MANIFESTS["kubernetes/prometheusrule.yaml"]["spec"] == rules


@pytest.mark.parametrize("path", [path for path in MANIFESTS if "dashboard-" in path])
def test_config_map_holds_a_dashboard_and_is_small_enough_to_apply(path):
    """`kubectl apply` keeps a copy in an annotation, whose limit is 256 KiB."""
    manifest = MANIFESTS[path]
    assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
    (name, text), *rest = manifest["data"].items()
    assert rest == []
    assert json.loads(text) == json.loads(dashboard_texts(Config())[name.removeprefix("driftwatch-")])
    assert len(json.dumps(manifest)) < 256 * 1024


# Grafana


def test_grafana_provisions_the_data_source_that_its_dashboards_and_alert_links_mean():
    found = yaml.safe_load(FILES["grafana/provisioning/datasources/driftwatch.yaml"])
    prometheus, alertmanager = found["datasources"]
    assert prometheus["uid"] == Config().datasource_uid
    assert (
        prometheus["jsonData"]["timeInterval"] == yaml.safe_load(prometheus_text(Config()))["global"]["scrape_interval"]
    )
    assert prometheus["jsonData"]["alertmanagerUid"] == alertmanager["uid"]


def test_grafana_reads_dashboards_from_where_compose_mounts_them():
    provider = yaml.safe_load(FILES["grafana/provisioning/dashboards/driftwatch.yaml"])["providers"][0]
    volumes = yaml.safe_load(FILES["compose.yaml"])["services"]["grafana"]["volumes"]
    assert f"./dashboards:{provider['options']['path']}:ro" in volumes
    assert provider["allowUiUpdates"] is False


def test_grafana_managed_rules_are_a_provisioning_file_with_every_alert(tmp_path):
    """Field names of the file differ from those of the HTTP interface, and Grafana ignores the wrong ones."""
    found = yaml.safe_load(grafana_rules_text(Config()))
    group = found["groups"][0]
    rules = yaml.safe_load(FILES["prometheus/rules/driftwatch.rules.yml"])["groups"][0]["rules"]
    assert [rule["title"] for rule in group["rules"]] == [rule["alert"] for rule in rules if "alert" in rule]
    assert group["folder"] == "Driftwatch"
    for rule in group["rules"]:
        assert {"uid", "title", "condition", "data", "noDataState", "execErrState", "for"} <= set(rule)
        assert not {"orgID", "folderUID", "ruleGroup", "executionErrorState"} & set(rule)
        refs = [query["refId"] for query in rule["data"]]
        assert rule["condition"] in refs
        assert len(set(refs)) == len(refs)
        for name in re.findall(r"\$values\.(\w+)", json.dumps(rule["annotations"])):
            assert name in refs, f"{rule['title']} shows {name}, which it does not ask"
        assert "query" not in json.dumps(rule["annotations"]), "Grafana has no such function"


def test_grafana_managed_rules_rely_on_no_recorded_series(tmp_path):
    from support.promtool import check_rules

    from driftwatch.monitoring.rules.yaml_text import to_yaml

    found = yaml.safe_load(grafana_rules_text(Config()))["groups"][0]["rules"]
    asked = [query["model"]["expr"] for rule in found for query in rule["data"] if "expr" in query["model"]]
    assert not any(re.search(r"\w+:driftwatch_\w+:\w+", expr) for expr in asked)
    assert not any("$" in expr.replace('"$1"', "") for expr in asked)
    records = [{"record": "a:b:c", "expr": expr} for expr in asked]
    assert check_rules(to_yaml({"groups": [{"name": "x", "rules": records}]}), tmp_path, lint="none") == ""


# Cost


def test_run_costs_no_more_series_than_stated_and_not_much_less():
    info, records = drifting_run({"parks": FLIPPED})
    found = list(samples(info, records[-1], state="running", heartbeat=1.0))
    stated = series_of_run(len(info.topics), num_probes=2, num_baselines=1)
    assert 0.6 * stated < len(found) <= stated
