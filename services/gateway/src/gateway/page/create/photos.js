// The photos of a person: chosen, looked at, and shown with what is to be said about each.

import * as api from "../api.js";
import { h, place, setText } from "../dom.js";
import { size } from "../format.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";
import { loaded, withIcon } from "../ui.js";
import { hash, lookAtPhoto } from "./checks.js";
import { dropZone } from "./drop.js";
import { pending } from "./pending.js";

// `limits` is a promise: what the gateway takes is asked for while the form is shown.
export function photosField(limits, onChange) {
  const items = [];
  const looking = pending();
  const list = h("ul", { className: "photos" });
  const wrong = h("p", { className: "error", role: "alert" });
  const box = h("div", {});
  const shoot = withIcon("photo", strings.takePhoto, () => loaded(box, async () => { (await api.module(import("./camera.js"))).camera(box, (file) => add([file])); }), { className: "quiet" });
  const element = h("section", { className: "card" }, h("h2", {}, strings.photos), h("p", { className: "hint" }, strings.photosHint),
    dropZone({ prompt: strings.photosDrop, sign: "photo", accept: "image/*", multiple: true, onFiles: add }),
    navigator.mediaDevices && shoot, box, wrong, list);

  function add(files) {
    return looking.add(choose(files));
  }

  async function choose(files) {
    setText(wrong, "");
    const most = (await limits).photos;
    for (const file of files) {
      if (items.length >= most) {
        setText(wrong, strings.checks.tooMany(most));
        break;
      }
      await put({ file });
    }
    onChange();
  }

  async function put(item) {
    const entry = { ...item, wrong: null, hints: [] };
    items.push(entry);
    const row = photoRow(entry, () => {
      items.splice(items.indexOf(entry), 1);
      row.element.remove();
      onChange();
    });
    entry.show = row.progress;
    list.append(row.element);
    const [sha256, seen] = await Promise.all([entry.sha256 ?? hash(entry.file), lookAtPhoto(entry.file, await limits)]);
    const twin = sha256 !== null && items.some((other) => other !== entry && other.sha256 === sha256);
    Object.assign(entry, seen, { sha256 }, twin && { wrong: strings.checks.duplicate });
    row.judged(entry);
  }

  async function putAll(kept) {
    for (const item of kept) await put(item);
  }

  return {
    element, add,
    restore: (kept) => looking.add(putAll(kept)),
    items: () => items.filter((item) => item.wrong === null),
    settled: looking.settled,
  };
}

function photoRow(item, onRemove) {
  const address = URL.createObjectURL(item.file);
  const image = h("img", { src: address, alt: "" });
  image.onerror = () => image.replaceWith(icon("photo"));
  const words = h("span", { className: "photo-words" });
  const bar = h("span", { className: "photo-bar", hidden: true });
  const remove = h("button", { type: "button", className: "remove", title: strings.removeFile(item.file.name), "aria-label": strings.removeFile(item.file.name), onclick: () => { URL.revokeObjectURL(address); onRemove(); } }, icon("close"));
  const element = h("li", { title: `${item.file.name} · ${size(item.file.size)}` }, h("span", { className: "photo-frame" }, image, bar), remove, words);
  return {
    element,
    judged: ({ wrong, hints }) => {
      element.classList.toggle("wrong", wrong !== null);
      words.className = `photo-words ${wrong ? "error" : "warn"}`;
      setText(words, wrong ?? hints[0] ?? "");
      if (wrong) words.setAttribute("role", "alert");
    },
    progress: (fraction) => {
      bar.hidden = fraction >= 1;
      place(bar, { width: `${fraction * 100}%` });
    },
  };
}
