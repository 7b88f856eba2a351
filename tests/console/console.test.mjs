// The console in a real browser, against a real installation.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { accessible, close, launch, open } from "./browser.mjs";
import { Installation, eventually } from "./installation.mjs";
import { sentence, states } from "./states.mjs";

let installation, browser, reading, acting, engines, ada;

before(async () => {
  installation = await Installation.create();
  browser = await launch();
  engines = installation.sql("SELECT id('engines')");
  ada = installation.sql("SELECT id('ada')");
  installation.verify();
  reading = await installation.console("reading");
  acting = await installation.console("acting", "--actions");
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  await installation?.remove();
});

// Whatever a test has paused or made fail goes on before the next, also where it failed halfway.
afterEach(() => {
  installation.proxy.fail(false);
  for (const part of installation.sql("SELECT kind || ' ' || name FROM lockstep.pause").split("\n").filter(Boolean)) {
    installation.lockstep("resume", ...part.trim().split(" "));
  }
});

const views = () => ["/", "/mappings", "/mappings/users", "/tenants", "/tenants?all=1", `/tenants/${engines}?mapping=users&key=${ada}`,
  "/quarantine", "/proof", "/proof/runs/1", "/operations"];

const number = (page, what) => page.locator("#numbers tr", { hasText: what }).locator("td").first().innerText();

test("all is in step, and a change appears and vanishes while the page stays", async () => {
  const page = await open(browser, reading.address);
  await page.goto(`${reading.address}/`);
  await page.evaluate(() => { globalThis.opened = true; });
  await eventually("the page to be live", async () => (await page.locator("#live").innerText()) === "live");
  await eventually("all to be in step", async () => (await sentence(page)).startsWith("In step: 2 of 2 tenants"));
  installation.lockstep("pause", "workers", "--reason", "to see a change wait");
  const paused = /^Wrong: workers paused since .*: to see a change wait/;
  await eventually("the pause to be told", async () => paused.test(await sentence(page)));
  // Workers notice a pause within a second: what they ship until then does not wait.
  await eventually("a change to wait", async () => {
    installation.sql(`UPDATE "ProjectUser" SET "displayName" = 'Ada ' || clock_timestamp() WHERE "projectUserId" = id('ada')`);
    return (await number(page, "Tenants with news")) === "1";
  });
  assert.match(await sentence(page), paused);
  assert.equal(await page.locator("#announcement").innerText(), "State: Wrong");
  installation.lockstep("resume", "workers");
  await eventually("the change to have arrived", async () => (await number(page, "Tenants with news")) === "0");
  await eventually("all to be in step", async () => (await sentence(page)).startsWith("In step: 2 of 2 tenants"));
  assert.equal(await page.evaluate(() => globalThis.opened), true, "the page was loaded again");
  await close(page);
});

test("a console that only reads has no button and refuses every form", async () => {
  const page = await open(browser, reading.address);
  for (const view of views()) {
    await page.goto(reading.address + view);
    assert.equal(await page.locator("form[method=post], a[href^='/actions']").count(), 0, view);
    assert.match(await page.locator("header .state").innerText(), /read-only/);
  }
  await close(page);
  for (const path of ["/actions/pause", "/actions/retry", "/", "/mappings/users", "/nowhere"]) {
    const headers = { Origin: reading.address, "Sec-Fetch-Site": "same-origin" };
    const answer = await fetch(reading.address + path, { method: "POST", headers, body: "kind=mapping&name=users" });
    assert.equal(answer.status, 403, path);
  }
  assert.equal((await fetch(`${reading.address}/actions/pause?kind=mapping&name=users`)).status, 403);
  assert.equal(installation.sql("SELECT count(*) FROM lockstep.pause"), "0");
});

