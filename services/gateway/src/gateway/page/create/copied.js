// What an earlier job was asked with, for a form that begins with it.

import * as api from "../api.js";

// The job, with its `photos`, `clip` and `music` as the form's fields restore them.
export async function copied(id) {
  const job = await api.get(`/api/jobs/${id}`);
  const files = await Promise.all((job.inputs ?? []).map(fileOf));
  const all = (name) => files.filter(({ input }) => input === name);
  return { ...job, photos: all("photos"), clip: all("clip")[0] ?? null, music: all("music")[0] ?? null };
}

async function fileOf({ input, index, name, url, mediaType }) {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) throw api.unreachable();
  const called = name ?? `${input}-${index + 1}.${mediaType.split("/")[1]}`;
  return { input, file: new File([await answer.blob()], called, { type: mediaType }) };
}
