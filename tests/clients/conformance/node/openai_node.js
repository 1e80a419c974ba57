// OpenAI's SDK on Node, unmodified, as a person uses it: chats, pictures alone and raw completions.

import OpenAI, { toFile } from "openai";

import { CLIENT, MODEL, SCENARIO, address, joined, picture, preview, say } from "./report.js";

const client = (name) => new OpenAI({ baseURL: address(name), apiKey: "none", maxRetries: 0 });
const user = (content) => ({ role: "user", content });
const url = (url) => ({ type: "image_url", image_url: { url } });
const [first, second] = SCENARIO.pictures;
const see = [url(first), { type: "text", text: SCENARIO.see }, url(second)];
const fixed = { temperature: 0, seed: SCENARIO.seed };

const chatUsage = (usage) => ({
  input: usage.prompt_tokens,
  output: usage.completion_tokens,
  output_images: usage.completion_tokens_details.image_tokens,
});

async function chatWhole(name, messages, options) {
  const answer = await client(name).chat.completions.create({ model: MODEL, messages, ...options });
  const { message } = answer.choices[0];
  const parts = message.content_parts.map((part) =>
    part.type === "text" ? ["text", part.text] : picture(message.images[part.index].image_url.url),
  );
  return { saw: { elements: joined(parts), usage: chatUsage(answer.usage) }, message };
}

async function chatStream(name, messages, options) {
  const stream = client(name).chat.completions.stream({
    model: MODEL,
    messages,
    stream_options: { include_usage: true },
    ...options,
  });
  const elements = [];
  for await (const chunk of stream) {
    for (const { delta } of chunk.choices) {
      if (delta.content) elements.push(["text", delta.content]);
      for (const item of delta.images ?? []) elements.push(picture(item.image_url.url));
    }
  }
  const usage = chatUsage(await stream.totalUsage().then(async () => (await stream.finalChatCompletion()).usage));
  return { saw: { elements: joined(elements), usage }, message: await stream.finalMessage() };
}

/** Chats; `more` are the daemon's own fields. */
async function chat(mode, ask, more) {
  const one = (name, content, options) =>
    say(`chat-${mode}-${name}`, async (name) => (await ask(name, [user(content)], { ...more, ...options })).saw);
  const seeded = { ...more, ...fixed };
  await one("default", SCENARIO.default);
  await one("draw", SCENARIO.draw, fixed);
  await one("story", SCENARIO.story, fixed);
  await one("see", see, { temperature: 0 });
  await say(`chat-${mode}-turns`, async (name) => {
    const messages = [user(SCENARIO.draw)];
    const { message } = await ask(name, messages, seeded);
    messages.push(message, user(SCENARIO.again));
    return (await ask(name, messages, seeded)).saw;
  });
  await one("error", SCENARIO.default, { temperature: 3 });
}

const responseUsage = (usage) => ({ input: usage.input_tokens, output: usage.output_tokens });

function items(output) {
  const elements = [];
  for (const item of output) {
    if (item.type === "message") elements.push(...item.content.map(({ text }) => ["text", text]));
    else if (item.type === "image_generation_call") elements.push(picture(item.result));
  }
  return joined(elements);
}

async function responseWhole(name, input, options) {
  const response = await client(name).responses.create({ model: MODEL, input, ...options });
  return { saw: { elements: items(response.output), usage: responseUsage(response.usage) }, response };
}

async function responseStream(name, input, options) {
  const stream = client(name).responses.stream({ model: MODEL, input, ...options });
  const elements = [];
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") elements.push(["text", event.delta]);
    else if (event.type === "response.image_generation_call.partial_image")
      elements.push(preview(event.partial_image_index, event.partial_image_b64));
    else if (event.type === "response.output_item.done" && event.item.type === "image_generation_call")
      elements.push(picture(event.item.result));
  }
  const response = await stream.finalResponse();
  return { saw: { elements: joined(elements), usage: responseUsage(response.usage) }, response };
}

