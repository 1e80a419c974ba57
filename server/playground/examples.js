// What may be asked: of the built-in model what it does well, tried with many seeds; of any other what its abilities allow.

import { scene } from "./scene.js";

/** Examples for the model of this card, as `[{ kind, question, shown }]`; `shown`: pictures of such an answer, to look at. */
export const examplesFor = (card) => (card.built_in ? ofShapes() : ofAnything(card.abilities ?? []));

function ofShapes() {
  const one = scene("white", "large red star at the top left");
  const other = scene("navy", "large green square at the bottom right");
  const four = scene("tan", "large blue diamond at the top left", "small pink circle at the top right",
    "small green star at the bottom left", "large red square at the bottom right");
  return [
    { kind: "Story", shown: [scene("tan", "large purple circle at the top left"), scene("tan", "small purple circle at the top left")],
      question: [{ text: "Make up a story with pictures." }] },
    { kind: "Step by step", shown: [
      scene("navy"),
      scene("navy", "large yellow star at the top left"),
      scene("navy", "large yellow star at the top left", "large green triangle at the top right"),
    ], question: [{ text: "Step by step, draw a yellow star and a green triangle on a navy background." }] },
    { kind: "Drawing", shown: [scene("black", "large orange triangle at the top left", "large pink star at the top right")],
      question: [{ text: "Draw an orange triangle and a pink star on a black background." }] },
    { kind: "Description", question: [{ picture: four }, { text: "Describe this picture." }] },
    { kind: "A change", question: [
      { picture: scene("white", "large green triangle at the top left", "small purple circle at the bottom right") },
      { text: "Turn the circle into a star." },
    ] },
    { kind: "Two become one", question: [{ text: "Draw both objects in one picture." }, { picture: one }, { picture: other }] },
    { kind: "Comparison", question: [
      { text: "How many shapes does each picture show?" },
      { picture: scene("black", "large orange circle at the top left") },
      { picture: scene("white", "large blue square at the top left", "small green star at the top right", "large pink cross at the bottom right") },
    ] },
    { kind: "A surprise", question: [{ text: "Think of a picture, describe it and draw it." }] },
    { kind: "Its limits", question: [{ text: "Draw a cat." }] },
  ];
}

/** General wishes. A model that only draws answers with one picture, so what mixes text and pictures needs both abilities. */
function ofAnything(abilities) {
  const beach = scene("tan", "large yellow circle at the top right", "small blue triangle at the bottom left");
  const night = scene("navy", "small yellow star at the top left", "large yellow circle at the top right");
  const both = ["comprehension", "creation"];
  const examples = [
    { kind: "Story", needs: both, question: [{ text: "Tell a short story about a fox who finds a lantern, with pictures." }] },
    { kind: "Step by step", needs: both, question: [{ text: "Show how to plant a tree, step by step, with a picture of each step." }] },
    { kind: "Drawing", needs: ["creation"], question: [{ text: "Draw a lighthouse on a cliff at sunset." }] },
    { kind: "Painting", needs: ["creation"], question: [{ text: "A bowl of oranges on a wooden table, painted in watercolour." }] },
    { kind: "Description", needs: ["comprehension"], question: [{ picture: beach }, { text: "Describe this picture." }] },
    { kind: "Comparison", needs: ["comprehension"], question: [
      { text: "What do these pictures have in common, and what differs?" }, { picture: beach }, { picture: night },
    ] },
    { kind: "A change", needs: both, question: [{ picture: beach }, { text: "Draw this at night." }] },
  ];
  return examples.filter(({ needs }) => needs.every((ability) => abilities.includes(ability)));
}
