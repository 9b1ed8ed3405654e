// What a job has made: to look at, to listen to, to keep.

import { h } from "./dom.js";
import { size, strings } from "./strings.js";

const DOWNLOADS = ["video", "lora", "voice", "subtitles", "speech", "portrait"];

export function resultView(job) {
  const all = (output) => job.artifacts.filter((artifact) => artifact.output === output);
  const video = all("video").at(-1);
  const pictures = ["portrait", "samples"].flatMap(all).filter((artifact) => artifact.mediaType.startsWith("image/"));
  const sounds = [...all("preview"), ...(video ? [] : all("speech"))].filter((artifact) => artifact.mediaType.startsWith("audio/"));
  const downloads = DOWNLOADS.flatMap(all);
  const trained = job.status === "completed" && all("lora").length > 0 && job.profileId;
  if (!video && pictures.length + sounds.length + downloads.length === 0) return "";
  return h("section", { className: "card result" },
    h("h2", {}, strings.result),
    video && player(video, all("poster").at(-1), all("subtitles").find((artifact) => artifact.mediaType === "text/vtt")),
    pictures.length > 0 && h("div", {}, h("h3", {}, strings.pictures), h("ul", { className: "gallery" }, ...pictures.map(picture))),
    sounds.length > 0 && h("div", {}, h("h3", {}, strings.listen), ...sounds.map((sound) =>
      h("figure", {}, h("figcaption", { className: "hint" }, label(sound)),
        h("audio", { controls: true, src: sound.url, preload: "metadata", "aria-label": label(sound) })))),
    downloads.length > 0 && h("div", {}, h("h3", {}, strings.downloads), h("ul", { className: "downloads" }, ...downloads.map(download))),
    trained && h("p", { className: "row" }, strings.trainedHint, h("a", { className: "button", href: `#/?profile=${job.profileId}` }, strings.useProfile)),
    measures(job));
}

function player(video, poster, subtitles) {
  return h("video", { controls: true, src: video.url, poster: poster?.url ?? "", playsInline: true, preload: "metadata" },
    subtitles && h("track", { kind: "captions", src: subtitles.url, srclang: "en", label: strings.outputs.subtitles }),
    strings.noVideo);
}

function picture(artifact) {
  return h("li", {}, h("a", { href: artifact.url, target: "_blank", rel: "noopener" },
    h("img", { src: artifact.url, alt: label(artifact), loading: "lazy" })));
}

function download(artifact) {
  return h("li", {}, h("a", { href: `${artifact.url}?download=true`, download: "" }, label(artifact)),
    h("span", { className: "hint" }, `${artifact.mediaType} · ${size(artifact.size)}`));
}

function label(artifact) {
  return strings.outputs[artifact.output] ?? artifact.output;
}

// Plain numbers of every stage; nested measures are named by their path.
function measures(job) {
  const rows = job.stages.flatMap((stage) => flat(stage.metrics).map(([path, value]) => {
    const [name] = strings.stages[stage.kind] ?? [stage.id];
    return h("tr", {}, h("td", {}, name), h("th", { scope: "row" }, path.replaceAll("_", " ")), h("td", {}, shown(value)));
  }));
  if (rows.length === 0) return null;
  return h("details", {}, h("summary", {}, strings.measures),
    h("div", { className: "scroll" }, h("table", {}, h("tbody", {}, ...rows))));
}

function flat(metrics, path = "") {
  return Object.entries(metrics ?? {}).flatMap(([name, value]) => {
    const here = path ? `${path} · ${name}` : name;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return flat(value, here);
    return Array.isArray(value) ? [] : [[here, value]];
  });
}

function shown(value) {
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : String(value);
}
