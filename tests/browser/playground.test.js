// The page as a person uses it, against a real daemon.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import {
  answered, assertAccessible, assertFits, eachPage, looks, openPage, outline, pictures, send, setParameter, transfer,
} from "./browser.js";
import { startDaemon } from "./daemon.js";

const { WORK, SCREENS, PYTHON } = process.env;
const story = "Tell a picture story about a yellow star.";

let daemon, browser, page;
eachPage(["--max-num-inference-steps", "1000"], (made) => ({ daemon, browser, page } = made));

test("text and pictures appear in the order in which the model made them, and survive a reload", async () => {
  await setParameter(page, "seed", 3);
  await page.locator("#editor").click();
  await send(page, story);
  const shown = await outline(page);
  assert.deepEqual(shown.map((part) => part === "picture"), [false, true, false, true, false, true, false]);
  assert.match(shown[0], /yellow star/);
  assert.equal(await page.locator(".facts summary").textContent(), "Seed 3");
  const facts = await page.locator(".facts dl").textContent();
  assert.match(facts, /model sha256[0-9a-f]{64}/);
  assert.equal(facts.match(/picture \d pixels sha256[0-9a-f]{64}/g).length, 3, "where each picture comes from");

  const drawn = await pictures(page);
  await page.reload();
  await page.locator(".exchange").waitFor();
  assert.deepEqual(await outline(page), shown);
  assert.deepEqual(await pictures(page), drawn);
});

test("pictures stand where they are dropped and pasted, and are sent in that order", async () => {
  await page.locator("#editor").click();
  await page.keyboard.type("Draw both objects in one picture.");
  const box = await page.locator("#editor").boundingBox();
  const start = { clientX: box.x + 19, clientY: box.y + 26 };
  await page.dispatchEvent("#editor", "drop", { dataTransfer: await transfer(page, 8), ...start });
  await page.waitForSelector("#editor img");
  await page.keyboard.press("End");
  const clipboardData = await transfer(page, 9);
  await page.evaluate((data) => {
    const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    document.getElementById("editor").dispatchEvent(paste);
  }, clipboardData);
  await page.waitForSelector("#editor img:nth-of-type(2)");
  await page.screenshot({ path: `${SCREENS}/composer.png` });

  const request = page.waitForRequest(/chat\/completions/);
  await page.keyboard.press("Enter");
  const { content } = (await request).postDataJSON().messages[0];
  assert.deepEqual(content.map((part) => part.type), ["image_url", "text", "image_url"]);
  await answered(page);
  assert.ok((await outline(page)).includes("picture"));

  // A second turn sends the first one back, its pictures included.
  const second = page.waitForRequest(/chat\/completions/);
  await send(page, "What is this?");
  const { messages } = (await second).postDataJSON();
  assert.deepEqual(messages.map(({ role }) => role), ["user", "assistant", "user"]);
  assert.equal(messages[1].images.length, 1);
  assert.deepEqual(messages[1].content_parts.at(-1), { type: "image_ref", index: 0 });
});

test("several pictures dropped at once are taken in their order", async () => {
  await page.locator("#editor").click();
  await page.keyboard.type("What do they have in common?");
  const urls = await page.locator(".gallery img").evaluateAll((images) => [7, 8, 6].map((at) => images[at].src));
  await page.dispatchEvent("#editor", "drop", { dataTransfer: await transfer(page, 7, 8, 6) });
  await page.waitForSelector("#editor img:nth-of-type(3)");
  const request = page.waitForRequest(/chat\/completions/);
  await page.keyboard.press("Enter");
  const { content } = (await request).postDataJSON().messages[0];
  const sent = content.filter((part) => part.type === "image_url").map((part) => part.image_url.url);
  assert.deepEqual(sent, urls);
  await answered(page);
});

