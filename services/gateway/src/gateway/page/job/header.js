// The top of a job's page: what it is, how it stands, and what can be done with it.

import * as api from "../api.js";
import { button, fill, h, problemBox, setText } from "../dom.js";
import { ago, duration, moment, percent, seconds } from "../format.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";
import { announce, ask, jobName, pill, withIcon } from "../ui.js";
import { namedFailure } from "./photos.js";

const ACTIVE = ["queued", "running"];
const RETRIABLE = ["failed", "cancelled"];

// Whether what was given is at fault, so that the same again would fail the same way.
const hopeless = ({ failure, stages, inputs }) =>
  inputs?.length > 0 && stages.find((stage) => stage.id === failure?.stage)?.failure?.retryable === false;

export function headerView(id, reload) {
  const title = h("h1", {}, "…");
  const status = h("span", {});
  const when = h("span", { className: "hint" });
  const actions = h("div", { className: "row actions" });
  const bar = h("progress", { max: 1, value: 0, className: "large", "aria-label": strings.progress });
  const share = h("span", { className: "percent" });
  const eta = h("span", { className: "hint eta" });
  const overall = h("div", { className: "overall" }, bar, share, eta);
  const trouble = h("div", {});
  const element = h("header", { className: "job-head" },
    h("a", { className: "back", href: "#/jobs" }, `← ${strings.back}`),
    h("div", { className: "job-title" }, title, status), when, actions, overall, trouble);
  let told = null;

  // `job` is what is shown, `past` whether it is how it was; actions are always about now.
  function show(job, past) {
    const kind = strings.jobTypes[job.type] ?? job.type;
    const active = ACTIVE.includes(job.status);
    setText(title, jobName(job));
    document.title = `${active && !past ? `${percent(job.progress)} · ` : ""}${jobName(job)} · ${strings.title}`;
    fill(status, job.status, () => pill(job.status));
    when.title = moment(job.createdAt);
    const took = job.endedAt && strings.took(seconds(job.createdAt, job.endedAt));
    setText(when, [kind, strings.qualities[job.quality], ago(job.createdAt), took].filter(Boolean).join(" · "));
    overall.hidden = !active;
    bar.value = job.progress;
    setText(share, percent(job.progress));
    setText(eta, past ? "" : remaining(job));
    actions.hidden = past;
    fill(actions, `${active}${job.status}${job.cancelRequested}${job.traceUrl}${hopeless(job)}`, () => offered(job, active));
    fill(trouble, job.failure?.cause ?? "", () => (job.failure ? problemBox(namedFailure(job.failure, job)) : []));
    if (!past) tell(job);
  }

  function remaining(job) {
    return [job.queuePosition && strings.queued(job.queuePosition), job.etaS >= 1 && strings.left(job.etaS)].filter(Boolean).join(" · ");
  }

  // Those who listen hear how it stands when that changes, and now and then how far it is.
  function tell(job) {
    const changed = told !== null && told !== job.status;
    if (changed) announce(`${jobName(job)}: ${strings.jobStatus[job.status]}`);
    else if (job.status === "running") announce(strings.progressSaid(percent(job.progress), duration(job.etaS)), { rarely: true });
    told = job.status;
  }

  function offered(job, active) {
    // Few vary a job, so what that takes is fetched when somebody does.
    const forking = () => api.module(import("./fork.js"));
    const fork = withIcon("fork", strings.fork, () => act(async () => (await forking()).forkDialog(job)));
    const trace = job.traceUrl && !job.traceUrl.startsWith("/#") && h("a", { className: "button quiet", href: job.traceUrl, target: "_blank", rel: "noopener" }, icon("trace"), h("span", {}, strings.trace));
    if (active) {
      return [trace, job.stages.length > 0 && fork, job.cancelRequested
        ? button(strings.cancelling, null, { disabled: true })
        : withIcon("close", strings.cancel, sureToCancel)];
    }
    const again = hopeless(job) ? h("a", { className: "button primary", href: `#/?job=${id}` }, icon("again"), h("span", {}, strings.startOver))
      : RETRIABLE.includes(job.status) && withIcon("again", strings.retry, () => act(() => api.post(`/api/jobs/${id}/retry`)), { className: "primary" });
    return [trace, again,
      job.stages.length > 0 && fork, withIcon("trash", strings.remove, () => sureToDelete(job), { className: "quiet" })];
  }

  async function act(doing) {
    try {
      await doing();
      await reload();
    } catch (problem) {
      trouble.replaceChildren(problemBox(problem));
      trouble.dataset.shown = "problem";
    }
  }

  function sureToCancel() {
    ask({ title: strings.cancelTitle, body: strings.cancelSure, confirm: strings.cancelYes, danger: true,
      act: async () => { await api.post(`/api/jobs/${id}/cancel`); reload(); } });
  }

  function sureToDelete(job) {
    ask({ title: strings.removeTitle(jobName(job)), body: strings.removeSure, confirm: strings.removeYes, danger: true,
      act: async () => { await api.remove(`/api/jobs/${id}`); location.hash = "#/jobs"; } });
  }
  return { element, show };
}
