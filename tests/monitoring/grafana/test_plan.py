"""Provisioning a Grafana over HTTP through the real client package, against a server that behaves as it was seen to."""

import json
import logging
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema
import pytest
from support.drifting import FLIPPED, drifting_run
from support.fake_grafana import FakeGrafana
from support.requires import spec

from driftwatch.errors import ConfigError
from driftwatch.evidence.alerts import Alert
from driftwatch.monitoring.config import Config
from driftwatch.monitoring.grafana import Connection, GrafanaError, Wanted, apply, connect, plan, removal
from driftwatch.store.run_store import RunStore

pytest.importorskip("grafana_api")

PROMETHEUS = "http://prometheus:9090"


@pytest.fixture
def server():
    fake = FakeGrafana()
    yield fake
    fake.close()


@pytest.fixture
def grafana(server):
    return connect(server.url, token=server.TOKEN)


@pytest.fixture
def run(tmp_path):
    """A run that began, alerted and finished."""
    info, records = drifting_run({"parks": FLIPPED}, looks=3)
    store = RunStore(tmp_path / "r1", clock=lambda: 1000.0)
    store.create(info)
    store.append_event("begin", attempt=0, step=0)
    alert = Alert("parks", "direction", "beyond_tolerance", "specific", "critical", "parks moved toward more building")
    for record in records:
        store.append(replace(record, alerts=(alert,) if record.look else ()))
    store.append_event("end", attempt=0, step=100, text="finished")
    return store


@pytest.fixture
def wanted(run):
    return Wanted(datasource_url=PROMETHEUS, rules=True, runs=(run,))


def actions(changes):
    return [(change.action, change.kind) for change in changes]


def test_everything_is_made_in_order_in_an_empty_grafana(server, grafana, wanted):
    done = list(apply(plan(grafana, wanted)))
    kinds = [change.kind for change in done]
    assert kinds == ["folder", "data source", *["dashboard"] * 4, "rule group", *["annotation"] * 3]
    assert {change.action for change in done} == {"create"}
    assert server.folders["driftwatch"]["title"] == "Driftwatch"
    assert server.datasources["driftwatch-prometheus"]["url"] == PROMETHEUS
    assert {entry["folder"] for entry in server.dashboards.values()} == {"driftwatch"}
    assert len(server.groups["driftwatch", "driftwatch"]["rules"]) == 20


def test_second_time_changes_nothing(server, grafana, wanted):
    list(apply(plan(grafana, wanted)))
    server.requests.clear()
    assert list(apply(plan(grafana, wanted))) == []
    assert server.writes() == []


def test_planning_writes_nothing(server, grafana, wanted):
    plan(grafana, wanted)
    assert server.writes() == []


def test_what_somebody_changed_by_hand_is_put_back(server, grafana, wanted):
    list(apply(plan(grafana, wanted)))
    server.dashboards["driftwatch-run"]["dashboard"]["panels"].pop()
    server.groups["driftwatch", "driftwatch"]["rules"][0]["for"] = "1h"
    server.datasources["driftwatch-prometheus"]["url"] = "http://elsewhere"
    server.folders["driftwatch"]["title"] = "Other"
    changed = actions(apply(plan(grafana, wanted)))
    assert changed == [("update", kind) for kind in ("folder", "data source", "dashboard", "rule group")]
    assert actions(apply(plan(grafana, wanted))) == []


def test_half_applied_state_is_completed_by_the_next_run(server, grafana, wanted):
    server.faults["POST", "/dashboards/db"] = (503, {"message": "database is locked"})
    with pytest.raises(GrafanaError, match=r"503 \(database is locked\). Try again; what is done already stays"):
        list(apply(plan(grafana, wanted)))
    assert server.dashboards == {}
    assert actions(apply(plan(grafana, wanted)))[0] == ("create", "dashboard")
    assert len(server.dashboards) == 4


