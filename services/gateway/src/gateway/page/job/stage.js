// One stage from near: what it does, what came of it, its samples, its curve and its attempts.

import { fill, h, problemBox, setText } from "../dom.js";
import { duration, measured, number, percent, seconds } from "../format.js";
import { strings } from "../language.js";
import { isPicture, isSound, label, picture, sound } from "../media.js";
import { attemptsTable } from "./attempts.js";
import { curveView } from "./curve.js";
import { stageName } from "./graph.js";
import { measuresTable } from "./measures.js";

const ENDED = ["completed", "failed", "skipped"];

export function stageView() {
  const title = h("h2", {});
  const does = h("p", { className: "hint" });
  const progress = h("progress", { max: 1, value: 0 });
  const state = h("p", { className: "stage-now" });
  const facts = h("dl", { className: "facts" });
  const failure = h("div", {});
  const curve = curveView();
  const samples = h("div", {});
  const outputs = h("div", {});
  const attempts = h("div", {});
  const measures = h("div", {});
  const element = h("section", { className: "card stage", hidden: true },
    h("div", {}, title, does), state, progress, failure, facts, curve.element, samples, outputs, attempts, measures);

  function show(job, stage, lines) {
    element.hidden = !stage;
    if (!stage) return;
    setText(title, stageName(stage));
    setText(does, strings.stages[stage.kind]?.[1] ?? "");
    // A job that was stopped leaves its stages as they stood.
    const stopped = !["queued", "running"].includes(job.status) && !ENDED.includes(stage.status);
    progress.hidden = stage.status !== "running" || stopped;
    progress.value = stage.progress;
    progress.setAttribute("aria-label", stageName(stage));
    setText(state, stopped ? strings.stopped : now(stage));
    const cause = stage.status === "completed" || job.failure?.stage === stage.id ? "" : stage.failure?.cause ?? "";
    fill(failure, cause, () => (cause ? problemBox(stage.failure) : []));
    const told = factsOf(stage);
    fill(facts, JSON.stringify(told), () => told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    curve.show(lines.filter((line) => line.stage === stage.id));
    const seen = stage.samples ?? [];
    fill(samples, `${stage.id}:${seen.map((one) => one.url).join()}`, () => seen.length > 0 && [
      h("h3", {}, strings.samplesTitle),
      h("div", { className: "pictures learned" }, ...seen.filter(isPicture).map((one) => picture(one.url, one.caption, strings.sampleAt(one.step)))),
      ...seen.filter(isSound).map((one) => sound(one.url, strings.outputs.preview))]);
    fill(outputs, stage.artifacts.map((one) => one.url).join(), () => outputsOf(stage));
    fill(attempts, JSON.stringify(stage.attempts ?? []), () => attemptsTable(stage));
    fill(measures, `${stage.id}${JSON.stringify(stage.metrics)}`, () => measuresTable(stage));
  }
  return { element, show };
}

function now(stage) {
  if (stage.status !== "running") return stage.reusedFrom ? strings.reused : strings.stageStatus[stage.status];
  const counted = stage.total && stage.unit ? strings.doneOf(measured(Math.floor(stage.done)), measured(stage.total), strings.units[stage.unit] ?? stage.unit) : null;
  const rate = stage.rate ? strings.rate(number(stage.rate, 1), strings.units[stage.unit] ?? stage.unit) : null;
  return [percent(stage.progress), stage.message, counted, rate, stage.etaS >= 1 && strings.left(stage.etaS)].filter(Boolean).join(" · ");
}

function factsOf(stage) {
  const took = stage.startedAt && stage.endedAt && !stage.reusedFrom ? duration(seconds(stage.startedAt, stage.endedAt)) : null;
  const params = Object.entries(stage.params ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");
  return [
    [strings.facts.engine, stage.engine], [strings.facts.device, stage.device], [strings.facts.runner, stage.runner],
    [strings.facts.took, took], [strings.facts.queue, stage.queuePosition && strings.queued(stage.queuePosition)], [strings.facts.params, params],
  ].filter(([, value]) => value);
}

function outputsOf(stage) {
  // A poster is in the player, and the last of the samples on the way is the one that is kept.
  const hidden = ["poster", ...(stage.samples?.length > 0 ? ["samples", "preview"] : [])];
  const shown = stage.artifacts.filter((one) => !hidden.includes(one.output));
  const pictures = shown.filter(isPicture);
  const sounds = shown.filter(isSound);
  const alike = new Set(pictures.map(label)).size < 2;
  return [
    pictures.length > 0 && h("h3", {}, strings.pictures),
    pictures.length > 0 && h("div", { className: "pictures" }, ...pictures.map((one) => picture(one.url, label(one), !alike && label(one)))),
    ...sounds.map((one) => sound(one.url, label(one))),
  ].filter(Boolean);
}
