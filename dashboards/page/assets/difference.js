'use strict';
// CPU per request of one side against another's, call path by call path:
// coloured where it differs by more than chance.
(function (T) {
  const el = T.el;
  const LEVELS = 4;

  /** Draws a comparison, that of the run's peak with its baseline if no other is given, or why there is none. Returns the flame graph, or null. */
  T.difference = function (holder, o) {
    const { d, what, none, takes } = o || { d: T.state.end.difference, what: 'peak against baseline', none: 'No baseline and no peak could be compared: ' + why(), takes: 'It takes two phases of some length at different loads, with CPU profiles of the target in both.' };
    if (!d) {
      holder.append(T.empty(none.replace(/\.$/, '') + '.', el('p', null, takes)));
      return null;
    }
    const root = tree(d), most = Math.max(0, ...d.nodes.filter((n) => n.s).map((n) => Math.abs(n.c[1] - n.c[0])));
    holder.append(el('p', { class: 'lead' }, lead(d)), el('p', { class: 'basis' }, power(d)));
    const graph = /** @type {FlameGraph} */ ({});
    if (d.deepest.length) holder.append(changes(d, root, graph));
    Object.assign(graph, T.flame(holder, {
      root, frames: d.frames, meant: true, all: 'all CPU: ' + T.duration(d.a.cpu) + ' → ' + T.duration(d.b.cpu), label: 'Differential flame graph of CPU per request, ' + what,
      color: (n) => shade(n, most), ink: (n) => shade(n, most) + '-ink', lines: (n) => lines(d, n),
      found: (nodes) => T.duration(total(nodes, 0)) + ' → ' + T.duration(total(nodes, 1)) + ' per request',
      key: legend(most),
    }));
    holder.append(el('p', { class: 'note' }, 'A frame is as wide as the larger of its two sides, so what is gone and what is new both show. Colour is change in CPU per request where it is more than chance: quasi-Poisson rate ratios over profiles of about a second, at a false discovery rate of 1\u00a0%, after a test by shuffling over all (p = ' + T.small(d.global) + '). Grey is not significant, or has fewer than 20 samples.'));
    return graph;
  };

  T.small = (p) => (p < 0.0015 ? '0.001' : String(Number(p.toPrecision(2))));

  function why() {
    const s = T.state.end.document.silent.find((r) => r.id === 'F13');
    return s ? s.why.replace(/\.$/, '') : 'no rule looked at it';
  }

  const total = (nodes, side) => nodes.reduce((s, n) => s + n.cpu[side], 0);

  /** Nodes in preorder to a tree whose widths are unions: own time at the larger side, and the children. */
  function tree(d) {
    const nodes = d.nodes.map((n) => ({ frame: n.f, cpu: n.c, samples: n.n, significant: Boolean(n.s), ratio: n.r || null, children: [], parent: null, depth: 0, x: 0, value: 0 }));
    nodes.forEach((n, i) => { const p = d.nodes[i].p; if (p >= 0) { n.parent = nodes[p]; n.depth = n.parent.depth + 1; n.parent.children.push(n); } });
    for (const n of [...nodes].reverse()) {
      const own = [0, 1].map((k) => Math.max(0, n.cpu[k] - n.children.reduce((s, c) => s + c.cpu[k], 0)));
      n.value = Math.max(own[0], own[1]) + n.children.reduce((s, c) => s + c.value, 0);
    }
    T.flamePlace(nodes[0]);
    nodes[0].all = nodes;
    return nodes[0];
  }

  function lead(d) {
    const r = d.nodes[0];
    const change = r.s ? ', ' + ratio(r.r) : '; the total does not differ by more than chance';
    return d.service + ' used ' + T.duration(d.a.cpu) + ' of CPU per request in ' + d.baseline + ' (' + (d.baseline === 'A' ? '' : 'A: ') + basis(d.a) + ') and ' + T.duration(d.b.cpu) + ' in ' + d.peak + ' (' + (d.peak === 'B' ? '' : 'B: ') + basis(d.b) + ')' + change + '.';
  }

  /** A side by its letter, and the name that it may have besides. */
  const sideName = (letter, name) => (name === letter ? letter : letter + ' ' + name);

  const basis = (s) => 'n = ' + T.count(s.samples) + ' samples, ' + T.plural(s.segments, 'profile') + ', ' + T.count(s.requests) + ' requests';

  /** What would have been seen. */
  function power(d) {
    const seen = d.deepest.length ? T.plural(d.deepest.length, 'call path') + ' differ by more than chance.' : 'No function differs by more than chance (p = ' + T.small(d.global) + ' over all), so nothing is coloured.';
    return seen.replace('call path differ', 'call path differs') + (d.detectable > 0 ? ' A change of the total of ' + T.percent(d.detectable) + ' would have shown in 4 of 5 runs.' : '');
  }

  function ratio(r) {
    return percent(r[0]) + ' (95\u00a0% interval ' + percent(r[1]) + ' to ' + percent(r[2]) + ')';
  }

  const percent = (v) => (v > 100 ? '×' + Number(v.toPrecision(2)) : (v > 1 ? '+' : v < 1 ? '−' : '') + T.percent(Math.abs(v - 1)));
  const signed = (s) => (s > 0 ? '+' : s < 0 ? '−' : '') + T.duration(Math.abs(s));

  function lines(d, n) {
    const out = [sideName('A', d.baseline) + ': ' + T.duration(n.cpu[0]) + ' per request, n = ' + T.count(n.samples[0]), sideName('B', d.peak) + ': ' + T.duration(n.cpu[1]) + ' per request, n = ' + T.count(n.samples[1])];
    if (n.ratio) out.push('change ' + signed(n.cpu[1] - n.cpu[0]) + ', ' + ratio(n.ratio) + (n.significant ? ', more than chance' : ', not significant'));
    else out.push('too few samples to test');
    if (n.frame >= 0) out.push(T.family(d.frames[n.frame]) + T.place(d.frames[n.frame]));
    return out;
  }

  function shade(n, most) {
    if (!n.significant || !most) return '--d-none';
    const delta = n.cpu[1] - n.cpu[0];
    return (delta > 0 ? '--d-more-' : '--d-less-') + Math.max(1, Math.ceil(LEVELS * Math.abs(delta) / most - 1e-9));
  }

  function legend(most) {
    const item = (v, text) => el('li', null, el('i', { 'aria-hidden': 'true', vars: { background: 'var(' + v + ')' } }), text);
    const steps = [1, 2, 3, 4].map((i) => most * i / LEVELS);
    const level = (sign, i) => item('--d-' + sign + '-' + i, (sign === 'more' ? '+' : '−') + T.duration(steps[i - 1]));
    return el('ul', { class: 'key diverging', 'aria-label': 'Colours of the change in CPU per request' },
      el('li', null, 'change in CPU per request, up to'),
      most > 0 && [[4, 3, 2, 1].map((i) => level('less', i)), item('--d-none', 'not significant'), [1, 2, 3, 4].map((i) => level('more', i))],
      !most && item('--d-none', 'not significant: everything'));
  }

  /** The deepest call paths that differ, largest change first. */
  function changes(d, root, graph) {
    const rows = d.deepest.slice(0, 12).map((i) => {
      const n = root.all[i], f = n.frame < 0 ? { function: 'all CPU', file: '', line: 0 } : d.frames[n.frame];
      return [T.functionCell(f, () => { if (n.frame >= 0) graph.search(f.function); graph.show(n); }), T.duration(n.cpu[0]), T.duration(n.cpu[1]), signed(n.cpu[1] - n.cpu[0]),
        n.ratio ? ratio(n.ratio) : '–', T.count(n.samples[0]) + ', ' + T.count(n.samples[1])];
    });
    return T.wide('Where CPU per request changed', T.table(['Deepest change', sideName('A', d.baseline), sideName('B', d.peak), 'Change', 'Relative', 'n of A, B'], rows, { numbers: 1, class: 'functions changes', caption: 'Deepest call paths that differ' + (d.deepest.length > 12 ? ', 12 of ' + d.deepest.length : '') }));
  }
})(window.Taillight);
