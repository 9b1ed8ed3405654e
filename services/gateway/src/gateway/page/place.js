// Where the reader was: the route of the last visit, and how far each view was scrolled.

const ROUTE = "route";
const SETTLING_MS = 2000;
const key = () => `scroll:${location.hash}`;
let settling = null;

// Opened without an address, the page goes on where it was left.
export function comeBack() {
  const last = localStorage.getItem(ROUTE);
  if (location.hash === "" && last) history.replaceState(null, "", last);
  localStorage.setItem(ROUTE, location.hash);
  history.scrollRestoration = "manual";
  addEventListener("scrollend", () => sessionStorage.setItem(key(), scrollY));
  for (const act of ["wheel", "touchstart", "keydown", "pointerdown"]) addEventListener(act, settle, { passive: true });
}

export function moved() {
  localStorage.setItem(ROUTE, location.hash);
}

// Views fill in after they were shown; the old position is taken as soon as it can be.
export function arrived(main) {
  settle();
  const wanted = Number(sessionStorage.getItem(key()) ?? 0);
  scrollTo(0, wanted);
  if (wanted === 0) return;
  settling = new ResizeObserver(() => scrollTo(0, wanted));
  settling.observe(main);
  setTimeout(settle, SETTLING_MS);
}

function settle() {
  settling?.disconnect();
  settling = null;
}
