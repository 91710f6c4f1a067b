'use strict';
// Past runs: found, sorted, opened, downloaded, and picked for comparison.
(function (T) {
  const el = T.el;
  const STEP = 50; // rows that are drawn at first, and with every click for more

  const load = (r) => (r.users ? T.plural(r.users, 'user') : r.rate ? T.rate(r.rate) : '–');
  const percentile = (key) => ({ key, sort: (r) => r[key], cell: (r) => (r[key] ? T.duration(r[key]) : '–'), number: true });

  // Columns: what sorts them and what stands in a cell.
  const columns = [
    { key: 'started', label: 'Started (UTC)', sort: (r) => r.started, cell: (r) => T.wall(r.started).replace(' UTC', ''), down: true },
    { key: 'name', label: 'Name', sort: (r) => r.name.toLowerCase(), cell: name },
    { key: 'verdict', label: 'Verdict', sort: (r) => r.verdict, cell: (r) => (r.running ? el('span', { class: 'mark on' }, 'Running') : T.verdict(r.verdict)) },
    { key: 'load', label: 'Load', sort: (r) => r.users || r.rate, cell: load, number: true, down: true },
    { key: 'planned', label: 'Requests', sort: (r) => r.planned, cell: (r) => (r.running ? '–' : [T.number(r.planned), el('small', null, T.rate(r.rate_per_s))]), number: true, down: true },
    { key: 'failed', label: 'Failed', sort: lost, cell: failed, number: true, down: true },
    Object.assign(percentile('p50_s'), { label: 'p50', down: true }),
    Object.assign(percentile('p95_s'), { label: 'p95', down: true }),
    { key: 'p99_s', label: 'p99', sort: (r) => r.p99_s, cell: (r) => [r.p99_s ? T.duration(r.p99_s) : '–', r.n > 0 && el('small', null, 'n = ' + T.count(r.n))], number: true, down: true },
    { key: 'tier', label: 'Tier', sort: (r) => r.tier, cell: (r) => r.tier || '–', title: 'what the run saw of the target: T0 nothing, T1 its spans or Server-Timing, T2 profiles, T3 scheduler timelines', down: true },
  ];

  function lost(r) { return (r.failed || 0) + (r.unsent || 0); }

  function failed(r) {
    if (!lost(r)) return r.running ? '–' : T.number(r.failed);
    return [el('span', { class: 'bad' }, T.number(r.failed)), el('small', null, r.unsent ? T.count(r.unsent) + ' unsent' : T.percent(r.failed / r.planned))];
  }

  function name(r) {
    const text = r.name || r.id;
    const reason = T.verdictSentence(r);
    return [r.report ? el('a', { href: T.file(r.id, 'report.html') }, text) : r.running ? el('a', { href: T.file(r.id, 'live') }, text) : text,
      el('small', { class: 'reason', title: r.id + (r.target ? ', ' + r.target : '') }, r.running ? 'goes on' : reason)];
  }

  /** The reason of a verdict, without the word that stands beside it. */
  T.verdictSentence = function (r) {
    const reason = (r.reason || '').replace(/^(pass|fail|invalid|aborted): */i, '');
    return reason ? reason[0].toUpperCase() + reason.slice(1) : 'No reason was written: the run did not live to judge itself';
  };

  /** @param {() => void} picked  called when the reader picks runs to compare */
  T.runs = function (picked) {
    const v = {
      all: null, shown: STEP, open: new Set(), picked, byHand: false,
      search: el('input', { type: 'search', id: 'find', placeholder: 'part of a name, id or host', autocomplete: 'off', spellcheck: 'false' }),
      verdict: el('select', { id: 'of-verdict' }, el('option', { value: '' }, 'every verdict'), T.verdictWords.map(([id, word]) => el('option', { value: id }, word))),
      count: el('p', { class: 'info', role: 'status' }), holder: el('div'),
    };
    v.search.value = T.kept.name;
    v.verdict.value = T.kept.verdict;
    const filter = () => { T.kept.name = v.search.value; T.kept.verdict = v.verdict.value; v.shown = STEP; T.keep(); draw(v); };
    v.search.addEventListener('input', filter);
    v.verdict.addEventListener('change', filter);
    v.tools = el('div', { class: 'pick' }, el('label', { for: 'find' }, 'Name'), v.search, el('label', { for: 'of-verdict' }, 'Verdict'), v.verdict, v.count);
    return { node: el('div', { class: 'runs' }, v.tools, v.holder), show: (runs) => { v.all = runs; draw(v); }, redraw: () => draw(v), find: (id) => (v.all || []).find((r) => r.id === id) };
  };

  function matching(v) {
    const wanted = T.kept.name.trim().toLowerCase();
    const rows = v.all.filter((r) => (!T.kept.verdict || r.verdict === T.kept.verdict) && (!wanted || [r.name, r.id, r.target].some((t) => t && t.toLowerCase().includes(wanted))));
    const { by, down } = T.kept.sort, c = columns.find((x) => x.key === by) || columns[0], sign = down ? -1 : 1;
    const value = (r) => { const x = c.sort(r); return x === undefined || x === null ? '' : x; };
    return rows.sort((a, b) => { const x = value(a), y = value(b); return (x === '' ? 1 : y === '' ? -1 : x < y ? -sign : x > y ? sign : 0) || (a.started < b.started ? 1 : -1); });
  }

  function draw(v) {
    v.tools.hidden = v.all.length === 0;
    if (v.all.length === 0) {
      T.fill(v.holder, T.empty('There is no run yet. Two ways to start the first:',
        el('ol', { class: 'ways' },
          el('li', null, 'Here: press ', el('b', null, 'Start'), ' above. The test ', el('code', null, 'smoke'), ' takes 5 seconds.'),
          el('li', null, 'In a terminal: ', el('code', null, 'taillight run smoke'), '. A run in the same directory appears here when it ends; with ', el('code', null, '--serve ' + location.origin), ' this page shows it while it goes on.'))));
      return;
    }
    const rows = matching(v);
    T.fill(v.count, rows.length === v.all.length ? T.plural(v.all.length, 'run') : T.count(rows.length) + ' of ' + T.plural(v.all.length, 'run'));
    if (rows.length === 0) {
      T.fill(v.holder, T.empty('No run has this name and verdict.', el('p', null, el('button', { type: 'button', onclick: () => { v.search.value = v.verdict.value = ''; v.search.dispatchEvent(new Event('input')); v.search.focus(); } }, 'Show all runs'))));
      return;
    }
    const focus = remember(v.holder);
    T.fill(v.holder, el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Past runs' }, table(v, rows.slice(0, v.shown))),
      rows.length > v.shown && el('button', { type: 'button', class: 'more-rows', onclick: () => { v.shown += STEP; draw(v); } }, T.count(Math.min(STEP, rows.length - v.shown)) + ' more'));
    focus();
  }

  /** A table that is drawn again leaves the focus where it was. */
  function remember(holder) {
    const at = document.activeElement, key = at && holder.contains(at) ? at.getAttribute('data-key') : null;
    return () => {
      const again = key && [...holder.querySelectorAll('[data-key]')].find((e) => e.getAttribute('data-key') === key);
      if (again) again.focus();
    };
  }

  // Roles are said aloud because narrow windows lay rows out as cards, which
  // takes them from the elements.
  function table(v, rows) {
    return el('table', { class: 'past', role: 'table' }, el('caption', { class: 'voice' }, 'Past runs. A button in a head sorts by its column.'),
      el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, el('th', { scope: 'col', role: 'columnheader' }, el('span', { class: 'voice' }, 'Compare')), columns.map((c) => head(v, c)),
        el('th', { scope: 'col', role: 'columnheader' }, el('span', { class: 'voice' }, 'Files')))),
      el('tbody', { role: 'rowgroup' }, rows.map((r) => [row(v, r), v.open.has(r.id) && details(v, r)])));
  }

  function head(v, c) {
    const on = T.kept.sort.by === c.key;
    const sort = () => {
      T.kept.sort = { by: c.key, down: on ? !T.kept.sort.down : Boolean(c.down) };
      T.keep();
      draw(v);
    };
    return el('th', { scope: 'col', role: 'columnheader', class: c.number ? 'n' : false, title: c.title, 'aria-sort': on ? (T.kept.sort.down ? 'descending' : 'ascending') : false },
      el('button', { type: 'button', class: 'sort', onclick: sort, 'data-key': 'sort ' + c.key }, c.label, el('i', { 'aria-hidden': 'true' })));
  }

  function row(v, r) {
    const text = r.name || r.id;
    const box = el('input', { type: 'checkbox', 'data-key': 'pick ' + r.id, 'aria-label': 'Compare ' + text + ' of ' + T.wall(r.started), onchange: () => pick(v, r, box.checked) });
    box.checked = T.kept.picked.includes(r.id);
    box.disabled = r.running || (!box.checked && T.kept.picked.length >= 2);
    const open = v.open.has(r.id);
    const files = el('button', { type: 'button', class: 'open', 'aria-expanded': String(open), 'data-key': 'files ' + r.id, 'aria-label': 'Files of ' + text + ' of ' + T.wall(r.started), onclick: () => { if (open) v.open.delete(r.id); else v.open.add(r.id); draw(v); } }, el('i', { 'aria-hidden': 'true' }), 'Files');
    return el('tr', { role: 'row', 'data-run': r.id, class: box.checked ? 'picked' : false }, el('td', { role: 'cell', class: 'tick' }, box), columns.map((c) => (c.key === 'name'
      ? el('th', { scope: 'row', role: 'rowheader', class: 'name' }, c.cell(r))
      : el('td', { role: 'cell', class: c.number ? 'n' : false, 'data-label': c.label.replace(' (UTC)', '') }, c.cell(r)))), el('td', { role: 'cell' }, files));
  }

  function pick(v, r, on) {
    T.kept.picked = T.kept.picked.filter((id) => id !== r.id);
    if (on) T.kept.picked.push(r.id);
    T.keep();
    draw(v);
    v.picked();
  }

  // What the files of a run are, for those that most people open.
  const kinds = {
    'report.html': 'the report, one file', 'run.json': 'the result', 'exchanges.jsonl': 'single requests', 'seconds.jsonl': 'counts per second', 'latency.hlog': 'histograms, HdrHistogram log',
    'traces.jsonl': 'spans, OTLP', 'metrics.jsonl': 'metrics, OTLP',
  };

  function details(v, r) {
    const list = el('div', { class: 'files' }, 'Asking…');
    T.api('GET', T.path(r.id) + '/files').then((d) => {
      T.fill(list, el('p', null, el('a', { class: 'zip', href: T.path(r.id) + '/archive.zip', download: r.id + '.zip' }, 'All as one zip'), ' ', el('small', null, T.plural(d.files.length, 'file') + ', ' + T.bytes(d.bytes))),
        el('ul', null, d.files.map((f) => el('li', null, el('a', { href: T.file(r.id, f.name), download: f.name.split('/').pop() }, f.name), ' ', el('small', null, [T.bytes(f.size), kinds[f.name]].filter(Boolean).join(', '))))));
    }, (e) => T.fill(list, el('p', { class: 'mark no' }, e.message)));
    return el('tr', { role: 'row', class: 'detail' }, el('td', { role: 'cell', colspan: String(columns.length + 2) }, list));
  }
})(window.Taillight);
