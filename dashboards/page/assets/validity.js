'use strict';
// Whether the measurement can be trusted: the generator's judgement of itself,
// and how much of the target was seen.
(function (T) {
  const el = T.el;

  T.validity = function (section) {
    const d = T.state.end.document, list = d.validity || [];
    const late = T.state.seconds.filter((s) => s.late);
    section.append(el('p', { class: 'lead' }, lead(list, late)));
    const graded = (g) => list.filter((v) => v.grade === g).length;
    if (list.length) section.append(T.rows('Validity per phase', [...['valid', 'warning', 'invalid'].filter(graded).map((g) => T.count(graded(g)) + ' ' + g)].join(', '), list.length, T.table(
      ['Phase', 'Grade', 'Lag p99', 'Response p50', 'Sent', 'Throttled', 'Late seconds', 'Reasons'],
      list.map((v) => row(v, late)), { numbers: 2, words: 7, class: 'validity' })));
    for (const line of T.state.end.lost) section.append(el('p', { class: 'warning' }, el('b', null, 'Not read'), ' ', line));
    const fold = T.fold(summary(d), el('p', { class: 'note' }, 'Lag is request sent minus intended start: how late the generator itself was. A warning above 1\u00a0ms or 10\u00a0% of the response p50, whichever is more; invalid above 5\u00a0ms or 50\u00a0%. Sent below 99.5\u00a0% warns, below 98\u00a0% is invalid; CPU quota throttling above 0.5\u00a0% warns, above 5\u00a0% is invalid. Late seconds carry an amber mark under every chart of time.'), el('div', { class: 'two' }, cores(d), telemetry(d)));
    fold.open = wanting(d.signals);
    section.append(fold);
  };

  /** What the processors and the telemetry come to. */
  function summary(d) {
    const cpu = d.totals.target_cpu, tier = d.signals.tier || 'T0';
    return 'How it was measured: generator ' + T.cores(d.totals.generator_cpu) + ', target ' + (cpu ? T.cores(cpu.mean) : 'unknown') + '; telemetry ' + tier + ', ' + (tiers[tier] || tiers.T0) + ', coverage ' + T.percent(d.signals.coverage);
  }

  /** Why spans were lost. Others are not kept by design: of traces that are not the run's, or that nobody chose. */
  const losses = ['over_budget', 'unwritten', 'late'];

  /** Whether the telemetry needs something done, or lost something. */
  function wanting(s) {
    const cap = s.capabilities || {}, some = (by) => Object.values(by || {}).some((n) => n > 0);
    return !cap.spans && !cap.profiles || some(s.exporter) || some(s.refused) || losses.some((why) => (s.spans.dropped || {})[why] > 0);
  }

  function lead(list, late) {
    if (!list.length) return 'The run ended before it could judge itself.';
    const bad = list.filter((v) => v.grade === 'invalid').map((v) => v.phase);
    const warned = list.filter((v) => v.grade === 'warning').map((v) => v.phase);
    const lates = late.length ? ' ' + T.plural(late.length, 'late second') + ' of ' + T.state.seconds.length + '.' : ' No late second.';
    if (bad.length) return 'Do not trust the figures of ' + T.list(bad) + ': there the generator measured itself.' + lates;
    if (warned.length) return 'The measurement can be used, with a warning in ' + T.list(warned) + '.' + lates;
    return 'The measurement can be trusted: in every phase the generator was on time.' + lates;
  }

  function row(v, late) {
    const i = T.state.config.phases.findIndex((p) => p.name === v.phase);
    const own = T.state.seconds.filter((s) => s.phase === i);
    return [v.phase,
      el('span', { class: 'mark ' + { valid: 'yes', warning: 'maybe', invalid: 'no' }[v.grade] }, v.grade),
      T.duration(v.lag_p99_ns / 1e9), T.duration(v.response_p50_ns / 1e9), T.percent(v.sent_share), T.percent(v.throttled_share),
      late.filter((s) => s.phase === i).length + ' of ' + own.length,
      el('div', { class: 'reasons' }, (v.reasons || []).concat(v.capped ? ['the in-flight cap was reached'] : []).map((r) => el('p', null, T.prose(r))))];
  }

  function cores(d) {
    const e = T.state.config.environment;
    const rows = [['Cores of the machine', T.count(e.cores)], ['Generator may use', e.gomaxprocs + ' (GOMAXPROCS)'], ['Generator used', T.cores(d.totals.generator_cpu) + ' on average']];
    if (e.target_gomaxprocs) rows.push(['Target may use', e.target_gomaxprocs + ' (GOMAXPROCS)']);
    const cpu = d.totals.target_cpu;
    rows.push(['Target used', cpu ? T.cores(cpu.mean) + ' on average, ' + T.cores(cpu.max) + ' in its busiest second (' + cpu.source + ')' : 'unknown: the target sent no CPU metric']);
    if (e.reference) rows.push(['Alone, before the run', T.duration(e.reference.mean) + ' mean service time of ' + e.reference.n + ' requests']);
    const box = el('div', null, el('h3', null, 'Processors'), T.pairs(rows));
    if (e.bundled) box.append(el('p', { class: 'note' }, 'Generator and target share this machine, so each can slow the other. For figures that travel, run them on two.'));
    return box;
  }

  /** A list of names and values. */
  T.pairs = (rows) => el('dl', { class: 'pairs' }, rows.map(([k, v]) => el('div', null, el('dt', null, k), el('dd', null, v))));

  const tiers = { T0: 'the client’s own view', T1: 'spans or Server-Timing', T2: 'CPU profiles with span labels', T3: 'scheduler timelines' };

  function telemetry(d) {
    const s = d.signals, cap = s.capabilities || {}, share = T.state.config.environment.trace_share;
    const rows = [
      ['Tier', (s.tier || 'T0') + ': ' + (tiers[s.tier] || tiers.T0)],
      ['Seen', seen(cap)],
      ['Coverage', T.percent(s.coverage) + ' of kept, sampled exchanges joined to a server span' + (cap.spans ? list('; without: ', s.spans.unjoined) : '')],
      ['Spans', T.count(s.spans.received) + ' received, ' + T.count(s.spans.joined) + ' joined' + dropped(s.spans.dropped)],
      ['Requests sampled', T.percent(share)],
      ['CPU profiles, metric points', T.count(s.profiles) + ', ' + T.count(s.points)],
    ];
    const own = s.client_spans;
    if (own) rows.push(['Client spans', T.count(own.sent) + ' of ' + T.count(own.kept) + ' kept, sampled exchanges sent (' + T.percent(own.kept ? own.sent / own.kept : 0) + ')']);
    const exporter = Object.entries(s.exporter || {}).filter(([, n]) => n > 0);
    if (exporter.length) rows.push(['Lost by our own export', exporter.map(([k, n]) => T.count(n) + ' ' + k).join(', ')]);
    if (s.refused) rows.push(['Requests not taken', list('', s.refused)]);
    const box = el('div', null, el('h3', null, 'Telemetry of the target'), T.pairs(rows));
    if (!cap.spans && !cap.profiles) box.append(T.howToSend());
    return box;
  }

  function list(before, by) {
    const all = Object.entries(by || {}).filter(([, n]) => n > 0);
    return all.length ? before + all.map(([why, n]) => T.count(n) + ' ' + why).join(', ') : '';
  }

  function dropped(by) {
    return list('; dropped: ', by) || ', none dropped';
  }

  function seen(cap) {
    const names = { spans: 'spans', server_timing: 'Server-Timing', profiles: 'CPU profiles', span_labels: 'span labels in profiles', timelines: 'timelines' };
    const have = Object.keys(names).filter((k) => cap[k]).map((k) => names[k]);
    const lack = Object.keys(names).filter((k) => !cap[k]).map((k) => names[k]);
    return (T.list(have) || 'nothing') + (lack.length ? '; not ' + T.list(lack) : '');
  }

  /** Which environment lines make a target send its telemetry. */
  T.howToSend = function () {
    if (T.state.config.environment.bundled) return el('p', null, 'The bundled service needs no setting for it: the run starts it with all it takes to send them.');
    return el('div', { class: 'how' },
      el('p', null, 'A service that speaks OpenTelemetry or sends profiles to Pyroscope sends them to a run when it starts with the lines that the run prints before its load:'),
      el('pre', { tabindex: '0' }, 'OTEL_EXPORTER_OTLP_ENDPOINT=http://<address the run prints>\nOTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nOTEL_BSP_SCHEDULE_DELAY=500\nOTEL_METRIC_EXPORT_INTERVAL=1000\nPYROSCOPE_SERVER_ADDRESS=http://<address the run prints>'));
  };
})(window.Taillight);
