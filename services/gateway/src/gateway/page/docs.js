// The API guide: the OpenAPI document, made readable without anything from elsewhere.

import { get } from "./api.js";
import { h, problemBox } from "./dom.js";
import { theme } from "./theme.js";

const main = document.querySelector("#main");
const METHODS = ["get", "post", "put", "patch", "delete"];

theme();
get("/openapi.json").then(show).catch((problem) => main.replaceChildren(problemBox(problem)));

function show(document) {
  const groups = Map.groupBy(operations(document), (operation) => operation.tags?.[0] ?? "other");
  main.replaceChildren(
    h("div", { className: "hero" }, h("h1", {}, "API"),
      h("p", {}, "JSON over HTTP, live updates over a WebSocket. Errors are problem documents (RFC 9457) with ",
        "a stable type, the cause and the remedy. ", h("a", { href: "/openapi.json" }, "OpenAPI document"), " · ",
        h("a", { href: "/problems" }, "All problems"))),
    ...[...groups].map(([tag, listed]) =>
      h("section", {}, h("h2", {}, tag[0].toUpperCase() + tag.slice(1)), ...listed.map((one) => operation(one, document)))),
    socket());
}

function operations(document) {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })));
}

function operation(one, document) {
  const bodies = Object.entries(one.requestBody?.content ?? {});
  const answers = Object.entries(one.responses ?? {}).filter(([status]) => status !== "422");
  return h("details", { className: "card operation" },
    h("summary", {}, h("code", { className: `method ${one.method}` }, one.method.toUpperCase()), h("code", {}, one.path),
      h("span", { className: "hint" }, one.description ?? one.summary)),
    one.parameters?.length && h("div", {}, h("h3", {}, "Parameters"), fields(one.parameters.map((parameter) =>
      [parameter.name, `${parameter.in} · ${type(parameter.schema, document)}`, parameter.description, parameter.required]))),
    ...bodies.map(([mediaType, body]) => h("div", {}, h("h3", {}, `Body: ${mediaType}`), schema(body.schema, document),
      body.example && h("pre", {}, JSON.stringify(body.example, null, 2)))),
    ...answers.map(([status, answer]) => {
      const [mediaType, content] = Object.entries(answer.content ?? {})[0] ?? [];
      return h("div", {}, h("h3", {}, `Answer ${status}${mediaType ? `: ${mediaType}` : ""}`),
        content?.schema && schema(content.schema, document),
        content?.example && h("pre", {}, JSON.stringify(content.example, null, 2)));
    }),
    h("pre", {}, curl(one, bodies)));
}

function resolved(schema, document) {
  const name = schema?.$ref?.split("/").at(-1);
  return name ? { title: name, ...document.components.schemas[name] } : schema ?? {};
}

function schema(reference, document) {
  const { properties, required = [] } = resolved(reference, document);
  if (!properties) return h("p", { className: "hint" }, type(reference, document));
  return fields(Object.entries(properties).map(([name, property]) =>
    [name, type(property, document), property.description ?? resolved(property, document).description, required.includes(name)]));
}

function type(reference, document) {
  const found = resolved(reference, document);
  if (found.const) return JSON.stringify(found.const);
  if (found.enum) return found.enum.join(" | ");
  const choices = found.anyOf ?? found.oneOf ?? found.allOf;
  if (choices) return choices.map((choice) => type(choice, document)).join(" | ");
  if (found.type === "array") return `list of ${type(found.items ?? found.prefixItems?.[0], document)}`;
  if (found.format === "binary") return "file";
  if (found.properties) return found.title ?? "object";
  return found.type ?? "any";
}

function fields(rows) {
  return h("div", { className: "scroll" }, h("table", {}, h("tbody", {}, ...rows.map(([name, kind, says, required]) =>
    h("tr", {}, h("th", { scope: "row" }, h("code", {}, name), required && " *"), h("td", {}, kind), h("td", {}, says ?? ""))))));
}

function curl({ method, path, parameters = [] }, bodies) {
  const address = location.origin + path.replace(/\{(\w+)\}/g, (_, name) => `<${name}>`);
  const words = ["curl", method === "get" ? "" : `-X ${method.toUpperCase()}`, address];
  const keyed = parameters.some((parameter) => parameter.name === "Idempotency-Key");
  if (keyed) words.push("-H 'Idempotency-Key: <any unique text>'");
  const form = bodies.find(([mediaType]) => mediaType.startsWith("multipart/"))?.[1].schema;
  for (const name of form?.required ?? []) words.push(name === "image" ? "-F image=@photo.jpg" : `-F ${name}='…'`);
  return words.filter(Boolean).join(" ");
}

function socket() {
  const lines = [
    '→ {"action": "subscribe", "jobId": "<job>"}',
    '← {"action": "response", "message": "subscribed", "jobId": "<job>"}',
    '← {"type": "update", "jobId": "<job>", "status": "running", "progress": 0.42, "etaS": 31.5, "stages": [ … ], …}',
    '← {"type": "heartbeat"}',
    '→ {"action": "unsubscribe", "jobId": "<job>"}',
  ];
  return h("section", {}, h("h2", {}, "Live"), h("div", { className: "card" },
    h("p", {}, "A WebSocket at ", h("code", {}, "/ws"), ". The first update comes at once and tells all; later ones come ",
      "whenever the job changes, and progress never goes back."), h("pre", {}, lines.join("\n"))));
}
