// Server-sent events, from bytes. Knows the format (HTML standard, 9.2); not what the events mean.

/** Yields `{ name, data }` for each event of `body`, a stream of bytes. */
export async function* events(body) {
  let name = "message", data = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length > 0) yield { name, data: data.join("\n") };
      name = "message";
      data = [];
      continue;
    }
    const [, field, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pieces = [];
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      // A picture is one long line: its pieces are joined once, when it is whole.
      const [first, ...rest] = read.value.split("\n");
      pieces.push(first);
      for (const next of rest) {
        yield pieces.join("").replace(/\r$/, "");
        pieces = [next];
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // whoever stops listening lets the server stop too
  }
}
