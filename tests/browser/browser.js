// Debian's Chromium, and pages that remember whatever went wrong on them.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach } from "node:test";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

import { startDaemon } from "./daemon.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** A browser with a new, empty profile. */
export const openBrowser = () =>
  chromium.launch({ executablePath: "/usr/bin/chromium", args: flags, headless: true });

/** Ways to look at a page. */
export const looks = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
};

/**
 * A page at `url` in a tab of its own, with `ready` on it. `page.faults` collects errors, of the console, of scripts and of the
 * policy, and what was asked of anybody else.
 */
export async function openPage(browser, url, { ready = ".gallery li", ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.setDefaultTimeout(60_000); // three pictures by an unoptimised daemon, on a machine that also does something else
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.faults.push(message.text());
  });
  page.on("request", (request) => {
    if (/^(https?|wss?):/.test(request.url()) && new URL(request.url()).origin !== new URL(url).origin) page.faults.push(`asked ${request.url()}`);
  });
  await page.exposeFunction("reportViolation", (violated) => page.faults.push(`policy: ${violated}`));
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => window.reportViolation(event.violatedDirective)));
  await page.goto(url);
  await page.waitForSelector(ready, { state: "attached" });
  return page;
}

/** That no rule of accessibility is broken. */
export async function assertAccessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map(({ id, impact, nodes }) => `${where}: ${impact} ${id}: ${nodes[0].html}`);
  assert.deepEqual(found, []);
}

/** That nothing is wider than the window. */
export async function assertFits(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `${where}: the page is ${over} px wider than its window`);
}

/** Sends what stands in the editor and waits for the end of the answer. */
export async function send(page, text) {
  if (text) await page.locator("#editor").pressSequentially(text);
  await page.keyboard.press("Enter");
  await answered(page);
}

/** Waits until nothing is being written. */
export async function answered(page) {
  await page.locator("#send").waitFor({ state: "visible" });
  await page.locator(".exchange:last-child .actions").waitFor();
}

/** What the last answer consists of, in order: its texts, and "picture" for each picture. */
export const outline = (page) => page.locator(".exchange:last-child .answer > :is(p, figure)")
  .evaluateAll((parts) => parts.map((part) => (part.nodeName === "P" ? part.textContent : "picture")));

export const pictures = (page) => page.locator(".exchange:last-child figure img").evaluateAll((all) => all.map((one) => one.src));

/** Fills in a parameter, in the panel that has them. */
export async function setParameter(page, name, value) {
  if (await page.locator("#parameters").isHidden()) await page.click("#parameters-toggle");
  await page.locator(`#parameter-${name}`).fill(String(value));
}

/** A transfer with these pictures of the gallery as files. */
export const transfer = (page, ...numbers) => page.evaluateHandle(async (places) => {
  const data = new DataTransfer();
  for (const at of places) {
    const url = document.querySelectorAll(".gallery img")[at].src;
    const bytes = Uint8Array.from(atob(url.split(",")[1]), (char) => char.charCodeAt(0));
    data.items.add(new File([bytes], "shape.png", { type: "image/png" }));
  }
  return data;
}, numbers);

/**
 * For each test of a file a new page of a daemon with `flags`, on which nothing may have gone wrong afterwards. `take` gets
 * `{ daemon, browser, page }` before each.
 */
export function eachPage(flags, take) {
  let daemon, browser, page;
  before(async () => {
    daemon = await startDaemon(...flags);
    browser = await openBrowser();
  });
  after(async () => {
    await browser.close();
    await daemon.stop();
  });
  beforeEach(async () => {
    page = await openPage(browser, daemon.url);
    take({ daemon, browser, page });
  });
  afterEach(async () => {
    const { faults } = page;
    await page.context().close();
    assert.deepEqual(faults, [], "nothing went wrong on the page");
  });
}