def test_folder_that_appears_in_the_meantime_is_no_error(server, grafana, wanted):
    changes = plan(grafana, wanted)
    server.folders["driftwatch"] = {"uid": "driftwatch", "title": "Driftwatch"}
    assert ("create", "dashboard") in actions(apply(changes))


def test_removal_takes_what_is_ours_and_nothing_else(server, grafana, wanted):
    list(apply(plan(grafana, wanted)))
    server.dashboards["theirs"] = {
        "dashboard": {"uid": "theirs", "title": "Theirs", "tags": []},
        "folder": "driftwatch",
        "provisioned": False,
    }
    removed = [change.kind for change in apply(removal(grafana, wanted))]
    assert "folder" not in removed, "deleting a folder would delete what others put into it"
    assert list(server.dashboards) == ["theirs"]
    assert not server.groups
    assert not server.datasources
    assert not server.annotations


def test_removal_takes_an_empty_folder_along_and_can_be_repeated(server, grafana, wanted):
    list(apply(plan(grafana, wanted)))
    list(apply(removal(grafana, wanted)))
    assert not server.folders
    assert removal(grafana, wanted) == []


def test_data_source_and_rules_are_left_alone_unless_asked_for(server, grafana):
    kinds = {change.kind for change in plan(grafana, Wanted())}
    assert kinds == {"folder", "dashboard"}


def test_foreign_dashboard_with_our_uid_is_refused_before_anything_is_written(server, grafana, wanted):
    server.dashboards["driftwatch-health"] = {
        "dashboard": {"uid": "driftwatch-health", "title": "My health", "tags": ["mine"]},
        "folder": "",
        "provisioned": False,
    }
    with pytest.raises(GrafanaError, match=r'"My health" has our uid driftwatch-health and not our tag'):
        plan(grafana, wanted)
    assert server.writes() == []


def test_provisioned_dashboard_is_refused_with_the_way_out(server, grafana, wanted):
    list(apply(plan(grafana, wanted)))
    server.dashboards["driftwatch-run"]["provisioned"] = True
    with pytest.raises(GrafanaError, match=r"provisioned from a file.*Use one road"):
        plan(grafana, wanted)


def test_data_source_of_another_type_under_our_uid_is_refused(server, grafana, wanted):
    server.datasources["driftwatch-prometheus"] = {"uid": "driftwatch-prometheus", "type": "loki", "name": "x"}
    with pytest.raises(GrafanaError, match=r"type loki.*Pass another --datasource-uid"):
        plan(grafana, wanted)


def test_provisioned_data_source_that_differs_is_refused(server, grafana, wanted):
    server.datasources["driftwatch-prometheus"] = {"type": "prometheus", "url": "http://other", "readOnly": True}
    with pytest.raises(GrafanaError, match=r"from a file\. Change it there"):
        plan(grafana, wanted)


def test_annotations_tell_phases_and_alerts_once(server, grafana, wanted, run):
    list(apply(plan(grafana, wanted)))
    texts = [note["text"] for note in server.annotations.values()]
    assert texts == ["begun at step 0", "ended at step 100: finished", "parks moved toward more building"]
    run.append_event("begin", attempt=1, step=50)
    assert actions(apply(plan(grafana, wanted))) == [("create", "annotation")]
    assert server.annotations[4]["text"] == "resumed from step 50"


def test_rules_stay_editable_in_the_page(server, grafana, wanted):
    list(apply(plan(grafana, wanted)))
    headers = next(headers for method, path, _, headers in server.requests if method == "PUT" and "rule-groups" in path)
    assert headers["X-Disable-Provenance"] == "true"


def test_wrong_token_is_said_in_a_sentence(server, wanted):
    with pytest.raises(GrafanaError, match=r"does not accept the credentials\. Set GRAFANA_TOKEN") as caught:
        plan(connect(server.url, token="wrong"), wanted)
    assert caught.value.status == 401


