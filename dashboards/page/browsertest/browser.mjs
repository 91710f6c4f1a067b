// A Chromium that reaches nothing but the file it is given.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** Starts Chromium, runs use(browser), and ends it. */
export async function withBrowser(use) {
  const dir = await mkdtemp(path.join(tmpdir(), 'taillight-page-'));
  const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
  const context = (options) => chromium.launchPersistentContext(path.join(dir, String(Math.random()).slice(2)), { executablePath, headless: true, args: flags, ...options });
  try {
    return await use(context);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * Opens a report in a view of its own and calls use(page).
 * Returns everything that the page should not have done: console errors and
 * warnings, uncaught exceptions, requests for anything but the file itself.
 */
export async function withReport(context, file, { width, height, scheme, script = true }, use) {
  const url = pathToFileURL(path.resolve(file)).href;
  const faults = [];
  const ctx = await context({ viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce', javaScriptEnabled: script, deviceScaleFactor: width < 500 ? 2 : 1 });
  try {
    const page = await ctx.newPage();
    page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') faults.push(`console ${m.type()}: ${m.text()}`); });
    page.on('pageerror', (e) => faults.push(`exception: ${e.message}`));
    page.on('request', (r) => { if (r.url() !== url && !r.url().startsWith('data:') && !r.url().startsWith('blob:')) faults.push(`request: ${r.url()}`); });
    const began = Date.now();
    await page.goto(url);
    if (script) await page.waitForSelector('html[data-ready]', { timeout: 20000 });
    await use(page, Date.now() - began);
  } finally {
    await ctx.close();
  }
  return faults;
}
