// For installations that want to know who one is.

import * as api from "../api.js";
import { h, problemBox } from "../dom.js";
import { strings } from "../language.js";
import { field } from "../ui.js";

export function signInView(done) {
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, spellcheck: false });
  const trouble = h("div", { "aria-live": "assertive" });
  const go = h("button", { type: "submit", className: "primary" }, strings.signIn);
  const element = h("div", { className: "view narrow" }, h("form", { className: "card sign-in", onsubmit: submit },
    h("h1", {}, strings.signInTitle), h("p", { className: "hint" }, strings.signInHint), field(strings.token, token, strings.tokenHint), trouble, go));

  async function submit(event) {
    event.preventDefault();
    go.disabled = true;
    try {
      await api.post("/api/session", { token: token.value.trim() });
      done();
    } catch (problem) {
      trouble.replaceChildren(problemBox(problem.httpStatus === 401 ? { detail: strings.signInWrong, remedy: strings.signInWrongRemedy } : problem));
      go.disabled = false;
      token.focus();
    }
  }
  return { title: strings.signIn, element };
}
