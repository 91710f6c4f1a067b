// Usage: node check.mjs REPORT.html [PICTURES [FUNCTION]]
//
// Opens a report at two widths in both themes, uses what a reader would use,
// fails on anything a report must not do, and writes pictures of it. With
// FUNCTION, the flame graph must know it.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { withBrowser, withReport } from './browser.mjs';

const [file, pictures, wanted] = process.argv.slice(2);
if (!file) {
  console.error('usage: node check.mjs REPORT.html [PICTURES [FUNCTION]]');
  process.exit(2);
}
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const name = path.basename(file, '.html');

const sections = ['verdict', 'validity', 'load', 'latency', 'errors', 'exchanges', 'cpu', 'target', 'environment', 'rules', 'files'];

const views = [
  { width: 1280, height: 900, scheme: 'light' }, { width: 1280, height: 900, scheme: 'dark' },
  { width: 390, height: 844, scheme: 'light' }, { width: 390, height: 844, scheme: 'dark' },
  { width: 2560, height: 1440, scheme: 'light' },
];

/** Every section says something, and the page does not scroll sideways. */
async function content(page) {
  for (const id of sections) {
    const text = await page.locator('#' + id).innerText();
    assert.ok(text.trim().length > 40, `section ${id} says nothing`);
  }
  assert.deepEqual(await page.evaluate(() => [typeof window.injected, document.images.length, document.scripts.length]), ['undefined', 0, 2], 'text of the run became markup');
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `the page is ${over} px wider than its window`);
  const drawn = await page.evaluate(() => [...document.querySelectorAll('canvas')].map((c) => {
    const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    return d.some((v) => v !== 0);
  }));
  assert.ok(drawn.length === 0 || drawn.every(Boolean), 'a chart is empty');
}

/** What the page says of thresholds, rules and telemetry is what the run's document says. */
async function truths(page) {
  const d = await page.evaluate(() => window.Taillight.state.end.document);
  const rows = await page.locator('#verdict .thresholds tbody tr').allInnerTexts();
  const broken = d.thresholds.filter((t) => t.abort && !t.ok && !t.no_data);
  d.thresholds.forEach((t, i) => {
    assert.equal(/never answered OK/.test(rows[i]), Boolean(t.never && !t.no_data), `${t.text}: ${rows[i]}`);
    if (/ended the run/.test(rows[i])) assert.ok(d.stopped === 'threshold' && broken.includes(t), `${t.text} did not end the run: ${rows[i]}`);
  });
  assert.equal(rows.filter((r) => /ended the run/.test(r)).length, d.stopped === 'threshold' && broken.length ? 1 : 0, 'which rule ended the run');
  const spoke = new Set(d.findings.map((f) => f.id)).size;
  assert.match(await page.locator('#rules .lead').innerText(), new RegExp(`^${spoke}\\srule`));
  const said = await page.locator('#validity').innerText();
  const lost = Object.entries(d.signals.exporter || {}).filter(([, n]) => n > 0);
  assert.equal(/lost by our own export/i.test(said), lost.length > 0, 'what our own export lost');
  const own = d.signals.client_spans;
  assert.equal(/client spans/i.test(said), Boolean(own), 'the share of client spans');
  if (await page.evaluate(() => window.Taillight.state.config.environment.bundled)) {
    assert.equal(await page.locator('.how pre').count(), 0, 'a bundled run prints no lines to start a service with');
  } else if (!d.signals.capabilities.spans && !d.signals.capabilities.profiles) {
    assert.ok(await page.locator('.how pre').count() > 0, 'no word on how to send telemetry');
  }
}

