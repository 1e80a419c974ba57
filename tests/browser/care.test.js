// That the page loses nothing a person wrote or was given, and says what it could not do where they look.

import assert from "node:assert/strict";
import { test } from "node:test";

import { answered, eachPage, looks, openPage, outline, pictures, send, setParameter, transfer } from "./browser.js";
import { startDaemon } from "./daemon.js";

const { SCREENS } = process.env;
const story = "Tell a picture story about a yellow star.";

let daemon, browser, page;
eachPage(["--max-num-inference-steps", "1000"], (made) => ({ daemon, browser, page } = made));

const written = () => page.locator("#editor").textContent();
const questions = () => page.locator(".question p").allTextContents();
const focused = () => page.evaluate(() => document.activeElement.ariaLabel ?? (document.activeElement.id || document.activeElement.nodeName));
const press = (name) => page.getByRole("button", { name, exact: true });
const noticed = (text) => page.locator("#notice", { hasText: text }).waitFor();

/** Two exchanges, quickly. */
async function converse() {
  await page.locator("#editor").click();
  await send(page, "Draw a cat.");
  await send(page, "Hello.");
}

/** Starts a picture that takes long, and waits until it is being drawn. */
async function drawSlowly() {
  await setParameter(page, "num_inference_steps", 900);
  await page.locator("#editor").click();
  await page.keyboard.type(story);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".pending[data-kind=drawing] img");
}

test("the page stays where an answer grows, and a reader who went elsewhere stays there", async () => {
  const fromEnd = () => page.evaluate(() => {
    const { scrollHeight, scrollTop, clientHeight } = document.documentElement;
    return scrollHeight - scrollTop - clientHeight;
  });
  const loaded = () => page.waitForFunction(() => [...document.images].every((image) => image.complete && image.offsetHeight > 0 || image.closest("[hidden]")));
  await page.setViewportSize({ width: 1280, height: 640 });
  await page.locator("#editor").click();
  await send(page, story);
  await loaded();
  assert.ok(await fromEnd() < 2, `${await fromEnd()} px from the end`);
  let goOn;
  const looked = new Promise((resolve) => (goOn = resolve));
  await page.route("**/v1/chat/completions", (route) => looked.then(() => route.continue()));
  await page.keyboard.type("What is this?");
  await page.keyboard.press("Enter");
  const asked = page.locator(".exchange:nth-child(2) .question");
  await asked.waitFor();
  const { y, height } = await asked.boundingBox();
  const box = await page.locator("#composer").boundingBox();
  assert.ok(y > 50 && y + height < box.y, `the question is at ${y}, the composer at ${box.y}`);
  goOn();
  await answered(page);

  await page.locator("#editor").pressSequentially(story);
  await page.keyboard.press("Enter");
  await page.locator(".exchange:nth-child(3) .answer p").first().waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  await answered(page);
  await loaded();
  assert.equal(await page.evaluate(() => scrollY), 0);
});

test("a reload in the middle of an answer keeps the question, what was written of it, and the next message", async () => {
  await drawSlowly();
  await page.keyboard.type("And then?");
  const [told] = await outline(page);
  await page.reload();
  await page.getByText("Stopped.", { exact: true }).and(page.locator(".note")).waitFor();
  assert.deepEqual(await questions(), [story]);
  assert.deepEqual(await outline(page), [told]);
  assert.equal(await written(), "And then?");
  assert.equal(await focused(), "BODY", "a page that begins does not take the focus");
});

test("what is being written outlasts whatever else is done", async () => {
  await converse();
  await page.keyboard.type("half a thought");
  await press("Regenerate").last().click();
  await answered(page);
  assert.equal(await written(), "half a thought");
  await press("Edit").first().click();
  assert.equal(await written(), "Draw a cat.");
  await press("Keep it as it was").click();
  assert.equal(await written(), "half a thought");
  await press("Edit").first().click();
  await page.keyboard.press("Enter");
  await answered(page);
  assert.deepEqual(await questions(), ["Draw a cat."]);
  assert.equal(await written(), "half a thought");
  await press("New").click();
  assert.equal(await written(), "half a thought");
});

test("what was replaced or put away can be had back", async () => {
  await converse();
  await press("Regenerate").first().click();
  await answered(page);
  assert.deepEqual(await questions(), ["Draw a cat."]);
  await press("Edit").click();
  await press("Undo").click();
  assert.deepEqual(await questions(), ["Draw a cat.", "Hello."]);
  assert.equal(await page.locator("#editing").isVisible(), false, "what was edited is not there any more");
  assert.equal(await focused(), "Message: text and pictures");
  await press("New").click();
  assert.equal(await page.locator("#welcome").isVisible(), true);
  await press("Undo").click();
  await page.reload();
  await page.locator(".exchange").last().waitFor();
  assert.deepEqual(await questions(), ["Draw a cat.", "Hello."]);
});

