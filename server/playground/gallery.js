// Examples as cards to choose from.

import { element } from "./element.js";
import { textOf } from "./exchange.js";

/** Fills `list` with `examples`; `onChoice(question)` hears which was taken. */
export function fillGallery(list, examples, onChoice) {
  list.replaceChildren(...examples.map((example) => element("li", {}, card(example, onChoice))));
}

function card({ kind, shown, question }, onChoice) {
  const given = question.filter((part) => "picture" in part).map((part) => part.picture);
  const pictures = (shown ?? given).map((url) => element("img", { src: url, alt: "", width: 64, height: 64, draggable: false }));
  const text = textOf(question).trim();
  const strip = element("span", { className: shown ? "strip shown" : "strip" }, ...pictures);
  return element("button", { type: "button", onclick: () => onChoice(structuredClone(question)) },
    ...(pictures.length > 0 ? [strip] : []),
    element("span", { className: "kind" }, kind), element("span", { className: "words" }, text));
}
