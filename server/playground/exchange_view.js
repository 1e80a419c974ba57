// One exchange on the page: the question, and the answer as it grows. Shows data and hands wishes on; asks no server.

import { button, element } from "./element.js";
import { countPictures, described, drawnAgain } from "./exchange.js";

/** Silence after which something slower than text is surely being made, milliseconds. */
const quietAfter = 250;

const reasons = {
  max_tokens: "Ended at the most tokens that were allowed.",
  max_images: "Ended before a picture beyond the most that were allowed.",
  context_full: "Ended because the context is full.",
};

export class ExchangeView {
  /** `wishes`: `edit`, `regenerate`, `redraw(part)`, `reuse(seed)`, `take(url)`, `showRequest`. */
  constructor(exchange, wishes) {
    this.exchange = exchange;
    this.wishes = wishes;
    this.body = element("div", { className: "answer" });
    this.body.setAttribute("aria-label", "Answer");
    this.body.setAttribute("role", "group");
    this.foot = element("div", { className: "foot" });
    this.pending = element("div", { className: "pending", data: { kind: "text" } });
    this.root = element("article", { className: "exchange" }, this.#question(), this.body, this.foot);
    this.figures = new Map(); // what shows a picture part anew
    this.shown = 0;
    this.update();
  }

  #question() {
    const parts = this.exchange.question.map((part) => ("text" in part
      ? part.text
      : element("img", { src: part.picture, alt: "Picture in the question" })));
    return element("div", { className: "question" },
      element("h2", { className: "unseen" }, "Question"),
      element("p", {}, ...parts), button("Edit", this.wishes.edit, { className: "quiet" }));
  }

  /** Shows a picture as it is now: perhaps being drawn again, perhaps with the reason why it could not be. */
  showPicture(part, { redrawing = false, fault = "" } = {}) {
    this.figures.get(part)({ redrawing, fault });
    this.#writeFoot();
  }

  /** Shows what the answer has now and had not before. */
  update() {
    const { parts, state } = this.exchange.answer;
    clearTimeout(this.silence);
    this.pending.remove();
    if (this.paragraph) this.#writeParagraph();
    for (const part of parts.slice(this.shown)) {
      this.paragraph = null;
      this.body.append("text" in part ? this.#newParagraph(part) : this.#figure(part));
    }
    this.shown = parts.length;
    const waiting = state === "waiting";
    this.body.setAttribute("aria-busy", waiting);
    if (waiting) this.#wait();
    this.#writeFoot();
  }

  /** A step of the picture that is being drawn. `preview` is a data URL; a step without one leaves the last one there. */
  showProgress({ step, num_steps: steps, preview }) {
    clearTimeout(this.silence);
    this.pending.dataset.kind = "drawing";
    if (preview) this.preview = element("img", { src: preview, alt: "" });
    const bar = element("progress", { max: steps, value: step });
    bar.setAttribute("aria-label", "Denoising steps");
    this.pending.replaceChildren(
      ...(this.preview ? [this.preview] : []),
      element("p", { className: "steps" }, bar, `step ${step} of ${steps}`),
    );
  }

  #wait() {
    this.pending.dataset.kind = "text";
    this.preview = null;
    this.pending.replaceChildren();
    this.body.append(this.pending);
    if (this.shown === 0) return;
    this.silence = setTimeout(() => {
      this.pending.dataset.kind = "quiet";
    }, quietAfter);
  }

  #newParagraph(part) {
    this.paragraph = { part, element: element("p", {}) };
    this.#writeParagraph();
    return this.paragraph.element;
  }

  #writeParagraph() {
    const { part, element: shown } = this.paragraph;
    shown.textContent = part.text.trimStart();
    shown.hidden = part.text.trim() === "";
  }

  #figure(part) {
    const { parts } = this.exchange.answer;
    const number = countPictures(parts.slice(0, parts.indexOf(part) + 1));
    const picture = element("img", { alt: described(this.exchange, part) });
    picture.onload = () => picture.classList.toggle("tiny", picture.naturalWidth < 160);
    const act = (label, act) => button(label, act, { className: "quiet", ariaLabel: `${label}: picture ${number}` });
    const save = element("a", { download: `picture-${number}.png`, className: "quiet", ariaLabel: `Save: picture ${number}` }, "Save");
    const seed = element("span", {});
    const wrong = element("span", { className: "fault" });
    const figure = element("figure", { className: this.exchange.answer.state === "waiting" ? "fresh" : "" },
      picture, element("figcaption", {}, act("Draw again", () => this.wishes.redraw(part)),
        act("Use in message", () => this.wishes.take(part.picture)), save, seed, wrong));
    this.figures.set(part, ({ redrawing, fault }) => {
      figure.classList.toggle("redrawing", redrawing);
      picture.src = save.href = part.picture;
      seed.textContent = part.imageSeed === undefined ? "" : `picture seed ${part.imageSeed}`;
      wrong.textContent = fault;
    });
    this.figures.get(part)({ redrawing: false, fault: "" });
    return figure;
  }

  #writeFoot() {
    const { state, fault, reason } = this.exchange.answer;
    const rows = [];
    if (fault) rows.push(element("p", { className: "fault" }, fault));
    if (state === "stopped") rows.push(element("p", { className: "note" }, "Stopped."));
    if (reasons[reason]) rows.push(element("p", { className: "note" }, reasons[reason]));
    if (state !== "waiting") {
      rows.push(element("div", { className: "actions" }, this.#facts(),
        button(state === "failed" ? "Try again" : "Regenerate", this.wishes.regenerate, { className: "quiet" }),
        button("Copy request", this.wishes.showRequest, { className: "quiet" })));
    }
    this.foot.replaceChildren(...rows);
  }

  /** How the answer was made and where it comes from, on request; its seed at a glance. */
  #facts() {
    const { effective, usage, provenance } = this.exchange.answer;
    if (!effective) return "";
    const { pictures = [], parameters: saidAbove, request: ownWords, ...origin } = provenance ?? {};
    const again = drawnAgain(this.exchange.answer);
    const replaced = again.map(({ number }) => number - 1); // their digests are of what stood there before
    const digests = pictures.filter(({ index }) => !replaced.includes(index))
      .map(({ index, pixels_sha256: digest }) => [`picture ${index + 1} pixels sha256`, digest]);
    const seeds = again.map(({ number, imageSeed }) => [`picture ${number} image seed`, imageSeed]);
    const positions = usage && {
      "prompt tokens": usage.prompt_tokens, "completion tokens": usage.completion_tokens,
      ...usage.images && { "positions left": usage.images.positions_left, "pictures that still fit": usage.images.more_images_fit },
    };
    const entries = Object.entries({ ...effective, ...positions, ...origin, ...Object.fromEntries([...digests, ...seeds]) });
    const rows = entries.flatMap(([name, value]) => [
      element("dt", {}, name.replaceAll("_", " ")),
      element("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value)),
    ]);
    return element("details", { className: "facts" },
      element("summary", {}, `Seed ${effective.seed}`), element("dl", {}, ...rows),
      button("Use this seed", () => this.wishes.reuse(effective.seed), { className: "quiet" }));
  }
}
