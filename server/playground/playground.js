// The page: what happens when. Everything else is done by the modules named after it.

import { documentFile } from "./document_file.js";
import { Editor } from "./editor.js";
import { announce, byId, element } from "./element.js";
import { examplesFor } from "./examples.js";
import { appendText, countPictures, described, isEmpty, lastWords, messages, newExchange, requestsOf } from "./exchange.js";
import { ExchangeView } from "./exchange_view.js";
import { fillGallery } from "./gallery.js";
import * as notebook from "./notebook.js";
import { Parameters } from "./parameters.js";
import { code } from "./request_code.js";
import { address, answer, apiKey, capabilities, Fault, models } from "./server.js";

const editor = new Editor(byId("editor"), announce);
const parameters = new Parameters(byId("parameter-form"));
let exchanges = notebook.load();
let edited = null; // the exchange whose question stands in the editor
let running = null; // stops what is being asked

// --- Asking ---

/** Asks `question` after the first `from` exchanges; what stood there and after is replaced. */
async function ask(question, from, overrides = {}) {
  if (running || isEmpty(question) || !parameters.check()) return;
  const before = exchanges.slice(0, from);
  const wishes = withoutEmpty({ ...parameters.values(), ...overrides });
  // With a seed of the page's own an answer can be made again also if it is stopped before the server says its seed.
  const request = { seed: drawSeed(), ...wishes, provenance: true, messages: messages(before, question) };
  const exchange = newExchange(question, request);
  exchanges = [...before, exchange];
  edit(null);
  const view = showDocument().at(-1);
  view.root.scrollIntoView({ block: "start" });
  announce("Asked.");
  await listen(exchange, view);
}

const drawSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];

const withoutEmpty = (request) => Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));

/** Lets the answer grow until its end, a fault, or a wish to stop. What is whole of it is read out as it comes. */
async function listen(exchange, view) {
  const growing = exchange.answer;
  await whileRunning(async (signal) => {
    for await (const event of answer(growing.request, signal)) {
      if (event.progress) {
        view.showProgress(event.progress);
        continue;
      }
      if (event.text) appendText(growing.parts, event.text);
      if (event.picture) {
        growing.parts.push({ picture: event.picture });
        announce(described(exchange, growing.parts.at(-1)));
      }
      if (event.end) Object.assign(growing, event.end, { state: "whole" });
      following(() => view.update());
    }
    parameters.showDefaults(growing.effective ?? {});
    announce(`${lastWords(growing.parts)} End of the answer.`);
  }, (fault) => {
    growing.state = fault ? "failed" : "stopped";
    growing.fault = fault?.facts;
    announce(fault ? fault.facts : "Stopped.");
    if (fault?.status === 401) askForKey();
  });
  view.update();
  keep();
}

/** Draws one picture of an answer again: the same request with other noise, as far as that picture. */
async function redraw({ answer: made }, view, part) {
  if (running) return;
  const imageSeed = drawSeed();
  const request = { ...made.request, image_seed: imageSeed };
  let left = countPictures(made.parts.slice(0, made.parts.indexOf(part)));
  made.fault = undefined;
  part.redrawing = true;
  view.render();
  await whileRunning(async (signal) => {
    for await (const { picture } of answer(request, signal)) {
      if (picture === undefined || left-- > 0) continue;
      Object.assign(part, { picture, imageSeed });
      announce("Drawn again.");
      return;
    }
    throw new Fault("with other noise the answer has no such picture");
  }, (fault) => {
    made.fault = fault?.facts;
    announce(fault ? fault.facts : "Stopped.");
  });
  delete part.redrawing;
  view.render();
  keep();
}

/** Runs `work`, which Stop ends; `onEnd(fault)` hears why it did not come to its end: nothing if it was stopped. */
async function whileRunning(work, onEnd) {
  running = new AbortController();
  showRunning();
  try {
    await work(running.signal);
  } catch (error) {
    if (error.name === "AbortError") onEnd(null);
    else onEnd(error instanceof Fault ? error : new Fault(`the connection broke: ${error.message}`));
  } finally {
    running.abort(); // what was not read to its end is not written to its end either
    running = null;
    showRunning();
  }
}

// --- Showing ---

function showDocument() {
  const views = exchanges.map((exchange, at) => {
    const view = new ExchangeView(exchange, {
      edit: () => running || edit(at),
      regenerate: () => ask(exchange.question, at, { seed: undefined }),
      redraw: (part) => redraw(exchange, view, part),
      reuse: (seed) => (parameters.set("seed", seed), showParameters(true)),
      take: (url) => editor.insert([url]),
      showRequest: () => showRequest(exchange.answer),
    });
    return view;
  });
  byId("document").replaceChildren(...views.map(({ root }) => root));
  const empty = exchanges.length === 0;
  byId("welcome").hidden = !empty;
  byId("new-document").hidden = empty;
  byId("download").hidden = empty;
  return views;
}

