// Usage: node picture.mjs REPORT.html OUT.png
//        node picture.mjs TAILLIGHT FOLDER
//
// Takes the pictures that the documents show, light and 1280 pixels wide: the
// top of a report; or, of a stress test that it starts by the page of
// `taillight serve`, console.png of that page and live.png of the run's own.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { withBrowser, withReport } from './browser.mjs';
import { withServe } from './served.mjs';

const [what, out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node picture.mjs REPORT.html OUT.png | TAILLIGHT FOLDER');
  process.exit(2);
}
const most = 250_000; // bytes: a README loads it each time
const patience = 120_000; // ms; only tells a hang from an end
const shown = 20; // seconds of the run that its pictures show at least

async function shoot(page, file) {
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: file, animations: 'disabled' });
  const { size } = await stat(file);
  if (size > most) throw new Error(`${file} has ${size} bytes, more than ${most}`);
  console.log(`${file}: ${size} bytes`);
}

async function report() {
  await withBrowser(async (context) => {
    const faults = await withReport(context, what, { width: 1280, height: 1000, scheme: 'light' }, (page) => shoot(page, out));
    if (faults.length) throw new Error(faults.join('\n'));
  });
}

/** Starts a test by the form, as a person would. */
async function start(page, test, load) {
  await page.selectOption('#test', test);
  for (const [id, value] of Object.entries(load)) await page.fill('#' + id, value);
  await page.locator('#run_time').press('Enter');
  await page.waitForSelector('.hero.running', { timeout: patience });
}

async function running() {
  await withServe(what, (url) => withBrowser(async (context) => {
    const ctx = await context({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', reducedMotion: 'reduce' });
    try {
      const page = await ctx.newPage();
      await page.goto(url);
      await page.waitForSelector('html[data-ready]');
      await start(page, 'smoke', { run_time: '3s' });
      await page.waitForSelector('.hero.ended', { timeout: patience }); // something stands among past runs
      await page.getByRole('button', { name: 'Start another test' }).click();
      await start(page, 'stress', { users: '20', spawn_rate: '4', run_time: '40s' });
      await page.waitForFunction((s) => parseFloat(document.querySelector('[data-figure="elapsed"] dd').textContent) >= s, shown, { timeout: patience });
      await shoot(page, path.join(out, 'console.png'));
      await page.getByRole('link', { name: 'Watch live' }).click();
      await page.waitForSelector('html[data-ready]');
      await page.waitForFunction((s) => window.Taillight.state.seconds.length >= s, shown, { timeout: patience });
      await shoot(page, path.join(out, 'live.png'));
    } finally {
      await ctx.close();
    }
  }));
}

await (what.endsWith('.html') ? report() : running());
