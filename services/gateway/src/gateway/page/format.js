// Numbers, sizes and times as a reader of the page's language writes them.

// Somebody who reads English in Vienna wants the times of Vienna's English, not of New York's.
const tongue = () => navigator.languages.find((one) => one.startsWith(document.documentElement.lang)) ?? document.documentElement.lang;

export function number(value, digits = 0) {
  return value.toLocaleString(tongue(), { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

export function percent(fraction) {
  return `${number(Math.floor(fraction * 100))} %`;
}

export function duration(seconds) {
  if (seconds == null) return "";
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  if (whole < 5400) return `${Math.round(whole / 60)} min`;
  if (whole < 172_800) return `${number(whole / 3600, 1)} h`;
  return `${number(whole / 86_400, 1)} d`;
}

// For stop watches: 0:07, 12:30.
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${number(bytes / 1000)} kB`;
  if (bytes < 1e9) return `${number(bytes / 1e6, 1)} MB`;
  return `${number(bytes / 1e9, 2)} GB`;
}

export function ago(iso) {
  const seconds = (Date.now() - new Date(iso).getTime()) / 1000;
  const relative = new Intl.RelativeTimeFormat(tongue(), { numeric: "auto" });
  if (seconds < 60) return relative.format(0, "second");
  if (seconds < 3600) return relative.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86_400) return relative.format(-Math.round(seconds / 3600), "hour");
  return relative.format(-Math.round(seconds / 86_400), "day");
}

export function time(iso) {
  return new Date(iso).toLocaleTimeString(tongue(), { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

// A day, as told in UTC.
export function day(date) {
  return new Date(`${date}T00:00:00Z`).toLocaleDateString(tongue(), { day: "numeric", month: "short", timeZone: "UTC" });
}

export function moment(iso) {
  return new Date(iso).toLocaleString(tongue(), { dateStyle: "medium", timeStyle: "short" });
}

export function seconds(from, until) {
  return (new Date(until) - new Date(from)) / 1000;
}

// A measured value, short enough for a table.
export function measured(value) {
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return number(value);
  return Math.abs(value) >= 0.001 ? number(value, Math.abs(value) < 0.1 ? 4 : 3) : value.toLocaleString(tongue(), { maximumSignificantDigits: 2 });
}
