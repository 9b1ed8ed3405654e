// The people that were trained: how they look, how they sound, and what they can say next.

import * as api from "../api.js";
import { h } from "../dom.js";
import { ago } from "../format.js";
import { strings } from "../language.js";
import { cover } from "../media.js";
import { empty, loaded, skeleton } from "../ui.js";

export function profilesView() {
  const box = h("div", { className: "stack" }, skeleton(3));
  loaded(box, async () => {
    const { profiles } = await api.get("/api/profiles");
    return profiles.length > 0 ? [h("p", { className: "lead" }, strings.peopleLead), h("ul", { className: "people-grid" }, ...profiles.map(person))]
      : empty("people", strings.noPeopleTitle, strings.noPeople, h("a", { className: "button primary", href: "#/" }, strings.trainFirst));
  });
  return { title: strings.nav.people, element: h("div", { className: "view" }, h("h1", {}, strings.nav.people), box) };
}

function person(profile) {
  const name = profile.name ?? strings.unnamed;
  const facts = [profile.hasVoice ? strings.withVoice : strings.faceOnly, profile.videos != null && strings.videos(profile.videos), ago(profile.createdAt)];
  return h("li", { className: "card person" },
    h("a", { className: "portrait", href: `#/profile/${profile.profileId}`, "aria-label": name }, cover(profile.portraitUrl, "", "people")),
    h("h2", {}, h("a", { href: `#/profile/${profile.profileId}` }, name)),
    h("p", { className: "hint" }, facts.filter(Boolean).join(" · ")),
    profile.voiceUrl && h("audio", { controls: true, src: profile.voiceUrl, preload: "metadata", "aria-label": strings.voiceOf(name) }),
    profile.ready ? h("a", { className: "button primary", href: `#/?profile=${profile.profileId}` }, strings.makeThemSpeak) : h("p", { className: "hint" }, strings.notReady));
}
