'use strict';
// The way to the server: JSON requests to the origin of the page, and the
// events of a run.
(function (T) {
  /**
   * An answer that is none: status 0 when the server did not answer at all.
   * @param {string} message
   * @param {number} status
   * @param {string=} id  of the run in the way
   */
  function Refused(message, status, id) {
    const e = new Error(message);
    return Object.assign(e, { status, id: id || '' });
  }

  /**
   * Asks the server.
   * @param {string} method
   * @param {string} path
   * @param {Object=} body  sent as JSON
   * @returns {Promise<any>}
   */
  T.api = async function (method, path, body) {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
    if (T.kept.token) headers.Authorization = 'Bearer ' + T.kept.token;
    let answer;
    try {
      answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: 'no-store', credentials: 'omit' });
    } catch (e) {
      throw Refused('taillight serve does not answer: is it still running?', 0);
    }
    let said = null;
    try { said = await answer.json(); } catch (e) { /* no JSON: the status has to do */ }
    if (!answer.ok) throw Refused((said && said.error) || 'the server answered ' + answer.status, answer.status, said && said.id);
    return said;
  };

  T.path = (id) => '/api/runs/' + encodeURIComponent(id);
  T.file = (id, name) => '/runs/' + encodeURIComponent(id) + '/' + name.split('/').map(encodeURIComponent).join('/');

  /** When to come back where there was no room for one more who follows, ms. */
  const roomAfter = 5000;

  /**
   * Follows a run to its end. A connection that was lost goes on where it was;
   * begin says that all is told from the start.
   * @param {string} id
   * @param {{begin: () => void, back: () => void, lost: (gone: boolean, full: boolean) => void, event: (kind: string, data: any) => void}} on
   * @returns {{close: () => void}}
   */
  T.follow = function (id, on) {
    let source, later;
    let closed = false;
    function open() {
      on.begin();
      source = new EventSource(T.path(id) + '/events');
      source.onopen = () => on.back();
      source.onerror = () => { if (source.readyState === EventSource.CLOSED) refused(); else on.lost(false, false); };
      for (const kind of ['start', 'progress', 'stage', 'change', 'end']) {
        source.addEventListener(kind, (e) => {
          if (kind === 'end') source.close();
          on.event(kind, JSON.parse(e.data));
        });
      }
    }
    /** An answer that is no stream: nobody knows the run any more, or as many follow as may. */
    async function refused() {
      let running = false;
      let full = false;
      try { running = full = (await T.api('GET', T.path(id))).running; } catch (e) { running = e.status !== 404; }
      if (closed) return;
      on.lost(!running, full);
      if (running) later = setTimeout(open, roomAfter);
    }
    open();
    return { close: () => { closed = true; source.close(); clearTimeout(later); } };
  };

  /** Takes a token from the address, where nobody but this page reads it. */
  T.tokenFromAddress = function () {
    const given = /^#token=(.+)$/.exec(location.hash);
    if (!given) return;
    try { T.kept.token = decodeURIComponent(given[1]); } catch (e) { T.kept.token = given[1]; }
    T.keep();
    history.replaceState(null, '', location.pathname + location.search);
  };
})(window.Taillight);
