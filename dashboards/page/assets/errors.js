'use strict';
// What failed, when, and how.
(function (T) {
  const el = T.el;

  const meaning = {
    dns: 'the name did not resolve', connect_refused: 'nothing listened, or the backlog refused', connect: 'no connection came about', tls: 'the TLS handshake failed',
    timeout: 'no answer within the exchange’s timeout', reset: 'the connection broke before the answer was whole', protocol: 'the answer is not HTTP, or too large',
    body: 'the body lacks what the plan expects', interrupted: 'the run was interrupted',
  };

  T.errors = function (section) {
    const d = T.state.end.document, t = d.totals;
    section.append(el('p', { class: 'lead' }, lead(d)));
    const chart = T.errorsChart();
    if (!t.failed && !t.unsent && !chart) return;
    if (chart) T.chart(section, chart);
    section.append(T.wide('Errors', T.table(['Class', 'Meaning', 'Step', 'Count', 'Of planned', 'First', 'Last', 'One of them'], d.errors.map((e) => ({
      cells: [el('code', null, e.class), meaning[e.class] || (e.class.startsWith('status ') ? 'a status the plan does not expect' : ''), e.step, T.count(e.count), T.percent(e.count / t.planned), T.offset(e.first), T.offset(e.last), el('span', { class: 'detail' }, e.detail)],
      keys: [e.class, undefined, e.step, e.count, e.count, e.first, e.last] })), { numbers: 3, words: 7, class: 'errors' })));
    if (d.in_flight.length) section.append(el('p', { class: 'note' }, T.plural(t.in_flight_at_end, 'request') + ' had no answer when the run ended; the oldest had waited ' + T.duration(Math.max(...d.in_flight.map((x) => x.age))) + ' since its intended start.'));
  };

  function lead(d) {
    const t = d.totals, bad = t.failed + t.unsent;
    if (!t.planned) return 'No request was planned.';
    if (!bad) return 'None of ' + T.count(t.planned) + ' planned requests failed. With so many, an error rate above ' + T.percent(3 / t.planned) + ' is excluded at 95\u00a0%.';
    const first = d.errors.length ? ' The first came at ' + T.offset(Math.min(...d.errors.map((e) => e.first))) + '.' : '';
    return T.count(t.failed) + ' requests failed (' + T.percent(t.failed / t.planned) + ')' + (t.unsent ? ' and ' + T.count(t.unsent) + ' were never sent' : '') + '.' + first;
  }

  /** Errors by class, the most frequent seven and the rest; null when there are none. */
  T.errorsChart = function () {
    const classes = new Map();
    for (const s of T.state.seconds) for (const [k, n] of Object.entries(s.errors || {})) classes.set(k, (classes.get(k) || 0) + n);
    const order = [...classes].sort((a, b) => b[1] - a[1]).map(([k]) => k);
    if (!order.length) return null;
    const rest = order.slice(7), value = (s, k) => ((s.errors || {})[k] || 0) / s.d;
    const groups = order.slice(0, 7).map((k) => ({ label: k, of: (s) => value(s, k) }));
    if (rest.length) groups.push({ label: T.plural(rest.length, 'other class', 'other classes'), of: (s) => rest.reduce((n, k) => n + value(s, k), 0) });
    const lines = T.stacked(groups.map((g, i) => ({ ...g, color: '--c-e' + (i + 1), total: T.count(T.state.seconds.reduce((n, s) => n + g.of(s) * s.d, 0)) })));
    return { title: 'Errors per second by class', note: T.columnWidth(), label: 'Errors per second by class', x: T.times(), lines, format: T.rate, tick: T.count, height: 10 };
  };
})(window.Taillight);
