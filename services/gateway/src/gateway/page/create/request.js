// Sends what the form holds: first the files, each with its own progress, then the job.

import * as api from "../api.js";
import { upload } from "./uploads.js";

const LONGEST_NAME = 255;

// `chosen` is { draft, profile, consent, photos, clip, music }; returns the job's status.
export async function request({ draft, profile, consent, photos, clip, music }, { onProgress, keep, signal }) {
  const type = draft.script?.trim() || draft.topic?.trim() ? "generate" : "train";
  const body = { ...wish(draft, profile, type), ...(consent && { consent }) };
  // Nobody speaks in a training, so nothing plays under it.
  const sounds = [["clip", clip], ["music", type === "generate" ? music : null]].filter(([, item]) => item);
  // Without a hash there are no uploads to resume: a browser has none on an address without TLS.
  if (!globalThis.crypto?.subtle) return sendForm(type, body, { photos, sounds }, draft.key, { onProgress, signal });
  const items = [...photos.map((item) => [item, "photo"]), ...sounds.map(([kind, item]) => [item, kind])];
  const whole = items.reduce((sum, [item]) => sum + item.file.size, 0);
  const arrived = new Map();
  for (const [item, kind] of items) {
    await upload(item, kind, {
      signal, keep,
      onProgress: (fraction) => {
        item.show?.(fraction);
        arrived.set(item, fraction * item.file.size);
        onProgress([...arrived.values()].reduce((sum, bytes) => sum + bytes, 0) / whole);
      },
    });
  }
  onProgress(1);
  if (items.length > 0) body.uploads = { photos: photos.map((item) => item.uploadId), photoNames: photos.map((item) => item.file.name.slice(0, LONGEST_NAME)), ...Object.fromEntries(sounds.map(([kind, item]) => [kind, item.uploadId])) };
  return api.post(`/api/jobs`, { type, ...body }, draft.key);
}

function wish(draft, profile, type) {
  const body = { quality: draft.quality };
  const put = (name, value) => value !== "" && value != null && (body[name] = value);
  // Somebody's own words need no topic.
  const said = ["script", "topic"].find((name) => draft[name]?.trim());
  if (said) put(said, draft[said].trim());
  put("prompt", draft.prompt?.trim());
  put("profileId", profile);
  put("name", draft.name?.trim());
  if (draft.seed) body.seed = Number(draft.seed);
  for (const name of ["params", "engines"]) if (Object.keys(draft[name] ?? {}).length > 0) body[name] = draft[name];
  return body;
}

async function sendForm(type, body, { photos, sounds }, key, { onProgress, signal }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) form.append(name, typeof value === "object" ? JSON.stringify(value) : value);
  for (const item of photos) form.append("image", item.file);
  for (const [kind, item] of sounds) form.append(kind === "clip" ? "voice" : kind, item.file);
  const whole = [...photos, ...sounds.map(([, item]) => item)].reduce((sum, item) => sum + item.file.size, 0) || 1;
  return JSON.parse(await api.send("POST", `/api/${type}`, form, { key, signal, onProgress: (sent) => onProgress(Math.min(sent / whole, 1)) }));
}
