// What engines let one choose, stage by stage.

import { h } from "../dom.js";
import { strings } from "../language.js";
import { kindForm } from "../params.js";

const ORDER = Object.keys(strings.stages);

export function advancedField(draft, onChange) {
  const box = h("div", { className: "kinds" });
  const element = h("div", { hidden: true }, h("h3", {}, strings.advanced), h("p", { className: "hint" }, strings.advancedHint), box);
  const forms = new Map();
  let kinds = {};

  function offer(offered, quality) {
    kinds = offered;
    show(quality);
  }

  // Another quality has other defaults; what was chosen stays.
  function show(quality) {
    const chosen = forms.size > 0 ? value() : { params: draft.params, engines: draft.engines };
    forms.clear();
    const known = Object.keys(kinds).sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));
    for (const kind of known) {
      const form = kindForm(kind, kinds[kind], { engine: chosen.engines?.[kind], params: chosen.params?.[kind] }, quality, onChange);
      if (form) forms.set(kind, form);
    }
    box.replaceChildren(...[...forms.values()].map((form) => form.element));
    element.hidden = forms.size === 0;
  }

  function value() {
    // Until engines were offered, the kept choice is the only one known.
    if (forms.size === 0) return { params: draft.params, engines: draft.engines };
    const params = {};
    const engines = {};
    for (const [kind, form] of forms) {
      const chosen = form.value();
      if (Object.keys(chosen.params).length > 0) params[kind] = chosen.params;
      if (chosen.engine) engines[kind] = chosen.engine;
    }
    return { params, engines };
  }
  return { element, offer, show, value, valid: () => [...forms.values()].map((form) => form.valid()).every(Boolean) };
}