test("an action says what it does in numbers and as a command, is done with a reason, and is told of", async () => {
  const watching = await open(browser, reading.address);
  await watching.goto(`${reading.address}/mappings`);
  await eventually("the page to be live", async () => (await watching.locator("#live").innerText()) === "live");
  const page = await open(browser, acting.address);
  await page.goto(`${acting.address}/mappings/teams`);
  await page.getByRole("link", { name: "Pause teams" }).click();
  await accessible(page, "a form");
  const told = await page.locator("#action").innerText();
  assert.match(told, /teams of 2 tenants stands still in every destination; 0 have changes of it on the way/);
  assert.match(told, /lockstep pause mapping teams --reason/);
  await page.getByRole("button", { name: "Pause the mapping teams" }).click();
  assert.ok(page.url().includes("/actions/"), "a reason is asked for");
  await page.getByLabel("Reason").fill("<b>its table is being mended</b>");
  await page.getByRole("button", { name: "Pause the mapping teams" }).click();
  await page.waitForURL(`${acting.address}/mappings`);
  const done = Date.now();
  const state = async (page) => page.locator("#mappings tr", { hasText: "teams" }).first().locator("td").first().innerText();
  await eventually("the pause to be seen", async () => (await state(page)) === "paused", 5_000);
  assert.ok(Date.now() - done < 1_500, `it was seen after ${Date.now() - done} ms`);
  await eventually("others to see it", async () => (await state(watching)) === "paused", 5_000);
  assert.match(acting.said(), /action of the console.*lockstep pause mapping teams/);
  const entry = installation.sql("SELECT who || '|' || what || '|' || arguments::text || '|' || outcome FROM lockstep.action ORDER BY id DESC LIMIT 1");
  assert.match(entry, /\(console, 127\.0\.0\.1\)\|pause\|.*teams.*\|changed$/);
  assert.ok(!entry.includes("mended"), "a reason is free text, and no part of an entry");
  await page.goto(`${acting.address}/operations`);
  assert.match(await page.locator("[aria-labelledby=audit] tbody tr").first().innerText(), /console, 127\.0\.0\.1.*pause.*teams.*changed/s);
  assert.match(await page.locator("#now").innerText(), /mapping teams paused since .*: <b>its table is being mended<\/b>/);
  assert.equal(await page.locator("#now b").count(), 0, "a reason is text");
  await page.getByRole("link", { name: "Resume mapping teams" }).click();
  await page.getByLabel("Reason").fill("mended");
  await page.getByRole("button", { name: "Resume the mapping teams" }).click();
  await page.waitForURL(`${acting.address}/mappings`);
  await eventually("it to go on", async () => (await state(watching)) === "in step", 10_000);
  await close(page);
  await close(watching);
});

test("a form of another site, without a token or for something else, is refused", async () => {
  const form = await (await fetch(`${acting.address}/actions/pause?kind=mapping&name=users`)).text();
  const token = /name="token" value="([^"]+)"/.exec(form)[1];
  const post = async (fields, headers) => {
    const body = new URLSearchParams({ token, kind: "mapping", name: "users", reason: "a test", ...fields });
    return (await fetch(`${acting.address}/actions/pause`, { method: "POST", body, headers, redirect: "manual" })).status;
  };
  const own = { Origin: acting.address, "Sec-Fetch-Site": "same-origin" };
  assert.equal(await post({}, { Origin: "http://evil.example", "Sec-Fetch-Site": "cross-site" }), 403);
  assert.equal(await post({}, { Origin: reading.address, "Sec-Fetch-Site": "same-site" }), 403);
  assert.equal(await post({ token: "1.x" }, own), 403);
  assert.equal(await post({ name: "teams" }, own), 403);
  assert.equal(installation.sql("SELECT count(*) FROM lockstep.pause"), "0");
  assert.equal(await post({}, own), 303);
  assert.equal(installation.lockstep("resume", "mapping", "users", "--output", "json").includes('"changed":true'), true);
});

test("a refused row appears, is mended, shipped again and gone", async () => {
  await installation.clickhouse("ALTER TABLE {raw}.users ADD CONSTRAINT no_hunter CHECK NOT like(ifNull(display_name, ''), '%hunter2%')");
  installation.sql(`UPDATE "ProjectUser" SET "displayName" = 'hunter2' WHERE "projectUserId" = id('grace')`);
  await eventually("the row to be refused", () => installation.sql("SELECT count(*) FROM lockstep.quarantine") === "1");
  const page = await open(browser, acting.address);
  await page.goto(`${acting.address}/quarantine`);
  const text = await page.locator("#quarantine").innerText();
  assert.match(text, /LS-\d{4}/);
  assert.ok(text.includes(installation.sql("SELECT id('grace')")) && !text.includes("hunter2"));
  await accessible(page, "a row in quarantine");
  await installation.clickhouse("ALTER TABLE {raw}.users DROP CONSTRAINT no_hunter");
  await page.getByRole("link", { name: "Ship them again" }).click();
  assert.match(await page.locator("#action").innerText(), /1 row in quarantine of 1 kind of error/);
  await page.getByLabel("Reason").fill("the constraint is gone");
  await page.getByRole("button", { name: "Ship rows in quarantine again" }).click();
  await page.waitForURL(`${acting.address}/quarantine`);
  await eventually("the row to have arrived", async () => {
    await page.reload();
    return (await page.locator("#quarantine").innerText()).includes("No row is in quarantine");
  });
  await close(page);
});

