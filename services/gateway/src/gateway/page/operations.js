// What those who run the system look at: sections beside each other, how many dead letters are open
// at every way that leads to them, and whose things are shown.

import * as api from "./api.js";
import { h } from "./dom.js";
import { strings } from "./language.js";
import { loaded, withIcon } from "./ui.js";

const MOST = 99;
const AGAIN_MS = 60_000;
let known = 0;
let again = 0;

export function badge(made = h("span", { className: "badge" })) {
  made.hidden = known === 0;
  made.replaceChildren(known > MOST ? `${MOST}+` : known, h("span", { className: "unseen" }, ` ${strings.openLetters}`));
  return made;
}

// Counts anew, now and once in a while for as long as somebody looks.
export async function count() {
  clearTimeout(again);
  again = setTimeout(() => document.hidden || count(), AGAIN_MS);
  try {
    known = (await api.get(`/api/dead-letters?status=open&limit=${MOST + 1}`)).letters.length;
    document.querySelectorAll(".badge").forEach((one) => badge(one));
  } catch {
    // Who may not know, or cannot be told now, is told nothing new.
  }
}

addEventListener("visibilitychange", () => document.hidden || count());

const PATHS = { runners: "#/runners", letters: "#/dead-letters", usage: "#/usage", audit: "#/audit" };

export function operationsView(name, lead, ...children) {
  const title = strings.sections[name];
  return { title, element: h("div", { className: "view" }, h("h1", {}, title),
    h("nav", { className: "sections", "aria-label": strings.operations }, ...Object.entries(PATHS).map(([one, href]) =>
      h("a", { href, "aria-current": one === name && "page" }, strings.sections[one], one === "letters" && badge()))),
    h("p", { className: "lead" }, lead), ...children) };
}

// Saves what is shown as a table; the second element is where trouble is told.
export function saving(address, name) {
  const trouble = h("div", { "aria-live": "polite" });
  return [withIcon("download", strings.csv, () => loaded(trouble, async () => { await api.save(address(), name); return []; })), trouble];
}

// Lets an administrator see everybody's; `onPick(query)` is told what to add to an address.
export function everyone(onPick) {
  const box = h("input", { type: "checkbox", onchange: () => onPick(box.checked ? "&everyone=true" : "") });
  const element = h("label", { className: "check", hidden: true }, box, h("span", {}, strings.everyone));
  api.getOr("/api/session", null).then((session) => { element.hidden = !(session?.mode !== "local" && session?.scopes?.includes("admin")); }, () => {});
  return element;
}
