// Usage: node live.mjs TAILLIGHT [PICTURES]
//
// Starts a run with a page, watches it in Chromium, reloads the page in the
// middle, and looks at the report that takes its place: nothing is lost,
// nothing is more than 1.5 s behind, nothing is asked of another origin.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { accessible, withBrowser, withLive } from './browser.mjs';

const [taillight, pictures] = process.argv.slice(2);
if (!taillight) {
  console.error('usage: node live.mjs TAILLIGHT [PICTURES]');
  process.exit(2);
}
const mostBehind = 1500; // ms
const length = 14; // seconds of load

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
  return { url, ended, stop: () => run.kill('SIGKILL'), said: () => said };
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

const until = (page, n) => page.waitForFunction((want) => window.Taillight.state.seconds.length >= want, n, { timeout: 60000 });

/** The page as it is in the middle: it says how far the run is, draws, and says why the rest is empty. */
async function middle(page) {
  assert.match(await page.locator('#verdict h1').innerText(), /^Phase \S+, .*: \d+\ss of \d+\ss$/);
  assert.equal(await page.locator('#state').innerText(), 'Live');
  assert.ok(await page.locator('.figures-row div').count() >= 7, 'figures of the run');
  assert.ok(await page.locator('#load canvas').count() >= 2, 'charts of the load');
  const heat = page.locator('#latency canvas').first();
  assert.ok(await heat.evaluate((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v !== 0)), 'the heat map is empty');
  for (const id of ['slow', 'exchanges', 'cpu', 'target', 'rules', 'files']) assert.match(await page.locator(`#${id} .empty`).innerText(), /when|written/, `section ${id} does not say why it is empty`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `the page is ${over} px wider than its window`);
  assert.equal(await page.locator('form.controls').count(), 0, 'controls that nobody allowed');
}

/** The report in place of what was there, and every second of the load in it once. */
async function ended(page, dir) {
  await page.waitForFunction(() => window.Taillight.state.end !== null, null, { timeout: 60000 });
  await page.waitForSelector('#verdict .figures-row');
  const { seconds, end } = await state(page), stored = JSON.parse(await readFile(path.join(dir, 'run', 'run.json'), 'utf8'));
  for (const [name, of] of [['planned', 'planned'], ['sent', 'sent'], ['completed', 'ok'], ['failed', 'failed'], ['unsent', 'unsent']]) {
    assert.equal(seconds.reduce((n, s) => n + s[of], 0), stored.totals[name], name);
    assert.equal(end.document.totals[name], stored.totals[name], name);
  }
  assert.equal(end.document.verdict, stored.verdict);
  assert.equal(await page.locator('.chip').first().innerText(), { pass: 'Pass', fail: 'Fail', invalid: 'Invalid', aborted: 'Aborted' }[stored.verdict]);
  assert.ok((await page.locator('#rules').innerText()).length > 100, 'the rules');
  return stored.totals;
}

async function shoot(page, what, view) {
  if (!pictures) return;
  await mkdir(pictures, { recursive: true });
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: path.join(pictures, `live-${what}-${view.width}-${scheme}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: view.scheme });
}

async function watch(context, view) {
  const dir = await mkdtemp(path.join(tmpdir(), 'taillight-live-'));
  const run = start(dir);
  try {
    const said = [], url = await run.url;
    const faults = await withLive(context, url, view, spy, async (page) => {
      await until(page, 4);
      await middle(page);
      await accessible(page);
      await shoot(page, 'running', view);
      const before = await state(page);
      await page.reload();
      await until(page, before.seconds.length + 1);
      const after = await state(page);
      assert.deepEqual(after.seconds.slice(0, before.seconds.length - 1).map((s) => [s.t, s.planned, s.ok]), before.seconds.slice(0, -1).map((s) => [s.t, s.planned, s.ok]), 'seconds lost by loading the page again');
      said.push(`loaded again at ${before.seconds.length} s, all there`);
      await page.evaluate(() => { window.told = []; }); // what came at once was old
      await until(page, length - 1);
      const behind = Math.max(...await page.evaluate(() => window.told.map((e) => e.behind)));
      assert.ok(behind <= mostBehind, `${behind} ms behind`);
      said.push(`at most ${behind} ms behind`);
      await page.locator('#latency').scrollIntoViewIfNeeded();
      const totals = await ended(page, dir);
      said.push(`the report stands there with all ${totals.planned} requests`);
      await accessible(page);
      await shoot(page, 'ended', view);
    });
    assert.deepEqual(faults, [], `${view.width} px, ${view.scheme}`);
    const code = await run.ended;
    assert.ok([0, 3].includes(code), `exit ${code}: ${run.said()}`); // a busy machine may make it invalid
    console.log(`ok ${view.width} px ${view.scheme}: ${said.join('; ')}`);
  } finally {
    run.stop();
    await run.ended;
    await rm(dir, { recursive: true, force: true });
  }
}

await withBrowser(async (context) => {
  await watch(context, { width: 1280, height: 900, scheme: 'light' });
  await watch(context, { width: 390, height: 844, scheme: 'dark' });
});