async function responses(mode, ask) {
  const shown = (image_url) => ({ type: "input_image", image_url, detail: "auto" });
  const seen = [shown(first), { type: "input_text", text: SCENARIO.see }, shown(second)];
  const one = (name, input, options) =>
    say(`responses-${mode}-${name}`, async (name) => (await ask(name, input, options)).saw);
  await one("default", SCENARIO.default);
  await one("draw", SCENARIO.draw, fixed);
  await one("story", SCENARIO.story, fixed);
  await one("see", [user(seen)], { temperature: 0 });
  await say(`responses-${mode}-turns`, async (name) => {
    const input = [user(SCENARIO.draw)];
    input.push(...(await ask(name, input, fixed)).response.output, user(SCENARIO.again));
    return (await ask(name, input, fixed)).saw;
  });
  await say(`responses-${mode}-chain`, async (name) => {
    const { id } = (await ask(name, SCENARIO.draw, fixed)).response;
    return (await ask(name, SCENARIO.again, { previous_response_id: id, ...fixed })).saw;
  });
  await one("error", SCENARIO.default, { temperature: 3 });
  const tools = [{ type: "image_generation", partial_images: 2 }];
  if (mode === "stream") await one("previews", SCENARIO.draw, { tools, ...fixed });
}

const usage = (answer) => ({ input: answer.usage.input_tokens, output: answer.usage.output_tokens });

function imagesWhole(answer) {
  return { elements: answer.data.map((item) => picture(item.b64_json)), usage: usage(answer) };
}

async function imagesStream(stream) {
  const elements = [];
  let last;
  for await (const event of stream) {
    if (event.type.endsWith(".partial_image")) elements.push(preview(event.partial_image_index, event.b64_json));
    if (!event.type.endsWith(".completed")) continue;
    elements.push(picture(event.b64_json));
    last = event;
  }
  return { elements, usage: usage(last) };
}

async function images(surface) {
  const ask = async (name, options) => {
    if (surface === "generations") return client(name).images.generate({ model: MODEL, prompt: SCENARIO.draw, ...options });
    const bytes = Buffer.from(first.split(",")[1], "base64");
    const image = await toFile(bytes, "square.png", { type: "image/png" });
    return client(name).images.edit({ model: MODEL, image, prompt: SCENARIO.edit, ...options });
  };
  const seed = { seed: SCENARIO.seed };
  await say(`${surface}-whole-default`, async (name) => imagesWhole(await ask(name, {})));
  await say(`${surface}-whole-several`, async (name) => imagesWhole(await ask(name, { n: 2, ...seed })));
  await say(`${surface}-stream-draw`, async (name) => imagesStream(await ask(name, { stream: true, ...seed })));
  const previewed = { stream: true, partial_images: 2, ...seed };
  await say(`${surface}-stream-previews`, async (name) => imagesStream(await ask(name, previewed)));
  await say(`${surface}-whole-error`, async (name) => imagesWhole(await ask(name, { n: 99 })));
}

async function completions() {
  const usage = (answer) => ({ input: answer.usage.prompt_tokens, output: answer.usage.completion_tokens });
  const request = { model: MODEL, prompt: SCENARIO.raw };
  const whole = async (name, options) => {
    const answer = await client(name).completions.create({ ...request, ...options });
    return { elements: joined([["text", answer.choices[0].text]]), usage: usage(answer) };
  };
  await say("completions-whole-default", (name) => whole(name, {}));
  await say("completions-whole-text", (name) => whole(name, { temperature: 0 }));
  await say("completions-stream-text", async (name) => {
    const options = { temperature: 0, stream: true, stream_options: { include_usage: true } };
    const elements = [];
    let last;
    for await (const chunk of await client(name).completions.create({ ...request, ...options })) {
      for (const choice of chunk.choices) elements.push(["text", choice.text]);
      last = chunk;
    }
    return { elements: joined(elements), usage: usage(last) };
  });
  await say("completions-whole-error", (name) => whole(name, { temperature: 3 }));
}

const more = CLIENT.endsWith("-url") ? { image_delivery: "url" } : {};
await chat("whole", chatWhole, more);
await chat("stream", chatStream, more);
if (!CLIENT.endsWith("-url")) {
  await responses("whole", responseWhole);
  await responses("stream", responseStream);
  await images("generations");
  await images("edits");
  await completions();
}
