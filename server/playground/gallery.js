// Examples that the built-in model does well, by its own figures (assets/mini/README.md).

import { element } from "./element.js";
import { scene } from "./scene.js";

const star = scene("navy", "large yellow star at the top right");
const circle = scene("navy", "large yellow circle at the top right");
const four = scene("tan", "large blue diamond at the top left", "small pink circle at the top right",
  "small green star at the bottom left", "large red square at the bottom right");
const cross = scene("gray", "large cyan cross at the bottom right");
const steps = [
  scene("gray"),
  scene("gray", "small purple cross at the top left"),
  scene("gray", "small purple cross at the top left", "small cyan circle at the bottom left"),
];

/** `needs`: the model's abilities; `shown`: what such an answer looks like, where no picture goes in. */
const examples = [
  { kind: "Story", needs: ["creation"], shown: [star, circle], question: [{ text: "Tell a picture story about a yellow star." }] },
  { kind: "Step by step", needs: ["creation"], shown: steps, question: [{
    text: "Show step by step how to draw a small purple cross at the top left and a small cyan circle at the bottom left with a gray background.",
  }] },
  { kind: "Drawing", needs: ["creation"],
    shown: [scene("black", "large orange triangle at the top left", "large pink star at the top right")],
    question: [{ text: "Draw an orange triangle and a pink star on a black background." }] },
  { kind: "Description", needs: ["comprehension"], question: [{ picture: four }, { text: "Describe this picture." }] },
  { kind: "A new scene", needs: ["comprehension", "creation"],
    question: [{ picture: cross }, { text: "Draw the same shape on a tan background." }] },
  { kind: "Two become one", needs: ["comprehension", "creation"], question: [
    { text: "Draw the first object on the background of the second picture." },
    { picture: scene("white", "large red star at the top left") },
    { picture: scene("navy", "large green square at the bottom right") },
  ] },
  { kind: "Comparison", needs: ["comprehension"], question: [
    { text: "How many shapes does each picture show?" },
    { picture: scene("black", "large orange circle at the top left") },
    { picture: scene("white", "large blue square at the top left", "small green star at the top right", "large pink cross at the bottom right") },
  ] },
  { kind: "A surprise", needs: ["creation"], shown: [], question: [{ text: "Think of a picture, describe it and draw it." }] },
  { kind: "Its limits", needs: [], shown: [], question: [{ text: "Draw a cat." }] },
];

/** Fills `list` with what a model of these abilities can do; `onChoice(question)` hears which was taken. */
export function fillGallery(list, abilities, onChoice) {
  const able = examples.filter(({ needs }) => needs.every((ability) => abilities.includes(ability)));
  list.replaceChildren(...able.map((example) => element("li", {}, card(example, onChoice))));
}

function card({ kind, shown, question }, onChoice) {
  const given = question.filter((part) => "picture" in part).map((part) => part.picture);
  const pictures = (shown ?? given).map((url) => element("img", { src: url, alt: "", width: 64, height: 64, draggable: false }));
  const text = question.map((part) => part.text ?? "").join("").trim();
  const strip = element("span", { className: shown ? "strip shown" : "strip" }, ...pictures);
  return element("button", { type: "button", onclick: () => onChoice(structuredClone(question)) },
    ...(pictures.length > 0 ? [strip] : []),
    element("span", { className: "kind" }, kind), element("span", { className: "words" }, text));
}
