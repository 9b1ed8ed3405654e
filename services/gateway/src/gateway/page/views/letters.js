// Attempts that took every runner with them: why, the last that was heard, and what to do now.

import * as api from "../api.js";
import { button, h, problemBox } from "../dom.js";
import { ago, moment, time } from "../format.js";
import { strings } from "../language.js";
import { count, everyone, operationsView } from "../operations.js";
import { ask, empty, loaded, said, segments, skeleton, table, withIcon } from "../ui.js";

const SIGNS = { open: "failed", retried: "running", dropped: "" };
const PAGE = 20;

export function lettersView() {
  const box = h("div", { className: "stack" }, skeleton(2));
  let status = "open";
  let more = "";
  const words = strings.letters;
  const view = operationsView("letters", words.lead,
    h("div", { className: "filters row" }, segments(strings.filter, "status", ["open", "retried", "dropped", "all"].map((name) => [name, words.status[name]]), status, (wanted) => { status = wanted; show(); }),
      everyone((query) => { more = query; show(); })), box);
  show();
  return view;

  function show() {
    const list = h("ul", { className: "stack" });
    loaded(box, () => page(list));
  }

  async function page(list, before) {
    const wanted = status === "all" ? "" : `&status=${status}`;
    const { letters, next } = await api.get(`/api/dead-letters?limit=${PAGE}${wanted}${more}${before ? `&before=${before}` : ""}`);
    list.append(...letters.map((letter) => row(letter, more, show)));
    if (list.children.length === 0) return empty("check", status === "open" ? words.noneTitle : strings.nothing, status === "open" ? words.none : strings.noneLikeThat);
    return [list, next && button(strings.moreJobs, () => loaded(box, () => page(list, next)), { className: "quiet" })];
  }
}

function row(letter, more, reload) {
  const { letters: words } = strings;
  const path = `/api/dead-letters/${letter.jobId}/${letter.stage}/${letter.attempt}`;
  const told = h("div", {}, skeleton(1));
  const facts = [strings.attempt(letter.attempt), letter.engine, letter.runner && words.lastOn(letter.runner), letter.owner && more && letter.owner].filter(Boolean).join(" · ");
  const known = h("details", { ontoggle: () => known.open && loaded(told, async () => inFull(await api.get(`${path}?${more}`))) },
    h("summary", {}, words.more), told);
  const act = (name, title, body, confirm, danger) => ask({ title, body, confirm, danger, act: async () => { await api.post(`${path}/${name}?${more}`); count(); reload(); } });
  return h("li", { className: "card letter" },
    h("div", { className: "letter-head" }, h("h2", {}, strings.stages[letter.kind]?.[0] ?? letter.kind, " · ", letter.name ?? letter.jobId), h("span", { className: `pill ${SIGNS[letter.status]}` }, words.status[letter.status])),
    h("p", { className: "hint", title: moment(letter.failedAt) }, [ago(letter.failedAt), facts].join(" · ")),
    problemBox(letter),
    h("div", { className: "row" },
      letter.status === "open" && withIcon("again", strings.retry, () => act("retry", words.retryTitle, words.retrySure, strings.retry), { className: "primary" }),
      letter.status === "open" && withIcon("close", words.drop, () => act("drop", words.dropTitle, words.dropSure, words.drop, true)),
      !more && h("a", { className: "button quiet", href: `#/job/${letter.jobId}?at=${letter.sequence}` }, strings.letters.then)),
    known);
}

function inFull(letter) {
  const { letters: words } = strings;
  const settled = letter.settledBy && h("p", { className: "hint" }, words.settled(words.status[letter.status], letter.settledBy, moment(letter.settledAt)));
  const params = Object.entries(letter.params).map(([name, value]) => `${name} ${value}`).join(", ");
  return [settled,
    h("h3", {}, words.deliveries),
    table(words.deliveries, ["#", strings.facts.runner, strings.facts.device, strings.facts.started, strings.facts.resumed], ...letter.deliveries.map((one) =>
      h("tr", {}, h("td", {}, one.delivery), h("th", { scope: "row" }, one.runner), h("td", {}, one.device), h("td", { title: moment(one.at) }, time(one.at)), h("td", {}, one.resumedFromStep == null ? "" : strings.step(one.resumedFromStep))))),
    params && h("p", { className: "hint" }, `${strings.facts.params}: ${params}`),
    h("h3", {}, words.lastLines),
    letter.lines.length === 0 ? h("p", { className: "hint" }, strings.noLog)
      : h("div", { className: "log-box", tabIndex: 0, role: "region", "aria-label": words.lastLines }, h("ol", { className: "log-lines brief" }, ...letter.lines.map((line) =>
        h("li", { className: line.level }, h("time", { dateTime: line.at }, time(line.at)), h("span", {}, said(line))))))];
}
