// What was found in the photos and in the recording. The stages number photos; their owner knows
// them by their files.

import * as api from "../api.js";
import { h } from "../dom.js";
import { strings } from "../language.js";
import { picture } from "../media.js";

const NUMBERED = /\b(photos?) (\d+(?:(?:, | and )\d+)*)/g;

const photosOf = (job) => (job.inputs ?? []).filter(({ input }) => input === "photos");

// `text` with the name of its file behind the number of each photo.
export function named(text, job) {
  const photos = photosOf(job);
  const told = (number) => (photos[number - 1]?.name ? `${number} (${photos[number - 1].name})` : number);
  return text?.replace(NUMBERED, (_, word, numbers) => `${word} ${numbers.replace(/\d+/g, told)}`);
}

export const namedFailure = (failure, job) => ({ ...failure, cause: named(failure.cause, job) });

// What `prepare_dataset` found doubtful, as lists, or null if that is nothing.
export async function findingsList(job) {
  const artifacts = job.stages.filter(({ kind }) => kind === "prepare_dataset")
    .flatMap(({ artifacts: made }) => made.filter(({ output }) => output === "report"));
  const reports = await Promise.all(artifacts.map(({ url }) => api.get(url)));
  const photos = photosOf(job);
  const nameOf = (number) => photos[number - 1]?.name ?? strings.photoNumber(number);
  const found = reports.flatMap(({ findings }) => findings ?? []).map((one) => finding(one, photos[one.photo - 1], nameOf, job));
  const heard = reports.flatMap(({ clip }) => clip?.warnings ?? []).map((code) => h("li", {}, h("p", {}, strings.clipWarnings[code] ?? code)));
  const lists = [[strings.findingsTitle, found], [strings.clipWarningsTitle, heard]].filter(([, items]) => items.length > 0);
  if (lists.length === 0) return null;
  return h("div", { className: "findings" }, ...lists.flatMap(([title, items]) => [h("h3", {}, title), h("ul", {}, ...items)]));
}

function finding({ photo, code, message, left_out: leftOut }, input, nameOf, job) {
  const others = [...message.matchAll(NUMBERED)].flatMap(([, , numbers]) => numbers.match(/\d+/g)).map(Number).filter((number) => number !== photo);
  const say = strings.findings[code];
  return h("li", {}, input && picture(input.url, strings.photoNumber(photo)),
    h("div", {}, h("strong", {}, nameOf(photo)), leftOut && h("span", { className: "pill" }, strings.leftOut),
      h("p", {}, say ? say([...new Set(others)].map(nameOf).join(", ")) : named(message, job))));
}
