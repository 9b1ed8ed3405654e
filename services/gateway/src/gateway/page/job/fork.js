// A new job from an old one: from the chosen stage on it is done anew, with what was changed.

import * as api from "../api.js";
import { h } from "../dom.js";
import { strings } from "../language.js";
import { kindForm } from "../params.js";
import { ask, field, jobName, segments } from "../ui.js";
import { stageName } from "./graph.js";

export async function forkDialog(job) {
  const capabilities = await api.getOr("/api/capabilities", { kinds: {} }).catch(() => ({ kinds: {} }));
  const key = api.newKey();
  let quality = job.quality;
  let form = null;
  const from = h("select", { onchange: pick }, ...job.stages.map((stage) => h("option", { value: stage.id }, stageName(stage))));
  const firstFailed = job.stages.find((stage) => stage.status === "failed");
  from.value = (firstFailed ?? job.stages.find((stage) => stage.kind === "synthesize_speech") ?? job.stages[0]).id;
  const name = h("input", { maxLength: 80, value: job.name ?? "", autocomplete: "off" });
  const script = h("textarea", { rows: 4, value: job.script ?? "" });
  const prompt = h("input", { maxLength: 2000, value: job.prompt ?? "", autocomplete: "off" });
  const seed = h("input", { type: "number", min: 0, step: 1, placeholder: job.seed ?? "", inputMode: "numeric" });
  const params = h("div", {});

  function pick() {
    const stage = job.stages.find((one) => one.id === from.value);
    form = kindForm(stage.kind, capabilities.kinds[stage.kind] ?? [], { engine: job.engines?.[stage.kind], params: job.params?.[stage.kind] }, quality);
    params.replaceChildren(...(form ? [form.element] : []));
  }

  function body() {
    const stage = job.stages.find((one) => one.id === from.value);
    const wish = { from: from.value, quality };
    const put = (name, value, old) => value !== (old ?? "") && (wish[name] = value);
    put("name", name.value.trim(), job.name);
    put("script", script.value.trim(), job.script);
    put("prompt", prompt.value.trim(), job.prompt);
    if (seed.value !== "") wish.seed = Number(seed.value);
    const chosen = form?.value();
    if (chosen?.engine) wish.engines = { ...job.engines, [stage.kind]: chosen.engine };
    if (chosen && Object.keys(chosen.params).length > 0) wish.params = { ...job.params, [stage.kind]: chosen.params };
    return wish;
  }

  pick();
  ask({
    title: strings.forkTitle(jobName(job)),
    body: h("div", { className: "fields" }, h("p", { className: "hint" }, strings.forkHint),
      field(strings.forkFrom, from, strings.forkFromHint), field(strings.name, name),
      job.script != null && field(strings.script, script),
      segments(strings.quality, "fork-quality", Object.entries(strings.qualities), quality, (value) => { quality = value; pick(); }),
      h("details", {}, h("summary", {}, strings.more), h("div", { className: "fields" }, job.script != null && field(strings.prompt, prompt), field(strings.seed, seed, strings.seedHint), params))),
    confirm: strings.forkYes,
    act: async () => {
      if (form && !form.valid()) throw new api.ApiProblem({ detail: strings.checks.params });
      const made = await api.post(`/api/jobs/${job.jobId}/fork`, body(), key);
      location.hash = `#/job/${made.jobId}`;
    },
  });
}
