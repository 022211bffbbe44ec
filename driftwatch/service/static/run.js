// The page of one run: first the verdict, then the figures that it rests on.

import { HeatMap, LineChart, swatch } from "./charts.js";
import { ago, ask, choice, dash, el, netShift, odds, percent, raised, said, seconds, share, signed, signedPercent, stateBadge, table, verdictBadge } from "./parts.js";
import { LABELS } from "./words.js";

const SHARES = [
  ["support", "--support", null],
  ["neutral", "--neutral", [2, 3]],
  ["oppose", "--oppose", [8, 4]],
];
// Each entry holds: part of the series, column, title, ends of the axis (an open end follows the data), unit. For "styles",
// the values of the baseline's replies to the same draws are known too.
const STYLES = [
  ["stances", "naysaying", "Naysaying", [0, 1], (v) => percent(v)],
  ["stances", "refusal", "Refusals", [0, 1], (v) => percent(v)],
  ["stances", "unread", "Unclassified replies", [0, 1], (v) => percent(v)],
  ["styles", "off_topic", "Off-topic replies", [0, 1], (v) => percent(v)],
  ["styles", "hedging", "Hedging", [0, 1], (v) => percent(v)],
  ["styles", "order_preference", "Preference for what stands first", [-1, 1], (v) => signed(v, 1)],
  ["styles", "cut", "Replies cut by the limit", [0, 1], (v) => percent(v)],
  ["styles", "num_tokens", "Length, tokens", [0, null], (v, tick) => (v === null ? dash : tick ? `${+v.toPrecision(3)}` : v.toFixed(0))],
  ["styles", "entropy", "Entropy, nats per token", [0, null], (v, tick) => (v === null ? dash : tick ? `${+v.toPrecision(3)}` : v.toFixed(2))],
];
const FULL_COLOR = 0.1; // the smallest shift with full colour, so that noise does not look like a drift in a run where nothing moved
const EVIDENCE_COLORS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];
const dig = (node, ...path) => path.reduce((at, key) => (at ? at[key] : undefined), node);
const lastOf = (values) => (values || []).reduce((last, value) => (value === null || value === undefined ? last : value), null);
const title = (info, id) => (info.topics.find((topic) => topic.id === id) || { title: id === "all" ? "All topics" : id }).title;

export class RunPage {
  constructor(name, host, { single }) {
    this.name = name; this.host = host; this.single = single;
    this.columns = {}; this.length = 0; this.stride = 1; this.version = -1;
    this.charts = new Map();
    this.chosen = { figure: null, probe: null, baseline: null };
    this.picked = {};
    this.parts = {};
    for (const part of ["head", "verdict", "notices", "topics", "heat", "evidence", "movers", "style", "cost", "method"]) this.parts[part] = el("section", { class: `part part-${part}` });
    host.replaceChildren(...Object.values(this.parts));
  }

  get url() { return `/api/v1/runs/${encodeURIComponent(this.name)}`; }

  // Whether only the sign of life can be new in a row of the list.
  knows(row) { return !this.away && this.detail?.row.version === row.version && this.detail.row.state === row.state; }

  alive(row) { this.detail.row.last_seen = row.last_seen; this.tick(); }

  async update() {
    if (this.busy) { this.again = true; return; }
    this.busy = true;
    try {
      const [detail] = await Promise.all([ask(this.url), this.readCurves()]);
      this.detail = detail; this.away = false;
      this.draw();
      await this.readMovers();
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      this.gone();
    } finally {
      this.busy = false;
      if (this.again) { this.again = false; setTimeout(() => this.update().catch(() => {}), 200); }
    }
  }

  async readCurves() {
    let curves = await ask(`${this.url}/series?since=${this.stride === 1 && !this.away ? this.length : 0}`);
    if (curves.stride !== this.stride || curves.length < this.length) {
      if (curves.since) curves = await ask(`${this.url}/series`);
      this.columns = {}; this.length = 0;
    } else if (curves.since === 0) { this.columns = {}; this.length = 0; }
    join(this.columns, curves.columns, this.length, curves.length);
    this.length = curves.length; this.stride = curves.stride;
  }

