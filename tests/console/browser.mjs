// A browser whose every request and complaint is looked at.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export function launch() {
  const executablePath = process.env.LOCKSTEP_CHROMIUM || "/usr/bin/chromium";
  // As root there is no sandbox; nothing but our own pages is opened.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

/** Opens a page. `page.complaints` gathers errors of its console, and requests that would have left the host. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${address}/`)) page.complaints.push(`a request to ${request.url()}`);
  });
  return page;
}

export async function close(page, allowed = /^$/) {
  const complaints = page.complaints.filter((complaint) => !allowed.test(complaint));
  await page.context().close();
  assert.deepEqual(complaints, []);
}

/** Nothing that axe knows of keeps anybody from using the page. */
export async function accessible(page, what) {
  // Not as a script of the page: its policy would refuse that. The debugger's world is not bound by it.
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate((rules) => globalThis.axe.run({ runOnly: rules }), RULES);
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
  assert.deepEqual(told, [], `${what}: ${page.url()}`);
  assert.ok(passes.length > 10, `${what}: axe looked at nothing`);
}
