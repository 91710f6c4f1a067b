'use strict';
// Two runs that were picked, and the way to their comparison.
(function (T) {
  const el = T.el;

  /**
   * @param {(id: string) => (Run | undefined)} find  a run by its id
   * @param {() => void} changed  called when the choice changed here
   */
  T.comparing = function (find, changed) {
    const node = el('div', { class: 'compare', role: 'group', 'aria-label': 'Compare two runs', hidden: true });
    const show = (busy) => {
      const runs = T.kept.picked.map(find).filter(Boolean);
      if (runs.length !== T.kept.picked.length) { T.kept.picked = runs.map((r) => r.id); T.keep(); }
      node.hidden = runs.length === 0;
      if (runs.length === 0) return;
      runs.sort((a, b) => (a.started < b.started ? -1 : 1)); // the older is the baseline
      const [a, b] = T.kept.swapped && runs.length === 2 ? [runs[1], runs[0]] : runs;
      const named = (r, letter) => el('span', { class: 'one' }, el('b', null, letter), ' ', r.name || r.id, el('small', null, ' ' + T.wall(r.started)));
      const clear = el('button', { type: 'button', onclick: () => { T.kept.picked = []; T.keep(); changed(); } }, 'Clear');
      if (!b) { T.fill(node, named(a, 'A'), el('span', null, 'Pick one more run to compare it with.'), clear); return; }
      T.fill(node, named(a, 'A, baseline'), named(b, 'B'),
        el('button', { type: 'button', onclick: () => { T.kept.swapped = !T.kept.swapped; T.keep(); changed(); } }, 'Swap'),
        busy ? el('span', { class: 'note' }, 'Comparing waits for the end of the run that goes on: it would take that run’s CPU.') :
          el('a', { class: 'primary', href: '/compare?a=' + encodeURIComponent(a.id) + '&b=' + encodeURIComponent(b.id) }, 'Compare'), clear);
    };
    return { node, show };
  };
})(window.Taillight);
