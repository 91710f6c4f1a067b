'use strict';
// A run while it goes on: its figures, its load to change, its end.
(function (T) {
  const el = T.el;
  const SHOWN = 120; // seconds that a sparkline holds

  /**
   * Shows a run until it has ended.
   * @param {string} id
   * @param {(end: ?Ended) => void} ended  called once with the end event, or null when the server knows no such run
   */
  T.running = function (id, ended) {
    const r = {
      id, ended, over: false, stopped: false, asked: '', told: null, source: null, figures: {},
      title: el('h1', { tabindex: '-1' }, id), when: el('p', { class: 'when' }), stage: el('span', { class: 'stage' }),
      bar: el('progress', { max: '1', value: '0', 'aria-label': 'How much of the run time has passed' }),
      list: el('dl', { class: 'figures-row live' }), changes: el('p', { class: 'note' }),
      error: el('div', { class: 'problem', role: 'alert', hidden: true }),
    };
    forget(r);
    figures(r);
    controls(r);
    r.node = el('div', { class: 'hero running' },
      el('p', { class: 'word' }, el('span', { class: 'mark on' }, 'Running'), ' ', r.stage), r.title, r.when, r.bar, r.list, r.form, r.changes, r.error);
    r.source = T.follow(id, {
      begin: () => forget(r),
      back: () => T.problem(r.error, ''),
      lost: (gone, full) => lost(r, gone, full),
      event: (kind, data) => event(r, kind, data),
    });
    return { node: r.node, id, focus: () => r.title.focus(), close: () => r.source.close() };
  };

  function forget(r) {
    r.seconds = [];
    r.told = [];
    r.plan = null;
  }

  function lost(r, gone, full) {
    if (r.over) return;
    if (gone) { r.over = true; r.ended(null); return; } // the server knows no such run
    T.problem(r.error, full ? 'as many pages follow runs as may: close one of them; this one tries again' : 'taillight serve does not answer: the page tries again, and the run goes on without it');
  }

  function event(r, kind, data) {
    if (kind === 'start') start(r, data);
    else if (kind === 'stage') T.fill(r.stage, sentence(String(data)));
    else if (kind === 'change') { r.told.push(data); changed(r); }
    else if (kind === 'progress') progress(r, data);
    else if (kind === 'end' && !r.over) { r.over = true; r.ended(data); }
  }

  const sentence = (s) => (s ? s[0].toUpperCase() + s.slice(1) + (/[.…]$/.test(s) ? '' : '…') : '');

  function start(r, s) {
    r.plan = s.Plan;
    T.fill(r.title, s.Plan.name || 'run');
    T.fill(r.when, [s.Bundled ? 'the bundled target at ' + s.Target : s.Target, T.plural(s.Plan.phases.length, 'phase'), s.Faults ? 'planted: ' + s.Faults : '', r.id].filter(Boolean).join(' · '));
    T.fill(r.stage);
    load(r, s.Plan.phases[0]);
  }

  /**
   * Key, label, css of the sparkline, value of a second beside the one before.
   * @type {[string, string, ?string, ((p: any, before?: any) => number)?][]}
   */
  const cells = [
    ['elapsed', 'elapsed', null],
    ['users', 'users', 's-users', (p) => p.Users],
    ['rate', 'answered OK', 's-ok', (p) => p.Rate],
    ['failed', 'failed', 's-failed', (p, before) => p.Counts.failed - (before ? before.Counts.failed : 0)],
    ['p50', 'p50', 's-p50', (p) => p.P50 / 1e9],
    ['p95', 'p95', 's-p95', (p) => p.P95 / 1e9],
    ['p99', 'p99', 's-p99', (p) => p.P99 / 1e9],
  ];

  function figures(r) {
    for (const [key, label] of cells) {
      const value = el('dd', null, '–'), more = el('dd', { class: 'more' }), spark = el('dd', { class: 'trace', 'aria-hidden': 'true' });
      const box = el('div', { 'data-figure': key }, el('dt', null, label), value, more, spark);
      r.figures[key] = { value, more, spark, box };
      r.list.append(box);
    }
  }

  function progress(r, p) {
    r.seconds.push(p);
    if (r.seconds.length > 4 * SHOWN) r.seconds.splice(0, 2 * SHOWN);
    const c = p.Counts, share = c.sent ? c.failed / c.sent : 0, window = p.Window / 1e9;
    const back = r.seconds[r.seconds.length - 1 - Math.round(window)];
    const n = c.completed - (back ? back.Counts.completed : 0);
    const put = (key, value, more) => { T.fill(r.figures[key].value, value); T.fill(r.figures[key].more, more); };
    put('elapsed', T.offset(Math.round(p.Elapsed / 1e9)), 'of ' + T.offset(p.Total / 1e9) + (p.Phase ? ', phase ' + p.Phase : ''));
    put('users', T.number(p.Users), T.number(p.InFlight) + ' in flight');
    put('rate', T.rate(p.Rate), T.count(c.completed) + ' so far');
    put('failed', T.number(c.failed), c.sent ? T.percent(share) + ' of ' + T.count(c.sent) + ' sent' : 'none sent');
    r.figures.failed.box.classList.toggle('grave', c.failed > 0);
    for (const q of ['P50', 'P95', 'P99']) put(q.toLowerCase(), p[q] ? T.duration(p[q] / 1e9) : '–', 'last ' + T.offset(window) + ', n = ' + T.count(n));
    for (const [key, , css, of] of cells) {
      if (!of) continue;
      const from = Math.max(0, r.seconds.length - SHOWN);
      const values = r.seconds.slice(from).map((s, i) => of(s, r.seconds[from + i - 1]));
      T.fill(r.figures[key].spark, T.spark(values, css, Math.max(values.length, SHOWN / 4)));
    }
    r.bar.value = p.Total > 0 ? Math.min(1, p.Elapsed / p.Total) : 0;
    if (p.Phase && r.plan) load(r, r.plan.phases.find((x) => x.name === p.Phase));
    r.change.disabled = r.stopped || !p.Phase;
    if (!r.stopped) T.fill(r.stage, p.Phase ? '' : 'Waits for the last answers and for telemetry…');
  }

  function controls(r) {
    const number = (id, min) => el('input', { id, type: 'number', min, step: id === 'new-users' ? '1' : 'any', inputmode: 'decimal', autocomplete: 'off' });
    r.users = number('new-users', '0');
    r.spawn = number('new-spawn', '0');
    r.rate = number('new-rate', '0');
    r.change = el('button', { type: 'submit', disabled: true }, 'Change the load');
    r.stop = el('button', { type: 'button', class: 'stop', onclick: () => stop(r) }, 'Stop');
    r.places = {
      users: T.field('Number of users', r.users), spawn: T.field('Spawn rate', r.spawn, { unit: '(users/s)', hint: 'empty: at once' }),
      rate: T.field('Rate', r.rate, { unit: '(arrivals/s)' }),
    };
    r.places.rate.hidden = true;
    r.form = el('form', { class: 'start change', 'aria-label': 'Change the load of this run', novalidate: true, onsubmit: (e) => { e.preventDefault(); change(r); } },
      r.places.users, r.places.spawn, r.places.rate, el('div', { class: 'go' }, r.change, r.stop, el('a', { href: T.file(r.id, 'live'), class: 'watch' }, 'Watch live')));
  }

  /** Shows the fields of a phase's model, filled with its load once. */
  function load(r, phase) {
    if (!phase || r.asked === phase.name) return;
    r.asked = phase.name;
    const open = Boolean(phase.rate), ramp = phase.rate || phase.users;
    r.places.users.hidden = r.places.spawn.hidden = open;
    r.places.rate.hidden = !open;
    const field = open ? r.rate : r.users;
    if (!ramp || document.activeElement === field) return;
    const last = r.told.filter((c) => (open ? c.rate !== undefined : c.users !== undefined)).pop();
    field.value = String(last ? (open ? last.rate : last.users) : Math.max(ramp.from, ramp.to));
  }

  function changed(r) {
    const what = (c) => (c.rate !== undefined ? T.rate(c.rate) : T.plural(c.users, 'user') + (c.spawn_rate ? ' at ' + c.spawn_rate + ' a second' : ' at once')) + ' from ' + T.offset(c.at_s);
    T.fill(r.changes, r.told.length > 0 && 'Changed by hand: ' + r.told.map(what).join('; ') + '.');
  }

  async function change(r) {
    const open = !r.places.rate.hidden, field = open ? r.rate : r.users;
    T.problem(r.error, '');
    try {
      for (const [f, label] of open ? [[r.rate, 'Rate']] : [[r.users, 'Number of users'], [r.spawn, 'Spawn rate']]) {
        if (!f.checkValidity() || (f === field && f.value === '')) { f.focus(); throw new Error(label + ': ' + (f.validationMessage || 'give a number')); }
      }
      const body = open ? { rate: Number(r.rate.value) } : { users: Number(r.users.value) };
      if (!open && r.spawn.value !== '') body.spawn_rate = Number(r.spawn.value);
      const c = await T.api('POST', T.path(r.id) + '/load', body);
      T.say('The load changes to ' + (open ? c.rate + ' arrivals a second' : c.users + ' users'));
    } catch (e) {
      T.problem(r.error, e.message);
    }
  }

  async function stop(r) {
    T.problem(r.error, '');
    try {
      await T.api('POST', T.path(r.id) + '/stop', {});
      T.fill(r.stage, r.stopped ? 'Ends without waiting…' : 'Stopping: no new requests; waits for answers and telemetry…');
      T.say(r.stage.textContent);
      r.stopped = true;
      T.fill(r.stop, 'Stop now');
      r.change.disabled = true;
    } catch (e) {
      T.problem(r.error, e.message);
    }
  }

  /** What became of a run that has just ended. */
  T.ended = function (run, end, close) {
    const name = (run && run.name) || '';
    return el('div', { class: 'hero ended ' + ((run && run.verdict) || '') },
      el('p', { class: 'word' }, run ? T.verdict(run.verdict) : el('span', { class: 'mark no' }, 'Broken')),
      el('h1', { tabindex: '-1' }, run ? T.verdictSentence(run) : 'The run could not be carried out'),
      el('p', { class: 'when' }, [name, run && T.wall(run.started), run && run.id, end ? 'exit ' + end.exit : ''].filter(Boolean).join(' · ')),
      end && end.error && el('p', { class: 'warning' }, end.error),
      el('p', { class: 'go' }, run && run.report && el('a', { class: 'primary', href: T.file(run.id, 'report.html') }, 'Open the report'), el('button', { type: 'button', onclick: close }, 'Start another test')));
  };
})(window.Taillight);
