// Schemas in words: one line for a type and its bounds. Knows JSON Schema; draws nothing.

const BOUNDS = [
  ["minimum", "at least "], ["exclusiveMinimum", "above "], ["maximum", "at most "],
  ["minItems", "items at least "], ["maxItems", "items at most "], ["minLength", "characters at least "],
  ["maxLength", "characters at most "], ["pattern", "pattern "],
];

/** The name of a component that a schema refers to, or null. */
export function referredTo(schema) {
  return schema?.$ref?.split("/").at(-1) ?? null;
}

/** All components that a schema mentions, itself included. */
export function mentioned(schema, found = new Set()) {
  if (schema === null || typeof schema !== "object") return found;
  const name = referredTo(schema);
  if (name) found.add(name);
  for (const part of Object.values(schema)) mentioned(part, found);
  return found;
}

function kind(schema) {
  const name = referredTo(schema);
  if (name) return name;
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map(typeText).join(" | ");
  const types = [schema.type ?? "anything"].flat();
  return types.map((type) => (type === "array" && schema.items ? `array of ${kind(schema.items)}` : type)).join(" | ");
}

/** A type and its bounds: `integer | null, at least 1`. */
export function typeText(schema) {
  const bounds = BOUNDS.filter(([key]) => key in schema).map(([key, words]) => `${words}${schema[key]}`);
  return [kind(schema), ...bounds].join(", ");
}
