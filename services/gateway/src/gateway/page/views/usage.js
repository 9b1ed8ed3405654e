// What was used, day by day: as bars to see at a glance, and in numbers.

import * as api from "../api.js";
import { h, place } from "../dom.js";
import { day, duration, number, size } from "../format.js";
import { strings } from "../language.js";
import { everyone, operationsView, saving } from "../operations.js";
import { empty, field, figures, loaded, skeleton, table } from "../ui.js";

const DAY_MS = 86_400_000;
const BEFORE = 29;

export function usageView() {
  const { usage: words } = strings;
  const box = h("div", { className: "stack" }, skeleton(2));
  const today = new Date();
  const since = h("input", { type: "date", required: true, value: iso(today - BEFORE * DAY_MS), onchange: show });
  const until = h("input", { type: "date", required: true, value: iso(today), onchange: show });
  let more = "";
  const [save, trouble] = saving(address, "usage.csv");
  const view = operationsView("usage", words.lead,
    h("div", { className: "filters row" }, field(words.since, since), field(words.until, until), everyone((query) => { more = query; show(); }), save), trouble, box);
  show();
  return view;

  function address() {
    return `/api/usage/daily?since=${since.value}&until=${until.value}${more}`;
  }

  function show() {
    loaded(box, async () => {
      const told = await api.get(address());
      if (told.days.length === 0) return empty("runners", words.noneTitle, words.none);
      return [figures([[words.time, duration(total(told.days, spent))], [words.jobs, number(total(told.days, (one) => one.jobs))], [words.attempts, number(total(told.days, (one) => one.attempts))], [words.made, size(total(told.days, (one) => one.madeBytes))]]),
        chart(told), inNumbers(told.days, more !== "")];
    });
  }
}

const iso = (moment) => new Date(moment).toISOString().slice(0, 10);
const spent = (one) => Object.values(one.deviceS).reduce((sum, seconds) => sum + seconds, 0);
const total = (days, of) => days.reduce((sum, one) => sum + of(one), 0);

// One bar a day, those without any use included; the table says the same to those who do not see it.
function chart({ since, until, days }) {
  const { usage: words } = strings;
  const of = new Map();
  for (const one of days) of.set(one.day, (of.get(one.day) ?? 0) + spent(one));
  const highest = Math.max(...of.values(), 1);
  const bars = [];
  for (let at = Date.parse(since); at <= Date.parse(until); at += DAY_MS) {
    const seconds = of.get(iso(at)) ?? 0;
    const bar = h("span", {});
    place(bar, { height: `${(seconds / highest) * 100}%` });
    bars.push(h("li", { title: `${day(iso(at))}: ${seconds > 0 ? duration(seconds) : words.noneTitle}` }, bar));
  }
  return h("figure", { className: "card usage-chart" }, h("figcaption", {}, h("h2", {}, words.chart), h("span", { className: "hint" }, words.highest(duration(highest)))),
    h("ol", { className: "bars", "aria-hidden": "true" }, ...bars),
    h("p", { className: "bars-ends hint", "aria-hidden": "true" }, h("span", {}, day(since)), h("span", {}, day(until))));
}

function inNumbers(days, withOwner) {
  const { usage: words } = strings;
  const devices = [...new Set(days.flatMap((one) => Object.keys(one.deviceS)))].sort();
  const names = [words.day, withOwner && words.owner, words.jobs, words.attempts, ...devices, words.made].filter(Boolean);
  return h("section", { className: "card" }, h("h2", {}, words.table), table(words.table, names, ...[...days].reverse().map((one) =>
    h("tr", {}, h("th", { scope: "row" }, day(one.day)), withOwner && h("td", {}, one.owner), h("td", {}, number(one.jobs)), h("td", {}, number(one.attempts)),
      ...devices.map((device) => h("td", {}, one.deviceS[device] ? duration(one.deviceS[device]) : "–")), h("td", {}, size(one.madeBytes))))));
}
