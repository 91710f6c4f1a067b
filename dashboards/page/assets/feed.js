'use strict';
// The feed: events come in, whatever brings them, and change the one state
// that the page draws.
(function (T) {
  /** What the events so far add up to. */
  T.state = {
    /** @type {?Object} what is known at the start */ config: null,
    /** @type {Object[]} one per column of time */ seconds: [],
    /** @type {?Standing} how the thresholds stand while the run goes on */ standing: null,
    /** @type {?Object} what is known at the end */ end: null,
    /** @type {string} what a run that goes on waits for */ stage: '',
    /** @type {boolean} whether that is after its load */ after: false,
    /** @type {string} why a run has no end */ failed: '',
  };

  /**
   * Applies one event.
   * @param {any} event  a config, second or end, as the folder browsertest/types has them
   */
  T.apply = function (event) {
    switch (event.type) {
      case 'config': T.state.config = event; T.state.seconds = []; T.state.standing = null; T.state.end = null; T.state.after = false; break;
      case 'second': second(event); break;
      case 'thresholds': T.state.standing = event; break;
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
