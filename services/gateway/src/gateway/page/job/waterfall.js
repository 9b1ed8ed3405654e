// Where the time of a job went: its spans as bars below each other, or as a table. The bars are a
// tree as https://www.w3.org/WAI/ARIA/apg/patterns/treeview/ has it: arrows move, open and close.

import * as api from "../api.js";
import { h, problemBox } from "../dom.js";
import { duration, number } from "../format.js";
import { strings } from "../language.js";
import { table } from "../ui.js";

const AGAIN_MS = 1500;
const TICKS = 4;
const STEPS = /^(stage|queue|child) /;

export function waterfallView(id) {
  const asTable = h("input", { type: "checkbox", onchange: draw });
  const elsewhere = h("span", {});
  const words = h("p", { className: "hint" });
  const bars = h("div", {});
  const details = h("div", { className: "span-details", "aria-live": "polite" });
  const element = h("div", { className: "waterfall" }, h("div", { className: "row" }, words, h("label", { className: "check" }, asTable, h("span", {}, strings.asTable)), elsewhere), bars, details);
  const turned = new Map();
  let trace = null;
  let shown = false;
  let waiting = 0;
  let seen = null;
  let picked = null;

  // The job has moved on to a sequence, or is looked at for the first time.
  function moved(sequence) {
    if (!shown || sequence === seen) return;
    seen = sequence;
    // What services finish they tell a moment later.
    clearTimeout(waiting);
    waiting = setTimeout(load, trace === null ? 0 : AGAIN_MS);
  }

  async function load() {
    try {
      trace = await api.get(`/api/jobs/${id}/trace`);
      draw();
      if (trace.spans.some((span) => span.status === "running")) waiting = setTimeout(load, 2 * AGAIN_MS);
    } catch (problem) {
      bars.replaceChildren(problemBox(problem));
    }
  }

  function draw() {
    if (trace === null) return;
    words.textContent = trace.sampled ? strings.traceHint : strings.traceOnlyLog;
    const away = trace.traceUrl && !trace.traceUrl.startsWith("/#");
    elsewhere.replaceChildren(...(away ? [h("a", { href: trace.traceUrl, target: "_blank", rel: "noopener" }, strings.traceElsewhere)] : []));
    const focused = bars.contains(document.activeElement);
    const scrolled = bars.querySelector("[role=tree]")?.scrollTop ?? 0;
    bars.replaceChildren(asTable.checked ? asRows() : asTree());
    bars.querySelector("[role=tree]")?.scrollTo(0, scrolled);
    if (focused) current()?.focus();
    describe(trace.spans.find((span) => span.spanId === picked));
  }

  function asRows() {
    return table(strings.trace, strings.spanColumns, ...trace.spans.map((span) => h("tr", {},
      h("th", { scope: "row", style: { "padding-left": `${0.5 + span.depth}rem` } }, nameOf(span)), h("td", {}, span.service), h("td", {}, took(span.offsetS)), h("td", {}, took(span.durationS)), h("td", {}, strings.spanStates[span.status]))));
  }

  function asTree() {
    const rows = visible();
    if (!rows.some((row) => row.span.spanId === picked)) picked = rows[0]?.span.spanId ?? null;
    const whole = trace.durationS || 1;
    const axis = h("div", { className: "span-axis", "aria-hidden": "true" }, ...Array.from({ length: TICKS + 1 }, (_, tick) => h("span", {}, took((whole * tick) / TICKS))));
    const services = [...new Set(trace.spans.map((span) => span.service))].map((name) => h("span", {}, h("span", { className: `span-dot span-bar ${name}`, "aria-hidden": "true" }), name));
    return h("div", {}, h("p", { className: "hint span-services" }, ...services), axis, h("ul", { role: "tree", "aria-label": strings.trace, onkeydown }, ...rows.map((row) => item(row, whole))));
  }

  function item({ span, open }, whole) {
    const bar = h("span", { className: `span-bar ${span.service} ${span.status} of-${span.source}`, style: { left: `${(100 * span.offsetS) / whole}%`, width: `${(100 * span.durationS) / whole}%` } });
    return h("li", {
      role: "treeitem", "aria-level": String(span.depth + 1), "aria-expanded": open === null ? null : String(open), "aria-selected": String(span.spanId === picked),
      tabIndex: span.spanId === picked ? 0 : -1, "data-span": span.spanId, className: span.status,
      "aria-label": strings.spanSaid(nameOf(span), span.service, took(span.durationS), strings.spanStates[span.status]),
      onclick: () => { if (picked === span.spanId) turn(span, !open); else pick(span.spanId); },
    },
    h("span", { className: "span-name", style: { "padding-left": `${span.depth * 0.8}rem` } }, h("span", { className: "span-sign" }, open === null ? "" : open ? "▾" : "▸"), nameOf(span)),
    h("span", { className: "span-lane" }, bar), h("span", { className: "span-took" }, took(span.durationS)));
  }

  // The rows that are not inside of a closed one. What leads to the work of stages is open at first.
  function visible() {
    const leading = new Set();
    const parents = new Map(trace.spans.map((span) => [span.spanId, span.parentId]));
    for (const span of trace.spans.filter((one) => STEPS.test(one.name))) {
      for (let up = span.parentId; up && !leading.has(up); up = parents.get(up)) leading.add(up);
    }
    const rows = [];
    let closed = Infinity;
    trace.spans.forEach((span, index) => {
      if (span.depth > closed) return;
      const some = trace.spans[index + 1]?.depth > span.depth;
      const open = some ? (turned.get(span.spanId) ?? leading.has(span.spanId)) : null;
      closed = open === false ? span.depth : Infinity;
      rows.push({ span, open });
    });
    return rows;
  }

  const current = () => [...bars.querySelectorAll("[data-span]")].find((one) => one.dataset.span === picked);

  function pick(spanId) {
    picked = spanId;
    draw();
    current()?.focus();
  }

  function turn(span, open) {
    turned.set(span.spanId, open);
    draw();
    current()?.focus();
  }

  function onkeydown(event) {
    const rows = visible();
    const at = rows.findIndex((row) => row.span.spanId === picked);
    const { span, open } = rows[at] ?? {};
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) pick((rows[to] ?? rows[at]).span.spanId);
    else if (event.key === "ArrowRight") open === false ? turn(span, true) : rows[at + 1]?.span.depth > span.depth && pick(rows[at + 1].span.spanId);
    else if (event.key === "ArrowLeft") open ? turn(span, false) : span.parentId && pick(span.parentId);
    else if (["Enter", " "].includes(event.key) && open !== null) turn(span, !open);
    else return;
    event.preventDefault();
  }

  function describe(span) {
    if (!span || asTable.checked) return details.replaceChildren();
    const facts = Object.entries(span.attributes).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))));
    details.replaceChildren(h("h3", {}, nameOf(span)),
      h("p", { className: "hint" }, [span.service, strings.spanWhen(took(span.offsetS), took(span.durationS)), strings.spanStates[span.status], span.source === "log" && strings.spanOfLog].filter(Boolean).join(" · ")),
      h("dl", { className: "facts" }, ...facts), ...span.links.map(linked));
  }

  function linked(link) {
    const words = [link.relation, link.spanId].filter(Boolean).join(" ");
    if (!link.here) return h("p", { className: "hint" }, `${strings.spanLink}: ${words} (${link.traceId})`);
    return h("p", {}, `${strings.spanLink}: `, h("button", { type: "button", className: "small", onclick: () => { reveal(link.spanId); pick(link.spanId); } }, words));
  }

  function reveal(spanId) {
    const parents = new Map(trace.spans.map((span) => [span.spanId, span.parentId]));
    for (let up = parents.get(spanId); up; up = parents.get(up)) turned.set(up, true);
  }

  return { element, moved, open: (sequence) => { shown = true; moved(sequence); }, leave: () => clearTimeout(waiting) };
}

function nameOf(span) {
  const [what, ...rest] = span.name.split(" ");
  const kind = rest.join(" ");
  const stage = STEPS.test(span.name) && (what === "child" ? kind : strings.stages[kind]?.[0] ?? span.stage ?? kind);
  const again = span.attempt > 1 ? ` (${strings.attempt(span.attempt)})` : "";
  return stage ? `${strings.spanNames[what]} ${stage}${again}` : span.name;
}

function took(seconds) {
  if (seconds === 0) return "0";
  if (seconds < 0.001) return `${number(seconds * 1000, 1)} ms`;
  if (seconds < 1) return `${number(seconds * 1000)} ms`;
  return seconds < 90 ? `${number(seconds, 1)} s` : duration(seconds);
}
