'use strict';
// The page's one namespace. Every script adds to it and none builds markup
// from text: what a target sends is only ever the text of a node.
window.Taillight = window.Taillight || /** @type {Taillight} */ ({});

(function (T) {
  /**
   * Makes an element. Attributes whose value is false, null or undefined are
   * left out; a function is a listener, named as "onclick".
   */
  T.el = function (tag, attributes, ...children) {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (typeof value === 'function') e.addEventListener(name.slice(2), value);
      else if (name === 'vars') for (const [k, v] of Object.entries(value)) e.style.setProperty(k, v);
      else e.setAttribute(name, value === true ? '' : String(value));
    }
    append(e, children);
    return e;
  };

  function append(parent, children) {
    for (const c of children) {
      if (Array.isArray(c)) append(parent, c);
      else if (c instanceof Node) parent.appendChild(c);
      else if (typeof c === 'string' && parent.tagName === 'CODE' && c.includes('-')) whole(parent, c);
      else if (c !== null && c !== undefined && c !== false) parent.appendChild(document.createTextNode(String(c)));
    }
  }

  const LONGEST = 32; // letters of a word that the narrowest page has room for

  /** Code is broken between words, not at the dashes inside of them. */
  function whole(parent, text) {
    for (const word of text.split(/(\s+)/)) {
      if (word.includes('-') && word.length <= LONGEST) parent.appendChild(T.el('span', { class: 'whole' }, word));
      else parent.appendChild(document.createTextNode(word));
    }
  }

  /** Replaces what an element holds. */
  T.fill = function (e, ...children) {
    e.textContent = '';
    append(e, children);
    return e;
  };

  /** Between a figure and its unit. */
  const NB = '\u00a0';

  /** A number as text with a minus sign where it has a hyphen. */
  const minus = (text) => text.replace(/^-/, '−');

  /** Three significant digits, without an exponent. */
  function digits(v) {
    const a = Math.abs(v);
    if (a >= 100) return minus(v.toFixed(0));
    if (a >= 10) return minus(v.toFixed(1));
    return minus(v.toFixed(2));
  }

  /** Digits as they are worth it. */
  const short = (v, n) => minus(String(Number(v.toPrecision(n))));

  const UNITS = '%|[nµm]?s|min|h|/s|/min|k?B|[MGT]i?B|KiB|cores?|×';
  const loose = new RegExp('(\\d) (' + UNITS + ')(?![\\w/])', 'g');

  /**
   * A sentence of the program as print has it: true minus signs, no break
   * between a figure and its unit, and flags of commands as code.
   */
  T.prose = function (text) {
    const set = String(text === null || text === undefined ? '' : text).replace(/(^|[\s([])-(?=\d)/g, '$1−').replace(loose, '$1' + NB + '$2');
    return set.split(/((?<![\w-])--[a-z][a-z-]*[a-z](?:=[^\s,;)]+)?)/).map((part, i) => (i % 2 ? T.el('code', null, part) : part));
  };

  /** Seconds as text with a unit: 950 µs, 15.1 ms, 1.46 s, 2 min 3 s. */
  T.duration = function (s) {
    if (s === null || s === undefined || !isFinite(s)) return '–';
    const a = Math.abs(s);
    if (a === 0) return '0' + NB + 's';
    if (a < 1e-6) return digits(s * 1e9) + NB + 'ns';
    if (a < 0.9995e-3) return digits(s * 1e6) + NB + 'µs';
    if (a < 0.9995) return digits(s * 1e3) + NB + 'ms';
    if (a < 120) return digits(s) + NB + 's';
    if (s < 0) return '−' + T.duration(-s);
    const whole = Math.round(s), m = Math.floor(whole / 60);
    if (m < 120) return m + NB + 'min' + NB + (whole - 60 * m) + NB + 's';
    return Math.floor(m / 60) + NB + 'h' + NB + (m % 60) + NB + 'min';
  };

  /** A tick of a duration axis: as short as it can be. */
  T.tick = function (s) {
    if (s === 0) return '0';
    const units = /** @type {[number, string][]} */ ([[1, 's'], [1e-3, 'ms'], [1e-6, 'µs']]);
    for (const [f, u] of units) if (s >= f * 0.9999) return String(Number((s / f).toPrecision(3))) + NB + u;
    return String(Number((s * 1e9).toPrecision(3))) + NB + 'ns';
  };

  /** Seconds since the run's start, as an axis or a cell says it. */
  T.offset = function (s) {
    if (s < 180) return minus(String(Number(s.toFixed(s < 10 ? 2 : 1)))) + NB + 's';
    const whole = Math.round(s), m = Math.floor(whole / 60);
    return m + ':' + String(whole - 60 * m).padStart(2, '0') + NB + 'min';
  };

  T.count = (n) => minus(Number(n).toLocaleString('en-US', { maximumFractionDigits: 0 }));

  T.rate = (v) => (v >= 1000 ? T.count(v) : digits(v)) + NB + '/s';

  /** A share 0..1 as percent; never rounds what is not all to 100, nor what is something to 0. */
  T.percent = function (x) {
    if (x === null || x === undefined || !isFinite(x)) return '–';
    const p = 100 * x;
    if (p === 0) return '0' + NB + '%';
    if (p === 100) return '100' + NB + '%';
    if (p > 99 && p < 100) return (Math.floor(p * 1000) / 1000).toFixed(p > 99.99 ? 3 : 2) + NB + '%';
    if (Math.abs(p) < 0.01) return minus(p.toPrecision(1)) + NB + '%';
    return digits(p) + NB + '%';
  };

  T.bytes = function (b) {
    const units = ['B', 'kB', 'MB', 'GB', 'TB'];
    let i = 0;
    for (; Math.abs(b) >= 1000 && i < units.length - 1; i++) b /= 1000;
    return (i === 0 ? minus(String(b)) : digits(b)) + NB + units[i];
  };

  T.cores = (v) => minus(v.toFixed(2)) + NB + 'cores';

  /** A value of evidence with its unit; shares come as "1", percentages as "%". */
  T.quantity = function (value, unit) {
    switch (unit) {
      case 's': return T.duration(value);
      case '%': return value > 99.9 || Math.abs(value) < 1e-4 ? T.percent(value / 100) : short(value, 3) + NB + '%';
      case '/s': return T.rate(value);
      case 'By': return T.bytes(value);
      case 'ns': return T.duration(value / 1e9);
      case '': case '1': return Number.isInteger(value) ? T.count(value) : short(value, 3);
    }
    return (Number.isInteger(value) ? T.count(value) : short(value, 4)) + NB + unit;
  };

  /** Wall clock, always with its zone. */
  T.wall = function (iso) {
    const d = new Date(iso);
    return isNaN(d.getTime()) || d.getUTCFullYear() < 1971 ? '–' : d.toISOString().replace('T', ' ').slice(0, 19) + ' UTC';
  };

  /** Joins words with commas and "and". */
  T.list = function (words) {
    if (words.length < 2) return words.join('');
    return words.slice(0, -1).join(', ') + ' and ' + words[words.length - 1];
  };

  T.plural = (n, one, many) => T.count(n) + NB + (n === 1 ? one : many || one + 's');

  // Theme: the system's, unless the reader chose.
  const painters = new Set();
  let cache = new Map();

  /** Calls f whenever colours or sizes changed and canvases must be drawn again. */
  T.onRepaint = (f) => { painters.add(f); };

  T.repaint = function () {
    cache = new Map();
    painters.forEach((f) => f());
  };

  /** The value of a CSS variable in the current theme. */
  T.color = function (name) {
    if (!cache.has(name)) cache.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
    return cache.get(name);
  };

  /** Pixels of n rem. */
  T.rem = (n) => n * parseFloat(getComputedStyle(document.documentElement).fontSize);

  /** A font for canvases, sized in rem. uPlot scales the first number it finds, so that comes first. */
  T.font = (rem) => Math.round(T.rem(rem)) + 'px "Inter Page", system-ui, sans-serif';

  const themes = ['auto', 'light', 'dark'];

  T.theme = function (name) {
    if (name === undefined) return document.documentElement.dataset.theme || 'auto';
    document.documentElement.dataset.theme = name;
    mode();
    return name;
  };

  const dark = matchMedia('(prefers-color-scheme: dark)');

  /** Tells the style which colours hold now. Paper is light. */
  function mode(printing) {
    const now = printing ? 'light' : T.theme() === 'auto' ? (dark.matches ? 'dark' : 'light') : T.theme();
    document.documentElement.dataset.mode = now;
    T.repaint();
  }
  mode();

  /** The button that goes through the themes. */
  T.themeButton = function () {
    const b = T.el('button', { class: 'theme', type: 'button' });
    const show = () => {
      const now = T.theme();
      T.fill(b, T.el('i', { class: 'theme-' + now, 'aria-hidden': 'true' }), { auto: 'Auto', light: 'Light', dark: 'Dark' }[now]);
      b.setAttribute('aria-label', 'Colour theme: ' + now + '. Switch to ' + themes[(themes.indexOf(now) + 1) % 3]);
    };
    b.addEventListener('click', () => {
      const next = themes[(themes.indexOf(T.theme()) + 1) % 3];
      T.theme(next);
      try { localStorage.setItem('taillight-theme', next); } catch (e) { /* a file may have no storage */ }
      show();
    });
    try { T.theme(localStorage.getItem('taillight-theme') || 'auto'); } catch (e) { /* as above */ }
    show();
    return b;
  };

  dark.addEventListener('change', () => mode());

  // Paper cannot be unfolded: what findings, warnings and long sections hide is printed.
  let unfolded = [];

  window.addEventListener('beforeprint', () => {
    mode(true);
    unfolded = /** @type {HTMLDetailsElement[]} */ ([...document.querySelectorAll('.finding details:not([open]), details.more:not([open]), details.fold:not([open])')]);
    unfolded.forEach((d) => { d.open = true; });
  });
  window.addEventListener('afterprint', () => {
    unfolded.forEach((d) => { d.open = false; });
    mode();
  });
})(window.Taillight);
