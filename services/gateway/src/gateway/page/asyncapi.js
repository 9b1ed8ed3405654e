// The guide to what is said over NATS: the AsyncAPI document, made readable.

import { get } from "./api.js";
import { h, problemBox } from "./dom.js";
import { card, code, example, fields, guide, part, prose, schema, title, type } from "./reading.js";
import { theme } from "./theme.js";

const main = document.querySelector("#main");

theme();
get("/asyncapi.json").then(show).catch((problem) => main.replaceChildren(problemBox(problem)));

function show(api) {
  const channels = Object.entries(api.channels).map(([name, channel]) => ({ name, ...channel, operation: api.operations[`tell${name}`] }));
  guide(main, {
    placeholder: "Find a subject, a field, a service…",
    hero: [h("h1", {}, "Messages over NATS"), ...prose(api.info.description),
      h("p", {}, "AsyncAPI document as ", h("a", { href: "/asyncapi.yaml" }, "YAML"), " and ", h("a", { href: "/asyncapi.json" }, "JSON"), " · ", h("a", { href: "/docs" }, "HTTP API")),
      ...prose("In a subject, what stands in braces is one token; `*` in its place listens to all of them:"),
      code("nats sub 'jobs.*.events.JobFailed'"),
      h("h3", {}, "Servers"),
      h("ul", {}, ...Object.values(api.servers).map((server) => h("li", {}, h("code", {}, `${server.protocol}://${server.host}`), " ", ...prose(server.description).flatMap((one) => [...one.childNodes]))))],
    groups: api.info.tags.map((tag) => ({ name: tag.name, title: title(tag.name), hint: tag.description, cards: channels
      .filter((one) => one.tags[0].name === tag.name)
      .map((one) => ({ id: one.name, says: one.description, label: [h("span", {}, one.name)], element: channelCard(one, api) })) })),
  });
}

function channelCard(one, api) {
  const message = api.components.messages[one.name];
  const { schemas } = api.components;
  const { headers, examples = [] } = message;
  const result = one.operation?.["x-result"];
  const parameters = Object.entries(one.parameters ?? {});
  return card(one.name, [h("code", { className: "path" }, one.address ?? "the inbox of whoever asks"), h("span", { className: "hint" }, one.description)],
    h("dl", { className: "ways" }, ...[["told by", one["x-told-by"]], ["heard by", one["x-heard-by"]], ["kept in", one["x-stream"] && [one["x-stream"]]]]
      .filter(([, who]) => who).map(([way, who]) => h("div", {}, h("dt", {}, way), h("dd", {}, ...who.map((name) => h("code", {}, name)))))),
    parameters.length > 0 && part("Subject", fields(parameters.map(([name, parameter]) => [name, "token", parameter.description, true]))),
    part("Body", schema(message.payload, schemas), ...examples.map((shown) => example(shown.payload))),
    result && part("Result of the answer", h("p", { className: "hint" }, type(result, schemas)), schema(result, schemas)),
    headers && part("Headers", schema(headers, schemas), ...examples.filter((shown) => shown.headers).map((shown) => example(shown.headers))));
}
