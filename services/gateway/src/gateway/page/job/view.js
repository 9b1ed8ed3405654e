// One job: how it stands, how it came there, and what it made. Everything shown is read from
// the log; what is looked at from the past, or played back, is read from it the same way.

import * as api from "../api.js";
import { fill, h, problemBox } from "../dom.js";
import { strings } from "../language.js";
import * as live from "../live.js";
import { consented, skeleton } from "../ui.js";
import { graphView } from "./graph.js";
import { headerView } from "./header.js";
import { Journal } from "./journal.js";
import { logView } from "./log.js";
import { player } from "./player.js";
import { resultView } from "./result.js";
import { sliderView } from "./slider.js";
import { stageView } from "./stage.js";
import { timelineView } from "./timeline.js";

const ACTIVE = ["queued", "running"];
const AGAIN_MS = 2000;
const SETTLE_MS = 150;
const LONG = 900;

// `at` is the sequence of an event to look at first; with a `speed` the job is played back.
export function jobView(id, { at = null, speed = null, tab = null } = {}) {
  const playback = speed !== null;
  let job = null;
  let past = null;
  let wanted = null;
  let picked = null;
  let left = false;
  let reloading = 0;
  let ended = false;
  // What was asked for before somebody went elsewhere in time is not shown any more.
  let era = 0;
  const journal = new Journal(id, () => job !== null && render());
  // What there is to play back, and what was told of it so far.
  const whole = playback ? new Journal(id, () => job !== null && render()) : journal;
  const tape = playback && player(id, speed, { update, line: (line) => journal.hearLine(line), log: heard, end: () => { ended = true; render(); } });

  const trouble = h("div", {});
  const header = headerView(id, load);
  const slider = sliderView({ speed, onMove: playback ? seek : travel, onPlay: playback ? toggle : () => { location.hash = `#/jobs/${id}/playback?speed=10`; },
    onPace: pace, onNow: playback ? () => { location.hash = `#/job/${id}`; } : () => travel(null) });
  const graph = graphView((stage) => { picked = picked === stage ? null : stage; render(); });
  const stage = stageView();
  const timeline = timelineView(playback ? seek : travel);
  const log = logView();
  const result = h("div", {});
  const words = h("div", {});
  const spans = h("div", {});
  let waterfall = null;
  const activity = tabs([[strings.timeline, timeline.element], [strings.log, log.element], ...(playback ? [] : [[strings.trace, spans, "trace"]])], tab, tabbed);
  const columns = h("div", { className: "columns" }, h("div", { className: "stack" }, stage.element, words), activity.element);
  const waiting = skeleton(4);
  const body = h("div", { className: "job-body", hidden: true },
    slider.element, result, h("section", { className: "card graph-card" }, h("h2", {}, strings.stagesTitle), graph.element),
    columns);
  const element = h("div", { className: `view wide${playback ? " playback" : ""}` }, header.element, trouble, waiting, body);

  async function load() {
    const mine = era;
    try {
      const last = playback && journal.events.at(-1);
      const loaded = await api.get(`/api/jobs/${id}${last ? `?at=${last.sequence}` : ""}`);
      if (left || mine !== era || (job && loaded.sequence < job.sequence)) return;
      job = loaded;
      trouble.replaceChildren();
    } catch (problem) {
      if (left) return;
      waiting.hidden = true;
      header.element.hidden = job === null;
      trouble.replaceChildren(problemBox(problem.httpStatus === 404 ? { detail: problem.detail } : problem, job === null && h("a", { href: "#/jobs" }, strings.back)));
      // A gateway that is away comes back; a job that is not there does not.
      if (problem.passing) setTimeout(() => !left && load(), AGAIN_MS);
      return;
    }
    header.element.hidden = false;
    waiting.hidden = true;
    body.hidden = false;
    render();
  }

  function update(message) {
    if (job === null || message.sequence < job.sequence) return;
    const fresh = message.sequence > job.sequence || message.stages.length !== job.stages.length;
    const known = Object.fromEntries(message.stages.map((one) => [one.id, one]));
    const { status, progress, etaS, failure, queuePosition } = message;
    job = { ...job, status, progress, etaS, failure, ...(queuePosition !== undefined && { queuePosition }) };
    job.stages = job.stages.map((one) => ({ ...one, ...known[one.id] }));
    render();
    // An update tells how far everything is; results and measures come with the whole job.
    if (fresh) soon();
  }

  // Not at every one of many events, but neither only after the last of them.
  function soon() {
    reloading ||= setTimeout(() => { reloading = 0; if (!left) load(); }, SETTLE_MS);
  }

  function heard(event) {
    journal.hear(event);
    soon();
  }

  // Played back, from another moment on.
  function seek(sequence) {
    ended = false;
    era += 1;
    job = null;
    journal.beginAs(whole, sequence);
    tape.seek(sequence);
    load();
  }

  function toggle() {
    if (tape.playing) tape.stop();
    else if (ended) again();
    else tape.play();
    render();
  }

  function again() {
    seek(whole.events[0].sequence);
    tape.play();
  }

  function pace(wanted) {
    tape.pace(wanted);
    history.replaceState(null, "", `#/jobs/${id}/playback?speed=${wanted}`);
  }

  async function travel(sequence) {
    wanted = sequence;
    if (sequence === null) past = null;
    else {
      const found = await journal.jobAt(sequence).catch((problem) => {
        trouble.replaceChildren(problemBox(problem));
        return null;
      });
      // Meanwhile somebody may have gone elsewhere in time.
      if (wanted !== sequence) return;
      if (found === null) wanted = null;
      past = found;
    }
    render();
  }

  function render() {
    const shown = past ?? (playback && job ? stepped(job, journal.lines) : job);
    if (shown === null) return;
    const position = past === null ? null : wanted;
    element.classList.toggle("past", past !== null);
    header.show(past ? { ...shown, name: job.name } : shown, past !== null || playback);
    if (playback) slider.show(whole.events, journal.events.at(-1).sequence, tape.playing ? "playing" : ended ? "ended" : "paused");
    // On the way to a moment too: news that come meanwhile must not take the slider back.
    else slider.show(journal.events, wanted);
    const looked = shown.stages.find((one) => one.id === picked) ?? interesting(shown);
    graph.show(shown, looked?.id);
    const until = past === null ? null : journal.events.find((event) => event.sequence === position).time;
    const lines = until === null ? journal.lines : journal.lines.filter((line) => line.at <= until);
    stage.show(shown, looked, lines);
    // Known from the log itself, and so before the job that it tells of is loaded.
    const planned = whole.events.find((event) => event.type === "JobPlanned")?.data.graph ?? job;
    timeline.show(planned, journal.events, position);
    log.show(planned, lines);
    activity.show(journal.events.length > 0 || lines.length > 0);
    waterfall?.moved(job.sequence);
    fill(words, `${job.script}|${job.prompt}|${job.consent?.who}`, () => texts(job));
    const made = `${shown.artifacts.map((one) => one.sha256).join()}${shown.status}${(shown.inputs ?? []).length}`;
    fill(result, made, () => (ACTIVE.includes(shown.status) ? [] : resultView(shown)));
  }

  const leave = playback ? playBack() : followLive();
  return { title: strings.jobs, element, leave: () => { left = true; waterfall?.leave(); clearTimeout(reloading); journal.close(); whole.close(); leave(); } };

  // Few look at where the time went, so what shows it is fetched when somebody does.
  async function tabbed(name) {
    columns.classList.toggle("tracing", name === "trace");
    if (name !== "trace" || waterfall !== null) return;
    try {
      waterfall = (await import("./waterfall.js")).waterfallView(id);
    } catch {
      spans.replaceChildren(problemBox(api.unreachable(), h("button", { type: "button", className: "retry", onclick: () => tabbed(name) }, strings.tryNow)));
      return;
    }
    spans.replaceChildren(waterfall.element);
    if (left) return;
    waterfall.open(job?.sequence ?? 0);
  }

  function followLive() {
    const unwatch = live.watch(id, {
      update, after: () => journal.after, event: heard,
      line: (line) => journal.hearLine(line),
      gap: (after) => journal.fetchGap(after),
      back: () => { journal.back(); load(); },
    });
    Promise.all([load(), journal.load()]).then(() => {
      if (left) return;
      live.watchAgain(id);
      // What was said after the lines were fetched and before they came by themselves.
      journal.back();
      const moment = at && journal.events.findLast((event) => event.sequence <= at);
      if (moment && job) travel(moment.sequence);
    });
    return unwatch;
  }

  function playBack() {
    whole.load().then(() => {
      if (left) return;
      if (whole.events.length > 0) again();
      else load();
    });
    return () => tape.stop();
  }
}

