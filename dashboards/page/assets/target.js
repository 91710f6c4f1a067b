'use strict';
// The target from its own metrics: CPU first.
(function (T) {
  const el = T.el;

  T.target = function (section) {
    const all = T.state.end.series, cpu = all.filter((s) => s.what === 'cpu'), util = all.filter((s) => s.what === 'utilization');
    const d = T.state.end.document, use = d.totals.target_cpu;
    section.append(el('p', { class: 'lead' }, use
      ? 'The target used ' + T.cores(use.mean) + ' on average and ' + T.cores(use.max) + ' in its busiest second' + procs() + '. The generator used ' + T.cores(d.totals.generator_cpu) + '.'
      : 'How much CPU the target used is unknown. The generator used ' + T.cores(d.totals.generator_cpu) + '.'));
    if (!T.state.seconds.length) return;
    const grid = el('div', { class: 'charts' });
    section.append(grid);
    cores(grid, cpu);
    if (!cpu.length && util.length) one(grid, util[0], 'CPU utilization of the target', T.percent, '--c-ok');
    const small = el('div', { class: 'charts small' });
    section.append(small);
    for (const [what, title, format, color] of [['throttled', 'Time the CPU quota held the target', T.percent, '--c-failed'], ['goroutines', 'Goroutines of the target', T.count, '--c-users'], ['memory', 'Memory of the target’s Go runtime', T.bytes, '--c-sent']]) {
      const s = all.find((x) => x.what === what);
      if (s && (what !== 'throttled' || s.v.some((v) => v > 0))) one(small, s, title, format, color);
    }
    if (!cpu.length && !util.length) section.append(T.empty('The target sent no CPU metric (process.cpu.time or process.cpu.utilization).', T.howToSend()));
    else section.append(el('p', { class: 'note' }, 'Metrics of the target carry its own wall clock; on another host they may stand shifted against the other charts by the difference of the clocks.'));
  };

  function procs() {
    const n = T.state.config.environment.target_gomaxprocs;
    return n ? ', of ' + n + ' it may use' : '';
  }

  /** Generator and target on one axis of cores, each at its own instants. */
  function cores(grid, cpu) {
    const own = T.times().map((t, i) => [t, T.state.seconds[i].cpu]);
    /** @type {{label: string, color: string, dash?: number[], points: number[][]}[]} */
    const sets = [{ label: cpu.length ? 'generator' : 'generator (the target is unknown)', color: '--c-planned', dash: [5, 4], points: own }];
    cpu.slice(0, 5).forEach((s, i) => sets.unshift({ label: s.service, color: '--c-e' + ((i + 2) % 7 + 1), points: s.t.map((t, k) => [t, s.v[k]]) }));
    if (cpu.length) sets[0].color = '--c-ok';
    const x = [...new Set(sets.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => a - b);
    const lines = sets.map((s) => ({ label: s.label, color: s.color, dash: s.dash, fill: s.color === '--c-ok' ? '--c-ok-fill' : undefined, data: along(x, s.points), total: 'mean ' + T.cores(s.points.reduce((n, p) => n + p[1], 0) / Math.max(1, s.points.length)) }));
    T.chart(grid, { title: 'CPU', id: cpu.length ? 'metric-' + cpu[0].metric : undefined, note: 'cores in use', label: 'CPU of target and generator over time', x, lines, format: T.cores, tick: (v) => String(Number(v.toFixed(2))) });
  }

  /** Values at each x, straight between the points, nothing outside them. */
  function along(x, points) {
    let i = 0;
    return x.map((t) => {
      while (i < points.length - 2 && points[i + 1][0] <= t) i++;
      const a = points[i], b = points[i + 1] || a;
      if (!a || t < a[0] || t > b[0]) return null;
      return b[0] === a[0] ? a[1] : a[1] + (b[1] - a[1]) * (t - a[0]) / (b[0] - a[0]);
    });
  }

  function one(grid, s, title, format, color) {
    T.chart(grid, { title, id: 'metric-' + s.metric, note: s.service + ', ' + s.metric, label: title, x: s.t, lines: [{ label: s.what, color, data: s.v, total: 'most ' + format(Math.max(...s.v)) }], format, height: 9, late: false });
  }
})(window.Taillight);
