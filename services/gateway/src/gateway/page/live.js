// One WebSocket for the whole page. It comes back by itself and then asks again for every
// job that is watched; the first update after that tells all that was missed.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
// The gateway says something at least every 15 seconds.
const SILENCE_MS = 40_000;

const watched = new Map();
let socket = null;
let pause = FIRST_PAUSE_MS;
let silence = 0;
let onState = () => {};

export function start(stateChanged) {
  onState = stateChanged;
  open();
  addEventListener("online", () => socket === null && open());
}

export function watch(job, callback) {
  watched.set(job, callback);
  say("subscribe", job);
  return () => {
    watched.delete(job);
    say("unsubscribe", job);
  };
}

function say(action, jobId) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ action, jobId }));
}

function open() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws`);
  socket.onopen = () => {
    pause = FIRST_PAUSE_MS;
    onState(true);
    heard();
    for (const job of watched.keys()) say("subscribe", job);
  };
  socket.onmessage = ({ data }) => {
    heard();
    const message = JSON.parse(data);
    if (message.type === "update") watched.get(message.jobId)?.(message);
  };
  socket.onclose = () => {
    clearTimeout(silence);
    socket = null;
    onState(false);
    setTimeout(() => socket === null && open(), pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  };
}

function heard() {
  clearTimeout(silence);
  silence = setTimeout(() => socket?.close(), SILENCE_MS);
}
