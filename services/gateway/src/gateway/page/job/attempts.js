// The attempts at a stage side by side: what differed, and how each went.

import { h } from "../dom.js";
import { duration, seconds, time } from "../format.js";
import { strings } from "../language.js";

export function attemptsTable(stage) {
  const attempts = stage.attempts ?? [];
  if (attempts.length < 2) return [];
  const rows = [
    [strings.facts.outcome, (one) => strings.outcomes[one.outcome] ?? one.outcome ?? ""],
    [strings.facts.started, (one) => (one.startedAt ? time(one.startedAt) : "")],
    [strings.facts.took, (one) => (one.startedAt && one.endedAt ? duration(seconds(one.startedAt, one.endedAt)) : "")],
    [strings.facts.engine, (one) => [one.engine, one.engineVersion].filter(Boolean).join(" ")],
    [strings.facts.device, (one) => one.device ?? ""],
    [strings.facts.runner, (one) => one.runner ?? ""],
    [strings.facts.resumed, (one) => (one.resumedFromStep != null ? strings.step(one.resumedFromStep) : "")],
    ...paramNames(attempts).map((name) => [name, (one) => shown(one.params?.[name])]),
    [strings.facts.failure, (one) => one.failure?.cause ?? ""],
  ].filter(([, of]) => attempts.some((one) => of(one) !== ""));
  return [
    h("h3", {}, strings.attemptsTitle),
    h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": strings.attemptsTitle },
      h("table", { className: "compare" },
        h("thead", {}, h("tr", {}, h("td", {}), ...attempts.map((one) => h("th", { scope: "col" }, strings.attempt(one.attempt))))),
        h("tbody", {}, ...rows.map(([name, of]) => {
          const values = attempts.map(of);
          const differs = name !== strings.facts.started && new Set(values).size > 1;
          return h("tr", { className: differs ? "differs" : "" }, h("th", { scope: "row" }, name), ...values.map((value) => h("td", {}, value)));
        })))),
  ];
}

const paramNames = (attempts) => [...new Set(attempts.flatMap((one) => Object.keys(one.params ?? {})))];
const shown = (value) => (value == null ? "" : String(value));
