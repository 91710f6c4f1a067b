'use strict';
// The answer first: verdict, findings, key figures, thresholds.
(function (T) {
  const el = T.el;

  const words = { pass: 'Pass', fail: 'Fail', invalid: 'Invalid', aborted: 'Aborted' };

  /** What stands in for a verdict's sentence when the run did not live to write one. */
  function sentence(d) {
    const reason = (d.reason || '').replace(/^(pass|fail|invalid|aborted): */i, '');
    if (reason) return reason[0].toUpperCase() + reason.slice(1);
    if (d.verdict === 'aborted') return 'The run ended before it could judge itself. What had reached the disk is shown.';
    return 'Verdict: ' + d.verdict + '.';
  }

  /** The first sentence as the headline, what follows as text. */
  function headline(text) {
    const end = text.search(/\. (?=[A-Z])/);
    const first = end > 0 ? text.slice(0, end + 1) : text;
    return [el('h1', { class: first.length > 110 ? 'long' : false }, T.prose(first)), end > 0 && el('p', { class: 'rest' }, T.prose(text.slice(end + 2)))];
  }

  T.header = function () {
    const c = T.state.config, d = T.state.end && T.state.end.document;
    return el('header', { class: 'top' },
      el('span', { class: 'brand' }, el('i', { 'aria-hidden': 'true' }), 'Taillight'),
      el('span', { class: 'run' }, el('strong', null, (c && c.name) || 'run'), ' ', el('span', null, c && c.id)),
      d ? el('span', { class: 'chip ' + d.verdict }, words[d.verdict] || d.verdict) : el('span', { class: 'chip live', id: 'state' }),
      T.themeButton());
  };

  T.verdict = function (section) {
    const c = T.state.config, d = T.state.end.document;
    const ran = T.state.seconds.reduce((sum, s) => sum + s.d, 0);
    section.append(
      el('div', { class: 'hero ' + d.verdict },
        el('p', { class: 'word mark ' + ({ pass: 'yes', fail: 'no' }[d.verdict] || 'maybe') }, words[d.verdict] || d.verdict),
        headline(sentence(d)),
        el('p', { class: 'when' }, [c.name, T.wall(c.started), 'ran ' + T.duration(ran), c.environment.target || d.plan.target, 'exit ' + d.exit].filter(Boolean).join(' · ')),
        boards(c.boards)),
      figures(d),
      T.findings(d),
      thresholds(d));
  };

  /** Where Grafana shows the same run, when the run knows one. */
  function boards(b) {
    return b && el('p', { class: 'when' }, 'In Grafana: ', el('a', { href: b.load_test }, 'Load test'), ' · ', el('a', { href: b.why_slow }, 'Why slow'));
  }

  function figures(d) {
    const t = d.totals, r = d.latency.response;
    const errors = t.failed + t.unsent;
    const bound = t.planned > 0 ? 3 / t.planned : 0;
    const list = [
      [T.count(t.planned), 'planned requests', t.unsent ? T.count(t.unsent) + ' never sent' : T.percent(t.planned ? t.sent / t.planned : 0) + ' sent'],
      [T.rate(t.rate_per_s), 'answered OK', T.count(t.completed) + ' in all'],
      [T.duration(r.p50), 'response p50', 'n = ' + T.count(r.n)],
      [T.duration(r.p95), 'response p95', T.times95(r)],
      [T.duration(r.p99), 'response p99', thin(r.n, 0.99) ? 'few beyond it' : T.count(r.n * 0.01) + ' beyond it'],
      [T.duration(r.max), 'slowest', r.p50 > 0 ? (r.max / r.p50).toFixed(r.max / r.p50 < 10 ? 1 : 0) + ' × p50' : ''],
      [T.count(errors), 'failed or unsent', errors ? T.percent(errors / t.planned) : t.planned ? '< ' + T.percent(bound) + ' at 95\u00a0%' : ''],
    ];
    return el('dl', { class: 'figures-row answer' }, list.map(([v, what, more]) => el('div', null, el('dt', null, what), el('dd', null, v), more && el('dd', { class: 'more' }, more))));
  }

  T.times95 = (r) => (r.p50 > 0 ? (r.p95 / r.p50).toFixed(1) + ' × p50' : '');

  /** Whether fewer than ten of n lie beyond quantile q. */
  const thin = (n, q) => n * (1 - q) < 10;
  T.thin = thin;

  function thresholds(d) {
    const box = el('div', { class: 'thresholds' }, el('h2', { id: 'thresholds' }, 'Thresholds'));
    const list = d.thresholds || [];
    if (!list.length) {
      box.append(T.empty('The plan sets no thresholds, so nothing but validity could fail this run.', el('p', null, 'Add lines such as ', el('code', null, 'p99 < 25ms'), ' under ', el('code', null, 'thresholds:'), ' in the plan.')));
      return box;
    }
    box.append(T.wide('Thresholds', T.thresholdTable(list, ['held', 'broken', 'no data'], endedBy(d))));
    box.append(el('p', { class: 'note' }, 'Latency is judged on planned requests: one that failed, was never sent or was cut off counts as slower than the limit.'));
    return box;
  }

  /** The thresholds with what was observed of each; words are for one that holds, one that does not, and one without data; while the run goes on there is no ender yet. */
  T.thresholdTable = (list, words, ender) => T.table(['Threshold', 'Held', 'Observed', 'Not within', 'n planned', 'Where'], list.map((t) => [
    el('code', null, t.text),
    el('span', { class: 'mark ' + (t.ok ? 'yes' : t.no_data && ender === undefined ? 'off' : 'no') }, t.ok ? words[0] : t.no_data ? words[2] : words[1]),
    t.no_data ? '–' : observed(t, t.observed),
    t.no_data ? '–' : /^p\d|max|mean/.test(t.metric) && t.share !== undefined ? T.percent(t.share) : t.metric.startsWith('p') && t.n ? T.percent(0) : '–',
    T.count(t.n),
    where(t, t === ender),
  ]), { numbers: 2, words: 5 });

  /** The rule that ended the run: of the abort rules that do not hold, the first to break. */
  function endedBy(d) {
    if (d.stopped !== 'threshold') return null;
    const broken = d.thresholds.filter((t) => t.abort && !t.ok && !t.no_data);
    return broken.sort((a, b) => (a.at || 0) - (b.at || 0))[0] || null;
  }

  function observed(t, v) {
    if (t.never) return 'never answered OK';
    if (t.metric === 'rate') return T.rate(v);
    if (t.metric === 'errors' || t.metric === 'unsent') return T.percent(v);
    return T.duration(v);
  }

  function where(t, ended) {
    const parts = [], at = T.offset((t.at || 0) / 1e9);
    if (t.windows) parts.push('worst of ' + T.plural(t.windows, 'window'), 'ending at ' + at);
    if (ended) parts.push(t.windows ? 'ended the run' : 'ended the run at ' + at);
    return parts.join(', ') || 'whole scope';
  }
})(window.Taillight);
