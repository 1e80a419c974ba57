// What every client on Node shares: what it is asked to do, where, and how it says what a person using it got.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const { BASE, CLIENT: name, MODEL: served, SCENARIO: file } = process.env;

export const CLIENT = name;
export const MODEL = served;
export const SCENARIO = JSON.parse(readFileSync(file, "utf8"));

/** Where a case is sent to: a client appends its routes to this, as to any server's `/v1`. */
export const address = (name) => `${BASE}/${CLIENT}/${name}/v1`;

/**
 * A picture's file, from bytes or from base64 with or without a data URL's prefix: ["image", its SHA-256]. Of a picture that is
 * elsewhere, the address, until it is followed.
 */
export function picture(data) {
  if (typeof data === "string" && data.startsWith("http")) return ["image", data];
  const bytes = typeof data === "string" ? Buffer.from(data.slice(data.lastIndexOf(",") + 1), "base64") : data;
  return ["image", createHash("sha256").update(bytes).digest("hex")];
}

/** What a picture will be like: `index` is the client's. */
export const preview = (index, data) => [`preview ${index}`, picture(data)[1]];

async function followed(element) {
  if (element[0] !== "image" || !element[1].startsWith("http")) return element;
  return picture(new Uint8Array(await (await fetch(element[1])).arrayBuffer()));
}

/** Neighbouring texts made one. */
export function joined(elements) {
  const document = [];
  for (const [kind, value] of elements) {
    const last = document.at(-1);
    if (kind === "text" && last?.[0] === "text") last[1] += value;
    else if (value) document.push([kind, value]);
  }
  return document;
}

/** Carries a case out and says what was seen; what the client throws is seen, too. */
export async function say(name, act) {
  let saw;
  try {
    saw = await act(name);
    saw.elements = await Promise.all(saw.elements.map(followed));
  } catch (error) {
    const body = error.data?.error ?? error;
    saw = {
      raised: error.constructor.name,
      status: error.status ?? error.statusCode ?? null,
      code: body.code ?? null,
      param: body.param ?? null,
      message: error.message,
    };
    if (saw.status === null) saw.trace = error.stack;
  }
  console.log(JSON.stringify({ client: CLIENT, case: name, saw }));
}
