// Makes elements. Text is always set as text, so nothing that a user wrote becomes markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") place(element, value);
    else if (name in element && !["list", "form", "role"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

// Style as the policy of the page allows it: through the object model, never as an attribute.
export function place(element, values) {
  for (const [name, value] of Object.entries(values)) element.style.setProperty(name, value);
}

// Sets text only where it differs, so that selections and screen readers are left in peace.
export function setText(element, text) {
  const wanted = text ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
}

// Replaces children only if what they are made from differs.
export function fill(element, signature, make) {
  if (element.dataset.shown === signature) return;
  element.dataset.shown = signature;
  element.replaceChildren(...[make()].flat().filter((child) => child != null && child !== false));
}

export function problemBox(problem, ...actions) {
  return h(
    "div",
    { className: "problem", role: "alert" },
    h("strong", { className: "said" }, problem.detail ?? problem.cause),
    problem.remedy && h("p", {}, problem.remedy),
    actions.length > 0 && h("div", { className: "row" }, ...actions),
  );
}

export function button(text, onclick, more = {}) {
  return h("button", { type: "button", onclick, ...more }, text);
}
