// Light or dark: as the system says, until somebody chooses.

import { icon } from "./icons.js";
import { strings } from "./language.js";

export const THEMES = ["system", "light", "dark"];
const KEPT = "theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const chosenTheme = () => localStorage.getItem(KEPT) ?? "system";

export function chooseTheme(wanted) {
  if (wanted === "system") localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, wanted);
  apply();
}

export function theme() {
  system.addEventListener("change", apply);
  apply();
}

function apply() {
  const kept = chosenTheme();
  if (kept === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = kept;
  const dark = kept === "system" ? system.matches : kept === "dark";
  const button = document.querySelector("#theme");
  button.replaceChildren(icon(dark ? "light" : "dark"));
  button.title = dark ? strings.themeToLight : strings.themeToDark;
  button.setAttribute("aria-label", button.title);
  button.onclick = () => chooseTheme(dark ? "light" : "dark");
}
