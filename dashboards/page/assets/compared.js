'use strict';
// The page of a comparison: its verdict, its sections, and the way between them.
(function (T) {
  const el = T.el;
  const words = { slower: ['B is slower', 'fail', 'no'], faster: ['B is faster', 'pass', 'yes'], same: ['The same', 'pass', 'yes'], undecided: ['Undecided', 'invalid', 'maybe'] };

  /** @returns {[string, string, Section][]} */
  function sections(c) {
    /** @type {[string, string, Section]} */
    const cpu = ['cpu', 'CPU per request', difference];
    /** @type {[string, string, Section]} */
    const verdict = ['verdict', 'Verdict', judged];
    /** @type {[string, string, Section]} */
    const percentiles = ['curves', 'Percentiles', T.overlaid];
    if (c.test) return [verdict, ['forest', 'Pairs', T.forest], ['effects', 'Measures', T.effects], percentiles, cpu, ['arms', 'How it was made', T.arms]];
    if (c.refused) return [verdict, ['differs', 'What differs', T.differs]];
    return [verdict, ['sides', 'Side by side', T.sides], ['differs', 'What else differs', T.differs], ['shifts', 'Shift', T.shift], percentiles, cpu];
  }

  const look = (c) => (c.test ? words[c.answer] || [c.answer, 'invalid', 'maybe'] : c.refused ? ['Unlike runs', 'invalid', 'maybe'] : ['n = 1 a side', 'invalid', 'maybe']);

  function header(c) {
    const [word, chip] = look(c);
    return el('header', { class: 'top' }, el('span', { class: 'brand' }, el('i', { 'aria-hidden': 'true' }), 'Taillight'),
      el('span', { class: 'run' }, el('strong', null, 'A against B'), ' ', el('span', null, c.test ? c.test.id : c.runs.a.id ? c.runs.a.id + ' against ' + c.runs.b.id : '')),
      el('span', { class: 'chip ' + chip }, word), T.themeButton());
  }

  function judged(section) {
    const c = T.state.end.compared, [word, , mark] = look(c), [first, rest] = headline(c);
    const warnings = (c.test ? c.test.warnings : c.runs.warnings) || [];
    section.append(el('div', { class: 'hero' }, el('p', { class: 'word mark ' + mark }, word),
      el('h1', { class: first.length > 110 ? 'long' : false }, T.prose(first)), rest && el('p', { class: 'rest' }, T.prose(rest)),
      el('p', { class: 'when' }, when(c)), c.refused && c.anyway && el('p', null, el('a', { href: c.anyway }, 'Compare them all the same'))), ...warnings.map((w) => el('p', { class: 'warning' }, T.prose(capital(w)))));
  }

  /** The claim's head, and what follows: the figures of a test, the doubts of two runs. */
  function headline(c) {
    const cut = c.claim.search(c.test ? /(?<=\)): / : c.refused ? /: / : /\. /);
    const end = (s) => s.replace(/\.?$/, '.');
    return cut > 0 ? [end(c.test ? capital(c.claim.slice(0, cut)) : c.claim.slice(0, cut)), end(capital(c.claim.slice(cut + 2)))] : [end(c.claim), ''];
  }

  /** Begins a sentence; p95 stays what it is. */
  const capital = (s) => s.replace(/^[a-z](?!\d)/, (c) => c.toUpperCase());

  function when(c) {
    const reports = ['A', 'B'].flatMap((name, i) => (c.reports[i] ? [' · ', el('a', { href: c.reports[i] }, 'report of ' + name)] : []));
    if (c.test) return [T.wall(c.test.started) + ' · ' + T.plural(c.test.pairs.length, 'pair') + ' · exit ' + c.exit, reports];
    return [(c.runs.a.id ? 'A ' + c.runs.a.id + ' · B ' + c.runs.b.id + ' · ' : '') + 'exit ' + c.exit, reports];
  }

  function difference(section) {
    const c = T.state.end.compared, d = T.state.end.difference;
    T.difference(section, { d, what: 'B against A', none: 'The CPU per request is not compared call path by call path: ' + (c.cpu_silent || ''), takes: 'It takes CPU profiles of both sides, eight or more each, from the same version of the language.' });
    const frames = c.test ? c.test.frames : [];
    if (!d && frames && frames.length) {
      section.append(T.wide('Functions whose CPU per request differs', T.table(['Function, with what it calls', 'A', 'B', 'B against A', '95\u00a0% interval'], frames.map((f) => [
        [T.shortName(f.function), el('small', null, ' ' + T.family(f) + T.place(f))], T.duration(f.a), T.duration(f.b), T.change(f.ratio), T.change(f.lo) + ' to ' + T.change(f.hi)]), { numbers: 1 })));
    }
  }

  function draw() {
    const app = document.getElementById('app'), main = el('main', { id: 'main', tabindex: '-1' }), c = T.state.end.compared, list = sections(c);
    T.fill(app, el('a', { class: 'skip', href: '#main' }, 'Skip to the verdict'), header(c),
      el('div', { class: 'frame' }, el('nav', { 'aria-label': 'Sections' }, list.map(([id, title]) => el('a', { href: '#' + id }, title))), main),
      el('footer', null, 'Ratios are B over A. Times are UTC. This file needs no network.'));
    app.hidden = false; // charts ask for the width of their place
    for (const [id, title, render] of list) {
      const s = el('section', { id, 'aria-label': title }, id !== 'verdict' && el('h2', null, title));
      main.append(s);
      render(s);
    }
    if (location.hash.length > 1) { const e = document.getElementById(location.hash.slice(1)); if (e) T.go(e); }
  }

  async function start() {
    try {
      await T.replay(document.getElementById('events').textContent);
      await document.fonts.load('12px "Inter Page"');
    } catch (e) {
      document.body.append(el('p', { class: 'warning' }, 'The data of this page could not be read (' + e.message + ').'));
      return;
    }
    draw();
    document.documentElement.dataset.ready = '';
  }

  start();
})(window.Taillight);
