// What is known of a job's past: its events in order, each once, and the lines of its stages.
// Whatever the live connection leaves out is fetched.

import * as api from "../api.js";

const PAGE = 500;
const MOST_LINES = 20_000;
const KEPT_VIEWS = 200;

export class Journal {
  events = [];
  lines = [];
  #id;
  #changed;
  #ids = new Set();
  #views = new Map();
  #loaded = false;
  #closed = false;
  #drawing = 0;

  constructor(id, changed) {
    this.#id = id;
    this.#changed = changed;
  }

  // The sequence up to which everything is known; null before anything is.
  get after() {
    return this.#loaded ? (this.events.at(-1)?.sequence ?? 0) : null;
  }

  async load() {
    await Promise.all([this.#fetchEvents(0), this.#fetchLines()]);
    this.#loaded = true;
    this.#tell();
  }

  hear(event) {
    const last = this.events.at(-1)?.sequence ?? 0;
    if (event.sequence > last) this.events.push(event);
    else if (!this.events.some((known) => known.sequence === event.sequence)) {
      this.events.push(event);
      this.events.sort((a, b) => a.sequence - b.sequence);
    }
    this.#tell();
  }

  hearLine(line) {
    if (this.#ids.has(line.id)) return;
    this.#ids.add(line.id);
    this.lines.push(line);
    // The oldest go in one sweep: what shows lines begins anew when it is given other ones.
    if (this.lines.length > 1.2 * MOST_LINES) this.lines = this.lines.slice(-MOST_LINES);
    this.#tell();
  }

  // Knows what another journal knows, up to an event.
  beginAs(whole, sequence) {
    this.events = whole.events.filter((event) => event.sequence <= sequence);
    const until = this.events.at(-1).time;
    this.lines = whole.lines.filter((line) => line.at <= until);
    this.#ids = new Set(this.lines.map((line) => line.id));
    this.#tell();
  }

  async fetchGap(after) {
    await this.#fetchEvents(after).catch(() => {});
    this.#tell();
  }

  // After the connection was cut: events come by themselves, lines do not.
  async back() {
    if (!this.#loaded) return;
    await this.#fetchLines(this.lines.at(-1)?.id);
    this.#tell();
  }

  // The job as it was right after an event. What was once so stays so.
  async jobAt(sequence) {
    if (!this.#views.has(sequence)) {
      const view = await api.get(`/api/jobs/${this.#id}?at=${sequence}`);
      if (this.#views.size >= KEPT_VIEWS) this.#views.delete(this.#views.keys().next().value);
      this.#views.set(sequence, view);
    }
    return this.#views.get(sequence);
  }

  close() {
    this.#closed = true;
    cancelAnimationFrame(this.#drawing);
  }

  // However much is heard, the page is drawn once a frame.
  #tell() {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = requestAnimationFrame(() => !this.#closed && this.#changed());
  }

  async #fetchEvents(after) {
    let next = after;
    while (next !== null && !this.#closed) {
      const page = await api.getOr(`/api/jobs/${this.#id}/timeline?after=${next}&limit=${PAGE}`, { events: [], next: null }).catch(() => ({ events: [], next: null }));
      for (const event of page.events) this.hear(event);
      next = page.next;
    }
  }

  async #fetchLines(after = "") {
    let next = after;
    while (next !== null && !this.#closed) {
      const page = await api.getOr(`/api/jobs/${this.#id}/logs?limit=${PAGE}${next === "" ? "" : `&after=${next}`}`, { lines: [], next: null }).catch(() => ({ lines: [], next: null }));
      for (const line of page.lines) this.hearLine(line);
      next = page.next;
    }
  }
}