test("rows are forgotten only where their number is typed, and a setting is changed by a form", async () => {
  await installation.clickhouse("ALTER TABLE {raw}.users ADD CONSTRAINT no_hunter CHECK NOT like(ifNull(display_name, ''), '%hunter3%')");
  installation.sql(`UPDATE "ProjectUser" SET "displayName" = 'hunter3' WHERE "projectUserId" = id('grace')`);
  await eventually("the row to be refused", () => installation.sql("SELECT count(*) FROM lockstep.quarantine") === "1");
  await installation.clickhouse("ALTER TABLE {raw}.users DROP CONSTRAINT no_hunter");
  const page = await open(browser, acting.address);
  await page.goto(`${acting.address}/quarantine?mapping=users`);
  await page.getByRole("link", { name: "Forget them" }).click();
  assert.match(await page.locator("#action").innerText(), /1 row in quarantine is forgotten.*lockstep quarantine drop --mapping users/s);
  await accessible(page, "a form that asks for a number");
  for (const [typed, left] of [["2", "1"], ["1", "0"]]) {
    await page.getByLabel("How many rows").fill(typed);
    await page.getByLabel("Reason").fill("it is of no use");
    await page.getByRole("button", { name: "Forget rows in quarantine" }).click();
    await page.waitForLoadState();
    assert.equal(installation.sql("SELECT count(*) FROM lockstep.quarantine"), left);
    if (left !== "0") await page.goBack();
  }
  await page.goto(`${acting.address}/operations`);
  await page.getByRole("link", { name: "Change change_retention" }).click();
  await page.getByLabel("Value").fill("3 days");
  await page.getByLabel("Reason").fill("a long weekend");
  await page.getByRole("button", { name: "Change the setting change_retention" }).click();
  await page.waitForURL(`${acting.address}/operations`);
  assert.equal(installation.sql("SELECT value FROM lockstep.setting WHERE name = 'change_retention'"), "3 days");
  await close(page, /Failed to load resource: the server responded with a status of 400/);
  // What was forgotten is mended by a change of the row.
  installation.sql(`UPDATE "ProjectUser" SET "displayName" = 'Grace' WHERE "projectUserId" = id('grace')`);
});

test("a tenant is erased only where its id is typed", async () => {
  installation.sql(`INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('leaving', 'x', TRUE, now());
    INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('leaving'), 'leaving', 'main', 'TRUE', now())`);
  const id = installation.sql("SELECT id('leaving')");
  const page = await open(browser, acting.address);
  await page.goto(`${acting.address}/tenants/${id}`);
  await page.getByRole("link", { name: "Erase this tenant" }).click();
  assert.match(await page.locator("#action").innerText(), /still exists.*All rows of 1 tenant in 12 mappings.*cannot be undone/s);
  await page.getByLabel("The tenant's id, typed").fill(engines);
  await page.getByLabel("Reason").fill("they have left");
  await page.getByRole("button", { name: `Erase tenant ${id}` }).click();
  await page.waitForLoadState();
  assert.equal(installation.sql("SELECT count(*) FROM lockstep.erasure"), "0");
  await page.goBack();
  await page.getByLabel("The tenant's id, typed").fill(id);
  await page.getByLabel("Reason").fill("they have left");
  await page.getByRole("button", { name: `Erase tenant ${id}` }).click();
  await page.waitForURL(`${acting.address}/tenants/${id}`);
  await eventually("the erasure to be asked for", () => installation.sql(`SELECT count(*) FROM lockstep.erasure WHERE tenancy_id = '${id}'`) === "1");
  await page.reload();
  assert.match(await page.locator("[aria-labelledby=audit]").innerText(), /erase/);
  await close(page, /Failed to load resource: the server responded with a status of 400/);
});

