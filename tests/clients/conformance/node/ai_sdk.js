// Vercel's AI SDK, unmodified, as a person uses it, through the provider that CLIENT names: messages in, the
// response's messages appended to them.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateImage, generateText, streamText } from "ai";

import { MODEL, SCENARIO, address, joined, picture, preview, say } from "./report.js";

globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = (name) => createOpenAI({ baseURL: address(name), apiKey: "none" });
const compatible = (name) => createOpenAICompatible({ name: "reverie", baseURL: address(name), includeUsage: true });
const openrouter = (name) => createOpenRouter({ baseURL: address(name), apiKey: "none", compatibility: "strict" });

const PROVIDERS = {
  "ai-sdk-openai": {
    responses: (name) => openai(name)(MODEL),
    images: (name) => openai(name).imageModel(MODEL),
    settings: {},
  },
  "ai-sdk-openai-store-false": {
    responses: (name) => openai(name)(MODEL),
    settings: { providerOptions: { openai: { store: false } } },
  },
  "ai-sdk-openai-store-false-resent": {
    resent: (name) => openai(name)(MODEL),
    settings: { providerOptions: { openai: { store: false } } },
  },
  "ai-sdk-openai-chat": { chat: (name) => openai(name).chat(MODEL) },
  "ai-sdk-openai-compatible": {
    chat: (name) => compatible(name).chatModel(MODEL),
    images: (name) => compatible(name).imageModel(MODEL),
  },
  "ai-sdk-openai-compatible-markdown": {
    chat: (name) => compatible(name).chatModel(MODEL),
    settings: { providerOptions: { reverie: { image_delivery: "markdown" } } },
  },
  "openrouter-ai-sdk-provider": { chat: (name) => openrouter(name).chat(MODEL) },
  "openrouter-ai-sdk-provider-markdown": {
    chat: (name) => openrouter(name).chat(MODEL),
    settings: { providerOptions: { openrouter: { image_delivery: "markdown" } } },
  },
  "openrouter-ai-sdk-provider-url": {
    chat: (name) => openrouter(name).chat(MODEL),
    settings: { providerOptions: { openrouter: { image_delivery: "url" } } },
  },
};

const user = (content) => ({ role: "user", content });
const image = (url) => ({ type: "image", image: url });
const [first, second] = SCENARIO.pictures;
const see = [image(first), { type: "text", text: SCENARIO.see }, image(second)];
const options = { maxRetries: 0 };

const tokens = (usage) => ({ input: usage.inputTokens, output: usage.outputTokens });

/** What the SDK gives a person to show, in its order. */
function element(part) {
  if (part.type === "text") return ["text", part.text];
  if (part.type === "file") {
    const { base64 } = part.file;
    return base64.startsWith("http") ? ["address", base64] : picture(part.file.uint8Array);
  }
  if (part.type === "tool-result" && !part.preliminary) return picture(part.output.result);
  return ["text", ""];
}

const results = (content) => content.filter(({ type }) => type === "tool-result").map(({ output }) => output.result);

async function whole(model, messages, settings) {
  const result = await generateText({ model, messages, ...options, ...settings });
  const saw = { elements: joined(result.content.map(element)), usage: tokens(result.usage) };
  return { saw, messages: result.response.messages, pictures: results(result.content) };
}

async function stream(model, messages, settings) {
  let failure = null;
  const onError = ({ error }) => (failure = error);
  const result = streamText({ model, messages, onError, ...options, ...settings });
  const elements = [];
  let previews = 0;
  for await (const part of result.fullStream) {
    if (part.type === "text-delta") elements.push(["text", part.text]);
    else if (part.preliminary) elements.push(preview(previews++, part.output.result));
    else elements.push(element(part));
  }
  if (failure) throw failure;
  const saw = { elements: joined(elements), usage: tokens(await result.usage) };
  return { saw, messages: (await result.response).messages, pictures: results(await result.content) };
}

async function documents(surface, mode, ask, model, settings) {
  const one = (name, content, more) =>
    say(`${surface}-${mode}-${name}`, async (name) => {
      return (await ask(model(name), [user(content)], { ...settings, ...more })).saw;
    });
  const fixed = { ...settings, temperature: 0 };
  await one("default", SCENARIO.default, {});
  await one("draw", SCENARIO.draw, fixed);
  await one("story", SCENARIO.story, fixed);
  await one("see", see, fixed);
  await say(`${surface}-${mode}-turns`, async (name) => {
    const messages = [user(SCENARIO.draw)];
    messages.push(...(await ask(model(name), messages, fixed)).messages, user(SCENARIO.again));
    return (await ask(model(name), messages, fixed)).saw;
  });
  await one("error", SCENARIO.default, { temperature: 3 });
}

/** The second turn of who gives the picture back by hand, for the provider does not. */
async function resent(mode, ask, model, settings) {
  const fixed = { ...settings, temperature: 0 };
  await say(`responses-${mode}-resent`, async (name) => {
    const messages = [user(SCENARIO.draw)];
    const answer = await ask(model(name), messages, fixed);
    messages.push(...answer.messages, user([...answer.pictures.map(image), { type: "text", text: SCENARIO.again }]));
    return (await ask(model(name), messages, fixed)).saw;
  });
}

async function previews(model, settings) {
  const tools = { image_generation: createOpenAI().tools.imageGeneration({ partialImages: 2 }) };
  await say("responses-stream-previews", async (name) => {
    return (await stream(model(name), [user(SCENARIO.draw)], { ...settings, tools, temperature: 0 })).saw;
  });
}

async function images(model) {
  const drawn = async (name, more) => {
    const { images, usage } = await generateImage({ model: model(name), prompt: SCENARIO.draw, ...options, ...more });
    return { elements: images.map((image) => picture(image.uint8Array)), usage: tokens(usage) };
  };
  const seed = { seed: SCENARIO.seed };
  await say("generations-whole-default", (name) => drawn(name, {}));
  await say("generations-whole-several", (name) => drawn(name, { n: 2, maxImagesPerCall: 2, ...seed }));
  await say("generations-whole-error", (name) => drawn(name, { size: "7x7" }));
  await say("edits-whole-several", (name) => {
    const pictures = [Buffer.from(first.split(",")[1], "base64")];
    return drawn(name, { prompt: { text: SCENARIO.edit, images: pictures }, n: 2, maxImagesPerCall: 2 });
  });
}

const provider = PROVIDERS[process.env.CLIENT];
if (provider.chat) {
  await documents("chat", "whole", whole, provider.chat, provider.settings ?? {});
  await documents("chat", "stream", stream, provider.chat, provider.settings ?? {});
}
if (provider.responses) {
  await documents("responses", "whole", whole, provider.responses, provider.settings);
  await documents("responses", "stream", stream, provider.responses, provider.settings);
  await previews(provider.responses, provider.settings);
}
if (provider.resent) {
  await resent("whole", whole, provider.resent, provider.settings);
  await resent("stream", stream, provider.resent, provider.settings);
}
if (provider.images) await images(provider.images);
