'use strict';
// The feed: events come in, whatever brings them, and change the one state
// that the page draws.
(function (T) {
  /** What the events so far add up to. */
  T.state = {
    /** @type {?Object} what is known at the start */ config: null,
    /** @type {Object[]} one per column of time */ seconds: [],
    /** @type {?Object} what is known at the end */ end: null,
    /** @type {string} what a run that goes on waits for */ stage: '',
    /** @type {boolean} whether that is after its load */ after: false,
    /** @type {string} why a run has no end */ failed: '',
  };

  /**
   * Applies one event.
   * @param {{type: string}} event
   */
  T.apply = function (event) {
    switch (event.type) {
      case 'config': T.state.config = event; T.state.seconds = []; T.state.end = null; T.state.after = false; break;
      case 'second': second(event); break;
      case 'end': T.state.end = event; break;
      case 'stage': T.state.stage = event.stage; T.state.after = T.state.seconds.length > 0; break;
      case 'failed': T.state.failed = event.error; break;
    }
  };

  /** A column that goes on replaces itself. */
  function second(event) {
    const all = T.state.seconds, last = all[all.length - 1];
    if (last && last.t === event.t) all[all.length - 1] = event;
    else all.push(event);
  }

  /**
   * Inflates the events of a report and applies them.
   * @param {string} text  gzipped JSON lines in base64
   */
  T.replay = async function (text) {
    const packed = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    const lines = await new Response(stream).text();
    for (const line of lines.split('\n')) if (line) T.apply(JSON.parse(line));
  };

  /** A stream that says nothing for so long is dead, ms: it tells itself every 5 s. */
  const silence = 15000;

  /**
   * Follows the events of a run that goes on, and applies them. A connection
   * that is lost is made again, and goes on after the last event that came.
   * @param {string} url  of the stream
   * @param {{changed: function(), lost: function(), back: function(), ended: function(?Error)}} on
   *   changed after each event; ended once, when the report is there, or with an error when it could not be read
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
      if (last && last.split('-')[0] !== e.lastEventId.split('-')[0]) Object.assign(T.state, { config: null, seconds: [], end: null, stage: '', after: false, failed: '' });
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
    function open() {
      source = new EventSource(last ? url + '?after=' + encodeURIComponent(last) : url);
      source.onopen = () => { alive(); on.back(); };
      source.onmessage = receive;
      source.addEventListener('beat', alive);
      source.onerror = () => {
        on.lost();
        if (source.readyState === EventSource.CLOSED) again(2000); // an answer that is no stream; a browser gives up then
      };
    }
    open();
  };

  /** The column of one figure over time. */
  T.column = (f) => T.state.seconds.map(f);

  /** Middles of the columns, in seconds since the start. */
  T.times = () => T.state.seconds.map((s) => s.t + s.d / 2);

  /** The curve of a scope ("all", "phase", "step") and kind, or undefined. */
  T.curve = function (scope, name, kind) {
    return T.state.end.curves.find((c) => c.scope === scope && (c.name || '') === name && c.kind === kind);
  };

  /** Text of a command that a shell reads back as the same words. */
  T.shell = function (words) {
    return words.map((w) => (/^[\w@%+=:,./-]+$/.test(w) ? w : "'" + w.replace(/'/g, "'\\''") + "'")).join(' ');
  };
})(window.Taillight);
