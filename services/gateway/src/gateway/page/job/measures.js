// What was measured: first what matters, in plain words, then everything.

import { h } from "../dom.js";
import { measured, number, percent } from "../format.js";
import { strings } from "../language.js";
import { table } from "../ui.js";

// How each known measure is told: [stage kind, path, kind of figure].
const TOLD = [
  ["prepare_dataset", "clip · speech_seconds", "seconds"],
  ["prepare_dataset", "clip · signal_to_noise_db", "decibels"],
  ["train_lora", "identity_after", "distances"],
  ["train_voice", "similarity_heldout", "share"],
  ["train_voice", "word_error_rate", "share"],
  ["synthesize_speech", "similarity", "share"],
  ["synthesize_speech", "word_error_rate", "share"],
  ["generate_portrait", "identity_portrait", "plain"],
  ["render_video", "closed_at_pbm", "share"],
  ["render_video", "opening_vs_sound", "plain"],
  ["render_video", "lag_frames", "plain"],
  ["render_video", "identity_distance", "plain"],
];
const FIGURES = {
  share: (value) => percent(value),
  seconds: (value) => `${number(value, 1)} s`,
  decibels: (value) => `${number(value)} dB`,
  plain: (value) => number(value, 2),
  distances: (value, flat) => (flat.has("identity_before") ? `${number(flat.get("identity_before"), 2)} → ${number(value, 2)}` : number(value, 2)),
};

export function toldMeasures(job) {
  const told = job.stages.flatMap((stage) => {
    const values = flat(stage.metrics);
    return TOLD.filter(([kind, path]) => kind === stage.kind && typeof values.get(path) === "number" && strings.measures[kind]?.[path])
      .map(([kind, path, figure]) => {
        const [name, meaning] = strings.measures[kind][path];
        return h("div", { className: "measure" }, h("dt", {}, name), h("dd", {}, FIGURES[figure](values.get(path), values)), h("dd", { className: "hint" }, meaning));
      });
  });
  return told.length > 0 && h("div", {}, h("h3", {}, strings.measuresTitle), h("dl", { className: "measures" }, ...told));
}

export function measuresTable(stage) {
  const rows = [...flat(stage.metrics)].map(([path, value]) =>
    h("tr", {}, h("th", { scope: "row" }, path.replaceAll("_", " ")), h("td", {}, measured(value))));
  if (rows.length === 0) return [];
  return [h("details", {}, h("summary", {}, strings.allMeasures),
    table(strings.allMeasures, [], ...rows))];
}

// Numbers and words of a stage by their path; lists are left to the report.
function flat(metrics, path = "", found = new Map()) {
  for (const [name, value] of Object.entries(metrics ?? {})) {
    const here = path ? `${path} · ${name}` : name;
    if (value !== null && typeof value === "object") {
      if (!Array.isArray(value)) flat(value, here, found);
    } else if (value !== null) found.set(here, value);
  }
  return found;
}