  async readMovers() {
    if (this.movedAt === this.detail.row.version) return;
    this.movedAt = this.detail.row.version;
    this.drawMovers(await ask(`${this.url}/movers?limit=12`));
  }

  // A run that comes back under this name may be another one, so everything that was read before is dropped.
  gone() {
    this.away = true; this.movedAt = null;
    this.parts.head.replaceChildren(el("h1", {}, this.name));
    this.parts.verdict.replaceChildren(el("p", { class: "notice bad", role: "alert" }, "The folder of this run has disappeared: it was deleted, moved or pruned. What is shown below is what was read last."));
  }

  draw() {
    document.title = `${this.name} · driftwatch`;
    this.drawHead(); this.drawVerdict(); this.drawNotices();
    const ready = this.detail.info && this.length > 0;
    for (const part of ["topics", "heat", "evidence", "movers", "style", "cost"]) this.parts[part].hidden = !ready;
    if (ready) { this.choose(); this.drawTopics(); this.drawHeat(); this.drawEvidence(); this.drawStyle(); this.drawCost(); }
    this.drawMethod();
  }

  redraw() { if (this.detail) { for (const chart of this.charts.values()) chart.shape = null; this.draw(); } }

  chart(key, make) {
    if (!this.charts.has(key)) this.charts.set(key, make());
    return this.charts.get(key);
  }

  // Head, verdict, notices

  drawHead() {
    const { row, info } = this.detail;
    this.parts.head.replaceChildren(
      ...(this.single ? [] : [el("p", { class: "crumb" }, el("a", { href: "/" }, "All runs"))]),
      el("div", { class: "titles" }, el("h1", {}, said(this.name)), stateBadge(row.state)),
      el("p", { class: "quiet" }, info ? [said(info.model), ` · pack ${info.pack} ${info.pack_version}`, info.trainer ? ` · ${info.trainer}` : "", " · "] : "",
        row.step === null ? "no observation yet" : `step ${row.step}, ${row.looks} observations`, row.attempts > 1 ? `, attempt ${row.attempts}` : "", " · last sign of life ", this.seen = el("span", {}, ago(row.last_seen))));
  }

  tick() { if (this.seen && this.detail) this.seen.textContent = ago(this.detail.row.last_seen); }

  drawVerdict() {
    const { verdict, info, last_measured: last } = this.detail;
    const threshold = dig(last, "evidence", 0, "log10_threshold");
    this.parts.verdict.replaceChildren(el("div", { class: `verdict ${verdict.state} ${verdict.reason || ""}` },
      el("div", {}, verdictBadge(verdict.state, verdict.reason)),
      el("h2", {}, said(this.nothing() ? "Nothing has been measured yet." : verdict.headline)),
      el("ul", {}, (this.nothing() || verdict.details).map((text) => el("li", {}, said(text)))),
      info && last ? el("p", { class: "quiet" }, `Compared with the baseline “${info.alerting_baseline}”. Requested probability of any false value alert in the whole run: ${percent(info.alpha, 1)}`, threshold ? `; an alert needs evidence of ${odds(threshold)}.` : ".") : null));
  }

  // Sentences that say why there is nothing to see; null where there is something.
  nothing() {
    const { row, last, last_measured: measured } = this.detail;
    if (measured || !this.detail.info) return this.detail.info ? null : [row.problem || "The run cannot be read."];
    if (last) return ["Every observation so far has failed:", ...last.failures.map((failure) => `${failure.probe}: ${failure.reason}`)];
    if (row.state === "running") return ["The first observation is being taken: it comes before the first update, and a large pack on a small machine takes minutes.", "This page fills by itself when it is there."];
    return [`The run ${row.state} before its first observation was written.`, "Its log says why."];
  }

