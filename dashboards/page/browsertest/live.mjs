// Usage: node live.mjs TAILLIGHT [PICTURES]
//
// Starts a run with a page, watches it in Chromium, loads the page again in the
// middle or breaks its connection, ends the run, and looks at the report that
// takes the page's place: nothing is lost, seconds are shown as they end, nothing
// is asked of another origin. Nothing of it depends on how fast the machine is:
// the run goes on until the page has been looked at.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { accessible, eventually, patience, withBrowser, withLive } from './browser.mjs';

const [taillight, pictures] = process.argv.slice(2);
if (!taillight) {
  console.error('usage: node live.mjs TAILLIGHT [PICTURES]');
  process.exit(2);
}
const mostBehind = 1500; // ms, of a quarter of the seconds: a machine that others use may hold up the rest
const length = 1800; // seconds of load: longer than anybody looks

/** Starts a run with a page; url resolves when it says where. */
function start(dir) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(TAILLIGHT|OTEL|PYROSCOPE)_/.test(k)));
  const run = spawn(path.resolve(taillight), ['run', 'smoke', '--web=127.0.0.1:0', '--headless', '-u', '4', '-t', `${length}s`, '--out', path.join(dir, 'run')], { env });
  let said = '';
  const ended = new Promise((resolve) => run.on('exit', resolve));
  const url = new Promise((resolve, reject) => {
    run.stdout.on('data', (text) => {
      said += text;
      const m = /^page {4}(http:\S+)$/m.exec(said);
      if (m) resolve(m[1]);
    });
    ended.then((code) => reject(new Error(`the run ended with ${code} and named no page: ${said}`)));
  });
  url.catch(() => {}); // told where it is awaited
  return { url, ended, interrupt: () => run.kill('SIGINT'), stop: () => run.kill('SIGKILL'), said: () => said };
}

