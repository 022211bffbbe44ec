// Building blocks: elements made from data. Text is only ever set as text, so nothing in a run can become markup.

import { RUN_STATES, VERDICTS } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

export const el = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
export const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

// Text of a run, isolated so that right-to-left characters in it cannot turn the page around it.
export const said = (text) => el("bdi", {}, text);

export const dash = "–";

export function signed(value, digits = 2) {
  if (value === null || value === undefined) return dash;
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

export const share = (value) => (value === null || value === undefined ? dash : value.toFixed(2));
export const percent = (value, digits = 0) =>
  value === null || value === undefined ? dash : `${(100 * value).toFixed(digits)} %`;

export const signedPercent = (value) => (value === null || value === undefined ? dash : `${signed(100 * value, 0)} %`);

// The figure of a verdict: the share of the replies that changed sides, and the pole toward which they did.
export function netShift(value, poles) {
  if (value === null || value === undefined) return dash;
  const size = percent(Math.abs(value));
  return `${size} of replies${size === percent(0) ? "" : `, toward “${poles[value > 0 ? 0 : 1]}”`}`;
}

export const raised = (value) => String(Math.round(value)).replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]));

export function odds(log10) {
  if (log10 === null || log10 === undefined) return dash;
  if (log10 <= 0) return "none";
  if (log10 >= 6) return `10${raised(Math.floor(log10))} : 1`;
  const value = 10 ** log10;
  if (value < 10) return `${value.toFixed(1)} : 1`;
  const size = 10 ** Math.max(0, Math.floor(log10) - 1);
  return `${(Math.round(value / size) * size).toLocaleString("en")} : 1`;
}

export function ago(timestamp) {
  const seconds = Math.max(0, Date.now() / 1000 - timestamp);
  if (!timestamp) return "never";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export function seconds(value) {
  if (value === null || value === undefined) return dash;
  return value < 1 ? `${Math.round(1000 * value)} ms` : `${value.toFixed(1)} s`;
}

export const stateBadge = (state) => el("span", { class: `badge state-${state}` }, RUN_STATES[state] || state);

const SIGNS = { nothing: "·", cannot_tell: "?", screened: "·", ok: "✓", watch: "◔", general: "≈", alert: "▲", material: "▲" };
export const verdictWord = (state) => VERDICTS[state] || VERDICTS.nothing;
// A model that is not finite is as urgent as a drift.
export function verdictBadge(state, reason = null) {
  const sign = SIGNS[state] || SIGNS.nothing, word = verdictWord(state);
  return el("span", { class: `badge verdict-${state} ${reason || ""}` }, el("span", { "aria-hidden": "true" }, `${sign} `), word);
}

export function table(caption, head, rows, { numbers = [], kind = null } = {}) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: kind },
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, head.map((text, i) => el("th", { scope: "col", class: numbers.includes(i) && "number" }, text)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) =>
        i === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: numbers.includes(i) && "number" }, cell)))))));
}

// A row of buttons, one of which is chosen.
export function choice(label, options, chosen, choose) {
  if (options.length < 2) return null;
  return el("div", { class: "choice", role: "group", "aria-label": label }, options.map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text)));
}

export async function ask(path) {
  const reply = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await reply.json().catch(() => ({ error: `the service answered ${reply.status}` }));
  if (!reply.ok) throw Object.assign(new Error(body.error || `the service answered ${reply.status}`), { status: reply.status });
  return body;
}