  drawNotices() {
    const { row, info, last } = this.detail;
    const notices = [];
    if (row.state === "crashed") notices.push(["bad", `The trainer has given no sign of life for a while (last ${ago(row.last_seen)}) and did not say that it ended: it was killed, or its host is gone.`]);
    if (row.state === "failed") notices.push(["bad", "Training ended with an error."]);
    if (row.problem) notices.push(["bad", `${row.problem}${row.unreadable ? ` (${row.unreadable} observations could not be read)` : ""}`]);
    if (this.stride > 1) notices.push(["", `${row.looks} observations: the curves show every ${this.stride}th of them.`]);
    for (const note of (info && info.notes) || []) notices.push(["", note]);
    if (last && last.failures.length && this.detail.last_measured) notices.push(["", `At step ${last.step}: ${last.failures.map((failure) => `${failure.probe} failed (${failure.reason})`).join("; ")}`]);
    this.parts.notices.replaceChildren(...notices.map(([kind, text]) => el("p", { class: `notice ${kind}` }, said(text))));
    this.parts.notices.hidden = !notices.length;
  }

  // What is shown: figure, probe, baseline

  choose() {
    const { info } = this.detail;
    const probes = [...new Set(Object.values(this.columns.stances || {}).flatMap(Object.keys))];
    const drifted = [...new Set(Object.values(this.columns.drifts || {}).flatMap(Object.keys))];
    const baselines = [...new Set(Object.values(this.columns.drifts || {}).flatMap((topic) => Object.values(topic).flatMap(Object.keys)))];
    this.options = { probes, drifted, baselines };
    const { chosen } = this;
    chosen.figure ??= probes.length ? "shares" : "shift";
    // The first probe that has shares to show; a screen whose levels are hidden has none.
    const hidden = (probe) => info.topics.every((topic) => lastOf(dig(this.columns, "stances", topic.id, probe, "support")) === null || (dig(this.columns, "stances", topic.id, probe, "unscored") || [])[this.length - 1]);
    if (!this.picked.probe || !probes.includes(chosen.probe)) chosen.probe = probes.find((probe) => !hidden(probe)) ?? probes[0] ?? null;
    // The probe that covers most topics; judged replies are preferred where they cover as many.
    const reach = (probe) => info.topics.filter((topic) => dig(this.columns, "drifts", topic.id, probe)).length;
    if (!drifted.includes(chosen.driftProbe)) chosen.driftProbe = [...drifted].sort((a, b) => reach(b) - reach(a) || (b === "confirm") - (a === "confirm"))[0] ?? null;
    if (!baselines.includes(chosen.baseline)) chosen.baseline = baselines.includes(info.alerting_baseline) ? info.alerting_baseline : baselines[0] ?? null;
  }

  pick(name, value) { this.chosen[name] = value; this.picked[name] = true; this.draw(); }

  get steps() { return dig(this.columns, "looks", "step") || []; }

  get marks() {
    const marks = [];
    for (const event of this.detail.events) if (event.kind === "begin" && event.attempt > 0) marks.push({ step: event.step, text: "resumed" });
    return marks;
  }

  // The net shift of a topic's judged replies at the last observation; null without judged replies.
  figures(topic) { return this.detail.topics.find((one) => one.topic === topic) || null; }

  onset(topic) {
    const step = dig(this.figures(topic), "onset_step") ?? null;
    return step === null ? [] : [{ step, text: "onset", color: "--alert" }];
  }

  // How far a topic moved, by the chosen probe: judged replies have the net shift, the screen its own figures.
  shift(topic) {
    const isJudged = this.chosen.driftProbe === "confirm";
    const ofReplies = this.chosen.baseline === this.detail.info.alerting_baseline ? dig(this.columns, "evidence", topic, "direction") : null;
    const found = (isJudged ? ofReplies : dig(this.columns, "drifts", topic, this.chosen.driftProbe, this.chosen.baseline)) || {};
    const name = isJudged ? "net_shift" : found.log_odds_shift ? "log_odds_shift" : "score_shift";
    return { name, values: found[name], lower: found[`${name}_lower`], upper: found[`${name}_upper`] };
  }