test("stopping in the middle of a picture keeps what was written and frees the server", async () => {
  await setParameter(page, "num_inference_steps", 900);
  await page.locator("#editor").click();
  await page.keyboard.type(story);
  const request = page.waitForRequest(/chat\/completions/);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".pending[data-kind=drawing] img");
  const step = async () => Number(/step (\d+) of 900/.exec(await page.locator(".steps").textContent())[1]);
  const early = await step();
  assert.match(await page.locator(".pending img").getAttribute("src"), /^data:image\/jpeg;base64,/);
  await page.waitForFunction((past) => Number(/step (\d+)/.exec(document.querySelector(".steps").textContent)[1]) > past + 60, early);
  assert.equal(await page.locator(".pending img").count(), 1, "a preview stays until the next one");
  await page.screenshot({ path: `${SCREENS}/drawing.png` });
  await page.keyboard.press("Escape");
  await page.getByText("Stopped.", { exact: true }).and(page.locator(".note")).waitFor();
  assert.equal((await outline(page)).includes("picture"), false);
  assert.match((await outline(page))[0], /^Once there was/);
  await page.getByRole("button", { name: "Copy request" }).click();
  const { seed } = (await request).postDataJSON();
  const copied = await page.locator("#request-code").inputValue();
  assert.ok(Number.isInteger(seed) && copied.includes(`"seed": ${seed},`), "what was stopped can be made again");
  await page.keyboard.press("Escape");
  await setParameter(page, "num_inference_steps", "");
  await page.locator(".exchange button", { hasText: "Regenerate" }).click();
  await answered(page);
  assert.equal((await pictures(page)).length, 3);
  assert.match(daemon.log(), /the client left before the end/);
});

test("an edited question is answered anew, and what followed it is gone", async () => {
  await page.locator("#editor").click();
  await send(page, "Draw a cat.");
  await send(page, "Hello.");
  assert.equal(await page.locator(".exchange").count(), 2);
  await page.locator(".exchange").first().getByRole("button", { name: "Edit" }).click();
  assert.equal(await page.locator("#editor").textContent(), "Draw a cat.");
  await page.keyboard.press("Control+A");
  await send(page, "Draw a red circle.");
  assert.equal(await page.locator(".exchange").count(), 1);
  assert.equal((await pictures(page)).length, 1);
});

test("one picture is drawn again with other noise while its neighbours stay", async () => {
  await page.locator("#editor").click();
  await send(page, story);
  const drawn = await pictures(page);
  await page.getByRole("button", { name: "Draw again" }).last().click();
  await page.getByText(/picture seed \d+/).waitFor();
  await answered(page);
  const now = await pictures(page);
  assert.deepEqual(now.slice(0, -1), drawn.slice(0, -1));
  assert.notEqual(now.at(-1), drawn.at(-1));

  const seed = await page.locator(".facts summary").textContent();
  await page.getByRole("button", { name: "Regenerate" }).click();
  await answered(page);
  assert.notEqual(await page.locator(".facts summary").textContent(), seed);
});

const programs = { curl: ["bash", "sh"], Python: [PYTHON, "py"], JavaScript: ["node", "mjs"] };

/** What the copied request says when it is run, in each of these languages. */
async function ranCopies(languages = Object.keys(programs)) {
  const said = [];
  for (const language of languages) {
    const [program, ending] = programs[language];
    await page.getByLabel(language, { exact: true }).check();
    await page.getByRole("button", { name: "Copy", exact: true }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    const file = `${WORK}/request.${ending}`;
    writeFileSync(file, await page.evaluate(() => navigator.clipboard.readText()));
    said.push(execFileSync(program, [file], { encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "pipe"] }));
  }
  return said;
}

test("the copied request gives the same document through curl, Python and JavaScript", async () => {
  await page.locator("#editor").click();
  await send(page, "It's a \"test\": draw a red circle.");
  const [drawn] = await pictures(page);
  const expected = drawn ?? (await outline(page))[0];
  await page.getByRole("button", { name: "Copy request" }).click();
  for (const said of await ranCopies()) {
    const text = said.replaceAll(/data: .*?"content":"(.*?)".*\n/g, "$1").replaceAll("\n", "");
    assert.ok(drawn ? said.includes(drawn) : text.includes(expected), said.slice(0, 500));
  }
});

