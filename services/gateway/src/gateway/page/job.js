// One job: its stages as they go, and what they made. Updates change only what they are about,
// so a video that plays goes on playing.

import * as api from "./api.js";
import { h, problemBox, setText } from "./dom.js";
import { pill } from "./jobs.js";
import * as live from "./live.js";
import { resultView } from "./result.js";
import { ago, strings } from "./strings.js";

const ACTIVE = ["queued", "running"];
const RETRIABLE = ["failed", "cancelled"];

export function jobView(id) {
  let job = null;
  let left = false;
  let shownResult = "";
  const rows = new Map();

  const title = h("h1", {}, "…");
  const status = h("span", {});
  const when = h("span", { className: "hint" });
  const bar = h("progress", { max: 1, value: 0, className: "large", "aria-label": strings.jobs });
  const percent = h("span", { className: "percent" });
  const eta = h("span", { className: "hint" });
  const actions = h("div", { className: "row" });
  const trouble = h("div", {});
  const stages = h("ol", { className: "stages" });
  const result = h("div", {});
  const element = h("div", { className: "view" },
    h("p", {}, h("a", { className: "back", href: "#/jobs" }, `← ${strings.back}`)),
    h("div", { className: "job-head" }, title, status, when, actions),
    h("div", { className: "overall" }, bar, percent, eta),
    trouble, stages, result);

  async function load() {
    try {
      job = await api.get(`/api/jobs/${id}`);
    } catch (problem) {
      trouble.replaceChildren(problemBox(problem));
      // A gateway that is away comes back; a job that is not there does not.
      if (problem.httpStatus !== 404 && !left) setTimeout(load, 2000);
      return;
    }
    if (!left) render();
  }

  function update(message) {
    if (job === null) return;
    const fresh = message.sequence > job.sequence;
    job = { ...job, status: message.status, progress: message.progress, etaS: message.etaS, failure: message.failure };
    job.stages = job.stages.map((stage) => ({ ...stage, ...message.stages.find((one) => one.id === stage.id) }));
    render();
    // An update tells how far everything is; results and measures come with the whole job.
    if (fresh) load();
  }

  async function act(path) {
    try {
      await api.post(`/api/jobs/${id}/${path}`);
      await load();
    } catch (problem) {
      trouble.replaceChildren(problemBox(problem));
    }
  }

  function render() {
    const kind = strings.jobTypes[job.type];
    setText(title, job.name ?? kind);
    document.title = `${ACTIVE.includes(job.status) ? `${Math.round(job.progress * 100)} % · ` : ""}${job.name ?? kind} · ${strings.title}`;
    if (status.firstChild?.className !== `pill ${job.status}`) status.replaceChildren(pill(job.status));
    setText(when, `${kind} · ${ago(job.createdAt)}`);
    bar.value = job.progress;
    setText(percent, `${Math.floor(job.progress * 100)} %`);
    setText(eta, ended() ? taken() : job.etaS != null ? strings.left(job.etaS) : "");
    renderActions();
    renderTrouble();
    renderStages();
    renderResult();
  }

  const ended = () => !ACTIVE.includes(job.status);
  const taken = () => job.endedAt ? strings.took((new Date(job.endedAt) - new Date(job.createdAt)) / 1000) : "";

  function renderActions() {
    const wanted = ended() ? (RETRIABLE.includes(job.status) ? "retry" : "none") : job.cancelRequested ? "cancelling" : "cancel";
    if (actions.dataset.shown === wanted) return;
    actions.dataset.shown = wanted;
    const cancel = () => confirm(strings.cancelSure) && act("cancel");
    const buttons = {
      none: [],
      retry: [h("button", { type: "button", onclick: () => act("retry") }, strings.retry)],
      cancelling: [h("button", { type: "button", disabled: true }, strings.cancelling)],
      cancel: [h("button", { type: "button", className: "quiet", onclick: cancel }, strings.cancel)],
    };
    actions.replaceChildren(...buttons[wanted]);
  }

  function renderTrouble() {
    if (!job.failure) trouble.replaceChildren();
    else if (trouble.dataset.shown !== job.failure.cause || !trouble.firstChild) trouble.replaceChildren(problemBox(job.failure));
    trouble.dataset.shown = job.failure?.cause ?? "";
  }

  function renderStages() {
    const known = job.stages.map((stage) => stage.id).join();
    if (stages.dataset.known !== known) {
      stages.dataset.known = known;
      rows.clear();
      stages.replaceChildren(...byDepth(job.stages).map((level) =>
        h("li", { className: "level" }, ...level.map((stage) => {
          const row = stageRow(stage);
          rows.set(stage.id, row);
          return row.element;
        }))));
    }
    for (const stage of job.stages) rows.get(stage.id).show(stage, ended(), job.failure?.stage);
  }

  function renderResult() {
    const signature = job.artifacts.map((artifact) => artifact.sha256).join() + job.status;
    if (signature === shownResult) return;
    shownResult = signature;
    // While a job runs its stages matter most; afterwards, what they made.
    if (ended()) stages.before(result);
    else stages.after(result);
    result.replaceChildren(resultView(job));
  }

  const unwatch = live.watch(id, update);
  load();
  return { title: strings.jobs, element, leave: () => { left = true; unwatch(); } };
}

// Stages that can run side by side stand side by side.
function byDepth(stages) {
  const depth = new Map();
  for (const stage of stages) {
    depth.set(stage.id, 1 + Math.max(-1, ...stage.after.map((before) => depth.get(before) ?? 0)));
  }
  const levels = [];
  for (const stage of stages) (levels[depth.get(stage.id)] ??= []).push(stage);
  return levels.filter(Boolean);
}

function stageRow({ id, kind }) {
  const [name, does] = strings.stages[kind] ?? [id, ""];
  const mark = h("span", { className: "mark", "aria-hidden": "true" });
  const state = h("span", { className: "stage-state" });
  const detail = h("p", { className: "hint" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": name });
  const failure = h("div", {});
  const element = h("div", { className: "stage" },
    mark, h("div", { className: "stage-text" }, h("h3", {}, name), h("p", { className: "hint" }, does)), state, bar, detail, failure);

  function show(stage, over, failed) {
    const stopped = over && !["completed", "failed", "skipped"].includes(stage.status);
    element.className = `stage ${stage.status}${stopped ? " stopped" : ""}`;
    setText(mark, { completed: "✓", failed: "!", skipped: "–" }[stage.status] ?? "");
    setText(state, stage.reusedFrom ? strings.reused : stopped ? strings.stopped : strings.stageStatus[stage.status]);
    bar.value = stage.progress;
    bar.hidden = stopped || !["scheduled", "running", "failing", "waiting"].includes(stage.status);
    const words = [
      !stopped && stage.message,
      !stopped && stage.etaS != null && stage.status === "running" && strings.left(stage.etaS),
      stage.attempt > 1 && strings.attempt(stage.attempt),
      stage.status === "completed" && !stage.reusedFrom && stage.startedAt && stage.endedAt &&
        strings.took((new Date(stage.endedAt) - new Date(stage.startedAt)) / 1000),
      stage.engine, stage.device,
    ];
    setText(detail, words.filter(Boolean).join(" · "));
    // The job's own failure stands above all stages already.
    const cause = stage.status === "completed" || failed === id ? "" : stage.failure?.cause ?? "";
    if (failure.dataset.shown !== cause) {
      failure.dataset.shown = cause;
      failure.replaceChildren(cause ? problemBox(stage.failure) : "");
    }
  }
  return { element, show };
}

