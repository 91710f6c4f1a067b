'use strict';
// The flame graph's arithmetic: stacks to a tree, a tree to rectangles, names
// to families. No drawing here.
(function (T) {
  /** Folds a StackSet into a tree. */
  T.flameTree = function (set) {
    const root = node(-1, null);
    for (const s of set.stacks) {
      let n = root;
      n.value += s.value; n.samples += s.samples;
      for (const f of s.frames) {
        let c = n.by.get(f);
        if (!c) { c = node(f, n); n.by.set(f, c); n.children.push(c); }
        c.value += s.value; c.samples += s.samples;
        n = c;
      }
      n.self += s.value;
    }
    T.flamePlace(root);
    return root;
  };

  const node = (frame, parent) => ({ frame, value: 0, self: 0, samples: 0, children: [], by: new Map(), parent, depth: parent ? parent.depth + 1 : 0, x: 0 });

  /** Lays children side by side, the largest first. */
  T.flamePlace = function (root) {
    const todo = [root];
    while (todo.length) {
      const n = todo.pop();
      n.children.sort((a, b) => b.value - a.value);
      let x = n.x;
      for (const c of n.children) { c.x = x; x += c.value; todo.push(c); }
    }
  };

  /** All nodes that are at least least wide, root first. */
  T.flameNodes = function (root, least) {
    const out = [], todo = [root];
    while (todo.length) {
      const n = todo.pop();
      out.push(n);
      for (let i = n.children.length - 1; i >= 0; i--) if (n.children[i].value >= least) todo.push(n.children[i]);
    }
    return out;
  };

  /** A function's name without its type parameters, which may hold paths of their own. */
  const plain = (name) => name.replace(/\[.*\]/, '[…]');

  /** The package of a function: the path up to the first dot after the last slash. */
  function packageOf(name) {
    const slash = name.lastIndexOf('/');
    const dot = name.indexOf('.', slash + 1);
    return dot < 0 ? '' : name.slice(0, dot);
  }

  /**
   * The family of a frame: the Go runtime, the standard library, a module, or
   * main. Assembly without a package is the runtime's; a name that is no Go
   * name belongs to "other code". Functions of other languages do not begin
   * with their package: theirs is the folder of their file.
   */
  T.family = function (frame) {
    if (/\.(?!(go|s)$)\w+$/.test(frame.file)) return /([^/]+)\/[^/]*$/.exec(frame.file)?.[1] || 'other code';
    const pkg = packageOf(plain(frame.function));
    if (!pkg) return /\.s$/.test(frame.file) ? 'Go runtime' : 'other code';
    if (pkg === 'runtime' || pkg.startsWith('runtime/') || pkg.startsWith('internal/runtime')) return 'Go runtime';
    if (pkg === 'main') return 'main';
    const parts = pkg.split('/');
    if (!parts[0].includes('.')) return 'standard library';
    const hosted = /^(github\.com|gitlab\.com|bitbucket\.org)$/.test(parts[0]);
    return parts.slice(0, hosted ? 3 : 2).join('/');
  };

  /** A function's name without the path of its package and its type parameters. */
  T.shortName = function (name) {
    const p = plain(name);
    return p.slice(p.lastIndexOf('/') + 1);
  };

  /** CPU nanoseconds per function, on it and below it, each stack counted once. */
  T.functions = function (set) {
    const by = new Map();
    const of = (f) => {
      const name = set.frames[f].function;
      if (!by.has(name)) by.set(name, { name, file: set.frames[f].file, line: set.frames[f].line, self: 0, total: 0, samples: 0 });
      return by.get(name);
    };
    for (const s of set.stacks) {
      const seen = new Set();
      for (const f of s.frames) {
        const g = of(f);
        if (!seen.has(g)) { seen.add(g); g.total += s.value; g.samples += s.samples; }
      }
      if (s.frames.length) of(s.frames[s.frames.length - 1]).self += s.value;
    }
    return [...by.values()];
  };

  /**
   * CPU per family: own, and with what it calls (each stack counted once).
   * The most visible families get colours of their own.
   */
  T.families = function (set) {
    const by = new Map();
    const of = (frame) => {
      const name = T.family(frame);
      if (!by.has(name)) by.set(name, { name, self: 0, total: 0, color: '' });
      return by.get(name);
    };
    for (const s of set.stacks) {
      const seen = new Set(s.frames.map((f) => of(set.frames[f])));
      for (const f of seen) f.total += s.value;
      if (s.frames.length) of(set.frames[s.frames[s.frames.length - 1]]).self += s.value;
    }
    const fixed = { 'Go runtime': '--f-runtime', 'standard library': '--f-std', 'other code': '--f-other' };
    let next = 1;
    for (const f of [...by.values()].sort((a, b) => b.total - a.total)) f.color = fixed[f.name] || '--f-' + Math.min(next++, 6);
    return [...by.values()].sort((a, b) => b.self - a.self);
  };
})(window.Taillight);
