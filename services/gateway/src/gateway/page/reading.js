// What the guides are made of: cards that open, a list of contents, schemas as tables.

import { h } from "./dom.js";
import { table } from "./ui.js";

// A page of `groups`, [{ name, title, hint, cards }]; a card is { id, label, says, element },
// with `label` for the contents. `after` are links to what stands below.
export function guide(main, { placeholder, hero, groups, below = [] }) {
  const search = h("input", { type: "search", placeholder, ariaLabel: "Find", autocomplete: "off", oninput: () => narrow(main, search.value.trim().toLowerCase()) });
  main.replaceChildren(
    h("div", { className: "guide" },
      h("nav", { className: "contents", ariaLabel: "Contents" }, search, ...groups.map(contents), ...below.map(([id, title]) => h("a", { href: `#${id}` }, title))),
      h("div", { className: "pages" }, h("div", { className: "hero" }, ...hero),
        ...groups.map((group) => h("section", { id: group.name }, h("h2", {}, group.title), h("p", { className: "hint" }, ...inline(group.hint)), ...group.cards.map((one) => one.element))),
        ...below.map(([, , element]) => element))));
  addEventListener("hashchange", () => reveal());
  reveal();
}

export function card(id, head, ...children) {
  return h("details", { className: "card operation", id }, h("summary", {}, ...head), ...children);
}

function contents(group) {
  return h("div", {}, h("a", { className: "group", href: `#${group.name}` }, group.title),
    ...group.cards.map((one) => h("a", { href: `#${one.id}`, title: one.says }, ...one.label)));
}

// What is in the address is opened and brought into view.
function reveal() {
  const wanted = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!wanted) return;
  if (wanted.tagName === "DETAILS") wanted.open = true;
  wanted.scrollIntoView();
}

function narrow(main, word) {
  for (const one of main.querySelectorAll("details.operation")) {
    one.hidden = word !== "" && !one.textContent.toLowerCase().includes(word);
    const entry = main.querySelector(`.contents a[href="#${one.id}"]`);
    if (entry) entry.hidden = one.hidden;
  }
  for (const section of main.querySelectorAll(".pages section")) {
    section.hidden = word !== "" && !section.querySelector("details.operation:not([hidden])");
  }
}

// The fields of a schema; `schemas` are those that it may refer to, by name.
export function schema(reference, schemas) {
  const { properties, required = [] } = resolved(reference, schemas);
  if (!properties) return h("p", { className: "hint" }, type(reference, schemas));
  return fields(Object.entries(properties).map(([name, property]) =>
    [name, type(property, schemas), property.description ?? resolved(property, schemas).description, required.includes(name)]));
}

function resolved(reference, schemas) {
  const name = reference?.$ref?.split("/").at(-1);
  return name ? { title: name, ...schemas[name] } : reference ?? {};
}

export function type(reference, schemas) {
  const found = resolved(reference, schemas);
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.join(" | ");
  const choices = found.anyOf ?? found.oneOf ?? found.allOf;
  if (choices) return choices.map((choice) => type(choice, schemas)).join(" | ");
  if (found.type === "array") return `list of ${type(found.items ?? found.prefixItems?.[0], schemas)}`;
  if (found.format === "binary") return "file";
  if (found.format === "date-time") return "time";
  if (found.properties) return found.title ?? "object";
  return [found.type].flat().join(" | ") || "any";
}

export function fields(rows) {
  return table("Fields", [], ...rows.map(([name, kind, says, required]) =>
    h("tr", {}, h("th", { scope: "row" }, h("code", {}, name), required && h("span", { title: "required" }, " *")),
      h("td", {}, kind), h("td", {}, ...inline(says ?? "")))));
}

export function part(name, ...children) {
  return h("div", { className: "part" }, h("h3", {}, name), ...children);
}

export function code(text) {
  return h("pre", { tabIndex: 0 }, text);
}

export function example(value) {
  return h("details", { className: "example" }, h("summary", {}, "Example"), code(typeof value === "string" ? value : JSON.stringify(value, null, 2)));
}

// The little Markdown that descriptions use: paragraphs, lists, bold and code.
export function prose(text = "") {
  return text.split(/\n\n+/).map((block) => {
    const lines = block.split("\n");
    return lines.every((line) => line.startsWith("- "))
      ? h("ul", {}, ...lines.map((line) => h("li", {}, ...inline(line.slice(2)))))
      : h("p", {}, ...inline(lines.join(" ")));
  });
}

export function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((piece) => {
    if (piece.startsWith("`")) return h("code", {}, piece.slice(1, -1));
    return piece.startsWith("**") ? h("strong", {}, piece.slice(2, -2)) : piece;
  });
}

export const title = (name) => name[0].toUpperCase() + name.slice(1);
