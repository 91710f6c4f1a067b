// Usage: node serve.mjs TAILLIGHT [PICTURES]
//
// Starts `taillight serve` on free ports with an empty directory of runs and
// uses its page as a person would: starts a stress test, loads the page again,
// changes the users, stops the run, opens its report down to a slow exchange,
// runs another and compares the two. It fails on anything that the page must
// not do, and writes pictures of it.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { eventually, patience, withBrowser } from './browser.mjs';
import { withServe } from './served.mjs';

const [taillight, pictures] = process.argv.slice(2);
if (!taillight) {
  console.error('usage: node serve.mjs TAILLIGHT [PICTURES]');
  process.exit(2);
}
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const hostile = '</script><script>window.injected=1</script>"\'><img src=x onerror=window.injected=2>';
const views = [['light', 1280, 900], ['dark', 1280, 900], ['light', 390, 844], ['dark', 390, 844]];

/** Everything that a page of this server should not have done. */
function watch(page, url, faults) {
  page.on('console', (m) => {
    // A refusal is an answer, which Chromium writes to the console all the same.
    if ((m.type() === 'error' || m.type() === 'warning') && !/status of (400|404|409)/.test(m.text())) faults.push(`console ${m.type()}: ${m.text()}`);
  });
  page.on('pageerror', (e) => faults.push(`exception: ${e.message}`));
  page.on('request', (r) => { if (!r.url().startsWith(url) && !/^(data|blob):/.test(r.url())) faults.push(`request: ${r.url()}`); });
}

async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  assert.deepEqual(grave.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message || '')).join(' | ')}`), [], what);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${what}: the page is ${over} px wider than its window`);
}

/** Looks at the page at two widths in both themes. */
async function look(page, what) {
  for (const [scheme, width, height] of views) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await accessible(page, `${what}, ${width} px, ${scheme}`);
    if (!pictures) continue;
    await mkdir(pictures, { recursive: true });
    await page.screenshot({ path: path.join(pictures, `serve-${what}-${width}-${scheme}.png`), animations: 'disabled' });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
}

const open = async (page, url) => { await page.goto(url); await page.waitForSelector('html[data-ready]'); };
const figure = (page, name) => page.locator(`[data-figure="${name}"] dd`).first();
const figureIs = (page, name, want) => page.waitForFunction(([n, w]) => document.querySelector(`[data-figure="${n}"] dd`)?.textContent === w, [name, want], { timeout: patience });
const ended = (page) => page.waitForSelector('.hero.ended', { timeout: patience });

/** A plan that is wrong is told as the command line tells it, and marked. */
async function wrongPlan(page) {
  await page.selectOption('#test', 'own plan');
  await page.fill('#yaml', 'name: checkout\nphases:\n  - {name: ramp, users: 50 -> x, for: 10s}\nsteps:\n  - GET /profile\n');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  const problem = page.locator('form.start [role=alert]');
  await problem.waitFor();
  assert.match(await problem.innerText(), /^plan\.yaml:3:\d+: [^]*\n.*users: 50 -> x[^]*\^/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'yaml');
  await look(page, 'error');
  await page.reload();
  await page.waitForSelector('html[data-ready]');
  assert.match(await page.inputValue('#yaml'), /^name: checkout/, 'what was typed is lost by a reload');
}

/** Starts a test by the form. */
async function start(page, test, load) {
  await page.selectOption('#test', test);
  for (const [id, value] of Object.entries(load)) await page.fill('#' + id, value);
  await page.locator('#run_time').press('Enter');
  await page.waitForSelector('.hero.running', { timeout: patience });
}

/** Which of the seconds that ended after a moment of the run's own clock was the first to tell of so many users: 0 is that of the moment itself. */
async function firstSecond(url, id, users, after) {
  const stream = (await fetch(`${url}/api/runs/${id}/events`)).body.pipeThrough(new TextDecoderStream());
  let text = '';
  for await (const part of stream) {
    text += part;
    const told = [...text.matchAll(/^event: progress\ndata: (.*)\n\n/gm)].map(([, data]) => JSON.parse(data)).filter((p) => p.Elapsed / 1e9 > after);
    const at = told.findIndex((p) => p.Users === users);
    if (at >= 0) return at;
  }
  throw new Error(`the run never told of ${users} users`);
}

