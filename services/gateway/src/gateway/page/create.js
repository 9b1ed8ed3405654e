// The form from which everything begins. What can be judged before the upload is judged here,
// beside the file it is about; the gateway judges all of it again.

import * as api from "./api.js";
import { h, problemBox, setText } from "./dom.js";
import { jobList } from "./jobs.js";
import { strings } from "./strings.js";

const CHARS_PER_SECOND = 14;
const DEFAULT_LIMITS = { photos: 40, photoBytes: 25e6, clipBytes: 50e6, scriptChars: 20_000 };

export function createView(query) {
  const chosen = { photos: [], clip: null, profile: query.get("profile") };
  let limits = DEFAULT_LIMITS;
  // One key for one intention: sending again after a broken connection makes the job once.
  let key = crypto.randomUUID();

  const people = h("div", { className: "chips", role: "radiogroup", "aria-label": strings.who });
  const whoField = h("section", { className: "card", hidden: true }, h("h2", {}, strings.who), people);
  const gallery = h("ul", { className: "gallery" });
  const photosError = errorLine();
  const photosField = dropField({
    title: strings.photos, hint: strings.photosHint, prompt: strings.photosDrop,
    accept: "image/*", multiple: true, onFiles: addPhotos, below: [photosError, gallery],
  });
  const clipBox = h("div", { className: "clip" });
  const clipError = errorLine();
  const voiceField = dropField({
    title: strings.voice, hint: strings.voiceHint, prompt: strings.voiceDrop,
    accept: "audio/*,.m4a,.flac,.ogg,.webm", multiple: false, onFiles: setClip, below: [clipError, clipBox],
  });
  const script = h("textarea", {
    id: "script", rows: 5, placeholder: strings.scriptPlaceholder, oninput: scriptChanged,
    "aria-describedby": "script-hint",
  });
  const scriptLength = h("p", { className: "hint", "aria-live": "polite" });
  const name = h("input", { id: "name", maxLength: 80, autocomplete: "off" });
  const nameField = h("div", { className: "field" },
    h("label", { htmlFor: "name" }, strings.name), name, h("p", { className: "hint" }, strings.nameHint));
  const prompt = h("input", { id: "prompt", maxLength: 2000, autocomplete: "off" });
  const qualities = Object.entries(strings.qualities).map(([value, label]) =>
    h("label", {}, h("input", { type: "radio", name: "quality", value, checked: value === "standard" }), h("span", {}, label)));
  const consent = h("input", { type: "checkbox", id: "consent" });
  const submit = h("button", { className: "primary", type: "submit" });
  const sent = h("progress", { max: 1, value: 0, hidden: true, "aria-label": strings.starting });
  const problem = h("div", { "aria-live": "assertive" });

  const form = h("form", { noValidate: true, onsubmit: start },
    whoField,
    h("div", { className: "pair" }, photosField, voiceField),
    h("section", { className: "card" },
      h("h2", {}, h("label", { htmlFor: "script" }, strings.script)),
      h("p", { className: "hint", id: "script-hint" }, strings.scriptHint), script, scriptLength,
      nameField,
      h("details", {},
        h("summary", {}, strings.more),
        h("fieldset", { className: "segments" }, h("legend", {}, strings.quality), ...qualities),
        h("div", { className: "field" },
          h("label", { htmlFor: "prompt" }, strings.prompt), prompt, h("p", { className: "hint" }, strings.promptHint)))),
    h("div", { className: "submit" },
      h("label", { className: "check" }, consent, h("span", {}, strings.consent)),
      problem, h("div", { className: "row" }, submit, sent)));

  const element = h("div", { className: "view" },
    h("div", { className: "hero" }, h("h1", {}, strings.hero), h("p", {}, strings.heroLead)),
    form,
    h("section", {}, h("h2", {}, strings.recent), jobList(5, false)));

  api.get("/api/capabilities").then((found) => (limits = found.limits)).catch(() => {});
  api.get("/api/profiles").then(showPeople).catch(() => {});
  scriptChanged();

  function showPeople({ profiles }) {
    const ready = profiles.filter((profile) => profile.ready);
    if (ready.length === 0) return;
    const options = [[null, strings.newPerson, ""], ...ready.map((profile) =>
      [profile.profileId, profile.name ?? strings.unnamed, profile.hasVoice ? strings.withVoice : strings.faceOnly])];
    people.replaceChildren(...options.map(([id, label, hint]) =>
      h("label", { className: "chip" },
        h("input", { type: "radio", name: "who", checked: chosen.profile === id, onchange: () => pick(id) }),
        h("span", {}, label, hint && h("small", {}, hint)))));
    whoField.hidden = false;
    pick(ready.some((profile) => profile.profileId === chosen.profile) ? chosen.profile : null);
  }

  function pick(profile) {
    chosen.profile = profile;
    for (const field of [photosField, voiceField, nameField]) field.hidden = profile !== null;
    scriptChanged();
  }

  function addPhotos(files) {
    const wrong = [];
    for (const file of files) {
      if (!file.type.startsWith("image/")) wrong.push(strings.checks.notPicture(file.name));
      else if (file.size > limits.photoBytes) wrong.push(strings.checks.tooLarge(file.name, limits.photoBytes / 1e6));
      else if (chosen.photos.length >= limits.photos) wrong.push(strings.checks.tooMany(limits.photos));
      else chosen.photos.push(file);
    }
    setText(photosError, [...new Set(wrong)].join(" "));
    showPhotos();
  }

  function showPhotos() {
    for (const image of gallery.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    gallery.replaceChildren(...chosen.photos.map((file, index) =>
      h("li", {},
        h("img", { src: URL.createObjectURL(file), alt: file.name }),
        removeButton(file.name, () => { chosen.photos.splice(index, 1); showPhotos(); }))));
    changed();
  }

  function setClip([file]) {
    const known = file.type.startsWith("audio/") || /\.(wav|mp3|flac|ogg|oga|opus|m4a|webm)$/i.test(file.name);
    const wrong = !known ? strings.checks.notSound(file.name)
      : file.size > limits.clipBytes ? strings.checks.tooLarge(file.name, limits.clipBytes / 1e6) : "";
    setText(clipError, wrong);
    if (wrong) return;
    chosen.clip = file;
    clipBox.replaceChildren(
      h("span", { className: "file-name" }, file.name),
      removeButton(file.name, () => { chosen.clip = null; clipBox.replaceChildren(); changed(); }),
      h("audio", { controls: true, src: URL.createObjectURL(file), "aria-label": file.name }));
    changed();
  }

  function scriptChanged() {
    const length = script.value.trim().length;
    setText(scriptLength, strings.scriptLength(length, limits.scriptChars, length / CHARS_PER_SECOND));
    setText(submit, length || chosen.profile ? strings.makeVideo : strings.trainOnly);
    changed();
  }

  function changed() {
    key = crypto.randomUUID();
  }

  function mistake() {
    const words = script.value.trim();
    if (!chosen.profile && chosen.photos.length === 0) return strings.checks.needPhotos;
    if (chosen.profile && !words) return strings.checks.needScript;
    if (words.length > limits.scriptChars) return strings.checks.scriptTooLong(limits.scriptChars);
    if (!consent.checked) return strings.checks.needConsent;
    return null;
  }

  function filled() {
    const body = new FormData();
    const add = (field, value) => value && body.append(field, value);
    add("script", script.value.trim());
    add("prompt", prompt.value.trim());
    body.append("quality", form.elements.quality.value);
    if (chosen.profile) {
      body.append("profileId", chosen.profile);
    } else {
      add("name", name.value.trim());
      chosen.photos.forEach((file) => body.append("image", file));
      add("voice", chosen.clip);
    }
    return body;
  }

  async function start(event) {
    event.preventDefault();
    const wrong = mistake();
    problem.replaceChildren(wrong ? problemBox({ detail: wrong }) : "");
    if (wrong) return;
    submit.disabled = true;
    sent.hidden = false;
    const path = script.value.trim() ? "/api/generate" : "/api/train";
    try {
      const job = await api.send(path, filled(), key, (fraction) => {
        sent.value = fraction;
        setText(submit, fraction < 1 ? strings.uploading(Math.round(fraction * 100)) : strings.starting);
      });
      location.hash = `#/job/${job.jobId}`;
    } catch (refused) {
      problem.replaceChildren(problemBox(refused));
    } finally {
      submit.disabled = false;
      sent.hidden = true;
      setText(submit, script.value.trim() ? strings.makeVideo : strings.trainOnly);
    }
  }

  return { title: strings.makeVideo, element };
}

function errorLine() {
  return h("p", { className: "error", role: "alert" });
}

function removeButton(name, onclick) {
  return h("button", { type: "button", className: "remove", title: strings.remove(name), "aria-label": strings.remove(name), onclick }, "×");
}

function dropField({ title, hint, prompt, accept, multiple, onFiles, below }) {
  const input = h("input", {
    type: "file", accept, multiple, className: "file",
    onchange: () => { if (input.files.length) onFiles([...input.files]); input.value = ""; },
  });
  const zone = h("label", { className: "drop" }, input, h("span", {}, prompt));
  const over = (on) => (event) => { event.preventDefault(); zone.classList.toggle("over", on); };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) onFiles([...event.dataTransfer.files]);
  });
  return h("section", { className: "card" },
    h("h2", {}, title), h("p", { className: "hint" }, hint), zone, ...below);
}
