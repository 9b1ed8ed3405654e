// What the stages said while they ran.

import { h } from "../dom.js";
import { time } from "../format.js";
import { strings } from "../language.js";
import { said } from "../ui.js";
import { stageName } from "./graph.js";

const MOST = 1000;

export function logView() {
  const stagePick = h("select", { "aria-label": strings.logStage, onchange: refill }, h("option", { value: "" }, strings.allStages));
  const levelPick = h("select", { "aria-label": strings.logLevel, onchange: refill },
    ...Object.entries(strings.levels).map(([value, label]) => h("option", { value }, label)));
  const follow = h("input", { type: "checkbox", checked: true, onchange: () => follow.checked && down() });
  const lines = h("ol", { className: "log-lines" });
  const box = h("div", { className: "log-box", tabIndex: 0, role: "log", "aria-live": "off", "aria-label": strings.log, onscroll }, lines);
  const none = h("p", { className: "hint" }, strings.noLog);
  const element = h("div", { className: "log" },
    h("div", { className: "row" }, stagePick, levelPick, h("label", { className: "check" }, follow, h("span", {}, strings.follow))), none, box);
  let all = [];
  let count = 0;
  const names = new Map();
  let shownUpTo = null;

  function show(job, known) {
    for (const stage of job.stages) {
      if (names.has(stage.id)) continue;
      names.set(stage.id, stageName(stage));
      stagePick.append(h("option", { value: stage.id }, stageName(stage)));
    }
    const grown = known === all;
    if (!grown) lines.replaceChildren();
    const fresh = grown ? known.slice(count) : known;
    all = known;
    count = known.length;
    append(fresh);
  }

  function refill() {
    lines.replaceChildren();
    append(all);
  }

  function append(some) {
    const levels = { info: 0, warning: 1, error: 2 };
    const wanted = some.filter((line) => (!stagePick.value || line.stage === stagePick.value) && levels[line.level] >= levels[levelPick.value]);
    lines.append(...wanted.slice(-MOST).map(row));
    while (lines.children.length > MOST) lines.firstChild.remove();
    none.hidden = lines.children.length > 0;
    box.hidden = !none.hidden;
    if (follow.checked && wanted.length > 0) down();
  }

  function row(line) {
    return h("li", { className: line.level },
      h("time", { dateTime: line.at }, time(line.at)), h("span", { className: "log-stage" }, names.get(line.stage) ?? line.stage),
      h("span", {}, said(line)));
  }

  function down() {
    box.scrollTop = box.scrollHeight;
    shownUpTo = box.scrollTop;
  }

  // Reading further up stops the following; the end takes it up again.
  function onscroll() {
    if (box.scrollTop === shownUpTo) return;
    follow.checked = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
  }
  return { element, show };
}
