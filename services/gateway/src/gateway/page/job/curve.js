// The loss over the steps of a training: each measurement faint, their smoothed course strong.
// The pointer or the arrow keys read it off.

import { h, setText, svg } from "../dom.js";
import { measured, number } from "../format.js";
import { strings } from "../language.js";

const HEIGHT = 200;
const EDGE = { left: 48, right: 12, top: 12, bottom: 26 };

export function curveView() {
  const readout = h("p", { className: "hint curve-readout" });
  const chart = h("div", {
    className: "curve", tabIndex: 0, role: "slider", "aria-label": strings.lossCurve,
    onpointermove: (event) => point(nearest(event)), onpointerleave: () => point(null), onkeydown,
  });
  const element = h("figure", { className: "curve-figure", hidden: true }, h("figcaption", {}, h("h3", {}, strings.lossCurve), readout), chart);
  let points = [];
  let scale = null;
  let at = null;
  let signature = "";
  new ResizeObserver(draw).observe(chart);

  // `lines` are log lines; those with a loss and a step are drawn, later attempts over earlier ones.
  function show(lines) {
    const found = new Map();
    for (const line of lines) if (line.values?.loss != null && line.step != null) found.set(line.step, line.values);
    points = smoothed([...found].sort((a, b) => a[0] - b[0]));
    element.hidden = points.length < 2;
    if (!element.hidden) draw();
  }

  function draw() {
    const width = chart.clientWidth;
    const wanted = `${width}:${points.length}:${points.at(-1)?.loss}`;
    if (width === 0 || points.length < 2 || wanted === signature) return;
    signature = wanted;
    const losses = points.map((one) => one.loss);
    const low = Math.min(...losses);
    const high = Math.max(...losses);
    const pad = (high - low || 1) * 0.08;
    const first = points[0].step;
    const last = points.at(-1).step;
    scale = {
      x: (step) => EDGE.left + ((step - first) / (last - first || 1)) * (width - EDGE.left - EDGE.right),
      y: (loss) => EDGE.top + ((high + pad - loss) / (high - low + 2 * pad)) * (HEIGHT - EDGE.top - EDGE.bottom),
    };
    const drawing = svg("svg", { width, height: HEIGHT, "aria-hidden": "true" });
    for (const tick of ticks(low, high, 3)) {
      drawing.append(svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: scale.y(tick), y2: scale.y(tick) }),
        svg("text", { x: EDGE.left - 8, y: scale.y(tick) + 4, "text-anchor": "end" }, measured(tick)));
    }
    for (const tick of ticks(first, last, Math.max(2, Math.floor(width / 140)))) {
      drawing.append(svg("text", { x: scale.x(tick), y: HEIGHT - 6, "text-anchor": "middle" }, number(tick)));
    }
    drawing.append(
      svg("path", { class: "raw", d: line((one) => one.loss) }),
      svg("path", { class: "smooth", d: line((one) => one.smooth) }),
      svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" }),
      svg("circle", { class: "dot", r: 4, visibility: "hidden" }));
    chart.replaceChildren(drawing);
    point(at === null ? null : Math.min(at, points.length - 1));
  }

  const line = (value) => points.map((one, i) => `${i ? "L" : "M"}${scale.x(one.step).toFixed(1)} ${scale.y(value(one)).toFixed(1)}`).join("");

  function point(index) {
    at = index;
    const one = points[index ?? points.length - 1];
    const words = strings.lossAt(number(one.step), measured(one.loss), measured(one.smooth), one.lr == null ? null : measured(one.lr));
    setText(readout, words);
    for (const [name, value] of [["valuenow", one.step], ["valuemin", points[0].step], ["valuemax", points.at(-1).step], ["valuetext", words]]) {
      chart.setAttribute(`aria-${name}`, value);
    }
    const [cursor, dot] = chart.querySelectorAll(".cursor, .dot");
    if (!dot || scale === null) return;
    for (const shape of [cursor, dot]) shape.setAttribute("visibility", index === null ? "hidden" : "visible");
    const x = scale.x(one.step);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    dot.setAttribute("cx", x);
    dot.setAttribute("cy", scale.y(one.smooth));
  }

  function nearest(event) {
    const x = event.clientX - chart.getBoundingClientRect().left;
    let best = 0;
    points.forEach((one, i) => {
      if (Math.abs(scale.x(one.step) - x) < Math.abs(scale.x(points[best].step) - x)) best = i;
    });
    return best;
  }

  function onkeydown(event) {
    const last = points.length - 1;
    const now = at ?? last;
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    point(Math.max(0, Math.min(last, next)));
  }
  return { element, show };
}

// Exponentially weighted mean, corrected for its start (Kingma and Ba 2014, section 3).
function smoothed(values) {
  const weight = 0.9;
  let mean = 0;
  let share = 1;
  return values.map(([step, { loss, lr }]) => {
    mean = weight * mean + (1 - weight) * loss;
    share *= weight;
    return { step, loss, lr, smooth: mean / (1 - share) };
  });
}

// Round numbers between two ends, about as many as asked for.
function ticks(low, high, wanted) {
  const rough = (high - low || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) found.push(Number(tick.toPrecision(6)));
  return found;
}
