// Talks with the gateway over HTTP. Every failure is a problem: { detail, remedy, … }.

import { strings } from "./language.js";

export class ApiProblem extends Error {
  constructor(body) {
    super(body.detail);
    this.detail = body.detail;
    this.remedy = body.remedy;
    this.kind = body.type?.split("/").at(-1);
    this.httpStatus = body.httpStatus;
    this.retryAfterS = body.retryAfterS;
  }

  // Whether the same request may go well a little later.
  get passing() {
    return [0, 429, 502, 503, 504].includes(this.httpStatus);
  }
}

export const unreachable = () =>
  new ApiProblem({ detail: strings.unreachable, remedy: strings.unreachableRemedy, httpStatus: 0 });

// A module that few need, once somebody does: `bringing` is its import.
export const module = (bringing) => bringing.catch(() => { throw unreachable(); });

function asProblem(status, text, retryAfter) {
  if (status === 401) dispatchEvent(new Event("signedout"));
  try {
    return new ApiProblem({ ...JSON.parse(text), httpStatus: status, retryAfterS: Number(retryAfter) || undefined });
  } catch {
    // Something before the gateway answered; it is away.
    return new ApiProblem({ ...unreachable(), detail: strings.unreachable, httpStatus: status || 0 });
  }
}

// One key for one intention: sending again after a broken connection does the thing once.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function request(method, path, { body, key } = {}) {
  const headers = { Accept: "application/json" };
  if (method === "POST") headers["Idempotency-Key"] = key ?? newKey();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  let text;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    text = await answer.text();
  } catch {
    throw unreachable();
  }
  if (!answer.ok) throw asProblem(answer.status, text, answer.headers.get("Retry-After"));
  return text ? JSON.parse(text) : null;
}

export const get = (path) => request("GET", path);
export const post = (path, body, key) => request("POST", path, { body, key });
export const remove = (path) => request("DELETE", path);

// What `path` tells, or `otherwise` where the gateway has no such route or answer.
export async function getOr(path, otherwise) {
  try {
    return await get(path);
  } catch (problem) {
    if (problem.passing) throw problem;
    return otherwise;
  }
}

// Saves what `path` tells as a table, as spreadsheets read it.
export async function save(path, name) {
  const answer = await fetch(path, { headers: { Accept: "text/csv" } }).catch(() => { throw unreachable(); });
  if (!answer.ok) throw asProblem(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  const address = URL.createObjectURL(await answer.blob());
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  URL.revokeObjectURL(address);
}

// Sends a body and tells how far it is, which fetch does not.
export function send(method, path, body, { key, signal, onProgress, headers = {} }) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open(method, path);
    if (key) sending.setRequestHeader("Idempotency-Key", key);
    for (const [name, value] of Object.entries(headers)) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded);
    sending.onerror = () => reject(unreachable());
    sending.onabort = () => reject(unreachable());
    sending.onload = () => {
      if (sending.status < 300) resolve(sending.responseText);
      else reject(asProblem(sending.status, sending.responseText, sending.getResponseHeader("Retry-After")));
    };
    signal?.addEventListener("abort", () => sending.abort());
    sending.send(body);
  });
}
