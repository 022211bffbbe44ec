// Charts: uPlot draws lines with intervals, and we draw a heat map in SVG. Keyboard and screen reader can read each one.

import { el, svg } from "./parts.js";

// Colours are written as #rrggbb in style.css, so that two more digits make them transparent.
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = "11px system-ui, sans-serif";
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500]; // distances between ticks where only whole numbers can be labelled

// Positions whose value has no neighbour, so that no line shows it and a point must.
const isolated = (values) => values.map((_, at) => at).filter((at) => (values[at] ?? null) !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null);

// One chart of lines over steps.
//   lines: [{ label, color (a custom property), dash, values, lower, upper, faint }]
//   marks: [{ step, text }]   vertical, for phases
//   levels: [{ value, text }] horizontal, for thresholds and noise floors
export class LineChart {
  constructor({ title, describe, height = 150, range = null, format, sync = "steps", xName = "step", wholeTicks = false }) {
    this.options = { title, describe, height, range, format, sync, xName, wholeTicks };
    this.plot = el("div", { class: "plot" });
    this.readout = el("p", { class: "readout", "aria-live": "off" });
    this.picture = el("div", { class: "picture", tabindex: "0", role: "img", "aria-label": title }, this.plot);
    this.node = el("div", { class: "chart" }, this.picture, this.readout);
    this.picture.addEventListener("keydown", (event) => this.key(event));
    this.picture.addEventListener("focus", () => this.readout.setAttribute("aria-live", "polite"));
    this.picture.addEventListener("blur", () => this.readout.setAttribute("aria-live", "off"));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.picture);
  }

  set(x, lines, { marks = [], levels = [], range = this.options.range } = {}) {
    const shape = JSON.stringify([lines.map((l) => [l.label, l.color, l.dash, !!l.lower]), document.documentElement.dataset.theme]);
    this.x = x; this.lines = lines; this.marks = marks; this.levels = levels; this.range = range;
    const data = [x];
    for (const line of lines) data.push(line.values, ...(line.lower ? [line.lower, line.upper] : []));
    this.picture.setAttribute("aria-label", this.options.describe ? this.options.describe(this) : this.options.title);
    if (this.u && this.shape === shape) this.u.setData(data);
    else { this.data = data; this.shape = shape; this.build(); }
    this.data = data;
    this.say(this.u && this.u.cursor.idx);
  }

  build() {
    if (this.u) this.u.destroy();
    const width = this.picture.clientWidth;
    if (!width) { this.u = null; return; }
    const series = [{}], bands = [];
    for (const line of this.lines) {
      const color = css(line.color);
      series.push({ label: line.label, stroke: color, width: line.faint ? 1 : 2, dash: line.dash, spanGaps: false,
                    points: { show: this.x.length < 3, size: 5, fill: color, filter: (u, index, all) => (all ? null : isolated(u.data[index])) } });
      if (line.lower) {
        const at = series.length;
        series.push({ stroke: "transparent", width: 0, points: { show: false } },
                    { stroke: "transparent", width: 0, points: { show: false } });
        bands.push({ series: [at + 1, at], fill: `${color}33` });
      }
    }
    const axis = { stroke: css("--quiet"), font: FONT, grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1, size: 4 } };
    this.u = new uPlot({
      width, height: this.options.height, series, bands, padding: [8, 8, 0, 0],
      cursor: { sync: { key: this.options.sync, setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
      legend: { show: false },
      scales: { x: { time: false, range: (u, low, high) => (low === high ? [low - 0.5, high + 0.5] : [low, high]) },
                y: { range: (u, low, high) => this.span(low, high) } },
      axes: [{ ...axis, size: 26, space: 40 }, { ...axis, size: 44, space: 26, ...(this.options.wholeTicks ? { incrs: WHOLE } : {}), values: (u, ticks) => ticks.map((t) => this.options.format(t, true)) }],
      hooks: { drawClear: [(u) => this.drawMarks(u)], draw: [(u) => this.nameMarks(u)], setCursor: [(u) => this.say(u.cursor.idx)] },
    }, this.data, this.plot);
  }

  span(low, high) {
    if (this.range) return this.range;
    for (const level of this.levels) { low = Math.min(low ?? 0, level.value); high = Math.max(high ?? 0, level.value); }
    if (low === null || high === null || low === undefined) return [0, 1];
    const room = (high - low || 1) * 0.06;
    return [low - room, high + room];
  }

  // The lines of marks and levels are drawn below the curves.
  drawMarks(u) {
    const { ctx, bbox } = u, dot = devicePixelRatio;
    const line = (color, dashes, ...ends) => { ctx.strokeStyle = css(color || "--quiet"); ctx.setLineDash(dashes.map((n) => n * dot)); ctx.beginPath(); ctx.moveTo(ends[0], ends[1]); ctx.lineTo(ends[2], ends[3]); ctx.stroke(); };
    ctx.save();
    ctx.lineWidth = dot;
    for (const [mark, x] of this.inside(u)) line(mark.color, [2, 3], x, bbox.top, x, bbox.top + bbox.height);
    for (const level of this.levels) { const y = u.valToPos(level.value, "y", true); line(level.color, level.solid ? [] : [6, 4], bbox.left, y, bbox.left + bbox.width, y); }
    ctx.restore();
  }

  // Their names are drawn above the curves and the grid.
  nameMarks(u) {
    const { ctx, bbox } = u, dot = devicePixelRatio;
    ctx.save();
    ctx.font = `${10 * dot}px system-ui, sans-serif`; ctx.textBaseline = "top"; ctx.textAlign = "left";
    const name = (text, x, y) => {
      ctx.fillStyle = css("--ground"); ctx.globalAlpha = 0.8; ctx.fillRect(x - 2 * dot, y - dot, ctx.measureText(text).width + 4 * dot, 13 * dot);
      ctx.fillStyle = css("--quiet"); ctx.globalAlpha = 1; ctx.fillText(text, x, y);
    };
    for (const [mark, x] of this.inside(u)) name(mark.text, x > bbox.left + bbox.width * 0.7 ? x - ctx.measureText(mark.text).width - 4 * dot : x + 4 * dot, bbox.top + 2 * dot);
    for (const level of this.levels) {
      if (!level.text) continue;
      const y = u.valToPos(level.value, "y", true);
      name(level.text, bbox.left + 4 * dot, y - bbox.top > 16 * dot ? y - 14 * dot : y + 4 * dot);
    }
    ctx.restore();
  }

  inside(u) { return this.marks.map((mark) => [mark, u.valToPos(mark.step, "x", true)]).filter(([, x]) => x >= u.bbox.left && x <= u.bbox.left + u.bbox.width); }

  say(index) {
    const last = this.x ? this.x.length - 1 : -1;
    const at = index === null || index === undefined ? last : Math.min(index, last);
    if (at < 0) { this.readout.textContent = ""; return; }
    this.readout.replaceChildren(el("span", { class: "at" }, `${this.options.xName} ${this.x[at]}`), ...this.lines.filter((l) => !l.silent).map((line) =>
      el("span", { class: "key" }, swatch(line), `${line.label} `, el("b", {}, this.options.format(line.values[at])))));
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined || !this.u || !this.x.length) return;
    event.preventDefault();
    const now = this.u.cursor.idx ?? this.x.length - 1;
    const at = Math.max(0, Math.min(this.x.length - 1, now + move));
    this.u.setCursor({ left: this.u.valToPos(this.x[at], "x"), top: this.u.bbox.height / devicePixelRatio / 2 });
  }

  resize() {
    const width = this.picture.clientWidth;
    if (!width || !this.data) return;
    if (!this.u) this.build();
    else if (this.u.width !== width) this.u.setSize({ width, height: this.options.height });
  }

  destroy() {
    this.observer.disconnect();
    if (this.u) this.u.destroy();
  }
}

