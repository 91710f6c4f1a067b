'use strict';
// What is drawn as a file: a chart with its title, legend and run around it.
(function (T) {
  const el = T.el;
  const SCALE = 2; // pixels of a picture per pixel of the page
  const EDGE = 16, LINE = 20; // pixels of the page

  /**
   * Hands a file over, named after the run and what it shows.
   * @param {Blob} blob
   * @param {string} title
   * @param {string} ending  with its dot
   */
  T.save = function (blob, title, ending) {
    const c = T.state.config, url = URL.createObjectURL(blob);
    const name = [c ? c.id : 'comparison', title].join(' ').replace(/[^A-Za-z0-9.-]+/g, '-') + ending;
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000); // once the browser has taken it
  };

  /** The button that hands a drawing over as PNG, in the theme of the page. @param {() => Drawing | Promise<Drawing>} make */
  T.pictureButton = function (make) {
    return el('button', { type: 'button', class: 'copy png', onclick: async () => {
      const d = await make();
      framed(d).toBlob((blob) => T.save(blob, d.title, '.png'));
    } }, 'Download PNG');
  };

  /**
   * A chart drawn anew, as it is zoomed and with the lines that it shows, at
   * the scale of a picture whatever the screen's.
   * @param {Chart} chart
   * @param {(chart: any, holder: any) => any} options  of uPlot
   */
  T.pictureOf = async function (chart, options) {
    const { o, plot, figure } = chart, { min, max } = plot.scales.x;
    const lines = o.lines.map((l, i) => ({ ...l, hidden: !plot.series[i + 1].show }));
    const own = options({ o: { ...o, lines, click: undefined }, figure }, { clientWidth: plot.width });
    const copy = new uPlot({ ...own, cursor: { show: false } }, plot.data);
    // All that uPlot and the chart's own hooks draw goes through one transform:
    // none of them need know of it, so lines and letters grow alike.
    const { canvas } = copy.ctx, proto = HTMLCanvasElement.prototype, factor = SCALE / devicePixelRatio;
    for (const side of ['width', 'height']) {
      const { get, set } = Object.getOwnPropertyDescriptor(proto, side);
      Object.defineProperty(canvas, side, { configurable: true, get: () => Math.round(get.call(canvas) / factor), set: (v) => { set.call(canvas, Math.round(v * factor)); copy.ctx.setTransform(factor, 0, 0, factor, 0, 0); } });
    }
    if (min !== null) copy.setScale('x', { min, max });
    await Promise.resolve(); // uPlot draws at the end of the turn
    for (const side of ['width', 'height']) delete canvas[side];
    copy.destroy();
    return { title: o.title, note: o.note, lines: lines.filter((l) => !l.hidden), keys: figure.querySelectorAll('.key, .scale'), canvas };
  };

  /** A canvas of a picture for what takes so much of the page. */
  T.blank = (width, height) => el('canvas', { width: Math.round(width * SCALE), height: Math.round(height * SCALE) });

  /** A drawing with what tells of it. @param {Drawing} d */
  function framed(d) {
    const width = d.canvas.width / SCALE + 2 * EDGE;
    const head = [{ text: d.title, font: T.font(1), weight: '650 ', color: '--ink' }, { text: d.note || '', color: '--muted' }].filter((i) => i.text);
    const legend = d.lines.map((l) => ({ text: l.label, more: l.total || '', color: '--soft', paint: stroke(l) }));
    const foot = [{ text: ['Taillight', ...origin()].filter((t) => t && t !== '–').join(' · '), color: '--muted' }];
    const measure = el('canvas').getContext('2d');
    const rows = (items) => flow(measure, items, width - 2 * EDGE);
    const above = [head, legend].flatMap(rows), below = [...d.keys].flatMap((k) => rows(keyed(k))).concat(rows(foot));
    const height = 2 * EDGE + LINE * (above.length + below.length) + 12 + d.canvas.height / SCALE;
    const out = T.blank(width, height), ctx = out.getContext('2d');
    ctx.fillStyle = T.color('--card');
    ctx.fillRect(0, 0, out.width, out.height);
    ctx.scale(SCALE, SCALE);
    write(ctx, above, EDGE);
    const top = EDGE + LINE * above.length + 6;
    ctx.drawImage(d.canvas, EDGE, top, d.canvas.width / SCALE, d.canvas.height / SCALE);
    write(ctx, below, top + d.canvas.height / SCALE + 6);
    return out;
  }

  /** What the page is of: a run, a test of pairs, or two runs side by side. */
  function origin() {
    const { config: c, end } = T.state, runs = end && end.compared && end.compared.runs;
    if (runs) return [runs.a.id && 'A ' + runs.a.id + ' against B ' + runs.b.id];
    return c ? [c.name, c.id, T.wall(c.started)] : [];
  }

  const MARK = 20, GAP = 18; // pixels of a mark with its room, and between two entries

  /** Entries side by side, in as many rows as they take. */
  function flow(ctx, items, width) {
    const rows = [];
    let x = Infinity;
    for (const i of items) {
      ctx.font = font(i);
      const text = i.text + (i.more ? ' ' + i.more : ''), wide = ctx.measureText(text).width + (i.paint ? MARK : 0);
      if (x + wide > width) { rows.push([]); x = 0; }
      rows[rows.length - 1].push({ ...i, text, x, most: width - x - (i.paint ? MARK : 0) });
      x += wide + GAP;
    }
    return rows;
  }

  const font = (i) => (i.weight || '') + (i.font || T.font(0.8));

  function write(ctx, rows, top) {
    ctx.textBaseline = 'middle';
    ctx.textAlign = 'left';
    rows.forEach((row, n) => row.forEach((i) => {
      const y = top + LINE * (n + 0.5), x = EDGE + i.x;
      if (i.paint) i.paint(ctx, x, y);
      ctx.font = font(i);
      ctx.fillStyle = T.color(i.color);
      ctx.fillText(i.text, x + (i.paint ? MARK : 0), y, i.most);
    }));
  }

  /** The mark of a line in the legend. */
  const stroke = (l) => (ctx, x, y) => {
    ctx.strokeStyle = T.color(l.width === 0 && l.fill ? l.fill : l.color);
    ctx.lineWidth = 3;
    ctx.setLineDash(l.dash ? [4, 3] : []);
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x + 14, y);
    ctx.stroke();
    ctx.setLineDash([]);
  };

  /** The entries of a key as the page shows it: their marks by their own style. */
  function keyed(key) {
    if (key.matches('.scale')) {
      const [from, to, what] = [...key.querySelectorAll('span')].map((s) => s.textContent);
      return [{ text: from + ' to ' + to + ' ' + what, color: '--muted', paint: steps }];
    }
    return [...key.querySelectorAll('li')].map((li) => {
      const mark = li.querySelector('i');
      return { text: li.textContent.trim(), color: '--soft', paint: mark && shape(getComputedStyle(mark)) };
    });
  }

  const steps = (ctx, x, y) => [1, 2, 3, 4, 5].forEach((n) => { ctx.fillStyle = T.color('--heat-' + n); ctx.fillRect(x + 3 * (n - 1), y - 5, 3, 10); });

  /** A swatch, round, square or turned; a line where it has no height; an outline where it has no ground. */
  const shape = (s) => (ctx, x, y) => {
    const { backgroundColor: ground, borderTopColor: border, borderTopWidth: thick } = s, flat = s.height === '0px' || parseFloat(s.height) <= parseFloat(thick);
    ctx.save();
    ctx.translate(x + 7, y);
    if (s.transform !== 'none') ctx.rotate(Math.PI / 4);
    ctx.fillStyle = ground;
    ctx.strokeStyle = border;
    ctx.lineWidth = 2;
    ctx.beginPath();
    if (flat) { ctx.setLineDash([4, 2]); ctx.moveTo(-7, 0); ctx.lineTo(7, 0); } else if (s.borderTopLeftRadius === '50%') ctx.arc(0, 0, 5, 0, 2 * Math.PI); else ctx.rect(-5, -5, 10, 10);
    if (!flat) ctx.fill();
    if (parseFloat(thick) > 0) ctx.stroke();
    ctx.restore();
  };
})(window.Taillight);
