// Goes back in a job's time, to how it was right after any of its events.

import { button, h, place, setText } from "../dom.js";
import { time } from "../format.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";
import { iconButton } from "../ui.js";
import { eventName } from "./timeline.js";

const STEP_MS = 700;

// `onMove(sequence)` is told which event to go to, null for now.
export function sliderView(onMove) {
  const range = h("input", { type: "range", min: 0, step: 1, "aria-label": strings.timeSlider, oninput: () => to(Number(range.value)) });
  const ticks = h("div", { className: "ticks", "aria-hidden": "true" });
  const words = h("p", { className: "hint slider-words" });
  const play = iconButton("play", strings.playHistory, toggle);
  const now = button(strings.backToNow, () => to(events.length - 1), { className: "small", hidden: true });
  const element = h("section", { className: "card slider", hidden: true, "aria-label": strings.timeTravel },
    play, h("strong", { "aria-hidden": "true" }, strings.timeTravel), h("div", { className: "slider-track" }, ticks, range), now, words);
  let events = [];
  let marked = 0;
  let at = null;
  let playing = 0;

  function show(known, sequence) {
    events = known;
    element.hidden = events.length < 3;
    if (marked !== events.length) marks();
    at = sequence === null ? null : events.findIndex((event) => event.sequence === sequence);
    range.max = events.length - 1;
    range.value = at ?? events.length - 1;
    now.hidden = at === null;
    const event = events[at ?? events.length - 1];
    const text = !event ? "" : at === null ? strings.nowAt(events.length) : strings.thenAt(at + 1, events.length, time(event.time), eventName(event));
    setText(words, text);
    range.setAttribute("aria-valuetext", text);
  }

  function marks() {
    marked = events.length;
    const whole = events.length - 1 || 1;
    ticks.replaceChildren(...events.flatMap((event, index) => {
      if (!/StageCompleted|Failed|JobCompleted|Cancelled/.test(event.type)) return [];
      const mark = h("span", { className: /Failed|Cancelled/.test(event.type) ? "bad" : "" });
      place(mark, { left: `${(index / whole) * 100}%` });
      return [mark];
    }));
  }

  function to(index) {
    onMove(index >= events.length - 1 ? null : events[Math.max(index, 0)].sequence);
  }

  function toggle() {
    if (playing) stop();
    else {
      if (at === null) to(0);
      playing = setInterval(next, STEP_MS);
      face("pause", strings.pauseHistory);
    }
  }

  function next() {
    to((at ?? events.length - 1) + 1);
    if (at === null) stop();
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    face("play", strings.playHistory);
  }

  function face(name, label) {
    play.replaceChildren(icon(name));
    play.title = label;
    play.setAttribute("aria-label", label);
  }
  return { element, show, stop };
}
