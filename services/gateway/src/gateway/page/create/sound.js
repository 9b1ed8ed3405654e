// A sound file: the clip of a voice, which may be recorded here and taken again, or music.

import * as api from "../api.js";
import { button, h, setText } from "../dom.js";
import { clock, size } from "../format.js";
import { strings } from "../language.js";
import { iconButton, loaded, withIcon } from "../ui.js";
import { hash, listenToClip, listenToMusic } from "./checks.js";
import { dropZone } from "./drop.js";
import { pending } from "./pending.js";

// `limits` is a promise: what the gateway takes is asked for while the form is shown.
export const voiceField = (limits, onChange) => soundField(limits, onChange, {
  says: [h("h2", {}, strings.voice), h("p", { className: "hint" }, strings.voiceHint)], prompt: strings.voiceDrop, sign: "microphone", listen: listenToClip, records: true, className: "card",
});

export const musicField = (limits, onChange) => soundField(limits, onChange, {
  says: [h("h3", {}, strings.music), h("p", { className: "hint" }, strings.musicHint)], prompt: strings.musicDrop, sign: "music", listen: listenToMusic, records: false, className: "stack",
});

function soundField(limits, onChange, { says, prompt, sign, listen, records, className }) {
  let item = null;
  let turn = 0;
  const listening = pending();
  const box = h("div", {});
  const chosen = h("div", { className: "clip" });
  const wrong = h("p", { className: "error", role: "alert" });
  const warn = h("p", { className: "warn", role: "status" });
  const zone = dropZone({ prompt, sign, accept: "audio/*,.m4a,.flac,.ogg,.webm", multiple: false, onFiles: ([file]) => set({ file }) });
  const record = withIcon("microphone", strings.record, start, { className: "quiet" });
  const element = h("section", { className }, ...says,
    zone, records && navigator.mediaDevices && globalThis.MediaRecorder && record, box, wrong, warn, chosen);

  function start() {
    setText(wrong, "");
    loaded(box, async () => { (await api.module(import("./recorder.js"))).recorder(box, (file) => set({ file, recorded: true })); });
  }

  const set = (given) => listening.add(take(given).then((taken) => taken && onChange()));

  // Whether it serves, and nothing was chosen after it.
  async function take(given) {
    turn += 1;
    const mine = turn;
    setText(wrong, "");
    setText(warn, "");
    const [sha256, heard] = await Promise.all([given.sha256 ?? hash(given.file), listen(given.file, await limits)]);
    if (mine !== turn) return false;
    if (heard.wrong) {
      setText(wrong, `${given.file.name}: ${heard.wrong}`);
      return false;
    }
    item = { ...given, ...heard, sha256 };
    setText(warn, heard.hints.join(" "));
    show();
    return true;
  }

  function show() {
    for (const player of chosen.querySelectorAll("audio")) URL.revokeObjectURL(player.src);
    if (item === null) {
      chosen.replaceChildren();
      return;
    }
    const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": strings.uploadOf(item.file.name) });
    item.show = (fraction) => { bar.hidden = fraction >= 1; bar.value = fraction; };
    const facts = [item.seconds != null && clock(item.seconds), size(item.file.size)].filter(Boolean).join(" · ");
    chosen.replaceChildren(
      h("span", { className: "file-name" }, item.file.name, h("span", { className: "hint" }, ` ${facts}`)),
      iconButton("close", strings.removeFile(item.file.name), clear),
      h("audio", { controls: true, src: URL.createObjectURL(item.file), "aria-label": item.file.name }),
      ...(item.recorded ? [button(strings.retake, () => { clear(); start(); }, { className: "small" })] : []), bar);
  }

  function clear() {
    turn += 1;
    item = null;
    setText(warn, "");
    show();
    onChange();
  }

  return {
    element,
    add: ([file]) => set({ file }),
    // What was chosen meanwhile stands.
    restore: (kept) => kept && turn === 0 && listening.add(take(kept)),
    item: () => item,
    settled: listening.settled,
  };
}
