'use strict';
// Two runs side by side: their figures, how far the deciles shifted, and their
// percentiles on one axis.
(function (T) {
  const el = T.el;

  /** A figure of a measure: seconds, a rate or a share. */
  T.measured = (measure, v) => (measure === 'rate' ? T.rate(v) : measure === 'errors' ? T.percent(v) : T.duration(v));

  /** A ratio as a change: +5.0 %, −4.8 %, ×12. */
  T.change = function (ratio) {
    if (!(ratio > 0)) return '–';
    const v = 100 * (ratio - 1);
    if (Math.abs(v) >= 999.5) return '×' + Number(ratio.toPrecision(3));
    const text = Math.abs(v).toFixed(Math.abs(v) >= 99.5 ? 0 : 1);
    return (Number(text) === 0 ? '' : v > 0 ? '+' : '−') + text + '\u00a0%';
  };

  const signed = (s) => (s > 0 ? '+' : s < 0 ? '−' : '') + T.duration(Math.abs(s));

  /** The figures of both runs, with how far each could be off within its own run. */
  T.sides = function (section) {
    const c = T.state.end.compared, r = c.runs;
    const name = (side, report) => el('span', null, el('b', { class: 'id' }, side.id), ' ' + side.name, report && [' ', el('a', { href: report }, 'report')]);
    section.append(T.wide('The two runs', T.table(['', 'Run', 'Measured', 'Planned requests', 'Generator'], [['A', r.a, 0], ['B', r.b, 1]].map(([letter, side, i]) => [
      el('b', { class: 'arm ' + String(letter).toLowerCase() }, letter), name(side, c.reports[i]), T.duration(side.seconds), T.count(side.planned), grade(side.grade)]), { numbers: 2, words: 4 })));
    if (c.refused) return;
    const figure = (m, f) => (f ? [f.unsupported ? el('span', { class: 'thin' }, T.measured(m, f.value) + '°') : T.measured(m, f.value), f.interval && el('small', { class: 'within' }, T.measured(m, f.interval.lo) + ' to ' + T.measured(m, f.interval.hi))] : 'unknown');
    section.append(T.wide('Figures of both runs', T.table(['Measure', 'A', 'B', 'B against A'], r.rows.map((row) => [
      c.titles[row.measure] || row.measure, figure(row.measure, row.a), figure(row.measure, row.b), row.ratio ? T.change(row.ratio) : '–']), { numbers: 1, class: 'figures-of' })),
      el('p', { class: 'note' }, 'Under a figure: how far it could be off within its own run, 95\u00a0%, by resampling seconds. How much two runs differ by themselves is not in it: n = 1 a side. ° too few independent answers bound this percentile.'));
  };

  function grade(g) {
    return el('span', { class: 'mark ' + ({ valid: 'yes', warning: 'maybe', invalid: 'no' }[g] || 'off') }, g);
  }

  /** What the runs differ in besides their results. */
  T.differs = function (section) {
    const r = T.state.end.compared.runs, list = r.mismatches || [];
    if (!list.length) {
      section.append(el('p', { class: 'lead' }, 'Machine, plan and programs are the same on both sides.'));
      return;
    }
    section.append(T.wide('What the runs differ in', T.table(['What', 'A', 'B', ''], list.map((m) => [m.what, m.a, m.b,
      m.unlike ? el('span', { class: 'mark no' }, 'unlike') : el('span', { class: 'mark off' }, 'differs')]))),
      ...list.some((m) => m.unlike) ? [el('p', { class: 'note' }, 'With something unlike, a difference of the results may be its doing.')] : []);
  };

  /** The shift function: how much later B's answers came, decile by decile. */
  T.shift = function (section) {
    const r = T.state.end.compared.runs, list = r.shift || [];
    if (!list.length) { section.append(T.empty('No decile of both runs is known.')); return; }
    section.append(el('p', { class: 'lead' }, shiftLead(list)));
    const ends = list.flatMap((s) => [s.shift, ...(s.interval ? [s.interval.lo, s.interval.hi] : [])]);
    const least = Math.min(0, ...ends), most = Math.max(0, ...ends), room = (most - least || 1e-3) * 0.1;
    T.chart(section, {
      title: 'Shift of the deciles', id: 'shift', note: 'B minus A, with the 95\u00a0% interval within these runs', label: 'Shift function. ' + shiftLead(list),
      x: list.map((s) => 100 * s.share), time: false, height: 15, range: [least - room, most + room], xRange: [5, 95], format: signed, tick: signed,
      xTicks: (u) => list.filter((s, i) => u.width > 480 || i % 2 === 0).map((s) => 100 * s.share), xFormat: (v) => v + '\u00a0%', xName: (v) => 'p' + v,
      lines: [
        { label: 'B − A', color: '--accent', data: list.map((s) => s.shift), shown: list, format: (s) => signed(s.shift) + (s.interval ? ' (' + signed(s.interval.lo) + ' to ' + signed(s.interval.hi) + ')' : ' (too short a run for an interval)'), raw: (s) => s.shift },
        { label: 'A', color: '--c-sent', data: list.map(() => null), shown: list.map((s) => s.a), format: T.duration },
        { label: 'B', color: '--c-flight', data: list.map(() => null), shown: list.map((s) => s.b), format: T.duration },
      ],
      over: (u) => bars(u, list),
    });
  };

  function shiftLead(list) {
    const clear = list.filter((s) => s.interval && (s.interval.lo > 0 || s.interval.hi < 0)), first = list[0], last = list[list.length - 1];
    const span = 'The first decile of B is shifted by ' + signed(first.shift) + ', the ninth by ' + signed(last.shift) + '. Equal shifts: the body moved; growing ones: the tail did. ';
    return span + (clear.length ? T.plural(clear.length, 'decile') + ' of ' + list.length + (clear.length === 1 ? ' has an interval' : ' have an interval') + ' without 0 within these two runs, which is no claim about other runs.' : 'No interval excludes 0.');
  }

  /** Zero, and the interval of each decile. */
  function bars(u, list) {
    const { ctx, bbox } = u, dpr = devicePixelRatio, zero = u.valToPos(0, 'y', true);
    ctx.save();
    ctx.fillStyle = T.color('--muted');
    ctx.fillRect(bbox.left, zero, bbox.width, dpr);
    ctx.strokeStyle = T.color('--accent');
    ctx.lineWidth = 2 * dpr;
    for (const s of list) {
      const x = Math.round(u.valToPos(100 * s.share, 'x', true)), y = u.valToPos(s.shift, 'y', true), w = 4 * dpr;
      ctx.fillStyle = T.color('--accent');
      ctx.beginPath();
      ctx.arc(x, y, w, 0, 2 * Math.PI);
      ctx.fill();
      if (!s.interval) continue;
      const lo = u.valToPos(s.interval.lo, 'y', true), hi = u.valToPos(s.interval.hi, 'y', true);
      ctx.beginPath();
      for (const [a, b, c, d] of [[x, lo, x, hi], [x - w, lo, x + w, lo], [x - w, hi, x + w, hi]]) { ctx.moveTo(a, b); ctx.lineTo(c, d); }
      ctx.stroke();
    }
    ctx.restore();
  }

  const nines = (share) => -Math.log10(1 - share);

  /** The points that both sides have, one for each share. */
  const both = (points) => points.filter((p) => p.a > 0 && p.b > 0).sort((p, q) => p.share - q.share).filter((p, i, all) => !i || p.share > all[i - 1].share);

  /** The percentiles of both sides, one nine to the right each; of a test over those of its pairs. */
  T.overlaid = function (section) {
    const { runs: r, test: t } = T.state.end.compared;
    const points = both(t ? t.curve || [] : [...(r.shift || []), ...(r.curve || [])]), pairs = (t ? t.curves || [] : []).map((c) => both(c || [])).filter((c) => c.length);
    if (!points.length) { section.append(T.empty(t ? 'No pair whose times count has percentiles of both sides.' : 'No percentile of both runs is known.')); return; }
    const x = points.map((p) => nines(p.share)), all = [points, ...pairs].flat().flatMap((p) => [p.a, p.b]);
    const ticks = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999].filter((q) => nines(q) <= x[x.length - 1] + 1e-6);
    T.chart(section, {
      title: t ? 'Percentiles of both sides' : 'Percentiles of both runs', id: 'percentiles', note: 'log axis, each step to the right is one nine more', label: 'Percentile curves of both ' + (t ? 'sides' : 'runs') + ', overlaid',
      x, time: false, log: true, height: 17, format: T.duration, tick: T.tick, range: [Math.min(...all) / 1.2, Math.max(...all) * 1.25], xRange: [0, 1.03 * Math.max(1, x[x.length - 1])],
      xTicks: () => ticks.map(nines), xFormat: (v) => { const q = ticks.find((k) => Math.abs(nines(k) - v) < 1e-6); return q ? percent(q) : ''; }, xName: (v) => 'p' + Number((100 * (1 - 10 ** -v)).toFixed(3)),
      lines: [
        { label: t ? 'A' : 'A ' + r.a.id, color: '--c-sent', data: points.map((p) => p.a), width: 2 },
        { label: t ? 'B' : 'B ' + r.b.id, color: '--c-flight', data: points.map((p) => p.b), width: 2, dash: [7, 4] },
      ],
      paint: (u) => faint(u, pairs),
    });
    section.append(el('p', { class: 'note' }, t && [el('span', null, 'Strong: the ' + T.plural(pairs.length, 'pair') + ' whose times count, taken together; faint: each of their windows. How far the faint lines of one side lie apart is how much its runs differ by themselves, which is why the verdict rests on pairs.'), ' '],
      'Of planned requests: one that was not answered OK counts with the timeout. The curve ends where less than one request of the smaller ' + (t ? 'side' : 'run') + ' lies beyond.'));
  };

  /** The curves of the pairs, of each side that is shown. */
  function faint(u, pairs) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.globalAlpha = 0.3;
    ctx.lineWidth = devicePixelRatio;
    ['a', 'b'].forEach((side, i) => {
      if (!u.series[i + 1].show) return;
      ctx.strokeStyle = T.color(i ? '--c-flight' : '--c-sent');
      for (const points of pairs) {
        ctx.beginPath();
        points.forEach((p, k) => (k ? ctx.lineTo : ctx.moveTo).call(ctx, u.valToPos(nines(p.share), 'x', true), u.valToPos(p[side], 'y', true)));
        ctx.stroke();
      }
    });
    ctx.restore();
  }

  const percent = (q) => Number((100 * q).toFixed(4)) + '\u00a0%';
})(window.Taillight);
