'use strict';
// What a reader has typed and chosen, kept for this tab, so that a page that is
// loaded again stands as it stood.
(function (T) {
  const key = 'taillight-console';

  /** @type {{draft: Object<string, string>, sort: {by: string, down: boolean}, name: string, verdict: string, picked: string[], swapped: boolean, token: string}} */
  T.kept = { draft: {}, sort: { by: 'started', down: true }, name: '', verdict: '', picked: [], swapped: false, token: '' };

  try {
    const before = JSON.parse(sessionStorage.getItem(key) || '{}');
    for (const name of Object.keys(T.kept)) if (typeof before[name] === typeof T.kept[name]) T.kept[name] = before[name];
    if (!Array.isArray(T.kept.picked)) T.kept.picked = [];
  } catch (e) { /* no storage, or not ours: start afresh */ }

  T.keep = function () {
    try { sessionStorage.setItem(key, JSON.stringify(T.kept)); } catch (e) { /* what is typed lives as long as the page */ }
  };
})(window.Taillight);
