"""What a person sees: pages of a live, a finished, a crashed and an empty run, and of hostile ones."""

import shutil
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from support.builders import record, run_info
from support.hostile import HOSTILE
from support.servers import wait_for
from support.synthetic_runs import synthetic_info, synthetic_run

from driftwatch.drift.fault import ModelFault
from driftwatch.record.record import to_json
from driftwatch.store.run_store import RunStore

pytestmark = [pytest.mark.browser]
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}


def accessible(page):
    """Nothing that axe finds fault with."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page, options=RULES).response["violations"]
    assert not found, [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in found]


def sound(watched):
    assert watched.complaints == []
    assert watched.foreign == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_finished_run_tells_its_verdict_and_draws_every_chart(look, address, root, scheme):
    synthetic_run(root, "planted", looks=12)
    watched = look(scheme=scheme)
    page = watched.open(f"{address}/runs/planted")
    page.wait_for_selector(".part-movers .card")
    assert "of replies, toward “more restrictive”" in page.inner_text(".verdict h2")
    assert page.inner_text("h1") == "planted"
    assert page.locator(".part-topics canvas").count() == 8
    assert page.locator(".part-heat rect.cell").count() == 8 * 12
    assert page.locator(".part-evidence canvas").count() == 1
    assert "alert" in page.inner_text(".part-topics .card:first-child h3") or "drift" in page.inner_text(
        ".part-topics .card:first-child h3"
    )
    assert "I think that family members need to wait several years." in page.inner_text(".part-movers")
    page.click("text=All evidence as a table")
    assert page.locator(".part-evidence tbody tr").count() == 16
    accessible(page)
    sound(watched)


def test_charts_really_have_ink(look, address, root):
    """A canvas that stayed blank would pass every other test."""
    synthetic_run(root, "planted", looks=12)
    page = look().open(f"{address}/runs/planted")
    page.wait_for_selector(".part-topics canvas")
    page.wait_for_timeout(300)
    colours = page.evaluate(
        """() => [...document.querySelectorAll('.part-topics canvas')].map((canvas) => {
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const seen = new Set();
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) seen.add(data.slice(i, i + 3).join());
            return seen.size;
        })"""
    )
    assert len(colours) == 8
    assert min(colours) > 3


DRAWN = """async (values) => {
    const { LineChart } = await import("/static/charts.js");
    const chart = new LineChart({ title: "a part of the page", range: [0, 1], format: String });
    document.querySelector("main").append(chart.node);
    chart.set(values.map((_, at) => at), [{ label: "read", color: "--line-1", values }]);
    await new Promise((done) => setTimeout(done, 300));
    const canvas = chart.node.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--line-1").trim();
    const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    let inked = 0;
    for (let i = 0; i < data.length; i += 4) inked += wanted.every((part, at) => Math.abs(data[i + at] - part) < 8);
    return inked;
}"""


def test_a_look_between_two_that_were_not_read_is_a_point(look, address, root):
    synthetic_run(root, "planted", looks=4)
    page = look().open(f"{address}/runs/planted")
    page.wait_for_selector(".part-topics canvas")
    assert page.evaluate(DRAWN, [None, None, None, None]) == 0
    assert page.evaluate(DRAWN, [None, 0.5, None, None]) > 5
    assert page.evaluate(DRAWN, [None, None, None, 0.5]) > 5


def test_the_manner_of_replies_is_drawn_beside_that_of_the_baseline(look, address, root):
    synthetic_run(root, "mannered", looks=12, styles=True)
    watched = look()
    page = watched.open(f"{address}/runs/mannered")
    page.wait_for_selector(".part-style canvas")
    assert page.locator(".part-style canvas").count() == 7  # naysaying by the screen, six by the replies
    hedging = page.locator(".part-style .card", has_text="Hedging")
    spoken = hedging.locator("[aria-label]").first.get_attribute("aria-label")
    assert "values: 40 %, controls: 40 %, baseline: 10 %" in spoken
    accessible(page)
    sound(watched)


def test_a_live_run_grows_without_a_reload(look, address, root):
    store = synthetic_run(root, "live", looks=5, state="running")
    watched = look()
    page = watched.open(f"{address}/runs/live")
    page.wait_for_selector(".part-topics canvas")
    page.evaluate("window.marker = 'same page'")
    assert "step 40, 5 observations" in page.inner_text(".part-head")
    assert "running" in page.inner_text(".part-head")
    last = store.records()[-1]
    store.append(type(last)(**{**fields(last), "look": 5, "step": 50}))
    page.wait_for_selector(".part-head:has-text('step 50, 6 observations')")
    assert page.locator(".part-heat rect.cell").count() == 8 * 6
    assert "step 50" in page.inner_text(".part-topics .card:first-child .readout")
    assert page.evaluate("window.marker") == "same page"
    store.append_event("end", attempt=0, step=50, text="finished")
    page.wait_for_selector(".part-head .badge:has-text('finished')")
    sound(watched)


def fields(value):
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}


def test_a_crashed_run_says_so(look, address, root):
    synthetic_run(root, "crashed", looks=4, state="crashed")
    watched = look()
    page = watched.open(f"{address}/runs/crashed")
    page.wait_for_selector(".notice.bad")
    assert "no sign of life" in page.inner_text(".notice.bad")
    assert page.locator(".part-topics canvas").count() == 8
    accessible(page)
    sound(watched)


def test_an_empty_run_says_that_there_is_nothing_and_why(look, address, root):
    store = RunStore(root / "empty")
    store.create(synthetic_info("empty"))
    store.append_event("begin", attempt=0, step=0)
    watched = look()
    page = watched.open(f"{address}/runs/empty")
    page.wait_for_selector(".verdict")
    assert "The first observation is being taken" in page.inner_text(".verdict")
    assert page.locator("canvas").count() == 0
    accessible(page)
    store.append(record(0, 0, run="empty"))
    page.wait_for_selector(".part-topics canvas")
    sound(watched)


def test_a_screen_only_run_is_useful_and_says_what_it_lacks(look, address, root):
    synthetic_run(root, "screened", looks=6, evidence=False, replies=False)
    watched = look()
    page = watched.open(f"{address}/runs/screened")
    page.wait_for_selector(".part-movers .card")
    assert "no stated false-alarm rate" in page.inner_text(".verdict")
    assert "only screens" in page.inner_text(".part-evidence")
    assert "were scored, not sampled" in page.inner_text(".part-movers")
    sound(watched)


def test_the_list_finds_leads_and_follows(look, address, root):
    synthetic_run(root, "planted", looks=4)
    watched = look()
    page = watched.open(address)
    page.wait_for_selector("tbody tr")
    assert "1 runs, 0 running" in page.inner_text("main")
    synthetic_run(root, "later", looks=2, state="running")
    page.wait_for_selector("tbody tr:nth-child(2)")
    assert page.inner_text("tbody tr:first-child th") == "later"
    page.fill("#filter", "finished")
    assert page.locator("tbody tr").count() == 1
    accessible(page)
    page.click("tbody tr a")
    page.wait_for_selector(".verdict")
    assert page.url.endswith("/runs/planted")
    sound(watched)


def test_a_service_without_runs_says_what_to_do(look, address):
    watched = look()
    page = watched.open(address)
    page.wait_for_selector(".notice")
    assert "DriftCallback" in page.inner_text(".notice")
    accessible(page)
    sound(watched)


def deleted(store, address):
    """Delete a run's folder, and wait until the service has noticed."""
    shutil.rmtree(store.folder)
    url = f"{address}/api/v1/runs/{store.folder.name}"
    wait_for("the service to notice", lambda: httpx.get(url).status_code == 404, seconds=60)