/** No serious violation of accessibility rules. */
async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  assert.deepEqual(grave.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message || '')).join(' | ')}`), []);
}

/** The first piece of evidence that points to an exchange opens it. */
async function evidence(page) {
  const links = page.locator('a[data-ref^="exchange:"]');
  if (await links.count() === 0) return 'no finding points to an exchange';
  const ref = await links.first().getAttribute('data-ref');
  const row = '#exchange-' + ref.split(':')[1];
  const toggle = page.locator(`${row} button.open`);
  if (await toggle.count() && await toggle.getAttribute('aria-expanded') === 'true') await toggle.click();
  await links.first().click();
  await page.waitForFunction((id) => document.querySelector(id + ' button.open')?.getAttribute('aria-expanded') === 'true', row);
  await page.waitForFunction((id) => { const b = document.querySelector(id).getBoundingClientRect(); return b.top >= 0 && b.bottom <= innerHeight; }, row);
  assert.ok(await page.locator(`${row}-detail .waterfall .row`).count() >= 2, 'the exchange shows no waterfall');
  return `evidence ${ref} opens its exchange`;
}

/** Search, zoom by click and by keyboard, and back. */
async function flame(page) {
  const canvas = page.locator('#cpu canvas');
  if (await canvas.count() === 0) {
    assert.ok(!wanted, `no flame graph, so no function ${wanted}`);
    assert.ok(await page.locator('#cpu .empty').count() > 0, 'no flame graph, and no word why');
    return 'no profile: the page says so';
  }
  const fn = wanted || await page.locator('#cpu .functions .fn button').first().innerText();
  await page.fill('#flame-search', fn);
  assert.match(await page.locator('#cpu .info').innerText(), /function.*of CPU/);
  await page.fill('#flame-search', 'no such function');
  assert.match(await page.locator('#cpu .info').innerText(), /no function matches/);
  await page.fill('#flame-search', '');
  const before = await canvas.evaluate((c) => c.toDataURL());
  await canvas.focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  assert.notEqual(await canvas.evaluate((c) => c.toDataURL()), before, 'Enter does not zoom');
  assert.ok(await page.locator('#flame-reset').isEnabled());
  await page.keyboard.press('Escape');
  assert.ok(await page.locator('#flame-reset').isDisabled(), 'Escape does not zoom out');
  const box = await canvas.boundingBox();
  await canvas.click({ position: { x: box.width * 0.2, y: Math.min(box.height - 4, 50) } });
  assert.ok(await page.locator('#flame-reset').isEnabled(), 'a click does not zoom');
  await page.click('#flame-reset');
  return 'flame graph searched and zoomed';
}

/** A cell of the heat map leads to exchanges; the theme button goes round. */
async function heat(page) {
  const plot = page.locator('#latency .plot').first();
  if (await plot.count() === 0) return 'no latency: the page says so';
  await plot.scrollIntoViewIfNeeded();
  const over = plot.locator('.u-over');
  const box = await over.boundingBox();
  await over.click({ position: { x: box.width / 2, y: box.height * 0.8 } });
  await page.waitForSelector('.filter:not([hidden])');
  await page.click('.filter');
  const theme = () => page.evaluate(() => document.documentElement.dataset.mode);
  const now = await theme();
  for (let i = 0; i < 2; i++) await page.click('button.theme');
  assert.equal(await theme(), 'dark');
  await page.click('button.theme');
  assert.equal(await theme(), now);
  return 'heat map cell filters exchanges';
}

async function shoot(page, view, what, options) {
  if (!pictures) return;
  await mkdir(pictures, { recursive: true });
  await page.screenshot({ path: path.join(pictures, `report-${name}-${view.width}-${view.scheme}${what}.png`), ...options });
}

await withBrowser(async (context) => {
  for (const view of views) {
    const said = [];
    const faults = await withReport(context, file, view, async (page, took) => {
      said.push(`drawn after ${took} ms`);
      await content(page);
      await truths(page);
      await shoot(page, view, '', { fullPage: true });
      await shoot(page, view, '-top', {});
      await accessible(page);
      if (view.width > 2000) return;
      said.push(await evidence(page));
      await page.mouse.move(0, 0);
      said.push(await flame(page), await heat(page));
    });
    assert.deepEqual(faults, [], `${view.width} px, ${view.scheme}`);
    console.log(`ok ${view.width} px ${view.scheme}: ${said.join('; ')}`);
  }
  const faults = await withReport(context, file, { width: 1280, height: 900, scheme: 'light', script: false }, async (page) => {
    const text = await page.locator('main.plain').innerText();
    assert.match(text, /Findings/);
    assert.match(text, /Steps/);
  });
  assert.deepEqual(faults, [], 'without scripts');
  console.log('ok without scripts: verdict, findings and steps stand there');
});
