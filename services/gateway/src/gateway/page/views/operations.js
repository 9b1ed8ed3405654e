// What those who run the system look at: sections beside each other, and whose things they show.

import * as api from "../api.js";
import { h } from "../dom.js";
import { strings } from "../language.js";
import { badge } from "../letters.js";

const PATHS = { runners: "#/runners", letters: "#/dead-letters", usage: "#/usage", audit: "#/audit" };

export function sections(current) {
  return h("nav", { className: "sections", "aria-label": strings.operations }, ...Object.entries(PATHS).map(([name, href]) =>
    h("a", { href, "aria-current": name === current && "page" }, strings.sections[name], name === "letters" && badge())));
}

// Lets an administrator see everybody's; `onPick(query)` is told what to add to an address.
export function everyone(onPick) {
  const box = h("input", { type: "checkbox", onchange: () => onPick(box.checked ? "&everyone=true" : "") });
  const element = h("label", { className: "check", hidden: true }, box, h("span", {}, strings.everyone));
  api.getOr("/api/session", null).then((session) => { element.hidden = !(session?.mode !== "local" && session?.scopes?.includes("admin")); }, () => {});
  return element;
}
