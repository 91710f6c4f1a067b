'use strict';
// The form that starts a test, in Locust's words.
(function (T) {
  const el = T.el;
  const OWN = 'own plan'; // no built-in test has a space in its name

  const input = (id, attributes) => el('input', Object.assign({ id, name: id, type: 'text', autocomplete: 'off', spellcheck: 'false' }, attributes));

  /**
   * @param {(id: string) => void} started  called with the id of a run
   */
  T.form = function (started) {
    const f = {
      test: el('select', { id: 'test', name: 'test' }),
      users: input('users', { type: 'number', min: '1', step: '1', inputmode: 'numeric' }),
      spawn: input('spawn_rate', { type: 'number', min: '0', step: 'any', inputmode: 'decimal' }),
      rate: input('rate', { type: 'number', min: '0', step: 'any', inputmode: 'decimal' }),
      time: input('run_time'),
      host: el('select', { id: 'host', name: 'host' }),
      yaml: el('textarea', { id: 'yaml', name: 'yaml', rows: '12', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off' }),
      token: input('token', { type: 'password' }),
      error: el('div', { class: 'problem', role: 'alert', hidden: true }),
      start: el('button', { type: 'submit', class: 'primary' }, 'Start'),
      started, state: null,
    };
    f.places = {
      users: T.field('Number of users', f.users), spawn: T.field('Spawn rate', f.spawn, { unit: '(users/s)' }), rate: T.field('Rate', f.rate, { unit: '(arrivals/s)' }),
      yaml: T.field('Plan', f.yaml, { unit: '(YAML)', class: 'whole' }), token: T.field('Token', f.token, { class: 'whole' }),
    };
    f.node = el('form', { class: 'start', 'aria-label': 'Start a test', novalidate: true, onsubmit: (e) => { e.preventDefault(); submit(f); } },
      T.field('Test', f.test, { class: 'wider' }), f.places.users, f.places.spawn, f.places.rate,
      T.field('Run time', f.time, { unit: '(with ramp)' }), T.field('Host', f.host, { class: 'wider' }), f.places.yaml, f.places.token,
      el('div', { class: 'whole go' }, f.start, f.error));
    f.test.addEventListener('change', () => { defaults(f); draft(f); });
    f.node.addEventListener('input', () => draft(f));
    return { node: f.node, show: (state) => show(f, state) };
  };

  const chosen = (f) => f.state.tests.find((t) => t.name === f.test.value) || null;

  /** Fills the form by what the server offers; what was typed stays. */
  function show(f, state) {
    const first = f.state === null;
    f.state = state;
    options(f);
    if (first) restore(f);
    f.places.token.hidden = state.may_start;
    f.start.disabled = false;
    if (!state.may_start) {
      T.hint(f.token, T.kept.token ? 'This token does not open it. ' : 'Reading takes none; to start, change or stop a test from here give the one in ', !T.kept.token && el('code', null, 'TAILLIGHT_SERVE_TOKEN'), !T.kept.token && ' of this taillight serve. ', 'On its own machine, http://127.0.0.1 needs no token.');
    }
    words(f);
  }

  function options(f) {
    const { tests, host, hosts } = f.state, test = f.test.value, at = f.host.value;
    const offered = JSON.stringify([tests, host, hosts]);
    if (f.offered === offered) return; // a list that is open stays as it is
    f.offered = offered;
    T.fill(f.test, tests.map((t) => el('option', { value: t.name }, t.name)), el('option', { value: OWN }, 'your own plan (YAML)'));
    f.test.value = test || (tests.some((t) => t.name === 'load') ? 'load' : tests.length > 0 ? tests[0].name : OWN);
    T.fill(f.host, el('option', { value: '' }, host || 'the bundled target'), hosts.filter((h) => h !== host).map((h) => el('option', { value: h }, h)));
    f.host.value = hosts.includes(at) && at !== host ? at : '';
    const flags = [el('code', null, '-H URL'), ' or ', el('code', null, '--allow-target URL')];
    T.hint(f.host, hosts.length > 1 || (hosts.length && !host) ? 'the hosts that this serve was started for, by ' : host ? 'the one host that this serve was started for, by ' : 'started for the run; serve loads other hosts only when started with ', flags);
  }

  /** Puts the load of the chosen test into the fields. */
  function defaults(f) {
    const t = chosen(f);
    const text = (v) => (t && v ? String(v) : '');
    f.users.value = text(t && t.users);
    f.spawn.value = t && t.users ? String(t.spawn_rate) : '';
    f.rate.value = text(t && t.rate);
    f.time.value = t ? seconds(t.run_time_s) : '';
    T.problem(f.error, '');
    words(f);
  }

  /** Which fields there are, and what stands under them. */
  function words(f) {
    const t = chosen(f), limits = f.state.limits, model = t ? t.model : 'mixed';
    const most = (n) => (n ? 'at most ' + T.count(n) : '');
    for (const n of ['users', 'spawn', 'rate', 'time']) f[n].placeholder = t ? '' : 'as planned';
    f.places.users.hidden = f.places.spawn.hidden = model === 'rate';
    f.places.rate.hidden = model === 'users';
    f.places.yaml.hidden = t !== null;
    T.hint(f.test, t ? summary(t) : 'a plan as taillight run takes it from a file');
    T.hint(f.users, most(limits.users) || 'the most at once');
    T.hint(f.spawn, '0: all at once');
    T.hint(f.rate, most(limits.rate) || 'the largest');
    T.hint(f.time, ['90s, 20m, 1h30m', limits.run_time_s && 'at most ' + seconds(limits.run_time_s)].filter(Boolean).join('; '));
    T.hint(f.yaml, 'steps, phases and thresholds, as in a file for ', el('code', null, 'taillight run'));
  }

  function summary(t) {
    const rules = t.thresholds || [];
    return [t.summary.replace(/^[^:]*: /, ''), rules.length ? '; fails unless ' + T.list(rules) : ''].join('');
  }

  /** A run time as it is typed. */
  function seconds(s) {
    if (s >= 3600 && s % 3600 === 0) return s / 3600 + 'h';
    if (s > 120 && s % 60 === 0) return s / 60 + 'm';
    return s + 's';
  }

  const names = ['test', 'users', 'spawn', 'rate', 'time', 'host', 'yaml'];

  function draft(f) {
    T.kept.draft = Object.fromEntries(names.map((n) => [n, f[n].value]));
    T.keep();
  }

  function restore(f) {
    const d = T.kept.draft;
    if (d.test && [...f.test.options].some((o) => o.value === d.test)) f.test.value = d.test;
    defaults(f);
    for (const n of names) if (n !== 'test' && typeof d[n] === 'string') f[n].value = d[n];
    if (f.host.value === '' && f.host.selectedIndex < 0) f.host.selectedIndex = 0;
  }

  /** What the fields say; only what differs from the chosen test. */
  function order(f) {
    const t = chosen(f), out = t ? { test: t.name } : { yaml: f.yaml.value };
    const figure = (field, place, label, own) => {
      if (place.hidden) return undefined;
      if (field.validity.badInput || (field.value !== '' && !field.checkValidity())) throw wrong(field, label + ': ' + field.validationMessage);
      if (field.value === '') { if (t && own) throw wrong(field, label + ': give a number'); return undefined; }
      return t && Number(field.value) === own ? undefined : Number(field.value);
    };
    out.users = figure(f.users, f.places.users, 'Number of users', t && t.users);
    out.spawn_rate = figure(f.spawn, f.places.spawn, 'Spawn rate', t && t.spawn_rate);
    out.rate = figure(f.rate, f.places.rate, 'Rate', t && t.rate);
    if (f.time.value.trim() !== '' && !(t && f.time.value.trim() === seconds(t.run_time_s))) out.run_time = f.time.value.trim();
    if (f.host.value) out.host = f.host.value;
    if (!t && f.yaml.value.trim() === '') throw wrong(f.yaml, 'Plan: paste one, or choose a built-in test');
    // Locust's users and spawn rate are one thing: who changes one says both.
    if (t && (out.spawn_rate !== undefined || out.run_time !== undefined) && out.users === undefined && t.users) out.users = t.users;
    if (t && out.users !== undefined && out.spawn_rate === undefined) out.spawn_rate = Number(f.spawn.value);
    return out;
  }

  const wrong = (field, message) => Object.assign(new Error(message), { field });

  async function submit(f) {
    if (f.start.disabled || !f.state) return;
    T.problem(f.error, '');
    names.forEach((n) => f[n].removeAttribute('aria-invalid'));
    f.start.disabled = true;
    try {
      if (!f.places.token.hidden) { T.kept.token = f.token.value; T.keep(); }
      const { id } = await T.api('POST', '/api/runs', order(f));
      f.started(id);
    } catch (e) {
      if (e.status === 409 && e.id) f.started(e.id);
      const field = e.field || (/^plan\.yaml:\d/.test(e.message) ? f.yaml : null);
      if (field) { field.setAttribute('aria-invalid', 'true'); field.focus(); }
      if (field === f.yaml) mark(f.yaml, e.message);
      T.problem(f.error, e.message);
    } finally {
      f.start.disabled = false;
    }
  }

  /** Puts the cursor where a plan is wrong. */
  function mark(area, message) {
    const at = /^plan\.yaml:(\d+):(\d+)/.exec(message);
    if (!at) return;
    const lines = area.value.split('\n'), line = Math.min(Number(at[1]), lines.length);
    const start = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0);
    area.setSelectionRange(start, start + (lines[line - 1] || '').length);
    area.scrollTop = (line - 3) * parseFloat(getComputedStyle(area).lineHeight);
  }
})(window.Taillight);