def test_a_folder_deleted_while_open_is_said(look, address, root):
    store = synthetic_run(root, "gone", looks=4)
    page = look().open(f"{address}/runs/gone")
    page.wait_for_selector(".link.on:has-text('live')")
    shutil.rmtree(store.folder)
    page.wait_for_selector("text=has disappeared")
    assert page.locator(".part-topics canvas").count() == 8


def test_a_folder_deleted_before_the_page_follows_it_is_said_and_its_return_is_seen(look, address, root):
    store = synthetic_run(root, "gone", looks=4)
    watched = look()

    def late(route):
        if store.folder.exists():
            deleted(store, address)
        route.continue_()

    watched.page.route("**/runs/gone/events", late)
    page = watched.open(f"{address}/runs/gone")
    page.wait_for_selector("text=has disappeared")
    page.unroute("**/runs/gone/events")
    synthetic_run(root, "gone", looks=5)
    page.wait_for_selector(".part-head:has-text('5 observations')")
    assert page.locator("text=has disappeared").count() == 0


def test_an_answer_from_before_the_folder_was_deleted_does_not_hide_that_it_was(look, address, root):
    store = synthetic_run(root, "gone", looks=4)
    watched = look()
    page = watched.open(f"{address}/runs/gone")
    page.wait_for_selector(".link.on:has-text('live')")

    def overtaken(route):
        answer = route.fetch()
        deleted(store, address)
        time.sleep(0.5)  # until the page has been told
        route.fulfill(response=answer)

    page.route("**/runs/gone", overtaken, times=1)
    store.append_event("note", attempt=0, step=30, text="one more reason to ask")
    page.wait_for_selector("text=has disappeared")
    page.wait_for_timeout(1000)
    assert page.locator("text=has disappeared").is_visible()


