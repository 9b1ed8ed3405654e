// Pieces that several views are made of.

import { button, h, problemBox, setText } from "./dom.js";
import { measured, moment } from "./format.js";
import { icon } from "./icons.js";
import { strings } from "./language.js";

export function pill(status) {
  return h("span", { className: `pill ${status}` }, strings.jobStatus[status] ?? status);
}

export function iconButton(name, label, onclick, more = {}) {
  const made = button("", onclick, { className: "icon-button quiet", title: label, "aria-label": label, ...more });
  made.replaceChildren(icon(name));
  return made;
}

export function withIcon(name, text, onclick, more = {}) {
  const made = button("", onclick, more);
  made.replaceChildren(icon(name), h("span", {}, text));
  return made;
}

// Nothing there yet: says so, and what to do about it.
export function empty(name, title, text, ...actions) {
  return h("div", { className: "empty" }, icon(name), h("h2", {}, title), h("p", { className: "hint" }, text), ...actions);
}

// Grey shapes while something is on its way.
export function skeleton(rows = 3) {
  return h("div", { className: "skeleton", role: "status", "aria-label": strings.loading },
    ...Array.from({ length: rows }, () => h("div", {})));
}

// Shows what `load` brings, or why it could not, with a way to try again.
export async function loaded(box, load) {
  try {
    box.replaceChildren(...[await load()].flat().filter(Boolean));
  } catch (problem) {
    box.replaceChildren(problemBox(problem, ...(problem.passing ? [button(strings.tryNow, () => loaded(box, load), { className: "retry" })] : [])));
  }
}

// Figures at a glance: [[name, value]].
export function figures(told) {
  return h("dl", { className: "numbers" }, ...told.map(([name, value]) => h("div", { className: "card" }, h("dt", {}, name), h("dd", {}, value))));
}

// A table that can be moved sideways where it is too wide, by keyboard as well.
export function table(label, headings, ...rows) {
  return h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": label }, h("table", {},
    headings.length > 0 && h("thead", {}, h("tr", {}, ...headings.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows)));
}

// A choice of one among few; `choices` is [[value, label, hint]].
export function segments(legend, name, choices, chosen, onPick) {
  return h("fieldset", { className: "segments" }, h("legend", {}, legend),
    ...choices.map(([value, label, hint]) =>
      h("label", {}, h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => onPick(value) }),
        h("span", {}, label, hint && h("small", {}, hint)))));
}

export function field(label, control, hint) {
  if (!control.id) control.id = `f${++fields}`;
  const help = hint && h("p", { className: "hint", id: `${control.id}-hint` }, hint);
  if (help) control.setAttribute("aria-describedby", help.id);
  return h("div", { className: "field" }, h("label", { htmlFor: control.id }, label), control, help);
}
let fields = 0;

// A question over the page. `act` may fail with a problem, which is shown and leaves it open.
export function ask({ title, body, confirm, danger = false, act }) {
  const trouble = h("div", { "aria-live": "assertive" });
  const go = h("button", { type: "submit", className: danger ? "danger" : "primary" }, confirm);
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      go.disabled = true;
      try {
        await act();
        dialog.close();
      } catch (problem) {
        trouble.replaceChildren(problemBox(problem));
        go.disabled = false;
      }
    },
  }, h("h2", { id: "dialog-title" }, title), h("div", { className: "dialog-body" }, body), trouble,
  h("div", { className: "row end" }, button(strings.never, () => dialog.close(), {}), go));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove(), onclick: (event) => event.target === dialog && dialog.close() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// Said to those who listen, at most once in a while, so that progress is not chatter.
let spokenAt = 0;
export function announce(text, { rarely = false } = {}) {
  if (rarely && Date.now() - spokenAt < 15_000) return;
  spokenAt = Date.now();
  setText(document.querySelector("#announcer"), text);
}

// What a line of a stage says, with its step and what it measured.
export function said({ step, message, values }) {
  const measures = Object.entries(values ?? {}).map(([name, value]) => `${name} ${measured(value)}`);
  return [step != null && !message.includes(String(step)) && strings.step(step), message, ...measures].filter(Boolean).join("  ");
}

// Who agreed to what, and when, in a line.
export function consented({ who, basis, purpose, covers, givenAt }) {
  const { bases, covered, erased } = strings.consent;
  const whose = basis === "permission" ? who : basis && bases[basis];
  return [whose ?? erased, [covers.map((one) => covered[one]).join(" + "), purpose].filter(Boolean).join(": "), moment(givenAt)].join(" · ");
}

export function jobName(job) {
  return job.name ?? strings.jobTypes[job.type] ?? job.type;
}
