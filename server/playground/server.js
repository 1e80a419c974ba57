// The server as the page sees it: what it serves, and answers as they come. Knows the wire, not the page.

import { events } from "./event_stream.js";

/** Something that went wrong, as facts. `status` is null where the server could not be asked at all. */
export class Fault extends Error {
  constructor(message, { status = null, code = null, param = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, param, retryAfter });
  }

  /** One line: what happened, and where to look. */
  get facts() {
    const where = [this.status, this.code, this.param && `in ${this.param}`].filter(Boolean).join(", ");
    const wait = this.retryAfter ? ` Try again in ${this.retryAfter} s.` : "";
    return (where ? `${this.message} (${where}).` : `${this.message}.`) + wait;
  }
}

const keyName = "reverie-api-key";
export const apiKey = {
  get: () => sessionStorage.getItem(keyName),
  set: (key) => sessionStorage.setItem(keyName, key),
};

/** Where a route is, also when the server stands behind a path of another one. */
export const address = (route) => new URL(route, document.baseURI).href;

async function ask(route, options = {}) {
  const headers = { "content-type": "application/json" };
  if (apiKey.get()) headers.authorization = `Bearer ${apiKey.get()}`;
  const response = await fetch(address(route), { ...options, headers }).catch((error) => {
    throw error.name === "AbortError" ? error : new Fault("the server cannot be reached");
  });
  if (response.ok) return response;
  const { error = {} } = await response.json().catch(() => ({}));
  throw new Fault(error.message ?? response.statusText, {
    status: response.status, code: error.code, param: error.param, retryAfter: response.headers.get("retry-after"),
  });
}

/** The cards of `/v1/models`. */
export const models = async () => (await (await ask("v1/models")).json()).data;

/** `/v1/capabilities`. */
export const capabilities = async () => (await ask("v1/capabilities")).json();

/** Of each picture, at most: enough for it to seem to develop. */
const previews = 16;

/**
 * Asks for an answer and yields what arrives, in order: `{ text }`, `{ progress: { index, step, num_steps, preview } }`,
 * `{ picture: url }`, and last `{ end: { reason, effective, usage, provenance } }`.
 */
export async function* answer(request, signal) {
  const shown = { stream: true, stream_options: { include_usage: true }, progress: { previews } };
  const body = JSON.stringify({ ...request, ...shown });
  const response = await ask("v1/chat/completions", { method: "POST", body, signal });
  const end = {};
  for await (const { name, data } of events(response.body)) {
    if (data === "[DONE]") {
      yield { end };
      return;
    }
    const chunk = JSON.parse(data);
    if (name === "error") throw new Fault(chunk.error.message, { code: chunk.error.code, param: chunk.error.param });
    const choice = chunk.choices[0] ?? {};
    const delta = choice.delta ?? {};
    if (delta.content) yield { text: delta.content };
    if (chunk.progress) yield { progress: chunk.progress };
    for (const image of delta.images ?? []) yield { picture: image.image_url.url };
    if (choice.finish_reason) end.reason = choice.finish_details?.type ?? choice.finish_reason;
    for (const fact of ["effective", "usage", "provenance"]) if (chunk[fact]) end[fact] = chunk[fact];
  }
  throw new Fault("the stream ended before the answer did");
}
