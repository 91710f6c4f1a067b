'use strict';
// Latency: where the requests were, second by second; the whole distribution
// down to its last nines; and the tables.
(function (T) {
  const el = T.el;

  T.latency = function (section) {
    const d = T.state.end.document, r = d.latency.response;
    section.append(el('p', { class: 'lead' }, lead(d)));
    if (!r.n) {
      section.append(T.empty('No answer came, so there is no latency to show. The errors say why.'));
      return;
    }
    heat(section);
    const pair = el('div', { class: 'charts' }), left = el('div', { class: 'beside' }), right = el('div', { class: 'beside' });
    pair.append(left, right);
    section.append(pair);
    distribution(left, r);
    curves(right);
    spent(section, d);
    steps(section, d);
    section.append(overall(d), parts('phase', d.phases, d), parts('step', d.steps, d));
    section.append(el('p', { class: 'note' }, 'Response time is last byte received minus the intended start, what a user feels; service time starts when the request was really sent. Both are of answered requests. A mean body is the bytes that came, by request that ended. ° fewer than ten answers lie beyond this percentile: it may move a lot from run to run.'));
  };

  function lead(d) {
    const r = d.latency.response, s = d.latency.service;
    if (!r.n) return 'No request was answered.';
    const gap = r.p99 - s.p99;
    const waiting = gap > 0.1 * s.p99 ? ' Requests waited in the generator before they were sent: service p99 is only ' + T.duration(s.p99) + '.' : '';
    return 'Half of ' + T.count(r.n) + ' answers came within ' + T.duration(r.p50) + ', 99\u00a0% within ' + T.duration(r.p99) + '; the slowest took ' + T.duration(r.max) + '.' + waiting;
  }

  // Heat map.

  function heat(section) {
    const secs = T.state.seconds, b = T.state.config.bins;
    const edge = (i) => b.lowest * 10 ** (i / b.per_decade);
    let lo = Infinity, hi = -Infinity, most = 1;
    for (const s of secs) {
      for (let i = 0; s.heat && i < s.heat.length; i += 2) {
        lo = Math.min(lo, s.heat[i]); hi = Math.max(hi, s.heat[i] + 1); most = Math.max(most, s.heat[i + 1]);
      }
    }
    if (hi < lo) return;
    const range = [edge(lo) / 1.06, edge(hi) * 1.06];
    const q = (i) => T.column((s) => (s.response ? s.response[i] : null));
    const r = T.state.end.document.latency.response;
    const scale = el('div', { class: 'scale', 'aria-hidden': 'true' }, el('span', null, '1'), el('i'), el('span', null, T.count(most)), el('span', null, 'answers in a cell'));
    const said = el('p', { class: 'cell', 'aria-live': 'off' }, 'Click a cell to open the exchanges behind it, slowest first. With the keyboard: arrows move from cell to cell, Enter opens.');
    const say = (c) => { T.fill(said, c.text); return c.text; };
    const chart = T.chart(section, {
      title: 'Response time over time', id: 'heat', note: 'log axis, ' + T.pointWidth() + ', every answer', label: 'Heat map of response time over time, with percentiles. ' + lead(T.state.end.document),
      x: T.times(), log: true, range, height: 20, format: T.duration, tick: T.tick,
      lines: [
        { label: 'p50', color: '--c-p50', data: q(0), width: 1.8, total: T.duration(r.p50) },
        { label: 'p95', color: '--c-p95', data: q(1), hidden: true, total: T.duration(r.p95) },
        { label: 'p99', color: '--c-p99', data: q(2), width: 1.8, total: T.duration(r.p99) },
        { label: 'max', color: '--c-max', data: q(3), hidden: true, total: T.duration(r.max) },
      ],
      paint: (u) => { cells(u, edge, most); ring(u, edge); },
      hover: (u) => { const c = at(u, edge); if (c && !keys.picked) say(c); },
      click: (u) => { const c = at(u, edge); if (c) T.filterExchanges(c); },
      moved: (idx) => { pick(idx, 0); chart.plot.redraw(false); return keys.picked ? say(cellOf(keys.picked, edge)) : 'no answers'; },
      key: (key, idx) => {
        if (key === 'ArrowUp' || key === 'ArrowDown') pick(idx, key === 'ArrowUp' ? 1 : -1);
        else if (key !== 'Enter' && key !== ' ') return null;
        else if (!keys.picked) pick(idx, 0);
        chart.plot.redraw(false);
        if (!keys.picked) return 'no answers in this second';
        const c = cellOf(keys.picked, edge);
        if (key === 'Enter' || key === ' ') T.filterExchanges(c);
        return say(c);
      },
      extra: el('div', { class: 'under' }, said, el('button', { type: 'button', class: 'slowest', onclick: () => T.filterExchanges(cellOf(slowest(), edge)) }, 'Open the slowest cell'), scale),
    });
    T.steady(said);
    chart.figure.querySelector('.plot').addEventListener('blur', () => { keys.picked = null; chart.plot.redraw(false); });
  }

  // The cell that the keyboard is on: a column and a bin of it.
  const keys = { picked: null };

  /** Picks a cell of a column: the slowest, or the one beside the last pick; by rows up or down. */
  function pick(idx, rows) {
    const s = T.state.seconds[idx], bins = s && s.heat ? s.heat.filter((v, i) => i % 2 === 0) : [];
    if (!bins.length) { keys.picked = null; return; }
    const last = keys.picked, near = last ? bins.reduce((a, b) => (Math.abs(b - last.bin) < Math.abs(a - last.bin) ? b : a)) : bins[bins.length - 1];
    const at = bins.indexOf(near) + (last && last.s === s ? rows : 0);
    keys.picked = { s, bin: bins[Math.min(bins.length - 1, Math.max(0, at))] };
  }

  /** The highest cell of all, the first in time. */
  function slowest() {
    let best = null;
    for (const s of T.state.seconds) for (let i = 0; s.heat && i < s.heat.length; i += 2) if (!best || s.heat[i] > best.bin) best = { s, bin: s.heat[i] };
    return best;
  }

  /** A rectangle around the cell that the keyboard is on. */
  function ring(u, edge) {
    if (!keys.picked) return;
    const { ctx } = u, { s, bin } = keys.picked, dpr = devicePixelRatio;
    const a = u.valToPos(s.t, 'x', true), b = u.valToPos(s.t + s.d, 'x', true), top = u.valToPos(edge(bin + 1), 'y', true), bottom = u.valToPos(edge(bin), 'y', true);
    ctx.strokeStyle = T.color('--focus');
    ctx.lineWidth = 2 * dpr;
    ctx.strokeRect(a - dpr, top - dpr, Math.max(4 * dpr, b - a) + 2 * dpr, bottom - top + 2 * dpr);
  }

  /** A cell with its bounds, its count and its words. */
  function cellOf({ s, bin }, edge) {
    const lo = edge(bin), hi = edge(bin + 1), n = s.heat[s.heat.findIndex((v, i) => i % 2 === 0 && v === bin) + 1];
    const c = { from: s.t, to: s.t + s.d, lo, hi, n, text: '' }, carried = T.exchangesIn(c).length;
    c.text = T.offset(s.t) + ' to ' + T.offset(s.t + s.d) + ', ' + T.duration(lo) + ' to ' + T.duration(hi) + ': ' + T.count(n) + ' of ' + T.plural(s.n, 'answer') + ', ' + (carried ? T.plural(carried, 'exchange') + ' to open' : 'none carried by this page');
    return c;
  }

  T.heatCells = cells;

  /** Five colours of density, by the logarithm of the count. */
  const shade = (n, most) => T.color('--heat-' + (most <= 1 ? 5 : 1 + Math.min(4, Math.floor(5 * Math.log(n) / Math.log(most + 1)))));

  function cells(u, edge, most) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const s of T.state.seconds) {
      if (!s.heat) continue;
      const a = Math.round(u.valToPos(s.t, 'x', true)), b = Math.round(u.valToPos(s.t + s.d, 'x', true));
      for (let i = 0; i < s.heat.length; i += 2) {
        const top = u.valToPos(edge(s.heat[i] + 1), 'y', true), bottom = u.valToPos(edge(s.heat[i]), 'y', true);
        ctx.fillStyle = shade(s.heat[i + 1], most);
        ctx.fillRect(a, Math.floor(top), Math.max(1, b - a), Math.max(2, Math.ceil(bottom) - Math.floor(top)));
      }
    }
    ctx.restore();
  }

  /** The cell under the cursor: its bounds and its count, or null. */
  function at(u, edge) {
    const { left, top } = u.cursor;
    if (left === null || left < 0 || top === null || top < 0) return null;
    const x = u.posToVal(left, 'x'), y = u.posToVal(top, 'y'), b = T.state.config.bins;
    const s = T.state.seconds.findLast((c) => x >= c.t);
    if (!s || !s.heat) return null;
    const want = Math.floor(b.per_decade * Math.log10(y / b.lowest));
    let best = -1;
    for (let i = 0; i < s.heat.length; i += 2) if (best < 0 || Math.abs(s.heat[i] - want) < Math.abs(s.heat[best] - want)) best = i;
    if (Math.abs(s.heat[best] - want) > 2) return { from: s.t, to: s.t + s.d, lo: 0, hi: Infinity, n: s.n, text: T.offset(s.t) + ' to ' + T.offset(s.t + s.d) + ': ' + T.count(s.n) + ' answers, none near ' + T.duration(y) };
    return cellOf({ s, bin: s.heat[best] }, edge);
  }

  // Distribution.

  /** How many answers took how long, over the whole run, with the percentiles. */
  function distribution(holder, r) {
    const b = T.state.config.bins, counts = new Map();
    for (const s of T.state.seconds) for (let i = 0; s.heat && i < s.heat.length; i += 2) counts.set(s.heat[i], (counts.get(s.heat[i]) || 0) + s.heat[i + 1]);
    if (!counts.size) return;
    const lo = Math.min(...counts.keys()), hi = Math.max(...counts.keys()), n = [...counts.values()].reduce((sum, c) => sum + c, 0);
    const place = (v) => b.per_decade * Math.log10(v / b.lowest), edge = (i) => b.lowest * 10 ** (i / b.per_decade);
    const x = [], y = [];
    for (let i = lo; i <= hi; i++) { x.push(i + 0.5); y.push(counts.get(i) || null); }
    const marks = /** @type {[string, number, string][]} */ ([['p50', r.p50, '--c-p50'], ['p95', r.p95, '--c-p95'], ['p99', r.p99, '--c-p99']]);
    T.chart(holder, {
      title: 'Distribution', id: 'distribution', note: 'whole run, log axis', label: 'Distribution of the response time. ' + lead(T.state.end.document),
      x, time: false, height: 17, format: T.count, tick: T.count, xRange: [lo - 0.5, hi + 1.5],
      lines: [{ label: 'answers', color: '--c-sent', fill: '--heat-3', data: y, width: 0, paths: uPlot.paths.bars({ size: [0.92, 60] }), total: 'n = ' + T.count(n) }],
      xTicks: (u) => ticks(edge(lo), edge(hi + 1), u.width < 480).map(place), xFormat: (i) => T.tick(Number(edge(i).toPrecision(3))),
      xName: (i) => T.duration(edge(i - 0.5)) + ' to ' + T.duration(edge(i + 0.5)),
      over: (u) => marks.forEach(([name, v, color], i) => named(u, name, place(v), color, i)),
    });
  }

  /** Round durations between two, about as many as an axis has room for. */
  function ticks(lo, hi, narrow) {
    const steps = hi / lo > 300 ? [1] : hi / lo > 20 ? narrow ? [1, 3] : [1, 2, 5] : [1, 1.5, 2, 3, 5, 7], out = [];
    for (let e = Math.floor(Math.log10(lo)); e <= Math.ceil(Math.log10(hi)); e++) for (const s of steps) if (s * 10 ** e >= lo && s * 10 ** e <= hi) out.push(s * 10 ** e);
    return out;
  }

  /** A line with its name at a percentile; names stand one below the other, as percentiles may be close. */
  function named(u, name, at, color, row) {
    const { ctx, bbox } = u, dpr = devicePixelRatio, left = Math.round(u.valToPos(at, 'x', true));
    ctx.save();
    ctx.fillStyle = T.color(color);
    ctx.fillRect(left, bbox.top, 2 * dpr, bbox.height);
    ctx.font = '600 ' + T.font(0.72 * dpr);
    ctx.fillStyle = T.color('--ink');
    ctx.textBaseline = 'top';
    ctx.textAlign = 'left';
    const wide = ctx.measureText(name).width, right = left + 6 * dpr + wide < bbox.left + bbox.width;
    ctx.fillText(name, right ? left + 5 * dpr : left - 4 * dpr - wide, bbox.top + row * T.rem(0.95) * dpr);
    ctx.restore();
  }

  // Percentile curve.

  function curves(section) {
    const d = T.state.end.document;
    const scopes = [{ scope: 'all', name: '', label: 'whole run' }];
    if (d.phases.length > 1) for (const p of d.phases) scopes.push({ scope: 'phase', name: p.name, label: 'phase ' + p.name });
    if (d.steps.length > 1) for (const s of d.steps) scopes.push({ scope: 'step', name: s.name, label: 'step ' + s.name });
    const holder = el('div');
    const select = el('select', { id: 'curve-scope' }, scopes.map((s, i) => el('option', { value: i }, s.label)));
    const draw = () => { const s = scopes[Number(select.value) || 0]; T.drop(holder); curve(holder, s); };
    select.addEventListener('change', draw);
    section.append(el('div', { class: 'pick' }, el('label', { for: 'curve-scope' }, 'Percentiles of'), select), holder);
    draw();
  }

  function curve(holder, s) {
    const of = (kind) => T.curve(s.scope, s.name, kind);
    const list = [['response', '--c-p99'], ['service', '--c-sent'], ['lag', '--c-planned']].map(([kind, color]) => ({ kind, color, c: of(kind) })).filter((l) => l.c);
    if (!list.length) { holder.append(T.empty('No histogram of this scope was read.')); return; }
    const longest = list.reduce((a, b) => (a.c.values.length >= b.c.values.length ? a : b)).c;
    const last = Math.log10(longest.n);
    const x = longest.values.map((v, i) => i * longest.step).concat([last]);
    const lines = list.map((l) => ({
      label: l.kind, color: l.color, dash: l.kind === 'lag' ? [4, 4] : undefined, width: l.kind === 'response' ? 2.2 : 1.6,
      data: x.map((v, i) => positive(i === x.length - 1 ? (l.c.n === longest.n ? l.c.max : null) : i < l.c.values.length ? l.c.values[i] : null)),
      total: 'max ' + T.duration(l.c.max),
    }));
    const all = lines.flatMap((l) => l.data).filter((v) => v > 0);
    const names = { 1: '90\u00a0%', 2: '99\u00a0%', 3: '99.9\u00a0%', 4: '99.99\u00a0%', 5: '99.999\u00a0%', 6: '99.9999\u00a0%' };
    T.chart(holder, {
      title: 'Percentile curve', note: s.label + ', n = ' + T.count(list[0].c.n) + ', each step to the right is one nine more', label: 'Percentile curve of ' + s.label,
      x, lines, log: true, time: false, height: 17, format: T.duration, tick: T.tick,
      range: [Math.min(...all) / 1.2, Math.max(...all) * 1.25], xRange: [0, Math.max(last, 1)],
      xTicks: () => [Math.log10(2), ...Object.keys(names).map(Number).filter((n) => n > 0 && n <= last + 0.001)],
      xFormat: (v) => names[v] || (Math.abs(v - Math.log10(2)) < 1e-9 ? '50\u00a0%' : ''),
      xName: (v) => (v === last ? 'max' : 'p' + percentile(v)),
    });
  }

  const positive = (v) => (v > 0 ? v : v === null ? null : 1e-6);

  function percentile(nines) {
    const p = 100 * (1 - 10 ** -nines);
    return String(Number(p.toFixed(Math.max(1, Math.ceil(nines)))));
  }

  // Over time, and against throughput.

  /** Where the time went, and latency against throughput beside it where the rate varied; a search has a chart of its own for that. */
  function spent(section, d) {
    const parts = T.spentChart(), why = T.steadyRate(), pair = [parts, !d.capacity && !why && T.throughputChart()].filter(Boolean);
    const place = el('div', { class: 'charts' });
    if (pair.length) section.append(place);
    for (const o of pair) T.chart(place, o);
    if (!parts) section.append(T.empty('Where the time of requests went over time is not known of this run: it was made before the seconds of an archive summed their parts. The exchanges below have theirs.'));
    if (why && !d.capacity) section.append(T.empty(why));
  }

  /** Each step over time, one percentile of them. */
  function steps(section, d) {
    const key = (p) => (name) => { const s = d.steps.find((k) => k.name === name); return s ? s.latency.response[p] : 0; };
    if (!T.stepsChart('p95', key('p95'))) return;
    const place = el('div'), draw = (p) => { T.drop(place); T.chart(place, T.stepsChart(p, key(p))); };
    const chooser = T.stepsChooser(draw);
    section.append(chooser.element, place, el('p', { class: 'note' }, T.stepsNote()));
    draw(chooser.chosen());
  }

  // Tables.

  const quantiles = [['p50', 0.5], ['p75', 0.75], ['p90', 0.9], ['p95', 0.95], ['p99', 0.99], ['p99_9', 0.999]];
  const heads = ['n', 'min', 'mean', 'std dev', 'p50', 'p75', 'p90', 'p95', 'p99', 'p99.9', 'max'];

  /** A summary with what its curve knows besides. */
  function summary(s, scope, name, kind) {
    const c = T.curve(scope, name, kind);
    return { ...s, p75: c && c.p75, stddev: c && c.stddev };
  }

  function figures(s) {
    if (!s.n) return heads.map((h, i) => (i ? '–' : '0'));
    return [T.count(s.n), T.duration(s.min), T.duration(s.mean), T.duration(s.stddev), ...quantiles.map(([k, q]) => mark(s, k, q)), T.duration(s.max)];
  }

  /** The same as numbers, by which a table is sorted. */
  const raw = (s) => (s.n ? [s.n, s.min, s.mean, s.stddev, ...quantiles.map(([k]) => s[k]), s.max] : [0]);

  function mark(s, key, q) {
    return s[key] !== undefined && T.thin(s.n, q) ? el('span', { class: 'thin' }, T.duration(s[key]) + '°') : T.duration(s[key]);
  }

  function overall(d) {
    const row = (name, kind) => [name, ...figures(summary(d.latency[kind], 'all', '', kind))];
    return T.wide('Latency of the whole run', T.table(['Whole run', ...heads], [row('Response', 'response'), row('Service', 'service'), row('Lag of the generator', 'lag')], { numbers: 1 }));
  }

  function parts(what, list, d) {
    if (!list.length) return el('div');
    const head = what === 'phase' ? 'Phase' : 'Step';
    return T.rows('Response time per ' + what, T.plural(list.length, what), list.length, T.table([head + ', response', 'OK', 'Failed', 'Rate', 'Mean body', ...heads], list.map((p) => {
      const s = summary(p.latency.response, what, p.name, 'response'), ended = p.counts.completed + p.counts.failed, body = ended ? p.counts.bytes_in / ended : undefined;
      return {
        cells: [p.name, T.count(p.counts.completed), T.bad(p.counts.failed), T.rate(p.rate_per_s), body === undefined ? '–' : T.bytes(Math.round(body)), ...figures(s)],
        keys: [p.name, p.counts.completed, p.counts.failed, p.rate_per_s, body, ...raw(s)] };
    }), { numbers: 1 }));
  }
})(window.Taillight);
