// The machines that do the work, what they can do, and how long it usually takes.

import * as api from "../api.js";
import { h } from "../dom.js";
import { ago, duration, measured, number, size } from "../format.js";
import { strings } from "../language.js";
import { operationsView } from "../operations.js";
import { empty, figures, loaded, skeleton, table } from "../ui.js";

const AWAY_MS = 120_000;
const ORDER = Object.keys(strings.stages);

export function runnersView() {
  const box = h("div", { className: "stack" }, skeleton(3));
  loaded(box, async () => {
    const [{ runners }, stats] = await Promise.all([api.get("/api/runners").catch(fromCapabilities), api.getOr("/api/stats", null)]);
    return [stats && overview(stats),
      ...(runners.length === 0 ? [empty("runners", strings.noRunnersTitle, strings.noRunners)] : runners.map(machine)),
      stats?.stages?.length > 0 && times(stats.stages)];
  });
  return operationsView("runners", strings.runnersLead, box);
}

// Whoever may not see the machines may see what they can do.
async function fromCapabilities() {
  const { runners } = await api.get("/api/capabilities");
  return { runners: runners.map((one) => ({ ...one, runnerId: one.runner })) };
}

function overview({ jobs, usage, queue }) {
  const told = [
    [strings.stats.running, number(queue?.running ?? jobs?.running ?? 0)], [strings.stats.waiting, number(queue?.waiting ?? jobs?.queued ?? 0)],
    [strings.stats.done, number(jobs?.completed ?? 0)],
    usage && [strings.stats.stored, usage.quotaBytes ? strings.of(size(usage.storedBytes), size(usage.quotaBytes)) : size(usage.storedBytes)],
  ].filter(Boolean);
  return figures(told);
}

function machine(runner) {
  return h("section", { className: "card" },
    h("div", { className: "row" }, h("h2", {}, runner.runnerId),
      runner.busy != null && h("span", { className: `pill ${runner.busy ? "running" : "completed"}` }, runner.busy ? strings.busy : strings.idle),
      Date.now() - new Date(runner.announcedAt) > AWAY_MS && h("span", { className: "hint" }, strings.lastSeen(ago(runner.announcedAt)))),
    h("p", { className: "hint" }, runner.devices.map((device) => `${device.title} (${size(device.memoryBytes)})`).join(" · ")),
    table(strings.engines, [strings.stageTitle, strings.facts.engine, strings.canDo],
      ...runner.engines.map((engine) => h("tr", {},
        h("th", { scope: "row" }, strings.stages[engine.kind]?.[0] ?? engine.kind),
        h("td", {}, engine.title, h("span", { className: "hint" }, ` ${engine.engine} ${engine.version}`),
          engine.base && h("p", { className: "hint" }, `${engine.base.title} (${size(engine.base.sizeBytes)}, ${engine.base.licence})`)),
        h("td", {}, engine.available ? h("span", { className: "good" }, strings.available) : h("span", {}, strings.missingWeights,
          ...engine.missing.map((weights) => h("p", { className: "hint" }, `${weights.name} (${size(weights.sizeBytes)}, ${weights.licence}): ${weights.howToGet}`))))))));
}

function times(stages) {
  return h("section", { className: "card" }, h("h2", {}, strings.timesTitle), table(strings.timesTitle,
    [strings.stageTitle, strings.facts.engine, strings.quality, strings.stats.count, strings.stats.median, strings.stats.longest],
    ...stages.sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind)).map((one) => h("tr", {}, h("th", { scope: "row" }, strings.stages[one.kind]?.[0] ?? one.kind), h("td", {}, one.engine),
      h("td", {}, strings.qualities[one.quality] ?? one.quality), h("td", {}, measured(one.count)), h("td", {}, duration(one.medianS)), h("td", {}, duration(one.longestS))))));
}
