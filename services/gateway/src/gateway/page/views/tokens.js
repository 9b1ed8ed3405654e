// Keys for programs: made, shown once, and taken back.

import * as api from "../api.js";
import { button, h, problemBox } from "../dom.js";
import { moment } from "../format.js";
import { strings } from "../language.js";
import { ask, field } from "../ui.js";

export function tokensCard(session) {
  const list = h("ul", { className: "plain rows" });
  const made = h("div", { "aria-live": "polite" });
  const name = h("input", { maxLength: 80, required: true, autocomplete: "off" });
  const days = h("input", { type: "number", min: 1, max: 3650, inputMode: "numeric", placeholder: strings.tokenForever });
  const scopes = session.scopes.map((scope) => h("input", { type: "checkbox", value: scope, checked: scope === "read" }));
  const form = h("form", { onsubmit: make, className: "fields" },
    field(strings.name, name), field(strings.tokenDays, days),
    h("fieldset", {}, h("legend", {}, strings.tokenScopes), ...scopes.map((box) => h("label", { className: "check" }, box, h("span", {}, strings.scopes[box.value] ?? box.value)))),
    h("div", { className: "row" }, h("button", { type: "submit", className: "primary" }, strings.tokenMake)));
  load();
  return h("section", { className: "card" }, h("h2", {}, strings.tokens), h("p", { className: "hint" }, strings.tokensHint), list, made, h("details", {}, h("summary", {}, strings.tokenMake), form));

  async function load() {
    try {
      const { tokens } = await api.get("/api/tokens");
      list.replaceChildren(...tokens.map((token) => h("li", {},
        h("span", {}, h("strong", {}, token.name), h("span", { className: "hint" }, ` ${token.scopes.map((scope) => strings.scopes[scope] ?? scope).join(", ")} · ${token.expiresAt ? strings.until(moment(token.expiresAt)) : strings.tokenForever}`)),
        button(strings.tokenRevoke, () => revoke(token), { className: "small", "aria-label": `${strings.tokenRevoke}: ${token.name}` }))));
    } catch (problem) {
      list.replaceChildren(problemBox(problem));
    }
  }

  async function make(event) {
    event.preventDefault();
    try {
      const chosen = scopes.filter((box) => box.checked).map((box) => box.value);
      const token = await api.post("/api/tokens", { name: name.value.trim(), scopes: chosen, ...(days.value && { expiresInDays: Number(days.value) }) });
      const secret = h("input", { readOnly: true, value: token.token, "aria-label": strings.token, onfocus: (focus) => focus.target.select() });
      made.replaceChildren(h("div", { className: "notice" }, h("p", {}, strings.shownOnce), secret));
      name.value = "";
      load();
    } catch (problem) {
      made.replaceChildren(problemBox(problem));
    }
  }

  function revoke(token) {
    ask({ title: strings.tokenRevokeTitle(token.name), body: strings.tokenRevokeSure, confirm: strings.tokenRevoke, danger: true,
      act: async () => { await api.remove(`/api/tokens/${token.tokenId}`); load(); } });
  }
}
