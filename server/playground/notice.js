// The line above the message: what the page itself has to say, to who looks and to who listens, and what can be done about it.

import { button, byId } from "./element.js";

/** Says `text` until the next notice, with nothing it is silent again; `actions` are `{ label: what it does }`. */
export function notice(text = "", actions = {}) {
  const buttons = Object.entries(actions).map(([label, act]) => button(label, () => {
    notice();
    byId("editor").focus(); // the button that had the focus is gone
    act();
  }));
  byId("notice").replaceChildren(text, ...buttons);
}
