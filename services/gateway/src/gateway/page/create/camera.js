// Takes photos with the computer's own camera.

import { button, h, problemBox } from "../dom.js";
import { strings } from "../language.js";

export async function camera(box, onPhoto) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
  } catch {
    box.replaceChildren(problemBox({ detail: strings.noCamera, remedy: strings.noDeviceRemedy }));
    return;
  }
  const screen = h("video", { srcObject: stream, autoplay: true, muted: true, playsInline: true, "aria-label": strings.cameraPicture });
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    box.replaceChildren();
  };
  const take = button(strings.shutter, async () => {
    if (!screen.videoWidth) return;
    const canvas = new OffscreenCanvas(screen.videoWidth, screen.videoHeight);
    canvas.getContext("2d").drawImage(screen, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
    onPhoto(new File([blob], `camera-${Date.now()}.jpg`, { type: "image/jpeg" }));
  }, { className: "primary" });
  const stop = button(strings.closeCamera, close);
  box.replaceChildren(h("div", { className: "camera" }, screen, h("div", { className: "row" }, take, stop)));
  take.focus();
  // A view that is left takes the picture away; the camera's light must not stay on.
  addEventListener("hashchange", close, { once: true });
}
