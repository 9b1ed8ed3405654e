// What can be judged of a photo or a recording before it is sent. What is `wrong` is refused;
// `hints` only warn. The gateway and the stages judge all of it again.

import { strings } from "../language.js";

const SMALLEST_EDGE = 64;
const SMALL_EDGE = 384;
const LOOK = 192;
const DARK = 42;
const BLURRED = 12;
const SHORT_S = 3;
const BETTER_S = 8;
const LONG_S = 600;
const SILENT_DBFS = -60;
const QUIET_DBFS = -42;
const CLIPPED = 0.001;
const UNSHOWN = ["image/avif", "image/tiff"];
const HEIC_NAME = /\.(heic|heif)$/i;
const SOUND_NAME = /\.(wav|mp3|flac|ogg|oga|opus|m4a|webm)$/i;

export const isSoundFile = (file) => file.type.startsWith("audio/") || file.type === "video/webm" || SOUND_NAME.test(file.name);

// The SHA-256 of a file in hexadecimal, or null where the browser offers none.
export async function hash(file) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function lookAtPhoto(file, limits) {
  const say = strings.checks;
  if (HEIC_NAME.test(file.name) || /hei[cf]/.test(file.type)) return { wrong: say.heic, hints: [] };
  if (!file.type.startsWith("image/")) return { wrong: say.notPicture, hints: [] };
  if (file.size > limits.photoBytes) return { wrong: say.tooLarge(limits.photoBytes / 1e6), hints: [] };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    // Some formats the browser cannot show, but the stages can read.
    return { wrong: UNSHOWN.includes(file.type) ? null : say.unreadable, hints: [] };
  }
  const { width, height } = bitmap;
  const edge = Math.min(width, height);
  if (edge < SMALLEST_EDGE) return { wrong: say.tooSmall(width, height), hints: [] };
  if (width * height > limits.photoPixels) return { wrong: say.tooManyPixels(Math.round(limits.photoPixels / 1e6)), hints: [] };
  const { brightness, sharpness } = judged(bitmap);
  bitmap.close();
  const hints = [edge < SMALL_EDGE && say.small(width, height), brightness < DARK && say.dark, sharpness < BLURRED && say.blurred];
  return { wrong: null, hints: hints.filter(Boolean) };
}

// Mean brightness of 0..255, and the variance of the Laplacian, which is small without edges.
function judged(bitmap) {
  const scale = LOOK / Math.max(bitmap.width, bitmap.height);
  const width = Math.max(3, Math.round(bitmap.width * scale));
  const height = Math.max(3, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(bitmap, 0, 0, width, height);
  const { data } = brush.getImageData(0, 0, width, height);
  const grey = new Float32Array(width * height);
  let sum = 0;
  for (let i = 0; i < grey.length; i += 1) {
    grey[i] = 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    sum += grey[i];
  }
  let [first, second, count] = [0, 0, 0];
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const at = y * width + x;
      const edge = grey[at - 1] + grey[at + 1] + grey[at - width] + grey[at + width] - 4 * grey[at];
      first += edge;
      second += edge * edge;
      count += 1;
    }
  }
  return { brightness: sum / grey.length, sharpness: second / count - (first / count) ** 2 };
}

export async function listenToClip(file, limits) {
  const say = strings.checks;
  if (!isSoundFile(file)) return { wrong: say.notSound, hints: [], seconds: null };
  if (file.size > limits.clipBytes) return { wrong: say.tooLarge(limits.clipBytes / 1e6), hints: [], seconds: null };
  let sound;
  try {
    sound = await new OfflineAudioContext(1, 1, 24_000).decodeAudioData(await file.arrayBuffer());
  } catch {
    // The stages read more formats than browsers do.
    return { wrong: null, hints: [say.unheard], seconds: null };
  }
  const seconds = sound.duration;
  if (seconds < SHORT_S) return { wrong: say.clipShort(seconds, SHORT_S), hints: [], seconds };
  if (seconds > LONG_S) return { wrong: say.clipLong(LONG_S / 60), hints: [], seconds };
  const { level, clipped } = loudness(sound.getChannelData(0));
  if (level < SILENT_DBFS) return { wrong: say.clipSilent, hints: [], seconds };
  const hints = [seconds < BETTER_S && say.clipBrief, level < QUIET_DBFS && say.clipQuiet, clipped > CLIPPED && say.clipLoud];
  return { wrong: null, hints: hints.filter(Boolean), seconds };
}

export async function listenToMusic(file, limits) {
  const say = strings.checks;
  if (!isSoundFile(file)) return { wrong: say.notSound, hints: [] };
  return { wrong: file.size > limits.musicBytes ? say.tooLarge(limits.musicBytes / 1e6) : null, hints: [] };
}

// Level of the loudest tenth in dBFS, and the share of samples at full scale.
function loudness(samples) {
  const block = 2400;
  const powers = [];
  let full = 0;
  for (let start = 0; start + block <= samples.length; start += block) {
    let power = 0;
    for (let i = start; i < start + block; i += 1) {
      power += samples[i] * samples[i];
      if (Math.abs(samples[i]) >= 0.999) full += 1;
    }
    powers.push(power / block);
  }
  powers.sort((a, b) => b - a);
  const loud = powers.slice(0, Math.max(1, Math.floor(powers.length / 10)));
  const mean = loud.reduce((sum, power) => sum + power, 0) / loud.length;
  return { level: 10 * Math.log10(mean || 1e-12), clipped: full / samples.length };
}
