// One stage from near: what it does, what came of it, its samples, its curve and its attempts.

import * as api from "../api.js";
import { fill, h, problemBox, setText } from "../dom.js";
import { duration, measured, number, percent, seconds } from "../format.js";
import { strings } from "../language.js";
import { isPicture, isSound, label, picture, sound } from "../media.js";
import { loaded } from "../ui.js";
import { attemptsTable } from "./attempts.js";
import { curveView } from "./curve.js";
import { stageName } from "./graph.js";
import { measuresTable } from "./measures.js";
import { findingsList, namedFailure } from "./photos.js";

const ENDED = ["completed", "failed", "skipped"];
// What is looked at when a stage has ended, by its kind; fetched when somebody does.
const AFTERWARDS = {
  train_lora: async (...told) => (await api.module(import("./trained.js"))).trainedCard(...told),
  prepare_dataset: (job) => findingsList(job),
};

export function stageView() {
  const title = h("h2", {});
  const does = h("p", { className: "hint" });
  const progress = h("progress", { max: 1, value: 0 });
  const state = h("p", { className: "stage-now" });
  const facts = h("dl", { className: "facts" });
  const failure = h("div", {});
  const curve = curveView();
  const samples = h("div", {});
  const afterwards = h("div", {});
  const outputs = h("div", {});
  const attempts = h("div", {});
  const measures = h("div", {});
  const element = h("section", { className: "card stage", hidden: true },
    h("div", {}, title, does), state, progress, failure, facts, curve.element, samples, afterwards, outputs, attempts, measures);
  // Losses as a report tells them, as lines, by the stage that made it.
  const recorded = new Map();
  let shown = null;

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
    fill(failure, cause, () => (cause ? problemBox(namedFailure(stage.failure, job)) : []));
    const told = factsOf(stage);
    fill(facts, JSON.stringify(told), () => told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    shown = stage.id;
    const own = lines.filter((line) => line.stage === stage.id);
    curve.show(own.some((line) => line.values?.loss != null) ? own : recorded.get(stage.id) ?? []);
    const seen = stage.samples ?? [];
    fill(samples, `${stage.id}:${seen.map((one) => one.url).join()}`, () => seen.length > 0 && [
      h("h3", {}, strings.samplesTitle),
      h("div", { className: "pictures learned" }, ...seen.filter(isPicture).map((one) => picture(one.url, one.caption, one.step === 0 ? strings.sampleBefore : strings.sampleAt(one.step)))),
      ...seen.filter(isSound).map((one) => sound(one.url, strings.outputs.preview))]);
    const look = stage.status === "completed" && AFTERWARDS[stage.kind];
    fill(afterwards, look ? `${stage.id}:${stage.artifacts.map((one) => one.sha256).join()}` : "", () => (look ? later(look, job, stage) : []));
    fill(outputs, stage.artifacts.map((one) => one.url).join(), () => outputsOf(stage));
    fill(attempts, JSON.stringify(stage.attempts ?? []), () => attemptsTable(stage));
    fill(measures, `${stage.id}${JSON.stringify(stage.metrics)}`, () => measuresTable(stage));
  }

  function later(look, job, stage) {
    const box = h("div", {});
    loaded(box, () => look(job, stage, (losses) => {
      recorded.set(stage.id, losses.map((loss, index) => ({ step: index + 1, values: { loss } })));
      if (shown === stage.id && curve.element.hidden) curve.show(recorded.get(stage.id));
    }));
    return box;
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
