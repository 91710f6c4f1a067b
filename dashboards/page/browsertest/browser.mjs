// A Chromium that reaches nothing but the page it is given.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** How long anything may take, in ms: it only tells a hang from an end, on a machine that is slow and that others use. */
export const patience = 180_000;

/** Calls check until it throws no more, and returns what it returns. */
export async function eventually(check) {
  for (const end = Date.now() + patience; ;) {
    try {
      return await check();
    } catch (e) {
      if (Date.now() > end) throw e;
    }
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

/** Waits until an element and its page are at the same place in several frames in a row. */
export async function still(element) {
  await element.scrollIntoViewIfNeeded();
  await element.evaluate((e) => new Promise((done) => {
    let last = '', same = 0;
    const look = () => {
      const { left, top, width, height } = e.getBoundingClientRect(), now = [left, top, width, height, scrollX, scrollY].join();
      same = now === last ? same + 1 : 0;
      last = now;
      if (same < 5) requestAnimationFrame(look); else done();
    };
    look();
  }));
}

/** Starts Chromium, runs use(browser), and ends it. */
export async function withBrowser(use) {
  const dir = await mkdtemp(path.join(tmpdir(), 'taillight-page-'));
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  const context = async (options) => {
    const ctx = await chromium.launchPersistentContext(path.join(dir, String(Math.random()).slice(2)), { executablePath, headless: true, args: flags, timeout: patience, ...options });
    ctx.setDefaultTimeout(patience);
    return ctx;
  };
  try {
    return await use(context);
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 40, retryDelay: 250 }); // who wrote there may still be ending
  }
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** No serious violation of accessibility rules. */
export async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  assert.deepEqual(grave.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message || '')).join(' | ')}`), []);
}

/**
 * Opens a page in a view of its own and calls use(page, ms until it stood).
 * Returns everything that the page should not have done: console errors and
 * warnings, uncaught exceptions, requests that may(url) does not allow.
 */
async function withPage(context, url, { width, height, scheme, script = true }, may, before, use) {
  const faults = [];
  const ctx = await context({ viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce', javaScriptEnabled: script, deviceScaleFactor: width < 500 ? 2 : 1 });
  try {
    const page = await ctx.newPage();
    page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') faults.push(`console ${m.type()}: ${m.text()}`); });
    page.on('pageerror', (e) => faults.push(`exception: ${e.message}`));
    page.on('request', (r) => { if (!may(r.url()) && !r.url().startsWith('data:') && !r.url().startsWith('blob:')) faults.push(`request: ${r.url()}`); });
    if (before) await page.addInitScript(before);
    const began = Date.now();
    await page.goto(url);
    if (script) await page.waitForSelector('html[data-ready]', { timeout: patience });
    await use(page, Date.now() - began);
  } finally {
    await ctx.close();
  }
  return faults;
}

/** withPage of a report, which asks for nothing but itself. */
export async function withReport(context, file, view, use) {
  const url = pathToFileURL(path.resolve(file)).href;
  return withPage(context, url, view, (asked) => asked === url, null, use);
}

/** withPage of a run that goes on, which asks nothing of another origin. */
export async function withLive(context, url, view, before, use) {
  return withPage(context, url, view, (asked) => new URL(asked).origin === new URL(url).origin, before, use);
}
