// How good, and how long that takes on these machines.

import * as api from "../api.js";
import { h, setText } from "../dom.js";
import { strings } from "../language.js";

const ASK_AFTER_MS = 400;

export function qualityField(chosen, onPick) {
  const times = new Map();
  const choices = Object.entries(strings.qualities).map(([value, label]) => {
    const time = h("span", { className: "quality-time" });
    times.set(value, time);
    return h("label", { className: "quality" },
      h("input", { type: "radio", name: "quality", value, checked: value === chosen, onchange: () => onPick(value) }),
      h("span", {}, h("strong", {}, label), h("small", {}, strings.qualityHints[value]), time));
  });
  const element = h("fieldset", { className: "qualities" }, h("legend", {}, strings.quality), ...choices);
  let waiting = 0;
  let asked = "";

  // Estimates follow what the form holds, a moment after it came to rest.
  function estimate(type, inputs, scriptChars) {
    const query = `type=${type}&inputs=${inputs.join(",")}&scriptChars=${scriptChars}`;
    if (query === asked) return;
    asked = query;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const found = await api.getOr(`/api/estimates?${query}`, { estimates: [] }).catch(() => ({ estimates: [] }));
      if (query !== asked) return;
      for (const one of found.estimates) setText(times.get(one.quality), one.seconds == null ? "" : strings.takes(one.seconds, one.basis));
    }, ASK_AFTER_MS);
  }
  return { element, estimate, leave: () => clearTimeout(waiting) };
}
