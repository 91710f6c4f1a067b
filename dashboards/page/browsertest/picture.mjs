// Usage: node picture.mjs REPORT.html OUT.png
//
// Takes the picture of a report's top that the README shows: 1280 by 1000
// pixels, light.
import { stat } from 'node:fs/promises';
import { withBrowser, withReport } from './browser.mjs';

const [file, out] = process.argv.slice(2);
if (!out) {
  console.error('usage: node picture.mjs REPORT.html OUT.png');
  process.exit(2);
}
const most = 250_000; // bytes: a README loads it each time

await withBrowser(async (context) => {
  const faults = await withReport(context, file, { width: 1280, height: 1000, scheme: 'light' }, async (page) => {
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: out, animations: 'disabled' });
  });
  if (faults.length) throw new Error(faults.join('\n'));
});
const { size } = await stat(out);
if (size > most) throw new Error(`${out} has ${size} bytes, more than ${most}`);
console.log(`${out}: ${size} bytes`);
