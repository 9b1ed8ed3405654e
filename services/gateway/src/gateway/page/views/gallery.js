// Every video that was made, to look at.

import * as api from "../api.js";
import { button, h } from "../dom.js";
import { ago } from "../format.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";
import { cover } from "../media.js";
import { empty, jobName, loaded, skeleton } from "../ui.js";

const PAGE = 48;

export function galleryView() {
  const list = h("ul", { className: "gallery-grid" });
  const box = h("div", {}, skeleton(3));
  loaded(box, more);
  return { title: strings.nav.gallery, element: h("div", { className: "view wide" }, h("h1", {}, strings.nav.gallery), box) };

  async function more(before = "") {
    const page = await api.get(`/api/jobs?status=completed&limit=${PAGE}${before && `&before=${before}`}`);
    list.append(...page.jobs.filter((job) => job.videoUrl).map(card));
    if (list.children.length === 0 && !page.next) {
      return empty("gallery", strings.noVideosTitle, strings.noVideos, h("a", { className: "button primary", href: "#/" }, strings.makeFirst));
    }
    return [list, page.next && button(strings.moreJobs, () => loaded(box, () => more(page.next)), { className: "quiet" })];
  }
}

// A card shows the poster; pressing play puts the player in its place.
export function card(job) {
  const stage = h("div", { className: "screen" });
  const play = h("button", { type: "button", className: "play", "aria-label": strings.playVideo(jobName(job)), onclick: () => {
    const video = h("video", { src: job.videoUrl, controls: true, autoplay: true, playsInline: true, "aria-label": jobName(job) });
    stage.replaceChildren(video);
    video.focus();
  } }, icon("play"));
  stage.append(cover(job.thumbnailUrl, "", "gallery"), play);
  return h("li", { className: "video-card" }, stage,
    h("div", { className: "video-words" }, h("a", { href: `#/job/${job.jobId}` }, jobName(job)), h("span", { className: "hint" }, ago(job.createdAt))),
    job.profileId && h("a", { className: "hint", href: `#/?profile=${job.profileId}` }, strings.useProfile));
}
