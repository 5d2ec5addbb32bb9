// The page in a real browser: the key, every example with one click, the documentation, a stream; nothing from elsewhere.
// Prints what it saw as JSON. RELATA_SHOTS names a directory for pictures.
import { chromium } from "playwright-core";

const { RELATA_URL: url, RELATA_KEY: key, RELATA_BROWSER: executablePath, RELATA_SHOTS: shots } = process.env;
const origin = new URL(url).origin;
const seen = { answers: {}, complaints: [], elsewhere: [] };

// The container that tests run in gives no sandbox to root.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: process.env.RELATA_SCHEME });
page.setDefaultTimeout(60_000);
page.on("request", (request) => {
  if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:")) seen.elsewhere.push(request.url());
});
page.on("pageerror", (error) => seen.complaints.push(`error: ${error.message}`));
const listen = (message) => seen.complaints.push(`${message.type()}: ${message.text()}`);

const shot = (name) => (shots ? page.screenshot({ path: `${shots}/${name}.png` }) : undefined);
const answer = () => page.evaluate(() => document.querySelector(".result-window .CodeMirror").CodeMirror.getValue());
const examples = page.locator(".examples li > button:first-child");

/** The answer in the pane, once it is there and holds `part`. */
async function answered(part = "") {
  const found = await page.waitForFunction((part) => {
    const text = document.querySelector(".result-window .CodeMirror").CodeMirror.getValue();
    return text.trim().endsWith("}") && text.includes(part) && text;
  }, part);
  return JSON.parse(await found.jsonValue());
}

// A wrong key is told, and opens nothing. The browser itself complains of the status; from then on it has no cause.
await page.goto(url);
await page.fill("#key", "relata_wrong");
await page.click("#key-form button");
await page.waitForFunction(() => document.getElementById("key-problem").textContent);
seen.refused = await page.textContent("#key-problem");
await shot("key");
page.on("console", listen);

await page.fill("#key", key);
await page.click("#key-form button");
await examples.first().waitFor();
seen.account = await page.textContent("#account");

const count = await examples.count();
for (let index = 0; index < count; index++) {
  const title = await examples.nth(index).locator("strong").evaluate((node) => node.firstChild.textContent);
  await examples.nth(index).click();
  // From now on the answer of the one before is gone.
  await page.locator(`.examples li:nth-child(${index + 1}) > button[aria-current="true"]`).waitFor();
  const offer = page.locator(".offer button");
  if (await page.locator('.examples [aria-current="true"] em', { hasText: "subscription" }).count()) {
    // The stream begins at a moment that nobody tells: make it happen until something is seen.
    await page.locator('button[aria-label^="Stop"]').waitFor();
    let tries = 0;
    do {
      await offer.click();
      await page.waitForTimeout(1500);
    } while (!(await answer()) && ++tries < 20);
    seen.answers[title] = await answered("ENROLLMENT_COMPLETED");
    await shot(`example-${index}`);
    await page.locator('button[aria-label^="Stop"]').click();
    continue;
  }
  seen.answers[title] = await answered();
  await shot(`example-${index}`);
}

// A second click uses the tab that is open already.
const tabs = await page.locator(".graphiql-tab").count();
await examples.first().click();
await answered("totalCount");
seen.newTabs = (await page.locator(".graphiql-tab").count()) - tabs;

// The documentation opens and knows the types.
await page.click('button[aria-label="Show Documentation Explorer"]');
await page.click('.graphiql-doc-explorer a:has-text("Query")');
await page.click('.graphiql-doc-explorer a:has-text("RecordConnection")');
seen.documentation = await page.textContent(".graphiql-doc-explorer");
await shot("documentation");
await page.click('button[aria-label="Open settings dialog"]');
const bar = () => page.evaluate(() => getComputedStyle(document.querySelector(".bar")).backgroundColor);
const before = await bar();
await page.click('.graphiql-dialog-section button:has-text("Dark")');
await page.waitForFunction((before) => getComputedStyle(document.querySelector(".bar")).backgroundColor !== before, before);
seen.darkBar = [before, await bar()];
await shot("settings");
await page.keyboard.press("Escape");

// The key can be changed, and the change can be thought better of.
await page.click("#change-key");
await page.locator("#ask[open]").waitFor();
seen.keyShown = await page.inputValue("#key");
await page.keyboard.press("Escape");
await page.waitForFunction(() => !document.getElementById("change-key").hidden);

// Another load of the page remembers the key, but only in this tab.
await page.reload();
await page.waitForFunction(() => document.getElementById("account").textContent);
seen.remembered = await page.textContent("#account");
const other = await (await browser.newContext()).newPage();
await other.goto(url);
await other.locator("dialog#ask").waitFor();
seen.askedElsewhere = await other.locator("dialog#ask").isVisible();

await browser.close();
console.log(JSON.stringify(seen));
