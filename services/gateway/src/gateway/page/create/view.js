// The form from which everything begins. What can be judged before the upload is judged here,
// beside what it is about; the gateway judges all of it again.

import * as api from "../api.js";
import { button, h, problemBox, setText } from "../dom.js";
import { icon } from "../icons.js";
import { strings } from "../language.js";
import { announce, field } from "../ui.js";
import { jobList } from "../views/jobs.js";
import { advancedField } from "./advanced.js";
import { isSoundFile } from "./checks.js";
import { consentField } from "./consent.js";
import { copied } from "./copied.js";
import { onPaste } from "./drop.js";
import { peopleField } from "./people.js";
import { photosField } from "./photos.js";
import { qualityField } from "./quality.js";
import { request } from "./request.js";
import * as shelf from "./shelf.js";
import { musicField, voiceField } from "./sound.js";

const CHARS_PER_SECOND = 14;
const USUAL_CHARS = 100;
const DEFAULT_LIMITS = { photos: 40, photoBytes: 25e6, photoPixels: 64e6, clipBytes: 50e6, musicBytes: 50e6, scriptChars: 20_000 };

export function createView(query) {
  const draft = { quality: "standard", params: {}, engines: {}, key: api.newKey(), ...shelf.words() };
  let profile = query.get("profile") ?? draft.profile ?? null;
  let known = {};
  let sending = null;
  // "opening" until what was kept is here, "open", and "sent" when the form has become a job.
  let phase = "opening";
  let touched = false;
  const capabilities = api.get("/api/capabilities").catch(() => null);
  let { scriptChars } = DEFAULT_LIMITS;
  const limits = capabilities.then((found) => ({ ...DEFAULT_LIMITS, ...found?.limits }));

  const people = peopleField((picked) => { speak(picked); changed(); });
  const photos = photosField(limits, changed);
  const voice = voiceField(limits, changed);
  const music = musicField(limits, changed);
  const pair = h("div", { className: "pair" }, photos.element, voice.element);
  const script = h("textarea", { id: "script", rows: 5, placeholder: strings.scriptPlaceholder, value: draft.script ?? "", oninput: changed, "aria-describedby": "script-hint script-length" });
  const hint = h("p", { className: "hint", id: "script-hint" });
  const length = h("p", { className: "hint", id: "script-length" });
  const topic = h("input", { id: "topic", maxLength: 2000, autocomplete: "off", value: draft.topic ?? "", oninput: changed });
  const name = h("input", { id: "name", maxLength: 80, autocomplete: "off", value: draft.name ?? "", oninput: changed });
  const topicField = field(strings.topic, topic, strings.topicHint);
  const nameField = field(strings.name, name, strings.nameHint);
  const prompt = h("input", { maxLength: 2000, autocomplete: "off", value: draft.prompt ?? "", oninput: changed });
  const seed = h("input", { type: "number", min: 0, step: 1, inputMode: "numeric", value: draft.seed ?? "", placeholder: "0", oninput: changed });
  const quality = qualityField(draft.quality, (value) => { draft.quality = value; advanced.show(value); changed(); });
  const advanced = advancedField(draft, changed);
  const consent = consentField(draft.consent, changed);
  const submit = h("button", { className: "primary", type: "submit" });
  const stop = button(strings.never, () => sending?.abort(), { hidden: true });
  const sent = h("progress", { max: 1, value: 0, hidden: true, "aria-label": strings.starting });
  const problem = h("div", { "aria-live": "assertive" });

  const form = h("form", { noValidate: true, onsubmit: start, className: "create" },
    h("div", { className: "stack" }, people.element, pair,
      h("section", { className: "card" },
        h("h2", {}, h("label", { htmlFor: "script" }, strings.script)), hint,
        script, length, topicField, nameField,
        h("details", {}, h("summary", {}, strings.more),
          h("div", { className: "fields" }, field(strings.prompt, prompt, strings.promptHint), field(strings.seed, seed, strings.seedHint)), music.element, advanced.element))),
    h("aside", { className: "card submit" }, quality.element,
      consent.element,
      problem, h("div", { className: "stack" }, submit, sent, stop),
      h("p", { className: "hint private" }, icon("check"), h("span", {}, strings.heroLead))));
  const recent = jobList(5, { more: false });
  const element = h("div", { className: "view wide" },
    h("div", { className: "hero" }, h("h1", {}, strings.hero), h("p", { className: "lead" }, strings.lead)),
    form, h("section", { className: "recent" }, h("h2", {}, strings.recent), recent.element));
  const unpaste = onPaste((files) => {
    if (profile !== null) return;
    const [sounds, pictures] = [files.filter(isSoundFile), files.filter((file) => !isSoundFile(file))];
    if (pictures.length > 0) photos.add(pictures);
    if (sounds.length > 0) voice.add(sounds);
  });

  async function open() {
    const source = query.get("job");
    const [found, kept] = await Promise.all([capabilities, source ? copied(source).catch(refuse) : shelf.files()]);
    if (source) begin(kept);
    if (found) advanced.offer(found.kinds, draft.quality);
    ({ scriptChars } = await limits);
    await Promise.all([people.load(profile).then(speak), photos.restore(kept.photos), voice.restore(kept.clip), music.restore(kept.music)]);
    phase = "open";
    if (touched) keep();
    describe();
    // From a profile there is only one thing to do.
    if (profile !== null && query.has("profile")) script.focus();
  }

  function speak(person) {
    profile = person.profileId;
    known = person;
  }

  function refuse(refused) {
    problem.replaceChildren(problemBox(refused));
    return { photos: [], clip: null, music: null };
  }

  // The form as it was for an earlier job, to be sent with something changed.
  function begin(job) {
    profile = null;
    Object.assign(draft, { params: job.params ?? {}, engines: job.engines ?? {} });
    for (const [box, value] of [[script, job.script], [topic, job.topic], [name, job.name], [prompt, job.prompt], [seed, job.seed]]) box.value = value ?? "";
    consent.put(job.consent);
    const choice = quality.element.querySelector(`[value="${job.quality}"]`);
    if (choice) {
      choice.checked = true;
      draft.quality = job.quality;
    }
    take();
  }

  const words = () => [script.value.trim(), topic.value.trim()];

  // Tells what follows from what the form holds.
  function describe() {
    const [text, about] = words();
    pair.hidden = nameField.hidden = profile !== null;
    consent.rest(profile !== null && known.consent);
    topicField.hidden = text !== "";
    setText(hint, profile ? strings.scriptHintKnown : strings.scriptHint);
    setText(length, text ? strings.scriptLength(text.length, scriptChars, text.length / CHARS_PER_SECOND) : "");
    length.classList.toggle("error", text.length > scriptChars);
    setText(submit, text || about || profile || photos.items().length === 0 ? strings.makeVideo : strings.trainOnly);
    // Nobody has begun yet: what a usual video takes.
    const untouched = !text && !about && photos.items().length === 0 && !voice.item();
    const said = !text && about ? "topic" : (untouched || text || profile) && "script";
    const inputs = [...(profile ? ["lora", "faces", known.hasVoice && "voice"] : ["photos", (untouched || voice.item()) && "clip"]), said];
    quality.estimate(said ? "generate" : "train", inputs.filter(Boolean), text.length || USUAL_CHARS);
  }

  // Called whenever anything of the form is different: keeps it. What is different is another
  // intention; the same one keeps its key through failures and reloads, so that it makes one job.
  function changed() {
    touched = true;
    describe();
    take();
    keep();
  }

  function take() {
    Object.assign(draft, { script: script.value, topic: topic.value, name: name.value, prompt: prompt.value, seed: seed.value, consent: consent.words(), profile, ...advanced.value() });
    draft.key = api.newKey();
  }

  async function keep() {
    if (phase === "sent") return;
    shelf.keepWords(draft);
    // While files that were kept are still read, new ones wait for them.
    if (phase === "open") await shelf.keepFiles({ photos: photos.items(), clip: voice.item(), music: music.item() });
  }

  function mistake() {
    const [text, about] = words();
    if (!profile && photos.items().length === 0) return [strings.checks.needPhotos, photos.element.querySelector("input")];
    if (profile && !text && !about) return [strings.checks.needScript, script];
    if (text.length > scriptChars) return [strings.checks.scriptTooLong(scriptChars), script];
    if (!advanced.valid()) return [strings.checks.params, advanced.element.querySelector("[aria-invalid=true]")];
    return consent.mistake();
  }

  async function start(event) {
    event.preventDefault();
    problem.replaceChildren();
    sending = new AbortController();
    busy(true);
    const told = (fraction) => {
      sent.value = fraction;
      setText(submit, fraction < 1 ? strings.uploading(Math.floor(fraction * 100)) : strings.starting);
    };
    try {
      // A file that was only just chosen is still looked at, and what was kept is still read.
      await opened;
      await Promise.all([photos.settled(), voice.settled(), music.settled()]);
      sending.signal.throwIfAborted();
      const wrong = mistake();
      if (wrong) {
        problem.replaceChildren(problemBox({ detail: wrong[0] }));
        wrong[1]?.focus();
        return;
      }
      const chosen = profile ? { photos: [], clip: null } : { photos: photos.items(), clip: voice.item() };
      announce(strings.starting);
      const [face, sound] = [profile || chosen.photos.length > 0, profile ? known.hasVoice : chosen.clip];
      const agreed = consent.statement([face && "face", sound && "voice"].filter(Boolean));
      const job = await request({ draft: { ...draft, ...(profile && { name: known.name }) }, profile, consent: agreed, music: music.item(), ...chosen }, { onProgress: told, keep, signal: sending.signal });
      // What was sent is no draft any more, whatever the form still shows.
      phase = "sent";
      await shelf.clear();
      location.hash = `#/job/${job.jobId}`;
    } catch (refused) {
      if (!sending.signal.aborted) problem.replaceChildren(problemBox(refused));
    } finally {
      sending = null;
      busy(false);
    }
  }

  function busy(on) {
    submit.disabled = on;
    sent.hidden = stop.hidden = !on;
    if (!on) describe();
  }

  const opened = open();
  describe();
  return { title: strings.nav.create, element, leave: () => { sending?.abort(); unpaste(); quality.leave(); recent.leave(); } };
}
