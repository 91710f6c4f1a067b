'use strict';
// Where the CPU went: per request over the run, and at the peak against the
// baseline.
(function (T) {
  const el = T.el;
  const view = { mode: 'request', service: 0, cohort: 0, holder: null, graph: null, buttons: {} };

  T.cpu = function (section) {
    const profiles = T.state.end.profiles;
    if (!profiles.length) {
      section.append(T.empty('No CPU profile of the target reached this run.', T.howToProfile()));
      return;
    }
    view.holder = el('div');
    section.append(el('div', { class: 'modes', role: 'group', 'aria-label': 'What the flame graph shows' }, mode('request', 'CPU per request'), mode('difference', 'Peak against baseline'), mode('slow', 'Slow against typical')), view.holder);
    draw();
  };

  T.howToProfile = function () {
    if (T.state.config.environment.bundled) return el('p', null, 'The bundled service sends them by itself, in steps of some seconds: a run may end before the first.');
    return el('div', { class: 'how' },
      el('p', null, 'A service with a Pyroscope client sends its profiles to a run when it starts with'),
      el('pre', { tabindex: '0' }, 'PYROSCOPE_SERVER_ADDRESS=http://<address the run prints>'),
      el('p', null, 'A run shorter than the upload interval may end before the first profile.'));
  };

  function mode(name, text) {
    view.buttons[name] = el('button', { type: 'button', 'data-mode': name, onclick: () => { view.mode = name; draw(); } }, text);
    return view.buttons[name];
  }

  function draw() {
    for (const [name, b] of Object.entries(view.buttons)) b.setAttribute('aria-pressed', String(name === view.mode));
    T.fill(view.holder);
    if (view.mode === 'difference') view.graph = T.difference(view.holder);
    else if (view.mode === 'slow') view.graph = slow();
    else perRequest();
  }

  /** CPU of the slow requests of a step against that of its typical ones. */
  function slow() {
    const sets = T.state.end.slow_cpu || [];
    if (!sets.length) {
      view.holder.append(T.empty('Slow requests were not compared with typical ones, so neither is their CPU.'));
      return null;
    }
    if (sets.length > 1) {
      const select = el('select', { id: 'flame-step' }, sets.map((s, i) => el('option', { value: i, selected: i === view.cohort }, s.step)));
      select.addEventListener('change', () => { view.cohort = Number(select.value); draw(); document.getElementById('flame-step').focus(); });
      view.holder.append(el('div', { class: 'pick' }, el('label', { for: 'flame-step' }, 'Step'), select));
    }
    const s = sets[view.cohort];
    return T.difference(view.holder, {
      d: s.difference, what: 'slow requests against typical ones', none: 'The CPU of slow and typical requests of ' + s.step + ' is not compared: ' + (s.why || 'nothing is known of it'),
      takes: 'It takes CPU samples that carry the span id of their request, on enough slow requests. What they waited for stands under “Slow requests”.',
    });
  }

  /** Goes to the flame graph with a function searched; '' for the whole. */
  T.showFunction = function (name, mode) {
    const section = document.getElementById('cpu');
    if (!view.holder) { T.go(section); return; }
    view.mode = mode;
    if (mode === 'request') {
      const with_ = T.state.end.profiles.findIndex((p) => p.stacks.frames.some((f) => f.function === name));
      if (with_ >= 0) view.service = with_;
    }
    draw();
    if (view.graph) view.graph.search(name);
    T.go(section);
    const search = document.getElementById('flame-search');
    if (search) search.focus({ preventScroll: true });
  };

  function perRequest() {
    const profiles = T.state.end.profiles, profile = profiles[view.service], set = profile.stacks;
    if (profiles.length > 1) {
      const select = el('select', { id: 'flame-service' }, profiles.map((p, i) => el('option', { value: i, selected: i === view.service }, p.service)));
      select.addEventListener('change', () => { view.service = Number(select.value); draw(); document.getElementById('flame-service').focus(); });
      view.holder.append(el('div', { class: 'pick' }, el('label', { for: 'flame-service' }, 'Service'), select));
    }
    const root = T.flameTree(set), families = T.families(set), colors = new Map(families.map((f) => [f.name, f.color]));
    const each = (ns) => (profile.requests >= 1 ? T.duration(ns / 1e9 / profile.requests) + ' per request' : T.duration(ns / 1e9));
    view.holder.append(el('p', { class: 'lead' }, lead(profile)));
    view.graph = T.flame(view.holder, {
      root, frames: set.frames, all: 'all CPU, ' + each(root.value), label: 'Flame graph of CPU per request',
      color: (n) => colors.get(T.family(set.frames[n.frame])) || '--f-other',
      lines: (n) => lines(n, set, each),
      found: (nodes) => T.percent(sum(nodes) / set.value) + ' of CPU, ' + each(sum(nodes)),
      key: el('ul', { class: 'key families', 'aria-label': 'Package families with their own CPU' }, families.filter((f) => f.total >= 0.01 * set.value).map((f) => el('li', null, el('i', { 'aria-hidden': 'true', vars: { background: 'var(' + f.color + ')' } }), f.name, el('b', null, ' ' + T.percent(f.self / set.value))))),
    });
    view.holder.append(top(profile) || '');
  }

  const sum = (nodes) => nodes.reduce((s, n) => s + n.value, 0);

  function lead(p) {
    const s = p.stacks;
    const each = p.requests >= 1 ? T.duration(s.value / 1e9 / p.requests) + ' of CPU for each of ' + T.count(p.requests) + ' requests answered while it was profiled: ' : '';
    const over = s.duration > 0 ? ', ' + T.cores(s.value / s.duration) + ' over ' + T.duration(s.duration / 1e9) : '';
    return p.service + ' used ' + each + T.duration(s.value / 1e9) + ' in n = ' + T.count(s.samples) + ' samples' + over + '. ' + T.plural(p.merged, 'profile') + ' merged.';
  }

  function lines(n, set, each) {
    const out = [each(n.value) + ', ' + T.percent(n.value / set.value) + ' of CPU, n = ' + T.plural(n.samples, 'sample'), T.duration(n.value / 1e9) + ' of CPU in all'];
    if (n.frame < 0) return out;
    const f = set.frames[n.frame];
    out.push(each(n.self) + ' in the function itself', T.family(f) + T.place(f));
    return out;
  }

  function top(p) {
    const set = p.stacks, all = set.value, each = (ns) => (p.requests >= 1 ? T.duration(ns / 1e9 / p.requests) : '–');
    const find = (name) => () => { view.graph.search(name); document.getElementById('flame-search').scrollIntoView({ block: 'center', behavior: T.motion() }); };
    const row = (f) => [T.functionCell({ function: f.name, file: f.file, line: f.line }, find(f.name)),
      each(f.self), T.percent(f.self / all), each(f.total), T.percent(f.total / all), T.count(f.samples)];
    const head = ['Function', 'Self per request', 'Self share', 'With callees per request', 'Share', 'n'];
    const self = T.functions(set).sort((a, b) => b.self - a.self).slice(0, 12);
    if (!self.length) return null;
    return T.fold('Functions by their own CPU: ' + T.plural(self.length, 'function') + ', first ' + T.shortName(self[0].name) + ' with ' + T.percent(self[0].self / all), T.wide('Functions by their own CPU', T.table(head, self.map(row), { numbers: 1, class: 'functions' })));
  }
})(window.Taillight);
