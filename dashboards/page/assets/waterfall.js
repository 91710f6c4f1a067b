'use strict';
// One exchange in full: its timings as the client saw them, and under them the
// spans of the target.
(function (T) {
  const el = T.el;

  /** @param {Object} x an exchange of the end event */
  T.waterfall = function (x) {
    const total = x.done_ns - x.intended_ns, lag = x.sent_ns - x.intended_ns;
    const spans = x.spans || [];
    const end = Math.max(total, ...spans.map((s) => lag + s.at_ns + s.duration_ns));
    const start = Math.min(0, ...spans.map((s) => lag + s.at_ns));
    const at = (ns) => (100 * (ns - start) / (end - start)).toFixed(4) + '%';
    const box = el('div', { class: 'waterfall' });
    box.append(ruler(start, end), client(x, start, end));
    let clock = lag;
    for (const [name, v] of T.partsOf(x)) {
      const from = name === 'lag' ? 0 : clock;
      if (name !== 'lag') clock += v;
      if (v > 0) box.append(line({ label: name, cls: 'part', bar: 't-' + name, left: at(from), width: (100 * v / (end - start)).toFixed(4) + '%', value: v }));
    }
    for (const s of spans) box.append(spanLine(s, lag, at, end - start));
    return el('div', null, box, placed(x), facts(x));
  };

  function ruler(start, end) {
    const range = (end - start) / 1e9, step = nice(range / 4);
    const marks = [];
    for (let v = 0; v <= range * 1.0001; v += step) marks.push(el('span', { vars: { left: (100 * v / range).toFixed(3) + '%' } }, v === 0 ? '0' : T.tick(Number(v.toPrecision(3)))));
    return el('div', { class: 'row ruler', 'aria-hidden': 'true' }, el('span', { class: 'label' }, 'since the intended start'), el('span', { class: 'track' }, marks), el('span', { class: 'value' }));
  }

  function nice(v) {
    const p = 10 ** Math.floor(Math.log10(v));
    return p * [1, 2, 2.5, 5, 10].find((m) => m * p >= v);
  }

  function client(x, start, end) {
    const parts = T.partsOf(x).filter(([, v]) => v > 0);
    const lead = -start / (end - start);
    return el('div', { class: 'row client' }, el('span', { class: 'label' }, 'exchange ' + T.count(x.n)),
      el('span', { class: 'track' }, el('span', { class: 'stack', vars: { 'margin-left': (100 * lead).toFixed(3) + '%' } }, parts.map(([n, v]) => el('i', { class: 't-' + n, vars: { width: (100 * v / (end - start)).toFixed(4) + '%' } })))),
      el('span', { class: 'value' }, T.duration((x.done_ns - x.intended_ns) / 1e9)));
  }

  function line(o) {
    return el('div', { class: 'row ' + o.cls, 'data-span': o.span, vars: { '--depth': String(o.depth || 0) } }, el('span', { class: 'label' }, o.label),
      el('span', { class: 'track' }, el('i', { class: o.bar, vars: { left: o.left, width: o.width } })), el('span', { class: 'value' }, T.duration(o.value / 1e9)));
  }

  function spanLine(s, lag, at, range) {
    const name = el('span', null, s.name, s.failed && el('b', { class: 'bad' }, ' failed'), el('small', null, s.service + (s.kind === 'internal' ? '' : ', ' + s.kind)));
    const row = line({ label: name, cls: 'span' + (s.failed ? ' failed' : ''), bar: 'k-' + s.kind, left: at(lag + s.at_ns), width: (100 * s.duration_ns / range).toFixed(4) + '%', value: s.duration_ns, depth: s.depth, span: s.id });
    const more = (s.attributes || []).concat(s.status ? [['status', s.status]] : []);
    if (!more.length) return row;
    return el('details', { class: 'span-detail' }, el('summary', null, row), T.pairs(more.map(([k, v]) => [k, v])));
  }

  /** Marks a span in an open exchange, and opens what it tells; false when it is not there. */
  T.markSpan = function (n, id) {
    const row = /** @type {?HTMLElement} */ (document.querySelector('#exchange-' + n + '-detail [data-span="' + id + '"]'));
    if (!row) return false;
    const d = row.closest('details');
    if (d) d.open = true;
    T.flash(row);
    row.scrollIntoView({ block: 'center', behavior: T.motion() });
    return true;
  };

  /** How the server's spans came to stand where they stand. */
  function placed(x) {
    if (!x.spans || !x.spans.length) {
      const why = !x.sampled ? 'This request was not sampled, so the target sent no span for it.' : 'No span of the target carried this trace id.';
      return el('p', { class: 'note' }, why + (x.server_timing_ns ? ' Its Server-Timing header says ' + T.duration(x.server_timing_ns / 1e9) + '.' : ''));
    }
    const inside = x.timings_ns[5] + x.timings_ns[6];
    const gap = x.gap_ns >= 0
      ? T.duration(x.gap_ns / 1e9) + ' of the ' + T.duration(inside / 1e9) + ' of wait and receive lie outside the server’s span: wire, accept queue, scheduling before the handler, flushing.'
      : 'The server’s span is ' + T.duration(-x.gap_ns / 1e9) + ' longer than wait and receive: the target streamed, or worked on after its answer.';
    return el('p', { class: 'note' }, gap + ' Clocks of two hosts are not compared: the server’s span is centred in wait and receive by its duration; spans inside it keep that process’s own distances' + (x.spans.some((s, i) => i > 0 && s.centred) ? ', those of another service are centred in their parents' : '') + '.' + (x.spans_cut ? ' ' + T.plural(x.spans_cut, 'more span') + ' of this trace left out.' : ''));
  }

  /** The trace id; a link to its board when the trace was sampled and Grafana is known. */
  function trace(x) {
    const boards = T.state.config.boards, id = x.trace_id && el('code', null, x.trace_id);
    return id && x.sampled && boards ? el('a', { href: boards.trace + x.trace_id }, id) : id || 'none';
  }

  function facts(x) {
    const rows = [['Trace', trace(x)], ['Status', x.error ? x.error + (x.detail ? ': ' + x.detail : '') : String(x.status)],
      ['Body', T.bytes(x.bytes_in) + ' in, ' + T.bytes(x.bytes_out) + ' out'], ['Connection', x.reused ? 'had served before' : 'new']];
    if (x.user >= 0) rows.push(['User', T.count(x.user)]);
    rows.push(['Iteration', T.count(x.iteration)]);
    if (x.tcp) rows.push(['TCP', 'retransmitted ' + x.tcp.retrans + ', lost ' + x.tcp.lost + ', round trip ' + T.duration(x.tcp.rtt_ns / 1e9) + ' ± ' + T.duration(x.tcp.rttvar_ns / 1e9)]);
    if (x.server_timing_ns) rows.push(['Server-Timing', T.duration(x.server_timing_ns / 1e9)]);
    if (x.kept !== 'all') rows.push(['Kept as', x.kept + ', stands for ' + x.weight]);
    return T.pairs(rows);
  }
})(window.Taillight);
