// The API guide: the OpenAPI document, made readable without anything from elsewhere.

import { get } from "./api.js";
import { h, problemBox } from "./dom.js";
import { theme } from "./theme.js";

const main = document.querySelector("#main");
const METHODS = ["get", "post", "put", "delete"];
const PROBLEM = "application/problem+json";

theme();
get("/openapi.json").then(show).catch((problem) => main.replaceChildren(problemBox(problem)));

function show(api) {
  const groups = api.tags.map((tag) => ({ ...tag, listed: operations(api).filter((one) => one.tags[0] === tag.name) }));
  const search = h("input", {
    type: "search", placeholder: "Find a route, a field, a problem…", ariaLabel: "Find", autocomplete: "off",
    oninput: () => narrow(search.value.trim().toLowerCase()),
  });
  main.replaceChildren(
    h("div", { className: "guide" },
      h("nav", { className: "contents", ariaLabel: "Contents" },
        search, ...groups.map((group) => contents(group)), h("a", { href: "#live" }, "WebSocket")),
      h("div", { className: "pages" },
        h("div", { className: "hero" }, h("h1", {}, "API"), ...prose(api.info.description),
          h("p", {}, h("a", { href: "/openapi.json" }, "OpenAPI document"), " · ", h("a", { href: "/problems" }, "All problems")),
          security(api)),
        ...groups.map((group) => h("section", { id: group.name },
          h("h2", {}, title(group.name)), h("p", { className: "hint" }, group.description),
          ...group.listed.map((one) => operation(one, api)))),
        socket())));
  addEventListener("hashchange", reveal);
  reveal();
}

function operations(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })));
}

function contents(group) {
  return h("div", {}, h("a", { className: "group", href: `#${group.name}` }, title(group.name)),
    ...group.listed.map((one) => h("a", { href: `#${one.operationId}`, title: one.summary },
      h("code", { className: `method ${one.method}` }, one.method.toUpperCase()), h("span", {}, one.path.replace("/api", "")))));
}

// What is in the address is opened and brought into view.
function reveal() {
  const wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!wanted) return;
  if (wanted.tagName === "DETAILS") wanted.open = true;
  wanted.scrollIntoView();
}

function narrow(word) {
  for (const card of main.querySelectorAll("details.operation")) {
    card.hidden = word !== "" && !card.textContent.toLowerCase().includes(word);
    const entry = main.querySelector(`.contents a[href="#${card.id}"]`);
    if (entry) entry.hidden = card.hidden;
  }
  for (const section of main.querySelectorAll(".pages section")) {
    section.hidden = word !== "" && !section.querySelector("details.operation:not([hidden])");
  }
}

function operation(one, api) {
  const bodies = Object.entries(one.requestBody?.content ?? {});
  const answers = Object.entries(one.responses).filter(([, answer]) => !answer.content?.[PROBLEM]);
  const problems = Object.entries(one.responses).filter(([, answer]) => answer.content?.[PROBLEM]);
  return h("details", { className: "card operation", id: one.operationId },
    h("summary", {}, h("code", { className: `method ${one.method}` }, one.method.toUpperCase()), h("code", { className: "path" }, one.path),
      h("span", { className: "hint" }, one.summary)),
    ...prose(one.description),
    one.parameters?.length > 0 && part("Parameters", fields(one.parameters.map((parameter) =>
      [parameter.name, `${parameter.in} · ${type(parameter.schema, api)}`, parameter.description, parameter.required]))),
    ...bodies.map(([mediaType, body]) => part(`Body: ${mediaType}`, ...content(body, api))),
    part("Try it", code(curl(one, bodies))),
    ...answers.map(([status, answer]) => part(`Answer ${status}`, h("p", {}, answer.description),
      ...Object.entries(answer.headers ?? {}).map(([name, header]) => h("p", { className: "hint" }, h("code", {}, name), `: ${header.description}`)),
      ...Object.entries(answer.content ?? {}).flatMap(([mediaType, body]) =>
        mediaType === "application/json" ? content(body, api) : [h("p", { className: "hint" }, mediaType)]))),
    problems.length > 0 && part("Problems", h("div", { className: "scroll" }, h("table", {}, h("tbody", {},
      ...problems.flatMap(([status, answer]) => kinds(answer).map((slug) =>
        h("tr", {}, h("th", { scope: "row" }, status), h("td", {}, h("a", { href: `/problems/${slug}` }, h("code", {}, slug))),
          h("td", {}, api.components.examples[slug]?.summary ?? answer.description)))))))));
}

function kinds(answer) {
  const { examples, example } = answer.content[PROBLEM];
  return examples ? Object.keys(examples) : [example.type.split("/").at(-1)];
}

// The fields of a body, and below them what it looks like.
function content(body, api) {
  return [
    schema(body.schema, api),
    body.example !== undefined && h("details", { className: "example" }, h("summary", {}, "Example"),
      code(typeof body.example === "string" ? body.example : JSON.stringify(body.example, null, 2))),
  ];
}

function resolved(reference, api) {
  const name = reference?.$ref?.split("/").at(-1);
  return name ? { title: name, ...api.components.schemas[name] } : reference ?? {};
}

function schema(reference, api) {
  const { properties, required = [] } = resolved(reference, api);
  if (!properties) return h("p", { className: "hint" }, type(reference, api));
  return fields(Object.entries(properties).map(([name, property]) =>
    [name, type(property, api), property.description ?? resolved(property, api).description, required.includes(name)]));
}

function type(reference, api) {
  const found = resolved(reference, api);
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.join(" | ");
  const choices = found.anyOf ?? found.oneOf ?? found.allOf;
  if (choices) return choices.map((choice) => type(choice, api)).join(" | ");
  if (found.type === "array") return `list of ${type(found.items ?? found.prefixItems?.[0], api)}`;
  if (found.format === "binary") return "file";
  if (found.format === "date-time") return "time";
  if (found.properties) return found.title ?? "object";
  return [found.type].flat().join(" | ") || "any";
}

function fields(rows) {
  return h("div", { className: "scroll" }, h("table", {}, h("tbody", {}, ...rows.map(([name, kind, says, required]) =>
    h("tr", {}, h("th", { scope: "row" }, h("code", {}, name), required && h("span", { title: "required" }, " *")),
      h("td", {}, kind), h("td", {}, ...inline(says ?? "")))))));
}

function part(name, ...children) {
  return h("div", { className: "part" }, h("h3", {}, name), ...children);
}

function code(text) {
  return h("pre", { tabIndex: 0 }, text);
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

// The little Markdown that descriptions use: paragraphs, lists, bold and code.
function prose(text = "") {
  return text.split(/\n\n+/).map((block) => {
    const lines = block.split("\n");
    return lines.every((line) => line.startsWith("- "))
      ? h("ul", {}, ...lines.map((line) => h("li", {}, ...inline(line.slice(2)))))
      : h("p", {}, ...inline(lines.join(" ")));
  });
}

function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((piece) => {
    if (piece.startsWith("`")) return h("code", {}, piece.slice(1, -1));
    return piece.startsWith("**") ? h("strong", {}, piece.slice(2, -2)) : piece;
  });
}

const title = (name) => name[0].toUpperCase() + name.slice(1);

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
