'use strict';
// What a response consists of: the names, words and colours of its components.
(function (T) {
  const el = T.el;

  // [name, what the time was spent on, to follow "of it"]
  const words = {
    lag: ['sent late', 'before the generator sent it'],
    blocked: ['blocked', 'waiting for a connection'],
    dns: ['dns', 'looking up the host'],
    connect: ['connect', 'connecting'],
    ssl: ['ssl', 'in the TLS handshake'],
    send: ['send', 'being sent'],
    wait: ['wait', 'waiting for the first byte'],
    receive: ['receive', 'receiving the answer'],
    gap: ['gap', 'outside the handler: wire, accept queue, ready and not picked up'],
    downstream: ['downstream', 'waiting for another service'],
    'self.running': ['running', 'running on a thread'],
    'self.descheduled': ['descheduled', 'on a thread that had no CPU'],
    'self.runnable': ['runnable', 'ready to run and not let'],
    'self.syscall': ['syscall', 'in system calls'],
    'self.sync': ['lock', 'waiting for a lock, wait group or semaphore'],
    'self.cond': ['cond', 'waiting for a condition variable'],
    'self.chan': ['channel', 'waiting for a channel'],
    'self.select': ['select', 'waiting in a select'],
    'self.network': ['network', 'waiting for the network'],
    'self.sleep': ['sleep', 'sleeping'],
    'self.gc': ['gc', 'waiting for the garbage collector'],
    'self.other': ['blocked otherwise', 'blocked for another reason'],
    'self.unknown': ['handler', 'in the handler, without a timeline to say more'],
  };

  /** @returns {{id: string, name: string, doing: string, css: string}} */
  T.component = function (id) {
    const [name, doing] = words[id] || [id, 'in ' + id];
    return { id, name, doing, css: 'p-' + id.replace(/[^a-z]/g, '-') };
  };

  /** The components of an exchange, in their order: [id, nanoseconds]. */
  T.breakdown = function (x) {
    const names = T.state.end.components, parts = x.breakdown.parts;
    /** @type {Shares} */
    const out = [];
    for (let i = 0; i < parts.length; i += 2) out.push([names[parts[i]], parts[i + 1]]);
    return out;
  };

  /**
   * A bar of components, as long as they are of whole. Every part can be
   * pointed at; as a whole it is one picture with all figures in its label.
   */
  T.componentBar = function (parts, whole) {
    const shown = parts.filter(([, v]) => v > 0);
    const text = (shown.length ? shown : parts).map(([id, v]) => T.component(id).name + ' ' + T.duration(v / 1e9)).join(', ');
    return el('div', { class: 'stack', role: 'img', 'aria-label': text, title: text },
      shown.map(([id, v]) => el('i', { class: T.component(id).css, vars: { width: (100 * v / whole).toFixed(3) + '%' } })));
  };

  /** The colours of components, those that are there. */
  T.componentKey = function (ids) {
    const there = T.state.end.components.filter((id) => ids.has(id));
    return el('ul', { class: 'key', 'aria-label': 'Colours of the components' },
      there.map((id) => { const c = T.component(id); return el('li', { title: c.doing }, el('i', { class: c.css, 'aria-hidden': 'true' }), c.name); }));
  };

  /** Which components any of the exchanges has enough of to be seen. */
  T.componentsIn = function (exchanges) {
    const ids = new Set();
    for (const x of exchanges) {
      const whole = x.done_ns - x.intended_ns;
      for (const [id, v] of T.breakdown(x)) if (v > 0.004 * whole) ids.add(id);
    }
    return ids;
  };

  const tiers = { T0: 'the client’s own view alone', T1: 'the server’s time, from its span or Server-Timing', T2: 'the server’s time and CPU samples', T3: 'the states of a scheduler timeline' };
  T.tier = (tier) => tier + ', ' + (tiers[tier] || tier);

  /** A line of code as text: shop.(*Shelf).Reserve stock/shelf.go:42. */
  T.codeLine = (c) => (c.func ? T.shortName(c.func) : 'unknown code') + (c.file ? ' ' + c.file + (c.line ? ':' + c.line : '') : '');
})(window.Taillight);