  // The name of what is shown, its unit, and how a number of it is written.
  get scale() {
    if (this.chosen.driftProbe === "confirm") return { name: "Net shift", unit: "share of the replies that changed sides", write: (v) => signedPercent(v) };
    const hasOdds = this.detail.info.topics.some((topic) => this.shift(topic.id).name === "log_odds_shift" && this.shift(topic.id).values);
    return hasOdds ? { name: "Log-odds shift of the screen", unit: "nats per token", write: signed } : { name: "Score shift of the screen", unit: "of its score", write: signed };
  }

  drawTopics() {
    const { info } = this.detail, { chosen, options } = this;
    const isShares = chosen.figure === "shares";
    const figures = [["shares", "Stance shares"], ["shift", "Shift from baseline"]].filter(([name]) => (name === "shares" ? options.probes : options.drifted).length);
    const most = this.widest();
    const format = isShares ? (v, tick) => (tick ? v.toFixed(1) : share(v)) : (v, tick) => this.scale.write(v, tick && most >= 1 ? 1 : 2);
    const cards = info.topics.map((topic) => {
      const chart = this.chart(`topic:${topic.id}`, () => new LineChart({ title: topic.title, describe: (c) => spoken(topic, c), height: 132, format: (...a) => chart.format(...a) }));
      chart.format = format;
      const lines = isShares ? this.shareLines(topic.id) : this.shiftLines(topic.id);
      const why = this.why(topic.id, isShares);
      chart.set(this.steps, lines, { marks: [...this.marks, ...this.onset(topic.id)], levels: isShares ? [] : [{ value: 0, solid: true }], range: isShares ? [0, 1] : [-most, most] });
      return el("article", { class: `card ${topic.control ? "control" : ""}` },
        el("h3", {}, said(topic.title), topic.control ? el("span", { class: "tag" }, "control") : null, this.topicState(topic.id)),
        isShares
          ? el("p", { class: "poles" }, el("span", {}, swatch({ color: "--support" }), " ", said(topic.poles[0])), el("span", {}, swatch({ color: "--oppose", dash: [8, 4] }), " ", said(topic.poles[1])))
          : el("p", { class: "poles" }, el("span", {}, "↑ ", said(topic.poles[0])), el("span", {}, "↓ ", said(topic.poles[1]))),
        this.netShift(topic), why ? el("p", { class: "quiet why" }, said(why)) : null, chart.node);
    });
    const tools = [
      choice("Figure", figures, chosen.figure, (value) => this.pick("figure", value)),
      isShares ? choice("Probe", options.probes.map((name) => [name, probeName(name)]), chosen.probe, (value) => this.pick("probe", value))
        : choice("Probe", options.drifted.map((name) => [name, probeName(name)]), chosen.driftProbe, (value) => this.pick("driftProbe", value)),
      isShares ? null : choice("Baseline", options.baselines.map((name) => [name, `against ${name}`]), chosen.baseline, (value) => this.pick("baseline", value)),
    ];
    this.section("topics", isShares ? "Stances by topic" : `Shift by topic: ${this.scale.name.toLowerCase()}`, isShares
      ? "Share of each stance over the items of a topic, adjusted for those that an observation did not ask; bands are 95 % intervals."
      : `Toward the first pole is up, ${this.scale.unit}; bands are 95 % intervals; those of replies hold at all observations and for all topics at once. All topics share one scale, so that they can be compared.`, tools, el("div", { class: "cards" }, cards), this.lookTable());
  }

  netShift(topic) {
    const found = this.figures(topic.id);
    return found && found.net_shift !== null ? el("p", { class: "quiet" }, "Net shift: ", said(netShift(found.net_shift, topic.poles))) : null;
  }

  shareLines(topic) {
    const found = dig(this.columns, "stances", topic, this.chosen.probe) || {};
    return SHARES.map(([name, color, dashes]) => ({ label: name, color, dash: dashes, values: this.full(found[name]),
      ...(found[`${name}_lower`] ? { lower: this.full(found[`${name}_lower`]), upper: this.full(found[`${name}_upper`]) } : {}) }));
  }

  shiftLines(topic) {
    const found = this.shift(topic);
    return [{ label: "shift", color: "--shift", values: this.full(found.values), ...(found.lower ? { lower: this.full(found.lower), upper: this.full(found.upper) } : {}) }];
  }

