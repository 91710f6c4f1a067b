'use strict';
// What the rules said and left unsaid; where and with what the run was made;
// the files behind the page.
(function (T) {
  const el = T.el;

  T.rules = function (section) {
    const d = T.state.end.document;
    section.append(el('p', { class: 'lead' }, T.plural(new Set(d.findings.map((f) => f.id)).size, 'rule') + ' spoke, ' + T.count(d.silent.length) + ' stayed silent. A rule speaks only when its inputs carry the claim.'));
    const rows = d.findings.map((f, i) => [f.id, el('span', { class: 'mark on' }, 'spoke'), f.title, el('a', { href: '#finding-' + i }, 'see the finding')])
      .concat(d.silent.map((s) => [s.id, el('span', { class: 'mark off' }, 'silent'), s.title, T.prose(s.why)]))
      .sort((a, b) => Number(a[0].slice(1)) - Number(b[0].slice(1)));
    if (rows.length) section.append(entire(T.fold('All ' + T.plural(rows.length, 'line') + ': what each rule is about, and why ' + T.count(d.silent.length) + ' said nothing', T.wide('Rules', T.table(['Rule', 'Did', 'About', 'Why'], rows, { class: 'rules' })))));
  };

  /** A part that is all of its section: a link to the section opens it. */
  function entire(fold) {
    fold.classList.add('entire');
    return fold;
  }

  T.environment = function (section) {
    const c = T.state.config, e = c.environment, ended = T.state.end ? T.wall(T.state.end.document.ended) : 'not yet';
    const command = T.shell(e.command || []);
    if (command) section.append(el('h3', null, 'Command'), T.code(command));
    const machine = [['Taillight', [e.version, e.go_version].filter(Boolean).join(', ')], ['System', [e.os, e.arch, e.kernel].filter(Boolean).join(', ')], ['CPU', [e.cpu, T.plural(e.cores, 'core')].filter(Boolean).join(', ')], ['Memory', e.memory ? T.bytes(e.memory) : '–'],
      ['Target', (e.target || '–') + (e.bundled ? ', the bundled one, started by the run' : '')], ['Began', T.wall(c.started)], ['Ended', ended]];
    const summary = ['Machine and plan: ' + [e.cpu, T.plural(e.cores, 'core')].filter(Boolean).join(', '), T.plural(c.phases.length, 'phase'), T.plural(c.steps.length, 'step')].join('; ');
    section.append(entire(T.fold(summary,
      el('div', { class: 'two' }, el('div', null, el('h3', null, 'Machine'), T.pairs(machine)), el('div', null, el('h3', null, 'Plan'), T.pairs(c.settings.map((s) => [s.name, s.value])))),
      T.wide('Phases of the plan', T.table(['Phase', 'Load', 'Length'], c.phases.map((p) => [p.name, p.load, T.duration(p.end - p.start)]), { numbers: 2 })),
      c.steps.length > 0 && T.wide('Steps of the plan', T.table(['Step', 'Journey', 'Request'], c.steps.map((s) => [s.name, s.journey, el('code', null, s.method + ' ' + s.path)]))))));
  };

  /** A line of code with a button that copies it. */
  T.code = function (text) {
    const b = el('button', { type: 'button', class: 'copy' }, 'Copy');
    b.addEventListener('click', async () => {
      try { await navigator.clipboard.writeText(text); b.textContent = 'Copied'; } catch (err) { b.textContent = 'Select and copy'; }
      setTimeout(() => { b.textContent = 'Copy'; }, 2000);
    });
    return el('div', { class: 'code' }, el('pre', { tabindex: '0' }, text), b);
  };

  const about = {
    'run.json': 'the whole result: jq, any JSON reader', 'seconds.jsonl': 'counts of every second, phase and step: jq, DuckDB', 'latency.hlog': 'histograms of every second: HdrHistogram’s log tools',
    'exchanges.jsonl': 'every kept exchange: jq, DuckDB', 'traces.jsonl': 'spans of the target: OTLP JSON lines', 'metrics.jsonl': 'metrics of the target: OTLP JSON lines', 'profiles/': 'profiles of the target: go tool pprof', 'flight/': 'execution traces: go tool trace',
  };

  T.files = function (section) {
    const list = T.state.end.files;
    if (!list.length) {
      section.append(T.empty('The files of the run were not beside this page when it was written.'));
      return;
    }
    section.append(el('p', { class: 'lead' }, 'Everything on this page comes from these files. The links work while the page lies in the run’s directory.'));
    section.append(entire(T.fold(T.plural(list.length, 'entry', 'entries') + ', ' + T.bytes(list.reduce((n, f) => n + f.bytes, 0)) + ' in all', T.wide('Files', T.table(['File', 'Size', 'Holds'], list.map((f) => [el('a', { href: f.name }, f.name), T.bytes(f.bytes) + (f.count ? ' in ' + T.plural(f.count, 'file') : ''), about[f.name] || '']))))));
    if (T.state.end.cut.length) section.append(el('p', { class: 'note' }, 'Left out of this page to bound its size: ' + T.list(T.state.end.cut) + '.'));
  };
})(window.Taillight);
