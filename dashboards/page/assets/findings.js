'use strict';
// What the rules found, by what it is about: first the three subjects that
// matter most, each with its evidence one click away.
(function (T) {
  const el = T.el;
  const CARDS = 3;

  // What findings are about, in the order of equals. Thresholds come last of
  // their severity: the verdict above and the table below tell of them too.
  const topics = [
    ['Why requests were slow', ['F25', 'F8', 'F7', 'F12', 'F9', 'F10', 'F6', 'F22']],
    ['Whether the figures can be trusted', ['F1', 'F5', 'F21']],
    ['Where the limit is', ['F3', 'F11', 'F4', 'F16', 'F18', 'F19', 'F15']],
    ['Where the CPU goes', ['F13', 'F14']],
    ['Errors and connections', ['F17', 'F24', 'F23']],
    ['What was asked of it', ['F2']],
  ];
  const gravity = { grave: 0, notice: 1, info: 2 };

  T.findings = function (d) {
    const box = el('div', { class: 'findings' }, el('h2', { id: 'findings' }, 'Findings'));
    if (!d.findings.length) {
      box.append(T.empty('No rule spoke. Why each stayed silent stands under ', el('a', { href: '#rules' }, 'Rules'), '.'));
      return box;
    }
    const groups = grouped(d.findings), rest = groups.slice(CARDS);
    box.append(el('ol', { class: 'cards' }, groups.slice(0, CARDS).map(card)));
    if (rest.length) box.append(el('details', { class: 'more' }, el('summary', null, T.plural(rest.reduce((n, g) => n + g.list.length, 0), 'more finding'), ': ', T.list(rest.map((g) => g.topic[0].toLowerCase() + g.topic.slice(1)))), el('ol', { class: 'cards' }, rest.map(card))));
    return box;
  };

  /** Findings by subject, the subject with the gravest first. */
  function grouped(findings) {
    const groups = topics.map(([topic, ids], order) => {
      const list = findings.map((f, index) => ({ f, index })).filter(({ f }) => ids.includes(f.id));
      list.sort((a, b) => gravity[a.f.severity] - gravity[b.f.severity] || ids.indexOf(a.f.id) - ids.indexOf(b.f.id));
      return { topic, order, list };
    });
    const known = new Set(topics.flatMap((t) => t[1]));
    const others = findings.map((f, index) => ({ f, index })).filter(({ f }) => !known.has(f.id));
    groups.push({ topic: 'Also', order: groups.length, list: others });
    const rank = (g) => gravity[g.list[0].f.severity] + (g.list[0].f.id === 'F2' ? 1.5 : 0);
    return groups.filter((g) => g.list.length).sort((a, b) => rank(a) - rank(b) || a.order - b.order);
  }

  function card({ topic, list }) {
    const [first, ...others] = list, f = first.f;
    return el('li', { class: 'finding ' + f.severity, id: 'finding-' + first.index },
      el('p', { class: 'topic' }, topic),
      el('h3', null, T.prose(f.title)), tag(f), body(f),
      others.length > 0 && el('ul', { class: 'others', 'aria-label': 'More on it' }, others.map(other)));
  }

  function other({ f, index }) {
    return el('li', { id: 'finding-' + index }, el('details', { 'data-finding': index }, el('summary', null, el('b', null, T.prose(f.title))), el('div', { class: 'told' }, tag(f), body(f))));
  }

  const held = {
    certain: 'Certain: arithmetic on complete counts',
    strong: 'Strong: an interval excludes the alternative',
    suggested: 'Suggested: compatible with the data, not proven',
  };

  function tag(f) {
    return el('p', { class: 'tag' }, el('b', null, f.id), el('span', { class: 'sev mark ' + ({ grave: 'no', notice: 'maybe' }[f.severity] || 'off') }, { grave: 'Grave', notice: 'Notice', info: 'Note' }[f.severity] || f.severity),
      el('span', { class: 'conf ' + f.confidence, title: held[f.confidence] }, f.confidence));
  }

  function body(f) {
    return [el('p', { class: 'claim' }, linked(f)), evidence(f),
      (f.warnings || []).length > 0 && el('details', { class: 'warnings' }, el('summary', null, T.plural(f.warnings.length, 'warning')), f.warnings.map((w) => el('p', { class: 'warning' }, T.prose(w)))),
      f.hint && el('p', { class: 'hint' }, el('b', null, 'Hint'), ' ', T.prose(f.hint))];
  }

  /** A finding without its title. */
  T.told = (f) => [tag(f), body(f)];

  /** A claim's text, with the exchanges it names as links. */
  function linked(f) {
    return f.claim.split(/(exchange:\d+)/).map((part) => {
      const link = /^exchange:\d+$/.test(part) ? T.reference(part, null, f) : null;
      return link ? el('a', { href: link.href, onclick: link.go }, link.text) : T.prose(part);
    });
  }

  /** What leads somewhere as links, places before exchanges; the figures behind them to unfold. */
  function evidence(f) {
    const links = [], exchanges = [], figures = [];
    for (const e of f.evidence || []) {
      const link = T.reference(e.ref, e, f);
      if (!link) figures.push(el('div', null, el('dt', null, e.label), el('dd', null, e.text ? T.prose(e.text) : T.quantity(e.value, e.unit))));
      else if (e.ref.startsWith('exchange:') && e.text) exchanges.push(anchor(e, link, e.label));
      else links.push(el('li', null, anchor(e, link, said(e))));
    }
    if (exchanges.length) links.push(el('li', { class: 'many' }, exchanges));
    const list = figures.length > 0 && el('dl', { class: 'evidence' }, figures);
    const open = links.length === 0 && figures.length <= 4;
    return [links.length > 0 && el('ul', { class: 'refs', 'aria-label': 'Evidence' }, links),
      list && (open ? list : el('details', { class: 'behind' }, el('summary', null, T.plural(figures.length, 'figure') + ' behind it'), list))];
  }

  const anchor = (e, link, text) => el('a', { href: link.href, class: 'ref', 'data-ref': e.ref, onclick: link.go }, text, el('span', { class: 'to' }, ' ' + link.text));

  /** What a link says before its place: a line of code, a function without its path, a figure. */
  function said(e) {
    const figure = T.quantity(e.value, e.unit);
    if (e.ref.startsWith('profile:')) {
      const name = T.functionIn(e.label);
      return [name ? e.label.replace(name, () => T.shortName(name)) : e.label, ' ', el('b', null, figure)];
    }
    const more = e.text && e.value && e.ref.startsWith('code:') ? ', ' + figure + ' in all' : '';
    return [e.label, ' ', el('b', null, e.text || figure), more];
  }
})(window.Taillight);
