// The message being written: text with pictures standing in it. Knows the DOM it edits; not what becomes of it.

import { element } from "./element.js";
import { textOf } from "./exchange.js";
import { picturesOf } from "./picture_file.js";

/** How parts of a message lie in the clipboard. */
const ownFormat = "application/x-reverie-parts+json";

const isPicture = (url) => /^data:image\//.test(url);

export class Editor {
  /** `onFault(text)` hears of files that are no pictures. */
  constructor(box, onFault) {
    this.box = box;
    this.onFault = onFault;
    this.place = null; // where the caret was last, for pictures that come by a button
    try {
      box.contentEditable = "plaintext-only";
    } catch {
      box.contentEditable = "true";
    }
    document.addEventListener("selectionchange", () => this.#notePlace());
    box.addEventListener("input", () => this.#showEmptiness());
    box.addEventListener("paste", (event) => this.#paste(event));
    for (const act of ["copy", "cut"]) box.addEventListener(act, (event) => this.#copy(event));
    this.#takeDrops();
    this.#showEmptiness();
  }

  /** What stands in it, as parts; spaces around the whole are left out. */
  parts() {
    const parts = partsOf(this.box);
    if (parts[0]?.text !== undefined) parts[0].text = parts[0].text.trimStart();
    const last = parts.at(-1);
    if (last?.text !== undefined) last.text = last.text.trimEnd();
    return parts.filter((part) => part.text !== "");
  }

  /** Replaces what stands in it; the caret's place is behind it. */
  write(parts) {
    this.box.replaceChildren(...this.#nodes(parts));
    this.place = null;
    this.#showEmptiness();
  }

  focus() {
    this.box.focus();
    const range = this.place ?? this.#endOf();
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  /** Puts a picture where the caret is, or was. */
  insert(url, alt) {
    this.#put([this.#picture(url, alt)]);
  }

  #put(nodes) {
    const range = this.place && this.box.contains(this.place.startContainer) ? this.place : this.#endOf();
    range.deleteContents();
    for (const node of nodes) {
      range.insertNode(node);
      range.setStartAfter(node);
      range.collapse(true);
    }
    this.place = range;
    this.#showEmptiness();
    this.focus();
  }

  /** Puts picture files where the caret is, or was. */
  async insertFiles(files) {
    const { pictures, faults } = await picturesOf(files);
    for (const { url, name } of pictures) this.insert(url, name);
    if (faults.length > 0) this.onFault(faults.join(" "));
  }

  #notePlace() {
    const range = getSelection().rangeCount > 0 && getSelection().getRangeAt(0);
    if (range && this.box.contains(range.startContainer)) this.place = range.cloneRange();
  }

  #nodes(parts) {
    return parts.map((part) => ("text" in part ? document.createTextNode(part.text) : this.#picture(part.picture)));
  }

  #picture(url, alt = "Picture") {
    return element("img", { src: url, alt, title: "Backspace removes it", draggable: true });
  }

  #endOf() {
    const range = document.createRange();
    range.selectNodeContents(this.box);
    // A browser keeps a line break at the end of what was typed; the caret belongs before it.
    if (this.box.lastChild?.nodeName === "BR") range.setEndBefore(this.box.lastChild);
    range.collapse(false);
    return range;
  }

  #showEmptiness() {
    const empty = this.box.textContent.trim() === "" && !this.box.querySelector("img");
    this.box.classList.toggle("empty", empty);
  }

  #paste(event) {
    const { clipboardData: data } = event;
    const files = [...data.files];
    const own = partsIn(data.getData(ownFormat));
    // An office program lays a picture of the text beside the text.
    const ofText = data.types.includes("text/html") && data.getData("text/plain").trim() !== "";
    if (own === null && (files.length === 0 || ofText)) return;
    event.preventDefault();
    this.#notePlace(); // a browser tells late of a caret that moved
    if (own === null) this.insertFiles(files);
    else this.#put(this.#nodes(own));
  }

  /** Text is copied as everywhere; pictures among it only this editor understands. */
  #copy(event) {
    const selection = getSelection();
    const chosen = selection.rangeCount > 0 ? selection.getRangeAt(0).cloneContents() : new DocumentFragment();
    if (!chosen.querySelector("img")) return;
    event.preventDefault();
    const parts = partsOf(chosen);
    event.clipboardData.setData(ownFormat, JSON.stringify(parts));
    event.clipboardData.setData("text/plain", textOf(parts));
    if (event.type === "cut") document.execCommand("delete"); // as a key would, so that it can be undone
  }

  /** Files from outside, and pictures of this page, wherever they are dropped on it. */
  #takeDrops() {
    let dragged = null;
    addEventListener("dragstart", (event) => {
      // Only what could be sent: the page's own signs cannot.
      dragged = event.target instanceof HTMLImageElement && isPicture(event.target.src) ? event.target : null;
    });
    addEventListener("dragover", (event) => {
      if (!dragged && !event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    const over = () => document.body.classList.remove("dropping");
    addEventListener("dragleave", (event) => event.relatedTarget ?? over());
    addEventListener("dragend", () => {
      dragged = null;
      over();
    });
    addEventListener("drop", (event) => {
      over();
      const files = [...event.dataTransfer.files];
      if (!dragged && files.length === 0) return;
      event.preventDefault();
      this.place = this.#placeUnder(event) ?? this.place;
      if (!dragged) return this.insertFiles(files);
      const { src, alt } = dragged;
      if (this.box.contains(dragged)) dragged.remove();
      dragged = null;
      return this.insert(src, alt);
    });
  }

  #placeUnder({ clientX, clientY }) {
    const position = document.caretPositionFromPoint?.(clientX, clientY);
    const range = document.createRange();
    if (position) range.setStart(position.offsetNode, position.offset);
    const found = position ? range : document.caretRangeFromPoint?.(clientX, clientY);
    return found && this.box.contains(found.startContainer) ? found : null;
  }
}

/** The parts that stand in `root`: its texts, and its pictures between them. */
function partsOf(root) {
  const parts = [];
  const addText = (text) => {
    if (parts.at(-1)?.text === undefined) parts.push({ text: "" });
    parts.at(-1).text += text;
  };
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) addText(node.data.replaceAll("\u00a0", " "));
    else if (node.nodeName === "IMG") parts.push({ picture: node.src });
    else if (node.nodeName === "BR") addText("\n");
    else {
      if (node !== root && node.previousSibling) addText("\n"); // a browser's own paragraphs
      node.childNodes.forEach(walk);
    }
  };
  walk(root);
  return parts;
}

/** The parts that were copied, or null: anybody may write into a clipboard. */
function partsIn(copied) {
  try {
    const parts = JSON.parse(copied);
    return parts.every((part) => typeof part.text === "string" || isPicture(part.picture)) ? parts : null;
  } catch {
    return null;
  }
}
