'use strict';
// The pairs of an A/B test: a forest plot of each measure that the verdict
// rests on, the pooled ratios, and what could have been seen.
(function (T) {
  const el = T.el;
  const answers = { slower: 'no', faster: 'yes', same: 'yes', undecided: 'maybe' };

  /** What was compared, and how. */
  T.arms = function (section) {
    const t = T.state.end.compared.test;
    section.append(T.pairs([['A', el('code', null, t.arms[0])], ['B', el('code', null, t.arms[1])], ['Protocol', t.protocol], ['CPU', t.cpu_source ? 'from ' + t.cpu_source : 'unknown'], ['Began', T.wall(t.started)]]));
  };

  /** One forest for each primary measure. */
  T.forest = function (section) {
    const t = T.state.end.compared.test, j = t.judgement;
    if (!j) { section.append(T.empty('No pair of runs is whole, so there is nothing to pool.')); return; }
    const told = j.effects.filter((e) => e.primary && e.ratio);
    if (!told.length) { section.append(T.empty('No measure that the verdict rests on has a ratio: ' + (j.unfit || 'no pair has both sides of one') + '.')); return; }
    told.forEach((e) => section.append(plot(t, j, e)));
    section.append(el('p', { class: 'note' }, 'Each row is a pair of runs made one after the other; the last is the Hodges-Lehmann estimate with the interval that inverts the sign-flip test. The shaded stretch is the margin of ±' + T.percent(j.margin) + ': an interval inside it says the same, one that excludes 1 with an estimate beyond half the margin says slower or faster. A pair of windows has no interval of its own: the spread of the pairs is the evidence.'));
  };

  /** The measure's pairs in the order in which they were made; late ones have no times. */
  function ratios(t, e) {
    const timed = e.measure !== 'cpu';
    return t.pairs.map((p, i) => {
      const a = p.a[e.measure], b = p.b[e.measure], counts = a > 0 && b > 0 && !(timed && p.late);
      return { name: 'pair ' + (i + 1), order: p.first === 'b' ? 'BA' : 'AB', a, b, ratio: counts ? b / a : 0, why: p.late && timed ? 'its times do not count: the generator was late' : 'a side of it is not known' };
    });
  }

  function plot(t, j, e) {
    const rows = ratios(t, e), title = T.state.end.compared.titles[e.measure] || e.measure;
    const logs = [...rows.filter((r) => r.ratio).map((r) => r.ratio), e.ratio, 1 + j.margin, 1 / (1 + j.margin), ...(e.interval ? [e.interval.lo, e.interval.hi] : [])].filter((v) => v > 0).map(Math.log);
    const lo = Math.min(...logs), hi = Math.max(...logs), room = 0.08 * (hi - lo || 0.02);
    const at = (ratio) => (100 * (Math.log(ratio) - lo + room) / (hi - lo + 2 * room)).toFixed(3) + '%';
    const width = (a, b) => (100 * (Math.log(b) - Math.log(a)) / (hi - lo + 2 * room)).toFixed(3) + '%';
    const track = (...marks) => el('td', { class: 'bar' }, el('span', { class: 'track' },
      el('u', { class: 'margin', vars: { left: at(1 / (1 + j.margin)), width: width(1 / (1 + j.margin), 1 + j.margin) } }), el('u', { class: 'one', vars: { left: at(1) } }), marks));
    const body = rows.map((r) => el('tr', null, el('th', { scope: 'row' }, r.name, el('small', null, ' ' + r.order)),
      r.ratio ? track(el('i', { class: 'dot', vars: { left: at(r.ratio) } })) : el('td', { class: 'bar why' }, r.why),
      el('td', { class: 'n' }, r.ratio ? T.change(r.ratio) : '–'), el('td', { class: 'n wide' }, r.a > 0 ? T.measured(e.measure, r.a) : '–'), el('td', { class: 'n wide' }, r.b > 0 ? T.measured(e.measure, r.b) : '–')));
    body.push(el('tr', { class: 'pooled' }, el('th', { scope: 'row' }, 'pooled'),
      track(e.interval && el('s', { vars: { left: at(e.interval.lo), width: width(e.interval.lo, e.interval.hi) } }), el('i', { class: 'diamond', vars: { left: at(e.ratio) } })),
      el('td', { class: 'n' }, T.change(e.ratio), e.interval && el('small', null, ' ' + T.change(e.interval.lo) + ' to ' + T.change(e.interval.hi))),
      el('td', { class: 'n wide' }, T.measured(e.measure, e.a)), el('td', { class: 'n wide' }, T.measured(e.measure, e.b))));
    return el('div', { class: 'forest' }, el('h3', null, title, ' ', answer(e.answer)), el('p', { class: 'basis' }, power(e)),
      T.wide('Forest plot of ' + title, el('table', null, el('caption', null, 'B against A, log axis, ' + T.change(Math.exp(lo)) + ' to ' + T.change(Math.exp(hi))),
        el('thead', null, el('tr', null, ['Pair', 'B / A', 'Change', 'A', 'B'].map((h, i) => el('th', { scope: 'col', class: i > 1 ? (i > 2 ? 'n wide' : 'n') : false }, h)))), el('tbody', null, body))));
  }

  const answer = (a) => el('span', { class: 'mark ' + (answers[a] || 'off') }, a);

  function power(e) {
    const out = ['n = ' + T.plural(e.pairs, 'pair') + ', p = ' + Number(e.p_adjusted.toPrecision(2)) + (e.interval ? '' : ', too few pairs for an interval')];
    if (e.detectable > 0) out.push('so many pairs with this spread show a change of ' + T.change(1 + e.detectable) + ' in 4 of 5 tests');
    if (e.more_pairs) out.push('about ' + T.plural(e.more_pairs, 'more pair') + ' would decide');
    return out.join('; ') + '.';
  }

  /** All measures in one table. */
  T.effects = function (section) {
    const c = T.state.end.compared, j = c.test.judgement;
    if (!j) { section.append(T.empty('No pair of runs is whole.')); return; }
    section.append(T.wide('Measures over the pairs', T.table(['Measure', 'Pairs', 'A, median', 'B, median', 'B against A', '95\u00a0% interval', 'p', 'Could have seen', 'Answer'], j.effects.map((e) => [
      [c.titles[e.measure] || e.measure, !e.primary && el('small', null, ' beside the verdict')], T.count(e.pairs), T.measured(e.measure, e.a), T.measured(e.measure, e.b), e.ratio ? T.change(e.ratio) : '–',
      e.interval ? T.change(e.interval.lo) + ' to ' + T.change(e.interval.hi) : '–', Number(e.p_adjusted.toPrecision(2)), e.detectable > 0 ? T.change(1 + e.detectable) : '–', e.ratio ? answer(e.answer) : '–']), { numbers: 1, words: 8 })),
      el('p', { class: 'note' }, 'The verdict rests on the first two; their p is raised for being two (Holm). Of the others at most 5\u00a0% are significant by chance (Benjamini and Hochberg).'));
  };
})(window.Taillight);
