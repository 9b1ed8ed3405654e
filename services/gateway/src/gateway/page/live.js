// One WebSocket for the whole page. It comes back by itself, asks again for everything that is
// watched, and goes on at the position in the log up to which it was told already.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
// The gateway says something at least every 15 seconds.
const SILENCE_MS = 40_000;

const watched = new Map();
const everywhere = new Set();
let socket = null;
let pause = FIRST_PAUSE_MS;
let silence = 0;
let again = 0;
let running = false;
let onState = () => {};

export function start(stateChanged) {
  onState = stateChanged;
  running = true;
  reconnect();
}

// Whoever is not signed in has nothing to listen to.
export function stop() {
  running = false;
  clearTimeout(again);
  socket?.close();
}

export function reconnect() {
  if (!running || socket !== null) return;
  clearTimeout(again);
  open();
}

addEventListener("online", reconnect);
addEventListener("offline", () => socket?.close());

// `watcher` may have update(message), event(event), gap(after), line(line), back() for when the
// connection was cut, and after(): the sequence up to which it knows the job's events, if it does.
export function watch(job, watcher) {
  watched.set(job, watcher);
  say(wish(job, watcher));
  return () => {
    if (watched.get(job) !== watcher) return;
    watched.delete(job);
    say({ action: "unsubscribe", jobId: job });
  };
}

// Says again what is watched of a job, as when its watcher knows more than before.
export function watchAgain(job) {
  const watcher = watched.get(job);
  if (watcher) say(wish(job, watcher));
}

// Updates of all of one's own jobs. `back` is called whenever the connection came back.
export function watchAll(update, back) {
  const watcher = { update, back };
  everywhere.add(watcher);
  if (everywhere.size === 1) say({ action: "subscribe", jobs: "all" });
  return () => {
    everywhere.delete(watcher);
    if (everywhere.size === 0) say({ action: "unsubscribe", jobs: "all" });
  };
}

function wish(job, watcher) {
  const after = watcher.after?.();
  return { action: "subscribe", jobId: job, ...(after != null && { after, lines: true }) };
}

function say(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function open() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const opened = new WebSocket(`${scheme}://${location.host}/ws`);
  socket = opened;
  opened.onopen = () => {
    const was = pause;
    pause = FIRST_PAUSE_MS;
    onState(true);
    heard();
    for (const [job, watcher] of watched) say(wish(job, watcher));
    if (everywhere.size > 0) say({ action: "subscribe", jobs: "all" });
    if (was > FIRST_PAUSE_MS) for (const watcher of [...everywhere, ...watched.values()]) watcher.back?.();
  };
  opened.onmessage = ({ data }) => {
    heard();
    hear(JSON.parse(data));
  };
  opened.onclose = () => {
    if (socket !== opened) return;
    clearTimeout(silence);
    socket = null;
    onState(!running);
    again = setTimeout(reconnect, pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  };
}

function hear(message) {
  const watcher = watched.get(message.jobId);
  if (message.type === "update") {
    watcher?.update(message);
    for (const one of everywhere) one.update(message);
  } else if (message.type === "event") watcher?.event?.(message.event);
  else if (message.type === "line") watcher?.line?.(message.line);
  else if (message.type === "gap") watcher?.gap?.(message.after);
}

function heard() {
  clearTimeout(silence);
  silence = setTimeout(() => socket?.close(), SILENCE_MS);
}
