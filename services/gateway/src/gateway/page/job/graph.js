// The stages of a job as they depend on each other: left to right where there is room,
// top to bottom where there is not.

import { h, place, setText, svg } from "../dom.js";
import { duration, percent, seconds } from "../format.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";

const NODE = { width: 172, height: 82, across: 52, beside: 16 };
const MARKS = { completed: "check", failed: "alert", skipped: "skip", scheduled: "clock", waiting: "again", failing: "again" };

export const stageName = (stage) => strings.stages[stage.kind]?.[0] ?? stage.id;

export function graphView(onPick) {
  const nodes = new Map();
  const list = h("ul", { className: "graph-nodes" });
  const element = h("div", { className: "graph", role: "group", "aria-label": strings.stagesTitle });
  let stages = [];
  let drawn = "";
  new ResizeObserver(() => stages.length > 0 && layout()).observe(element);

  function layout() {
    const columns = byDepth(stages);
    const flat = element.clientWidth >= columns.length * (NODE.width + NODE.across) - NODE.across;
    const most = Math.max(...columns.map((column) => column.length));
    const room = flat ? (element.clientWidth + NODE.across) / columns.length - NODE.across : (element.clientWidth + NODE.beside) / most - NODE.beside;
    const width = Math.min(NODE.width + 48, room);
    const signature = `${stages.map((stage) => stage.id).join()}:${flat}:${Math.round(width)}:${element.clientWidth}`;
    if (drawn === signature) return;
    drawn = signature;
    const gap = flat ? NODE.across : 28;
    const breadth = most * ((flat ? NODE.height : width) + NODE.beside) - NODE.beside;
    const depth = flat ? (element.clientWidth - width) / Math.max(columns.length - 1, 1) : NODE.height + gap;
    const step = flat ? Math.min(depth, width + NODE.across * 2) : depth;
    const spots = new Map();
    columns.forEach((column, at) => {
      const unit = flat ? NODE.height : width;
      const own = column.length * (unit + NODE.beside) - NODE.beside;
      // One that stands alone stands beside what it follows, so that no line runs behind others.
      const before = column.length === 1 ? column[0].after.map((id) => spots.get(id)).filter(Boolean) : [];
      const beside = before.reduce((sum, spot) => sum + (flat ? spot.y : spot.x), 0) / before.length;
      const start = before.length > 0 ? beside : ((flat ? breadth : element.clientWidth) - own) / 2;
      column.forEach((stage, row) => {
        const off = start + row * (unit + NODE.beside);
        spots.set(stage.id, flat ? { x: at * step, y: off } : { x: off, y: at * depth });
      });
    });
    const height = flat ? breadth : columns.length * depth - gap;
    place(element, { height: `${height}px` });
    const lines = svg("svg", { class: "graph-edges", "aria-hidden": "true", width: element.clientWidth, height });
    for (const [from, to] of edges(stages)) {
      const a = spots.get(from);
      const b = spots.get(to);
      const path = flat
        ? curve(a.x + width, a.y + NODE.height / 2, b.x, b.y + NODE.height / 2, true)
        : curve(a.x + width / 2, a.y + NODE.height, b.x + width / 2, b.y, false);
      lines.append(svg("path", { d: path, "data-from": from }));
    }
    list.replaceChildren(...columns.flat().map((stage) => nodes.get(stage.id).element));
    for (const [id, spot] of spots) {
      place(nodes.get(id).element, { left: `${spot.x}px`, top: `${spot.y}px`, width: `${width}px`, height: `${NODE.height}px` });
    }
    element.replaceChildren(lines, list);
    for (const stage of stages) mark(stage);
  }

  function mark(stage) {
    for (const line of element.querySelectorAll(`[data-from="${CSS.escape(stage.id)}"]`)) {
      line.classList.toggle("done", stage.status === "completed");
    }
  }

  function show(job, selected) {
    stages = job.stages;
    element.hidden = stages.length === 0;
    for (const stage of stages) if (!nodes.has(stage.id)) nodes.set(stage.id, node(stage, onPick));
    if (stages.length > 0) layout();
    const over = !["queued", "running"].includes(job.status);
    for (const stage of stages) {
      nodes.get(stage.id).show(stage, over, selected === stage.id);
      mark(stage);
    }
  }
  return { element, show };
}

function node(stage, onPick) {
  const sign = h("span", { className: "mark", "aria-hidden": "true" });
  const state = h("span", { className: "node-state" });
  const bar = h("span", { className: "node-bar", "aria-hidden": "true" }, h("span"));
  const knob = h("button", { type: "button", onclick: () => onPick(stage.id) },
    sign, h("span", { className: "node-name" }, stageName(stage)), state, bar);
  const element = h("li", {}, knob);

  function show(now, over, selected) {
    const stopped = over && !["completed", "failed", "skipped"].includes(now.status);
    knob.className = `node ${stopped ? "stopped" : now.status}`;
    knob.setAttribute("aria-pressed", String(selected));
    if (sign.dataset.shown !== now.status) {
      sign.dataset.shown = now.status;
      sign.replaceChildren(...(MARKS[now.status] && !stopped ? [icon(MARKS[now.status])] : []));
    }
    setText(state, stateText(now, stopped));
    bar.hidden = now.status !== "running" || stopped;
    place(bar.firstChild, { width: `${now.progress * 100}%` });
  }
  return { element, show };
}

function stateText(stage, stopped) {
  if (stopped) return strings.stopped;
  if (stage.reusedFrom) return strings.reusedShort;
  if (stage.status === "running") {
    return [percent(stage.progress), stage.etaS >= 1 && strings.leftShort(stage.etaS)].filter(Boolean).join(" · ");
  }
  if (stage.status === "completed" && stage.startedAt && stage.endedAt) return duration(seconds(stage.startedAt, stage.endedAt));
  if (stage.status === "scheduled" && stage.queuePosition) return strings.queued(stage.queuePosition);
  return strings.stageStatus[stage.status];
}

// Stages that can run side by side stand side by side.
function byDepth(stages) {
  const depth = new Map();
  for (const stage of stages) depth.set(stage.id, 1 + Math.max(-1, ...stage.after.map((before) => depth.get(before) ?? 0)));
  const levels = [];
  for (const stage of stages) (levels[depth.get(stage.id)] ??= []).push(stage);
  return levels.filter(Boolean);
}

// What follows from other edges is not drawn.
function edges(stages) {
  const before = new Map(stages.map((stage) => [stage.id, stage.after]));
  const reaches = (from, to) => (before.get(to) ?? []).some((one) => one === from || reaches(from, one));
  return stages.flatMap((stage) => stage.after
    .filter((from) => !stage.after.some((other) => other !== from && reaches(from, other)))
    .map((from) => [from, stage.id]));
}

function curve(x1, y1, x2, y2, flat) {
  const bend = (flat ? x2 - x1 : y2 - y1) / 2;
  return flat
    ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
    : `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}
