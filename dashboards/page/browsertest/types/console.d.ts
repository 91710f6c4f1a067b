// What the scripts of serve's page share beside the basics, and what they are
// told by the API of serve.

/** A run of GET /api/runs: counts are of requests, times are seconds, and 0 is none where none is possible. */
interface Run {
  id: string; name: string; verdict: string; reason: string; started: string; ended: string; running: boolean; target: string;
  users: number; rate: number; planned: number; sent: number; completed: number; failed: number; unsent: number;
  rate_per_s: number; n: number; p50_s: number; p95_s: number; p99_s: number; tier: string; report: boolean;
}

/** A built-in test of GET /api/tests. */
interface Test {
  name: string; summary: string; model: 'users' | 'rate' | 'mixed'; users: number; spawn_rate: number; rate: number;
  run_time_s: number; think: string; thresholds: string[];
}

/** What GET /api/tests offers. */
interface Offered { tests: Test[]; host: string; hosts: string[]; limits: { users: number; rate: number; run_time_s: number }; may_start: boolean; running: string }

/** The last event of a run: the exit status, and why there is no result where there is none. */
interface Ended { exit: number; error?: string }

interface Kept {
  draft: Record<string, string>; sort: { by: string; down: boolean }; name: string; verdict: string; picked: string[]; swapped: boolean; token: string;
}

interface Taillight extends Basics {
  // the way to the server
  api(method: string, path: string, body?: object): Promise<any>;
  path(id: string): string;
  file(id: string, name: string): string;
  follow(id: string, on: { begin: () => void; back: () => void; lost: (gone: boolean, full: boolean) => void; event: (kind: string, data: any) => void }): { close: () => void };
  tokenFromAddress(): void;
  // what is kept for the tab
  kept: Kept;
  keep(): void;
  // parts
  field(label: string, control: HTMLElement, o?: { hint?: Child; unit?: string; class?: string }): HTMLElement;
  hint(control: HTMLElement, ...text: Child[]): Element;
  verdictWords: [string, string][];
  verdict(verdict: string): HTMLElement;
  verdictSentence(r: Run): string;
  spark(values: (number | null | undefined)[], css: string, places: number): SVGElement;
  say(text: string): void;
  problem(holder: HTMLElement, text: string): void;
  number(v: number | null | undefined): string;
  // what stands on the page
  form(started: (id: string) => void): { node: HTMLFormElement; show: (offered: Offered) => void };
  running(id: string, ended: (end: Ended | null) => void): { node: HTMLElement; id: string; focus: () => void; close: () => void };
  ended(run: Run | undefined, end: Ended | null, close: () => void): HTMLElement;
  runs(picked: () => void): { node: HTMLElement; show: (runs: Run[]) => void; redraw: () => void; find: (id: string) => Run | undefined };
  comparing(find: (id: string) => Run | undefined, changed: () => void): { node: HTMLElement; show: (busy: boolean) => void };
}
