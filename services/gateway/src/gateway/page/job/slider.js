// Goes back in a job's time, to how it was right after any of its events, and plays it from there.

import { button, h, place, setText } from "../dom.js";
import { time } from "../format.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";
import { segments, withIcon } from "../ui.js";
import { SPEEDS } from "./player.js";
import { eventName } from "./timeline.js";

// `onMove(sequence)` is told which event to go to, null for now; `onPlay()` that it should play or
// pause. With a `speed` the job is played back, and `onPace(speed)` is told of another one.
export function sliderView({ onMove, onPlay, onPace, onNow, speed }) {
  const playback = speed != null;
  const range = h("input", { type: "range", min: 0, step: 1, "aria-label": strings.timeSlider, oninput: () => to(Number(range.value)) });
  const ticks = h("div", { className: "ticks", "aria-hidden": "true" });
  const words = h("p", { className: "hint slider-words" });
  const play = withIcon("play", strings.playBack, onPlay, { className: "small" });
  const now = button(strings.backToNow, onNow, { className: "small", hidden: !playback });
  const speeds = SPEEDS.includes(speed) ? SPEEDS : [...SPEEDS, speed].sort((a, b) => a - b);
  const paces = playback && segments(strings.speed, "speed", speeds.map((one) => [String(one), strings.times(one)]), String(speed), (wanted) => onPace(Number(wanted)));
  const element = h("section", { className: "card slider", hidden: true, "aria-label": strings.timeTravel },
    playback && h("p", { className: "playback-banner" }, h("strong", {}, strings.playback), " ", h("span", {}, strings.playbackHint)),
    play, paces, h("div", { className: "slider-track" }, ticks, range), now, words);
  let events = [];
  let marked = 0;

  // `sequence` is that of the event that is looked at, null for now, 0 before the first.
  function show(known, sequence, state = "stopped") {
    events = known;
    element.hidden = events.length < 3;
    if (marked !== events.length) marks();
    const at = sequence === null ? null : events.findLastIndex((event) => event.sequence <= sequence);
    range.max = events.length - 1;
    range.value = at ?? events.length - 1;
    now.hidden = at === null;
    const event = events[at ?? events.length - 1];
    const text = !event ? "" : at === null ? strings.nowAt(events.length) : strings.thenAt(at + 1, events.length, time(event.time), eventName(event));
    setText(words, text);
    range.setAttribute("aria-valuetext", text);
    if (play.dataset.state !== state) face(state);
  }

  function face(state) {
    play.dataset.state = state;
    const [name, label] = { playing: ["pause", strings.pauseHistory], ended: ["again", strings.playAgain], paused: ["play", strings.playOn], stopped: ["play", strings.playBack] }[state];
    play.replaceChildren(icon(name), h("span", {}, label));
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
    if (index >= events.length - 1 && !playback) onMove(null);
    else onMove(events[Math.max(index, 0)].sequence);
  }
  return { element, show };
}
