// Who did what to which job, newest first.

import * as api from "../api.js";
import { button, h } from "../dom.js";
import { moment } from "../format.js";
import { strings } from "../language.js";
import { everyone, operationsView, saving } from "../operations.js";
import { empty, loaded, segments, skeleton, table } from "../ui.js";

const PAGE = 50;

export function auditView() {
  const { audit: words } = strings;
  const box = h("div", { className: "stack" }, skeleton(3));
  let action = "";
  let more = "";
  const [save, trouble] = saving(() => address(200), "audit.csv");
  const view = operationsView("audit", words.lead,
    h("div", { className: "filters row" }, segments(strings.filter, "action", [["", strings.filters.all], ...Object.entries(words.actions)], action, (wanted) => { action = wanted; show(); }),
      everyone((query) => { more = query; show(); }), save), trouble, box);
  show();
  return view;

  function address(limit, before) {
    return `/api/audit?limit=${limit}${action && `&action=${action}`}${more}${before ? `&before=${before}` : ""}`;
  }

  function show() {
    const rows = [];
    loaded(box, () => page(rows));
  }

  async function page(rows, before) {
    const { entries, next } = await api.get(address(PAGE, before));
    rows.push(...entries.map(row));
    if (rows.length === 0) return empty("jobs", strings.nothing, strings.noneLikeThat);
    return [h("section", { className: "card" }, table(strings.sections.audit, [words.when, words.who, words.what, words.job], ...rows)),
      next && button(strings.moreJobs, () => loaded(box, () => page(rows, next)), { className: "quiet" })];
  }

  function row(entry) {
    const job = entry.action === "deleted" || more ? h("code", {}, entry.jobId) : h("a", { href: `#/job/${entry.jobId}?at=${entry.sequence}` }, h("code", {}, entry.jobId));
    return h("tr", {}, h("td", {}, h("time", { dateTime: entry.time }, moment(entry.time))), h("td", {}, entry.by), h("td", {}, words.actions[entry.action] ?? entry.action), h("td", {}, job));
  }
}
