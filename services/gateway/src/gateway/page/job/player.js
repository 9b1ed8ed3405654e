// A job's past, told again by the gateway at a chosen pace: stopped, taken up again, moved.

export const SPEEDS = [1, 10, 60];

// `watcher` has log(event), update(message), line(line), and end() for when all was told.
export function player(id, speed, watcher) {
  let source = null;
  let after = 0;

  function play() {
    stop();
    const opened = new EventSource(`/api/jobs/${id}/playback?speed=${speed}&after=${after}`);
    source = opened;
    const on = (name, act) => opened.addEventListener(name, ({ data }) => source === opened && act(JSON.parse(data)));
    on("log", (event) => { after = event.sequence; watcher.log(event); });
    on("update", watcher.update);
    on("line", watcher.line);
    on("end", end);
    // After a cut it goes on by itself where it was; it is closed when there is nothing after that.
    opened.onerror = () => source === opened && opened.readyState === EventSource.CLOSED && end();
  }

  function end() {
    stop();
    watcher.end();
  }

  function stop() {
    source?.close();
    source = null;
  }

  // Goes on after another event, if it goes at all.
  function seek(sequence) {
    after = sequence;
    if (source) play();
  }

  function pace(wanted) {
    speed = wanted;
    if (source) play();
  }
  return { play, stop, seek, pace, get playing() { return source !== null; } };
}
