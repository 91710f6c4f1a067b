// What the page's scripts share: the namespace they add to, and the events that
// they draw. tsc holds the scripts to it; nothing of it reaches a browser. What
// other pages share too is in basics.d.ts.

/** Components of a response with their nanoseconds. */
type Shares = [string, number][];

interface Interval { lo: number; hi: number }
interface Phase { name: string; load: string; start: number; end: number }

interface Config {
  type: 'config'; id: string; name: string; started: string; width: number; phases: Phase[];
  steps: { name: string; method: string; path: string; journey: string }[];
  drawn?: string[]; settings: { name: string; value: string }[];
  environment: any; // of run.json
  bins: { lowest: number; per_decade: number };
  boards?: { load_test: string; why_slow: string; trace: string };
}

interface Second {
  type: 'second'; t: number; d: number; phase: number; users: number; in_flight: number;
  planned: number; sent: number; ok: number; failed: number; unsent: number; bytes_in: number; bytes_out: number; errors?: Record<string, number>;
  cpu: number; throttled: number; late?: boolean; n: number;
  response?: number[]; service?: number[]; lag?: number[]; heat?: number[]; steps?: (number[] | null)[]; spent?: number[]; so_far?: SoFar;
}

/** What was counted and measured until now: the newest column has it while the run goes on; response is p50, p95, p99, max. */
interface SoFar { n: number; response?: number[]; steps: { name: string; planned: number; ok: number; failed: number; unsent: number; n: number; response?: number[] }[] }

interface Span { id: string; name: string; kind: string; service: string; parent: number; depth: number; at_ns: number; duration_ns: number; centred?: boolean; failed?: boolean; status?: string; attributes?: [string, string][] }

interface Exchange {
  n: number; iteration: number; step: string; phase: string; user: number; intended_ns: number; sent_ns: number; done_ns: number; timings_ns: number[];
  status: number; error?: string; detail?: string; bytes_in: number; bytes_out: number; reused: boolean;
  tcp?: { retrans: number; lost: number; rtt_ns: number; rttvar_ns: number };
  server_timing_ns?: number; trace_id?: string; sampled: boolean; kept: string; weight: number; spans?: Span[]; spans_cut?: number; gap_ns?: number; breakdown?: any;
}

interface Evidence { label: string; value?: number; unit?: string; text?: string; ref?: string }
interface Finding { id: string; title: string; severity: string; confidence: string; component?: string; claim: string; evidence?: Evidence[]; warnings?: string[]; hint?: string }

interface Trial {
  phase: string; purpose: string; rate_per_s: number; warm_up: number; length: number; verdict: string; why?: string; pooled?: number; planned: number; missed: number;
  share: number; share_at_least: number; share_at_most: number; achieved_per_s: number; p50: number; p99: number; in_flight: number;
}

interface Capacity {
  objective: string; step?: string; limit_s?: number; share: number; end: string; pass_per_s: number; fail_per_s: number; unclear?: boolean; failed_per_s: number;
  confirmed: boolean; moved?: boolean; recovered?: boolean; trials: Trial[]; laws?: any; saturated?: Finding[]; saturated_in?: string[]; unsaturated?: { id: string; title: string; why: string }[];
}

interface Quantile { q: number; value: number; lo?: number; hi?: number }
interface Probe { trial: number; n: number; median: Quantile; judged: Quantile; grade?: string; reasons?: string[] }

interface Frame { function: string; file?: string; line?: number }
interface StackSet { frames: Frame[]; stacks: { frames: number[]; samples: number; value: number }[]; samples: number; value: number; duration: number }

interface Difference {
  service: string; baseline: string; peak: string; a: DifferenceSide; b: DifferenceSide; global: number; detectable: number; frames: Frame[];
  nodes: { f: number; p: number; c: number[]; n: number[]; s?: boolean; r?: number[] }[]; deepest: number[];
}
interface DifferenceSide { segments: number; requests: number; samples: number; cpu: number }

interface SlowCPU { step: string; difference?: Difference; why?: string }

interface Compared {
  claim: string; answer: string; refused: boolean; exit: number; reports: [string, string]; anyway?: string; titles: Record<string, string>; cpu_silent?: string;
  runs?: any; // of compare --json
  test?: any; // of ab.json
}