export function swatch(line) {
  const stroke = `var(${line.color})`;
  const mark = svg("line", { x1: 0, y1: 5, x2: 14, y2: 5, "stroke-width": line.faint ? 1.5 : 2.5, "stroke-dasharray": (line.dash || []).join(" ") || null });
  mark.style.stroke = stroke;
  return svg("svg", { class: "swatch", viewBox: "0 0 14 10", width: 14, height: 10, "aria-hidden": "true" }, mark);
}

// The colour of a signed figure: blue toward the first pole, orange toward the second, and the page's ground between.
function shade(value, most) {
  const part = Math.max(-1, Math.min(1, value / most));
  return `color-mix(in oklab, var(${part > 0 ? "--support" : "--oppose"}) ${Math.round(100 * Math.abs(part) ** 0.8)}%, var(--ground))`;
}

// rows: [{ label, control, values, describe(index) }]; x: steps. Wide series are drawn in as many columns as fit.
export class HeatMap {
  constructor({ title }) {
    this.title = title;
    this.readout = el("p", { class: "readout" });
    this.grid = el("div", { class: "heat", tabindex: "0", role: "img", "aria-label": title });
    this.node = el("div", { class: "chart" }, this.grid, this.readout);
    this.at = [0, 0];
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("focus", () => this.readout.setAttribute("aria-live", "polite"));
    this.grid.addEventListener("blur", () => this.readout.setAttribute("aria-live", "off"));
    this.grid.addEventListener("pointerleave", () => { this.readout.textContent = this.summary; this.mark?.setAttribute("visibility", "hidden"); });
    this.observer = new ResizeObserver(() => { if (this.grid.clientWidth !== this.width) this.draw(); });
    this.observer.observe(this.grid);
  }

