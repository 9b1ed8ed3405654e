// Light or dark: as the system says, until somebody chooses.

import { strings } from "./strings.js";

export function theme() {
  const button = document.querySelector("#theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const kept = localStorage.getItem("theme");
    const dark = kept ? kept === "dark" : system.matches;
    if (kept) document.documentElement.dataset.theme = kept;
    button.textContent = dark ? "☀" : "☾";
    button.title = dark ? strings.themeToLight : strings.themeToDark;
    button.setAttribute("aria-label", button.title);
    button.onclick = () => {
      localStorage.setItem("theme", dark ? "light" : "dark");
      apply();
    };
  };
  system.addEventListener("change", apply);
  apply();
}