def test_missing_right_is_said_in_a_sentence(server, grafana, wanted):
    server.faults["GET", "/folders/driftwatch"] = (403, {"message": "Access denied"})
    with pytest.raises(GrafanaError, match="does not allow this account to GET /folders/driftwatch"):
        plan(grafana, wanted)


def test_basic_authentication_works(server, wanted):
    assert plan(connect(server.url, user=server.USER, password=server.PASSWORD), wanted)


def test_grafana_below_a_sub_path_and_of_another_organization_is_reached(wanted):
    fake = FakeGrafana(prefix="/monitoring/grafana")
    try:
        list(apply(plan(connect(f"{fake.url}/", token=fake.TOKEN, organization="3"), wanted)))
        assert len(fake.dashboards) == 4
        assert all(headers["X-Grafana-Org-Id"] == "3" for _, _, _, headers in fake.requests)
    finally:
        fake.close()


def test_page_that_is_no_api_is_said_to_be_none(wanted):
    """A wrong sub-path answers with the page and status 200."""
    fake = FakeGrafana(prefix="/monitoring")
    try:
        with pytest.raises(GrafanaError, match=r"not JSON\. Is this the root of a Grafana"):
            plan(connect(fake.url.removesuffix("/monitoring"), token=fake.TOKEN), wanted)
    finally:
        fake.close()


def test_unreachable_grafana_is_said_in_a_sentence(wanted):
    with pytest.raises(GrafanaError, match=r"http://127.0.0.1:9 cannot be reached \(.*refused\). Is it up\?"):
        plan(connect("http://127.0.0.1:9", token="x"), wanted)


def test_old_grafana_is_refused(wanted):
    fake = FakeGrafana(version="7.5.5")
    try:
        with pytest.raises(GrafanaError, match=r"Grafana 7\.5\.5; provisioning over HTTP needs 9"):
            plan(connect(fake.url, token=fake.TOKEN), wanted)
    finally:
        fake.close()


def test_unhealthy_grafana_is_refused(server, grafana, wanted):
    server.faults["GET", "/health"] = (200, {"database": "failing", "version": "12.2.0"})
    with pytest.raises(GrafanaError, match="expected a healthy Grafana"):
        plan(grafana, wanted)