  set(x, rows, most, { summary }) {
    this.x = x; this.rows = rows; this.most = most;
    this.summary = summary;
    this.readout.textContent = summary;
    this.grid.setAttribute("aria-label", `${this.title}. ${summary} Arrow keys read single cells.`);
    this.draw();
  }

  draw() {
    this.width = this.grid.clientWidth;
    if (!this.width || !this.rows || !this.x.length) return;
    const left = Math.min(190, this.width * 0.34), high = 22, room = this.width - left;
    const num = Math.min(this.x.length, Math.max(1, Math.floor(room / 7)));
    const wide = room / num;
    this.columns = Array.from({ length: num }, (_, i) => Math.round((i * (this.x.length - 1)) / Math.max(1, num - 1)));
    const cells = [];
    this.rows.forEach((row, r) => {
      cells.push(svg("text", { x: left - 8, y: r * high + 15, "text-anchor": "end", class: row.control ? "control" : null }, short(row.label, left - 10)));
      this.columns.forEach((column, c) => {
        const value = row.values[column];
        const cell = svg("rect", { x: left + c * wide, y: r * high + 1, width: Math.max(1, wide - (wide > 5 ? 1 : 0)), height: high - 2, rx: wide > 8 ? 2 : 0, class: value === null ? "none" : "cell" });
        if (value !== null && value !== undefined) cell.style.fill = shade(value, this.most);
        cell.addEventListener("pointerenter", () => this.point(r, c));
        cells.push(cell);
      });
    });
    const foot = this.rows.length * high + 16;
    const stride = Math.max(1, Math.ceil((num - 1) / Math.max(1, Math.min(8, Math.floor(room / 60)))));
    for (let c = 0; c < num; c++) {
      const isLast = c === num - 1;
      if (!isLast && (c % stride || num - 1 - c < stride * 0.6)) continue; // a tick just before the last one would touch it
      cells.push(svg("text", { x: isLast && c ? this.width : left + (c + 0.5) * wide, y: foot, "text-anchor": isLast && c ? "end" : "middle", class: "tick" }, this.x[this.columns[c]]));
    }
    this.mark = svg("rect", { class: "mark", width: wide, height: high, visibility: "hidden" });
    this.place = (r, c) => { this.mark.setAttribute("x", left + c * wide); this.mark.setAttribute("y", r * high); this.mark.setAttribute("visibility", "visible"); };
    this.grid.replaceChildren(svg("svg", { width: this.width, height: foot + 8, "aria-hidden": "true" }, cells, this.mark));
    this.at = [this.at[0], this.columns.length - 1];
  }

  point(r, c) {
    this.at = [r, c];
    this.place(r, c);
    this.readout.textContent = this.rows[r].describe(this.columns[c]);
  }

  key(event) {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move || !this.columns) return;
    event.preventDefault();
    this.point(Math.max(0, Math.min(this.rows.length - 1, this.at[0] + move[0])), Math.max(0, Math.min(this.columns.length - 1, this.at[1] + move[1])));
  }

  destroy() { this.observer.disconnect(); }
}

// A label, cut where the room for it (in pixels) ends.
const ruler = document.createElement("canvas").getContext("2d");
function short(text, room) {
  ruler.font = `12.5px ${getComputedStyle(document.body).fontFamily}`;
  if (ruler.measureText(text).width <= room) return text;
  const letters = [...text];
  while (letters.length > 3 && ruler.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("").trimEnd()}…`;
}
