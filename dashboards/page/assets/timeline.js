'use strict';
// One exchange taken apart: its components, and what its timeline tells: the
// code it waited in, its CPU samples, and what lay over its states.
(function (T) {
  const el = T.el;

  /** @param {Object} x an exchange of the end event */
  T.decomposition = function (x) {
    const b = x.breakdown, whole = x.done_ns - x.intended_ns, parts = T.breakdown(x);
    const rows = [...parts].sort((p, q) => q[1] - p[1]);
    return el('div', { class: 'apart' },
      el('h4', null, 'What the ' + T.duration(whole / 1e9) + ' were made of'),
      T.componentBar(parts, whole),
      el('ul', { class: 'parts' }, rows.map(([id, v]) => part(id, v, whole))),
      el('p', { class: 'note' }, 'Told by ' + T.tier(b.tier) + '. The parts add up to the response; states are sums, not an order in time.' + (b.async ? ' The server worked on after its answer, so its own time is not laid over the wait.' : '')),
      calls(b), b.states ? timeline(b.states) : unknown(b));
  };

  function part(id, v, whole) {
    const c = T.component(id);
    return el('li', null, el('i', { class: c.css, 'aria-hidden': 'true' }), el('span', null, el('b', null, c.name), ' ', el('small', null, c.doing)), el('span', { class: 'n' }, (v < 0 ? '−' : '') + T.duration(Math.abs(v) / 1e9)), el('span', { class: 'n soft' }, T.percent(v / whole)));
  }

  function calls(b) {
    if (!b.calls || !b.calls.length) return null;
    return el('div', null, el('h4', null, 'Calls of other services on the critical path'),
      el('ul', { class: 'stacks' }, b.calls.map((c) => el('li', null, el('b', null, T.duration(c.time_ns / 1e9)), ' ', c.name))));
  }

  /** Why there are no states. */
  function unknown(b) {
    const s = T.state.end.document.signals, cap = s.capabilities || {};
    if (b.tier === 'T0') return null;
    const text = cap.timelines
      ? 'No flight recording covered this request, so what the handler waited for is not known; ' + T.count(s.timelines || 0) + ' requests of the run have a timeline.'
      : 'What the handler waited for is not known: the target sent no timelines. A Go service that calls telemetry.Start has them.';
    const known = cap.timelines && T.state.end.exchanges.find((x) => x.breakdown.states);
    return el('p', { class: 'note' }, text, known && [' The slowest that has one is ', el('a', { href: '#exchange-' + known.n, onclick: (e) => { e.preventDefault(); T.showExchange(known.n); } }, 'exchange ' + T.count(known.n)), ', ' + T.duration((known.done_ns - known.intended_ns) / 1e9) + '.']);
  }

  function timeline(s) {
    return el('div', null,
      el('h4', null, 'Where it waited'), waits(s),
      T.fold((s.cpu_samples ? T.plural(s.cpu_samples, 'CPU sample') : 'No CPU sample') + ', and what lay over these states', samples(s), overlays(s)));
  }

  function waits(s) {
    if (!s.blocks.length) return el('p', { class: 'note' }, 'It never waited: its timeline has no block.');
    return [el('ul', { class: 'stacks' }, s.blocks.map(wait)), s.blocks_cut > 0 && el('p', { class: 'note' }, T.plural(s.blocks_cut, 'shorter wait') + ' left out.')];
  }

  function wait(b) {
    const calls = b.stack.map((i) => T.state.end.calls[i]);
    const at = b.site >= 0 ? calls[b.site] : calls[0];
    const head = [el('b', null, T.duration(b.time_ns / 1e9)), ' ', T.component('self.' + b.reason).name + (b.count > 1 ? ' (' + T.plural(b.count, 'wait') + ')' : ''), ' at ', at ? el('code', null, T.codeLine(at)) : 'unknown code'];
    if (!calls.length) return el('li', null, head);
    return el('li', { 'data-line': at.file + ':' + at.line }, el('details', { open: b.site >= 0 && calls.length <= 12 }, el('summary', null, head), stack(calls, b.site)));
  }

  const stack = (calls, site) => el('ol', { class: 'frames' }, calls.map((c, i) => el('li', { class: i === site ? 'site' : false }, el('span', null, T.shortName(c.func)), ' ', el('small', null, c.file + (c.line ? ':' + c.line : '')))));

  function samples(s) {
    if (!s.cpu_samples) return el('p', { class: 'note' }, 'None fell on this request: the profiler takes one about every 10 ms of CPU.');
    return [el('ul', { class: 'stacks' }, s.samples.map((k) => {
      const calls = k.stack.map((i) => T.state.end.calls[i]);
      const head = [el('b', null, T.plural(k.count, 'sample')), ' in ', el('code', null, calls.length ? T.codeLine(calls[0]) : 'unknown code')];
      return el('li', null, calls.length ? el('details', null, el('summary', null, head), stack(calls, -1)) : head);
    })), s.samples_cut > 0 && el('p', { class: 'note' }, T.plural(s.samples_cut, 'sample') + ' in other stacks left out.')];
  }

  function overlays(s) {
    const rows = [['Work for the garbage collector', share(s.gc_assist_ns, s)], ['The world stood still', share(s.stw_ns, s)],
      ['Handler', T.duration(s.total_ns / 1e9) + ', by the execution trace'],
      ['Descheduled', s.measured ? 'measured by the thread’s clock, taken out of running' : 'not measured: running may hold time without a CPU']];
    return T.pairs(rows);
  }

  const share = (ns, s) => (ns ? T.duration(ns / 1e9) + ', ' + T.percent(ns / s.total_ns) + ' of the handler' : 'none');

  /** Marks the line of code in an open exchange; false when it is not there. */
  T.markLine = function (n, line) {
    const detail = document.getElementById('exchange-' + n + '-detail');
    const found = [.../** @type {NodeListOf<HTMLElement>} */ (detail.querySelectorAll('[data-line]'))].find((e) => e.dataset.line === line);
    if (!found) return false;
    const d = found.querySelector('details');
    if (d) d.open = true;
    T.flash(found);
    found.scrollIntoView({ block: 'center', behavior: T.motion() });
    return true;
  };
})(window.Taillight);
