// Makes elements. Text is always set as text, so nothing that a user wrote becomes markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

// Sets text only where it differs, so that selections and screen readers are left in peace.
export function setText(element, text) {
  const wanted = text ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function problemBox(problem, ...actions) {
  return h(
    "div",
    { className: "problem", role: "alert" },
    h("strong", {}, problem.detail ?? problem.cause),
    problem.remedy && h("p", {}, problem.remedy),
    actions.length > 0 && h("div", { className: "row" }, ...actions),
  );
}
