// Debian's Chromium, and pages that remember whatever went wrong on them.

import { chromium } from "playwright-core";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** A browser with a new, empty profile. */
export const openBrowser = () =>
  chromium.launch({ executablePath: "/usr/bin/chromium", args: flags, headless: true });

/** A page at `url` in a tab of its own; `page.faults` collects errors, of the console, of scripts and of the policy. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") page.faults.push(message.text());
  });
  await page.exposeFunction("reportViolation", (violated) => page.faults.push(`policy: ${violated}`));
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) => window.reportViolation(event.violatedDirective)));
  await page.goto(url);
  await page.waitForSelector(".gallery li", { state: "attached" });
  return page;
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