def test_on_a_phone_nothing_is_cut_off(look, address, root):
    synthetic_run(root, "planted", looks=6)
    for path in ("", "/runs/planted"):
        watched = look(width=360, height=740)
        page = watched.open(address + path)
        page.wait_for_selector(".part-movers .card" if path else "tbody tr")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        sound(watched)


def test_everything_works_by_keyboard(look, address, root):
    synthetic_run(root, "planted", looks=6)
    page = look().open(f"{address}/runs/planted")
    page.wait_for_selector(".part-movers .card")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.focus(".part-topics .picture")
    page.keyboard.press("Home")
    assert "step 0" in page.inner_text(".part-topics .card:first-child .readout")
    page.keyboard.press("ArrowRight")
    assert "step 10" in page.inner_text(".part-topics .card:first-child .readout")
    page.focus(".heat")
    page.keyboard.press("ArrowLeft")
    assert "Immigration, step 40" in page.inner_text(".part-heat .readout")
    page.focus("button:has-text('Shift from baseline')")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Shift by topic")
    label = page.get_attribute(".part-topics .picture", "aria-label")
    assert "Immigration" in label
    assert "at last" in label


def test_200_looks_are_drawn(look, address, root):
    synthetic_run(root, "long", looks=200)
    watched = look()
    page = watched.open(f"{address}/runs/long")
    page.wait_for_selector(".part-movers .card")
    assert page.locator(".part-topics canvas").count() == 8
    assert "step 1990" in page.inner_text(".part-topics .card:first-child .readout")
    sound(watched)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(look, address, root, text):
    store = RunStore(root / "hostile")
    topics = tuple(type(t)(t.id, text, (text, text), t.control, t.num_items) for t in run_info().topics)
    store.create(run_info("hostile", model=text, topics=topics, notes=(text,)))
    store.append(record(0, 0, run="hostile", notes=(text,)))
    store.append(record(1, 4, run="hostile"))
    (store.folder / "replies").mkdir()
    said = {"text": text, "outcome": 2}
    line = {"topic": "parks", "item": text, "order": 0, "step": 4, "now": said, "baseline": said}
    (store.folder / "replies" / "a.jsonl").write_bytes(to_json(line) + b"\n")
    watched = look()
    watched.page.on("dialog", lambda dialog: watched.complaints.append(f"a dialog: {dialog.message}"))
    page = watched.open(f"{address}/runs/hostile")
    page.wait_for_selector(".part-topics canvas")
    assert page.locator("main img, main script, main iframe").count() == 0
    shown = page.evaluate("document.querySelector('.part-topics h3 bdi').textContent")
    assert shown == text
    sound(watched)


