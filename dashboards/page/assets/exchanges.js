'use strict';
// The slowest exchanges: a table whose rows open into a waterfall.
(function (T) {
  const el = T.el;
  const PAGE = 8;
  const view = { sort: 'response', step: '', phase: '', failed: false, cell: null, shown: PAGE, open: new Set(), body: null, info: null, more: null, chip: null };

  const response = (x) => (x.done_ns - x.intended_ns) / 1e9;
  const sorts = {
    response: ['slowest response', response],
    service: ['slowest service', (x) => (x.done_ns - x.sent_ns) / 1e9],
    lag: ['latest sent', (x) => (x.sent_ns - x.intended_ns) / 1e9],
    gap: ['longest outside the server’s span', (x) => (x.gap_ns === undefined ? -Infinity : x.gap_ns)],
    time: ['first in time', (x) => -x.intended_ns],
  };

  T.timings = ['blocked', 'dns', 'connect', 'ssl', 'send', 'wait', 'receive'];

  T.exchanges = function (section) {
    const all = T.state.end.exchanges;
    if (!all.length) {
      section.append(T.empty('No exchange was kept: none was finished, or exchanges.jsonl was not read.'));
      return;
    }
    section.append(el('p', { class: 'lead' }, lead(all)), controls(all), T.componentKey(T.componentsIn(all)));
    view.body = el('tbody');
    view.more = el('button', { type: 'button', class: 'more-rows', onclick: () => { view.shown += 50; draw(); } });
    section.append(el('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': 'Exchanges' },
      el('table', { class: 'exchanges' }, el('thead', null, el('tr', null,
        ['Exchange', 'Response', 'Made of', 'At', 'Step', 'Phase', 'Status', 'Connection'].map((h, i) => el('th', { scope: 'col', class: i === 1 || i === 3 ? 'n' : false }, h)))), view.body)),
      el('p', { class: 'after' }, view.more));
    view.open.add(all[0].n);
    draw();
    if (!all.some((x) => x.spans && x.spans.length)) section.append(T.empty('No server spans were joined to these exchanges, so what happened inside the target is not shown.', T.howToSend()));
    section.append(el('p', { class: 'note' }, T.state.end.kept === all.length ? 'These are all kept exchanges.' : 'Of ' + T.count(T.state.end.kept) + ' kept exchanges the page carries ' + T.count(all.length) + ': the slowest of every step, phase and stretch of time, some of every error class, those that findings point to, and an even sample. All of them stand in exchanges.jsonl.'));
  };

  function lead(all) {
    const x = all[0], [id, v] = T.breakdown(x).sort((a, b) => b[1] - a[1])[0];
    return 'The slowest answer took ' + T.duration(response(x)) + ', ' + T.duration(v / 1e9) + ' of it ' + T.component(id).doing + '. It fell due at ' + T.offset(x.intended_ns / 1e9) + ' in ' + x.phase + '.';
  }

  function controls(all) {
    const pick = (id, label, options, key) => {
      const s = el('select', { id }, options.map(([v, t]) => el('option', { value: v }, t)));
      s.addEventListener('change', () => { view[key] = s.value; view.shown = PAGE; draw(); });
      return [el('label', { for: id }, label), s];
    };
    const distinct = (f) => [...new Set(all.map(f))].sort();
    const row = el('div', { class: 'pick' }, pick('x-sort', 'Order', Object.entries(sorts).map(([k, v]) => [k, v[0]]), 'sort'));
    const steps = distinct((x) => x.step), phases = distinct((x) => x.phase);
    if (steps.length > 1) row.append(...pick('x-step', 'Step', [['', 'all'], ...steps.map((s) => [s, s])], 'step'));
    if (phases.length > 1) row.append(...pick('x-phase', 'Phase', [['', 'all'], ...phases.map((s) => [s, s])], 'phase'));
    if (all.some((x) => x.error)) {
      const box = el('input', { type: 'checkbox', id: 'x-failed' });
      box.addEventListener('change', () => { view.failed = box.checked; draw(); });
      row.append(box, el('label', { for: 'x-failed' }, 'failed only'));
    }
    view.chip = el('button', { type: 'button', class: 'filter', hidden: true, onclick: () => { view.cell = null; draw(); const sort = document.getElementById('x-sort'); if (sort) sort.focus({ preventScroll: true }); } });
    view.info = el('span', { class: 'info', 'aria-live': 'polite' });
    row.append(view.chip, view.info);
    return row;
  }

  const TICK = 0.005; // seconds that the generator's ticks may jitter
  const within = (x, c) => x.done_ns / 1e9 >= c.from - TICK && x.done_ns / 1e9 < c.to + TICK && response(x) >= c.lo * 0.97 && response(x) <= c.hi * 1.03;

  /** The exchanges behind a cell of the heat map, as far as the page carries them. */
  T.exchangesIn = (cell) => T.state.end.exchanges.filter((x) => within(x, cell));

  function matches() {
    const c = view.cell;
    return T.state.end.exchanges.filter((x) => (!view.step || x.step === view.step) && (!view.phase || x.phase === view.phase) && (!view.failed || x.error) && (!c || within(x, c)));
  }

  /** Why a cell has no exchange to open, and what else can be opened. */
  function lacking(c) {
    const end = T.state.end, t = end.document.totals, answered = t.completed + t.failed, whole = end.kept >= answered;
    const why = whole
      ? 'The run kept every exchange; the page carries ' + T.count(end.exchanges.length) + ' of ' + T.count(end.kept) + ': the slowest of each second, step and phase, failures, what findings point to, and an even sample. Those of this cell stand in exchanges.jsonl, done_ns from ' + Math.round(c.from * 1e9) + ' to ' + Math.round(c.to * 1e9) + '.'
      : 'The run kept ' + T.count(end.kept) + ' of ' + T.count(answered) + ' exchanges: the slowest 2 %, errors, and an even sample; the page carries ' + T.count(end.exchanges.length) + ' of them, and none of this cell.';
    return el('div', { class: 'lacking' }, el('p', null, T.plural(c.n, 'answer') + ' fell into this cell, and no exchange of it is here. ' + why),
      el('button', { type: 'button', class: 'more-rows', onclick: () => T.filterExchanges({ from: c.from, to: c.to, lo: 0, hi: Infinity, n: c.n, text: '' }) }, 'Show the exchanges of ' + T.offset(c.from) + ' to ' + T.offset(c.to)));
  }

  function draw() {
    const by = sorts[view.sort][1];
    const list = matches().sort((a, b) => by(b) - by(a));
    T.fill(view.body, list.slice(0, view.shown).map(rows));
    if (!list.length) view.body.append(el('tr', null, el('td', { colspan: '8', class: 'none' }, view.cell && isFinite(view.cell.hi) ? lacking(view.cell) : 'None of the exchanges that the page carries matches.')));
    view.more.hidden = list.length <= view.shown;
    view.more.textContent = 'Show more (' + T.count(list.length - view.shown) + ' left)';
    view.info.textContent = T.count(Math.min(list.length, view.shown)) + ' of ' + T.count(list.length);
    view.chip.hidden = !view.cell;
    if (view.cell) T.fill(view.chip, 'Cell ' + view.cell.name + ' ', el('span', { 'aria-hidden': 'true' }, '×'), el('span', { class: 'voice' }, 'remove this filter'));
  }

  function rows(x) {
    const open = view.open.has(x.n);
    const id = 'exchange-' + x.n;
    const toggle = el('button', { type: 'button', class: 'open', 'aria-expanded': String(open), 'aria-controls': id + '-detail' }, el('i', { 'aria-hidden': 'true' }), T.count(x.n));
    const cell = el('td', { colspan: '8' }), detail = el('tr', { class: 'detail', id: id + '-detail', hidden: !open }, cell);
    if (open) cell.append(detailed(x));
    const flip = () => {
      const now = !view.open.has(x.n);
      if (now) view.open.add(x.n); else view.open.delete(x.n);
      toggle.setAttribute('aria-expanded', String(now));
      detail.hidden = !now;
      if (now && !cell.childNodes.length) cell.append(detailed(x));
    };
    const row = el('tr', { id, class: x.error ? 'failed' : false, onclick: (e) => { if (!e.target.closest('a') && !getSelection().toString()) flip(); } },
      el('th', { scope: 'row' }, toggle), el('td', { class: 'n strong' }, T.duration(response(x))), el('td', { class: 'bar' }, T.componentBar(T.breakdown(x), x.done_ns - x.intended_ns)), el('td', { class: 'n' }, T.offset(x.intended_ns / 1e9)),
      el('td', null, x.step), el('td', null, x.phase), el('td', null, status(x)), el('td', null, connection(x)));
    return [row, detail];
  }

  /** All parts of an exchange in order, lag first, in nanoseconds. */
  T.partsOf = (x) => [['lag', x.sent_ns - x.intended_ns], ...T.timings.map((n, i) => /** @type {[string, number]} */ ([n, x.timings_ns[i]]))];

  /** All that is known of an exchange. */
  const detailed = (x) => el('div', null, T.waterfall(x), T.decomposition(x));

  function status(x) {
    if (x.error) return el('span', { class: 'bad', title: x.detail || '' }, x.error);
    return x.status ? String(x.status) : '–';
  }

  function connection(x) {
    const parts = [x.reused ? 'reused' : 'new'];
    if (x.tcp && x.tcp.retrans) parts.push(T.plural(x.tcp.retrans, 'retransmission'));
    return parts.join(', ');
  }

  /**
   * Opens an exchange, whatever is filtered away, and goes there.
   * @param {number} n
   * @param {function(): boolean=} part  goes to a part of it instead, if it can
   */
  T.showExchange = function (n, part) {
    const found = () => document.getElementById('exchange-' + n);
    if (!found()) {
      unfiltered();
      const by = sorts[view.sort][1];
      const place = matches().sort((a, b) => by(b) - by(a)).findIndex((x) => x.n === n);
      if (place < 0) return;
      view.shown = Math.max(view.shown, place + 1);
      draw();
    }
    const row = found(), b = /** @type {HTMLButtonElement} */ (row.querySelector('button.open'));
    if (b.getAttribute('aria-expanded') !== 'true') b.click();
    b.focus({ preventScroll: true });
    if (part && part()) return;
    T.go(row);
    T.flash(row);
  };

  /** Takes every filter away, and the controls with them. */
  function unfiltered() {
    Object.assign(view, { step: '', phase: '', failed: false, cell: null });
    for (const s of /** @type {NodeListOf<HTMLSelectElement>} */ (document.querySelectorAll('#x-step, #x-phase'))) s.value = '';
    const box = /** @type {?HTMLInputElement} */ (document.getElementById('x-failed'));
    if (box) box.checked = false;
  }

  /** Shows the exchanges behind a cell of the heat map, slowest first, the first one open. */
  T.filterExchanges = function (cell) {
    unfiltered();
    const sort = /** @type {?HTMLSelectElement} */ (document.getElementById('x-sort'));
    if (!sort) { T.go(document.getElementById('exchanges')); return; } // no exchange was kept, and the section says so
    sort.value = view.sort = 'response';
    cell.name = T.offset(cell.from) + ' to ' + T.offset(cell.to) + (isFinite(cell.hi) ? ', ' + T.duration(cell.lo) + ' to ' + T.duration(cell.hi) : '');
    view.cell = cell;
    view.shown = PAGE;
    view.open.clear();
    const first = matches().sort((a, b) => response(b) - response(a))[0];
    if (first) view.open.add(first.n);
    draw();
    T.go(document.getElementById('exchanges'));
    const toggle = first ? document.querySelector('#exchange-' + first.n + ' button.open') : view.body.querySelector('button');
    if (toggle instanceof HTMLElement) toggle.focus({ preventScroll: true });
  };
})(window.Taillight);
