// The conversation as a file to keep: a page or Markdown, pictures inside. Knows exchanges; escapes what people wrote.

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
  const { effective, request } = exchanges.at(-1).answer;
  const facts = Object.entries(effective ?? {}).map(([name, value]) => `${name} ${value}`);
  return ["Reverie", request.model, ...facts].join(" · ");
}

const escaped = (text) => text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;" })[sign]);

function page(exchanges) {
  const parts = (list) => list.map((part, at) => ("text" in part
    ? `<p>${escaped(part.text.trim())}</p>`
    : `<img src="${escaped(part.picture)}" alt="Picture ${at + 1}">`)).join("\n");
  const body = exchanges.map(({ question, answer }) => `<div class="question">\n${parts(question)}\n</div>\n${parts(answer.parts)}`);
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
  const parts = (list) => list.map((part, at) => ("text" in part ? plain(part.text) : `![Picture ${at + 1}](${part.picture})`));
  const quoted = (list) => parts(list).join("\n\n").replace(/^/gm, "> ");
  const body = exchanges.map(({ question, answer }) => [quoted(question), ...parts(answer.parts)].join("\n\n"));
  return `${body.join("\n\n")}\n\n---\n\n${footer(exchanges)}\n`;
}
