// How the page looks and speaks, who one is, and the keys that programs use.

import * as api from "../api.js";
import { button, h, problemBox } from "../dom.js";
import { LANGUAGES, language, speak, strings } from "../language.js";
import { chooseTheme, chosenTheme, THEMES } from "../theme.js";
import { segments } from "../ui.js";
import { tokensCard } from "./tokens.js";
import { webhooksCard } from "./webhooks.js";

export function settingsView() {
  const access = h("div", { className: "stack" });
  const hooks = webhooksCard();
  const element = h("div", { className: "view" }, h("h1", {}, strings.nav.settings),
    h("section", { className: "card" }, h("h2", {}, strings.appearance),
      segments(strings.language, "language", Object.entries(LANGUAGES), language, speak),
      segments(strings.colours, "theme", THEMES.map((name) => [name, strings.themes[name]]), chosenTheme(), chooseTheme)),
    access, hooks,
    h("p", { className: "hint" }, h("a", { href: "/docs" }, strings.apiGuide)));

  api.getOr("/api/session", null).then((session) => {
    if (session === null || session.mode === "local") return;
    access.append(h("section", { className: "card" }, h("h2", {}, strings.account),
      h("p", {}, strings.signedInAs(session.owner, session.scopes.map((scope) => strings.scopes[scope] ?? scope).join(", "))),
      h("div", { className: "row" }, button(strings.signOut, async () => { await api.remove("/api/session"); dispatchEvent(new Event("signedout")); }))),
    tokensCard(session));
  }).catch((problem) => access.append(problemBox(problem)));
  return { title: strings.nav.settings, element };
}
