// A conversation as data: exchanges of a question and its answer, both lists of parts in order. Knows no page.
//
// A part is `{ text }` or `{ picture }`, a data URL. An answer also has a `state` ("waiting", "whole", "stopped" or
// "failed"), the `request` it answers, and what the server said of it (`reason`, `effective`, `usage`, `provenance`). A
// picture that was drawn again knows the `imageSeed` of its noise.

/** An exchange whose answer is still to come. */
export const newExchange = (question, request) => ({ question, answer: { parts: [], state: "waiting", request } });

/** Adds text at the end of `parts`. */
export function appendText(parts, text) {
  const last = parts.at(-1);
  if (last && "text" in last) last.text += text;
  else parts.push({ text });
}

export const isEmpty = (parts) => parts.every((part) => "text" in part && part.text.trim() === "");

export const textOf = (parts) => parts.map((part) => part.text ?? "").join("");

export const countPictures = (parts) => parts.filter((part) => "picture" in part).length;

/** Of the words before a picture, at most: who listens has just heard them. */
const wordsSaid = 240;

/** What to say of a picture of an answer to who cannot see it: the words before it; the question's, too, if it is the first. */
export function described({ question, answer: { parts } }, part) {
  const before = parts.slice(0, parts.indexOf(part));
  const number = countPictures(before) + 1;
  const told = number === 1 ? [...question, ...before] : before.slice(before.findLastIndex((other) => "picture" in other) + 1);
  const words = told.map(({ text }) => text?.trim()).filter(Boolean).join(" ");
  const last = words.length > wordsSaid ? `… ${words.slice(-wordsSaid).replace(/^\S*\s+/, "")}` : words;
  return words ? `Picture ${number}: ${last}` : `Picture ${number}`;
}

/** The words after the last picture. */
export const lastWords = (parts) => parts.at(-1)?.text?.trim() ?? "";

/** The pictures of an answer that were drawn again: `{ number, imageSeed }`, numbers from 1. */
export const drawnAgain = ({ parts }) => parts.filter((part) => "picture" in part)
  .map(({ imageSeed }, at) => ({ number: at + 1, imageSeed }))
  .filter(({ imageSeed }) => imageSeed !== undefined);

/**
 * The requests that make again what is seen, as `[{ label, request }]`. A request has one noise for all its pictures, and
 * what follows a picture follows from it: so a picture that was drawn again has a request of its own, unless it is all
 * that was drawn and the last thing said.
 */
export function requestsOf(answer) {
  const { request, parts } = answer;
  const again = drawnAgain(answer).map(({ number, imageSeed }) => ({
    label: `Picture ${number} as drawn again`, request: { ...request, image_seed: imageSeed },
  }));
  const alone = again.length === 1 && countPictures(parts) === 1 && "picture" in parts.findLast((part) => part.text?.trim() !== "");
  return alone ? again : [{ label: "The answer as first given", request }, ...again];
}

/** What to send: the exchanges before, as far as they were answered, and the question. */
export function messages(before, question) {
  const answered = before.filter(({ answer }) => !isEmpty(answer.parts));
  const history = answered.flatMap((exchange) => [userMessage(exchange.question), assistantMessage(exchange.answer.parts)]);
  return [...history, userMessage(question)];
}

function userMessage(parts) {
  if (parts.every((part) => "text" in part)) return { role: "user", content: textOf(parts) };
  const content = parts.map((part) => ("text" in part
    ? { type: "text", text: part.text }
    : { type: "image_url", image_url: { url: part.picture } }));
  return { role: "user", content };
}

/** In the shape in which the server itself says it: all text, all pictures, and their order. */
function assistantMessage(parts) {
  const images = [], order = [];
  for (const part of parts) {
    if ("text" in part) order.push({ type: "text", text: part.text });
    else {
      order.push({ type: "image_ref", index: images.length });
      images.push({ type: "image_url", index: images.length, image_url: { url: part.picture } });
    }
  }
  return { role: "assistant", content: textOf(parts), ...(images.length > 0 && { images }), content_parts: order };
}