/** Changes users from 10 to 40 while a stress test runs: the load follows in the second of the change or in the next one, however long the machine makes them. */
async function change(page, url) {
  await start(page, 'stress', { users: '10', spawn_rate: '0', run_time: '30m' });
  await figureIs(page, 'users', '10');
  await page.waitForFunction(() => parseFloat(document.querySelector('[data-figure="elapsed"] dd').textContent) >= 6, null, { timeout: patience });
  const before = parseFloat(await figure(page, 'rate').innerText());
  await page.reload();
  await page.waitForSelector('html[data-ready]');
  await figureIs(page, 'users', '10');
  assert.ok(parseFloat(await figure(page, 'elapsed').innerText()) >= 6, 'a reload lost the seconds so far');
  assert.equal(await page.inputValue('#new-users'), '10');
  await page.fill('#new-users', '40');
  await page.getByRole('button', { name: 'Change the load' }).click();
  await figureIs(page, 'users', '40');
  await page.waitForSelector('.running .note:not(:empty)');
  assert.match(await page.locator('.running .note').innerText(), /40\susers at once from/);
  const { running } = await (await fetch(url + '/api/tests')).json();
  const state = await (await fetch(`${url}/api/runs/${running}`)).json();
  const late = await firstSecond(url, running, 40, state.changes[0].at_s);
  assert.ok(late <= 1, `the load followed ${late} seconds after that of the change`);
  await page.waitForFunction((r) => parseFloat(document.querySelector('[data-figure="rate"] dd').textContent) > 1.3 * r, before, { timeout: patience });
  await look(page, 'running');
  return `10 to 40 users: there in the ${late ? 'second after that' : 'second'} of the change`;
}

async function stop(page) {
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await ended(page);
  await page.waitForSelector('.past tbody tr');
  await look(page, 'ended');
  return page.locator('.past tbody tr').first().getAttribute('data-run');
}

/** The page of a run that the server does not know any more says so, and where its result stands. */
async function forgotten(page, url, id) {
  await page.route('**/live/events*', (r) => r.fulfill({ status: 404, body: 'no such run' }));
  await page.goto(`${url}/runs/${id}/live`);
  await page.waitForFunction(() => document.getElementById('state')?.innerText === 'Not followed', null, { timeout: patience });
  const said = page.locator('#verdict .warning');
  assert.match(await said.innerText(), /does not know this run any more/);
  await accessible(page, 'forgotten');
  await said.getByRole('link').click();
  await page.waitForSelector('html[data-feed="embedded"][data-ready]');
  await page.close();
  return 'a forgotten run leads to its report';
}

/** From the report's slowest cell to the exchanges behind it, and on to the blocking line where the report has it. */
async function report(page) {
  await page.getByRole('link', { name: 'Open the report' }).click();
  await page.waitForSelector('html[data-ready]');
  const over = page.locator('#latency .plot').first().locator('.u-over');
  await over.scrollIntoViewIfNeeded();
  const at = await page.evaluate(() => {
    const { seconds, config: { bins } } = window.Taillight.state, range = [Infinity, 0];
    let slowest = [0, 0];
    for (const s of seconds) for (let i = 0; s.heat && i < s.heat.length; i += 2) {
      range[0] = Math.min(range[0], s.heat[i]); range[1] = Math.max(range[1], s.heat[i] + 1);
      if (s.heat[i] >= slowest[0]) slowest = [s.heat[i], s.t + s.d / 2];
    }
    const edge = (i) => Math.log(bins.lowest * 10 ** (i / bins.per_decade)), pad = Math.log(1.06), last = seconds[seconds.length - 1];
    const low = edge(range[0]) - pad, high = edge(range[1]) + pad;
    return { x: (slowest[1] - seconds[0].t) / (last.t + last.d - seconds[0].t), y: (high - edge(slowest[0] + 0.5)) / (high - low) };
  });
  const box = await over.boundingBox();
  await over.click({ position: { x: at.x * box.width, y: at.y * box.height } });
  await page.waitForSelector('.filter:not([hidden])');
  const first = page.locator('#exchanges tr[id^="exchange-"]:not(.detail)').first();
  await first.waitFor();
  const row = '#' + await first.getAttribute('id'), button = page.locator(row + ' button.open');
  if (await button.getAttribute('aria-expanded') !== 'true') await button.click();
  await page.waitForSelector(row + '-detail .waterfall .row');
  const line = await page.locator(row + '-detail .frames .site, ' + row + '-detail .site').count();
  await page.goBack();
  await page.waitForSelector('html[data-ready]');
  return `the slowest cell opens its exchange${line ? ', down to the line that it waited at' : ''}`;
}

