// Whose face and voice it is, and what they may be used for: nobody is shown or heard without it.

import { h, setText } from "../dom.js";
import { strings } from "../language.js";
import { consented, field } from "../ui.js";

const UNNAMED = { self: "myself", nobody: "nobody" };

// `kept` is what was said before, if anything: { basis, who, purpose }.
export function consentField(kept, onChange) {
  const said = { basis: null, who: "", purpose: "" };
  const who = h("input", { maxLength: 200, autocomplete: "off", oninput: () => take({ who: who.value }) });
  const purpose = h("input", { maxLength: 1000, autocomplete: "off", oninput: () => take({ purpose: purpose.value }) });
  const whose = field(strings.consent.who, who, strings.consent.whoHint);
  const choices = Object.entries(strings.consent.bases).map(([basis, words]) => h("label", { className: "check" },
    h("input", { type: "radio", name: "consent", value: basis, onchange: () => take({ basis }) }), h("span", {}, words)));
  const asked = h("fieldset", { className: "consent" }, h("legend", {}, strings.consent.title), ...choices, whose, field(strings.consent.purpose, purpose, strings.consent.purposeHint));
  const rests = h("p", { className: "hint" });

  function put(words) {
    Object.assign(said, words);
    for (const choice of asked.querySelectorAll("[name=consent]")) choice.checked = choice.value === said.basis;
    who.value = said.who;
    purpose.value = said.purpose;
    whose.hidden = said.basis !== "permission";
  }

  // The same words again are no other intention.
  function take(words) {
    if (Object.entries(words).every(([name, value]) => said[name] === value)) return;
    put(words);
    onChange();
  }

  put(kept);
  return {
    element: h("div", {}, asked, rests),
    // Begins with what an earlier job was asked with.
    put: (consent) => put({ basis: consent?.basis ?? null, who: UNNAMED[consent?.basis] ? "" : consent?.who ?? "", purpose: consent?.purpose ?? "" }),
    // What was agreed to when a person was trained need not be said again.
    rest(earlier) {
      asked.hidden = Boolean(earlier);
      rests.hidden = !earlier;
      setText(rests, earlier ? strings.consent.rests(consented(earlier)) : "");
    },
    words: () => ({ ...said }),
    // As the gateway wants it; undefined if it need not be said.
    statement: (covers) => (asked.hidden ? undefined : { basis: said.basis, who: UNNAMED[said.basis] ?? said.who.trim(), purpose: said.purpose.trim(), covers }),
    mistake() {
      if (asked.hidden) return null;
      if (!said.basis) return [strings.checks.needConsent, choices[0].firstChild];
      if (said.basis === "permission" && !said.who.trim()) return [strings.checks.needWho, who];
      return said.purpose.trim() ? null : [strings.checks.needPurpose, purpose];
    },
  };
}
