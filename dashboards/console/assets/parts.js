'use strict';
// Small parts: fields with their hints, verdicts, sparklines, spoken news.
(function (T) {
  const el = T.el;

  /**
   * A labelled control with a hint under it.
   * @param {string} label
   * @param {HTMLElement} control  has an id
   * @param {{hint?: Child, unit?: string, class?: string}=} o
   */
  T.field = function (label, control, o) {
    const hint = el('small', { id: control.id + '-hint', class: 'hint-line' }, o && o.hint);
    control.setAttribute('aria-describedby', hint.id);
    return el('div', { class: 'field ' + ((o && o.class) || '') },
      el('label', { for: control.id }, label, o && o.unit && el('span', { class: 'unit' }, ' ' + o.unit)), control, hint);
  };

  /** Replaces the hint of a field. */
  T.hint = (control, ...text) => T.fill(control.parentElement.querySelector('.hint-line'), ...text);

  const verdicts = {
    pass: ['yes', 'Pass', 'valid, and every threshold held'],
    fail: ['no', 'Fail', 'valid, and a threshold broke'],
    invalid: ['maybe', 'Invalid', 'the generator could not keep its plan, so the figures say nothing of the target'],
    aborted: ['maybe', 'Aborted', 'it was stopped, or did not live to judge itself'],
  };
  T.verdictWords = Object.entries(verdicts).map(([id, [, word]]) => [id, word]);

  /** A verdict as a word and a symbol: a colour alone says nothing to many. */
  T.verdict = function (verdict) {
    const [css, word, means] = verdicts[verdict] || ['off', verdict || 'none', 'no verdict'];
    return el('span', { class: 'mark ' + css, title: means }, word);
  };

  const svg = function (tag, attributes) {
    const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    return e;
  };

  /**
   * A line of the last values, from zero to the largest. It repeats what the
   * figure above it says, so it is hidden from readers that cannot see it.
   * @param {Array<?number>} values  newest last
   * @param {string} css             class that colours it
   * @param {number} places          how many values the width holds
   */
  T.spark = function (values, css, places) {
    const most = Math.max(...values.map((v) => v || 0)), w = 100, h = 24;
    const box = svg('svg', { viewBox: '0 0 ' + w + ' ' + h, preserveAspectRatio: 'none', class: 'spark ' + css, 'aria-hidden': 'true', focusable: 'false' });
    const at = (i) => (w * (i + places - values.length) / (places - 1)).toFixed(2);
    const up = (v) => (most > 0 ? h - 1 - (h - 3) * v / most : h - 1).toFixed(2);
    let line = '';
    values.forEach((v, i) => { if (v !== null && v !== undefined) line += (line ? 'L' : 'M') + at(i) + ' ' + up(v); });
    if (line && values.length > 1) box.append(svg('path', { d: line + 'L' + w + ' ' + h + 'L' + at(0) + ' ' + h + 'Z', class: 'area' }), svg('path', { d: line, class: 'line' }));
    return box;
  };

  /** Says something to those who listen to the page. */
  T.say = function (text) {
    const voice = document.getElementById('voice');
    if (voice) voice.textContent = text;
  };

  /** An error: what went wrong and, where there is one, the place in the plan. */
  T.problem = function (holder, text) {
    if (!text) { holder.hidden = true; holder.textContent = ''; return; }
    if (!holder.hidden && holder.dataset.text === text) return; // said already
    holder.dataset.text = text;
    const [first, ...rest] = String(text).split('\n');
    T.fill(holder, el('p', { class: 'mark no' }, first), rest.length > 0 && el('pre', { tabindex: '0' }, rest.join('\n')));
    holder.hidden = false;
  };

  T.number = (v) => (v === null || v === undefined || !isFinite(v) ? '–' : T.count(v));
})(window.Taillight);