/** Stands before the run, so that its connections can be broken. */
async function between(url) {
  const to = new URL(url), open = new Set();
  let shut = false;
  const server = net.createServer((near) => {
    if (shut) { near.destroy(); return; }
    const far = net.connect(Number(to.port), to.hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      open.add(one);
      one.on('error', () => {}); // its end tells
      one.on('close', () => { open.delete(one); other.destroy(); });
      one.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const drop = () => open.forEach((s) => s.destroy());
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    cut() { shut = true; drop(); },
    mend() { shut = false; },
    close() { server.close(); drop(); },
  };
}

/** What the page has been told, kept as it comes, with how long after its end each second came. */
function spy() {
  window.told = [];
  const wait = setInterval(() => {
    const T = window.Taillight;
    if (!T || !T.apply || T.spied) return;
    T.spied = true;
    clearInterval(wait);
    const apply = T.apply;
    T.apply = (e) => {
      const c = T.state.config;
      if (e.type === 'second' && c && !T.state.end) window.told.push({ t: e.t, behind: Date.now() - (Date.parse(c.started) + 1000 * (e.t + e.d)), planned: e.planned });
      apply(e);
    };
  }, 1);
}

const state = (page) => page.evaluate(() => {
  const { config, seconds, end, stage, after, failed } = window.Taillight.state;
  return { id: config && config.id, seconds, end: end && { document: end.document }, stage, after, failed };
});

const until = (page, n) => page.waitForFunction((want) => window.Taillight.state.seconds.length >= want, n, { timeout: patience });

/** The page as it is in the middle: it says how far the run is, draws, and says why the rest is empty. */
async function middle(page) {
  assert.match(await page.locator('#verdict h1').innerText(), /^Phase \S+: \S+\s(s|min) of \S+\smin$/);
  assert.equal(await page.locator('#state').innerText(), 'Live');
  assert.ok(await page.locator('.figures-row div').count() >= 7, 'figures of the run');
  assert.ok(await page.locator('#load canvas').count() >= 2, 'charts of the load');
  for (const chart of ['#bytes', '#spent']) assert.equal(await page.locator(`${chart} canvas`).count(), 1, `no chart ${chart}`);
  const { n, note } = await page.evaluate(() => ({ n: window.Taillight.state.seconds.reduce((sum, s) => sum + (s.spent ? s.n : 0), 0), note: document.querySelector('#spent figcaption').innerText }));
  assert.ok(note.endsWith(`n = ${n.toLocaleString('en-US')}`), `${note}, and ${n} answers came`);
  const heat = page.locator('#latency canvas').first();
  assert.ok(await heat.evaluate((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v !== 0)), 'the heat map is empty');
  for (const id of ['slow', 'exchanges', 'cpu', 'target', 'rules', 'files']) assert.match(await page.locator(`#${id} .empty`).innerText(), /when|written/, `section ${id} does not say why it is empty`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `the page is ${over} px wider than its window`);
  assert.equal(await page.locator('form.controls').count(), 0, 'controls that nobody allowed');
  const { list, t, at } = await page.evaluate(() => { const { standing, seconds } = window.Taillight.state; return { ...standing, at: seconds[seconds.length - 1].t }; });
  const rows = await page.locator('#verdict .thresholds tbody tr').allInnerTexts();
  assert.ok(list.length > 0 && t >= at, 'the thresholds do not keep up with the seconds');
  assert.equal(rows.length, list.length, 'a row for each threshold');
  list.forEach((h, i) => assert.match(rows[i], h.ok ? /\bholds\b/ : h.no_data ? /no data yet/ : /does not hold/, h.text));
  assert.ok(list.some((h) => !h.no_data && h.n > 0), 'no threshold has a value');
  const scrolls = page.locator('#verdict .thresholds .scroll');
  await scrolls.focus();
  await page.waitForFunction((then) => window.Taillight.state.standing.t > then + 1.5, t, { timeout: patience }); // drawn once more at least
  assert.ok(await scrolls.evaluate((e) => e === document.activeElement), 'the thresholds lose the focus when they are told of anew');
}

/** The report in place of what was there, and every second of the load in it once, as it was told. */
async function ended(page, dir, told) {
  await page.waitForFunction(() => window.Taillight.state.end !== null, null, { timeout: patience });
  await page.waitForSelector('#verdict .figures-row');
  const { seconds, end } = await state(page);
  const last = told[told.length - 1][0]; // it may not have been over
  assert.deepEqual(told.slice(0, -1), figures(seconds).filter(([t]) => t < last), 'seconds missed');
  const stored = JSON.parse(await readFile(path.join(dir, 'run', 'run.json'), 'utf8'));
  for (const [name, of] of [['planned', 'planned'], ['sent', 'sent'], ['completed', 'ok'], ['failed', 'failed'], ['unsent', 'unsent']]) {
    assert.equal(seconds.reduce((n, s) => n + s[of], 0), stored.totals[name], name);
    assert.equal(end.document.totals[name], stored.totals[name], name);
  }
  assert.equal(end.document.verdict, stored.verdict);
  assert.equal(stored.verdict, 'aborted');
  assert.deepEqual((await page.locator('#verdict .thresholds .mark').allInnerTexts()).map((w) => w.trim()), stored.thresholds.map((h) => (h.ok ? 'held' : h.no_data ? 'no data' : 'broken')), 'the final thresholds');
  await eventually(async () => assert.equal(await page.locator('.chip').first().innerText(), 'Aborted'));
  assert.ok((await page.locator('#rules').innerText()).length > 100, 'the rules');
  return stored.totals;
}

async function shoot(page, what, view) {
  if (!pictures) return;
  await mkdir(pictures, { recursive: true });
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: path.join(pictures, `live-${what}-${view.width}-${scheme}.png`), fullPage: what === 'running' });
  }
  await page.emulateMedia({ colorScheme: view.scheme });
}

const figures = (seconds) => seconds.map((s) => [s.t, s.planned, s.ok]);

