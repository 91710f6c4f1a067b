// Usage: node check.mjs PAGE.html [PICTURES [FUNCTION]]
//
// Opens a report, or the page of a comparison, at two widths in both themes, uses what a reader would use,
// fails on anything a report must not do, and writes pictures of it. With
// FUNCTION, the flame graph must know it.
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { accessible, eventually, still, withBrowser, withReport } from './browser.mjs';

const [file, pictures, wanted] = process.argv.slice(2);
if (!file) {
  console.error('usage: node check.mjs REPORT.html [PICTURES [FUNCTION]]');
  process.exit(2);
}
const name = path.basename(file, '.html');

const sections = ['verdict', 'validity', 'load', 'latency', 'errors', 'slow', 'exchanges', 'cpu', 'target', 'environment', 'rules', 'files'];

const views = [
  { width: 1280, height: 900, scheme: 'light' }, { width: 1280, height: 900, scheme: 'dark' },
  { width: 390, height: 844, scheme: 'light' }, { width: 390, height: 844, scheme: 'dark' },
  { width: 2560, height: 1440, scheme: 'light' },
];

/** Text as the run's document has it: print sets minus signs and spaces that do not break. */
const plain = (text) => text.replace(/\u00a0/g, ' ').replace(/−/g, '-');

/** No hyphen stands for a minus, no line ends between a figure and its percent sign, and none inside of a flag. */
async function set(page, where) {
  const text = await page.locator(where).innerText();
  assert.doesNotMatch(text, /(^|[\s([])-\d/, 'a hyphen in place of a minus sign');
  assert.doesNotMatch(text, /\d[ \n]%/, 'a figure and its percent sign may part');
  assert.deepEqual(await page.locator('code').evaluateAll((all) => all.flatMap((c) => {
    const range = document.createRange(), texts = document.createTreeWalker(c, NodeFilter.SHOW_TEXT), cut = [];
    while (texts.nextNode()) {
      for (const { 0: word, index } of texts.currentNode.data.matchAll(/\S*-\S*/g)) {
        range.setStart(texts.currentNode, index);
        range.setEnd(texts.currentNode, index + word.length);
        if (word.length <= 32 && new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) cut.push(word);
      }
    }
    return cut;
  })), [], 'words of code cut at a dash');
}

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
  const said = await page.locator('#validity').textContent();
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

/** Unfolds the finding that holds a link, and clicks it. */
async function follow(page, link) {
  await link.evaluate((a) => { for (let d = a.closest('details'); d; d = d.parentElement.closest('details')) d.open = true; });
  await link.click();
}

const inView = (page, selector) => page.waitForFunction((s) => { const b = document.querySelector(s).getBoundingClientRect(); return b.height > 0 && b.top >= 0 && b.bottom <= innerHeight; }, selector);

/** At most three subjects come first, and every finding stands once. */
async function findings(page) {
  const d = await page.evaluate(() => window.Taillight.state.end.document);
  assert.ok(await page.locator('.findings > .cards > li').count() <= 3, 'more than three subjects come first');
  const ids = await page.locator('.findings [id^="finding-"]').evaluateAll((all) => all.map((e) => Number(e.id.slice(8))).sort((a, b) => a - b));
  assert.deepEqual(ids, d.findings.map((_, i) => i), 'findings shown');
}

/** The first piece of evidence that points to an exchange opens it. */
async function evidence(page) {
  const links = page.locator('a[data-ref^="exchange:"]');
  if (await links.count() === 0) return 'no finding points to an exchange';
  const ref = await links.first().getAttribute('data-ref');
  const row = '#exchange-' + ref.split(':')[1];
  const toggle = page.locator(`${row} button.open`);
  if (await toggle.count() && await toggle.getAttribute('aria-expanded') === 'true') await toggle.click();
  await follow(page, links.first());
  await page.waitForFunction((id) => document.querySelector(id + ' button.open')?.getAttribute('aria-expanded') === 'true', row);
  await inView(page, row);
  assert.ok(await page.locator(`${row}-detail .waterfall .row`).count() >= 2, 'the exchange shows no waterfall');
  assert.ok(await page.locator(`${row}-detail .parts li`).count() >= 1, 'the exchange is not taken apart');
  return `evidence ${ref} opens its exchange`;
}

/** A line of code leads to the stack that waited there, a span to its row. */
async function places(page) {
  const said = [];
  const code = page.locator('a[data-ref^="code:"]');
  if (await code.count()) {
    const line = (await code.first().getAttribute('data-ref')).slice(5).split('/').slice(-2).join('/');
    await follow(page, code.first());
    await inView(page, '.stacks li.flash .frames .site');
    assert.match(await page.locator('.stacks li.flash .frames .site').innerText(), new RegExp(line.replace(/[.]/g, '\\.') + '$'));
    said.push(`evidence reaches the blocking line ${line}`);
  }
  const span = page.locator('a[data-ref^="span:"]');
  if (await span.count()) {
    const id = (await span.first().getAttribute('data-ref')).slice(5);
    await follow(page, span.first());
    await inView(page, `.waterfall [data-span="${id}"].flash`);
    said.push('evidence reaches the span');
  }
  const counter = page.locator('a[data-ref^="counter:"]');
  if (await counter.count()) {
    const name = (await counter.first().getAttribute('data-ref')).slice(8);
    await follow(page, counter.first());
    await inView(page, `[id="metric-${name}"]`);
    said.push(`evidence reaches the chart of ${name}`);
  }
  const profile = page.locator('a[data-ref="profile:cpu"]', { hasText: /[a-z]\.[a-zA-Z(]/ });
  if (await profile.count()) {
    await follow(page, profile.first());
    assert.match(await page.locator('#cpu .info').innerText(), /^\d+\sfunction/, 'evidence of the profile searches no function');
    await page.fill('#flame-search', '');
    said.push('evidence searches the flame graph');
  }
  return said.join('; ') || 'no finding points to code, spans or counters';
}

/** The parts of a response add up; slow and typical stand side by side and open by the keyboard. */
async function slow(page) {
  const off = await page.evaluate(() => {
    const T = window.Taillight;
    return T.state.end.exchanges.filter((x) => Math.abs(T.breakdown(x).reduce((s, p) => s + p[1], 0) - (x.done_ns - x.intended_ns)) > 1000).length;
  });
  assert.equal(off, 0, 'components do not add up to the response');
  const cohorts = await page.evaluate(() => window.Taillight.state.end.cohorts);
  const told = cohorts.filter((c) => !c.why);
  assert.equal(await page.locator('#slow .steps').count(), told.length, 'a waterfall for every step compared');
  for (const c of cohorts.filter((k) => k.why)) assert.ok(plain(await page.locator('#slow .empty').innerText()).includes(plain(c.why)), 'why a step is not compared');
  assert.equal(await page.locator('#slow .flag').count(), told.reduce((n, c) => n + c.parts.filter((p) => p.named).length, 0), 'components named');
  if (!told.length) {
    assert.ok(await page.locator('#slow .empty').count() > 0, 'nothing compared, and no word why');
    return 'nothing to compare: the page says why';
  }
  const first = page.locator('#slow .exemplar').first();
  const row = '#exchange-' + await first.getAttribute('data-exchange');
  await first.focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction((id) => document.querySelector(id + ' button.open')?.getAttribute('aria-expanded') === 'true', row);
  await inView(page, row);
  return `${told.length} steps compared, an exemplar opens by Enter`;
}

/** Peak against baseline: colours where it is significant alone, or why there is nothing. */
async function difference(page) {
  if (await page.locator('[data-mode="difference"]').count() === 0) return 'no profile, no comparison';
  await page.click('[data-mode="difference"]');
  const d = await page.evaluate(() => window.Taillight.state.end.difference);
  if (!d) {
    assert.match(await page.locator('#cpu .empty').innerText(), /No baseline and no peak could be compared: ./);
    await page.click('[data-mode="request"]');
    return 'no comparison: the page says why';
  }
  assert.match(await page.locator('#cpu').innerText(), /would have shown in 4 of 5 runs/);
  const canvas = page.locator('#cpu canvas');
  const coloured = () => canvas.evaluate((c) => {
    const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    for (let i = 0; i < p.length; i += 4) if (p[i + 3] === 255 && Math.abs(p[i] - p[i + 2]) > 60) return true;
    return false;
  });
  await page.waitForFunction(() => document.querySelector('#cpu canvas').style.height); // laid out and painted at once
  assert.equal(await coloured(), d.nodes.some((n) => n.s), 'colour where something is significant, and only there');
  await canvas.focus();
  await page.keyboard.press('ArrowDown');
  assert.match(await page.locator('#flame-status').innerText(), /A .*per request, n = .*B .*per request, n = .*(95\s% interval|too few samples)/s);
  const rows = page.locator('#cpu .changes tbody tr');
  assert.equal(await rows.count(), Math.min(12, d.deepest.length), 'the deepest changes');
  if (await rows.count()) {
    await rows.first().locator('button').click();
    assert.match(await page.locator('#flame-status').innerText(), /more than chance/);
  }
  await accessible(page);
  await page.click('[data-mode="request"]');
  return d.deepest.length ? `${d.deepest.length} call paths differ` : 'nothing differs, nothing is coloured';
}

/** Slow requests against typical ones: what could have been seen, or why nothing is compared. */
async function slowCPU(page) {
  if (await page.locator('[data-mode="slow"]').count() === 0) return 'no profile, no CPU of slow requests';
  await page.click('[data-mode="slow"]');
  const first = await page.evaluate(() => (window.Taillight.state.end.slow_cpu || [])[0]);
  const text = await page.locator('#cpu').innerText();
  if (first?.difference) assert.match(text, /would have shown in 4 of 5 runs/);
  else assert.ok(/not compared/.test(text) && (!first || text.includes(first.why)), 'the CPU of slow requests: nothing, and no word why');
  await page.click('[data-mode="request"]');
  return first?.difference ? 'CPU of slow requests against typical ones' : 'CPU of slow requests: the page says why not';
}

/** Search, zoom by click and by keyboard, and back. */
async function flame(page) {
  const canvas = page.locator('#cpu canvas');
  if (await canvas.count() === 0) {
    assert.ok(!wanted, `no flame graph, so no function ${wanted}`);
    assert.ok(await page.locator('#cpu .empty').count() > 0, 'no flame graph, and no word why');
    return 'no profile: the page says so';
  }
  await page.click('[data-mode="request"]');
  const fn = wanted || await page.locator('#cpu .functions .fn button').first().textContent();
  await page.fill('#flame-search', fn);
  assert.match(await page.locator('#cpu .info').innerText(), /function.*of CPU/);
  await page.fill('#flame-search', 'no such function');
  assert.match(await page.locator('#cpu .info').innerText(), /no function matches/);
  await page.fill('#flame-search', '');
  assert.match(await page.locator('#cpu .lead').innerText(), /of CPU/);
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

/** What a cell of the heat map opens: its slowest exchange with its waterfall, down to the line it waited at, if its timeline knows; or why nothing. */
async function opened(page, how) {
  await page.waitForSelector('.filter:not([hidden])');
  const first = page.locator('.exchanges button.open').first();
  if (await first.count() === 0) {
    assert.match(await page.locator('.exchanges .none').innerText(), /no exchange of it is here\. The run kept/, 'an empty cell without a word why');
    return `${how}: nothing carried, the page says why`;
  }
  assert.equal(await first.getAttribute('aria-expanded'), 'true', `${how}: the slowest exchange is not open`);
  assert.equal(await page.evaluate(() => document.activeElement === document.querySelector('.exchanges button.open')), true, `${how}: the focus is not on the slowest exchange`);
  const times = await page.evaluate(() => { const T = window.Taillight; return [...document.querySelectorAll('.exchanges tr[id]:not(.detail)')].map((r) => { const x = T.state.end.exchanges.find((y) => 'exchange-' + y.n === r.id); return x.done_ns - x.intended_ns; }); });
  assert.deepEqual(times, [...times].sort((a, b) => b - a), `${how}: not the slowest first`);
  const detail = page.locator('.exchanges .detail:not([hidden])').first();
  assert.ok(await detail.locator('.waterfall .row').count() >= 2, `${how}: no waterfall`);
  const timed = await page.evaluate(() => { const T = window.Taillight, id = document.querySelector('.exchanges button.open').closest('tr').id, x = T.state.end.exchanges.find((y) => 'exchange-' + y.n === id); return x.breakdown.states ? x.breakdown.states.blocks.length : -1; });
  if (timed < 0) return `${how}: waterfall, no timeline`;
  if (timed === 0) return `${how}: waterfall, it never waited`;
  const line = await detail.locator('.stacks code').first().innerText();
  assert.match(line, /\S+:\d+$/, `${how}: no line of code`);
  return `${how}: waterfall and ${line}`;
}

/** Clicks a place of an element, given by shares of its size, once the element stands still under the mouse. */
async function press(page, element, at) {
  const place = async () => { await still(element); const box = await element.boundingBox(); return { x: at.x * box.width, y: at.y * box.height }; };
  await element.hover({ position: await place() });
  await element.click({ position: await place() });
}
const AGAIN = 5000; // ms after which a click that opened nothing is made again

/** The slowest cell by mouse, by keyboard and by its button. */
async function slowestCell(page, plot) {
  const at = await page.evaluate(() => {
    const T = window.Taillight, b = T.state.config.bins, cells = T.state.seconds.flatMap((s) => (s.heat || []).filter((v, i) => i % 2 === 0).map((bin) => ({ s, bin })));
    const edge = (i) => b.lowest * 10 ** (i / b.per_decade), top = cells.reduce((m, c) => (c.bin > m.bin ? c : m)), low = Math.min(...cells.map((c) => c.bin));
    const [from, to] = T.span(), lo = Math.log(edge(low) / 1.06), hi = Math.log(edge(top.bin + 1) * 1.06), mid = (Math.log(edge(top.bin)) + Math.log(edge(top.bin + 1))) / 2;
    return { x: (top.s.t + top.s.d / 2 - from) / (to - from), y: (hi - mid) / (hi - lo), column: T.state.seconds.indexOf(top.s), rows: top.s.heat.length / 2 };
  });
  const chip = page.locator('.filter'), over = plot.locator('.u-over');
  await page.click('#heat .slowest');
  const cell = await chip.innerText();
  await chip.click();
  await eventually(async () => {
    if (!await chip.isVisible()) await press(page, over, at);
    await chip.waitFor({ timeout: AGAIN });
    const got = await chip.innerText();
    if (got !== cell) await chip.click();
    assert.equal(got, cell, 'the mouse opens another cell');
  });
  const mouse = await opened(page, 'slowest cell by mouse');
  const number = () => page.evaluate(() => document.querySelector('.exchanges tr[id]')?.id);
  const first = await number();
  await page.click('.filter');
  await plot.focus();
  await page.keyboard.press('Home');
  for (let i = 0; i < at.column; i++) await page.keyboard.press('ArrowRight');
  for (let i = 0; i < at.rows; i++) await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  await opened(page, 'slowest cell by keyboard');
  assert.equal(await number(), first, 'mouse and keyboard open different exchanges');
  await page.click('.filter');
  await page.click('#heat .slowest');
  assert.equal(await number(), first, 'the button opens another cell');
  await page.click('.filter');
  return mouse + ', and by keyboard';
}

/** The limit of a search: every trial in the table, and marks on the chart. */
async function capacity(page) {
  const c = await page.evaluate(() => window.Taillight.state.end.document.capacity);
  if (!c) return 'no search';
  assert.equal(await page.locator('#capacity .trials tbody tr').count(), c.trials.length, 'a row for each trial');
  const text = plain(await page.locator('#capacity').innerText());
  assert.ok(text.includes(c.objective), 'the objective');
  for (const s of c.laws?.silent || []) assert.ok(text.includes(plain(s)), `why a law is silent: ${s}`);
  for (const f of c.saturated || []) assert.ok(text.includes(plain(f.title)), `what was used up: ${f.title}`);
  return `${c.trials.length} trials of a search`;
}

/** The page of a comparison: its sections speak, its plots are there, its flame graph is searched. */
async function compared(page) {
  const c = await page.evaluate(() => window.Taillight.state.end.compared);
  for (const s of await page.locator('main > section').all()) assert.ok((await s.innerText()).trim().length > 30, `section ${await s.getAttribute('id')} says nothing`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `the page is ${over} px wider than its window`);
  await set(page, 'main');
  assert.equal(await page.evaluate(() => typeof window.injected), 'undefined');
  assert.ok(!/\[object|undefined|NaN/.test(await page.locator('main').innerText()), 'a value that is no text');
  if (c.test) {
    const told = (c.test.judgement?.effects || []).filter((e) => e.primary && e.ratio);
    assert.equal(await page.locator('.forest').count(), told.length, 'a forest for each primary measure');
    if (told.length) assert.equal(await page.locator('.forest').first().locator('tbody tr').count(), c.test.pairs.length + 1, 'every pair, and the pooled ratio');
    assert.equal(await page.locator('#percentiles').count(), c.test.curve?.length ? 1 : 0, 'the percentiles of both sides');
  } else if (!c.refused) {
    assert.match(await page.locator('h1').innerText(), /n = 1 run a side: nothing is claimed/);
    assert.equal(await page.locator('#shift, #percentiles').count(), 2, 'shift function and percentiles');
  }
  await accessible(page);
  if (await page.locator('#cpu canvas').count() === 0) return 'comparison, without a flame graph';
  await page.locator('#cpu canvas').focus();
  await page.keyboard.press('ArrowDown');
  assert.match(await page.locator('#flame-status').innerText(), /A: .*per request.*B: .*per request/);
  return 'comparison with its flame graph';
}

/** How long a press takes until the frame after it is painted, in milliseconds. */
async function pace(page) {
  const between = (what) => page.evaluate(async (selector) => {
    const target = document.querySelector(selector);
    if (!target) return 0;
    const began = performance.now();
    target.click();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    return performance.now() - began;
  }, what);
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime || 0);
  const took = { 'an exchange': await between('.exchanges tr[id]:not(.detail) button.open[aria-expanded="false"]'), 'the slowest cell': await between('#heat .slowest'), 'the theme': await between('button.theme') };
  await between('.filter');
  for (let i = 0; i < 2; i++) await between('button.theme');
  for (const [what, ms] of Object.entries({ 'first paint': paint, ...took })) assert.ok(ms < HANG, `${what} took ${Math.round(ms)} ms`);
  return `first paint ${Math.round(paint)} ms, ` + Object.entries(took).map(([what, ms]) => `${what} ${Math.round(ms)} ms`).join(', ');
}
const HANG = 15000; // ms: figures are printed, only a hang is a fault on a machine that others use

/** A cell of the heat map leads to exchanges; the theme button goes round. */
async function heat(page) {
  const plot = page.locator('#heat .plot');
  if (await plot.count() === 0) return 'no latency: the page says so';
  const way = await slowestCell(page, plot);
  const theme = () => page.evaluate(() => document.documentElement.dataset.mode);
  const now = await theme();
  for (let i = 0; i < 2; i++) await page.click('button.theme');
  assert.equal(await theme(), 'dark');
  await page.click('button.theme');
  assert.equal(await theme(), now);
  return way;
}

/** What is looked up and not read stands folded and says what is inside; a link to it, and Enter, open it. */
async function folded(page) {
  const folds = page.locator('main > section > details.fold');
  for (const text of await folds.locator(':scope > summary').allInnerTexts()) assert.match(text, /\S+\s\S+/, 'a fold that does not say what is inside');
  for (const id of ['rules', 'environment', 'files']) {
    if (id === 'files' && await page.locator('#files .empty').count()) continue; // none lay beside the page
    const fold = page.locator(`#${id} > details.fold`), link = page.locator(`nav a[href="#${id}"]`);
    assert.equal(await fold.count(), 1, `${id} is not folded`);
    assert.match(await fold.locator(':scope > summary').innerText(), /\d/, `${id}: how much is inside`);
    assert.equal(await fold.getAttribute('open'), null, `${id} stands open`);
    const there = page.evaluate(() => new Promise((done) => { addEventListener('hashchange', () => setTimeout(done, 0), { once: true }); }));
    await link.focus();
    await page.keyboard.press('Enter');
    await there; // or what an address opens would come after what Enter folds
    assert.equal(await fold.getAttribute('open'), '', `a link to ${id} does not open it`);
    await fold.locator(':scope > summary').focus();
    await page.keyboard.press('Enter');
    assert.equal(await fold.getAttribute('open'), null, `Enter does not fold ${id}`);
  }
  const first = page.locator('#rules tbody a').first();
  if (await first.count()) {
    const finding = page.locator(await first.getAttribute('href'));
    await page.evaluate((hash) => { location.hash = hash; }, await first.getAttribute('href'));
    await eventually(async () => assert.ok(await finding.isVisible(), 'an address inside a fold does not open it'));
  }
  await page.evaluate(() => { history.replaceState(null, '', location.pathname); scrollTo(0, 0); });
  return `${await folds.count()} parts folded`;
}

/** A head that can be pressed sorts its table, both ways; a table of one row has none. */
async function sorted(page) {
  const head = page.locator('#latency thead th.n:has(.sort)').last(); // max
  if (await head.count() === 0) return 'nothing to sort';
  await page.locator('#latency details.fold').evaluateAll((all) => all.forEach((d) => { d.open = true; }));
  const all = await page.evaluate(() => { const d = window.Taillight.state.end.document; return (d.steps.length > 1 ? d.steps : d.phases).map((s) => [s.latency.response.n ? s.latency.response.max : null, s.name]); });
  const names = () => head.locator('xpath=ancestor::table').locator('tbody th').allInnerTexts();
  for (const [way, sign] of [['descending', -1], ['ascending', 1]]) {
    await head.locator('.sort').click();
    assert.equal(await head.getAttribute('aria-sort'), way);
    const want = [...all].sort((a, b) => Number(a[0] === null) - Number(b[0] === null) || sign * (a[0] - b[0])).map(([, name]) => name.trim().replace(/\s+/g, ' '));
    assert.deepEqual((await names()).map((n) => n.trim().replace(/\s+/g, ' ')), want, `sorted, ${way}`);
  }
  return 'tables sort';
}

/** The figures of a chart can be had as a file: a line for each point. */
async function exported(page) {
  const figures = page.locator('#load details.figures').first();
  if (await figures.count() === 0) return 'no chart to export';
  await figures.locator('summary').click();
  const [got] = await Promise.all([page.waitForEvent('download'), figures.locator('.csv').click()]);
  const lines = (await readFile(await got.path(), 'utf8')).trim().split('\n');
  assert.match(got.suggestedFilename(), /^[A-Za-z0-9.-]+\.csv$/);
  assert.equal(lines[0].split(',')[0], 'seconds since the start');
  assert.equal(lines.length, 1 + await page.evaluate(() => window.Taillight.state.seconds.length));
  assert.ok(lines.every((l) => l.split(',').length === lines[0].split(',').length), 'a ragged file');
  await figures.locator('summary').click();
  return 'figures exported';
}

/** The figures of a chart as its file has them: the head, and rows of numbers. */
async function fileOf(page, chart) {
  const figures = page.locator(`${chart} details.figures`);
  await figures.locator('summary').click();
  const [got] = await Promise.all([page.waitForEvent('download'), figures.locator('.csv').click()]);
  await figures.locator('summary').click();
  const [head, ...rows] = (await readFile(await got.path(), 'utf8')).trim().split('\n');
  return { head, rows: rows.map((l) => l.split(',').map((v) => (v === '' ? null : Number(v)))) };
}

/** The files of all charts have figures and words alone. They are read as they are handed over: a browser does not save so many at once. */
async function exportable(page) {
  const files = await page.evaluate(async () => {
    const T = window.Taillight, { save } = T, blobs = [];
    T.save = (blob, title) => { blobs.push([title, blob]); };
    document.querySelectorAll('figure.chart .csv').forEach((b) => b.click());
    T.save = save;
    return Promise.all(blobs.map(async ([title, blob]) => [title, await blob.text()]));
  });
  for (const [title, text] of files) assert.doesNotMatch(text, /\[object|undefined|NaN/, title);
  return files.length;
}

const close = (a, b, what) => assert.ok(Math.abs(a - b) <= 0.002 * Math.abs(b) + 1e-9, `${what}: ${a}, not ${b}`);

/** Charts of bytes, of where the time went and of each step say what the seconds hold; what cannot be drawn says why. */
async function overTime(page) {
  const { seconds, config, document: d } = await page.evaluate(() => { const s = window.Taillight.state; return { seconds: s.seconds, config: s.config, document: s.end.document }; });
  if (!seconds.length) return 'no second, no chart over time';
  const said = ['bytes'], total = (rows, i) => rows.reduce((n, r, k) => n + r[i] * seconds[k].d, 0);
  const bytes = await fileOf(page, '#bytes');
  assert.equal(bytes.head, 'seconds since the start,received,sent');
  close(total(bytes.rows, 1), seconds.reduce((n, s) => n + s.bytes_in, 0), 'bytes received');
  close(total(bytes.rows, 2), seconds.reduce((n, s) => n + s.bytes_out, 0), 'bytes sent');
  if (!d.latency.response.n) return said.join(', ');
  if (seconds.some((s) => s.spent)) {
    const { rows } = await fileOf(page, '#spent');
    const all = (values) => values.reduce((a, b) => a + b, 0);
    rows.forEach((r, k) => { // parts of less than a hundredth may be left out
      if (seconds[k].spent) assert.ok(Math.abs(all(r.slice(1)) - all(seconds[k].spent)) <= 0.08 * all(seconds[k].spent), `the parts of column ${k} are not its mean response`);
    });
    await page.locator('#spent .plot').focus();
    await page.keyboard.press('Home');
    assert.match(await page.locator('#spent .voice').innerText(), /wait\s[\d.]+\s.?s/, 'where the time went, by the keyboard');
    said.push('where the time went');
  } else assert.match(await page.locator('#latency').innerText(), /Where the time of requests went over time is not known/);
  if (config.drawn) {
    await page.selectOption('#steps-percentile', 'p99');
    const { head, rows } = await fileOf(page, '#steps');
    assert.match(await page.locator('#steps figcaption').innerText(), /^p99 of each step/);
    if (!/["\u2028]/.test(head)) {
      assert.equal(head.split(',').length, 1 + config.drawn.length, 'a line for each step');
      rows.forEach((r, k) => r.slice(1).forEach((v, i) => assert.equal(v, seconds[k].steps?.[i]?.[3] ?? null, `p99 of ${config.drawn[i]}`)));
    }
    said.push('each step');
  } else assert.equal(await page.locator('#steps').count(), 0, 'one step is the whole run');
  said.push(await throughput(page, seconds, d));
  const heads = await page.locator('#latency .scroll').last().locator('thead th').allInnerTexts();
  for (const want of ['Mean body', 'std dev', 'p75']) assert.ok(heads.some((h) => h.trim() === want), `no column ${want}`);
  const cells = await page.locator('#latency .scroll').last().locator('tbody tr').first().locator('td').allInnerTexts();
  if (d.steps.length && d.steps[0].latency.response.n) for (const want of ['Mean body', 'std dev', 'p75']) assert.match(cells[heads.findIndex((h) => h.trim() === want) - 1], /\d/, want);
  return 'over time: ' + said.join(', ');
}

/** Latency against throughput where the rate varied; a search has its own, and all others say why not. */
async function throughput(page, seconds, d) {
  const none = await page.locator('#latency .empty', { hasText: /^Latency is (not )?set against the rate of answers/ }).count();
  assert.equal(await page.locator('#throughput').count() + none, d.capacity ? 0 : 1, 'latency against throughput, or why not');
  if (d.capacity || none) return d.capacity ? 'throughput by the search' : 'no throughput: the page says why';
  const { head, rows } = await fileOf(page, '#throughput');
  assert.equal(head, 'answers per second,p99,p95,p50');
  assert.ok(rows.length >= 8 && rows.every((r, i) => i === 0 || r[0] >= rows[i - 1][0]), 'not by the rate');
  for (const r of rows) assert.ok(seconds.some((s) => s.response && Math.abs(s.n / s.d - r[0]) < 1e-9 && s.response[2] === r[1] && s.response[0] === r[3]), `${r} is of no second`);
  return 'throughput';
}

/** Every chart can be had as a file of its figures, and as a picture: twice the size of its plot, on the ground of the theme, with letters above and below. */
async function pictured(page) {
  const charts = page.locator('figure.chart'), all = await charts.count();
  assert.equal(await exportable(page), all, 'a chart without a file of its figures');
  const graphs = await page.locator('.flame').count();
  assert.equal(await charts.locator('.downloads .csv + .png').count(), all, 'a chart without a picture beside its figures');
  assert.equal(await page.locator('.pick .png').count(), graphs, 'a flame graph without a picture');
  const wanted = [...(all ? [0, all - 1] : []).map((n) => [charts.nth(n), charts.nth(n).locator('.png')]), ...(graphs ? [[page.locator('.flame').first(), page.locator('.pick .png').first()]] : [])];
  for (const [chart, button] of wanted) {
    await chart.locator('details.figures').evaluateAll((list) => list.forEach((d) => { d.open = true; }));
    const [got] = await Promise.all([page.waitForEvent('download'), button.click()]);
    await chart.locator('details.figures').evaluateAll((list) => list.forEach((d) => { d.open = false; }));
    assert.match(got.suggestedFilename(), /^[A-Za-z0-9.-]+\.png$/);
    const bytes = await readFile(await got.path());
    if (pictures) await copyFile(await got.path(), path.join(pictures, `${name}-${page.viewportSize().width}-${got.suggestedFilename()}`));
    const seen = await page.evaluate(async (base64) => {
      const image = await createImageBitmap(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: 'image/png' }));
      const c = document.createElement('canvas');
      Object.assign(c, { width: image.width, height: image.height });
      const ctx = c.getContext('2d', { willReadFrequently: true });
      ctx.drawImage(image, 0, 0);
      const colours = (top, bottom) => { const d = new Uint32Array(ctx.getImageData(0, top, c.width, bottom - top).data.buffer); return new Set(d).size; };
      ctx.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--card');
      const ground = [...ctx.getImageData(1, 1, 1, 1).data];
      ctx.fillRect(1, 1, 1, 1);
      return { width: c.width, height: c.height, ground, card: [...ctx.getImageData(1, 1, 1, 1).data], head: colours(32, 72), drawn: colours(72, c.height - 72), foot: colours(c.height - 72, c.height - 32) };
    }, bytes.toString('base64'));
    const plot = await chart.locator('canvas').first().evaluate((e) => { const b = e.getBoundingClientRect(); return [b.width, b.height]; });
    assert.equal(seen.width, Math.round(2 * (Math.round(plot[0]) + 32)), `the picture ${got.suggestedFilename()} is not of twice the size`);
    assert.ok(seen.height >= 2 * (plot[1] + 72), 'there is no room for title and run');
    assert.deepEqual(seen.ground, seen.card, 'the picture is not in the theme of the page');
    for (const part of ['head', 'drawn', 'foot']) assert.ok(seen[part] > 8, `the ${part} of the picture is empty`);
  }
  return `${all + graphs} charts to be had as pictures`;
}

/** Paper has the width of A4 within its margins, is light, and unfolds what findings hide. */
async function printed(page, view) {
  const folded = () => page.locator('.finding details:not([open]), details.fold:not([open])').count();
  const before = [await folded(), await page.evaluate(() => document.documentElement.dataset.mode)];
  // A browser that prints gives charts no time to see the width of the sheet.
  const drawn = await page.evaluate(async () => {
    window.dispatchEvent(new Event('beforeprint'));
    await Promise.resolve();
    const widths = [...document.querySelectorAll('.chart .plot canvas')].map((c) => Math.round(c.width / devicePixelRatio));
    window.dispatchEvent(new Event('afterprint'));
    return widths;
  });
  assert.ok(drawn.every((w) => w === 677 || w === 322), `charts are not drawn for paper: ${drawn}`);
  await page.setViewportSize({ width: 703, height: 1000 });
  await page.emulateMedia({ media: 'print' });
  await page.evaluate(() => window.dispatchEvent(new Event('beforeprint')));
  assert.deepEqual([await folded(), await page.evaluate(() => document.documentElement.dataset.mode)], [0, 'light'], 'on paper');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 703, `${wide} px on paper of 703: a browser makes all letters smaller to fit`);
  assert.ok(await page.evaluate(() => [...document.querySelectorAll('.chart canvas')].every((c) => c.getBoundingClientRect().right <= innerWidth + 1)), 'paper cuts a chart off');
  const beyond = await page.evaluate(() => [...document.querySelectorAll('#latency table')].map((t) => Math.round(t.getBoundingClientRect().right - innerWidth)).filter((over) => over > 1));
  assert.deepEqual(beyond, [], 'paper cuts a table of latency off, px');
  assert.equal(await page.locator('nav').isVisible(), false);
  await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
  await page.emulateMedia({ media: 'screen' });
  await page.setViewportSize({ width: view.width, height: view.height });
  assert.deepEqual([await folded(), await page.evaluate(() => document.documentElement.dataset.mode)], before, 'after printing');
}

async function shoot(page, view, what, options) {
  if (!pictures) return;
  await mkdir(pictures, { recursive: true });
  await page.screenshot({ path: path.join(pictures, `report-${name}-${view.width}-${view.scheme}${what}.png`), ...options });
}

await withBrowser(async (context) => {
  let comparison = false;
  for (const view of views) {
    const said = [];
    const faults = await withReport(context, file, view, async (page, took) => {
      said.push(`drawn after ${took} ms`);
      comparison = await page.evaluate(() => Boolean(window.Taillight.state.end.compared));
      if (comparison) {
        said.push(await compared(page), await pictured(page));
        await shoot(page, view, '', { fullPage: true });
        await printed(page, view);
        return;
      }
      said.push(await pace(page));
      await content(page);
      await truths(page);
      await findings(page);
      await shoot(page, view, '', { fullPage: true });
      await shoot(page, view, '-top', {});
      await accessible(page);
      if (view.width > 2000) return;
      said.push(await folded(page));
      said.push(await capacity(page), await slow(page), await evidence(page), await places(page));
      await page.mouse.move(0, 0);
      said.push(await flame(page), await difference(page), await slowCPU(page), await heat(page));
      said.push(await sorted(page), await exported(page), await overTime(page), await pictured(page));
      await printed(page, view); // last: it lays the page out anew, twice
    });
    assert.deepEqual(faults, [], `${view.width} px, ${view.scheme}`);
    console.log(`ok ${view.width} px ${view.scheme}: ${said.join('; ')}`);
  }
  const faults = await withReport(context, file, { width: 1280, height: 900, scheme: 'light', script: false }, async (page) => {
    const text = await page.locator('main.plain').innerText();
    assert.match(text, comparison ? /A against B/ : /Findings[^]*Steps/);
  });
  assert.deepEqual(faults, [], 'without scripts');
  console.log('ok without scripts: verdict, findings and steps stand there');
});
