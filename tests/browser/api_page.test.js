// The page that describes the API, against a real daemon: whole, offline, readable by everybody and on a phone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertAccessible, assertFits, looks, openBrowser, openPage } from "./browser.js";
import { startDaemon } from "./daemon.js";

const { SCREENS } = process.env;

let daemon, browser;
before(async () => {
  daemon = await startDaemon();
  browser = await openBrowser();
});
after(async () => {
  await browser.close();
  await daemon.stop();
});

const unfold = (page, which) => page.locator(which).evaluateAll((all) => all.forEach((one) => (one.open = true)));

test("every operation is listed and described, light, dark and on a phone", async () => {
  const { paths } = await (await fetch(`${daemon.url}/openapi.json`)).json();
  const operations = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method}${path}`));
  for (const [name, options] of Object.entries(looks)) {
    const page = await openPage(browser, `${daemon.url}/docs`, { ready: "article", ...options });
    const listed = await page.locator("nav li").allTextContents();
    const described = await page.locator("article h3").allTextContents();
    assert.deepEqual(listed.toSorted(), operations.toSorted(), name);
    assert.deepEqual(described, listed, name);
    await page.screenshot({ path: `${SCREENS}/api-${name}.png` });
    await unfold(page, "nav details, #post_tokenize details"); // one of the short ones: every element is looked at
    await assertAccessible(page, `${name}, with an operation unfolded`);
    await unfold(page, "#post_v1_chat_completions details");
    await page.locator("article").first().evaluate((one) => one.scrollIntoView());
    await page.screenshot({ path: `${SCREENS}/api-${name}-unfolded.png` });
    await unfold(page, "details");
    await assertFits(page, `${name}, all unfolded`);
    assert.deepEqual(page.faults, [], name);
    await page.context().close();
  }
});

test("the address of an operation leads to it, and the keyboard reaches what it folds", async () => {
  const page = await openPage(browser, `${daemon.url}/docs#post_v1_images_generations`, { ready: "article" });
  const top = () => page.locator("#post_v1_images_generations").evaluate((one) => one.getBoundingClientRect().top);
  assert.ok(Math.abs(await top()) < 100, `it is ${await top()} px away`);
  await page.keyboard.press("Tab"); // from where the address leads to
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.closest("article details").open), true);
  assert.deepEqual(page.faults, []);
  await page.context().close();
});
