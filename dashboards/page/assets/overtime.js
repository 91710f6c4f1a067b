'use strict';
// Charts beside those of load and latency: bytes, where the time of requests
// went, each step for itself, and latency against what was answered. A report
// and the page of a run that goes on draw the same.
(function (T) {
  const el = T.el, sum = (f) => T.state.seconds.reduce((n, s) => n + f(s), 0);

  /** How long a column of time is. */
  const wide = () => (T.state.config.width > 1 ? T.state.config.width + '\u00a0s' : 'a second');

  /** Bytes received and sent, per second. */
  T.bytesChart = function () {
    const rate = (v) => T.bytes(Math.round(v)) + '/s', time = sum((s) => s.d);
    const line = (label, color, of) => ({ label, color, data: T.column((s) => of(s) / s.d), total: 'mean ' + rate(sum(of) / time) + ', ' + T.bytes(sum(of)) + ' in all' });
    const lines = [{ ...line('received', '--c-ok', (s) => s.bytes_in), fill: '--c-ok-fill' }, line('sent', '--c-sent', (s) => s.bytes_out)];
    return {
      title: 'Bytes over time', id: 'bytes', note: T.columnWidth() + ': bodies of answers, and requests with their heads',
      label: 'Bytes per second over time: ' + lines.map((l) => l.label + ' ' + l.total).join('; '), x: T.times(), lines, format: rate, tick: (v) => (v ? rate(v).replace(/\.0+(?=\s)/, '') : '0'), height: 9,
    };
  };

  // Where the time went.

  const parts = ['lag', 'blocked', 'dns', 'connect', 'ssl', 'send', 'wait', 'receive'];

  /** The mean of each part of a request in each second, one upon the other, so that together they are the mean response; null when nothing was summed. */
  T.spentChart = function () {
    const n = sum((s) => (s.spent ? s.n : 0));
    if (!n) return null;
    const means = parts.map((p, i) => sum((s) => (s.spent ? s.spent[i] * s.n : 0)) / n), whole = means.reduce((a, b) => a + b, 0);
    const most = parts.map((p, i) => Math.max(...T.column((s) => (s.spent ? s.spent[i] / s.spent.reduce((a, b) => a + b, 0) : 0))));
    const shown = parts.map((p, i) => i).filter((i) => parts[i] === 'wait' || means[i] > 0.002 * whole || most[i] > 0.01);
    const lines = T.stacked(shown.map((i) => ({ label: T.component(parts[i]).name, color: '--t-' + parts[i], of: (s) => (s.spent ? s.spent[i] : 0), total: T.duration(means[i]) })));
    return {
      title: 'Where the time went, over time', id: 'spent', note: 'means over ' + wide() + ', n = ' + T.count(n),
      label: 'Mean of each part of a request over time. ' + shown.map((i) => T.component(parts[i]).name + ' ' + T.duration(means[i])).join(', '),
      x: T.times(), lines, format: T.duration, tick: T.tick, height: 13,
    };
  };

  // Each step for itself.

  T.percentiles = ['p50', 'p95', 'p99'];

  /** One percentile of the response time of each step; null of a plan with one. The whole run's come with it, by name. */
  T.stepsChart = function (which, whole) {
    const drawn = T.state.config.drawn || [], at = 1 + T.percentiles.indexOf(which);
    const data = drawn.map((name, i) => T.column((s) => (s.steps && s.steps[i] ? s.steps[i][at] : null)));
    const all = data.flat().filter((v) => v > 0);
    if (!all.length) return null;
    const steps = new Set(T.state.config.steps.map((s) => s.name)).size;
    const some = steps > drawn.length ? ', ' + drawn.length + ' of ' + steps + ' steps' + (T.state.end ? ': those that took most time' : '') : '';
    return {
      title: which + ' of each step, over time', id: 'steps', note: 'response time, log axis, ' + T.pointWidth() + some, label: which + ' of the response time of each step over time',
      x: T.times(), log: true, range: [Math.min(...all) / 1.2, Math.max(...all) * 1.2], height: 14, format: T.duration, tick: T.tick,
      lines: drawn.map((label, i) => ({ label, color: '--c-e' + colours[i], data: data[i], width: 1.8, total: whole(label) > 0 ? T.duration(whole(label)) : '' })),
    };
  };

  /** The order in which colours are given away: neighbours are told apart. */
  const colours = [4, 2, 5, 3, 1, 6, 7, 8];

  /** Lets the reader choose a percentile; draw is called with it now and whenever it is another. */
  T.stepsChooser = function (draw) {
    const select = el('select', { id: 'steps-percentile' }, T.percentiles.map((p) => el('option', { value: p, selected: p === 'p95' }, p)));
    select.addEventListener('change', () => draw(select.value));
    return { element: el('div', { class: 'pick' }, el('label', { for: 'steps-percentile' }, 'Percentile of each step'), select), chosen: () => select.value };
  };

  /** How many answers a second of each step has: what its percentiles rest on. */
  T.stepsNote = function () {
    const said = T.state.config.drawn.map((name, i) => {
      const n = T.column((s) => (s.steps && s.steps[i] ? s.steps[i][0] : 0)).filter((v) => v > 0).sort((a, b) => a - b);
      return name + ' ' + (n.length ? T.count(n[Math.floor(n.length / 2)]) : 'none');
    });
    return 'Answers of a step in ' + wide() + ', median: ' + said.join(', ') + '. A p99 of fewer than 100 answers is their slowest, a p95 of fewer than 20.';
  };

  // Against throughput.

  /** The seconds that can be compared: whole ones with answers, by their rate. */
  const bySpeed = () => T.state.seconds.filter((s) => s.response && s.d > 0.5 * T.state.config.width).sort((a, b) => a.n / a.d - b.n / b.d);

  /**
   * Why latency is not drawn against the rate of answers, or '' when it can be:
   * the rates must differ by a quarter, and by more than counts do by chance.
   */
  T.steadyRate = function () {
    const list = bySpeed();
    if (list.length < 8) return 'Latency is set against the rate of answers where at least eight seconds have some: here ' + (list.length === 1 ? 'one has.' : list.length + ' have.');
    const at = (q) => list[Math.round(q * (list.length - 1))], lo = at(0.05), hi = at(0.95), rate = (s) => s.n / s.d;
    const apart = rate(hi) >= 1.25 * rate(lo) && hi.n - lo.n >= 3.5 * Math.sqrt(hi.n + lo.n);
    return apart ? '' : 'Latency is not set against the rate of answers, for that was the same all the time: ' + T.rate(rate(lo)) + ' to ' + T.rate(rate(hi)) + ' in nine of ten seconds, which tells nothing of other rates. A plan whose users or rate rise shows it, as stress and breakpoint do.';
  };

  /** Percentiles of each second against the answers of that second. */
  T.throughputChart = function () {
    const list = bySpeed(), x = list.map((s) => s.n / s.d), q = (i) => list.map((s) => s.response[i]);
    const when = new Map();
    list.forEach((s, i) => when.set(x[i], [...(when.get(x[i]) || []), T.offset(s.t + s.d / 2)]));
    const point = (label, i, hidden) => ({ label, color: '--c-' + label, data: q(i), points: true, hidden });
    const all = [...q(0), ...q(2)], span = x[x.length - 1] - x[0], said = T.rate(x[0]) + ' to ' + T.rate(x[x.length - 1]);
    return {
      title: 'Response time against throughput', id: 'throughput', note: 'a point is ' + wide() + ', n = ' + T.count(list.length) + ', log axis',
      label: 'Response time against answers per second, ' + said + ', a point for each of ' + list.length + ' columns of time', x, time: false, log: true, height: 13, format: T.duration, tick: T.tick,
      range: [Math.min(...all) / 1.2, Math.max(...all) * 1.25], xRange: [Math.max(0, x[0] - 0.04 * span), x[x.length - 1] + 0.04 * span],
      xFormat: (v) => (Number.isInteger(v) ? T.count(v) : Number(v.toPrecision(4))) + '\u00a0/s', xName: (v) => T.rate(v) + ' at ' + T.list(when.get(v).slice(0, 3)), xHead: 'answers per second',
      lines: [point('p99', 2), point('p95', 1, true), point('p50', 0)],
    };
  };
})(window.Taillight);
