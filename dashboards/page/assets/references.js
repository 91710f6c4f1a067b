'use strict';
// Ways through a page, and where a piece of evidence leads on it: the exchange,
// the span in it, the function in the flame graph, the line that waited, the
// chart of a metric.
(function (T) {
  const exchangeOf = (n) => T.state.end.exchanges.find((x) => x.n === n);

  T.motion = () => (matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth');

  /** Scrolls to an element, wherever it is folded away. */
  T.go = function (e) {
    T.unfold(e);
    e.scrollIntoView({ block: 'start', behavior: T.motion() });
  };

  /** Opens whatever hides an element, and what it alone consists of. */
  T.unfold = function (e) {
    for (let d = e.closest('details'); d; d = d.parentElement.closest('details')) d.open = true;
    const own = /** @type {?HTMLDetailsElement} */ (e.querySelector(':scope > details:is([data-finding], .entire)'));
    if (own) own.open = true;
  };

  /** The same of what a link or an address names. */
  function named(hash) {
    const e = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (e) T.unfold(e);
  }
  document.addEventListener('click', (e) => {
    const a = e.target instanceof Element && /** @type {?HTMLAnchorElement} */ (e.target.closest('a[href^="#"]'));
    if (a) named(a.hash);
  });
  window.addEventListener('hashchange', () => named(location.hash));

  /** Marks an element for a moment. */
  T.flash = function (e) {
    e.classList.remove('flash');
    void e.offsetWidth;
    e.classList.add('flash');
  };

  /**
   * @param {string} ref    of an evidence
   * @param {Object=} e     the evidence
   * @param {Object=} finding  which it belongs to
   * @returns {?{href: string, text: string, go: function(): void}} null when the page has no such place
   */
  T.reference = function (ref, e, finding) {
    if (!ref) return null;
    const colon = ref.indexOf(':'), id = ref.slice(colon + 1);
    const to = ways[ref.slice(0, colon)];
    const way = to ? to(id, e, finding) : null;
    return way && { ...way, go: (ev) => { ev.preventDefault(); way.go(); } };
  };

  const ways = {
    exchange: (id) => exchangeOf(Number(id)) && { href: '#exchange-' + id, text: 'exchange ' + T.count(Number(id)), go: () => T.showExchange(Number(id)) },
    span: (id) => {
      const x = T.state.end.exchanges.find((y) => (y.spans || []).some((s) => s.id === id));
      return x && { href: '#exchange-' + x.n, text: 'span in exchange ' + T.count(x.n), go: () => T.showExchange(x.n, () => T.markSpan(x.n, id)) };
    },
    code: (id, e, finding) => {
      const line = shorten(id), x = waiting(line, finding);
      return x && { href: '#exchange-' + x.n, text: 'stack in exchange ' + T.count(x.n), go: () => T.showExchange(x.n, () => T.markLine(x.n, line)) };
    },
    profile: (id, e, finding) => {
      if (!T.state.end.profiles.length) return null;
      const name = e ? T.functionIn((e.text || '') + ' ' + e.label) : '';
      const mode = finding && finding.id === 'F13' ? 'difference' : 'request';
      return { href: '#cpu', text: 'flame graph', go: () => T.showFunction(name, mode) };
    },
    counter: (id) => {
      const chart = document.getElementById('metric-' + id);
      const known = T.state.end.series.some((s) => s.metric === id);
      return (chart || known) && { href: '#metric-' + id, text: 'chart of ' + id, go: () => { const c = document.getElementById('metric-' + id); T.go(c || document.getElementById('target')); if (c) T.flash(c); } };
    },
  };

  /** A file and line as the page writes it: the last folder, the name, the line. */
  const shorten = (id) => id.split('/').slice(-2).join('/');

  /** The slowest exchange that waited at a line, first among those that the finding names. */
  function waiting(line, finding) {
    const there = (x) => ((x.breakdown.states || {}).blocks || []).some((b) => { const c = T.state.end.calls[b.stack[b.site]]; return c && c.file + ':' + c.line === line; });
    const named = new Set(((finding || {}).evidence || []).map((e) => e.ref || '').filter((r) => r.startsWith('exchange:')).map((r) => Number(r.slice(9))));
    const all = T.state.end.exchanges;
    return all.find((x) => named.has(x.n) && there(x)) || all.find(there);
  }

  /** The longest name of a profiled function that a text holds, or ''. */
  T.functionIn = function (text) {
    let best = '';
    const sets = T.state.end.profiles.map((p) => p.stacks.frames).concat(T.state.end.difference ? [T.state.end.difference.frames] : []);
    for (const frames of sets) for (const f of frames) if (f.function.length > best.length && text.includes(f.function)) best = f.function;
    return best;
  };
})(window.Taillight);