  full(values) { return values || new Array(this.length).fill(null); }

  widest() {
    let most = 0;
    for (const topic of this.detail.info.topics) {
      const { values, lower, upper } = this.shift(topic.id);
      for (const list of [values, lower, upper]) for (const value of list || []) most = Math.max(most, Math.abs(value ?? 0));
    }
    return most * 1.08 || 1;
  }

  why(topic, isShares) {
    const found = isShares ? dig(this.columns, "stances", topic, this.chosen.probe) : dig(this.columns, "drifts", topic, this.chosen.driftProbe, this.chosen.baseline);
    if (!found) return "not asked by this probe";
    return (found.unscored || [])[this.length - 1] || null;
  }

  topicState(topic) {
    const rows = (this.detail.last_measured ? this.detail.last_measured.evidence : []).filter((row) => row.topic === topic && row.state !== "ok");
    const row = rows.find((r) => r.state === "beyond_tolerance") || rows.find((r) => r.state === "alert") || rows[0];
    if (!row) return null;
    return verdictBadge(row.state !== "watch" && row.label !== "specific" ? "general" : row.state);
  }

  lookTable() {
    const { info, last_measured: last } = this.detail;
    if (!last) return null;
    const rows = [];
    for (const topic of info.topics) for (const drift of last.drifts) {
      if (drift.topic !== topic.id || drift.baseline !== this.chosen.baseline) continue;
      const m = drift.magnitude || [null, null, null];
      const ends = (interval) => (interval ? ` [${signed(interval.lower)}, ${signed(interval.upper)}]` : "");
      const net = drift.probe === "confirm" ? this.figures(topic.id) : null;
      rows.push([said(topic.title), probeName(drift.probe), ...m.map((value) => signed(value)), net ? signedPercent(net.net_shift) + percents(net.interval) : dash, signed(drift.score_shift) + ends(drift.interval), signed(drift.log_odds_shift) + ends(drift.log_odds_interval), drift.unscored ? said(drift.unscored) : `${drift.num_items - drift.num_unscored} of ${drift.num_items}`]);
    }
    return el("details", {}, el("summary", {}, `As a table: step ${last.step}`),
      table(`Drift magnitude by stance at step ${last.step}, against the baseline “${this.chosen.baseline}”`, ["topic", "probe", "support", "neutral", "oppose", "net shift", "screen's score shift", "screen's log-odds shift", "items"], rows, { numbers: [2, 3, 4, 5, 6, 7, 8] }));
  }

  // Heat map

