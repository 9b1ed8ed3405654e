// What happened, event by event; long quiet stretches are folded into one line.

import { h } from "../dom.js";
import { duration, seconds, time } from "../format.js";
import { strings } from "../language.js";

const QUIET_S = 20;

export const eventName = (event) => strings.events[event.type] ?? event.type;

export function timelineView(onPick) {
  const list = h("ol", { className: "timeline" });
  const element = h("div", {}, list);
  let count = 0;
  let latest = null;
  let current = null;

  // `events` only ever grow; `at` is the sequence that is looked at, null for now.
  function show(job, events, at) {
    // Events that the live connection left out come in between later.
    if (count > 0 && events[count - 1]?.sequence !== latest) {
      list.replaceChildren();
      count = 0;
    }
    const kinds = new Map(job.stages.map((stage) => [stage.id, stage.kind]));
    for (const event of events.slice(count)) {
      const before = events[count - 1];
      const gap = before ? seconds(before.time, event.time) : 0;
      if (gap >= QUIET_S) list.append(h("li", { className: "quiet-gap" }, `… ${duration(gap)} …`));
      list.append(row(event, kinds));
      count += 1;
      latest = event.sequence;
    }
    if (at === current) return;
    current = at;
    for (const item of list.querySelectorAll("[data-sequence]")) {
      const here = Number(item.dataset.sequence);
      item.classList.toggle("later", at !== null && here > at);
      item.firstChild.toggleAttribute("aria-current", here === at);
    }
  }

  function row(event, kinds) {
    const stage = event.stage && (strings.stages[kinds.get(event.stage)]?.[0] ?? event.stage);
    const words = event.type.startsWith("Stage") && [stage, event.attempt > 1 && strings.attempt(event.attempt), event.data?.step != null && strings.step(event.data.step), event.data?.cause].filter(Boolean).join(" · ");
    const sign = event.type.replace("Stage", "").replace("Job", "").toLowerCase();
    return h("li", { "data-sequence": event.sequence, className: sign },
      h("button", { type: "button", title: strings.seeThen, onclick: () => onPick(event.sequence) },
        h("span", { className: "dot", "aria-hidden": "true" }),
        h("time", { dateTime: event.time }, time(event.time)),
        h("span", {}, h("strong", {}, eventName(event)), words && h("span", { className: "hint" }, ` ${words}`))));
  }
  return { element, show };
}
