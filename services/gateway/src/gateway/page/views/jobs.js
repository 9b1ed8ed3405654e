// The list of jobs, newest first, as they go.

import * as api from "../api.js";
import { button, h, problemBox, setText } from "../dom.js";
import { ago, percent } from "../format.js";
import { strings } from "../language.js";
import * as live from "../live.js";
import { cover } from "../media.js";
import { empty, jobName, pill, segments, skeleton } from "../ui.js";

const ACTIVE = ["queued", "running"];
const FILTERS = { all: "", active: "&status=queued&status=running", completed: "&status=completed", failed: "&status=failed&status=cancelled" };

export function jobsView() {
  const box = h("div", {});
  let shown = null;
  const show = (filter) => {
    shown?.leave();
    shown = jobList(50, { filter });
    box.replaceChildren(shown.element);
  };
  show("all");
  const element = h("div", { className: "view" }, h("h1", {}, strings.jobs),
    h("div", { className: "filters" }, segments(strings.filter, "filter", Object.keys(FILTERS).map((name) => [name, strings.filters[name]]), "all", show)), box);
  return { title: strings.jobs, element, leave: () => shown.leave() };
}

// A list that fills itself and stays current; `limit` jobs at a time, older ones on demand if `more`.
export function jobList(limit, { filter = "all", more = true } = {}) {
  const rows = new Map();
  const list = h("ul", { className: "jobs" });
  const box = h("div", {}, skeleton(3));
  let asked = 0;

  async function load(before) {
    const mine = ++asked;
    let page;
    try {
      page = await api.get(`/api/jobs?limit=${limit}${FILTERS[filter]}${before ? `&before=${before}` : ""}`);
    } catch (problem) {
      if (mine === asked) box.replaceChildren(problemBox(problem, button(strings.tryNow, () => load(before))));
      return;
    }
    if (mine !== asked) return;
    if (!before) {
      rows.clear();
      list.replaceChildren();
    }
    list.append(...page.jobs.map((job) => {
      const row = jobRow(job);
      rows.set(job.jobId, row);
      return row.element;
    }));
    const nothing = list.children.length === 0 && empty("jobs", strings.noJobsTitle, filter === "all" ? strings.noJobs : strings.noneLikeThat,
      filter === "all" && h("a", { className: "button primary", href: "#/" }, strings.makeFirst));
    box.replaceChildren(...[nothing || list, page.next && more && button(strings.moreJobs, (event) => { event.target.disabled = true; load(page.next); }, { className: "quiet" })].filter(Boolean));
  }

  const unwatch = live.watchAll((message) => {
    const row = rows.get(message.jobId);
    if (row) row.update(message);
    else if (!rows.has(message.jobId) && ["all", "active"].includes(filter) && message.progress === 0) load();
  }, () => load());
  load();
  return { element: box, leave: () => { asked += 1; unwatch(); } };
}

function jobRow(job) {
  const bar = h("progress", { max: 1, value: job.progress, "aria-label": strings.progress });
  const share = h("span", { className: "hint" });
  const state = h("span", { className: "job-state" }, pill(job.status));
  const element = h("li", {}, h("a", { href: `#/job/${job.jobId}` },
    cover(job.thumbnailUrl && `${job.thumbnailUrl}`, "", job.type === "train" ? "people" : "gallery"),
    h("span", { className: "job-words" }, h("span", { className: "job-name" }, jobName(job)),
      h("span", { className: "hint" }, `${strings.jobTypes[job.type] ?? job.type} · ${ago(job.createdAt)}`)),
    share, state, bar));

  function update({ status, progress, queuePosition, etaS }) {
    const active = ACTIVE.includes(status);
    if (state.firstChild.className !== `pill ${status}`) state.replaceChildren(pill(status));
    bar.hidden = !active;
    bar.value = progress;
    const waiting = queuePosition ? strings.queued(queuePosition) : percent(progress);
    setText(share, active ? [waiting, etaS != null && strings.leftShort(etaS)].filter(Boolean).join(" · ") : "");
  }
  update(job);
  return { element, update };
}