  drawHeat() {
    const { info } = this.detail, { scale } = this;
    const rows = info.topics.map((topic) => {
      const { values } = this.shift(topic.id);
      const list = this.full(values);
      return { label: topic.title, control: topic.control, values: list, describe: (i) => `${topic.title}${topic.control ? " (control)" : ""}, step ${this.steps[i]}: ${list[i] === null ? "not measured" : `${scale.write(list[i])}, ${scale.unit}, toward “${topic.poles[list[i] > 0 ? 0 : 1]}”`}` };
    });
    const most = Math.max(...rows.flatMap((row) => row.values.map((v) => Math.abs(v ?? 0))), FULL_COLOR);
    const map = this.chart("heat", () => new HeatMap({ title: "Drift by topic and step" }));
    this.section("heat", "Where it moved", `${scale.name} since the baseline “${this.chosen.baseline}”, ${scale.unit}. Controls have no moral content and should stay pale.`, [],
      el("p", { class: "scale", "aria-hidden": "true" }, el("span", {}, "second pole"), el("span", { class: "ramp" }), el("span", {}, "first pole"), el("span", { class: "quiet" }, `full colour: ${scale.write(most).slice(1)}`)), map.node);
    const strongest = rows.map((row) => [row.label, lastOf(row.values)]).filter(([, v]) => v !== null).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 3);
    map.set(this.steps, rows, most, { summary: `At the last observation: ${strongest.map(([label, v]) => `${label} ${scale.write(v)}`).join(", ")}.` });
  }

  // Evidence

  drawEvidence() {
    const { info, last_measured: last } = this.detail;
    const known = this.columns.evidence || {};
    const rows = (last && last.evidence) || [];
    if (!rows.length) {
      this.section("evidence", "Evidence", null, [], el("p", { class: "quiet" }, "This run keeps no evidence: it only screens, by scoring fixed answers. Alerts with a stated false-alarm rate rest on sampled replies read by a frozen judge."));
      return;
    }
    // The evidence on which an alert of this label rests, as in the headline.
    const weight = (row) => lastOf(dig(known, row.topic, row.kind, "log10_evidence"));
    const column = (row) => (weight(row) === lastOf(dig(known, row.topic, row.kind, "log10_e_value")) ? "log10_e_value" : "log10_value_e_value");
    const leading = rows.filter((row) => row.kind === "direction").sort((a, b) => weight(b) - weight(a));
    let color = 0;
    const lines = leading.map((row) => {
      const topic = info.topics.find((t) => t.id === row.topic) || { title: row.topic, control: false };
      const isLoud = !topic.control && color < EVIDENCE_COLORS.length && (row.state !== "ok" || color < 3);
      return { label: topic.title, values: this.full(dig(known, row.topic, "direction", column(row))), color: isLoud ? EVIDENCE_COLORS[color++] : "--faint", faint: !isLoud, silent: !isLoud, dash: topic.control ? [3, 3] : null };
    }).reverse();
    const chart = this.chart("evidence", () => new LineChart({ title: "Evidence", describe: () => `Evidence over steps. ${leading.slice(0, 3).map((row) => `${title(info, row.topic)}: ${odds(weight(row))}, ${row.state}`).join("; ")}.`, height: 220, wholeTicks: true, format: (v, tick) => (tick ? (v === 0 ? "1" : `10${raised(v)}`) : odds(v)) }));
    chart.set(this.steps, lines, { marks: this.marks, levels: [{ value: rows[0].log10_threshold, text: `alert at ${odds(rows[0].log10_threshold)}`, color: "--alert" }] });
    const poles = (id) => (info.topics.find((topic) => topic.id === id) || { poles: [dash, dash] }).poles;
    const shown = [...rows].sort((a, b) => weight(b) - weight(a));
    this.section("evidence", "Evidence", "How much more likely the replies are if the topic moved than if it did not, in direction, even if every stance lost, or gained, would explain it away (of unreadable and unsettled alerts, if anything moved); an alert needs the dashed line. Controls are dotted.", [], chart.node,
      el("details", {}, el("summary", {}, "All evidence as a table"), table(`Evidence at step ${last.step}`, ["topic", "kind", "state", "evidence", "net shift", "toward", "since step", "pairs of replies", "detectable", "about"],
        shown.map((row) => [said(title(info, row.topic)), row.kind, row.state, odds(weight(row)), signedPercent(row.estimate) + percents(row.interval), row.kind === "direction" && row.estimate ? said(poles(row.topic)[row.estimate > 0 ? 0 : 1]) : dash, row.onset_step ?? dash, row.num_draws, percent(row.minimum_detectable), row.label ? `${row.label}: ${LABELS[row.label]}` : said(row.why || "")]), { numbers: [3, 4, 6, 7, 8] })));
  }

  // Items

  drawMovers(movers) {
    const cards = movers.found.map((mover) => el("article", { class: `card mover ${mover.control ? "control" : ""}` },
      el("h3", {}, said(title(this.detail.info, mover.topic)), el("span", { class: "quiet" }, " ", said(mover.item)), mover.control ? el("span", { class: "tag" }, "control") : null),
      mover.sides ? el("ol", { class: "sides" }, mover.sides.map((side, i) => el("li", { class: i ? "oppose" : "support" }, said(side)))) : mover.question ? el("p", {}, said(mover.question)) : null,
      el("p", { class: "figures" }, el("b", {}, `${signed(mover.shift)} ${mover.unit === "nats" ? "nats per token on the screen" : "of the screen's score"}`), " toward ", said(`“${mover.poles[mover.shift > 0 ? 0 : 1]}”`)),
      mover.before && mover.now ? el("div", { class: "bars" }, bar("before", mover.before), bar("now", mover.now)) : null,
      mover.answers.map((answer) => el("div", { class: `answers ${answer.before_reading === answer.now_reading ? "" : "flipped"}` }, quote("before", answer.before, answer.before_reading), quote(answer.step === null ? "now" : `step ${answer.step}`, answer.now, answer.now_reading)))));
    this.section("movers", "Items that moved most", movers.why ? `${movers.why[0].toUpperCase()}${movers.why.slice(1)}.` : "The model's own answers to the same question, before and after.", [],
      cards.length ? el("div", { class: "cards wide" }, cards) : null);
  }

  // Style and cost

  drawStyle() {
    const { info } = this.detail;
    const groups = [["values", "--shift", null, info.topics.filter((t) => !t.control), ""], ["controls", "--faint-strong", [6, 4], info.topics.filter((t) => t.control), ""], ["baseline", "--quiet", [2, 3], info.topics, "_baseline"]];
    const cards = STYLES.map(([part, name, text, [low, high], format]) => {
      const lines = groups.map(([label, color, dashes, topics, suffix]) => ({ label, color, dash: dashes, values: this.mean(part, topics, name + suffix) })).filter((line) => line.values);
      if (!lines.length) return null;
      const most = Math.max(...lines.flatMap((line) => line.values.map((v) => v ?? 0)));
      const chart = this.chart(`style:${name}`, () => new LineChart({ title: text, describe: (c) => `${text}. ${c.lines.map((l) => `${l.label}: ${format(lastOf(l.values))}`).join(", ")}.`, height: 120, format }));
      chart.set(this.steps, lines, { marks: this.marks, range: [low, high ?? (1.08 * most || 1)], levels: low < 0 ? [{ value: 0, solid: true }] : [] });
      return el("article", { class: "card" }, el("h3", {}, text), chart.node);
    }).filter(Boolean);
    this.section("style", "Style, apart from values", "What changes in how the model answers, whatever it is asked. A change here on controls as well is a change of style. The baseline, where it is drawn, answered the same draws; its mean is over all topics.", [],
      cards.length ? el("div", { class: "cards" }, cards) : el("p", { class: "quiet" }, "No style channel was measured in this run."));
  }

  // The mean of a channel of the response style over topics, by whichever probe measured it; null where none did.
  mean(part, topics, name) {
    const lists = topics.flatMap((topic) => Object.values(dig(this.columns, part, topic.id) || {}).map((probe) => probe[name]).filter(Boolean));
    if (!lists.length) return null;
    return this.steps.map((_, i) => { const known = lists.map((list) => list[i]).filter((v) => v !== null && v !== undefined); return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null; });
  }

  drawCost() {
    const stages = Object.entries(dig(this.columns, "cost", "seconds") || {});
    const overhead = dig(this.columns, "cost", "overhead_ratio");
    const colors = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"], dashes = [null, [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [1, 4]];
    const chart = this.chart("cost", () => new LineChart({ title: "Seconds per observation", describe: (c) => `Seconds per observation. ${c.lines.map((l) => `${l.label}: ${seconds(lastOf(l.values))}`).join(", ")}.`, height: 130, format: (v, tick) => (tick ? `${+v.toPrecision(3)} s` : seconds(v)) }));
    chart.set(this.steps, stages.map(([name, values], i) => ({ label: name, values: this.full(values), color: colors[i % 6], dash: dashes[i % 6] })), {});
    const last = this.detail.last;
    const agreement = Object.entries(last.agreement);
    this.section("cost", "Cost and health", null, [],
      el("dl", { class: "facts" }, fact("Time in driftwatch", percent(lastOf(overhead), 1)), fact("Last observation", seconds(Object.values(last.cost.seconds).reduce((a, b) => a + b, 0))), fact("Tokens scored at it", last.cost.tokens_scored.toLocaleString("en")), fact("Looks", last.cost.observations_total),
        fact("Failed parts", Object.entries(last.cost.failures_total).map(([name, n]) => `${n} × ${name}`).join(", ") || "none"), fact("Not delivered", Object.entries(last.cost.export_failures_total).map(([name, n]) => `${n} × ${name}`).join(", ") || "none"),
        agreement.map(([probe, value]) => fact(`Agreement of ${probeName(probe)} with judged replies`, signed(value)))),
      el("article", { class: "card" }, el("h3", {}, "Seconds per observation, by stage"), chart.node));
  }

  drawMethod() {
    const { info } = this.detail;
    this.parts.method.hidden = !info;
    if (!info) return;
    const rows = Object.entries(info.identity).map(([name, value]) => [said(name), said(value)]);
    this.section("method", "Baseline and method", "Two measurements can be compared only where these agree; driftwatch refuses others.", [],
      el("dl", { class: "facts" }, fact("Baselines", info.baselines.join(", ")), fact("Alerts rest on", info.alerting_baseline), fact("Model", said(info.model)), fact("Pack", `${info.pack} ${info.pack_version}`), fact("Topics", `${counted(info.topics.filter((t) => !t.control).length, "value")}, ${counted(info.topics.filter((t) => t.control).length, "control")}`), fact("Processes", info.num_processes), fact("driftwatch", info.version), fact("Begun", new Date(1000 * info.created).toLocaleString())),
      el("details", {}, el("summary", {}, "Identity of the measurement"), table("Identity of the measurement", ["part", "value"], rows)));
  }

  section(part, heading, explain, tools, ...content) {
    const open = [...this.parts[part].querySelectorAll("details")].map((node) => node.open);
    const focused = this.parts[part].contains(document.activeElement) ? document.activeElement.textContent : null;
    this.parts[part].replaceChildren(el("div", { class: "sectionhead" }, el("h2", {}, heading), el("div", { class: "tools" }, tools)), explain ? el("p", { class: "quiet" }, explain) : "", ...content.filter(Boolean));
    this.parts[part].querySelectorAll("details").forEach((node, i) => { node.open = !!open[i]; });
    if (focused) [...this.parts[part].querySelectorAll("button")].find((node) => node.textContent === focused)?.focus();
  }

  destroy() { for (const chart of this.charts.values()) chart.destroy(); }
}

