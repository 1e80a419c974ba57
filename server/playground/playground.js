// The page: what happens when. Everything else is done by the modules named after it.

import { documentFile } from "./document_file.js";
import { Editor } from "./editor.js";
import { announce, byId, element } from "./element.js";
import { examplesFor } from "./examples.js";
import { appendText, countPictures, described, isEmpty, lastWords, messages, newExchange } from "./exchange.js";
import { ExchangeView } from "./exchange_view.js";
import * as follow from "./follow.js";
import { fillGallery } from "./gallery.js";
import * as notebook from "./notebook.js";
import { notice } from "./notice.js";
import { Parameters } from "./parameters.js";
import { showRequest } from "./request_dialog.js";
import { answer, apiKey, capabilities, Fault, models } from "./server.js";

const editor = new Editor(byId("editor"), notice);
const parameters = new Parameters(byId("parameter-form"));
const views = new WeakMap(); // of exchanges
let { exchanges, draft } = notebook.load(); // `draft`: what stood in the editor when an earlier question came into it
let edited = null; // the exchange whose question stands in the editor
let running = null; // stops what is being asked
let leaving = false; // whether another page is on its way
let served = false; // whether the server has said what it serves
let kept = true; // whether there was room for the document

// --- Asking ---

/** Asks `question` after the first `from` exchanges; what stood there and after is replaced. */
async function ask(question, from, { overrides = {}, written = false } = {}) {
  if (isEmpty(question) || !(served || await begin()) || busy() || !parametersHold()) return;
  const before = exchanges;
  const wishes = withoutEmpty({ ...parameters.values(), ...overrides });
  // With a seed of the page's own an answer can be made again also if it is stopped before the server says its seed.
  const asked = messages(before.slice(0, from), question);
  const exchange = newExchange(question, { seed: drawSeed(), ...wishes, provenance: true, messages: asked });
  notice();
  if (written) leaveEditing();
  show([...before.slice(0, from), exchange]);
  if (before.length > from) offerUndo("What stood there was replaced.", before);
  if (!document.activeElement.checkVisibility() || document.activeElement === document.body) editor.focus(); // what was pressed is gone
  announce("Asked.");
  follow.begin();
  await listen(exchange, views.get(exchange));
  follow.end();
}

/** Whether an answer is still being made, which is said then. */
function busy() {
  if (running) notice("An answer is still being made.", { "Stop it": () => running?.abort() });
  return Boolean(running);
}

/** Whether every parameter can be meant; the browser says which cannot, once it is seen. */
function parametersHold() {
  if (parameters.hold()) return true;
  showParameters(true);
  parameters.complain();
  return false;
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
        keep();
      }
      if (event.end) Object.assign(growing, event.end, { state: "whole" });
      view.update();
    }
    parameters.showDefaults(growing.effective ?? {});
    announce(`${lastWords(growing.parts)} End of the answer.`);
  }, (fault) => {
    growing.state = fault ? "failed" : "stopped";
    growing.fault = fault?.facts;
  });
  view.update();
  keep();
}

/** Draws one picture of an answer again: the same request with other noise, as far as that picture. */
async function redraw({ answer: made }, view, part) {
  if (busy()) return;
  notice();
  const imageSeed = drawSeed();
  const request = { ...made.request, image_seed: imageSeed };
  let left = countPictures(made.parts.slice(0, made.parts.indexOf(part)));
  let said = "";
  view.showPicture(part, { redrawing: true });
  await whileRunning(async (signal) => {
    for await (const { picture } of answer(request, signal)) {
      if (picture === undefined || left-- > 0) continue;
      Object.assign(part, { picture, imageSeed });
      announce("Drawn again.");
      return;
    }
    throw new Fault("with other noise the answer has no such picture");
  }, (fault) => {
    said = fault?.facts;
  });
  view.showPicture(part, { fault: said });
  keep();
}

/** Runs `work`, which Stop ends. Why it did not come to its end is said, and `onEnd(fault)` hears it: nothing if it was stopped. */
async function whileRunning(work, onEnd) {
  running = new AbortController();
  showRunning();
  try {
    await work(running.signal);
  } catch (error) {
    const fault = reasonOf(error);
    onEnd(fault);
    announce(fault ? fault.facts : "Stopped.");
    if (fault?.status === 401) askForKey();
  } finally {
    running.abort(); // what was not read to its end is not written to its end either
    running = null;
    showRunning();
  }
}

function reasonOf(error) {
  if (error.name === "AbortError" || leaving) return null;
  return error instanceof Fault ? error : new Fault(`the connection broke: ${error.message}`);
}

// --- Showing ---

/** Shows these exchanges; what stays of those before is left as it stands. */
function show(wanted) {
  exchanges = wanted;
  if (edited && !exchanges.includes(edited)) leaveEditing();
  const roots = exchanges.map((exchange) => viewOf(exchange).root);
  const list = byId("document");
  for (const old of [...list.children]) if (!roots.includes(old)) old.remove();
  list.append(...roots.filter((root) => !root.isConnected));
  const empty = exchanges.length === 0;
  byId("welcome").hidden = !empty;
  byId("new-document").hidden = empty;
  byId("download").hidden = empty;
  keep();
}