/** Files and the archive of a run can be had. */
async function files(page) {
  await page.locator('.past .open').first().click();
  await page.waitForSelector('.past .detail .zip');
  const names = await page.locator('.past .detail li a').allInnerTexts();
  for (const name of ['report.html', 'run.json', 'exchanges.jsonl', 'seconds.jsonl', 'latency.hlog']) assert.ok(names.includes(name), `no ${name}: ${names}`);
  const got = async (selector) => { const [d] = await Promise.all([page.waitForEvent('download'), page.locator(selector).click()]); return readFile(await d.path()); };
  assert.equal((await got('.past .detail .zip')).subarray(0, 4).toString('latin1'), 'PK\x03\x04');
  assert.ok(JSON.parse(await got('.past .detail a[download="run.json"]')).schema >= 1);
  await look(page, 'files');
  await page.locator('.past .open').first().click();
}

/** Two runs, picked by the keyboard, stand side by side. */
async function compare(page, url, a, b) {
  for (const id of [a, b]) {
    await page.locator(`tr[data-run="${id}"] input`).focus();
    await page.keyboard.press('Space');
  }
  const link = page.locator('.compare a.primary');
  await link.waitFor();
  assert.equal(await link.getAttribute('href'), `/compare?a=${a}&b=${b}`, 'the older run is the baseline');
  await page.reload();
  await link.waitFor();
  await look(page, 'picked');
  const answer = await (await fetch(`${url}/api/compare?a=${a}&b=${b}&force=true`)).json();
  assert.ok(answer.claim, JSON.stringify(answer));
  if ((await fetch(new URL(await link.getAttribute('href'), url))).status === 404) return 'the API compares the two';
  await link.click();
  await page.waitForSelector('html[data-ready]');
  await accessible(page, 'comparison');
  await page.goBack();
  await page.waitForSelector('html[data-ready]');
  return 'two runs side by side';
}

/** Sorting and filtering, and a run whose every name is hostile. */
async function table(page, runs) {
  const one = await page.locator('.past tbody tr').first().getAttribute('data-run');
  const d = JSON.parse(await readFile(path.join(runs, one, 'run.json'), 'utf8'));
  await mkdir(path.join(runs, 'hostile'));
  await writeFile(path.join(runs, 'hostile', 'run.json'), JSON.stringify(Object.assign(d, { id: 'hostile', name: hostile, reason: hostile, started: '2020-01-01T00:00:00Z' })));
  await page.reload();
  await page.waitForSelector('tr[data-run="hostile"]');
  assert.ok((await page.locator('tr[data-run="hostile"]').innerText()).includes('<script>window.injected=1</script>'));
  assert.deepEqual(await page.evaluate(() => [typeof window.injected, document.images.length, document.scripts.length]), ['undefined', 0, 1], 'text of a run became markup');
  const order = () => page.locator('.past tbody tr').evaluateAll((rows) => rows.map((r) => r.dataset.run));
  assert.equal((await order()).at(-1), 'hostile', 'the newest come first');
  await page.getByRole('button', { name: 'Started' }).click();
  assert.equal((await order())[0], 'hostile');
  assert.equal(await page.locator('th[aria-sort]').getAttribute('aria-sort'), 'ascending');
  await page.getByRole('button', { name: 'Started' }).click();
  await page.fill('#find', 'injected');
  assert.deepEqual(await order(), ['hostile']);
  await page.fill('#find', 'no such run');
  await page.getByRole('button', { name: 'Show all runs' }).click();
  await page.selectOption('#of-verdict', d.verdict);
  const verdicts = await page.locator('.past td[data-label="Verdict"]').allInnerTexts();
  assert.equal(new Set(verdicts).size, 1, `filtered by ${d.verdict}: ${verdicts}`);
  await page.selectOption('#of-verdict', '');
}

await withServe(taillight, (url, runs) => withBrowser(async (context) => {
  const ctx = await context({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', acceptDownloads: true });
  const faults = [], said = [];
  try {
    const page = await ctx.newPage();
    watch(page, url, faults);
    await open(page, url);
    assert.match(await page.locator('#past .empty').innerText(), /no run yet/i);
    await look(page, 'empty');
    await wrongPlan(page);
    said.push(await change(page, url));
    const a = await stop(page);
    const other = await ctx.newPage();
    watch(other, url, faults);
    said.push(await forgotten(other, url, a));
    said.push(await report(page));
    await start(page, 'smoke', {});
    await ended(page);
    await page.getByRole('button', { name: 'Start another test' }).click();
    const b = await eventually(async () => {
      const newest = await page.locator('.past tbody tr').first().getAttribute('data-run');
      assert.notEqual(newest, a);
      return newest;
    });
    await files(page);
    said.push(await compare(page, url, a, b));
    await table(page, runs);
    await look(page, 'runs');
  } finally {
    await ctx.close();
  }
  assert.deepEqual(faults, []);
  console.log('ok serve: ' + said.join('; '));
}));
