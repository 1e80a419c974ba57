// Stays at the end of the page while an answer grows and its pictures load, as long as the reader stays there.

/** How far from the end still counts as being there, pixels: a line of text and a half. */
const near = 48;

const root = document.documentElement;
let following = false;
let growing = false;
let place = 0; // where the page was scrolled to last

const toEnd = () => {
  root.scrollTop = root.scrollHeight;
  place = root.scrollTop;
};

/** Only who scrolls up leaves the end: it also runs away from a reader who stays. Who comes back to it follows what still grows. */
function scrolled() {
  const atEnd = root.scrollHeight - root.scrollTop - root.clientHeight < near;
  following = atEnd ? following || growing : following && root.scrollTop >= place;
  place = root.scrollTop;
}

/** Follows what makes `content` higher, once it is begun. */
export function watch(content) {
  addEventListener("scroll", scrolled, { passive: true });
  new ResizeObserver(() => following && toEnd()).observe(content);
  // The last picture loads after the answer's end; whatever grows once the reader acts again is the reader's wish.
  for (const act of ["pointerdown", "keydown", "wheel"]) {
    addEventListener(act, () => {
      following &&= growing;
    }, { capture: true, passive: true });
  }
}

export function begin() {
  growing = following = true;
  toEnd();
}

export function end() {
  growing = false;
}