/** Loads the page again: all seconds are there again. */
async function again(page) {
  const before = await state(page);
  await page.reload();
  await until(page, before.seconds.length + 1);
  const after = await state(page);
  assert.deepEqual(figures(after.seconds).slice(0, before.seconds.length - 1), figures(before.seconds).slice(0, -1), 'seconds lost by loading the page again');
  await page.evaluate(() => { window.told = []; }); // what came at once was old
  return `loaded again at ${before.seconds.length} s, all there`;
}

/** Breaks the connection for some seconds: the page says so, and misses nothing. */
async function outage(page, way, view) {
  const before = await state(page);
  way.cut();
  await page.waitForFunction(() => document.getElementById('state')?.innerText === 'Reconnecting', null, { timeout: patience });
  await eventually(async () => assert.match(await page.locator('#verdict .warning').innerText(), /connection to the run is lost/));
  await accessible(page);
  await shoot(page, 'lost', view);
  await page.waitForTimeout(2500);
  way.mend();
  await page.waitForFunction(() => document.getElementById('state')?.innerText === 'Live', null, { timeout: patience });
  await until(page, before.seconds.length + 3);
  const after = await state(page);
  assert.deepEqual(figures(after.seconds).slice(0, before.seconds.length - 1), figures(before.seconds).slice(0, -1), 'seconds changed');
  await page.evaluate(() => { window.told = []; });
  return `cut off at ${before.seconds.length} s, nothing missed`;
}

/** What a browser itself says of a connection that was broken. */
const broken = /^console error: Failed to load resource: net::ERR_/;

/** Watches a run, and returns how many milliseconds after its end one of four seconds was there at most. */
async function watch(context, view, cut) {
  const dir = await mkdtemp(path.join(tmpdir(), 'taillight-live-'));
  const run = start(dir);
  let way, quick = Infinity;
  try {
    const said = [];
    way = await between(await run.url);
    const faults = await withLive(context, way.url, view, spy, async (page) => {
      await until(page, 3);
      await eventually(() => middle(page));
      if (!cut) await accessible(page); // the other way looks while it is cut off
      await shoot(page, 'running', view);
      said.push(cut ? await outage(page, way, view) : await again(page));
      await page.waitForFunction(() => window.told.length >= 8, null, { timeout: patience });
      const behind = (await page.evaluate(() => window.told.map((e) => e.behind))).sort((a, b) => a - b);
      quick = behind[Math.floor(behind.length / 4)];
      said.push(`a quarter of the seconds at most ${quick} ms behind, the last ${behind[behind.length - 1]} ms`);
      const told = figures((await state(page)).seconds);
      run.interrupt();
      const totals = await ended(page, dir, told);
      said.push(`the report stands there with all ${totals.planned} requests`);
      await accessible(page);
      await shoot(page, 'ended', view);
    });
    assert.deepEqual(faults.filter((f) => !cut || !broken.test(f)), [], `${view.width} px, ${view.scheme}`);
    const code = await run.ended;
    assert.equal(code, 130, run.said());
    console.log(`ok ${view.width} px ${view.scheme}: ${said.join('; ')}`);
  } finally {
    if (way) way.close();
    run.stop();
    await run.ended;
    await rm(dir, { recursive: true, force: true, maxRetries: 40, retryDelay: 250 }); // who wrote there may still be ending
  }
  return quick;
}

/** Watches again, twice at most, when the machine let no second through in time. */
async function inTime(context, view, cut) {
  let quick = Infinity;
  for (let i = 0; i < 3 && quick > mostBehind; i++) quick = await watch(context, view, cut);
  assert.ok(quick <= mostBehind, `three of four seconds were more than ${quick} ms behind, each time`);
}

await withBrowser(async (context) => {
  await inTime(context, { width: 1280, height: 900, scheme: 'light' }, false);
  await inTime(context, { width: 390, height: 844, scheme: 'dark' }, true);
});
