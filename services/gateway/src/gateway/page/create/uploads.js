// Brings a file to the gateway in parts. What has arrived is asked for, so that an upload which
// was cut off, by the network or by closing the page, goes on where it was.

import * as api from "../api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

// Sends `item` ({ file, sha256, uploadId }) and gives it its uploadId; `keep` is called and
// awaited as soon as it has one. `onProgress` gets 0..1.
export async function upload(item, kind, { onProgress, keep, signal }) {
  const found = item.uploadId && await patiently(() => api.getOr(`/api/uploads/${item.uploadId}`, null), signal);
  const session = found ?? await patiently(() => api.post("/api/uploads", { kind, size: item.file.size, sha256: item.sha256 }), signal);
  item.uploadId = session.uploadId;
  await keep();
  if (session.state !== "complete") {
    let arrived = session.parts.filter((part) => part.done).reduce((sum, part) => sum + part.size, 0);
    for (const part of session.parts.filter((one) => !one.done)) {
      const start = (part.number - 1) * session.partBytes;
      const body = item.file.slice(start, start + part.size);
      await patiently(() => api.send("PUT", part.url, body, { signal, onProgress: (sent) => onProgress((arrived + sent) / item.file.size) }), signal);
      arrived += part.size;
      onProgress(arrived / item.file.size);
    }
    await patiently(() => api.post(`/api/uploads/${item.uploadId}/complete`), signal);
  }
  onProgress(1);
}

// Tries again for as long as the failure is one that passes.
async function patiently(doing, signal) {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await doing();
    } catch (problem) {
      if (!problem.passing || signal.aborted) throw problem;
      await new Promise((go) => {
        setTimeout(go, problem.retryAfterS ? problem.retryAfterS * 1000 : pause);
        signal.addEventListener("abort", go, { once: true });
      });
    }
  }
}
