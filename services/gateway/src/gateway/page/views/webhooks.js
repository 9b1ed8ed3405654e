// Addresses that are told when something happens.

import * as api from "../api.js";
import { button, h, problemBox } from "../dom.js";
import { strings } from "../language.js";
import { ask, field } from "../ui.js";

const EVENTS = ["job.completed", "job.failed", "job.cancelled", "job.requested", "job.deleted", "stage.completed", "stage.failed"];

export function webhooksCard() {
  const list = h("ul", { className: "plain rows" });
  const made = h("div", { "aria-live": "polite" });
  const url = h("input", { type: "url", required: true, placeholder: "https://", autocomplete: "off" });
  const boxes = EVENTS.map((event, index) => h("input", { type: "checkbox", value: event, checked: index < 2 }));
  const form = h("form", { onsubmit: make, className: "fields" }, field(strings.hookUrl, url),
    h("fieldset", {}, h("legend", {}, strings.hookEvents), ...boxes.map((box) => h("label", { className: "check" }, box, h("span", {}, strings.hookEventNames[box.value])))),
    h("div", { className: "row" }, h("button", { type: "submit", className: "primary" }, strings.hookMake)));
  const element = h("section", { className: "card", hidden: true }, h("h2", {}, strings.hooks), h("p", { className: "hint" }, strings.hooksHint), list, made,
    h("details", {}, h("summary", {}, strings.hookMake), form));
  load();
  return element;

  async function load() {
    const found = await api.getOr("/api/webhooks", null).catch(() => null);
    element.hidden = found === null;
    if (found === null) return;
    list.replaceChildren(...found.webhooks.map(row));
  }

  function row(hook) {
    const told = h("span", { className: "hint", "aria-live": "polite" });
    return h("li", {}, h("span", {}, h("strong", {}, hook.url), h("span", { className: "hint" }, ` ${hook.events.map((event) => strings.hookEventNames[event] ?? event).join(", ")}`), told),
      button(strings.hookTest, () => api.post(`/api/webhooks/${hook.webhookId}/test`).then(() => { told.textContent = ` ${strings.hookTested}`; }, (problem) => { told.textContent = ` ${problem.detail}`; }), { className: "small" }),
      button(strings.remove, () => ask({ title: strings.removeTitle(hook.url), body: strings.hookRemoveSure, confirm: strings.removeYes, danger: true,
        act: async () => { await api.remove(`/api/webhooks/${hook.webhookId}`); load(); } }), { className: "small" }));
  }

  async function make(event) {
    event.preventDefault();
    try {
      const hook = await api.post("/api/webhooks", { url: url.value, events: boxes.filter((box) => box.checked).map((box) => box.value) });
      made.replaceChildren(h("div", { className: "notice" }, h("p", {}, strings.hookSecret), h("input", { readOnly: true, value: hook.secret, "aria-label": strings.hookSecret })));
      url.value = "";
      load();
    } catch (problem) {
      made.replaceChildren(problemBox(problem));
    }
  }
}
