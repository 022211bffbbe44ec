"""Page, API, metrics and guard of the service."""

import re
import shutil
from importlib.resources import files

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.builders import record, run_info
from support.hostile import HOSTILE
from support.synthetic_runs import cloned, synthetic_run

from driftwatch.report.figures import CHANNELS
from driftwatch.service.openapi import describe
from driftwatch.service.page import KINDS, STATIC
from driftwatch.store.run_store import RunStore

FILES_OF_THE_PAGE = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())


def test_the_list_shows_state_and_verdict_of_every_run(serve, root, finished):
    shutil.copytree(finished.folder, root / "finished")
    empty = RunStore(root / "empty")
    empty.create(run_info("empty"))
    empty.append_event("begin", attempt=0, step=0)
    rows = {row["run"]: row for row in serve(root).get("/api/v1/runs").json()["runs"]}
    assert rows["finished"]["state"] == "finished"
    assert rows["finished"]["verdict"]["state"] == "alert"
    assert "of replies, toward “more restrictive”" in rows["finished"]["verdict"]["headline"]
    assert rows["empty"]["state"] == "running"
    assert rows["empty"]["verdict"]["state"] == "nothing"
    assert sum(row["alpha"] for row in rows.values()) == pytest.approx(0.02), (
        "false alerts that two quiet runs may raise"
    )


def test_a_run_is_told_in_full(serve, finished):
    client = serve(finished.folder.parent)
    detail = client.get("/api/v1/runs/finished").json()
    assert detail["info"]["alerting_baseline"] == "sft"
    assert detail["last"]["step"] == 70
    curves = client.get("/api/v1/runs/finished/series").json()
    assert curves["columns"]["looks"]["step"] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert len(curves["columns"]["stances"]["immigration"]["statement"]["support"]) == 8
    movers = client.get("/api/v1/runs/finished/movers?limit=3").json()
    assert movers["found"][0]["topic"] == "immigration"
    assert movers["found"][0]["answers"][0]["now_reading"] == "oppose"
    page = client.get("/api/v1/runs/finished/records?since=6&limit=1").json()
    assert (page["records"][0]["look"], page["total"], page["next"]) == (6, 8, 7)


@pytest.mark.parametrize("path", ["series?since=-1", "records?limit=9999", "movers?limit=x"])
def test_a_number_that_makes_no_sense_is_refused_with_a_sentence(serve, finished, path):
    reply = serve(finished.folder.parent).get(f"/api/v1/runs/finished/{path}")
    assert reply.status_code == 400
    assert "number" in reply.json()["error"] or "position" in reply.json()["error"]


@pytest.mark.parametrize(
    "name", ["nobody", "..%2f..%2fetc", "%2e%2e", "a%00b", "finished%2f..%2f..%2fsecret", "x" * 3000]
)
def test_no_name_reaches_outside_the_folder(serve, finished, name):
    (finished.folder.parent.parent / "secret.json").write_text("{}")
    client = serve(finished.folder.parent)
    for path in (f"/api/v1/runs/{name}", f"/api/v1/runs/{name}/records", f"/static/{name}", f"/static/{name}.js"):
        assert client.get(path).status_code in (400, 404)