test("files that are no pictures are named where they were to go", async () => {
  await page.locator("#files").setInputFiles({ name: "notes.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.4") });
  await noticed("notes.pdf is no picture that this browser can read.");
  assert.equal(await page.locator("#notice").isVisible(), true);
});

test("a document that became too large to keep says so, and what was kept before is still kept", async () => {
  await page.locator("#editor").click();
  await send(page, "Draw a cat.");
  await page.evaluate(() => { // as large as a photograph, and refused by nobody
    Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
  });
  await send(page, "Hello.");
  await noticed("too large to be kept over a reload");
  await page.reload();
  await page.locator(".exchange").waitFor();
  assert.deepEqual(await questions(), ["Draw a cat."]);
});

test("a parameter that cannot be meant is shown, however it was folded away", async () => {
  await setParameter(page, "temperature", 5);
  await press("Close").click();
  await page.locator("#editor").click();
  await page.keyboard.type("Hello.");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "parameter-temperature");
  assert.equal(await page.locator("#parameters").isVisible(), true);
  assert.equal(await written(), "Hello.");
});

test("pictures are cut and pasted with the text around them", async () => {
  await page.dispatchEvent("#editor", "drop", { dataTransfer: await transfer(page, 8) });
  await page.waitForSelector("#editor img");
  await page.keyboard.type("Describe this.");
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Control+X");
  assert.equal(await page.locator("#editor img").count(), 0);
  await page.keyboard.type("Please: ");
  await page.keyboard.press("Control+V");
  const request = page.waitForRequest(/chat\/completions/);
  await page.keyboard.press("Enter");
  const { content } = (await request).postDataJSON().messages[0];
  assert.deepEqual(content.map((part) => part.text ?? part.type), ["Please: ", "image_url", "Describe this."]);
  await answered(page);
});

test("of text that an office program copied, the text is pasted and not its picture", async () => {
  await page.evaluate(async () => {
    const png = await new Promise((done) => document.createElement("canvas").toBlob(done));
    const text = (type, said) => new Blob([said], { type });
    await navigator.clipboard.write([new ClipboardItem({
      "text/plain": text("text/plain", "a cell"), "text/html": text("text/html", "<td>a cell</td>"), "image/png": png,
    })]);
  });
  await page.locator("#editor").click();
  await page.keyboard.press("Control+V");
  assert.equal(await written(), "a cell");
  assert.equal(await page.locator("#editor img").count(), 0);
});

test("only pictures that can be sent are taken from the page, and none that was let go", async () => {
  const drag = (type, selector) => page.dispatchEvent(selector, type, { dataTransfer: null });
  await page.locator(".gallery button").first().click();
  await answered(page);
  await drag("dragstart", ".brand img");
  await page.dispatchEvent("#editor", "drop", { dataTransfer: await page.evaluateHandle(() => new DataTransfer()) });
  assert.equal(await page.locator("#editor img").count(), 0);
  await drag("dragstart", "figure img");
  await drag("dragend", "figure img");
  await page.reload();
  await page.locator("figure img").first().waitFor();
  await drag("dragstart", "figure img");
  await drag("dragend", "figure img");
  await page.dispatchEvent("#editor", "drop", { dataTransfer: await page.evaluateHandle(() => new DataTransfer()) });
  assert.equal(await page.locator("#editor img").count(), 0);
  await drag("dragstart", "figure img");
  await page.dispatchEvent("#editor", "drop", { dataTransfer: await page.evaluateHandle(() => new DataTransfer()) });
  assert.equal(await page.locator("#editor img").count(), 1);
});

test("what has the focus is never covered", async () => {
  const phone = await openPage(browser, daemon.url, { ...looks.phone, viewport: { width: 360, height: 640 } });
  await phone.locator(".gallery button").first().tap();
  await answered(phone);
  await phone.evaluate(() => (document.activeElement.blur(), scrollTo(0, 0)));
  const seen = [];
  for (let presses = 0; presses < 40 && seen.at(-1) !== "editor"; presses++) {
    await phone.keyboard.press("Tab");
    const { name, covered } = await phone.evaluate(() => {
      const focus = document.activeElement;
      const { left, top, width, height } = focus.getBoundingClientRect();
      const on = document.elementFromPoint(left + width / 2, top + height / 2);
      return { name: focus.id || focus.ariaLabel || focus.textContent, covered: on !== null && !focus.contains(on) && !on.contains(focus) };
    });
    assert.equal(covered, false, `${name} is covered`);
    seen.push(name);
  }
  assert.ok(seen.includes("Draw again: picture 3"), seen.join(", "));

  await phone.click("#parameters-toggle");
  await phone.keyboard.press("Shift+Tab");
  await phone.keyboard.press("Shift+Tab");
  assert.equal(await phone.evaluate(() => document.activeElement.closest("main")), null, "the sheet covers the document");
  await phone.mouse.click(180, 90);
  assert.equal(await phone.locator("#parameters").isVisible(), false);
  await phone.context().close();
});

