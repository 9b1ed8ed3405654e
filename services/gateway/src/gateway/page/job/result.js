// What a job has made: to look at, to listen to, to keep.

import * as api from "../api.js";
import { button, h, problemBox } from "../dom.js";
import { moment, size } from "../format.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";
import { isPicture, isSound, label, picture, sound } from "../media.js";
import { loaded } from "../ui.js";
import { toldMeasures } from "./measures.js";

const DOWNLOADS = ["video", "animation", "script", "subtitles", "speech", "portrait", "lora", "lora_kohya", "voice"];
const LINK_S = 86_400;

export function resultView(job) {
  const all = (output) => job.artifacts.filter((artifact) => artifact.output === output);
  const video = all("video").at(-1);
  const downloads = DOWNLOADS.flatMap(all);
  const sounds = [...all("preview"), ...(video ? [] : all("speech"))].filter(isSound);
  const comparison = beforeAfter(job, all);
  const trained = job.status === "completed" && all("lora").length > 0 && job.profileId;
  if (!video && !comparison && sounds.length + downloads.length === 0) return [];
  return [h("section", { className: "card result" }, h("h2", { className: "unseen" }, strings.result),
    video && player(job, video, all("poster").at(-1), all("subtitles").find((artifact) => artifact.mediaType === "text/vtt"), all("speech").at(-1)),
    h("div", { className: "stack" }, comparison,
      ...sounds.map((one) => sound(one.url, label(one)))),
    toldMeasures(job),
    downloads.length > 0 && h("div", {}, h("h3", {}, strings.downloads), h("ul", { className: "downloads" }, ...downloads.map(download))),
    trained && h("p", { className: "row" }, h("span", {}, strings.trainedHint), h("a", { className: "button", href: `#/?profile=${job.profileId}` }, strings.useProfile)))];
}

function player(job, video, poster, subtitles, speech) {
  const screen = h("video", { controls: true, src: video.url, poster: poster?.url ?? "", playsInline: true, preload: "metadata" },
    subtitles && h("track", { kind: "captions", default: true, src: subtitles.url, label: strings.outputs.subtitles }),
    strings.noVideo);
  return h("div", { className: "player" }, screen, speech && lateWaveform(speech.url, screen),
    h("div", { className: "row" },
      h("a", { className: "button primary", href: `${video.url}?download=true`, download: "" }, icon("download"), h("span", {}, strings.downloadVideo)),
      linkButton(video)));
}

function lateWaveform(url, screen) {
  const box = h("div", {});
  loaded(box, async () => (await api.module(import("./waveform.js"))).waveform(url, screen));
  return box;
}

// A signed address for somebody who has no access otherwise.
function linkButton(video) {
  const told = h("div", { className: "link-told", "aria-live": "polite" });
  const make = button("", async () => {
    try {
      const { url, expiresAt } = await api.post(`${video.url}/link`, { expiresInS: LINK_S });
      const address = new URL(url, location.href).href;
      const field = h("input", { readOnly: true, value: address, "aria-label": strings.signedLink, onfocus: () => field.select() });
      told.replaceChildren(field, h("p", { className: "hint" }, strings.linkUntil(moment(expiresAt))));
      await navigator.clipboard?.writeText(address).then(() => told.append(h("p", { className: "hint" }, strings.linkCopied)), () => field.focus());
    } catch (problem) {
      told.replaceChildren(problemBox(problem));
    }
  });
  make.append(icon("link"), h("span", {}, strings.signedLink));
  return [make, told];
}

function beforeAfter(job, all) {
  const photos = (job.inputs ?? []).filter((input) => input.mediaType.startsWith("image/")).slice(0, 6);
  const learned = job.stages.flatMap((stage) => (stage.samples ?? []).filter(isPicture)).slice(-1);
  const portrait = all("portrait").filter(isPicture);
  const after = portrait.length > 0 ? portrait : learned;
  if (after.length === 0) return null;
  return h("div", { className: "before-after" },
    photos.length > 0 && h("div", {}, h("h3", {}, strings.before),
      h("div", { className: "pictures" }, ...photos.map((one, index) => picture(one.url, one.name ?? strings.photoNumber(index + 1))))),
    h("div", {}, h("h3", {}, photos.length > 0 ? strings.after : label(after[0])),
      h("div", { className: `pictures${portrait.length > 0 ? "" : " learned"}` }, ...after.map((one) => picture(one.url, one.caption ?? label(one))))));
}

function download(artifact) {
  return h("li", {}, h("a", { href: `${artifact.url}?download=true`, download: "" }, label(artifact)),
    h("span", { className: "hint" }, `${artifact.mediaType.split("/")[1].replace("x-", "")} · ${size(artifact.size)}`));
}
