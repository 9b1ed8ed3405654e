// How loud a speech is over its length, drawn under its video and followed while it plays.

import { h } from "../dom.js";

const BAR = 3;
const GAP = 2;
const HEIGHT = 56;

export function waveform(url, player) {
  const canvas = h("canvas", { className: "waveform", height: HEIGHT, hidden: true, "aria-hidden": "true", onclick: seek });
  let peaks = null;
  let ticking = 0;

  async function read() {
    const answer = await fetch(url);
    if (!answer.ok) return;
    const decoder = new OfflineAudioContext(1, 1, 24_000);
    const sound = await decoder.decodeAudioData(await answer.arrayBuffer());
    peaks = sound.getChannelData(0);
    canvas.hidden = false;
    new ResizeObserver(draw).observe(canvas);
    for (const change of ["play", "pause", "seeked", "timeupdate", "ended"]) player.addEventListener(change, draw);
  }

  function draw() {
    const width = canvas.clientWidth;
    if (!peaks || width === 0) return;
    const ratio = devicePixelRatio;
    if (canvas.width !== Math.round(width * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = HEIGHT * ratio;
    }
    const brush = canvas.getContext("2d");
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.clearRect(0, 0, width, HEIGHT);
    const style = getComputedStyle(canvas);
    const bars = Math.floor(width / (BAR + GAP));
    const played = player.duration ? player.currentTime / player.duration : 0;
    const block = Math.floor(peaks.length / bars);
    for (let bar = 0; bar < bars; bar += 1) {
      let most = 0;
      for (let i = bar * block; i < (bar + 1) * block; i += 16) most = Math.max(most, Math.abs(peaks[i]));
      const tall = Math.max(2, most * HEIGHT * 0.95);
      brush.fillStyle = bar / bars < played ? style.color : style.borderColor;
      brush.beginPath();
      brush.roundRect(bar * (BAR + GAP), (HEIGHT - tall) / 2, BAR, tall, 1.5);
      brush.fill();
    }
    cancelAnimationFrame(ticking);
    if (!player.paused && canvas.isConnected) ticking = requestAnimationFrame(draw);
  }

  function seek(event) {
    if (player.duration) player.currentTime = (event.offsetX / canvas.clientWidth) * player.duration;
  }

  // A browser that cannot decode it shows the video without.
  read().catch(() => canvas.remove());
  return canvas;
}
