'use strict';
// The load: what was planned, what was sent, what came back.
(function (T) {
  const el = T.el;

  T.load = function (section) {
    const d = T.state.end.document, t = d.totals, secs = T.state.seconds;
    section.append(el('p', { class: 'lead' }, lead(t)));
    if (!secs.length) {
      section.append(T.empty('No second of this run reached the disk, so there is nothing to draw.'));
      return;
    }
    const grid = el('div', { class: 'charts' });
    section.append(grid);
    T.chart(grid, T.loadChart(lead(t)));
    T.chart(grid, T.usersChart());
    T.chart(section, T.bytesChart());
    section.append(el('p', { class: 'note' }, 'Zero is ' + T.wall(T.state.config.started) + '. Drag over a chart to zoom all charts of time, double-click to go back.'), phases(d));
  };

  /** What was planned, sent and answered, per second. */
  T.loadChart = function (said) {
    const secs = T.state.seconds, per = (f) => T.column((s) => f(s) / s.d);
    const mean = (f) => 'mean ' + T.rate(secs.reduce((n, s) => n + f(s), 0) / secs.reduce((n, s) => n + s.d, 0));
    const failed = secs.some((s) => s.failed > 0), unsent = secs.some((s) => s.unsent > 0);
    const lines = [
      { label: 'planned', color: '--c-planned', data: per((s) => s.planned), dash: [5, 4], width: 2.4, total: mean((s) => s.planned) },
      { label: 'sent', color: '--c-sent', data: per((s) => s.sent), total: mean((s) => s.sent) },
      { label: 'answered OK', color: '--c-ok', data: per((s) => s.ok), fill: '--c-ok-fill', total: mean((s) => s.ok) },
    ];
    if (failed) lines.push({ label: 'failed', color: '--c-failed', data: per((s) => s.failed), total: mean((s) => s.failed) });
    if (unsent) lines.push({ label: 'unsent', color: '--c-unsent', data: per((s) => s.unsent), total: mean((s) => s.unsent) });
    return { title: 'Requests per second', note: width(), label: 'Requests per second over time: ' + said, x: T.times(), lines, format: T.rate, tick: (v) => T.count(v) };
  };

  /** Users, where there are any, and requests in flight. */
  T.usersChart = function () {
    const users = T.column((s) => s.users), flight = T.column((s) => s.in_flight);
    const both = [{ label: 'in flight', color: '--c-flight', data: flight, total: 'most ' + Math.max(...flight) }];
    if (Math.max(...users) > 0) both.unshift({ label: 'users', color: '--c-users', data: users, fill: '--c-users-fill', total: 'most ' + Math.max(...users) });
    return { title: both.length > 1 ? 'Users, and requests in flight' : 'Requests in flight', note: 'at the end of each second', label: 'Users and requests in flight over time', x: T.times(), lines: both, format: T.count };
  };

  function width() {
    const w = T.state.config.width;
    return w > 1 ? 'means of ' + w + '\u00a0s' : 'each second';
  }
  T.columnWidth = width;

  /** The same of what is no mean: percentiles and counts of all answers in a column. */
  T.pointWidth = function () {
    const w = T.state.config.width;
    return w > 1 ? 'each point over ' + w + '\u00a0s' : 'each second';
  };

  function lead(t) {
    const parts = [T.count(t.planned) + ' requests fell due', T.count(t.sent) + ' were sent (' + T.percent(t.planned ? t.sent / t.planned : 0) + ')', T.count(t.completed) + ' answered as expected'];
    if (t.failed) parts.push(T.count(t.failed) + ' failed');
    if (t.in_flight_at_end) parts.push(T.count(t.in_flight_at_end) + ' still in flight at the end');
    const it = t.iterations || {};
    const more = it.planned && it.planned !== t.planned ? ' They belong to ' + T.plural(it.planned, 'iteration') + ', ' + T.count(it.completed) + ' of them completed.' : '';
    return T.list(parts) + '.' + more;
  }

  function phases(d) {
    const list = d.phases.length ? d.phases : [];
    if (!list.length) return el('div');
    const plan = new Map(T.state.config.phases.map((p) => [p.name, p.load]));
    return T.rows('Load per phase', T.plural(list.length, 'phase'), list.length, T.table(['Phase', 'Load', 'From', 'To', 'Planned', 'Sent', 'OK', 'Failed', 'Unsent', 'Rate', 'Most in flight'], list.map((p) => [
      p.name, plan.get(p.name) || '', T.offset(p.start), T.offset(p.end), T.count(p.counts.planned), T.count(p.counts.sent), T.count(p.counts.completed),
      bad(p.counts.failed), bad(p.counts.unsent), T.rate(p.rate_per_s), T.count(p.in_flight_max)]), { numbers: 2 }));
  }

  const bad = (n) => (n ? el('span', { class: 'bad' }, T.count(n)) : '0');
  T.bad = bad;
})(window.Taillight);
