// The list of jobs, newest first.

import * as api from "./api.js";
import { h, problemBox } from "./dom.js";
import { ago, strings } from "./strings.js";

export function jobsView() {
  return { title: strings.jobs, element: h("div", { className: "view" }, h("h1", {}, strings.jobs), jobList(50)) };
}

// A list that fills itself; `limit` jobs at a time, and older ones on demand if `more`.
export function jobList(limit, more = true) {
  const list = h("ul", { className: "jobs" });
  const box = h("div", {}, list);
  const load = async (before) => {
    let page;
    try {
      page = await api.get(`/api/jobs?limit=${limit}${before ? `&before=${before}` : ""}`);
    } catch (problem) {
      box.append(problemBox(problem));
      return;
    }
    list.append(...page.jobs.map(item));
    if (list.children.length === 0) box.append(h("p", { className: "hint" }, strings.noJobs));
    if (page.next && more) {
      const button = h("button", { className: "quiet", type: "button" }, strings.moreJobs);
      button.onclick = () => {
        button.remove();
        load(page.next);
      };
      box.append(button);
    }
  };
  load();
  return box;
}

function item(job) {
  return h(
    "li",
    {},
    h(
      "a",
      { href: `#/job/${job.jobId}` },
      h("span", { className: "job-name" }, job.name ?? strings.jobTypes[job.type]),
      h("span", { className: "hint" }, `${strings.jobTypes[job.type]} · ${ago(job.createdAt)}`),
      pill(job.status),
      ["queued", "running"].includes(job.status) &&
        h("progress", { max: 1, value: job.progress, "aria-label": strings.jobStatus[job.status] }),
    ),
  );
}

export function pill(status) {
  return h("span", { className: `pill ${status}` }, strings.jobStatus[status]);
}
