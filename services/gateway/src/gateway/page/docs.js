// The API guide: the OpenAPI document, made readable without anything from elsewhere.

import { get } from "./api.js";
import { h, problemBox } from "./dom.js";
import { card, code, example, fields, guide, inline, part, prose, schema, title, type } from "./reading.js";
import { theme } from "./theme.js";
import { table } from "./ui.js";

const main = document.querySelector("#main");
const METHODS = ["get", "post", "put", "delete"];
const PROBLEM = "application/problem+json";

theme();
get("/openapi.json").then(show).catch((problem) => main.replaceChildren(problemBox(problem)));

function show(api) {
  const all = operations(api);
  const { schemas } = api.components;
  guide(main, {
    placeholder: "Find a route, a field, a problem…",
    hero: [h("h1", {}, "API"), ...prose(api.info.description),
      h("p", {}, h("a", { href: "/openapi.json" }, "OpenAPI document"), " · ", h("a", { href: "/problems" }, "All problems"), " · ", h("a", { href: "/asyncapi" }, "Messages over NATS")),
      security(api)],
    groups: api.tags.map((tag) => ({ name: tag.name, title: title(tag.name), hint: tag.description, cards: all.filter((one) => one.tags[0] === tag.name).map((one) => ({
      id: one.operationId, says: one.summary, element: operation(one, api, schemas),
      label: [h("code", { className: `method ${one.method}` }, one.method.toUpperCase()), h("span", {}, one.path.replace("/api", ""))],
    })) })),
    below: [["live", "WebSocket", socket()]],
  });
}

function operations(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })));
}

function operation(one, api, schemas) {
  const bodies = Object.entries(one.requestBody?.content ?? {});
  const answers = Object.entries(one.responses).filter(([, answer]) => !answer.content?.[PROBLEM]);
  const problems = Object.entries(one.responses).filter(([, answer]) => answer.content?.[PROBLEM]);
  return card(one.operationId, [h("code", { className: `method ${one.method}` }, one.method.toUpperCase()), h("code", { className: "path" }, one.path), h("span", { className: "hint" }, one.summary)],
    ...prose(one.description),
    one.parameters?.length > 0 && part("Parameters", fields(one.parameters.map((parameter) =>
      [parameter.name, `${parameter.in} · ${type(parameter.schema, schemas)}`, parameter.description, parameter.required]))),
    ...bodies.map(([mediaType, body]) => part(`Body: ${mediaType}`, ...content(body, schemas))),
    part("Try it", code(curl(one, bodies))),
    ...answers.map(([status, answer]) => part(`Answer ${status}`, h("p", {}, answer.description),
      ...Object.entries(answer.headers ?? {}).map(([name, header]) => h("p", { className: "hint" }, h("code", {}, name), `: ${header.description}`)),
      ...Object.entries(answer.content ?? {}).flatMap(([mediaType, body]) =>
        mediaType === "application/json" ? content(body, schemas) : [h("p", { className: "hint" }, mediaType)]))),
    problems.length > 0 && part("Problems", table("Problems", [],
      ...problems.flatMap(([status, answer]) => kinds(answer).map((slug) =>
        h("tr", {}, h("th", { scope: "row" }, status), h("td", {}, h("a", { href: `/problems/${slug}` }, h("code", {}, slug))),
          h("td", {}, api.components.examples[slug]?.summary ?? answer.description)))))));
}

function kinds(answer) {
  const { examples, example } = answer.content[PROBLEM];
  return examples ? Object.keys(examples) : [example.type.split("/").at(-1)];
}

// The fields of a body, and below them what it looks like.
function content(body, schemas) {
  return [schema(body.schema, schemas), body.example !== undefined && example(body.example)];
}

function curl({ method, path, parameters = [] }, bodies) {
  const address = `'${location.origin}${path.replace(/\{(\w+)\}/g, (_, name) => `<${name}>`)}'`;
  const words = ["curl", method === "get" ? "" : `-X ${method.toUpperCase()}`, address];
  if (parameters.some((parameter) => parameter.name === "Idempotency-Key")) words.push("-H 'Idempotency-Key: <any unique text>'");
  const [mediaType, body] = bodies.at(-1) ?? [];
  if (mediaType === "application/json") words.push("--json", `'${JSON.stringify(body.example)}'`);
  if (mediaType === "application/octet-stream") words.push("--data-binary @part");
  return words.filter(Boolean).join(" ");
}

function security(api) {
  return h("div", {}, h("h3", {}, "Who asks"),
    h("ul", {}, ...Object.entries(api.components.securitySchemes).map(([name, scheme]) =>
      h("li", {}, h("strong", {}, title(name)), ": ", ...inline(scheme.description))),
    h("li", {}, "On one’s own machine (", h("code", {}, "MYSPINBOT_ACCESS=local"), ") nothing is asked for.")));
}

function socket() {
  const lines = [
    '→ {"action": "subscribe", "jobId": "<job>", "after": 1803, "lines": true}',
    '← {"action": "response", "message": "subscribed", "jobId": "<job>"}',
    '← {"type": "update", "jobId": "<job>", "status": "running", "progress": 0.42, "etaS": 31.5, "stages": [ … ], …}',
    '← {"type": "event", "jobId": "<job>", "sequence": 1804, "event": {"type": "StageStarted", …}}',
    '← {"type": "line", "jobId": "<job>", "line": {"stage": "train_lora", "message": "step 120", …}}',
    '← {"type": "gap", "jobId": "<job>", "after": 1804, "before": 1890}',
    '→ {"action": "subscribe", "jobs": "all"}',
    '→ {"action": "ping"}',
    '← {"type": "pong"}',
    '→ {"action": "unsubscribe", "jobId": "<job>"}',
  ];
  return h("section", { id: "live" }, h("h2", {}, "WebSocket"), h("div", { className: "card" },
    ...prose("One connection at `/ws` follows as many jobs as are wanted. The first update comes at once and tells all; later "
      + "ones come whenever the job changes, and progress never goes back.\n\nWith `after`, every event of the log after "
      + "that sequence comes too, in order, each once. What a slow client would make wait too long is left out and told "
      + "as a `gap`: `GET /api/jobs/{job}/timeline` has it. `lines` adds what the stages write."), code(lines.join("\n"))));
}