/** Grows the page and stays at its end, if that is where the reader was. */
function following(grow) {
  const root = document.documentElement;
  const atEnd = root.scrollHeight - root.scrollTop - root.clientHeight < 80;
  grow();
  if (atEnd) root.scrollTop = root.scrollHeight;
}

function showRunning() {
  byId("stop").hidden = !running;
  byId("send").hidden = Boolean(running);
  document.body.classList.toggle("running", Boolean(running));
}

/** Puts an earlier question into the editor, or with null an empty one. */
function edit(at) {
  edited = at;
  byId("editing").hidden = at === null;
  editor.write(at === null ? [] : exchanges[at].question);
}

function keep() {
  if (!notebook.save(exchanges)) announce("Too large to be kept over a reload.");
}

function showParameters(open) {
  byId("parameters").hidden = !open;
  byId("parameters-toggle").setAttribute("aria-expanded", open);
  document.body.classList.toggle("with-parameters", open);
}

function closeParameters() {
  showParameters(false);
  byId("parameters-toggle").focus();
}

/** The code that makes an answer again; where no one request does, of which part of it is a choice. */
function showRequest(answer) {
  const requests = requestsOf(answer);
  const choices = requests.map(({ label }, at) => {
    const input = element("input", { type: "radio", name: "made", value: at, checked: at === requests.length - 1 });
    return element("label", {}, input, label);
  });
  byId("request-made").replaceChildren(byId("request-made").querySelector("legend"), ...choices);
  byId("request-made").hidden = requests.length === 1;
  const write = () => {
    const language = document.querySelector("[name=language]:checked").value;
    const { request } = requests[document.querySelector("[name=made]:checked").value];
    byId("request-code").value = code(language, withoutEmpty(request), address("v1"), apiKey.get() !== null);
    byId("copy").textContent = "Copy";
  };
  byId("request").onchange = write;
  write();
  byId("request").showModal();
}

async function copy() {
  byId("request-code").select();
  // Without a secure connection there is no clipboard; what is selected can still be copied by hand.
  const copied = await navigator.clipboard?.writeText(byId("request-code").value).then(() => true, () => false);
  byId("copy").textContent = copied ? "Copied" : "Selected: copy it with the keyboard";
}

function download(format) {
  const { name, text, type } = documentFile(format, exchanges);
  const href = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
  byId("download").open = false;
}

// --- Beginning ---

async function begin() {
  try {
    const [cards, { defaults, limits }] = await Promise.all([models(), capabilities()]);
    byId("key-form").hidden = true;
    byId("model-name").textContent = cards[0].id;
    parameters.describe(cards, { ...defaults, max_images: limits.max_images });
    fillGallery(byId("gallery"), examplesFor(cards[0]), (question) => ask(question, 0));
    byId("built-in-note").hidden = !cards[0].built_in;
    byId("other-note").hidden = cards[0].built_in;
  } catch (fault) {
    byId("model-name").textContent = fault.facts ?? String(fault);
    if (fault.status === 401) askForKey();
  }
}

function askForKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey.set(byId("key").value);
  begin();
});
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(editor.parts(), edited ?? exchanges.length);
});
byId("editor").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("composer").requestSubmit();
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  const menu = document.querySelector(".menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  } else if (running) running.abort();
  else if (byId("parameters").contains(document.activeElement)) closeParameters();
  else if (edited !== null) edit(null);
});
addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
byId("stop").addEventListener("click", () => running?.abort());
byId("keep").addEventListener("click", () => edit(null));
byId("attach").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", async ({ target }) => {
  await editor.insertFiles([...target.files]);
  target.value = "";
});
byId("new-document").addEventListener("click", () => {
  running?.abort();
  exchanges = [];
  keep();
  edit(null);
  showDocument();
});
byId("download").addEventListener("click", ({ target }) => target.dataset.file && download(target.dataset.file));
byId("parameters-toggle").addEventListener("click", () => {
  showParameters(byId("parameters").hidden);
  if (!byId("parameters").hidden) byId("parameter-model").focus({ preventScroll: true }); // they stand after the document
});
byId("parameters-close").addEventListener("click", closeParameters);
byId("copy").addEventListener("click", copy);
document.querySelector("[data-close]").addEventListener("click", () => byId("request").close());

showDocument();
begin();
