// The conversation as a file to keep: a page or Markdown, pictures inside. Knows exchanges; escapes what people wrote.

import { described, drawnAgain } from "./exchange.js";

const style = `:root { color-scheme: light dark; }
body { max-width: 42rem; margin: 3rem auto; padding: 0 1rem; font: 1.15rem/1.65 Charter, Georgia, serif; }
.question { font: .95rem/1.5 system-ui, sans-serif; border-left: 3px solid #8886; padding-left: 1rem; margin: 2.5rem 0 1.5rem; }
p { white-space: pre-wrap; }
img { display: block; min-width: 16rem; max-width: 100%; margin: 1.2rem 0; border-radius: .5rem; image-rendering: pixelated; }
.question img { min-width: 6rem; margin: .5rem 0; }
footer { margin-top: 3rem; font: .8rem system-ui, sans-serif; opacity: .7; }`;

/** `{ name, text, type }` of the document in `format`, "html" or "md". */
export function documentFile(format, exchanges) {
  return format === "html"
    ? { name: "document.html", type: "text/html", text: page(exchanges) }
    : { name: "document.md", type: "text/markdown", text: markdown(exchanges) };
}

/** How the last answer was made, so that it can be made again. */
function footer(exchanges) {
  const { answer } = exchanges.at(-1);
  const facts = Object.entries(answer.effective ?? {}).map(([name, value]) => `${name} ${value}`);
  const again = drawnAgain(answer).map(({ number, imageSeed }) => `picture ${number} drawn again with image_seed ${imageSeed}`);
  return ["Reverie", answer.request.model, ...facts, ...again].join(" · ");
}

const alternative = (exchange, part) => (exchange.question.includes(part) ? "Picture in the question" : described(exchange, part));

const escaped = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;" })[sign]);

function page(exchanges) {
  const parts = (list, exchange) => list.map((part) => ("text" in part
    ? `<p>${escaped(part.text.trim())}</p>`
    : `<img src="${escaped(part.picture)}" alt="${escaped(alternative(exchange, part))}">`)).join("\n");
  const body = exchanges.map((exchange) =>
    `<div class="question">\n${parts(exchange.question, exchange)}\n</div>\n${parts(exchange.answer.parts, exchange)}`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Document</title>
<style>
${style}
</style>
</head>
<body>
<main>
${body.join("\n")}
</main>
<footer>${escaped(footer(exchanges))}</footer>
</body>
</html>
`;
}

function markdown(exchanges) {
  const plain = (text) => text.trim().replace(/[\\`*_[\]<>#]/g, "\\$&");
  const parts = (list, exchange) => list.map((part) => ("text" in part
    ? plain(part.text)
    : `![${plain(alternative(exchange, part)).replaceAll("\n", " ")}](${part.picture})`));
  const quoted = (exchange) => parts(exchange.question, exchange).join("\n\n").replace(/^/gm, "> ");
  const body = exchanges.map((exchange) => [quoted(exchange), ...parts(exchange.answer.parts, exchange)].join("\n\n"));
  return `${body.join("\n\n")}\n\n---\n\n${footer(exchanges)}\n`;
}
