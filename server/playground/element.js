// Makes elements. Strings become text nodes, so nothing that anybody wrote becomes markup.

/** `element("p", { className: "note" }, "text", other)`; properties are those of the DOM, `data` is the dataset. */
export function element(name, { data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  Object.assign(made.dataset, data);
  made.append(...children);
  return made;
}

/** A button that does something. */
export const button = (label, onclick, properties = {}) =>
  element("button", { type: "button", onclick, ...properties }, label);

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Says something to those who listen instead of looking. */
export function announce(text) {
  byId("status").textContent = text;
}
