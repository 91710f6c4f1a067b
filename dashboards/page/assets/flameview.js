'use strict';
// The flame graph on a canvas: root at the top, zoom, search, keyboard.
(function (T) {
  const el = T.el;

  /**
   * Draws a flame graph. A node's value is its width; ink is the colour of its
   * text. Where the colours say something (meant), the root and what a search
   * finds keep theirs. The key stands between the tools and the graph.
   */
  T.flame = function (holder, o) {
    const v = { o, root: o.root, frames: o.frames, zoom: o.root, hover: null, focus: null, match: null, nodes: [] };
    holder.append(toolbar(v));
    if (o.key) holder.append(o.key);
    canvas(holder, v);
    return {
      search: (text) => { v.search.value = text; search(v); },
      show: (n) => { v.focus = n; say(v, n); zoom(v, v.root); T.go(v.box); v.canvas.focus({ preventScroll: true }); },
    };
  };

  function toolbar(v) {
    v.search = el('input', { type: 'search', id: 'flame-search', placeholder: 'part of a function’s name', spellcheck: 'false', autocomplete: 'off' });
    v.found = el('span', { class: 'info', role: 'status' });
    v.reset = el('button', { type: 'button', id: 'flame-reset', disabled: true, onclick: () => zoom(v, v.root) }, 'Whole profile');
    v.search.addEventListener('input', () => search(v));
    return el('div', { class: 'pick' }, el('label', { for: 'flame-search' }, 'Search'), v.search, v.found, v.reset, T.pictureButton(() => picture(v)));
  }

  function search(v) {
    const want = v.search.value.trim().toLowerCase();
    v.match = want ? new Set(v.frames.map((f, i) => (f.function.toLowerCase().includes(want) ? i : -1)).filter((i) => i >= 0)) : null;
    v.found.textContent = want ? found(v) : '';
    paint(v);
  }

  /** What the outermost matches come to, so that nothing counts twice. */
  function found(v) {
    const outer = [], todo = [v.root];
    while (todo.length) {
      const n = todo.pop();
      if (v.match.has(n.frame)) outer.push(n); else todo.push(...n.children);
    }
    const names = new Set([...v.match].map((i) => v.frames[i].function));
    return names.size ? T.plural(names.size, 'function') + ', ' + v.o.found(outer) : 'no function matches';
  }

  function canvas(holder, v) {
    v.canvas = el('canvas', { tabindex: '0', role: 'application', 'aria-label': v.o.label + ', root at the top. Arrow keys move between frames, Enter zooms in, Escape zooms out.', 'aria-describedby': 'flame-status' });
    v.tip = el('div', { class: 'tip', hidden: true });
    v.status = el('p', { class: 'flame-status', id: 'flame-status', 'aria-live': 'polite' }, 'Point at a frame to read it, click to zoom; arrow keys, Enter and Escape do the same.');
    v.box = el('div', { class: 'flame' }, v.canvas, v.tip);
    holder.append(v.box, v.status);
    v.canvas.addEventListener('mousemove', (e) => hover(v, e));
    v.canvas.addEventListener('mouseleave', () => { v.hover = null; v.tip.hidden = true; paint(v); });
    v.canvas.addEventListener('click', (e) => { const n = under(v, e); if (n) { v.focus = n; say(v, n); zoom(v, n === v.zoom ? n.parent || n : n); } });
    v.canvas.addEventListener('keydown', (e) => key(v, e));
    v.canvas.addEventListener('focus', () => { if (!v.focus) { v.focus = v.zoom; say(v, v.focus); } paint(v); });
    v.canvas.addEventListener('blur', () => paint(v));
    let width = 0;
    new ResizeObserver(() => { if (v.box.clientWidth && v.box.clientWidth !== width) { width = v.box.clientWidth; layout(v); } }).observe(v.box);
    T.onRepaint(() => layout(v));
  }

  function zoom(v, n) {
    v.zoom = n;
    v.reset.disabled = n === v.root;
    v.hover = null;
    v.tip.hidden = true;
    layout(v);
  }

  /** Which nodes are visible, and how high the canvas must be. */
  function layout(v) {
    const width = v.box.clientWidth;
    if (!width) return;
    v.row = Math.round(T.rem(1.25));
    v.scale = width / v.zoom.value;
    const chain = [];
    for (let n = v.zoom.parent; n; n = n.parent) chain.unshift(n);
    v.nodes = chain.map((n) => ({ n, x: 0, w: width, up: true }));
    for (const n of T.flameNodes(v.zoom, v.zoom.value / width * 0.6)) v.nodes.push({ n, x: (n.x - v.zoom.x) * v.scale, w: n.value * v.scale, up: false });
    const depth = Math.max(...v.nodes.map((r) => r.n.depth)) + 1;
    const dpr = devicePixelRatio;
    v.canvas.width = Math.round(width * dpr);
    v.canvas.height = Math.round(depth * v.row * dpr);
    v.canvas.style.height = depth * v.row + 'px';
    paint(v);
  }

  function name(v, n) {
    return n.frame < 0 ? 'all' : v.frames[n.frame].function;
  }

  function paint(v) {
    const ctx = frames(v, v.canvas, devicePixelRatio);
    const marked = document.activeElement === v.canvas ? v.focus : null;
    for (const n of [v.hover, marked]) {
      const r = n && v.nodes.find((m) => m.n === n);
      if (!r) continue;
      ctx.strokeStyle = T.color('--ink');
      ctx.lineWidth = 2;
      ctx.strokeRect(r.x + 1, n.depth * v.row + 1, Math.max(1, r.w - 2), v.row - 2);
    }
  }

  /** All frames that are visible, on a canvas with so many pixels per pixel of the page. */
  function frames(v, canvas, scale) {
    const ctx = canvas.getContext('2d');
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    ctx.font = T.font(0.74);
    ctx.textBaseline = 'middle';
    for (const r of v.nodes) rectangle(ctx, v, r);
    return ctx;
  }

  /** The graph as it is zoomed and searched, for a picture. */
  function picture(v) {
    const canvas = T.blank(v.box.clientWidth, parseFloat(v.canvas.style.height));
    frames(v, canvas, canvas.width / v.box.clientWidth);
    return { title: v.o.label, note: [v.o.all, v.zoom !== v.root && 'zoomed to ' + name(v, v.zoom), v.search.value && 'searched: ' + v.search.value + ', ' + v.found.textContent].filter(Boolean).join('; '), lines: [], keys: v.o.key ? [v.o.key] : [], canvas };
  }

  function rectangle(ctx, v, r) {
    const n = r.n, y = n.depth * v.row, w = Math.max(0.5, r.w - (r.w > 3 ? 1 : 0));
    const hit = v.match && v.match.has(n.frame);
    ctx.globalAlpha = r.up ? 0.55 : v.match && !hit ? 0.28 : 1;
    ctx.fillStyle = hit && !v.o.meant ? T.color('--f-hit') : n.frame < 0 && !v.o.meant ? T.color('--f-root') : T.color(v.o.color(n));
    ctx.fillRect(r.x, y, w, v.row - 1);
    ctx.globalAlpha = v.match && !hit ? 0.6 : 1;
    if (r.w < 26) { ctx.globalAlpha = 1; return; }
    ctx.fillStyle = hit && !v.o.meant ? T.color('--f-hit-ink') : T.color(v.o.ink ? v.o.ink(n) : '--f-ink');
    const text = n.frame < 0 ? v.o.all : T.shortName(name(v, n));
    ctx.fillText(fit(ctx, text, r.w - 8), Math.max(r.x, 0) + 4, y + v.row / 2);
    ctx.globalAlpha = 1;
  }

  /** The longest beginning of text that fits. */
  function fit(ctx, text, width) {
    if (ctx.measureText(text).width <= width) return text;
    let lo = 0, hi = text.length;
    while (lo < hi) {
      const mid = (lo + hi + 1) >> 1;
      if (ctx.measureText(text.slice(0, mid) + '…').width <= width) lo = mid; else hi = mid - 1;
    }
    return lo ? text.slice(0, lo) + '…' : '';
  }

  function under(v, e) {
    const box = v.canvas.getBoundingClientRect(), x = e.clientX - box.left, depth = Math.floor((e.clientY - box.top) / v.row);
    const r = v.nodes.find((m) => m.n.depth === depth && x >= m.x && x < m.x + m.w);
    return r ? r.n : null;
  }

  function hover(v, e) {
    const n = under(v, e);
    if (n !== v.hover) { v.hover = n; paint(v); }
    v.tip.hidden = !n;
    if (!n) return;
    T.fill(v.tip, el('strong', null, name(v, n)), v.o.lines(n).map((t) => el('span', null, t)));
    const box = v.box.getBoundingClientRect(), x = e.clientX - box.left, half = box.width / 2;
    v.tip.style.left = x > half ? 'auto' : x + 14 + 'px';
    v.tip.style.right = x > half ? box.width - x + 14 + 'px' : 'auto';
    v.tip.style.top = e.clientY - box.top + 14 + 'px';
  }

  function say(v, n) {
    v.status.textContent = name(v, n) + ': ' + v.o.lines(n).join('; ');
  }

  function key(v, e) {
    const at = v.focus || v.zoom;
    const visible = (n) => n && v.nodes.some((r) => r.n === n);
    const beside = (d) => { const all = at.parent ? at.parent.children.filter(visible) : []; return all[all.indexOf(at) + d]; };
    const next = { ArrowDown: () => at.children.find(visible), ArrowUp: () => at.parent, ArrowLeft: () => beside(-1), ArrowRight: () => beside(1), Home: () => v.root }[e.key];
    if (next) {
      e.preventDefault();
      const n = next();
      if (visible(n)) { v.focus = n; say(v, n); paint(v); }
    } else if (e.key === 'Enter' || e.key === ' ') {
      e.preventDefault();
      zoom(v, at);
    } else if (e.key === 'Escape') {
      zoom(v, v.root);
    }
  }

  /** Where a function stands, to follow its family. */
  T.place = (f) => (f.file ? ', ' + f.file + (f.line ? ':' + f.line : '') : '');

  /** A function's name as a button that searches it, with its family and place. */
  T.functionCell = (f, go) => el('span', { class: 'fn' }, el('button', { type: 'button', title: f.function, onclick: go }, T.shortName(f.function)), el('small', null, T.family(f) + T.place(f)));
})(window.Taillight);
