// Keeps what is being prepared, so that closing the page loses nothing: words in local storage,
// files in the browser's database.

const WORDS = "draft";
const STORE = "files";
const NONE = { photos: [], clip: null, music: null };

export function words() {
  try {
    return JSON.parse(localStorage.getItem(WORDS)) ?? {};
  } catch {
    return {};
  }
}

export function keepWords(draft) {
  localStorage.setItem(WORDS, JSON.stringify(draft));
}

// { photos: [item], clip: item | null, music: item | null }, where an item has its `file`.
export async function files() {
  try {
    return (await asked("readonly", (store) => store.get("chosen"))) ?? NONE;
  } catch {
    // A private window may have no database; then files last as long as the page.
    return NONE;
  }
}

export async function keepFiles(chosen) {
  const bare = (item) => item && { file: item.file, sha256: item.sha256, uploadId: item.uploadId };
  try {
    await asked("readwrite", (store) => store.put({ photos: chosen.photos.map(bare), clip: bare(chosen.clip), music: bare(chosen.music) }, "chosen"));
  } catch {
    // See above; sending works without.
  }
}

export async function clear() {
  localStorage.removeItem(WORDS);
  await keepFiles(NONE);
}

function asked(mode, what) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("drafts", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const work = opening.result.transaction(STORE, mode);
      const request = what(work.objectStore(STORE));
      work.oncomplete = () => { opening.result.close(); resolve(request.result); };
      work.onabort = () => { opening.result.close(); reject(work.error); };
    };
  });
}
