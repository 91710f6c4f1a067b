'use strict';
// The feed of a run that goes on: server-sent events. A report has no need of
// this script, and does not hold it.
(function (T) {
  /** A stream that says nothing for so long is dead, ms: it tells itself every 5 s. */
  const silence = 15000;

  /**
   * Follows the events of a run that goes on, and applies them. A connection
   * that is lost is made again, and goes on after the last event that came.
   * @param {string} url  of the stream
   * @param {Following} on
   *   changed after each event; ended once, when the report is there, or with an error when it could not be read; gone
   *   once, when nobody knows the run any more
   */
  T.follow = function (url, on) {
    let source, watch, last = '';
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => { on.lost(); again(); }, silence);
    };
    const again = (wait) => {
      source.close();
      clearTimeout(watch);
      setTimeout(open, wait || 0);
    };
    const close = () => { source.close(); clearTimeout(watch); };
    async function receive(e) {
      // Before a dash stands whose events these are: another run may have come to the same address.
      if (last && last.split('-')[0] !== e.lastEventId.split('-')[0]) Object.assign(T.state, { config: null, seconds: [], standing: null, end: null, stage: '', after: false, failed: '' });
      last = e.lastEventId;
      alive();
      const event = JSON.parse(e.data);
      if (event.type !== 'report') {
        T.apply(event);
        if (event.type === 'failed') close();
        on.changed();
        return;
      }
      close();
      try { await T.replay(event.events); } catch (err) { on.ended(err); return; }
      on.ended(null);
    }
    const next = () => (last ? url + '?after=' + encodeURIComponent(last) : url);
    /** Asks what the answer was, which an event source does not tell, and whether there is anything to come back for. */
    async function ask() {
      clearTimeout(watch);
      const enough = new AbortController();
      let status = 0;
      try { status = (await fetch(next(), { signal: enough.signal, credentials: 'omit' })).status; } catch (e) { /* nobody answers */ }
      enough.abort();
      if (status === 404 || status === 204) on.gone();
      else again(2000);
    }
    function open() {
      source = new EventSource(next());
      source.onopen = () => { alive(); on.back(); };
      source.onmessage = receive;
      source.addEventListener('beat', alive);
      source.onerror = () => {
        on.lost();
        if (source.readyState === EventSource.CLOSED) ask(); // an answer that is no stream: a browser gives up then
      };
    }
    open();
  };
})(window.Taillight);