test("the focus stays where it was put when a picture is drawn again and when an answer is stopped", async () => {
  await drawSlowly();
  await press("Stop").focus();
  await page.keyboard.press("Enter");
  await page.locator("#send").waitFor();
  assert.equal(await focused(), "send");
  await setParameter(page, "num_inference_steps", "");
  await press("Regenerate").click();
  await answered(page);
  await press("Draw again: picture 1").focus();
  await page.keyboard.press("Enter");
  await page.getByText(/picture seed \d+/).waitFor();
  await answered(page);
  assert.equal(await focused(), "Draw again: picture 1");
});

test("a picture that could not be drawn again says so itself", async () => {
  await page.locator("#editor").click();
  await send(page, "Draw a red circle.");
  const first = await pictures(page);
  const busy = { error: { message: "too busy", type: "rate_limit_error", code: "queue_full", param: null } };
  await page.route("**/v1/chat/completions", (route) => route.fulfill({ status: 429, json: busy }));
  await press("Draw again: picture 1").click();
  await page.locator("figcaption", { hasText: "too busy (429, queue_full)." }).waitFor();
  assert.equal(await page.locator(".foot .fault").count(), 0, "the answer is what it was");
  await page.reload();
  await page.locator("figure img").waitFor();
  assert.deepEqual(await pictures(page), first);
  assert.equal(await page.getByText("too busy").count(), 0);
  page.faults = page.faults.filter((fault) => !fault.includes("429")); // the browser's own note of the refusal
});

test("what cannot be done while an answer is made says so, and Escape closes what has the focus first", async () => {
  await converse();
  await drawSlowly();
  for (const refused of [press("Edit").first(), press("Regenerate").first()]) {
    await refused.click();
    await noticed("An answer is still being made.");
    await page.evaluate(() => document.getElementById("notice").replaceChildren());
  }
  await page.locator("#parameter-seed").click();
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#parameters").isVisible(), false);
  assert.equal(await press("Stop").isVisible(), true);
  await page.locator("#editor").click();
  await page.keyboard.type("More.");
  await page.keyboard.press("Enter");
  await press("Stop it").click();
  await page.getByText("Stopped.", { exact: true }).and(page.locator(".note")).waitFor();
  assert.equal(await written(), "More.");
});

test("a key that is not taken is said where it was written, on a phone too", async () => {
  const guarded = await startDaemon("--api-key", "sesame");
  const phone = await openPage(browser, guarded.url, { ...looks.phone, viewport: { width: 360, height: 640 }, ready: "#key-form:not([hidden])" });
  const enter = async (key) => {
    await phone.locator("#key").fill(key);
    await phone.getByRole("button", { name: "Use key" }).click();
  };
  assert.equal(await phone.locator("#key-fault").textContent(), "");
  await enter("open");
  await phone.locator("#key-fault", { hasText: "The server does not take this key." }).waitFor();
  await phone.screenshot({ path: `${SCREENS}/phone-key.png` });
  const under = await phone.locator("#key-form").evaluate((form) => form.getBoundingClientRect().bottom);
  assert.ok(under < await phone.locator("#composer").evaluate((composer) => composer.getBoundingClientRect().top));
  await enter("sesame€");
  assert.equal(await phone.locator("#key").evaluate((key) => key.validity.patternMismatch), true);
  await enter(" sesame ");
  await phone.locator(".gallery li").first().waitFor();
  assert.equal(await phone.locator("#key-form").isVisible(), false);
  assert.equal(await phone.evaluate(() => document.activeElement.id), "editor");
  await phone.context().close();
  await guarded.stop();
});

test("a server that could not be reached at first is asked again", async () => {
  await page.route("**/v1/*", (route) => route.abort());
  await page.reload();
  await noticed("the server cannot be reached.");
  await page.locator("#editor").pressSequentially("Hello.");
  await page.keyboard.press("Enter");
  assert.equal(await written(), "Hello.", "nothing was sent, so nothing is gone");
  await page.unroute("**/v1/*");
  await press("Try again").click();
  await page.locator(".gallery li").first().waitFor();
  await page.keyboard.press("Enter");
  await answered(page);
  assert.deepEqual(await questions(), ["Hello."]);
  page.faults = page.faults.filter((fault) => !fault.includes("ERR_FAILED"));
});
