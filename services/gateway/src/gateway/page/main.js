// Which view is shown: decided by the part of the address after #, so that reloading,
// going back and sharing the address all work. A view is fetched when it is first needed.

import * as api from "./api.js";
import { button, h, problemBox, setText } from "./dom.js";
import { icon } from "./icons.js";
import { strings } from "./language.js";
import * as live from "./live.js";
import { badge, count } from "./operations.js";
import * as place from "./place.js";
import { theme } from "./theme.js";
import { announce } from "./ui.js";

const NAVIGATION = ["create", "jobs", "gallery", "people", "runners", "settings"];
const PATHS = { create: "#/", people: "#/profiles" };
const VIEWS = {
  create: async (id, query) => (await import("./create/view.js")).createView(query),
  jobs: async () => (await import("./views/jobs.js")).jobsView(),
  job: async (id, query) => (await import("./job/view.js")).jobView(id, { at: Number(query.get("at")) || null, tab: query.get("view") }),
  playback: async (id, query) => (await import("./job/view.js")).jobView(id, { speed: Math.min(Math.max(Number(query.get("speed")) || 10, 0.1), 1000) }),
  gallery: async () => (await import("./views/gallery.js")).galleryView(),
  people: async () => (await import("./views/profiles.js")).profilesView(),
  profile: async (id) => (await import("./views/profile.js")).profileView(id),
  runners: async () => (await import("./views/runners.js")).runnersView(),
  "dead-letters": async () => (await import("./views/letters.js")).lettersView(),
  usage: async () => (await import("./views/usage.js")).usageView(),
  audit: async () => (await import("./views/audit.js")).auditView(),
  settings: async () => (await import("./views/settings.js")).settingsView(),
  signin: async () => (await import("./views/signin.js")).signInView(show),
};
const UNDER = { job: "jobs", playback: "jobs", profile: "people", "dead-letters": "runners", usage: "runners", audit: "runners" };
const WITH_ID = ["job", "playback", "profile"];

const main = document.querySelector("#main");
let leave = () => {};
let shown = 0;
let moved = false;
let showing = null;

function route() {
  const [path, query] = location.hash.split("?");
  const [, name, id, more] = path.split("/");
  if (name === "profiles") return ["people", null, query];
  if (["job", "jobs"].includes(name) && id) return [more === "playback" ? more : "job", id, query];
  if (name === "profile" && id) return [name, id, query];
  return [name in VIEWS && !WITH_ID.includes(name) ? name : "create", null, query];
}

async function show() {
  const mine = ++shown;
  let [name, id, query] = route();
  let view;
  try {
    const session = await api.getOr("/api/session", { signedIn: true }).catch(() => ({ signedIn: true }));
    if (session.signedIn) live.start(connection);
    else {
      live.stop();
      name = "signin";
    }
    view = await VIEWS[name](id, new URLSearchParams(query));
  } catch (problem) {
    // The gateway went away between the page and one of its parts.
    const refused = problem instanceof api.ApiProblem ? problem : api.unreachable();
    view = { title: strings.title, element: h("div", { className: "view" }, problemBox(refused, button(strings.tryNow, () => location.reload(), { className: "retry" }))) };
  }
  if (mine !== shown) {
    view.leave?.();
    return;
  }
  showing = name;
  if (name !== "signin") count();
  document.querySelector("#nav").hidden = name === "signin";
  leave();
  leave = view.leave ?? (() => {});
  main.replaceChildren(view.element);
  for (const link of document.querySelectorAll("[data-route]")) {
    if (link.dataset.route === (UNDER[name] ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view.title} · ${strings.title}`;
  if (moved) announce(view.title);
  moved = true;
  place.arrived(main);
}

function frame() {
  setText(document.querySelector(".skip"), strings.skip);
  document.querySelector(".skip").onclick = (event) => {
    event.preventDefault();
    main.focus();
  };
  const nav = document.querySelector("#nav");
  nav.setAttribute("aria-label", strings.navigation);
  nav.replaceChildren(...NAVIGATION.map((name) =>
    h("a", { href: PATHS[name] ?? `#/${name}`, "data-route": name }, icon(name), h("span", {}, strings.nav[name]), name === "runners" && badge())));
  document.querySelector("#foot").replaceChildren(
    h("a", { href: "/docs" }, strings.apiGuide), h("a", { href: "/asyncapi" }, strings.messageGuide));
}

function connection(connected) {
  const banner = document.querySelector("#connection");
  if (connected) {
    banner.replaceChildren();
    // What could not be shown without the gateway is shown now.
    for (const retry of main.querySelectorAll(".retry")) retry.click();
  }
  else if (!banner.firstChild) banner.append(h("span", {}, strings.offline), button(strings.tryNow, live.reconnect, { className: "small" }));
}

frame();
theme();
place.comeBack();
addEventListener("hashchange", () => {
  place.moved();
  show();
});
addEventListener("signedout", () => showing !== "signin" && show());
show();