interface End {
  type: 'end'; document: any; // run.json
  curves: { scope: string; name?: string; kind: string; n: number; step: number; values: number[]; max: number; p75: number; stddev: number }[];
  exchanges: Exchange[]; kept: number; profiles: { service: string; stacks: StackSet; merged: number; requests: number }[]; series: any[];
  components: string[]; calls: { func: string; file: string; line: number }[]; cohorts: any[]; difference?: Difference; probes?: Probe[]; slow_cpu?: SlowCPU[]; compared?: Compared;
  files: any[]; lost: string[]; cut: string[];
}

interface Line {
  label: string; color: string; data: (number | null)[]; dash?: number[]; width?: number; fill?: string; hidden?: boolean; paths?: Function;
  points?: boolean; shown?: any[]; format?: (v: any) => string; total?: string;
  raw?: (v: any) => number | string | null; // what a file has of a shown value that is not a number
}

interface ChartOptions {
  title: string; id?: string; note?: string; label: string; x: number[]; lines: Line[]; format: (v: number) => string; tick?: (v: number) => string;
  log?: boolean; range?: number[]; height?: number; time?: boolean; xTicks?: (u: any) => number[]; xFormat?: (v: number) => string; xRange?: number[]; xName?: (v: number) => string; xHead?: string;
  paint?: (u: any) => void; over?: (u: any) => void; click?: (u: any) => void; hover?: (u: any) => void; late?: boolean; extra?: Node;
  key?: (key: string, idx: number) => string | null; moved?: (idx: number) => string;
}
interface Chart { o: ChartOptions; plot: any; figure: HTMLElement; buttons: HTMLElement[]; words: (o: ChartOptions) => void; at?: HTMLElement; table?: { element: HTMLElement; refresh: () => void } }

/** What a picture shows: a canvas at its scale, and what stands around it. */
interface Drawing { title: string; note?: string; lines: Line[]; keys: Iterable<Element>; canvas: HTMLCanvasElement }

/** A threshold as it stands, of run.json. */
interface Threshold { text: string; metric: string; ok: boolean; no_data?: boolean; never?: boolean; observed: number; share?: number; n: number; at?: number; windows?: number; abort?: boolean }

/** How the thresholds stand while the run goes on, t seconds after its start. */
interface Standing { type: 'thresholds'; t: number; list: Threshold[]; cut?: number }

/** A cell of the heat map. */
interface Cell { from: number; to: number; lo: number; hi: number; n: number; text: string; name?: string }

interface FlameNode {
  frame: number; value: number; self?: number; samples: any; children: FlameNode[]; parent: FlameNode | null; depth: number; x: number;
  by?: Map<number, FlameNode>; cpu?: number[]; ratio?: number[] | null; significant?: boolean; all?: FlameNode[];
}
interface FlameOptions {
  root: FlameNode; frames: Frame[]; color: (n: FlameNode) => string; lines: (n: FlameNode) => string[]; all: string; label: string;
  found: (nodes: FlameNode[]) => string; meant?: boolean; ink?: (n: FlameNode) => string; key?: Element;
}
interface FlameGraph { search: (text: string) => void; show: (n: FlameNode) => void }
interface Component { id: string; name: string; doing: string; css: string }
interface Way { href: string; text: string; go: (ev?: Event) => void }
type Section = (section: HTMLElement) => void;
/** How the page stands to a run that goes on. */
type Connection = 'connecting' | 'live' | 'lost' | 'gone';
/** What the events so far add up to: stage, after and failed are of a run that goes on. */
interface State { config: Config | null; seconds: Second[]; standing: Standing | null; end: End | null; stage: string; after: boolean; failed: string }
interface Following { changed: () => void; lost: () => void; back: () => void; gone: () => void; ended: (err: Error | null) => void }

