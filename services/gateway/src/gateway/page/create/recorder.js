// Records from the microphone, with a level to see and something to read aloud.

import { button, h, place, problemBox, setText } from "../dom.js";
import { clock } from "../format.js";
import { strings } from "../language.js";
import { announce } from "../ui.js";

const KINDS = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const LONGEST_S = 120;
const ENOUGH_S = 10;

// Shows the recorder in `box`; `onClip` gets the recording when it was stopped.
export async function recorder(box, onClip) {
  let stream;
  try {
    // What a call needs spoils a voice: take it as it is.
    stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  } catch {
    box.replaceChildren(problemBox({ detail: strings.noMicrophone, remedy: strings.noDeviceRemedy }));
    return;
  }
  const kind = KINDS.find((one) => MediaRecorder.isTypeSupported(one)) ?? "";
  const tape = new MediaRecorder(stream, kind ? { mimeType: kind, audioBitsPerSecond: 128_000 } : {});
  const chunks = [];
  const context = new AudioContext();
  const ear = context.createAnalyser();
  ear.fftSize = 1024;
  context.createMediaStreamSource(stream).connect(ear);
  const samples = new Float32Array(ear.fftSize);
  const level = h("span", {});
  const time = h("span", { className: "record-time" }, clock(0));
  const advice = h("p", { className: "hint" }, strings.recordAdvice);
  const started = performance.now();
  let frame = 0;
  let kept = true;

  function watch() {
    ear.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, one) => sum + one * one, 0) / samples.length;
    const loud = Math.max(0, Math.min(1, 1 + 10 * Math.log10(power || 1e-9) / 55));
    place(level, { transform: `scaleX(${loud})` });
    const seconds = (performance.now() - started) / 1000;
    setText(time, clock(seconds));
    if (seconds >= ENOUGH_S) setText(advice, strings.recordEnough);
    if (seconds >= LONGEST_S) tape.stop();
    else frame = requestAnimationFrame(watch);
  }

  function end() {
    cancelAnimationFrame(frame);
    for (const track of stream.getTracks()) track.stop();
    context.close();
    removeEventListener("hashchange", drop);
    box.replaceChildren();
  }

  function drop() {
    kept = false;
    tape.stop();
  }

  tape.ondataavailable = ({ data }) => chunks.push(data);
  tape.onstop = () => {
    end();
    if (!kept) return;
    const type = tape.mimeType.split(";")[0];
    onClip(new File(chunks, `recording.${type.split("/")[1]}`, { type }));
  };
  const stop = button(strings.recordStop, () => tape.stop(), { className: "primary" });
  box.replaceChildren(h("div", { className: "recorder" },
    h("blockquote", {}, strings.readAloud),
    h("div", { className: "row" }, h("span", { className: "record-dot", "aria-hidden": "true" }), time, h("span", { className: "meter", "aria-hidden": "true" }, level)),
    advice, h("div", { className: "row" }, stop, button(strings.never, drop))));
  addEventListener("hashchange", drop, { once: true });
  tape.start();
  watch();
  stop.focus();
  announce(strings.recording);
}
