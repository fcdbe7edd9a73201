// Walks through the demo shop in a real Chromium, and says what it did.
//
//   node shop.mjs --base http://127.0.0.1:PORT [--chromium /usr/bin/chromium]
//
// Prints one JSON object: what the tracker must have counted, by this script's own count of the pages it
// opened and the clicks it made. It never looks at what the tracker sends.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

import { Tally } from "./tally.mjs";

const { values: options } = parseArgs({
  options: { base: { type: "string" }, chromium: { type: "string", default: "/usr/bin/chromium" } },
});
if (!options.base) {
  console.error("usage: node shop.mjs --base http://127.0.0.1:PORT [--chromium PATH]");
  process.exit(2);
}

const SEARCH = "http://search.example/";

// What a closing tab sends goes out after the tab is gone: nothing in the browser tells when. It has this
// long before the browser is closed too.
const LEAVING_MS = 2_500;

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Nothing but the server under test is to be reached: the outbound link leads nowhere.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
  // Headless Chromium calls itself so, and would rightly be taken for a bot.
  "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
];

const tally = new Tally();

/** A visitor: a browser profile that nobody used before. */
async function visitor(visit) {
  const profile = await mkdtemp(join(tmpdir(), "tallymark-visitor-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: options.chromium,
    headless: true,
    args: ARGS,
  });
  try {
    await visit(browser);
    await new Promise((done) => setTimeout(done, LEAVING_MS));
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** A tab that knows which view it shows, so that leaving it is counted. */
class Tab {
  constructor(page) {
    this.page = page;
    this.view = null;
  }

  show(path) {
    this.leave();
    this.view = path;
    tally.event("$pageview");
    tally.pageview(path);
  }

  leave() {
    if (this.view) tally.event("$pageleave");
    this.view = null;
  }

  async open(path, referer) {
    await this.page.goto(options.base + path, { referer });
    this.show(path);
  }

  async reload() {
    await this.page.reload();
    this.show(this.view);
  }

  async back(path) {
    await this.page.goBack();
    await this.arrive(path);
  }

  /** Clicks on what is counted as `name`; `path` is where that leads, if anywhere. */
  async click(selector, { name = "$click", path } = {}) {
    await this.page.click(selector);
    tally.event(name);
    if (path) await this.arrive(path);
  }

  async arrive(path) {
    await this.page.waitForURL(options.base + path);
    // A view must have been there for an instant to have been seen.
    await this.page.waitForLoadState();
    await this.page.waitForTimeout(50);
    this.show(path);
  }

  /** Waits until the tracker has nothing left to send. */
  async settled() {
    const unsent = () =>
      this.page.evaluate(() => Object.keys(localStorage).filter((key) => /^tm:.*:q:/.test(key)).length);
    await this.page.waitForFunction(() =>
      performance.getEntriesByType("resource").some((entry) => /\/core\.\w+\.wasm/.test(entry.name)),
    );
    for (let quiet = 0; quiet < 3; await this.page.waitForTimeout(100)) {
      quiet = (await unsent()) === 0 ? quiet + 1 : 0;
    }
  }

  async close() {
    await this.page.close();
    this.leave();
  }
}

const newTab = async (browser) => new Tab(await browser.newPage());

// Comes from a search engine, looks around, signs in, opens a second tab, orders.
await visitor(async (browser) => {
  tally.session({ entry: "/demo/", source: "search.example", user: "ada@example.com" });
  const tab = await newTab(browser);
  await tab.open("/demo/", SEARCH);
  await tab.click("#tea-oolong", { path: "/demo/product/oolong" });
  await tab.click("#add-to-cart");
  tally.event("add_to_cart", { product: "oolong", kind: "oolong", price: 18.9, quantity: 1 });
  await tab.click("#all-teas", { path: "/demo/" });
  await tab.back("/demo/product/oolong");
  await tab.page.fill("#email", "ada@example.com");
  await tab.click("#sign-in-button");
  tally.event("$identify");
  await tab.settled();
  await tab.reload();

  // A second tab resumes the session, and is closed right after a call.
  const second = await newTab(browser);
  await second.open("/demo/product/mint");
  await second.click("#add-to-cart");
  tally.event("add_to_cart", { product: "mint", kind: "herbal", price: 6.9, quantity: 1 });
  await second.settled();
  await second.page.evaluate(() => window.tallymark.track("closing", { tab: "second" }));
  tally.event("closing", { tab: "second" });
  await second.close();

  await tab.click("#cart", { path: "/demo/checkout.html" });
  await tab.click("#order", { name: "order" });
  tally.props("order", { method: "invoice" });
  await tab.settled();
  await tab.close();
});

// Knows the way to the cart, and leaves by a link to another site.
await visitor(async (browser) => {
  tally.session({ entry: "/demo/checkout.html" });
  const tab = await newTab(browser);
  await tab.open("/demo/checkout.html");
  await tab.click("#back", { path: "/demo/" });
  await tab.settled();
  await tab.click("#outbound");
  tab.leave();
});

// Looks once and goes, and the core never comes: the loader counts the view by itself. How long it was
// looked at is the core's to measure, so nothing says that it was left.
await visitor(async (browser) => {
  tally.session({ entry: "/demo/about", source: "search.example", bounced: true });
  const page = await browser.newPage();
  await page.addInitScript(() => (window.requestIdleCallback = () => {}));
  await page.goto(`${options.base}/demo/about`, { referer: SEARCH });
  tally.event("$pageview");
  tally.pageview("/demo/about");
  await page.close();
});

console.log(JSON.stringify(tally));
