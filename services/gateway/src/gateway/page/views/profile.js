// One person: portrait, voice and the videos they are in.

import * as api from "../api.js";
import { h } from "../dom.js";
import { ago } from "../format.js";
import { strings } from "../language.js";
import { cover } from "../media.js";
import { ask, consented, loaded, skeleton, withIcon } from "../ui.js";
import { card } from "./gallery.js";

export function profileView(id) {
  const box = h("div", { className: "stack" }, skeleton(3));
  loaded(box, async () => show(await api.get(`/api/profiles/${id}`)));
  return { title: strings.nav.people, element: h("div", { className: "view" }, h("a", { className: "back", href: "#/profiles" }, `← ${strings.nav.people}`), box) };

  function show(profile) {
    const name = profile.name ?? strings.unnamed;
    document.title = `${name} · ${strings.title}`;
    const videos = (profile.jobs ?? []).filter((job) => job.videoUrl);
    const others = (profile.jobs ?? []).filter((job) => !job.videoUrl);
    return [
      h("section", { className: "card profile" },
        h("span", { className: "portrait" }, cover(profile.portraitUrl, strings.portraitOf(name), "people")),
        h("div", { className: "stack" }, h("h1", {}, name),
          h("p", { className: "hint" }, [profile.hasVoice ? strings.withVoice : strings.faceOnly, ago(profile.createdAt)].join(" · ")),
          profile.consent && h("p", { className: "hint" }, `${strings.consent.short}: ${consented(profile.consent)}`),
          profile.voiceUrl && h("audio", { controls: true, src: profile.voiceUrl, preload: "metadata", "aria-label": strings.voiceOf(name) }),
          h("div", { className: "row" },
            profile.ready && h("a", { className: "button primary", href: `#/?profile=${id}` }, strings.makeThemSpeak),
            withIcon("trash", strings.remove, () => sure(name, profile.videos), { className: "quiet" })))),
      ...(videos.length > 0 ? [h("h2", {}, strings.theirVideos), h("ul", { className: "gallery-grid" }, ...videos.map(card))] : []),
      ...(others.length > 0 ? [h("h2", {}, strings.otherJobs), h("ul", { className: "plain" }, ...others.map((job) =>
        h("li", {}, h("a", { href: `#/job/${job.jobId}` }, `${strings.jobTypes[job.type] ?? job.type} · ${ago(job.createdAt)}`), " ", strings.jobStatus[job.status])))] : [])];
  }

  function sure(name, videos) {
    ask({ title: strings.removeTitle(name), body: strings.removePersonSure(videos), confirm: strings.removeYes, danger: true,
      act: async () => { await api.remove(`/api/profiles/${id}`); location.hash = "#/profiles"; } });
  }
}
