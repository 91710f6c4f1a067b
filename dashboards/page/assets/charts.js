'use strict';
// Charts over uPlot: one look, one cursor over all charts of time, phases in
// the background, a legend of buttons, keyboard, and a table of the figures.
(function (T) {
  const el = T.el;
  const live = [];

  T.onRepaint(() => live.forEach((c) => c.plot.redraw(false)));

  // Paper has a width of its own. Charts are drawn anew for it, so that their
  // letters are as large as those around them: A4 within its margins, whole and half.
  const PAPER = 677, HALF = 322; // px of a plot
  const flat = 0.85; // of its height on a screen
  const drawn = (cell) => cell.matches('.chart') || cell.querySelector('.chart') !== null; // a live page has places for charts that are not there yet
  window.addEventListener('beforeprint', () => live.forEach((c) => {
    const grid = c.figure.closest('.charts');
    c.plot.setSize({ width: grid && [...grid.children].filter(drawn).length > 1 ? HALF : PAPER, height: flat * height(c.o) });
  }));
  window.addEventListener('afterprint', () => live.forEach((c) => c.plot.setSize({ width: c.plot.root.parentElement.clientWidth || PAPER, height: height(c.o) })));

  /**
   * Draws a chart into parent. The legend of a line says its data, or what is
   * shown of it; key takes keys other than the arrows' with the point, moved a
   * new point, and what they return is said.
   */
  T.chart = function (parent, o) {
    if (o.time !== false) o.xRange = T.span();
    const figure = el('figure', { class: 'chart', id: o.id });
    const legend = el('div', { class: 'legend' });
    const holder = el('div', { class: 'plot', tabindex: '0', role: 'group', 'aria-roledescription': 'chart' });
    const voice = el('p', { class: 'voice', 'aria-live': 'polite' });
    const note = el('span');
    figure.append(el('figcaption', null, el('strong', null, o.title), o.note && note), legend, holder, voice);
    if (o.extra) figure.append(o.extra);
    const words = (now) => { note.textContent = now.note || ''; holder.setAttribute('aria-label', now.label + '. Arrow keys read it point by point.'); };
    words(o);
    const chart = { o, plot: null, figure, buttons: [], words };
    chart.table = table(chart);
    figure.append(chart.table.element);
    parent.append(figure);

    chart.plot = new uPlot(options(chart, holder), [o.x, ...o.lines.map((l) => l.data)], holder);
    buttons(chart, legend);
    T.steady(legend);
    keyboard(chart, holder, voice);
    let width = holder.clientWidth;
    new ResizeObserver(() => {
      if (holder.clientWidth === width || holder.clientWidth === 0) return;
      width = holder.clientWidth;
      chart.plot.setSize({ width, height: height(o) });
    }).observe(holder);
    live.push(chart);
    return chart;
  };

  /**
   * Gives a chart other figures, of as many lines: a line that the reader
   * switched off stays off, and a stretch of time that was zoomed into stays.
   */
  T.update = function (chart, o) {
    const { min, max } = chart.plot.scales.x, all = chart.o.xRange || [chart.o.x[0], chart.o.x[chart.o.x.length - 1]];
    const zoomed = min !== null && (min > all[0] || max < all[1]);
    if (o.time !== false) o.xRange = T.span();
    chart.o = o;
    chart.plot.setData([o.x, ...o.lines.map((l) => l.data)], !zoomed);
    if (zoomed) chart.plot.redraw(true);
    const idx = chart.plot.cursor.idx;
    read(chart, idx === undefined ? null : idx);
    chart.words(o);
    chart.table.refresh();
  };

  /**
   * Lines of groups that stand one upon the other, the first at the bottom. Each
   * is drawn at the height of the sum up to it, tallest first, so that the
   * lower ones cover it.
   */
  T.stacked = function (groups) {
    const bars = uPlot.paths.bars({ size: [0.9, 40], gap: 0 });
    return groups.map((g, i) => ({
      label: g.label, color: g.color, fill: g.color, width: 0, paths: bars, total: g.total,
      data: T.column((s) => groups.slice(0, i + 1).reduce((n, h) => n + h.of(s), 0) || null), shown: T.column(g.of),
    })).reverse();
  };

  /** Words that change as one points at something never get lower, unless they get another width: what is below must not move. */
  T.steady = function (words) {
    let width = -1;
    new ResizeObserver(() => {
      if (words.clientWidth === 0) return;
      if (words.clientWidth !== width) words.style.minHeight = '';
      width = words.clientWidth;
      words.style.minHeight = words.offsetHeight + 'px';
    }).observe(words);
  };

  /** Start and end of what charts of time show: what the run's columns cover, or while it goes on what they are about to. */
  T.span = function () {
    const s = T.state.seconds, last = s[s.length - 1];
    if (!T.state.end) return T.spanSoFar(last ? last.t + last.d : 0);
    return last ? [s[0].t, last.t + last.d] : [0, 1];
  };

  const height = (o) => Math.round(T.rem(o.height || 12.5));

  function options(chart, holder) {
    const o = chart.o, time = o.time !== false;
    return {
      width: holder.clientWidth || 600,
      height: height(o),
      padding: [T.rem(0.9), T.rem(1.1), 0, 0],
      legend: { show: false },
      cursor: {
        points: { size: 7 },
        y: false,
        drag: { x: true, y: false, setScale: true },
        sync: time ? { key: 'run', setSeries: false, scales: ['x', null] } : undefined,
        bind: { dblclick: (u) => () => { reset(u, time); return null; } },
      },
      scales: {
        x: { time: false, range: (u, lo, hi) => { const { xRange, x } = chart.o; return xRange && (lo === null || lo <= x[0]) && (hi === null || hi >= x[x.length - 1]) ? xRange : [lo, hi]; } },
        y: { distr: o.log ? 3 : 1, range: o.range ? () => chart.o.range : linear },
      },
      series: [{}, ...o.lines.map((l) => ({
        label: l.label,
        show: !l.hidden,
        stroke: () => T.color(l.color),
        fill: l.fill ? () => T.color(l.fill) : undefined,
        width: l.width || 1.6,
        dash: l.dash,
        points: l.points ? { show: true, size: 5, fill: () => T.color(l.color) } : l.paths ? { show: false } : { show: true, size: 5, fill: () => T.color(l.color), filter: alone },
        paths: l.points ? () => null : l.paths,
        spanGaps: false,
      }))],
      axes: axes(o, time),
      hooks: hooks(chart, time),
    };
  }

  /** The points of line i that no stroke reaches, for what stands beside them is not known; of a chart of one or two points all. */
  function alone(u, i) {
    const v = u.data[i], none = (n) => v[n] === null || v[n] === undefined;
    return v.map((y, n) => n).filter((n) => !none(n) && (v.length < 3 || none(n - 1) && none(n + 1)));
  }

  function linear(u, lo, hi) {
    if (lo === null) return [0, 1];
    return [0, hi > 0 ? hi * 1.08 : 1];
  }

  function reset(u, time) {
    const all = time ? live.filter((c) => c.o.time !== false).map((c) => c.plot) : [u];
    all.forEach((p) => p.setScale('x', { min: p.data[0][0], max: p.data[0][p.data[0].length - 1] }));
  }

  function axes(o, time) {
    const common = () => /** @type {any} */ ({
      stroke: () => T.color('--muted'),
      font: T.font(0.72),
      grid: { stroke: () => T.color('--grid'), width: 1 },
      ticks: { show: false },
    });
    const x = Object.assign(common(), {
      size: T.rem(1.7),
      space: T.rem(4),
      values: o.xFormat ? (u, s) => s.map(o.xFormat) : (u, s) => s.map((v) => (v === null ? '' : T.offset(v))),
    });
    if (o.xTicks) x.splits = o.xTicks;
    if (time) x.grid = { show: false };
    const tick = o.tick || o.format;
    const y = Object.assign(common(), {
      size: T.rem(3.7),
      space: T.rem(2),
      values: (u, s) => s.map((v) => (v === null ? '' : tick(v))),
    });
    if (o.log) y.splits = logTicks;
    if (o.log) y.filter = (u, s) => s;
    return [x, y];
  }

  /** 1, 2, 5 per decade; fewer when there are many decades. */
  function logTicks(u) {
    const { min, max } = u.scales.y;
    const decades = Math.log10(max / min);
    const steps = decades > 4 ? [1] : decades > 2.2 ? [1, 3] : decades > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
    const out = [];
    for (let e = Math.floor(Math.log10(min)); e <= Math.ceil(Math.log10(max)); e++) {
      for (const s of steps) {
        const v = Number((s * 10 ** e).toPrecision(3));
        if (v >= min && v <= max) out.push(v);
      }
    }
    return out;
  }
  T.logTicks = logTicks;

  function hooks(chart, time) {
    const o = chart.o;
    return {
      drawClear: [(u) => {
        if (time) bands(u);
        if (chart.o.paint) chart.o.paint(u);
      }],
      draw: [...(time && o.late !== false ? [late] : []), ...(o.over ? [o.over] : [])],
      setCursor: [(u) => {
        read(chart, u.cursor.idx);
        if (chart.o.hover && u.over.matches(':hover')) chart.o.hover(u); // not where another chart is pointed at
      }],
      ready: [(u) => {
        if (o.click) u.over.addEventListener('click', () => chart.o.click(u));
      }],
    };
  }

  /** Phases, as stripes with their names. */
  function bands(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.font = scaled(0.68, 600);
    ctx.textBaseline = 'top';
    T.state.config.phases.forEach((p, i) => {
      const a = Math.max(u.valToPos(p.start, 'x', true), bbox.left), b = Math.min(u.valToPos(p.end, 'x', true), bbox.left + bbox.width);
      if (b <= a) return;
      if (i % 2 === 0) {
        ctx.fillStyle = T.color('--band');
        ctx.fillRect(a, bbox.top, b - a, bbox.height);
      }
      if (i > 0) {
        ctx.fillStyle = T.color('--line');
        ctx.fillRect(Math.round(a), bbox.top - 12 * devicePixelRatio, devicePixelRatio, bbox.height + 12 * devicePixelRatio);
      }
      ctx.fillStyle = T.color('--muted');
      if (ctx.measureText(p.name).width < b - a - 8) ctx.fillText(p.name, a + 4 * devicePixelRatio, bbox.top - T.rem(0.8) * devicePixelRatio);
    });
    ctx.restore();
  }

  const scaled = (rem, weight) => weight + ' ' + T.font(rem * devicePixelRatio);

  /** Late seconds: a mark under the plot. */
  function late(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = T.color('--warn-strong');
    for (const s of T.state.seconds) {
      if (!s.late) continue;
      const a = Math.max(u.valToPos(s.t, 'x', true), bbox.left), b = Math.min(u.valToPos(s.t + s.d, 'x', true), bbox.left + bbox.width);
      if (b > a) ctx.fillRect(a, bbox.top + bbox.height - 3 * devicePixelRatio, Math.max(b - a - 1, 1), 3 * devicePixelRatio);
    }
    ctx.restore();
  }

  function buttons(chart, legend) {
    chart.o.lines.forEach((l, i) => {
      const value = el('b');
      const b = el('button', { type: 'button', 'aria-pressed': l.hidden ? 'false' : 'true', class: l.dash ? 'dashed' : false, vars: { '--swatch': 'var(' + l.color + ')' } },
        el('i', { 'aria-hidden': 'true' }), l.label, ' ', value);
      b.addEventListener('click', () => {
        const show = b.getAttribute('aria-pressed') !== 'true';
        b.setAttribute('aria-pressed', String(show));
        chart.plot.setSeries(i + 1, { show });
      });
      chart.buttons.push(value);
      legend.append(b);
    });
    chart.at = el('span', { class: 'at' });
    legend.append(chart.at);
    read(chart, null);
  }

  /** Shows the figures of a point in the legend; the totals when there is none. */
  function read(chart, idx) {
    const o = chart.o;
    if (!chart.at) return;
    const none = idx === null || idx === undefined;
    chart.at.textContent = none ? '' : (o.xName ? o.xName(o.x[idx]) : 'at ' + T.offset(o.x[idx]));
    o.lines.forEach((l, i) => {
      const v = none ? null : (l.shown || l.data)[idx];
      chart.buttons[i].textContent = none ? l.total || '' : v === null || v === undefined ? '–' : (l.format || o.format)(v);
    });
  }

  function keyboard(chart, holder, voice) {
    let idx = -1;
    holder.addEventListener('keydown', (e) => {
      const last = chart.o.x.length - 1;
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[e.key];
      if (last < 0 || e.altKey || e.ctrlKey || e.metaKey) return;
      if (move === undefined) {
        const text = chart.o.key ? chart.o.key(e.key, Math.max(idx, 0)) : null;
        if (text === null || text === undefined) return;
        e.preventDefault();
        voice.textContent = text;
        return;
      }
      e.preventDefault();
      idx = Math.min(last, Math.max(0, idx + move));
      const u = chart.plot;
      u.setCursor({ left: u.valToPos(chart.o.x[idx], 'x'), top: 10 });
      voice.textContent = chart.at.textContent + ': ' + chart.o.lines.map((l, i) => l.label + ' ' + chart.buttons[i].textContent).join(', ') + (chart.o.moved ? '. ' + chart.o.moved(idx) : '');
    });
    holder.addEventListener('blur', () => { idx = -1; });
  }

  /** The chart's figures as a table, made when it is opened. */
  function table(chart) {
    const title = chart.o.title;
    const body = el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Figures: ' + title });
    const d = el('details', { class: 'figures' }, el('summary', null, 'Figures, CSV, PNG'), body);
    let made = null;
    const refresh = () => {
      const o = chart.o;
      if (!d.open || made === o) return;
      made = o;
      const rows = o.x.map((x, i) => [o.xName ? o.xName(x) : T.offset(x),
        ...o.lines.map((l) => { const v = (l.shown || l.data)[i]; return v === null || v === undefined ? '–' : (l.format || o.format)(v); })]);
      T.fill(body, T.table([o.xName ? '' : 'time', ...o.lines.map((l) => l.label)], rows, { numbers: 1 }));
    };
    d.append(el('div', { class: 'downloads' }, el('button', { type: 'button', class: 'copy csv', onclick: () => download(chart.o) }, 'Download CSV'), T.pictureButton(() => T.pictureOf(chart, options))));
    d.addEventListener('toggle', refresh);
    return { element: d, refresh };
  }

  /** Hands the figures of a chart over as a file, in seconds, bytes and other units without a prefix. */
  function download(o) {
    const quoted = (v) => (/[",\n]/.test(v) || /^[=+@-]/.test(v) ? '"' + (/^[=+@-]/.test(v) ? "'" : '') + v.replace(/"/g, '""') + '"' : v);
    const lines = [[o.xHead || (o.time === false ? 'x' : 'seconds since the start'), ...o.lines.map((l) => l.label)].map(quoted).join(',')];
    const cell = (l, i) => {
      const shown = (l.shown || l.data)[i], v = l.raw && shown ? l.raw(shown) : shown;
      return v === null || v === undefined ? '' : typeof v === 'string' ? quoted(v) : v;
    };
    o.x.forEach((x, i) => lines.push([x, ...o.lines.map((l) => cell(l, i))].join(',')));
    T.save(new Blob([lines.join('\n') + '\n'], { type: 'text/csv' }), o.title, '.csv');
  }

  /**
   * A table. Cells are text or nodes; a row may be {cells, keys, class, id}. From
   * column o.numbers on, cells are figures; from column o.words on, text again.
   * Where there are rows to sort and every one has keys, a button in a head
   * sorts by its column's; a column whose keys are undefined has none.
   */
  T.table = function (head, rows, o) {
    const from = o && o.numbers !== undefined ? o.numbers : head.length;
    const to = o && o.words !== undefined ? o.words : head.length;
    const cls = (i) => (i >= from && i < to ? 'n' : false);
    const list = rows.map((r) => (Array.isArray(r) ? { cells: r } : r));
    const body = el('tbody', null, list.map((row) => el('tr', { class: row.class, id: row.id }, row.cells.map((c, i) => (i === 0
      ? el('th', { scope: 'row', class: cls(i) }, c)
      : el('td', { class: cls(i) }, c))))));
    const keys = list.length > 1 && list.every((row) => row.keys) ? list.map((row) => row.keys) : null;
    return el('table', { class: o && o.class },
      o && o.caption && el('caption', null, o.caption),
      el('thead', null, el('tr', null, head.map((h, i) => (h === '' ? el('td') : el('th', { scope: 'col', class: cls(i) }, keys && keys.some((k) => k[i] !== undefined) ? sorter(h, i, keys, body) : h))))),
      body);
  };

  /** The button of a head that sorts rows by column i: figures from the largest, words from A, then the other way. */
  function sorter(h, i, keys, body) {
    const rows = [...body.rows], words = keys.some((k) => typeof k[i] === 'string');
    const b = el('button', { type: 'button', class: 'sort' }, h, el('i', { 'aria-hidden': 'true' }));
    b.addEventListener('click', () => {
      const th = b.parentElement, now = th.getAttribute('aria-sort');
      const down = now ? now === 'ascending' : !words;
      for (const other of th.parentElement.children) other.removeAttribute('aria-sort');
      th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const none = (v) => v === undefined || v === null;
      const order = rows.map((row, n) => n).sort((x, y) => {
        const a = keys[x][i], z = keys[y][i];
        if (none(a) || none(z)) return Number(none(a)) - Number(none(z)) || x - y; // what has no figure comes last
        return (a < z ? -1 : a > z ? 1 : 0) * (down ? -1 : 1) || x - y;
      });
      body.append(...order.map((n) => rows[n]));
    });
    return b;
  }

  /** A table that scrolls sideways when it must. */
  T.wide = (label, table) => el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, table);

  /** A part that is folded until somebody opens it, follows a link into it, finds a word of it with a find-in-page that opens such parts, or prints. The summary says what is inside. */
  T.fold = (summary, ...children) => el('details', { class: 'fold' }, el('summary', null, summary), children);

  const MOST = 8; // rows of a table that stands there unfolded

  /** A table of one row for each of many, folded when there are too many to read in passing. */
  T.rows = (label, what, n, table) => (n > MOST ? T.fold(label + ': ' + what, T.wide(label, table)) : T.wide(label, table));

  /** A place that has nothing to show, and how to fill it. */
  T.empty = (why, ...how) => el('div', { class: 'empty' }, el('p', null, why), how);

  /** Empties a place that holds charts. */
  T.drop = function (holder) {
    for (let i = live.length - 1; i >= 0; i--) {
      if (!holder.contains(live[i].figure)) continue;
      live[i].plot.destroy();
      live.splice(i, 1);
    }
    holder.textContent = '';
  };
})(window.Taillight);
