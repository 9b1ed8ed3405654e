// What a training has made: how like the person it is, what was doubtful in the photos, its
// files with the terms of the base, and each setting with its meaning.

import * as api from "../api.js";
import { h } from "../dom.js";
import { measured, number, size } from "../format.js";
import { strings } from "../language.js";
import { label, picture } from "../media.js";
import { titleOf } from "../params.js";
import { loaded, table } from "../ui.js";
import { findingsList } from "./photos.js";

const SAME_PERSON = 0.6;
const SURELY = 0.45;
const FILES = ["lora", "lora_kohya"];

// `onLosses` is given the loss of every step, for where the lines that told it are gone.
export function trainedCard(job, stage, onLosses) {
  const of = (output) => stage.artifacts.find((one) => one.output === output);
  const words = strings.trained;
  const box = h("div", { className: "trained" });
  loaded(box, async () => {
    const [report, findings, capabilities] = await Promise.all([
      of("report") ? api.get(of("report").url) : {}, findingsList(job), api.get("/api/capabilities").catch(() => null)]);
    onLosses(report.loss ?? []);
    const engine = capabilities?.kinds[stage.kind]?.find((one) => one.engine === stage.engine);
    const sheet = of("samples");
    return [
      likeness(stage.metrics),
      sheet && h("figure", { className: "sheet" }, h("h3", {}, words.beforeAfter), picture(sheet.url, words.rows, words.rows)),
      findings,
      h("div", {}, h("h3", {}, words.files), h("ul", { className: "downloads" }, ...FILES.map(of).filter(Boolean).map(file)),
        h("p", { className: "hint" }, words.usage(report.params?.trigger_word ?? "sks"), report.base && [" ", ...terms(report.base)])),
      report.params && settings(report.params, engine?.paramsSchema ?? {}),
    ];
  });
  return box;
}

// Distances in plain words: of faces where a recogniser saw them, else of colours and shapes.
function likeness({ identity_measure: measure, identity_before: before, identity_after: after }) {
  if (typeof after !== "number") return null;
  const words = strings.trained;
  const nearer = Math.round((1 - after / before) * 100);
  const verdict = measure === "face" ? words.faces[after < SURELY ? "same" : after < SAME_PERSON ? "close" : "other"] : words.shapes(nearer);
  const figures = measure === "face" ? words.faceFigures(number(before, 2), number(after, 2), number(SAME_PERSON, 1)) : words.shapeFigures(measured(before), measured(after));
  return h("div", {}, h("h3", {}, words.likeness), h("p", { className: "verdict" }, verdict), h("p", { className: "hint" }, figures));
}

function file(artifact) {
  return h("li", {}, h("a", { href: `${artifact.url}?download=true`, download: "" }, label(artifact)),
    h("span", { className: "hint" }, size(artifact.size)));
}

function terms({ title, licence, licence_url: url }) {
  if (!url) return [strings.trained.ownBase];
  const [before, after] = strings.trained.terms(title);
  return [before, h("a", { href: url, target: "_blank", rel: "noopener" }, licence), after];
}

function settings(params, schema) {
  const shown = Object.entries(params).filter(([name]) => !schema.properties?.[name]?.deprecated);
  return h("details", {}, h("summary", {}, strings.trained.settings), table(strings.trained.settings, [],
    ...shown.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, titleOf(name)),
      h("td", {}, said(value)), h("td", { className: "meaning" }, schema.properties?.[name]?.description ?? "")))));
}

function said(value) {
  return typeof value === "boolean" ? (value ? strings.yes : strings.no) : String(value ?? "auto");
}
