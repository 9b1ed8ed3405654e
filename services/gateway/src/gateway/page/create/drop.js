// A place to drop, paste or choose files.

import { h } from "../dom.js";
import { icon } from "../icons.js";

export function dropZone({ prompt, sign, accept, multiple, onFiles }) {
  const input = h("input", {
    type: "file", accept, multiple, className: "file",
    onchange: () => { if (input.files.length) onFiles([...input.files]); input.value = ""; },
  });
  const zone = h("label", { className: "drop" }, icon(sign), input, h("span", {}, prompt));
  const over = (on) => (event) => { event.preventDefault(); zone.classList.toggle("over", on); };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) onFiles([...event.dataTransfer.files]);
  });
  return zone;
}

// Files of a paste anywhere on the page, unless the paste is text for a field.
export function onPaste(take) {
  const paste = (event) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  };
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}