interface Taillight extends Basics {
  // the way through the page
  motion(): ScrollBehavior;
  go(e: Element): void;
  unfold(e: Element): void;
  // feed
  state: State;
  apply(event: any): void;
  replay(text: string): Promise<void>;
  column(f: (s: Second) => any): any[];
  times(): number[];
  curve(scope: string, name: string, kind: string): End['curves'][number] | undefined;
  shell(words: string[]): string;
  // charts
  chart(parent: HTMLElement, o: ChartOptions): Chart;
  update(chart: Chart, o: ChartOptions): void;
  /** Keeps an element at least as high as it has been at its width. */
  steady(words: HTMLElement): void;
  span(): [number, number];
  logTicks(u: any): number[];
  pairs(rows: Child[][]): HTMLElement;
  // files and pictures
  save(blob: Blob, title: string, ending: string): void;
  pictureButton(make: () => Drawing | Promise<Drawing>): HTMLElement;
  pictureOf(chart: Chart, options: (chart: any, holder: any) => any): Promise<Drawing>;
  blank(width: number, height: number): HTMLCanvasElement;
  // components and references
  component(id: string): Component;
  breakdown(x: Exchange): Shares;
  componentBar(parts: Shares, whole: number): HTMLElement;
  componentKey(ids: Set<string>): HTMLElement;
  componentsIn(exchanges: Exchange[]): Set<string>;
  tier(tier: string): string;
  codeLine(c: { func?: string; file?: string; line?: number }): string;
  flash(e: HTMLElement): void;
  reference(ref: string | undefined, e?: Evidence | null, finding?: Finding): Way | null;
  functionIn(text: string): string;
  // a run that goes on; the scripts of a report do not follow
  live(frame: () => Map<string, HTMLElement>, report: (stay?: boolean) => void): void;
  follow(url: string, on: Following): void;
  spanSoFar(now: number): [number, number];
  connection?: Connection;
  // flame graphs
  flameTree(set: StackSet): FlameNode;
  flamePlace(root: FlameNode): void;
  flameNodes(root: FlameNode, least: number): FlameNode[];
  family(frame: Frame): string;
  shortName(name: string): string;
  functions(set: StackSet): { name: string; file: string; line: number; self: number; total: number; samples: number }[];
  families(set: StackSet): { name: string; self: number; total: number; color: string }[];
  flame(holder: HTMLElement, o: FlameOptions): FlameGraph;
  place(f: Frame): string;
  functionCell(f: Frame, go: () => void): HTMLElement;
  difference(holder: HTMLElement, o?: { d?: Difference; what: string; none: string; takes: string }): FlameGraph | null;
  small(p: number): string;
  // sections of a report and what they share
  header(): HTMLElement;
  verdict: Section; capacity: Section; validity: Section; load: Section; latency: Section; errors: Section; slow: Section; exchanges: Section;
  cpu: Section; target: Section; environment: Section; rules: Section; files: Section;
  loadChart(said: string): ChartOptions;
  usersChart(): ChartOptions;
  /** Lines of groups, one upon the other. */
  stacked(groups: { label: string; color: string; of: (s: Second) => number; total: string }[]): Line[];
  bytesChart(): ChartOptions;
  spentChart(): ChartOptions | null;
  percentiles: string[];
  stepsChart(which: string, whole: (name: string) => number): ChartOptions | null;
  stepsChooser(draw: (which: string) => void): { element: HTMLElement; chosen: () => string };
  stepsNote(): string;
  steadyRate(): string;
  throughputChart(): ChartOptions;
  errorsChart(): ChartOptions | null;
  heatCells(u: any, edge: (bin: number) => number, most: number): void;
  findings(d: any): HTMLElement;
  told(f: Finding): Child;
  thresholdTable(list: Threshold[], words: [string, string, string], ender?: Threshold | null): HTMLElement;
  bracket(c: Capacity): string;
  times95(r: any): string;
  thin(n: number, q: number): boolean;
  bad(n: number): Child;
  columnWidth(): string;
  pointWidth(): string;
  timings: string[];
  partsOf(x: Exchange): Shares;
  exchangesIn(cell: Cell): Exchange[];
  showExchange(n: number, part?: () => boolean): void;
  filterExchanges(cell: Cell): void;
  waterfall(x: Exchange): HTMLElement;
  decomposition(x: Exchange): HTMLElement;
  markSpan(n: number, id: string): boolean;
  markLine(n: number, line: string): boolean;
  showFunction(name: string, mode: string): void;
  howToSend(): HTMLElement;
  howToProfile(): HTMLElement;
  code(text: string): HTMLElement;
  // sections of a comparison
  measured(measure: string, v: number): string;
  change(ratio: number): string;
  sides: Section; differs: Section; shift: Section; overlaid: Section; arms: Section; forest: Section; effects: Section;
}

declare const uPlot: any;
