'use strict';
// The page: its sections in their order, and the way between them.
(function (T) {
  const el = T.el;

  /** @type {[string, string, Section][]} */
  const sections = [
    ['verdict', 'Verdict', T.verdict], ['capacity', 'Capacity', T.capacity], ['validity', 'Validity', T.validity], ['load', 'Load', T.load], ['latency', 'Latency', T.latency], ['errors', 'Errors', T.errors],
    ['slow', 'Slow requests', T.slow], ['exchanges', 'Exchanges', T.exchanges], ['cpu', 'Where the CPU went', T.cpu], ['target', 'Target', T.target], ['environment', 'Environment', T.environment], ['rules', 'Rules', T.rules], ['files', 'Files', T.files],
  ];

  /** The sections of this run: only a search has a capacity. */
  const shown = () => sections.filter(([id]) => id !== 'capacity' || (T.state.end && T.state.end.document.capacity));

  /** Makes the page with its sections, which have their titles alone, and shows it: charts ask for the width of their place. */
  function frame() {
    const app = document.getElementById('app'), main = el('main', { id: 'main', tabindex: '-1' });
    const links = shown().map(([id, title]) => el('a', { href: '#' + id }, title));
    const source = document.documentElement.dataset.feed === 'live' ? 'This page asks nothing but the run it shows.' : 'This file needs no network.';
    T.fill(app, el('a', { class: 'skip', href: '#main' }, 'Skip to the verdict'), T.header(), el('div', { class: 'frame' }, el('nav', { 'aria-label': 'Sections' }, links), main),
      el('footer', null, 'Times are ' + 'UTC; offsets count from the run’s start. Durations are of the generator’s monotonic clock. ' + source));
    app.hidden = false;
    const places = new Map(shown().map(([id, title]) => [id, main.appendChild(el('section', { id, 'aria-label': title }, id !== 'verdict' && el('h2', null, title)))]));
    follow(links);
    return places;
  }

  /** Draws the report, at the place that the address names unless the reader is somewhere already. */
  function draw(stay) {
    const places = frame();
    for (const [id, , render] of shown()) render(places.get(id));
    if (stay) return;
    const id = /^#exchange-(\d+)$/.exec(location.hash);
    if (id) T.showExchange(Number(id[1]));
    else if (location.hash.length > 1) { const e = document.getElementById(location.hash.slice(1)); if (e) T.go(e); }
  }

  /** Marks the section being read. */
  function follow(links) {
    const seen = new Map();
    const watch = new IntersectionObserver((entries) => {
      for (const e of entries) seen.set(e.target.id, e.isIntersecting);
      const now = shown().find(([id]) => seen.get(id));
      links.forEach((a) => { if (now && a.hash === '#' + now[0]) a.setAttribute('aria-current', 'true'); else a.removeAttribute('aria-current'); });
    }, { rootMargin: '-15% 0px -70% 0px' });
    for (const [id] of shown()) watch.observe(document.getElementById(id));
  }

  async function start() {
    if (document.documentElement.dataset.feed === 'live') {
      await document.fonts.load('12px "Inter Page"');
      T.live(frame, draw);
      return;
    }
    try {
      await T.replay(document.getElementById('events').textContent);
      await document.fonts.load('12px "Inter Page"');
    } catch (e) {
      document.body.append(el('p', { class: 'warning' }, 'The data of this page could not be read (' + e.message + '). run.json beside it holds the result.'));
      return;
    }
    draw();
    document.documentElement.dataset.ready = '';
  }

  start();
})(window.Taillight);
