'use strict';
// Slow requests beside typical ones, step by step: where the time is that they
// took longer.
(function (T) {
  const el = T.el;

  T.slow = function (section) {
    const all = T.state.end.cohorts, told = all.filter((c) => !c.why);
    if (!all.length) {
      section.append(T.empty(why() || 'Slow requests were not compared with typical ones: no rule looked at them.'));
      return;
    }
    section.append(el('p', { class: 'lead' }, told.length ? lead(told[0]) : 'There are no slow requests to set against typical ones.'));
    told.forEach((c, i) => cohort(section, c, i, all.length));
    const silent = all.filter((c) => c.why);
    if (silent.length) section.append(el('div', { class: 'empty' }, el('p', null, told.length ? 'Not compared:' : 'Why nothing is compared:'), el('ul', { class: 'dots' }, silent.map((c) => el('li', null, T.prose(c.why + '.'))))));
    if (told.length) section.append(T.fold('How slow and typical requests were chosen', el('p', { class: 'note' }, 'Slow are the worst 1\u00a0% (at least 30), typical those between p40 and p60; stalls are left out, and so are requests that the tier does not reach, such as those that no flight recording covered. Choosing the slowest makes every component that varies larger in them, so a share says where the time was and not why. Intervals are 95\u00a0%, by resampling seconds. A component is named when its whole interval lies above 20\u00a0%.')));
  };

  /** Why the rules on slow requests said nothing. */
  function why() {
    const s = T.state.end.document.silent.find((r) => r.id === 'F8' || r.id === 'F7');
    return s && s.why[0].toUpperCase() + s.why.slice(1) + '.';
  }

  function lead(c) {
    const named = c.parts.filter((p) => p.named);
    const text = T.plural(c.slow, 'slow request') + ' of ' + c.step + ' took ' + T.duration(c.extra) + ' longer than typical ones in the mean';
    const blurred = c.parts.filter((p) => p.blurred);
    if (!named.length && blurred.length) return text + '; ' + T.list(blurred.map((p) => T.component(p.component).name)) + ' would be named, but the generator was too late itself to tell this time from its own.';
    if (!named.length) return text + '; no component is named, for none has an interval that lies above 20\u00a0%.';
    return text + '. Of that, ' + T.list(named.map((p) => share(p) + ' ' + T.component(p.component).doing)) + '.';
  }

  const share = (p) => points(p.share) + '\u00a0%' + (p.lo || p.hi ? ' (95\u00a0% interval ' + interval(p) + ')' : ' (no interval)');
  const interval = (p) => points(p.lo) + ' to ' + points(p.hi) + '\u00a0%';
  const points = (v) => String(Number((100 * v).toFixed(Math.abs(v) < 0.1 ? 1 : 0))).replace('-', '−');

  function cohort(section, c, index, of) {
    const box = el('div', { class: 'cohort' });
    section.append(box);
    if (of > 1) box.append(el('h3', null, c.step));
    box.append(el('p', { class: 'basis' }, T.plural(c.slow, 'slow request') + ' (over ' + T.duration(c.over) + ') against ' + T.plural(c.typical, 'typical one') + ', told by ' + T.tier(c.tier) + '.'), steps(c, index), exemplars(c));
  }

  // The waterfall of the mean difference.

  function steps(c, index) {
    const typical = sum(c.parts, 'typical'), slow = sum(c.parts, 'slow');
    const { shown, rest } = split(c);
    let at = typical, least = 0, most = Math.max(typical, slow);
    const bars = shown.map((p) => {
      const from = at, delta = p.slow - p.typical;
      at += delta;
      const ends = p.lo || p.hi ? [from + p.lo * c.extra, from + p.hi * c.extra] : null;
      most = Math.max(most, from, at, ends ? ends[1] : 0);
      least = Math.min(least, from, at, ends ? ends[0] : 0);
      return { p, from, to: at, ends };
    });
    const range = most - least, x = (v) => (100 * (v - least) / range).toFixed(3) + '%', w = (v) => (100 * Math.abs(v) / range).toFixed(3) + '%';
    const cell = (cls, ...children) => el('td', { class: cls }, children);
    const total = (name, v, n) => el('tr', { class: 'total' }, el('th', { scope: 'row' }, name), cell('bar', el('span', { class: 'track' }, el('i', { class: 'sum', vars: { left: x(0), width: w(v) } }))), cell('n', T.duration(v)), cell('n wide', ''), cell('n wide', ''), cell('n wide', 'n = ' + T.count(n)));
    const row = ({ p, from, to, ends }) => el('tr', { class: p.named ? 'named' : false },
      el('th', { scope: 'row' }, el('span', { class: 'what', title: T.component(p.component).doing }, T.component(p.component).name), p.named && el('b', { class: 'flag' }, 'named')),
      cell('bar', el('span', { class: 'track' },
        el('u', { vars: { left: x(Math.min(from, to)) } }),
        el('i', { class: T.component(p.component).css + (to < from ? ' less' : ''), vars: { left: x(Math.min(from, to)), width: w(to - from) } }),
        ends && el('s', { vars: { left: x(ends[0]), width: w(ends[1] - ends[0]) } }))),
      cell('n', signed(p.slow - p.typical), el('small', { class: 'narrow' }, points(p.share) + '\u00a0%' + (ends ? ', ' + interval(p) : ''))), cell('n wide', points(p.share) + '\u00a0%', ends && el('small', null, ' ' + interval(p))),
      cell('n wide', T.duration(p.typical)), cell('n wide', T.duration(p.slow)));
    const body = [total('typical, mean', typical, c.typical), ...bars.map(row)];
    if (rest.length) {
      const delta = rest.reduce((n, p) => n + p.slow - p.typical, 0);
      body.push(el('tr', { class: 'rest' }, el('th', { scope: 'row' }, T.plural(rest.length, 'other')), cell('bar', el('span', { class: 'track' }, el('i', { class: 'sum', vars: { left: x(Math.min(at, at + delta)), width: w(delta) } }))), cell('n', signed(delta)), cell('n wide', points(delta / c.extra) + '\u00a0%'), cell('n wide', T.duration(sum(rest, 'typical'))), cell('n wide', T.duration(sum(rest, 'slow')))));
    }
    body.push(total('slow, mean', slow, c.slow));
    const heads = ['Component', 'From typical to slow', 'Difference', 'Share of it, interval', 'Typical', 'Slow'];
    return el('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': 'Where slow requests of ' + c.step + ' were longer' },
      el('table', { class: 'steps', id: 'steps-' + index }, el('caption', null, 'Mean difference: ' + T.duration(c.extra)),
        el('thead', null, el('tr', null, heads.map((h, i) => el('th', { scope: 'col', class: (i > 1 ? 'n' : '') + (i > 2 ? ' wide' : '') || false }, h)))), el('tbody', null, body)));
  }

  const sum = (parts, key) => parts.reduce((n, p) => n + p[key], 0);
  const signed = (v) => (v > 0 ? '+' : v < 0 ? '−' : '') + T.duration(Math.abs(v));

  /** Components with less than a hundredth of the difference stand together, unless named. */
  function split(c) {
    const big = (p) => p.named || Math.abs(p.slow - p.typical) >= 0.01 * Math.abs(c.extra);
    return { shown: c.parts.filter(big), rest: c.parts.filter((p) => !big(p)) };
  }

  // Some of them, side by side.

  function exemplars(c) {
    const find = (n) => T.state.end.exchanges.find((x) => x.n === n);
    const slow = c.slowest.map(find).filter(Boolean), typical = find(c.example);
    const list = slow.map((x) => ['slow', x]).concat(typical ? [['typical', typical]] : []);
    if (!list.length) return el('p', { class: 'note' }, 'The page carries none of these exchanges.');
    const longest = Math.max(...list.map(([, x]) => x.done_ns - x.intended_ns));
    return el('div', null, el('p', { class: 'basis' }, 'The slowest of them and a typical one. A bar shows what an exchange consists of; the line over it how long it took, on one scale.'),
      T.componentKey(T.componentsIn(list.map(([, x]) => x))), el('ol', { class: 'exemplars' }, list.map(([kind, x]) => el('li', null, exemplar(kind, x, longest)))));
  }

  function exemplar(kind, x, longest) {
    const whole = x.done_ns - x.intended_ns;
    const parts = T.breakdown(x), most = [...parts].sort((a, b) => b[1] - a[1]).slice(0, 3).filter(([, v]) => v > 0.02 * whole);
    const line = site(x);
    return el('a', { class: 'exemplar ' + kind, href: '#exchange-' + x.n, 'data-exchange': x.n, onclick: (e) => { e.preventDefault(); T.showExchange(x.n); } },
      el('span', { class: 'head' }, el('b', null, kind), el('span', null, 'exchange ' + T.count(x.n)), el('strong', null, T.duration(whole / 1e9))),
      el('i', { class: 'length', 'aria-hidden': 'true', vars: { width: (100 * whole / longest).toFixed(2) + '%' } }), T.componentBar(parts, whole),
      el('span', { class: 'most' }, most.map(([id, v]) => el('span', null, T.component(id).name + ' ' + T.duration(v / 1e9)))),
      line && el('span', { class: 'at' }, 'waited ' + T.duration(line.time_ns / 1e9) + ' at ', el('code', null, line.text)),
      el('span', { class: 'at' }, 'due at ' + T.offset(x.intended_ns / 1e9) + ' in ' + x.phase));
  }

  /** The line an exchange waited at longest, if its timeline knows. */
  function site(x) {
    const s = x.breakdown.states, b = s && s.blocks[0];
    if (!b || b.site < 0) return null;
    return { time_ns: b.time_ns, text: T.codeLine(T.state.end.calls[b.stack[b.site]]) };
  }
})(window.Taillight);