@pytest.mark.parametrize("body", [b"null", b"17", b'"message"'])
def test_error_whose_body_is_no_object_is_still_an_error(server, grafana, wanted, body):
    """The client package trips over these with a TypeError."""
    server.faults["GET", "/folders/driftwatch"] = (500, body)
    with pytest.raises(GrafanaError):
        plan(grafana, wanted)


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("grafana.example.org", {"token": "x"}, "begins with http:// or https://"),
        ("http://user:pass@grafana", {"token": "x"}, "put credentials into GRAFANA_TOKEN"),
        ("http://grafana", {}, "needs credentials: set GRAFANA_TOKEN"),
        ("http://grafana", {"user": "x"}, "needs credentials"),
    ],
)
def test_setting_that_cannot_work_is_refused_before_any_call(url, options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        connect(url, **options)


def test_certificates_are_checked_by_the_given_authority(tmp_path):
    face = connect("https://grafana:8443", token="x", verify=str(tmp_path / "ca.pem"))
    assert face._api.verify == str(tmp_path / "ca.pem")
    assert face._api.url == "https://grafana:8443/api"


class OwnClient:
    """As grafana-client is shaped: calls below `.client`, `None` for 204."""

    def __init__(self):
        self.client = self.Calls()

    class Calls:
        def __init__(self):
            self.made = []

        def GET(self, path, json=None, headers=None):
            self.made.append(path)
            return {"database": "ok", "version": "13.0.0"} if path == "/health" else {"title": "Driftwatch"}

        def DELETE(self, path, json=None, headers=None):
            self.made.append(path)


def test_callers_own_client_is_accepted():
    own = OwnClient()
    connection = Connection(own)
    assert connection.version() == "13.0.0"
    assert connection.call("DELETE", "/annotations/1") is None
    assert own.client.made == ["/health", "/annotations/1"]


def test_error_that_is_not_grafanas_is_not_swallowed():
    class Broken:
        def GET(self, path, json=None, headers=None):
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        Connection(Broken()).call("GET", "/health")


def test_every_call_obeys_the_published_interface(server, grafana, wanted):
    """Paths, methods and bodies against Grafana's OpenAPI file; it is strict about alert rules."""
    published = json.loads(Path(spec("grafana-12.2.0-openapi3.json")).read_text(encoding="utf-8"))
    list(apply(plan(grafana, wanted)))
    server.folders["driftwatch"]["title"] = "Other"
    server.datasources["driftwatch-prometheus"]["url"] = "http://elsewhere"
    list(apply(plan(grafana, wanted)))
    list(apply(removal(grafana, wanted)))
    seen = set()
    for method, path, body, _ in server.requests:
        template, operation = _operation(published, method, path)
        seen.add((method, template))
        if body is not None:
            _validator(published, operation).validate(body)
    assert len(seen) == 19


def test_published_interface_would_refuse_an_incomplete_rule(wanted):
    """The check above has teeth."""
    published = json.loads(Path(spec("grafana-12.2.0-openapi3.json")).read_text(encoding="utf-8"))
    path = "/v1/provisioning/folder/driftwatch/rule-groups/driftwatch"
    group = wanted.group
    del group["rules"][0]["noDataState"]
    with pytest.raises(jsonschema.ValidationError, match="'noDataState' is a required property"):
        _validator(published, _operation(published, "PUT", path)[1]).validate(group)


def _validator(published, operation):
    content = operation["requestBody"]
    if "$ref" in content:
        content = published["components"]["requestBodies"][content["$ref"].rpartition("/")[2]]
    schema = {**content["content"]["application/json"]["schema"], "components": published["components"]}
    return jsonschema.Draft202012Validator(schema)


def _operation(published, method, path):
    for template, methods in published["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if method.lower() in methods and re.fullmatch(pattern, f"/api{path}"):
            return template, methods[method.lower()]
    raise AssertionError(f"{method} {path} is not in the published interface")


def test_another_prefix_makes_other_objects(server, grafana, wanted):
    list(apply(plan(grafana, wanted)))
    list(apply(plan(grafana, Wanted(Config(prefix="Second")))))
    assert len(server.dashboards) == 8
    assert set(server.folders) == {"driftwatch", "second"}


@pytest.mark.parametrize("target", ["", "/grafana"])
def test_an_address_that_only_redirects_is_said_and_nothing_seems_done(wanted, target):
    """A POST that was redirected would arrive as a GET, whose success would be taken for the POST's."""
    fake = FakeGrafana(prefix="/grafana")
    asked = []

    class Front(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(self.command)
            self.send_response(301)
            self.send_header("Location", f"{fake.url}{target}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *args):
            """Nothing."""

    front = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    threading.Thread(target=lambda: front.serve_forever(0.01), daemon=True).start()
    try:
        with pytest.raises(GrafanaError, match=r"redirects GET to .*Give the address that Grafana itself has"):
            plan(connect(f"http://127.0.0.1:{front.server_port}", token=fake.TOKEN), wanted)
        with pytest.raises(GrafanaError, match="redirects POST"):
            connect(f"http://127.0.0.1:{front.server_port}", token=fake.TOKEN).call("POST", "/annotations", {})
        assert fake.requests == []
        assert asked == ["GET", "POST"]
    finally:
        front.shutdown()
        front.server_close()
        fake.close()


def test_the_token_is_in_no_log(server, grafana, wanted, caplog):
    caplog.set_level(logging.DEBUG)
    plan(grafana, wanted)
    assert server.TOKEN not in caplog.text
    assert "/api/" not in caplog.text
