// A request as code that makes it again: curl, Python with OpenAI's SDK, JavaScript.

/** Parameters that OpenAI's SDK has a name for; the rest goes in `extra_body`. */
const known = ["model", "messages", "seed", "temperature", "top_p", "max_completion_tokens", "stop"];

/** Code in `language` for `request`, sent to `base`, with a key if the server wants one. */
export function code(language, request, base, needsKey) {
  return writers[language](request, base, needsKey);
}

const writers = {
  curl(request, base, needsKey) {
    const key = needsKey ? " \\\n  -H \"authorization: Bearer $REVERIE_API_KEY\"" : "";
    const body = JSON.stringify({ ...request, stream: true }, null, 2);
    return `curl -N ${base}/chat/completions -H 'content-type: application/json'${key} --data-binary @- <<'REQUEST'\n${body}\nREQUEST\n`;
  },
  python(request, base, needsKey) {
    const named = Object.entries(request).filter(([name]) => known.includes(name));
    const extra = Object.entries(request).filter(([name]) => !known.includes(name));
    const fields = named.map(([name, value]) => `    ${name}=${python(value, 1)},\n`).join("");
    const rest = extra.length > 0 ? `    extra_body=${python(Object.fromEntries(extra), 1)},\n` : "";
    const key = needsKey ? "os.environ[\"REVERIE_API_KEY\"]" : "\"none\"";
    return `${needsKey ? "import os\n\n" : ""}import openai

client = openai.OpenAI(base_url=${JSON.stringify(base)}, api_key=${key})
answer = client.chat.completions.create(
${fields}${rest})
message = answer.choices[0].message
for part in message.content_parts:  # text and pictures in order
    print(part["text"] if part["type"] == "text" else message.images[part["index"]]["image_url"]["url"])
`;
  },
  javascript(request, base, needsKey) {
    const key = needsKey ? ", authorization: `Bearer ${process.env.REVERIE_API_KEY}`" : "";
    return `const response = await fetch(${JSON.stringify(`${base}/chat/completions`)}, {
  method: "POST",
  headers: { "content-type": "application/json"${key} },
  body: JSON.stringify(${JSON.stringify(request, null, 2).replaceAll("\n", "\n  ")}),
});
const { message } = (await response.json()).choices[0];
for (const part of message.content_parts) { // text and pictures in order
  console.log(part.type === "text" ? part.text : message.images[part.index].image_url.url);
}
`;
  },
};

/** JSON data as a Python literal. */
function python(value, depth) {
  const [inner, outer] = ["    ".repeat(depth + 1), "    ".repeat(depth)];
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[\n${value.map((item) => `${inner}${python(item, depth + 1)},\n`).join("")}${outer}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const items = Object.entries(value).map(([name, item]) => `${inner}${JSON.stringify(name)}: ${python(item, depth + 1)},\n`);
  return `{\n${items.join("")}${outer}}`;
}
