'use strict';
// The limit that a search looked for: latency against rate, its trials, the
// bracket, what follows from it by arithmetic, and what was used up.
(function (T) {
  const el = T.el;

  const ends = {
    found: 'The bracket was found',
    unlimited: 'Every rate that was allowed kept it',
    unreachable: 'Not even the lowest rate kept it',
    generator: 'The limit is the generator’s, not the target’s',
    'out of time': 'The time was over before the limit was confirmed',
    unsteady: 'The limit moved while it was looked for',
    '': 'The search was cut',
  };
  const purposes = { climb: 'climb', bisect: 'bisect', again: 'tried again', confirm: 'confirm', overload: 'overload', recover: 'recovery' };
  const looks = { pass: ['kept', 'yes', '--good'], fail: ['missed', 'no', '--bad'], unclear: ['unclear', 'maybe', '--warn-strong'], invalid: ['invalid', 'off', '--muted'] };
  /** What made a trial fail, where the archive has a word for it alone. */
  const reasons = { share: 'too many missed', rate: 'fewer answers than arrivals', backlog: 'ever more in flight' };
  const look = (t) => looks[t.verdict] || [t.verdict, 'off', '--muted'];

  /** Draws the section; the page has it only when the run searched. */
  T.capacity = function (section) {
    const c = T.state.end.document.capacity;
    section.append(el('p', { class: 'lead' }, lead(c)));
    if (!c.trials.length) {
      section.append(T.empty('No trial came to its end, so there is nothing to draw.'));
      return;
    }
    chart(section, c);
    section.append(trials(c), bounds(c), saturated(c));
    section.append(el('p', { class: 'note' }, 'Trials are Poisson arrivals at a constant rate. A trial is judged by the share of planned requests that missed the objective: one that failed, was never sent or was cut off missed it. Quantiles here are of the same requests after the warm-up. Under a figure stands its 95\u00a0% interval, of quantiles by resampling seconds; a trial of fewer than six seconds has none.'));
  };

  /** The bracket in words. */
  T.bracket = function (c) {
    if (c.pass_per_s > 0 && c.fail_per_s > 0) {
      const kept = 'kept at ' + T.rate(c.pass_per_s) + (c.confirmed ? ' (confirmed)' : '');
      if (!c.unclear) return kept + ', not at ' + T.rate(c.fail_per_s);
      return kept + ', neither clearly kept nor missed from ' + T.rate(c.fail_per_s) + ' on' + (c.failed_per_s ? ', missed at ' + T.rate(c.failed_per_s) : '');
    }
    if (c.pass_per_s > 0) return 'kept at ' + T.rate(c.pass_per_s) + '; no higher rate failed';
    if (c.fail_per_s > 0) return 'not kept at ' + T.rate(c.fail_per_s) + '; no lower rate passed';
    return 'no bracket';
  };

  function lead(c) {
    const end = ends[c.end] === undefined ? c.end : ends[c.end];
    return [end + ': ', el('code', null, c.objective), ' was ' + T.bracket(c) + '.', c.moved && ' A rate that had passed did not pass when it was tried again: the limit may not stand still.'];
  }

  const probeOf = (i) => (T.state.end.probes || []).find((p) => p.trial === i);
  const never = (q) => q && !q.value;
  const percentile = (q) => 'p' + Number((100 * q).toFixed(4));

  /** The quantile of a trial that the chart shows; of an archive without histograms the trial's own p99. */
  function shown(c, i) {
    const p = probeOf(i);
    return p && p.n ? p.judged : { q: 0.99, value: c.trials[i].p99 };
  }

  // Latency against rate.

  function chart(section, c) {
    const order = c.trials.map((t, i) => i).sort((a, b) => c.trials[a].rate_per_s - c.trials[b].rate_per_s);
    const rows = order.map((i) => ({ t: c.trials[i], i, q: shown(c, i), m: (probeOf(i) || /** @type {any} */ ({})).median || { value: c.trials[i].p50 } }));
    const values = rows.flatMap((r) => [r.q.value, r.q.lo, r.q.hi, r.m.value]).concat(c.limit_s || 0).filter((v) => v > 0);
    if (!values.length) {
      section.append(T.empty('No trial has an answer, so no latency can be drawn against the rate.'));
      return;
    }
    const name = percentile(rows[0].q.q), x = rows.map((r) => r.t.rate_per_s);
    const top = Math.max(...values) * 1.3, span = x[x.length - 1] - x[0] || x[0];
    const none = () => null;
    const range = [Math.max(0, x[0] - 0.06 * span), x[x.length - 1] + 0.08 * span];
    T.chart(section, {
      title: 'Latency against rate', id: 'latency-rate', note: name + ' of each trial with its 95\u00a0% interval, log axis', label: 'Latency against the arrival rate. ' + c.objective + ' was ' + T.bracket(c),
      x, time: false, log: true, height: 19, range: [Math.min(...values) / 1.3, top], xRange: range, format: T.duration, tick: T.tick,
      xFormat: (v) => T.count(v) + '\u00a0/s', xName: (v) => T.rate(v),
      lines: [
        { label: name, color: '--ink', data: rows.map((r) => r.q.value || top), shown: rows.map((r) => r.q), format: said, raw: figure, paths: none },
        { label: 'p50', color: '--c-p50', data: rows.map((r) => r.m.value || top), shown: rows.map((r) => r.m), format: said, raw: figure, paths: none },
        { label: 'verdict', color: '--muted', data: rows.map(() => null), shown: rows.map((r) => r.t), format: (t) => look(t)[0] + ', ' + (purposes[t.purpose] || t.purpose), raw: (t) => look(t)[0], paths: none },
      ],
      paint: (u) => ground(u, c),
      over: (u) => clipped(u, () => { for (const r of rows) mark(u, r, Math.round(u.valToPos(r.t.rate_per_s, 'x', true)), (v) => u.valToPos(v, 'y', true)); named(u, c); }),
      extra: key(c),
    });
  }

  /** The quantile as a number; a time that is never reached has none. */
  const figure = (q) => (never(q) ? null : q.value);

  function said(q) {
    if (never(q)) return 'not answered OK';
    const bounds = q.lo ? ' (' + T.duration(q.lo) + ' to ' + (q.hi ? T.duration(q.hi) : 'no end') + ')' : '';
    return T.duration(q.value) + bounds;
  }

  function key(c) {
    const item = (cls, text) => el('li', null, el('i', { class: 'probe ' + cls, 'aria-hidden': 'true' }), text);
    const there = new Set(c.trials.map((t) => t.verdict));
    return el('ul', { class: 'key probes', 'aria-label': 'Marks of the chart' },
      [...there].map((v) => item(v, looks[v] ? looks[v][0] : v)),
      c.trials.some((t) => t.purpose === 'recover') && item('recover', 'recovery, after the overload'),
      c.pass_per_s > 0 && c.fail_per_s > 0 && item('bracket', 'bracket'),
      c.limit_s > 0 && item('limit', 'objective'),
      c.laws && c.laws.cpu_limit_per_s > 0 && item('law', 'CPU bound'));
  }

  function clipped(u, draw) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw();
    ctx.restore();
  }

  /** What lies under the trials: the bracket, the objective, the CPU bound. */
  const ground = (u, c) => clipped(u, () => {
    const { ctx, bbox } = u, dpr = devicePixelRatio;
    const px = (v) => u.valToPos(v, 'x', true), py = (v) => u.valToPos(v, 'y', true);
    if (c.pass_per_s > 0 && c.fail_per_s > 0) {
      const a = px(c.pass_per_s), b = px(c.fail_per_s);
      ctx.fillStyle = T.color('--warn-strong');
      ctx.globalAlpha = 0.22;
      ctx.fillRect(a, bbox.top, Math.max(b - a, 2 * dpr), bbox.height);
      ctx.globalAlpha = 1;
    }
    if (c.limit_s > 0) rule(u, [bbox.left, py(c.limit_s)], [bbox.left + bbox.width, py(c.limit_s)], '--bad');
    const law = c.laws && c.laws.cpu_limit_per_s;
    if (law > 0) rule(u, [px(law), bbox.top], [px(law), bbox.top + bbox.height], '--link');
  });

  /** The objective at the left end of its line; neither the grid nor a trial strikes it through. */
  function named(u, c) {
    if (!(c.limit_s > 0)) return;
    const { ctx, bbox } = u, dpr = devicePixelRatio, left = bbox.left + 6 * dpr, bottom = u.valToPos(c.limit_s, 'y', true) - 3 * dpr;
    ctx.fillStyle = T.color('--bad');
    ctx.strokeStyle = T.color('--card');
    ctx.lineWidth = 4 * dpr;
    ctx.lineJoin = 'round';
    ctx.font = '600 ' + T.font(0.72 * dpr);
    ctx.textBaseline = 'bottom';
    ctx.textAlign = 'left';
    ctx.strokeText(c.objective, left, bottom);
    ctx.fillText(c.objective, left, bottom);
  }

  /** A dashed line. */
  function rule(u, from, to, color) {
    const ctx = u.ctx, dpr = devicePixelRatio;
    ctx.strokeStyle = T.color(color);
    ctx.lineWidth = 1.4 * dpr;
    ctx.setLineDash([6 * dpr, 4 * dpr]);
    ctx.beginPath();
    ctx.moveTo(...from);
    ctx.lineTo(...to);
    ctx.stroke();
    ctx.setLineDash([]);
  }

  /** One trial: its interval, its quantile by verdict, its median as a small dot. */
  function mark(u, r, x, py) {
    const ctx = u.ctx, dpr = devicePixelRatio, color = T.color(look(r.t)[2]), s = 4.5 * dpr;
    const { min, max } = u.scales.y, y = never(r.q) ? py(max) + s * 1.6 : py(r.q.value);
    ctx.strokeStyle = ctx.fillStyle = color;
    ctx.lineWidth = 1.6 * dpr;
    if (r.q.lo) {
      const lo = py(Math.max(r.q.lo, min)), hi = r.q.hi ? py(r.q.hi) : py(max);
      line(ctx, [[x, lo], [x, hi]]);
      line(ctx, [[x - s * 0.8, lo], [x + s * 0.8, lo]]);
      if (r.q.hi) line(ctx, [[x - s * 0.8, hi], [x + s * 0.8, hi]]);
    }
    ctx.beginPath();
    if (never(r.q)) { ctx.moveTo(x, y - s * 1.3); ctx.lineTo(x + s, y + s * 0.7); ctx.lineTo(x - s, y + s * 0.7); ctx.closePath(); }
    else if (r.t.verdict === 'fail') ctx.rect(x - s * 0.9, y - s * 0.9, 1.8 * s, 1.8 * s);
    else if (r.t.verdict === 'unclear') { ctx.moveTo(x, y - s * 1.3); ctx.lineTo(x + s * 1.3, y); ctx.lineTo(x, y + s * 1.3); ctx.lineTo(x - s * 1.3, y); ctx.closePath(); }
    else ctx.arc(x, y, s, 0, 2 * Math.PI);
    if (r.t.verdict === 'invalid') { ctx.fillStyle = T.color('--card'); ctx.fill(); ctx.stroke(); } else ctx.fill();
    if (r.t.purpose === 'recover') { ctx.beginPath(); ctx.arc(x, y, s * 2, 0, 2 * Math.PI); ctx.stroke(); }
    if (!r.m.value) return;
    ctx.fillStyle = T.color('--c-p50');
    ctx.beginPath();
    ctx.arc(x, py(r.m.value), 2.6 * dpr, 0, 2 * Math.PI);
    ctx.fill();
  }

  function line(ctx, points) {
    ctx.beginPath();
    points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.stroke();
  }

  // The table.

  function trials(c) {
    const name = percentile(shown(c, 0).q);
    const head = ['Trial', 'Search', 'Verdict', 'Generator', 'Rate', 'Answered OK', 'In flight', 'p50', name, 'Missed'];
    return T.rows('Trials of the search', T.plural(c.trials.length, 'trial'), c.trials.length, T.table(head, c.trials.map((t, i) => {
      const p = probeOf(i) || /** @type {any} */ ({}), invalid = t.verdict === 'invalid';
      return { cells: [el('span', { title: t.phase }, String(i + 1)), purposes[t.purpose] || t.purpose, verdict(t), grade(p),
        T.rate(t.rate_per_s), T.rate(t.achieved_per_s), Number(t.in_flight.toFixed(1)), p.n ? said({ value: p.median.value }) : T.duration(t.p50), bounded(shown(c, i)),
        [invalid ? '–' : [T.percent(t.share), el('small', null, T.percent(t.share_at_least) + ' to ' + T.percent(t.share_at_most))], el('small', null, 'of n = ' + T.count(t.planned))]] };
    }), { numbers: 4, class: 'trials' }));
  }

  /** A quantile over its interval. */
  function bounded(q) {
    if (never(q)) return said(q);
    return [T.duration(q.value), q.lo && el('small', null, T.duration(q.lo) + ' to ' + (q.hi ? T.duration(q.hi) : 'no end'))];
  }

  function verdict(t) {
    const [word, cls] = look(t), more = [reasons[t.why] || t.why, t.pooled > 0 && T.plural(t.pooled, 'trial') + ' judged together'].filter(Boolean);
    return [el('span', { class: 'mark ' + cls }, word), more.length > 0 && el('small', { class: 'why' }, more.join(', '))];
  }

  function grade(p) {
    if (!p.grade) return '–';
    const text = { valid: 'valid', warning: 'warning', invalid: 'invalid' }[p.grade] || p.grade;
    return el('span', { class: 'mark ' + ({ valid: 'yes', warning: 'maybe', invalid: 'no' }[p.grade] || 'off'), title: (p.reasons || []).join('; ') || false }, text);
  }

  // What follows.

  function bounds(c) {
    const l = c.laws, rows = [['Bracket', T.bracket(c)], ['Recovery', recovery(c)]];
    if (l && l.cpu_limit_per_s > 0) {
      rows.push(['CPU bound', T.rate(l.cpu_limit_per_s) + ': ' + Number(l.cores.toPrecision(3)) + (l.cores === 1 ? ' core' : ' cores') + ' at ' + T.duration(l.cpu_per_request) + ' of CPU per request (' + l.cpu_phase + ')'
        + (l.generator_cpu > 0 ? '; the generator took ' + T.duration(l.generator_cpu) : '')]);
    }
    if (l && l.in_flight_limit_per_s > 0) rows.push(['Cap on requests in flight', 'is enough for ' + T.rate(l.in_flight_limit_per_s)]);
    if (l && l.usl) rows.push(['Universal scalability law', usl(l.usl)]);
    const silent = (l && l.silent) || [];
    return el('div', null, el('h3', null, 'What follows from it'), T.pairs(rows),
      silent.length > 0 && el('div', { class: 'empty' }, el('p', null, 'Not concluded:'), el('ul', { class: 'dots' }, silent.map((s) => el('li', null, T.prose(s))))),
      !l && T.empty('No bound was computed: no trial came far enough, or the run was explained by an older version.'));
  }

  function recovery(c) {
    if (c.recovered === undefined || c.recovered === null) return 'not looked at: the search ended before an overload';
    return c.recovered ? 'right after the overload, four fifths of the lower end passed' : el('span', { class: 'bad' }, 'right after the overload, not even four fifths of the lower end passed');
  }

  function usl(u) {
    const n = (v) => T.quantity(Number(v.toPrecision(3)), ''), part = (name, v, i) => name + ' ' + n(v) + ' (' + n(i[0]) + ' to ' + n(i[1]) + ')';
    return part('γ', u.gamma, u.gamma_interval) + ' /s of one in flight, contention ' + part('α', u.alpha, u.alpha_interval) + ', coherency ' + part('β', u.beta, u.beta_interval)
      + ', R² ' + u.r2.toFixed(3) + ' over ' + T.plural(u.levels, 'rate') + (u.peak > 0 ? '; most throughput with ' + n(u.peak) + ' in flight' : '');
  }

  function saturated(c) {
    const found = c.saturated || [], where = c.saturated_in || [], quiet = c.unsaturated || [];
    const box = el('div', { class: 'saturated' }, el('h3', null, 'What was used up'));
    if (!where.length) {
      box.append(T.empty('No trial shows what the target is short of: none was an overload, and none failed that the generator did not spoil.'));
      return box;
    }
    box.append(el('p', { class: 'basis' }, 'Told by ' + T.list(where) + ' alone, the upper end of the search.'));
    if (found.length) box.append(el('ol', { class: 'cards' }, found.map((f) => el('li', { class: 'finding ' + f.severity }, el('h3', null, T.prose(f.title)), T.told(f)))));
    else box.append(T.empty('No rule found a resource that was used up.'));
    if (quiet.length) {
      box.append(el('details', { class: 'more' }, el('summary', null, T.plural(quiet.length, 'rule') + ' found nothing there'),
        el('ul', { class: 'dots' }, quiet.map((q) => el('li', null, el('b', null, q.id + ' ' + q.title), ': ', T.prose(q.why))))));
    }
    return box;
  }
})(window.Taillight);
