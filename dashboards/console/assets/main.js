'use strict';
// The page: what goes on now, and what was before.
(function (T) {
  const el = T.el;
  const IDLE = 4000; // ms between two looks for runs that others started

  const now = { running: null, runs: null, asking: null };

  function draw() {
    const app = document.getElementById('app');
    now.form = T.form((id) => { watch(id, true); });
    now.idle = el('div', { class: 'hero idle' }, el('h1', { tabindex: '-1' }, 'Start a test'), el('p', { class: 'rest' }, 'It runs on the machine of taillight serve, one at a time, and writes a report.'), now.form.node);
    now.place = el('section', { id: 'now', 'aria-label': 'Now' }, now.idle);
    now.table = T.runs(() => compare());
    now.comparing = T.comparing((id) => now.table.find(id), () => { now.table.redraw(); compare(); });
    now.alert = el('div', { class: 'lost', role: 'alert', hidden: true });
    T.fill(app, el('a', { class: 'skip', href: '#past' }, 'Skip to past runs'),
      el('header', { class: 'top' }, el('span', { class: 'brand' }, el('i', { 'aria-hidden': 'true' }), 'Taillight'), el('span', { class: 'run' }, el('strong', null, 'Load tests'), ' ', el('span', null, location.host)), T.themeButton()),
      el('main', { id: 'main', tabindex: '-1', class: 'console' }, now.alert, now.place,
        el('section', { id: 'past', 'aria-label': 'Past runs', tabindex: '-1' }, el('h2', null, 'Past runs'), now.table.node, now.comparing.node)),
      el('footer', null, 'Times are UTC. Latencies are response times, from the moment a request fell due to its last byte; n counts the answers behind them.'),
      el('p', { id: 'voice', class: 'voice', 'aria-live': 'polite' }));
    app.hidden = false;
  }

  const compare = () => now.comparing.show(now.running !== null);

  /** Puts something where the page says what goes on. */
  function put(node, focus) {
    T.fill(now.place, node);
    const title = node.querySelector('h1');
    if (focus && title) title.focus({ preventScroll: true });
    if (focus) window.scrollTo({ top: 0 });
  }

  /** Shows a run that goes on. */
  function watch(id, byHand) {
    if (now.running && now.running.id === id) return;
    if (now.running) now.running.close();
    now.running = T.running(id, (end) => over(id, end));
    document.title = 'Running · Taillight';
    put(now.running.node, byHand);
    if (byHand) T.say('The run has started');
    compare();
  }

  async function over(id, end) {
    now.running = null;
    document.title = 'Taillight';
    await now.asking; // what was asked before the end does not know it
    await refresh();
    const run = now.table.find(id);
    const node = T.ended(run, end, () => put(now.idle, true));
    if (now.running === null) put(node, now.place.contains(document.activeElement)); // whoever is elsewhere stays there
    T.say(run ? 'The run has ended: ' + run.verdict : 'The run has ended');
  }

  /** Asks for tests and runs, once at a time; shows a run that somebody else started. */
  function refresh() {
    if (!now.asking) now.asking = ask().finally(() => { now.asking = null; });
    return now.asking;
  }

  async function ask() {
    try {
      const [tests, runs] = await Promise.all([T.api('GET', '/api/tests'), T.api('GET', '/api/runs')]);
      T.problem(now.alert, '');
      now.form.show(tests);
      const text = JSON.stringify(runs);
      if (text !== now.runs) { now.runs = text; now.table.show(runs); }
      if (tests.running) watch(tests.running, false);
      compare();
    } catch (e) {
      T.problem(now.alert, e.message);
    }
  }

  async function start() {
    T.tokenFromAddress();
    draw();
    await refresh();
    await document.fonts.load('12px "Inter Page"');
    document.documentElement.dataset.ready = '';
    // While a run goes on its own events tell all, and the machine measures.
    setInterval(() => { if (now.running === null && !document.hidden) refresh(); }, IDLE);
    document.addEventListener('visibilitychange', () => { if (now.running === null && !document.hidden) refresh(); });
  }

  start();
})(window.Taillight);
