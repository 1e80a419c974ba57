// The form of a request's parameters. An empty field is not sent; what its default comes to is shown in grey as soon
// as the server has said it, by `/v1/capabilities` or by an answer's `effective`.

import { element } from "./element.js";

const samplers = ["ddpm", "ddim", "pndm", "dpmpp_2m", "dpmpp_2m_karras", "euler", "euler_ancestral", "unipc"];
const whole = { type: "number", step: 1, min: 0, inputMode: "numeric" };
const real = { type: "number", step: "any", min: 0, inputMode: "decimal" };

/** Groups of `[name, label, kind]`, as the API names them; a kind is attributes of a field, or a list of choices. */
const groups = [
  ["Text", [
    ["seed", "Seed", whole],
    ["temperature", "Temperature", { ...real, max: 2 }],
    ["top_p", "Nucleus (top_p)", { ...real, max: 1 }],
    ["top_k", "Top k", whole],
    ["max_completion_tokens", "Tokens, at most", { ...whole, min: 1, placeholder: "what fits" }],
    ["stop", "Stop at", { type: "text", placeholder: "nothing" }],
  ]],
  ["Pictures", [
    ["image_choice", "When to draw", ["auto", "none", "required"]],
    ["max_images", "Pictures, at most", { ...whole, min: 1 }],
    ["size", "Size", { type: "text", pattern: "[0-9]+x[0-9]+", title: "WIDTHxHEIGHT in pixels" }],
    ["num_inference_steps", "Steps", { ...whole, min: 1 }],
    ["guidance_scale", "Guidance", real],
    ["sampler", "Sampler", samplers],
    ["negative_prompt", "What not to show", { type: "text", placeholder: "nothing" }],
    ["image_seed", "Picture seed", whole],
  ]],
];

export class Parameters {
  constructor(form) {
    this.form = form;
    form.addEventListener("submit", (event) => event.preventDefault());
    const model = element("select", { name: "model", id: "parameter-model" });
    form.append(
      element("p", { className: "field" }, element("label", { htmlFor: model.id }, "Model"), model),
      ...groups.map(([title, fields]) => element("fieldset", { name: title },
        element("legend", {}, title), ...fields.map(([name, label, kind]) => field(name, label, kind)))),
    );
  }

  /** What is served, and which defaults it says it has. */
  describe(cards, defaults = {}) {
    const options = cards.map(({ id }) => element("option", { value: id }, id));
    this.form.elements.model.replaceChildren(...options);
    const draws = cards.some(({ abilities = ["creation"] }) => abilities.includes("creation"));
    this.form.elements.Pictures.hidden = !draws;
    this.showDefaults(defaults);
  }

  /** Shows what empty fields came to. Seeds differ each time, so they are no default. */
  showDefaults(values) {
    for (const input of this.form.querySelectorAll("input, select")) {
      const value = values[input.name];
      if (value === undefined || input.name.endsWith("seed") || input.value !== "") continue;
      if (input instanceof HTMLSelectElement) input.options[0].textContent = `default: ${value}`;
      else input.placeholder = value;
    }
  }

  /** Whether every field can be meant. */
  hold() {
    return this.form.checkValidity();
  }

  /** The browser says which field cannot be meant; it must be seen for that. */
  complain() {
    this.form.reportValidity();
  }

  set(name, value) {
    this.form.elements[name].value = value;
  }

  /** The fields of a request that were filled in. */
  values() {
    const inputs = [...this.form.querySelectorAll("input, select")].filter((input) => input.value !== "");
    return Object.fromEntries(inputs.map((input) => [input.name, input.type === "number" ? Number(input.value) : input.value]));
  }
}

function field(name, label, kind) {
  const id = `parameter-${name}`;
  const input = Array.isArray(kind)
    ? element("select", { name, id }, ...["", ...kind].map((value) => element("option", { value }, value || "default")))
    : element("input", { name, id, placeholder: name.endsWith("seed") ? "drawn" : "default", ...kind });
  return element("p", { className: "field" }, element("label", { htmlFor: id }, label), input);
}