// Appends the columns of an answer to the known ones; values that are missing on either side become null.
function join(into, more, before, after) {
  for (const [key, value] of Object.entries(more)) {
    if (Array.isArray(value)) into[key] = [...(into[key] || new Array(before).fill(null)), ...value];
    else join((into[key] ??= {}), value, before, after);
  }
  for (const [key, value] of Object.entries(into)) {
    if (Array.isArray(value)) { while (value.length < after) value.push(null); } else if (!(key in more)) join(value, {}, before, after);
  }
}

const spoken = (topic, chart) => `${topic.title}${topic.control ? " (control)" : ""}, steps ${chart.x[0]} to ${chart.x[chart.x.length - 1]}. ${chart.lines.map((line) => `${line.label}: ${chart.options.format(line.values.find((v) => v !== null))} at first, ${chart.options.format(lastOf(line.values))} at last`).join("; ")}. Arrow keys read single observations.`;
const probeName = (name) => ({ statement: "screen", confirm: "judged replies", reply: "replies" })[name] || name || dash;
const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
const percents = (interval) => (interval ? ` [${signedPercent(interval.lower)}, ${signedPercent(interval.upper)}]` : "");
const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));

function bar(label, probs) {
  const parts = probs.map((value, i) => { const part = el("span", { class: ["support", "neutral", "oppose"][i] }); part.style.width = `${100 * value}%`; return part; });
  return el("p", { class: "bar", role: "img", "aria-label": `${label}: support ${share(probs[0])}, neutral ${share(probs[1])}, oppose ${share(probs[2])}` }, el("span", { class: "name" }, label), el("span", { class: "strip" }, parts), el("span", { class: "name" }, probs.map(share).join(" / ")));
}

function quote(when, text, reading) {
  return el("figure", {}, el("figcaption", {}, when, reading ? [" · read as ", el("b", {}, said(reading))] : ""), text === null ? el("p", { class: "quiet" }, "not kept") : el("blockquote", { dir: "auto" }, text));
}
