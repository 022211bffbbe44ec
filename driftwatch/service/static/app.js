// Entry: decides which page this is, and opens the stream that keeps it fresh.

import { ago, ask, el, said, stateBadge, table, verdictBadge, verdictWord } from "./parts.js";
import { RunPage } from "./run.js";

const main = document.getElementById("main");
const link = document.getElementById("link");
const REFUSED_MS = 5000; // how long until a refused stream is asked for again
const wanted = decodeURIComponent((location.pathname.match(/^\/runs\/([^/]+)$/) || [])[1] || "");

function connection(text, kind = "") {
  link.className = `link ${kind}`;
  link.textContent = text;
}

// The list of all runs.
class ListPage {
  constructor(host) {
    this.rows = new Map();
    this.filter = el("input", { type: "search", id: "filter", placeholder: "name, model or state", oninput: () => this.draw() });
    this.body = el("div");
    this.count = el("p", { class: "quiet", role: "status" });
    host.replaceChildren(el("h1", {}, "Runs"), el("div", { class: "filter" }, el("label", { for: "filter" }, "Filter"), this.filter), this.count, this.body);
  }

  async update() {
    const { runs, problem, ready } = await ask("/api/v1/runs");
    this.rows = new Map(runs.map((row) => [row.run, row]));
    this.problem = problem; this.ready = ready;
    this.draw();
  }

  put(row) { this.rows.set(row.run, row); this.soon(); }
  drop(name) { this.rows.delete(name); this.soon(); }

  // The list is drawn at most once per second, however many runs report.
  soon() { this.waiting ??= setTimeout(() => { this.waiting = null; this.draw(); }, 1000); }

  draw() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...this.rows.values()];
    const shown = all.filter((row) => words.every((word) => `${row.run} ${row.model} ${row.state} ${row.trainer} ${verdictWord(row.verdict.state)}`.toLowerCase().includes(word)))
      .sort((a, b) => (b.state === "running") - (a.state === "running") || (b.created || 0) - (a.created || 0));
    const untold = all.filter((row) => row.verdict.state === "cannot_tell").length;
    const drifting = all.filter((row) => ["alert", "beyond_tolerance"].includes(row.verdict.state)).length;
    const expected = all.reduce((sum, row) => sum + (row.alpha || 0), 0);
    const rate = expected ? `. The rate of false alerts is one for each run: if nothing moved in any of these, at most ${Number(expected.toPrecision(2))} of them ${expected === 1 ? "is" : "are"} expected to raise one` : "";
    this.count.textContent = all.length ? `${all.length} runs, ${all.filter((row) => row.state === "running").length} running, ${drifting} with a value drift${untold ? `, ${untold} of which nothing can be told` : ""}${shown.length < all.length ? `; ${shown.length} shown` : ""}${rate}` : "";
    const nothing = this.problem ? `The runs cannot be read: ${this.problem}.` : !this.ready ? "The run folders are being read." : all.length ? "No run fits the filter." : "No run is here yet. A run appears with its first observation: start a training with DriftCallback whose output folder lies below the served one, or give it the exporter “service”.";
    const focused = this.body.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.seen = new Map();
    this.body.replaceChildren(shown.length ? table("Runs, running ones first", ["run", "state", "verdict", "step", "looks", "model", "last seen"], shown.map((row) => [
      el("a", { href: `/runs/${encodeURIComponent(row.run)}` }, said(row.run)), stateBadge(row.state),
      el("div", { class: "said" }, verdictBadge(row.verdict.state, row.verdict.reason), " ", said(row.verdict.headline), row.problem ? el("p", { class: "bad" }, said(row.problem)) : null),
      row.step ?? "–", row.looks, said(row.model || "–"), this.age(row)]), { numbers: [3, 4], kind: "runs" }) : el("p", { class: "notice" }, nothing));
    if (focused) [...this.body.querySelectorAll("a")].find((node) => node.textContent === focused)?.focus();
  }

  age(row) {
    const node = el("span", {}, ago(row.last_seen));
    this.seen.set(row, node);
    return node;
  }

  tick() { for (const [row, node] of this.seen || []) node.textContent = ago(row.last_seen); }
}

async function begin() {
  const { single } = await ask("/api/v1/runs");
  const name = wanted || single;
  const page = name ? new RunPage(name, main, { single: !!single }) : new ListPage(main);
  const update = () => page.update().then(() => connection("live", "on")).catch((problem) => connection(`cannot read: ${problem.message}`, "off"));
  await update();
  const events = name ? `/api/v1/runs/${encodeURIComponent(name)}/events` : "/api/v1/events";
  let ended = false;
  const follow = () => {
    const stream = new EventSource(events);
    stream.addEventListener("open", () => { connection("live", "on"); });
    stream.addEventListener("run", (event) => {
      const row = JSON.parse(event.data);
      if (!name) page.put(row);
      else if (page.knows(row)) page.alive(row);
      else update();
    });
    // The page asks once more instead of showing the event: an answer that is still on its way would be drawn over it.
    stream.addEventListener("gone", (event) => (name ? update() : page.drop(JSON.parse(event.data).run)));
    stream.addEventListener("ended", (event) => {
      ended = true;
      stream.close();
      connection(`training has ended (${JSON.parse(event.data).state}); this page stays as it was. “driftwatch serve” shows the run from now on.`, "off");
    });
    stream.addEventListener("error", () => {
      if (ended) return;
      connection("the service does not answer; trying again. What is shown is what was read last.", "off");
      // A refusal (the run has gone, too many streams are open) ends a stream for good; only a lost one comes back by itself.
      if (stream.readyState === EventSource.CLOSED) { update(); setTimeout(follow, REFUSED_MS); }
    });
  };
  follow();
  setInterval(() => page.tick && !document.hidden && page.tick(), 15000);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.redraw && page.redraw());
}

begin().catch((problem) => {
  main.replaceChildren(el("p", { class: "notice bad", role: "alert" }, said(`This page cannot be shown: ${problem.message}`)));
});
