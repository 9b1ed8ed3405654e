// Who speaks: somebody new, or somebody who was trained already.

import * as api from "../api.js";
import { h } from "../dom.js";
import { strings } from "../language.js";
import { cover } from "../media.js";

// `load` gives the one that is chosen then; `onPick` gets those that the user picks.
export function peopleField(onPick) {
  const people = h("div", { className: "chips", role: "radiogroup", "aria-label": strings.who });
  const element = h("section", { className: "card", hidden: true }, h("h2", {}, strings.who), people);

  async function load(wanted) {
    const { profiles } = await api.get("/api/profiles").catch(() => ({ profiles: [] }));
    const ready = profiles.filter((profile) => profile.ready);
    const chosen = ready.find((profile) => profile.profileId === wanted)?.profileId ?? null;
    if (ready.length > 0) {
      const someone = { profileId: null, name: strings.newPerson, hint: strings.newPersonHint };
      people.replaceChildren(...[someone, ...ready].map((profile) => h("label", { className: "chip" },
        h("input", { type: "radio", name: "who", checked: chosen === profile.profileId, onchange: () => onPick(profile) }),
        h("span", {}, cover(profile.portraitUrl, "", profile.profileId ? "people" : "create"),
          h("span", {}, profile.name ?? strings.unnamed, h("small", {}, profile.hint ?? (profile.hasVoice ? strings.withVoice : strings.faceOnly)))))));
      element.hidden = false;
    }
    return ready.find((profile) => profile.profileId === chosen) ?? { profileId: null };
  }
  return { element, load };
}
