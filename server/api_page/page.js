// Shows openapi.json, which the same server made: operations by group, their fields, answers and an example. What the document
// says is put on the page as text only.

import { mentioned, referredTo, typeText } from "./schema_text.js";

/** An element with attributes and children; strings become text. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const mustBeGiven = () => element("span", { class: "must" }, "required");

function fields(schema) {
  const required = schema.required ?? [];
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) =>
    element("tr", {},
      element("th", { scope: "row" }, element("code", {}, name), ...(required.includes(name) ? [mustBeGiven()] : [])),
      element("td", { class: "type" }, typeText(field)),
      element("td", {}, field.description ?? "")),
  );
  return element("table", { class: "fields" }, element("tbody", {}, ...rows));
}

/** A component, and folded below it those that it mentions. */
function component(name, components, seen) {
  seen.add(name);
  const schema = components[name];
  const parts = [element("h5", {}, name)];
  if (schema.description) parts.push(element("p", {}, schema.description));
  parts.push(schema.properties ? fields(schema) : element("p", { class: "type" }, typeText(schema)));
  for (const inner of mentioned(schema)) {
    if (!seen.has(inner)) parts.push(...component(inner, components, seen));
  }
  return parts;
}

function folded(title, name, components) {
  return element("details", {}, element("summary", {}, title), ...component(name, components, new Set()));
}

function bodies(content, components) {
  return Object.entries(content ?? {}).flatMap(([mediaType, { schema }]) => {
    const names = (schema["x-event"]?.anyOf ?? [schema]).map(referredTo).filter((name) => name);
    if (!names.length) return [element("p", { class: "type" }, mediaType)];
    return names.map((name) => folded(`${mediaType}: ${name}`, name, components));
  });
}

function curl(method, path, operation) {
  const example = Object.values(operation.requestBody?.content?.["application/json"]?.examples ?? {})[0]?.value;
  const lines = [`curl ${location.origin}${path}`];
  if (method !== "get" && !example) lines[0] = lines[0].replace("curl", `curl -X ${method.toUpperCase()}`);
  if (operation.security.length) lines.push('-H "authorization: Bearer $KEY"');
  if (example) {
    const body = JSON.stringify(example, null, 2).replaceAll("'", "'\\''");
    lines.push("-H 'content-type: application/json'", `-d '${body}'`);
  }
  const label = `Example of ${method} ${path}`; // it may be wider than the page: then it is scrolled, also by keyboard
  return element("pre", { tabindex: 0, role: "group", "aria-label": label }, element("code", {}, lines.join(" \\\n  ")));
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, { description }]) =>
    element("tr", {},
      element("th", { scope: "row", class: status < 400 ? "good" : "bad" }, status),
      element("td", {}, description)),
  );
  return element("table", { class: "statuses" }, element("tbody", {}, ...rows));
}

function article(method, path, operation, components) {
  const { parameters = [], requestBody, responses } = operation;
  const named = parameters.map(({ name, in: where, schema, description }) => [
    name, { ...schema, description: `${description ?? ""} (${where})` },
  ]);
  return element("article", { id: operation.operationId },
    element("h3", {}, element("span", { class: "method" }, method), element("code", {}, path)),
    element("p", {}, operation.summary),
    ...(named.length ? [element("h4", {}, "Parameters"), fields({ properties: Object.fromEntries(named) })] : []),
    ...(requestBody ? [element("h4", {}, "Body"), ...bodies(requestBody.content, components)] : []),
    element("h4", {}, "Answer"),
    ...bodies(responses[200].content, components),
    element("details", {}, element("summary", {}, "Statuses"), answers(responses)),
    element("h4", {}, "Example"),
    curl(method, path, operation));
}

function show({ info, tags, paths, components: { schemas } }) {
  document.getElementById("title").textContent = `${info.title} ${info.version}: API`;
  const link = element("a", { href: "openapi.json" }, "openapi.json");
  document.getElementById("description").replaceChildren(`${info.description} The whole of it: `, link, ".");
  const contents = document.getElementById("contents");
  contents.open = !matchMedia("(max-width: 60rem)").matches; // where it is not beside the operations, it stands before them
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
  for (const { name, description } of tags) {
    const members = all.filter(({ operation }) => operation.tags.includes(name));
    const links = members.map(({ method, path, operation }) =>
      element("li", {}, element("a", { href: `#${operation.operationId}` },
        element("span", { class: "method" }, method), element("span", {}, path))),
    );
    contents.append(element("h2", {}, name), element("ul", {}, ...links));
    document.getElementById("operations").append(
      element("section", {}, element("h2", {}, name), element("p", {}, description),
        ...members.map(({ method, path, operation }) => article(method, path, operation, schemas))),
    );
  }
}

/** The operation that the address names was not there yet when the page was opened. */
function followAddress() {
  if (location.hash) location.replace(location.hash);
}

const answer = await fetch("openapi.json");
if (answer.ok) {
  show(await answer.json());
  followAddress();
} else document.getElementById("description").textContent = `openapi.json was not to be had: ${answer.status}`;
