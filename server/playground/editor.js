// The message being written: text with pictures standing in it. Knows the DOM it edits; not what becomes of it.

import { element } from "./element.js";
import { picturesOf } from "./picture_file.js";

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
    document.addEventListener("selectionchange", () => {
      const range = getSelection().rangeCount > 0 && getSelection().getRangeAt(0);
      if (range && box.contains(range.startContainer)) this.place = range.cloneRange();
    });
    box.addEventListener("input", () => this.#showEmptiness());
    box.addEventListener("paste", (event) => this.#paste(event));
    this.#takeDrops();
    this.#showEmptiness();
  }

  /** What stands in it, as parts; spaces around the whole are left out. */
  parts() {
    const parts = [{ text: "" }];
    const addText = (text) => {
      if (parts.at(-1).text === undefined) parts.push({ text: "" });
      parts.at(-1).text += text;
    };
    const walk = (node) => {
      if (node.nodeType === Node.TEXT_NODE) addText(node.data.replaceAll("\u00a0", " "));
      else if (node.nodeName === "IMG") parts.push({ picture: node.src });
      else if (node.nodeName === "BR") addText("\n");
      else {
        if (node !== this.box && node.previousSibling) addText("\n"); // a browser's own paragraphs
        node.childNodes.forEach(walk);
      }
    };
    walk(this.box);
    if (parts[0].text !== undefined) parts[0].text = parts[0].text.trimStart();
    const last = parts.at(-1);
    if (last.text !== undefined) last.text = last.text.trimEnd();
    return parts.filter((part) => part.text !== "");
  }

  /** Replaces what stands in it, and puts the caret behind it. */
  write(parts) {
    this.box.replaceChildren(...parts.map((part) => ("text" in part ? part.text : this.#picture(part.picture))));
    this.place = null;
    this.#showEmptiness();
    this.focus();
  }

  focus() {
    this.box.focus();
    const range = this.place ?? this.#endOf();
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  /** Puts pictures where the caret is, or was. */
  insert(urls, alt) {
    for (const url of urls) {
      const range = this.place && this.box.contains(this.place.startContainer) ? this.place : this.#endOf();
      const picture = this.#picture(url, alt);
      range.deleteContents();
      range.insertNode(picture);
      range.setStartAfter(picture);
      range.collapse(true);
      this.place = range;
    }
    this.#showEmptiness();
    this.focus();
  }

  /** Puts picture files where the caret is, or was. */
  async insertFiles(files) {
    const { pictures, faults } = await picturesOf(files);
    for (const { url, name } of pictures) this.insert([url], name);
    if (faults.length > 0) this.onFault(faults.join(" "));
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
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    this.insertFiles(files);
  }

  /** Files from outside, and pictures of this page, wherever they are dropped on it. */
  #takeDrops() {
    let dragged = null;
    addEventListener("dragstart", (event) => {
      dragged = event.target instanceof HTMLImageElement ? event.target : null;
    });
    addEventListener("dragover", (event) => {
      if (!dragged && !event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    const over = () => document.body.classList.remove("dropping");
    addEventListener("dragleave", (event) => event.relatedTarget ?? over());
    addEventListener("dragend", over);
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
      return this.insert([src], alt);
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