test("the copied request gives a picture that was drawn again, with its own noise", async () => {
  await page.locator("#editor").click();
  await send(page, "Draw a red circle.");
  const [first] = await pictures(page);
  await page.getByRole("button", { name: "Draw again" }).click();
  await page.getByText(/picture seed \d+/).waitFor();
  await answered(page);
  const [again] = await pictures(page);
  assert.notEqual(again, first);
  await page.getByRole("button", { name: "Copy request" }).click();
  assert.equal(await page.locator("#request-made").isVisible(), false, "there is one thing to make");
  for (const said of await ranCopies()) assert.ok(said.includes(again) && !said.includes(first), said.slice(0, 500));
});

test("of several pictures, one of them drawn again, either document can be copied", async () => {
  await page.locator("#editor").click();
  await send(page, story);
  const first = await pictures(page);
  await page.getByRole("button", { name: "Draw again" }).nth(1).click();
  await page.getByText(/picture seed \d+/).waitFor();
  await answered(page);
  const again = (await pictures(page))[1];
  await page.getByRole("button", { name: "Copy request" }).click();
  for (const said of await ranCopies(["curl"])) assert.ok(said.includes(again), said.slice(0, 500));
  await page.getByLabel("The answer as first given").check();
  for (const said of await ranCopies(["curl"])) assert.ok(first.every((one) => said.includes(one)), said.slice(0, 500));
});

test("the downloaded page and Markdown hold the document in order", async () => {
  await page.locator("#editor").click();
  await send(page, story);
  const [first, second] = await pictures(page);
  const texts = (await outline(page)).filter((part) => part !== "picture");
  for (const name of ["HTML page", "Markdown"]) {
    await page.getByText("Download", { exact: true }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    const file = readFileSync(await download.path(), "utf8");
    const places = [story, texts[0], first, texts[1], second, texts[2]].map((part) => file.indexOf(part.trim().replace(/\.$/, "")));
    assert.ok(!places.includes(-1), `${name} lacks a part: ${places}`);
    assert.deepEqual(places, places.toSorted((a, b) => a - b), name);
  }
});

test("the keyboard alone is enough", async () => {
  const tabUntil = async (selector) => {
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
    }
    assert.fail(`Tab never reaches ${selector}`);
  };
  await tabUntil(".skip");
  await tabUntil(".gallery button");
  await page.keyboard.press("Enter");
  await answered(page);
  await page.waitForFunction(() => document.activeElement.id === "editor");
  await page.keyboard.type("Hello");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("there.");
  const request = page.waitForRequest(/chat\/completions/);
  await page.keyboard.press("Enter");
  assert.equal((await request).postDataJSON().messages.at(-1).content, "Hello\nthere.");
  await answered(page);
  await page.reload();
  await tabUntil("#download summary");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.nodeName), "SUMMARY");
  await tabUntil("#parameters-toggle");
  await page.keyboard.press("Enter");
  await tabUntil("#parameter-seed");
});