// What one would look at: what runs, what failed, or else what ended last.
function interesting(job) {
  const { stages } = job;
  return stages.find((one) => one.kind === "train_lora" && one.status === "running") ?? stages.find((one) => one.status === "running")
    ?? stages.find((one) => one.status === "failed") ?? stages.find((one) => one.status === "scheduled")
    ?? (job.status === "completed" && stages.find((one) => one.kind === "train_lora")) ?? stages.at(-1);
}

// What is told of progress is not recorded, but lines tell which step of how many they are about.
function stepped(job, lines) {
  return { ...job, stages: job.stages.map((stage) => {
    const line = stage.status === "running" && stage.params?.steps && lines.findLast((one) => one.stage === stage.id && one.attempt === stage.attempt && one.step != null);
    return line ? { ...stage, progress: Math.max(stage.progress, Math.min(line.step / stage.params.steps, 1)), done: line.step, total: stage.params.steps, unit: "step", message: line.message } : stage;
  }) };
}

function texts(job) {
  const told = [[strings.script, job.script], [strings.prompt, job.prompt], [strings.consent.short, job.consent && consented(job.consent)]].filter(([, text]) => text);
  return told.length > 0 && h("section", { className: "card" }, ...told.map(([name, text]) => h("div", {}, h("h3", {}, name), h("p", { className: "words", tabIndex: text.length > LONG ? 0 : -1 }, text))));
}

function tabs(pages, wanted, onPick) {
  const knobs = pages.map(([name], index) => h("button", { type: "button", role: "tab", id: `tab-${index}`, "aria-controls": `page-${index}`, onclick: () => pick(index), onkeydown }, name));
  const boxes = pages.map(([, element], index) => h("div", { role: "tabpanel", id: `page-${index}`, "aria-labelledby": `tab-${index}` }, element));
  const element = h("section", { className: "card activity", "aria-label": strings.activity }, h("div", { className: "tabs", role: "tablist" }, ...knobs), ...boxes);

  function pick(wanted) {
    knobs.forEach((knob, index) => {
      knob.setAttribute("aria-selected", String(index === wanted));
      knob.tabIndex = index === wanted ? 0 : -1;
      boxes[index].hidden = index !== wanted;
    });
    onPick(pages[wanted][2]);
  }

  function onkeydown(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (knobs.indexOf(event.target) + step + knobs.length) % knobs.length;
    pick(next);
    knobs[next].focus();
  }
  // Not before those who are told have all that they need.
  queueMicrotask(() => pick(Math.max(0, pages.findIndex(([, , name]) => name && name === wanted))));
  return { element, show: (any) => { element.hidden = !any; } };
}