function viewOf(exchange) {
  const view = views.get(exchange) ?? new ExchangeView(exchange, {
    edit: () => busy() || edit(exchange),
    regenerate: () => ask(exchange.question, exchanges.indexOf(exchange), { overrides: { seed: undefined } }),
    redraw: (part) => redraw(exchange, view, part),
    reuse: (seed) => (parameters.set("seed", seed), showParameters(true)),
    take: (url) => editor.insert(url),
    showRequest: () => showRequest(exchange.answer),
  });
  views.set(exchange, view);
  return view;
}

/** Says `text`, and that the exchanges `before` can be had back. */
function offerUndo(text, before) {
  notice(text, {
    Undo: () => {
      running?.abort();
      show(before);
    },
  });
}

function showRunning() {
  const stopped = document.activeElement === byId("stop");
  byId("stop").hidden = !running;
  byId("send").hidden = Boolean(running);
  if (stopped) byId("send").focus(); // it stands where the pressed one stood
  document.body.classList.toggle("running", Boolean(running));
}

/** Puts an earlier question into the editor; what is being written there comes back afterwards. */
function edit(exchange) {
  if (edited === null) draft = editor.parts();
  edited = exchange;
  byId("editing").hidden = false;
  editor.write(exchange.question);
  editor.focus();
}

/** What stands in the editor is done with; what stood there before an earlier question is there again. */
function leaveEditing() {
  edited = null;
  byId("editing").hidden = true;
  editor.write(draft);
  editor.focus();
  draft = [];
}

function keep() {
  const before = kept;
  kept = notebook.save({ exchanges, draft: edited === null ? editor.parts() : draft });
  if (before && !kept) notice("From here on this document is too large to be kept over a reload.");
}

const main = document.querySelector("main");

/** Where the parameters stand before the document instead of beside it. */
const narrow = matchMedia("(max-width: 60rem)");

function showParameters(open) {
  byId("parameters").hidden = !open;
  for (const covered of main.children) covered.inert = open && narrow.matches;
  byId("parameters-toggle").setAttribute("aria-expanded", open);
  document.body.classList.toggle("with-parameters", open);
}

function closeParameters() {
  showParameters(false);
  byId("parameters-toggle").focus();
}

function download(format) {
  const { name, text, type } = documentFile(format, exchanges);
  const href = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
  byId("download").open = false;
}

// --- Beginning ---

/** Asks the server what it serves; whether it said so. */
async function begin() {
  try {
    const [cards, { defaults, limits }] = await Promise.all([models(), capabilities()]);
    byId("model-name").textContent = cards[0].id;
    parameters.describe(cards, { ...defaults, max_images: limits.max_images });
    fillGallery(byId("gallery"), examplesFor(cards[0]), (question) => ask(question, 0));
    byId("built-in-note").hidden = !cards[0].built_in;
    byId("other-note").hidden = cards[0].built_in;
    served = true;
    if (!byId("key-form").hidden) editor.focus();
    byId("key-form").hidden = true;
  } catch (fault) {
    if (fault.status === 401) askForKey();
    else notice(fault.facts ?? String(fault), { "Try again": begin });
  }
  return served;
}

/** Asks for a key; where one was given already, it says that it is not taken. */
function askForKey() {
  const refused = apiKey.get() !== null;
  served = false;
  byId("key-form").hidden = false;
  byId("key-fault").textContent = refused ? "The server does not take this key." : "";
  byId("key").setAttribute("aria-invalid", refused);
  byId("key").focus();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey.set(byId("key").value.trim());
  begin();
});
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(editor.parts(), edited ? exchanges.indexOf(edited) : exchanges.length, { written: true });
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
  } else if (byId("parameters").contains(document.activeElement)) closeParameters();
  else if (running) running.abort();
  else if (edited !== null) leaveEditing();
});
addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(target)) menu.open = false;
  // What is covered takes no clicks; they come from what is around it.
  if (!byId("parameters").hidden && narrow.matches && target.contains(main)) closeParameters();
});
// A browser breaks connections of a page that is being left before it hides it; that is no fault.
addEventListener("beforeunload", () => {
  leaving = true;
  setTimeout(() => {
    leaving = false; // where it came to nothing, as with a file to download
  }, 1000);
});
addEventListener("pagehide", () => {
  running?.abort();
  keep();
});
narrow.addEventListener("change", () => showParameters(!byId("parameters").hidden));
byId("stop").addEventListener("click", () => running?.abort());
byId("keep").addEventListener("click", leaveEditing);
byId("attach").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", async ({ target }) => {
  await editor.insertFiles([...target.files]);
  target.value = "";
});
byId("new-document").addEventListener("click", () => {
  const before = exchanges;
  running?.abort();
  show([]);
  editor.focus();
  offerUndo("The document is gone.", before);
});
byId("download").addEventListener("click", ({ target }) => target.dataset.file && download(target.dataset.file));
byId("parameters-toggle").addEventListener("click", () => {
  showParameters(byId("parameters").hidden);
  if (!byId("parameters").hidden) byId("parameter-model").focus({ preventScroll: true }); // they stand after the document
});
byId("parameters-close").addEventListener("click", closeParameters);
new ResizeObserver(([{ target }]) => {
  document.documentElement.style.setProperty("--composer", `${target.offsetHeight}px`); // what has the focus stays above it
}).observe(byId("composer"));

follow.watch(byId("document"));
editor.write(draft);
draft = [];
show(exchanges);
begin();
