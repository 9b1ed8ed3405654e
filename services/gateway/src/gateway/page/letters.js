// How many dead letters are open: shown at every way that leads to them.

import * as api from "./api.js";
import { h, setText } from "./dom.js";
import { strings } from "./language.js";

const MOST = 99;
const AGAIN_MS = 60_000;
const badges = new Set();
let again = 0;

export function badge() {
  const number = h("span", { "aria-hidden": "true" });
  const said = h("span", { className: "unseen" });
  const made = h("span", { className: "badge", hidden: true }, number, said);
  badges.add(made);
  return made;
}

// Counts anew, now and once in a while for as long as somebody looks.
export async function count() {
  clearTimeout(again);
  again = setTimeout(() => document.hidden || count(), AGAIN_MS);
  const { letters } = await api.getOr(`/api/dead-letters?status=open&limit=${MOST + 1}`, { letters: [] }).catch(() => ({ letters: null }));
  if (letters === null) return;
  for (const one of badges) {
    one.hidden = letters.length === 0;
    setText(one.firstChild, letters.length > MOST ? `${MOST}+` : String(letters.length));
    setText(one.lastChild, ` ${strings.openLetters(letters.length)}`);
  }
}

addEventListener("visibilitychange", () => document.hidden || count());