def test_where_levels_of_the_screen_are_hidden_the_judged_replies_are_shown(look, address, root, tmp_path):
    made = synthetic_run(tmp_path, "hidden", looks=3)
    records = made.records()
    for number, found in enumerate(records):
        screen = [
            replace(stance, probs=None, lower=None, upper=None, unscored="levels are hidden: r = 0.04")
            for stance in found.stances
        ]
        replies = [replace(stance, probe="confirm") for stance in found.stances]
        records[number] = replace(found, stances=(*screen, *replies))
    (made.folder / "records.jsonl").write_bytes(b"".join(to_json(found) + b"\n" for found in records))
    store = RunStore(made.folder.rename(root / "hidden"))  # at once: the service must not read what is still changed
    watched = look()
    page = watched.open(f"{address}/runs/hidden")
    page.wait_for_selector(".part-topics canvas")
    chosen = page.locator('.part-topics [aria-label="Probe"] [aria-pressed="true"]')
    assert chosen.inner_text() == "judged replies"
    page.click('.part-topics [aria-label="Probe"] button:has-text("screen")')
    page.wait_for_selector(".part-topics .why:has-text('levels are hidden')")
    store.append_line("records.jsonl", replace(records[-1], look=3, step=30))
    page.wait_for_selector(".part-head:has-text('4 observations')")
    assert chosen.inner_text() == "screen"  # as it was picked
    sound(watched)


def test_the_picture_of_the_readme_is_made_from_a_service(address, root, tmp_path):
    synthetic_run(root, "planted", looks=4)
    script = Path(__file__).parents[2] / "docs" / "pictures" / "run.py"
    out = tmp_path / "run.png"
    command = [sys.executable, str(script), "--url", address, "--figure", "Shift from baseline", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    picture = out.read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1860, 1440)


@pytest.mark.parametrize(
    ("reason", "border"), [("not_classified", "rgb(142, 95, 184)"), ("not_finite", "rgb(179, 38, 30)")]
)
def test_what_cannot_be_told_is_no_green_tick(look, address, root, tmp_path, reason, border):
    """Neither on the run's page nor in the list; a model that is not finite is as red as a drift."""
    made = synthetic_run(tmp_path, f"untold-{reason}", looks=2)
    *first, last = made.records()
    calm = tuple(replace(row, state="ok", label=None, onset_step=None) for row in last.evidence)
    garbage = tuple(replace(row, without_stance_now=0.9, without_stance_baseline=0.1) for row in calm)
    fault = ModelFault("not_finite", 10, "the model's weights or logits are not finite since step 10")
    last = replace(last, evidence=garbage, fault=fault if reason == "not_finite" else None)
    (made.folder / "records.jsonl").write_bytes(b"".join(to_json(found) + b"\n" for found in (*first, last)))
    made.folder.rename(root / made.folder.name)
    watched = look()
    page = watched.open(f"{address}/runs/untold-{reason}")
    page.wait_for_selector(f".verdict.cannot_tell.{reason} h2")
    assert page.locator(".verdict .badge").inner_text() == "? cannot tell"
    color = page.eval_on_selector(".verdict", "node => getComputedStyle(node).borderLeftColor")
    assert color == border
    page.goto(address, wait_until="domcontentloaded")
    page.wait_for_selector(f'tr:has-text("untold-{reason}") .badge.verdict-cannot_tell')
    assert "of which nothing can be told" in page.inner_text("main")
    sound(watched)