test("steps and previews are shown where a server sends them, and nothing that it says becomes markup", async () => {
  const chunk = (delta, more = {}) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }], ...more })}\n\n`;
  await page.route("**/v1/chat/completions", (route) => route.fulfill({
    contentType: "text/event-stream",
    body: chunk({ content: "<img src=x onerror=alert(1)> \u2028" }) + chunk({}, { progress: { index: 0, step: 7, num_steps: 20 } })
      + "event: error\ndata: {\"error\":{\"message\":\"<b>the model failed</b>\",\"code\":\"internal_error\"}}\n\n",
  }));
  await page.evaluate(() => {
    window.steps = [];
    new MutationObserver(() => window.steps.push(document.querySelector(".steps")?.textContent))
      .observe(document.getElementById("document"), { childList: true, subtree: true });
  });
  await page.locator("#editor").click();
  await send(page, "<script>alert(1)</script>");
  assert.ok((await page.evaluate(() => window.steps)).includes("step 7 of 20"));
  assert.equal(await page.locator(".question p").textContent(), "<script>alert(1)</script>");
  assert.equal(await page.locator(".foot .fault").textContent(), "<b>the model failed</b> (internal_error).");
  assert.equal(await page.locator(".exchange script, .exchange b, .answer img").count(), 0);
});

test("what the server refuses is said as it says it", async () => {
  await setParameter(page, "num_inference_steps", 1001);
  await page.locator("#editor").click();
  await send(page, "Draw a red circle.");
  assert.match(await page.locator(".foot .fault").textContent(), /400, invalid_value, in num_inference_steps/);
  page.faults = page.faults.filter((fault) => !fault.includes("400")); // the browser's own note of the refusal
});

test("a server with a key asks for it once", async () => {
  const guarded = await startDaemon("--api-key", "sesame");
  const context = await browser.newContext();
  const door = await context.newPage();
  await door.goto(guarded.url);
  await door.getByLabel(/wants an API key/).fill("sesame");
  await door.getByRole("button", { name: "Use key" }).click();
  await door.locator(".gallery button").last().click();
  await door.locator(".answer").getByText(/I can only draw/).waitFor();
  await context.close();
  await guarded.stop();
});

test("another model gets general examples that fit what it can", async () => {
  const cardOf = (abilities) => ({ object: "list", data: [{ id: "other", object: "model", abilities, built_in: false }] });
  const kinds = async (abilities) => {
    await page.route("**/v1/models", (route) => route.fulfill({ json: cardOf(abilities) }));
    await page.reload();
    await page.locator(".gallery li").first().waitFor();
    assert.equal(await page.locator("#built-in-note").isVisible(), false);
    return page.locator(".gallery .kind").allTextContents();
  };
  assert.deepEqual(await kinds(["creation"]), ["Drawing", "Painting"]);
  assert.deepEqual(await kinds(["comprehension"]), ["Description", "Comparison"]);
  assert.equal((await kinds(["comprehension", "creation"])).length, 7);
});

test("who listens hears the pictures described and the answer end", async () => {
  await page.evaluate(() => {
    window.heard = [];
    new MutationObserver(() => window.heard.push(document.getElementById("status").textContent))
      .observe(document.getElementById("status"), { childList: true });
  });
  await page.locator("#editor").click();
  await send(page, story);
  const alternatives = await page.locator("figure img").evaluateAll((all) => all.map(({ alt }) => alt));
  assert.match(alternatives[0], /^Picture 1: Tell a picture story about a yellow star\. Once there was/);
  assert.match(alternatives[1], /^Picture 2: Then the yellow star/);
  assert.deepEqual(await page.evaluate(() => window.heard), ["Asked.", ...alternatives, "The end. End of the answer."]);
});

test("no rule of accessibility is broken, light, dark or on a phone; this is how it looks", async () => {
  for (const [name, options] of Object.entries(looks)) {
    const look = await openPage(browser, daemon.url, options);
    await look.evaluate(() => scrollTo(0, 0));
    await assertAccessible(look, `${name}, empty`);
    await look.screenshot({ path: `${SCREENS}/${name}-welcome.png` });
    await look.locator(".gallery button").nth(0).click();
    await answered(look);
    await look.evaluate(() => scrollTo(0, 0));
    await look.screenshot({ path: `${SCREENS}/${name}-story.png` });
    await look.locator(".facts summary").click();
    await look.click("#parameters-toggle");
    await assertAccessible(look, `${name}, with a document`);
    await look.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
    await look.screenshot({ path: `${SCREENS}/${name}-parameters.png` });
    await look.click("#parameters-close");
    await assertFits(look, name);
    await look.getByRole("button", { name: "Copy request" }).click();
    await assertAccessible(look, `${name}, the request`);
    assert.deepEqual(look.faults, []);
    await look.context().close();
  }
});
