// Talks with the gateway over HTTP. Every failure is a problem: { detail, remedy, … }.

import { strings } from "./strings.js";

export class ApiProblem extends Error {
  constructor(body) {
    super(body.detail);
    this.detail = body.detail;
    this.remedy = body.remedy;
    this.kind = body.type;
    this.httpStatus = body.httpStatus;
  }
}

const unreachable = () =>
  new ApiProblem({ detail: strings.unreachable, remedy: strings.unreachableRemedy, httpStatus: 0 });

function asProblem(status, text) {
  try {
    return new ApiProblem({ ...JSON.parse(text), httpStatus: status });
  } catch {
    return unreachable();
  }
}

async function request(method, path) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { Accept: "application/json" } });
  } catch {
    throw unreachable();
  }
  const text = await answer.text();
  if (!answer.ok) throw asProblem(answer.status, text);
  return JSON.parse(text);
}

export const get = (path) => request("GET", path);
export const post = (path) => request("POST", path);

// Sends a form. XMLHttpRequest, because fetch does not tell how far an upload is.
export function send(path, form, key, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.setRequestHeader("Idempotency-Key", key);
    sending.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sending.onerror = () => reject(unreachable());
    sending.onload = () => {
      if (sending.status < 300) resolve(JSON.parse(sending.responseText));
      else reject(asProblem(sending.status, sending.responseText));
    };
    sending.send(form);
  });
}