test("an export that is begun here goes on, and is told of until it is done", async () => {
  const page = await open(browser, acting.address);
  await page.goto(`${acting.address}/tenants/${engines}`);
  await page.getByRole("link", { name: "Export this tenant again" }).click();
  assert.match(await page.locator("#action").innerText(), /12 mappings/);
  await page.getByLabel("Reason").fill("to be sure");
  await page.getByRole("button", { name: `Export tenant ${engines} again` }).click();
  await page.waitForURL(`${acting.address}/operations`);
  await eventually("the export to be done", async () => {
    await page.reload();
    return (await page.locator("#asked").innerText()).includes(`Export tenant ${engines} again: done`);
  });
  await close(page);
});

test("what people name is text, wherever it is shown", async () => {
  const markup = `<img src=x onerror=alert(1)>`;
  installation.sql(`INSERT INTO "Project" ("id", "displayName", "isProductionMode", "updatedAt") VALUES ('${markup}', 'x', TRUE, now());
    INSERT INTO "Tenancy" ("id", "projectId", "branchId", "hasNoOrganization", "updatedAt") VALUES (id('markup'), '${markup}', 'main', 'TRUE', now())`);
  const id = installation.sql("SELECT id('markup')");
  const page = await open(browser, reading.address);
  page.on("dialog", () => page.complaints.push("a script ran"));
  for (const view of [`/tenants/${id}`, "/tenants?all=1", `/tenants?q=${encodeURIComponent(`"><script>alert(1)</script>`)}`,
    `/quarantine?destination=${encodeURIComponent(markup)}`, `/mappings/${encodeURIComponent(markup)}`,
    `/tenants/${engines}?mapping=${encodeURIComponent(markup)}&key=${encodeURIComponent(markup)}`]) {
    await page.goto(reading.address + view);
    assert.equal(await page.locator("script:not([src]), img").count(), 0, view);
  }
  await page.goto(`${reading.address}/tenants?q=${encodeURIComponent(markup)}`);
  assert.equal(await page.getByRole("searchbox").inputValue(), markup);
  assert.equal(await page.locator("tbody tr").count(), 1, "it is found by its name");
  // Pages that say that there is no such thing come with a status that the browser tells of.
  await close(page, /Failed to load resource: the server responded with a status of 4/);
});

test("what is being typed and the focus stay while regions change", async () => {
  const page = await open(browser, reading.address);
  await page.goto(`${reading.address}/operations`);
  await eventually("the page to be live", async () => (await page.locator("#live").innerText()) === "live");
  await page.getByRole("region", { name: "Periodic tasks" }).focus();
  const seen = await page.locator("#taken").innerText();
  await eventually("something to change", async () => (await page.locator("#taken").innerText()) !== seen);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-labelledby")), "tasks");
  await close(page);
});

test("when Postgres is gone it says unknown, and the page stays and comes back", async () => {
  const page = await open(browser, reading.address);
  await page.goto(`${reading.address}/`);
  await eventually("the page to be live", async () => (await page.locator("#live").innerText()) === "live");
  installation.proxy.fail(true);
  await eventually("unknown to be said", async () => (await sentence(page)).startsWith("Unknown:"));
  assert.equal(await number(page, "Rows in quarantine"), "unknown", "unknown is never 0");
  await accessible(page, "Postgres is gone");
  for (const view of views()) {
    const answer = await fetch(reading.address + view);
    assert.ok([200, 503].includes(answer.status), `${view}: ${answer.status}`);
    assert.match(await answer.text(), /[Uu]nknown|not known|users/, view);
  }
  installation.proxy.fail(false);
  await eventually("it to come back", async () => (await sentence(page)).startsWith("In step:"));
  assert.equal((await fetch(`${reading.address}/tenants?all=1`)).status, 200);
  await close(page);
});

const schemes = { light: { colorScheme: "light" }, dark: { colorScheme: "dark" }, forced: { forcedColors: "active" } };
for (const [state, within] of Object.entries(states)) {
  test(`everybody can use every view, in light, dark and forced colours: ${state}`, () => within({ browser, installation, reading, acting, views: views() }, async (address, shown) => {
    for (const [scheme, options] of Object.entries(schemes)) {
      const page = await open(browser, address, options);
      for (const view of shown) {
        await page.goto(address + view);
        await accessible(page, `${state}, ${scheme}`);
      }
      // What Postgres was not there to be asked for comes with a status that the browser tells of.
      await close(page, /Failed to load resource: the server responded with a status of 503/);
    }
  }));
}

