// Pictures and sounds of jobs, as cards and players.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { strings } from "./language.js";

// Where an output has several files, each kind of file may have a name of its own.
export const label = ({ output, mediaType }) => strings.outputs[`${output}.${mediaType}`] ?? strings.outputs[output] ?? output;
export const isPicture = (artifact) => artifact.mediaType.startsWith("image/");
export const isSound = (artifact) => artifact.mediaType.startsWith("audio/");

// A small picture of a larger one; where the gateway makes none, the picture itself.
function thumbnail(url, alt, size = 320) {
  const image = h("img", { src: `${url}/thumbnail?size=${size}`, alt, loading: "lazy", decoding: "async" });
  image.onerror = () => {
    image.onerror = null;
    image.src = url;
  };
  return image;
}

export function picture(url, alt, caption) {
  return h("figure", { className: "picture" },
    h("a", { href: url, target: "_blank", rel: "noopener" }, thumbnail(url, alt)),
    caption && h("figcaption", { className: "hint" }, caption));
}

export function sound(url, name) {
  return h("figure", { className: "sound" }, h("figcaption", { className: "hint" }, name),
    h("audio", { controls: true, src: url, preload: "metadata", "aria-label": name }));
}

// A picture's place: shows the picture, or a sign where there is none.
export function cover(url, alt, sign) {
  const box = h("span", { className: "cover" });
  if (!url) {
    box.append(icon(sign));
    return box;
  }
  const image = h("img", { src: url, alt, loading: "lazy", decoding: "async" });
  image.onerror = () => box.replaceChildren(icon(sign));
  box.append(image);
  return box;
}
