// Which view is shown: decided by the part of the address after #, so that reloading,
// going back and sharing the address all work.

import { createView } from "./create.js";
import { jobView } from "./job.js";
import { jobsView } from "./jobs.js";
import * as live from "./live.js";
import { strings } from "./strings.js";
import { theme } from "./theme.js";

const main = document.querySelector("#main");
let leave = () => {};

function route() {
  const [, view, id] = location.hash.split("?")[0].split("/");
  if (view === "job" && id) return ["job", jobView(id)];
  if (view === "jobs") return ["jobs", jobsView()];
  return ["create", createView(new URLSearchParams(location.hash.split("?")[1]))];
}

function show() {
  leave();
  const [name, view] = route();
  leave = view.leave ?? (() => {});
  main.replaceChildren(view.element);
  for (const link of document.querySelectorAll("[data-route]")) {
    if (link.dataset.route === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view.title} · ${strings.title}`;
  scrollTo(0, 0);
}

theme();
live.start((connected) => {
  document.querySelector("#connection").textContent = connected ? strings.online : strings.offline;
});
addEventListener("hashchange", show);
show();