test("the keyboard is enough", async () => {
  const page = await open(browser, reading.address);
  await page.goto(`${reading.address}/tenants?all=1`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => location.hash), "#main");
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("type")), "search");
  await page.keyboard.type("engines/main");
  await page.keyboard.press("Enter");
  await page.waitForURL(/q=engines%2Fmain/);
  assert.equal(await page.locator("tbody tr").count(), 1);
  await close(page);
});

test("on 320 pixels nothing but tables scrolls sideways", async () => {
  const page = await open(browser, reading.address, { viewport: { width: 320, height: 640 } });
  for (const view of views()) {
    await page.goto(reading.address + view);
    const [inner, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(inner <= width, `${view}: ${inner} of ${width} pixels`);
  }
  await close(page);
});

test("without JavaScript the same is shown, and asked again", async () => {
  const page = await open(browser, reading.address, { javaScriptEnabled: false });
  await eventually("what was seen last to be shown", async () => {
    await page.goto(`${reading.address}/`);
    return (await sentence(page)).startsWith("In step:");
  });
  assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 1);
  await page.goto(`${reading.address}/mappings`);
  assert.equal(await page.locator("#mappings tbody tr").count(), 12);
  await close(page);
});

test("a tenant's link opens its own page, and nothing else", async () => {
  const link = installation.lockstep("console", "link", "--tenant", engines, "--base-url", reading.address,
    "--link-secret-file", installation.secret);
  const page = await open(browser, reading.address);
  await page.goto(link);
  assert.match(await page.locator("h1").innerText(), /Your data/);
  assert.equal((await fetch(link)).headers.get("referrer-policy"), "no-referrer", "the link is in the address");
  assert.match(await page.locator("#tenant").innerText(), /project engines, branch main/);
  assert.equal(await page.locator("nav, form[method=post], a[href^='/tenants'], a[href^='/proof']").count(), 0);
  await accessible(page, "a tenant's own page");
  await page.getByLabel("Key").fill(ada);
  await page.getByRole("button", { name: "Explain" }).click();
  assert.match(await page.locator("#tenant .verdict").innerText(), /^In step:/);
  const other = installation.sql("SELECT id('grace')");
  await page.getByLabel("Key").fill(other);
  await page.getByRole("button", { name: "Explain" }).click();
  assert.ok(!(await page.locator("#tenant").innerText()).includes("compilers"), "of another tenant's row nothing is told");
  await close(page);
  const forged = link.slice(0, -1) + (link.endsWith("A") ? "B" : "A");
  for (const address of [forged, `${reading.address}/t/`, `${reading.address}/t/x`]) {
    assert.equal((await fetch(address)).status, 404, address);
  }
});

test("every answer has the policy, and an answer for another name has nothing else", async () => {
  for (const view of [...views(), "/style.css", "/live.js", "/idiomorph.js", "/favicon.ico", "/nothing", "/events?view=nothing", "/tenants?q=%00"]) {
    const answer = await fetch(reading.address + view);
    assert.match(answer.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'; style-src 'self';/, view);
    assert.equal(answer.headers.get("referrer-policy"), "same-origin", view);
  }
});

test("a page is small, with everything that it asks for", async () => {
  const { gzipSync } = await import("node:zlib");
  const texts = await Promise.all(["/", "/style.css", "/live.js", "/idiomorph.js", "/favicon.svg"].map(
    async (address) => (await fetch(reading.address + address)).text()));
  const bytes = texts.reduce((sum, text) => sum + gzipSync(text).length, 0);
  assert.ok(bytes <= 40_000, `${bytes} bytes`);
});

test("the views are kept as pictures", { skip: !process.env.LOCKSTEP_SCREENSHOTS }, async () => {
  const to = process.env.LOCKSTEP_SCREENSHOTS;
  mkdirSync(to, { recursive: true });
  const page = await open(browser, acting.address, { viewport: { width: 1100, height: 760 }, colorScheme: "light" });
  const pictures = { overview: "/", mappings: "/mappings", tenants: "/tenants?all=1", tenant: `/tenants/${engines}?mapping=users&key=${ada}`,
    quarantine: "/quarantine", proof: "/proof", operations: "/operations" };
  for (const [name, view] of Object.entries(pictures)) {
    await page.goto(acting.address + view);
    await page.screenshot({ path: path.join(to, `console-${name}.png`) });
  }
  await close(page);
});