def test_answers_are_what_openapi_says(serve, finished):
    client, document = serve(finished.folder.parent), describe()
    assert client.get("/api/v1/openapi.json").json()["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" not in content:
            continue
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        jsonschema.validate(client.get(path.replace("{run}", "finished")).json(), schema)


def test_openapi_knows_every_route(serve, finished):
    served = {route.path for route in serve(finished.folder.parent).app.routes}
    described = set(describe()["paths"]) | {"/", "/runs/{run}", "/api/v1/openapi.json"}
    assert {path for path in served if path != "/static"} == described


def test_every_answer_carries_the_policy_and_no_cookie(serve, finished):
    client = serve(finished.folder.parent)
    for path in ("/", "/runs/finished", "/static/app.js", "/api/v1/runs", "/metrics", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers


def test_the_page_needs_nothing_from_elsewhere(serve, finished):
    client = serve(finished.folder.parent)
    for name in FILES_OF_THE_PAGE:
        if name.startswith("vendor/") or name == "icon.svg":  # the one names its own origin, the other its namespace
            continue
        text = client.get("/" if name == "index.html" else f"/static/{name}").text
        assert "https://" not in text
        assert text.replace("http://www.w3.org/2000/svg", "").count("http://") == 0
    assert "<script>" not in client.get("/").text
    assert "style=" not in client.get("/").text


def test_a_file_that_has_not_changed_is_not_sent_again(serve, finished):
    client = serve(finished.folder.parent)
    for path in ("/static/app.js", "/", "/runs/finished"):
        first = client.get(path)
        assert first.headers["cache-control"] == "no-cache", "asked for again, so that page and service fit together"
        second = client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (second.status_code, second.content) == (304, b"")
        assert second.headers["cache-control"] == "no-cache"
        assert "script-src 'self'" in second.headers["content-security-policy"]
        other = client.get(path, headers={"If-None-Match": '"another"'})
        assert (other.status_code, other.content) == (200, first.content)


def test_each_file_of_the_page_says_its_kind_whatever_the_machine_believes(serve, finished, monkeypatch):
    """A browser that must not guess takes no script of another kind; some machines call scripts plain text."""
    import mimetypes

    monkeypatch.setattr(mimetypes, "guess_type", lambda *args, **options: ("text/plain", None))
    client = serve(finished.folder.parent)
    assert {"index.html", "app.js", "style.css", "icon.svg", "vendor/uPlot.min.js"} <= set(FILES_OF_THE_PAGE)
    for name in FILES_OF_THE_PAGE:
        reply = client.get(f"/static/{name}")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == KINDS[f".{name.rpartition('.')[2]}"]
        assert reply.content == STATIC.joinpath(name).read_bytes()
        assert client.head(f"/static/{name}").headers["content-length"] == str(len(reply.content))
    assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "../page.py",
        "..%2fpage.py",
        "%2e%2e/%2e%2e/secret.js",
        "vendor/..%2f..%2f..%2f..%2fsecret.js",
        "%2fetc%2fpasswd",
        "/etc/hosts.js",
        "C:%5csecret.js",
        "vendor",
        "vendor/",
        "",
        "app.js%00.js",
        "nothing.js",
        "n" * 300 + ".js",
    ],
)
def test_no_path_reaches_beyond_the_files_of_the_page(serve, finished, path):
    client = serve(finished.folder.parent)
    assert client.get(f"/static/{path}").status_code in (400, 404)
    assert client.post("/static/app.js").status_code == 405


def test_the_page_is_served_where_an_installer_links_its_files(serve, finished, tmp_path, monkeypatch):
    linked = tmp_path / "linked"
    for name in FILES_OF_THE_PAGE:
        (linked / name).parent.mkdir(parents=True, exist_ok=True)
        (linked / name).symlink_to(STATIC / name)
    monkeypatch.setattr("driftwatch.service.page.STATIC", linked)
    client = serve(finished.folder.parent)
    assert "<!doctype html>" in client.get("/").text
    assert client.get("/static/vendor/uPlot.min.js").status_code == 200


def test_another_host_is_refused(serve, finished):
    reply = serve(finished.folder.parent).get("/api/v1/runs", headers={"Host": "evil.example"})
    assert reply.status_code == 421
    assert "--allow-host" in reply.text


def test_beyond_loopback_everything_but_health_needs_the_token(serve, finished):
    client = serve(finished.folder.parent, token="long-enough-token", needs_token_to_read=True)
    for path in (
        "/",
        "/runs/finished",
        "/static/app.js",
        "/static/no.js",
        "/api/v1/runs",
        "/metrics",
        "/api/v1/events",
    ):
        reply = client.get(path)
        assert reply.status_code == 401
        assert "Basic" in reply.headers["www-authenticate"]
    assert client.get("/healthz").status_code == 200
    assert client.get("/metrics", headers={"Authorization": "Bearer long-enough-token"}).status_code == 200
    assert client.get("/", auth=("anybody", "long-enough-token")).status_code == 200
    for wrong in ("Bearer long-enough-tokeN", "Bearer", "Basic !!!", "Digest x", "Bearer ünï"):
        assert client.get("/", headers={"Authorization": wrong.encode()}).status_code == 401


