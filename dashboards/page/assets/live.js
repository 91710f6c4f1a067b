'use strict';
// The run while it goes on: the same sections as the report's, filled as
// seconds come, and each that has nothing yet says why.
(function (T) {
  const el = T.el;

  const planned = () => { const p = T.state.config.phases; return p.length ? p[p.length - 1].end : 0; };
  const newest = () => T.state.seconds[T.state.seconds.length - 1];
  const elapsed = () => { const s = newest(); return s ? s.t + s.d : 0; };
  const sum = (f) => T.state.seconds.reduce((n, s) => n + f(s), 0);

  /** What charts of time show: a short plan whole, of a long one what was and a little ahead. */
  T.spanSoFar = function (now) {
    const whole = planned();
    return [0, Math.max(1, now, whole <= 120 ? whole : Math.min(whole, Math.max(60, Math.ceil(now / 30) * 30)))];
  };

  /**
   * Follows the run to its end.
   * @param {() => Map<string, HTMLElement>} frame  makes the page's empty sections
   * @param {(stay?: boolean) => void} report  draws the finished report in their place
   */
  T.live = function (frame, report) {
    const voice = el('p', { class: 'voice', 'aria-live': 'polite' });
    document.body.append(voice);
    let view = null, queued = false;
    const show = () => {
      queued = false;
      if (T.state.end) return;
      if (!view) view = build(frame, (text) => { voice.textContent = text; });
      view();
      document.documentElement.dataset.ready = '';
    };
    const changed = () => { if (!queued) { queued = true; setTimeout(show, 40); } };
    const said = { lost: 'Connection lost. Trying again.', live: 'The connection stands again.', gone: 'The run is not followed any more.' };
    const connection = (state) => {
      if (T.connection === state || T.state.failed) return;
      if (T.connection && state !== 'connecting') voice.textContent = said[state];
      T.connection = state;
      changed();
    };
    T.connection = 'connecting';
    document.documentElement.dataset.going = '';
    T.follow(document.documentElement.dataset.stream, {
      changed, lost: () => connection('lost'), back: () => connection('live'), gone: () => connection('gone'),
      ended: (err) => {
        if (err) { document.body.append(el('p', { class: 'warning' }, 'The run has ended, and its result could not be read (' + err.message + '). Load the page again.')); return; }
        inPlace(report);
        voice.textContent = 'The run has ended. ' + (T.state.end.document.reason || '');
      },
    });
    show();
  };

  /** Draws the report where the reader is: the same section stays where it is on the screen. */
  function inPlace(report) {
    const main = document.getElementById('main');
    const at = main && [...main.children].find((s) => s.getBoundingClientRect().bottom > 120);
    const top = at && window.scrollY > 0 ? at.getBoundingClientRect().top : null;
    if (main) T.drop(main);
    delete document.documentElement.dataset.going;
    report(true);
    document.title = [T.state.config.name, T.state.end.document.verdict].join(': ') + ', ' + T.state.config.id;
    if (top !== null) window.scrollBy({ top: document.getElementById(at.id).getBoundingClientRect().top - top, behavior: 'instant' });
  }

  /** Makes the sections, and returns what brings them up to date. */
  function build(frame, say) {
    const at = frame();
    const parts = [progress(at.get('verdict')), load(at.get('load')), latency(at.get('latency')), errors(at.get('errors')), validity(at.get('validity')), environment(at.get('environment')), announce(say)];
    for (const [id, why] of Object.entries(later)) at.get(id).append(T.empty(why));
    return () => {
      chip();
      const c = T.state.config;
      document.querySelector('.run strong').textContent = c ? c.name || 'run' : 'run';
      document.querySelector('.run span').textContent = c ? c.id : '';
      for (const update of parts) update();
    };
  }

  /** Why the rest is empty yet. */
  const later = {
    slow: 'Which requests were slow, and what they waited for, is told when the run has ended: it takes all of them, with the spans that still come.',
    exchanges: 'The exchanges worth a look are chosen when the run has ended: the slowest of all are not known before.',
    cpu: 'Where the target’s CPU went is drawn when the run has ended, from the profiles of the whole run.',
    target: 'The target’s own metrics are drawn when the run has ended.',
    rules: 'The rules judge a whole run: they speak when it has ended.',
    files: 'The files of the run are listed when all are written.',
  };

  const states = { connecting: ['wait', 'Connecting'], live: ['on', 'Live'], lost: ['lost', 'Reconnecting'], gone: ['over', 'Not followed'] };

  function chip() {
    const [css, text] = T.state.failed ? ['over', 'No result'] : T.state.after && T.connection === 'live' ? ['on', 'Explaining'] : states[T.connection];
    const e = document.getElementById('state');
    e.className = 'chip live ' + css;
    T.fill(e, el('i', { 'aria-hidden': 'true' }), text);
  }

  // The verdict's place: how far it is, and how it stands.

  function progress(section) {
    const word = el('p', { class: 'word mark on' }), title = el('h1'), when = el('p', { class: 'when' }), trouble = el('p', { class: 'warning', hidden: true });
    const strip = el('div', { class: 'strip', role: 'progressbar', 'aria-label': 'Progress of the plan', 'aria-valuemin': '0', 'aria-valuemax': '100' });
    const row = el('dl', { class: 'figures-row' }), note = el('p', { class: 'note' }), rules = standing();
    const base = document.documentElement.dataset.control, bar = base ? controls(base) : null;
    section.append(el('div', { class: 'hero' }, word, title, strip, when, trouble), bar ? bar.element : '', row, note, rules.element, T.empty('The verdict, and what the rules found, stand here when the run has ended. Charts and tables below fill meanwhile.'));
    return () => {
      const [state, line] = headline();
      word.textContent = state;
      title.textContent = line;
      trouble.hidden = T.connection !== 'lost' && T.connection !== 'gone' || Boolean(T.state.failed);
      T.fill(trouble, T.connection === 'gone' ? elsewhere() : 'The connection to the run is lost; the run itself may well go on. What is missed comes when the connection stands again.');
      segments(strip);
      const c = T.state.config;
      when.textContent = c ? [c.name, T.wall(c.started), c.environment.target].filter(Boolean).join(' · ') : '';
      const list = T.state.seconds.length ? figures() : [];
      row.hidden = note.hidden = !list.length;
      T.fill(row, list.map(([v, what, more]) => el('div', null, el('dt', null, what), el('dd', null, v), more && el('dd', { class: 'more' }, more))));
      if (list.length) note.textContent = 'Large figures are of the last ' + (newest().d > 1.5 ? T.duration(newest().d) : 'second') + ', n = ' + T.count(newest().n) + ' answers. Until the end all of them are provisional.';
      rules.update();
      if (bar) bar.update();
      document.title = (c && planned() ? Math.floor(100 * share()) + ' % · ' + c.name : 'Waiting') + ' · Taillight';
    };
  }

  /** The thresholds as they stand. What scrolls stays the same element, so that it keeps the focus and how far it was scrolled. */
  function standing() {
    const table = T.wide('Thresholds', el('table')), note = el('p', { class: 'note' });
    const element = el('div', { class: 'thresholds', hidden: true }, el('h2', null, 'Thresholds'), table, note);
    let told = null;
    return {
      element,
      update() {
        const now = T.state.standing;
        element.hidden = !now;
        if (!now || told === now.t) return;
        told = now.t;
        T.fill(table, T.thresholdTable(now.list, ['holds', 'does not hold', 'no data yet']));
        note.textContent = howMany(now.list) + ' at ' + T.offset(Math.round(now.t)) + '. Requests still under way are not judged yet; what counts is how they stand at the end.' + (now.cut ? ' ' + T.plural(now.cut, 'more threshold') + ' of the plan are judged at the end.' : '');
      },
    };
  }

  function howMany(list) {
    if (list.every((t) => t.no_data)) return 'None has data yet';
    const broken = list.filter((t) => !t.ok && !t.no_data).length;
    return broken ? T.count(broken) + ' of ' + T.plural(list.length, 'threshold') + (broken === 1 ? ' does' : ' do') + ' not hold' : 'All that has data holds';
  }

  /** Where the result of a run stands that nobody follows any more. */
  function elsewhere() {
    const report = document.documentElement.dataset.report;
    return ['The server was started anew, or many runs came since: it does not know this run any more, and nothing else will come here. ',
      report ? ['If the run came to its end, its result stands in ', el('a', { href: report }, 'its stored report'), '.'] : 'If the run came to its end, its result stands in report.html in the directory of the run.'];
  }

  const share = () => (T.state.after ? 1 : Math.min(1, elapsed() / (planned() || 1)));

  function headline() {
    const c = T.state.config, s = newest();
    if (T.state.failed) return ['No result', 'The run has no result: ' + T.state.failed];
    if (T.connection === 'gone') return ['Not followed', 'This run is not followed any more'];
    if (!c) return ['Preparing', T.state.stage ? capital(T.state.stage) : 'Waiting for the run to begin'];
    if (T.state.after) return ['Load over', 'The load is over after ' + T.offset(Math.round(elapsed())) + '; now ' + T.state.stage];
    if (!s) return ['Running', 'The load begins'];
    const p = c.phases[s.phase];
    const so = T.offset(Math.round(elapsed())) + ' of ' + T.offset(planned());
    return p ? ['Running', 'Phase ' + p.name + ': ' + so] : ['Load over', 'No new requests after ' + so + '; answers under way are waited for'];
  }

  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  /** The phases side by side, as long as they are, filled as far as they went. */
  function segments(strip) {
    const c = T.state.config, now = T.state.after ? planned() : elapsed();
    strip.hidden = !c || !planned();
    if (strip.hidden) return;
    if (strip.children.length !== c.phases.length) T.fill(strip, c.phases.map((p) => el('div', { vars: { '--length': p.end - p.start }, title: p.name + ', ' + p.load }, el('i'), el('span', null, p.name))));
    c.phases.forEach((p, i) => {
      const done = p.end > p.start ? (now - p.start) / (p.end - p.start) : 1;
      strip.children[i].style.setProperty('--done', (100 * Math.min(1, Math.max(0, done))).toFixed(1) + '%');
    });
    strip.setAttribute('aria-valuenow', String(Math.floor(100 * share())));
    strip.setAttribute('aria-valuetext', headline()[1]);
  }

  function figures() {
    const s = newest(), all = (s.so_far || {}).response || [], bad = sum((x) => x.failed + x.unsent), due = sum((x) => x.planned), late = T.state.seconds.filter((x) => x.late).length;
    const quantile = (i, name) => [s.response ? T.duration(s.response[i]) : '–', 'response ' + name, all.length ? T.duration(all[i]) + ' so far' : ''];
    return [
      s.users > 0 ? [T.count(s.users), s.users === 1 ? 'user' : 'users', T.plural(s.in_flight, 'request') + ' in flight'] : [T.count(s.in_flight), 'in flight', ''],
      [T.rate(s.planned / s.d), 'planned', T.count(due) + ' in all'],
      [T.rate(s.ok / s.d), 'answered OK', T.count(sum((x) => x.ok)) + ' in all'],
      quantile(0, 'p50'), quantile(1, 'p95'), quantile(2, 'p99'),
      [T.count(s.failed + s.unsent), 'failed or unsent', bad ? T.count(bad) + ' so far, ' + T.percent(bad / Math.max(1, due)) : 'none so far'],
      [T.count(late), T.state.seconds.length === 1 ? 'late second' : 'late seconds', 'of ' + T.count(T.state.seconds.length) + ' so far'],
    ];
  }

  // Sections that fill.

  /** A chart that is brought up to date, or drawn anew when it has other lines. */
  function kept(parent) {
    const place = parent.appendChild(el('div'));
    let chart = null, lines = '';
    return (o) => {
      if (!o || !o.x.length) return;
      const now = [o.title, ...o.lines.map((l) => l.label)].join('|');
      if (chart && now === lines) { T.update(chart, o); return; }
      T.drop(place);
      chart = T.chart(place, o);
      lines = now;
    };
  }

  /** A place that says why it is empty until something comes. */
  function waiting(section, why) {
    const empty = section.appendChild(T.empty(why));
    return (there) => { empty.hidden = there; };
  }

  function load(section) {
    const lead = section.appendChild(el('p', { class: 'lead' })), empty = waiting(section, 'No second of load has ended yet.');
    const grid = section.appendChild(el('div', { class: 'charts' })), requests = kept(grid), users = kept(grid), bytes = kept(section);
    const phases = section.appendChild(T.wide('Load per phase', el('table')));
    return () => {
      const there = T.state.seconds.length > 0;
      empty(there);
      phases.hidden = lead.hidden = !there;
      if (!there) return;
      const said = T.count(sum((s) => s.planned)) + ' requests fell due so far, ' + T.count(sum((s) => s.sent)) + ' were sent, ' + T.count(sum((s) => s.ok)) + ' answered as expected.';
      lead.textContent = said;
      requests(T.loadChart(said));
      users(T.usersChart());
      bytes(T.bytesChart());
      T.fill(phases, phaseTable());
    };
  }

  function phaseTable() {
    return T.table(['Phase', 'Load', 'Planned', 'Sent', 'OK', 'Failed', 'Unsent', 'Rate'], T.state.config.phases.map((p, i) => {
      const own = T.state.seconds.filter((s) => s.phase === i), of = (f) => own.reduce((n, s) => n + f(s), 0), time = of((s) => s.d);
      if (!own.length) return [p.name, p.load, '–', '–', '–', '–', '–', 'not reached'];
      return [p.name, p.load, T.count(of((s) => s.planned)), T.count(of((s) => s.sent)), T.count(of((s) => s.ok)), T.bad(of((s) => s.failed)), T.bad(of((s) => s.unsent)), T.rate(of((s) => s.ok) / time)];
    }), { numbers: 2 });
  }

  function latency(section) {
    const lead = section.appendChild(el('p', { class: 'lead' })), empty = waiting(section, 'No answer has come yet.'), heat = kept(section);
    const grid = section.appendChild(el('div', { class: 'charts' })), spent = kept(grid), throughput = kept(grid);
    const chooser = T.stepsChooser(() => each()), each = over(section, chooser);
    let varied = false;
    const steps = section.appendChild(T.wide('Response time per step', el('table')));
    section.append(el('p', { class: 'note' }, 'Response time is last byte received minus the intended start. Percentile curves, and service time beside it, come with the report.'));
    return () => {
      const last = newest(), all = last && last.so_far;
      const there = Boolean(all && all.n);
      empty(there || Boolean(T.state.after));
      steps.hidden = lead.hidden = !there;
      if (!there) return;
      const [p50, , p99, max] = all.response;
      lead.textContent = 'Half of ' + T.count(all.n) + ' answers so far came within ' + T.duration(p50) + ', 99\u00a0% within ' + T.duration(p99) + '; the slowest took ' + T.duration(max) + '.';
      heat(heatChart(all.response, lead.textContent));
      spent(T.spentChart());
      varied = varied || !T.steadyRate();
      if (varied) throughput(T.throughputChart());
      each();
      T.fill(steps, T.table(['Step, so far', 'Planned', 'OK', 'Failed', 'Unsent', 'n', 'p50', 'p95', 'p99', 'max'], all.steps.map((s) => [
        s.name, T.count(s.planned), T.count(s.ok), T.bad(s.failed), T.bad(s.unsent), T.count(s.n), ...[0, 1, 2, 3].map((i) => (s.response ? T.duration(s.response[i]) : '–'))]), { numbers: 1 }));
    };
  }

  /** Returns what draws each step over time, below its chooser. */
  function over(section, chooser) {
    section.append(chooser.element);
    const draw = kept(section);
    return () => {
      const all = (newest() || {}).so_far, i = T.percentiles.indexOf(chooser.chosen());
      const o = T.stepsChart(chooser.chosen(), (name) => { const s = all && all.steps.find((k) => k.name === name); return s && s.response ? s.response[i] : 0; });
      chooser.element.hidden = !o;
      draw(o);
    };
  }

  function heatChart(so, said) {
    const b = T.state.config.bins, edge = (i) => b.lowest * 10 ** (i / b.per_decade);
    let lo = Infinity, hi = 0, most = 1;
    for (const { heat } of T.state.seconds) {
      for (let i = 0; heat && i < heat.length; i += 2) { lo = Math.min(lo, heat[i]); hi = Math.max(hi, heat[i] + 1); most = Math.max(most, heat[i + 1]); }
    }
    if (hi <= lo) return null;
    const q = (i) => T.column((s) => (s.response ? s.response[i] : null));
    const line = (label, i, hidden) => ({ label, color: '--c-' + label, data: q(i), width: 1.8, hidden, total: T.duration(so[i]) });
    return {
      title: 'Response time over time', note: 'log axis, ' + T.pointWidth() + ', every answer; the legend is of all so far', label: 'Heat map of response time over time, with percentiles. ' + said,
      x: T.times(), log: true, range: [edge(lo) / 1.06, edge(hi) * 1.06], height: 18, format: T.duration, tick: T.tick,
      lines: [line('p50', 0), line('p95', 1, true), line('p99', 2), line('max', 3, true)],
      paint: (u) => T.heatCells(u, edge, most),
    };
  }

  function errors(section) {
    const lead = section.appendChild(el('p', { class: 'lead' })), chart = kept(section);
    return () => {
      const failed = sum((s) => s.failed), unsent = sum((s) => s.unsent), due = sum((s) => s.planned);
      lead.textContent = !due ? 'No request was planned yet.' : failed + unsent ? T.count(failed) + ' requests failed so far (' + T.percent(failed / due) + ')' + (unsent ? ', and ' + T.count(unsent) + ' were never sent' : '') + '.' : 'None of ' + T.count(due) + ' planned requests failed so far.';
      chart(T.errorsChart());
    };
  }

  function validity(section) {
    const lead = section.appendChild(el('p', { class: 'lead' }));
    return () => {
      const n = T.state.seconds.length, late = T.state.seconds.filter((s) => s.late).length, s = newest();
      lead.textContent = !n ? 'The generator has measured nothing yet.' : (late ? 'The generator was late in ' + late + ' of ' + T.plural(n, 'second') + '; they carry an amber mark under every chart of time.' : 'The generator was on time in every second so far.') + (s.lag ? ' Lag p99 of the last second: ' + T.duration(s.lag[2]) + '.' : '') + ' Each phase is judged when the run has ended, over all its requests.';
    };
  }

  function environment(section) {
    let drawn = null;
    return () => {
      if (!T.state.config || drawn === T.state.config.id) return;
      drawn = T.state.config.id;
      for (const e of [...section.children].slice(1)) e.remove();
      T.environment(section);
    };
  }

  /** Tells a screen reader when a phase begins, and every half minute how it stands. */
  function announce(say) {
    let phase = null, told = 0;
    return () => {
      const s = newest();
      if (!s || T.state.after && told === Infinity) return;
      if (s.phase === phase && elapsed() < told + 30 && !T.state.after) return;
      phase = s.phase;
      told = T.state.after ? Infinity : elapsed();
      say(headline()[1] + '. ' + T.rate(s.ok / s.d) + ' answered, p99 ' + (s.response ? T.duration(s.response[2]) : 'unknown') + '.');
    };
  }

  // Controls, where the page may change the run.

  function controls(base) {
    const field = el('input', { id: 'load-value', type: 'number', min: '0', step: 'any', inputmode: 'decimal', required: true }), label = el('label', { for: 'load-value' }), said = el('p', { class: 'answer', role: 'status' });
    const change = el('button', { type: 'submit' }, 'Change'), stop = el('button', { type: 'button', class: 'stop' }, 'Stop');
    const form = el('form', { class: 'controls', 'aria-label': 'Change the load or stop the run' }, label, field, change, stop, said);
    let rate = false, stopped = false, filled = '';
    form.addEventListener('submit', (e) => {
      e.preventDefault();
      const value = Number(field.value);
      ask(base + '/load', rate ? { rate: value } : { users: Math.round(value) }, said, 'The load goes to ' + (rate ? T.rate(value) : T.plural(Math.round(value), 'user')) + '.');
    });
    stop.addEventListener('click', async () => {
      if (stop.disabled) return;
      const again = stopped;
      stop.disabled = true; // a second click would cut the waits short
      const done = await ask(base + '/stop', {}, said, again ? 'Nothing more is waited for.' : 'No new requests; answers under way are waited for.');
      stop.disabled = false;
      if (!done) return;
      stopped = true;
      stop.textContent = 'Stop at once';
    });
    return {
      element: form,
      update() {
        const s = newest(), p = s && T.state.config.phases[s.phase];
        if (p) rate = p.load.startsWith('rate');
        label.textContent = rate ? 'Arrivals per second' : 'Users';
        // Once for each model; a journey of several steps makes more requests than arrivals, so a rate is not told from them.
        if (p && filled !== label.textContent && document.activeElement !== field) {
          filled = label.textContent;
          field.value = rate ? '' : String(s.users);
        }
        form.hidden = Boolean(T.state.failed) || T.connection === 'gone';
        field.disabled = change.disabled = !p || stopped || T.state.after;
      },
    };
  }

  /** Asks the server for something, and says what came of it. */
  async function ask(url, body, said, done) {
    const headers = { 'Content-Type': 'application/json' }, token = keptToken();
    if (token) headers.Authorization = 'Bearer ' + token;
    try {
      const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body), credentials: 'omit' });
      const told = await answer.json().catch(() => ({}));
      said.textContent = answer.ok ? done : 'Refused: ' + (told.error || 'status ' + answer.status);
      return answer.ok;
    } catch (e) {
      said.textContent = 'The server does not answer: nothing was changed.';
      return false;
    }
  }

  /** The token that the page of all runs was given in this tab, if it was. */
  function keptToken() {
    try { return JSON.parse(sessionStorage.getItem('taillight-console') || '{}').token || ''; } catch (e) { return ''; }
  }
})(window.Taillight);