def test_readiness_says_what_is_missing(serve, root):
    client = serve(root)
    assert client.get("/readyz").status_code == 200
    root.rmdir()
    client.library.refresh()
    assert client.get("/readyz").status_code == 503
    assert "cannot be read" in client.get("/readyz").text


def samples(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_hold_all_runs_once_each(serve, root, finished):
    shutil.copytree(finished.folder, root / "finished")
    first = RunStore(root / "finished")
    for number in range(3):
        cloned(first, f"run-{number}")
    text = serve(root).get("/metrics").text
    found = samples(text)
    for name in ("finished", "run-0", "run-1", "run-2"):
        assert found["driftwatch_observed_step", ("run", name)] == 70
    assert text.count("# HELP driftwatch_observed_step ") == 1
    assert len(found) == sum(1 for line in text.splitlines() if line and not line.startswith("#"))


def test_two_folders_with_one_name_inside_do_not_break_the_scrape(serve, root, finished):
    shutil.copytree(finished.folder, root / "first")
    shutil.copytree(finished.folder, root / "second")
    found = samples(serve(root).get("/metrics").text)
    assert found["driftwatch_observed_step", ("run", "first")] == 70
    assert found["driftwatch_observed_step", ("run", "second")] == 70


def test_runs_that_ended_long_ago_leave_the_scrape(serve, root, finished):
    import os

    shutil.copytree(finished.folder, root / "finished")
    events = root / "finished" / "events.jsonl"
    events.write_text(events.read_text().replace('"timestamp":', '"timestamp":1.0,"was":'))
    os.utime(root / "finished" / "heartbeat", (1, 1))
    text = (root / "finished" / "records.jsonl").read_text()
    (root / "finished" / "records.jsonl").write_text(text.replace('"timestamp":179', '"timestamp":79'))
    client = serve(root)
    assert "driftwatch_run_info" not in client.get("/metrics").text
    assert len(client.get("/api/v1/runs").json()["runs"]) == 1


def test_a_beating_heart_changes_the_scrape_and_nothing_else_is_made_anew(serve, root, finished):
    import os

    shutil.copytree(finished.folder, root / "finished")
    client = serve(root)
    before = samples(client.get("/metrics").text)
    os.utime(root / "finished" / "heartbeat", (5e9, 5e9))
    client.library.refresh()
    after = samples(client.get("/metrics").text)
    changed = {key[0] for key in before if before[key] != after[key]}
    assert changed == {"driftwatch_heartbeat_timestamp_seconds"}


def test_a_label_that_looks_like_a_header_does_not_break_the_scrape(serve, root, finished):
    shutil.copytree(finished.folder, root / "finished")
    store = RunStore(root / "sly")
    topics = tuple(
        type(t)(t.id, t.title, ("# HELP up", "# TYPE up"), t.control, t.num_items) for t in run_info().topics
    )
    store.create(run_info("sly", topics=topics))
    text = serve(root).get("/metrics").text
    poles = {family.name: family for family in text_string_to_metric_families(text)}["driftwatch_topic_info"].samples
    assert {sample.labels["support"] for sample in poles if sample.labels["run"] == "sly"} == {"# HELP up"}
    assert len(samples(text)) == sum(1 for line in text.splitlines() if not line.startswith("#"))


def test_a_scrape_is_sent_compressed_to_those_who_take_it_so(serve, finished):
    client = serve(finished.folder.parent)
    packed = client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text
    assert int(packed.headers["content-length"]) < len(plain.content) / 4


def test_a_scrape_makes_nothing_and_shows_the_last_refresh(serve, root, finished, monkeypatch):
    """What a scrape waits for is what other requests make it wait for; the text is there already."""
    shutil.copytree(finished.folder, root / "first")
    client = serve(root)
    client.library.stop()
    assert samples(client.get("/metrics").text)["driftwatch_observed_step", ("run", "first")] == 70
    shutil.copytree(finished.folder, root / "second")
    client.library.refresh()
    monkeypatch.setattr("driftwatch.service.exposition.samples", lambda *args, **kwargs: 1 / 0)
    found = samples(client.get("/metrics").text)
    assert found["driftwatch_observed_step", ("run", "second")] == 70


def test_prometheus_discovers_running_trainers_only(serve, root):
    running = synthetic_run(root, "running", looks=2, state="running")
    running.write_json("endpoint.json", {"address": "0.0.0.0", "port": 9471, "host": "trainer-3"})
    ended = synthetic_run(root, "ended", looks=2)
    ended.write_json("endpoint.json", {"address": "127.0.0.1", "port": 9464})
    hostile = synthetic_run(root, "hostile", looks=2, state="running")
    hostile.write_json("endpoint.json", {"address": "evil.example/path?x=", "port": 1})
    groups = serve(root).get("/api/v1/sd").json()
    assert groups == [{"targets": ["trainer-3:9471"], "labels": {"__meta_driftwatch_run": "running"}}]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_data_everywhere(serve, root, text):
    store = RunStore(root / "hostile")
    topics = tuple(type(t)(t.id, text, (text, text), t.control, t.num_items) for t in run_info().topics)
    store.create(run_info("hostile", model=text, topics=topics, notes=(text,)))
    store.append(record(0, 0, run="hostile"))
    client = serve(root)
    assert client.get("/api/v1/runs/hostile").json()["info"]["model"] == text
    found = samples(client.get("/metrics").text)
    assert found["driftwatch_observed_step", ("run", "hostile")] == 0
    assert text not in client.get("/runs/hostile").text


def test_one_folder_full_of_nonsense_does_not_hide_the_others(serve, root, finished):
    shutil.copytree(finished.folder, root / "finished")
    for name, content in (("torn", b'{"run":'), ("newer", b'{"schema":99}'), ("empty", b""), ("list", b"[]")):
        (root / name).mkdir()
        (root / name / "run.json").write_bytes(content)
        (root / name / "records.jsonl").write_bytes(b"\x00\xff\n" * 3)
    client = serve(root)
    rows = {row["run"]: row for row in client.get("/api/v1/runs").json()["runs"]}
    assert set(rows) == {"finished", "torn", "newer", "empty", "list"}
    assert "schema 99" in rows["newer"]["problem"]
    for name in ("torn", "newer", "empty", "list"):
        assert rows[name]["problem"]
        assert client.get(f"/api/v1/runs/{name}").status_code == 200
        assert client.get(f"/api/v1/runs/{name}/movers").status_code == 200
    assert "driftwatch_observed_step" in client.get("/metrics").text


def test_a_look_about_unknown_topics_is_shown_as_nonsense(serve, root):
    store = RunStore(root / "odd")
    store.create(run_info("odd", topics=()))
    store.append(record(0, 0, run="odd"))
    row = serve(root).get("/api/v1/runs").json()["runs"][0]
    assert row["verdict"]["state"] in ("nothing", "cannot_tell")


def test_the_page_draws_the_manners_that_the_report_draws():
    """The list stands in both, since a page's script cannot read Python."""
    script = (files("driftwatch.service") / "static" / "run.js").read_text()
    drawn = re.findall(r'\["(stances|styles)", "(\w+)", "([^"]+)", \[(-?\d), (\w+)\]', script)
    ends = [("null" if c.ends[1] is None else f"{c.ends[1]:g}") for c in CHANNELS]
    assert drawn == [(c.part, c.name, c.title, f"{c.ends[0]:g}", end) for c, end in zip(CHANNELS, ends, strict=True)]
