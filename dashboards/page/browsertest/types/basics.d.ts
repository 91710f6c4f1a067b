// What the scripts of every page share: the namespace that they add to, with
// elements, units and theme (base.js) and tables and empty places (charts.js).

type Child = Node | string | number | false | null | undefined | Child[];
/** A cell of a table; a row may be cells alone. Keys are what its columns are sorted by. */
type Row = Child[] | { cells: Child[]; keys?: (string | number | null | undefined)[]; class?: string; id?: string };

interface Basics {
  // base
  el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes?: Record<string, any> | null, ...children: Child[]): HTMLElementTagNameMap[K];
  fill<E extends Element>(e: E, ...children: Child[]): E;
  duration(s: number | null | undefined): string;
  tick(s: number): string;
  offset(s: number): string;
  count(n: number): string;
  rate(v: number): string;
  percent(x: number | null | undefined): string;
  bytes(b: number): string;
  cores(v: number): string;
  quantity(value: number, unit: string): string;
  wall(iso: string): string;
  list(words: string[]): string;
  prose(text: string | null | undefined): Child[];
  plural(n: number, one: string, many?: string): string;
  onRepaint(f: () => void): void;
  repaint(): void;
  color(name: string): string;
  rem(n: number): number;
  font(rem: number): string;
  theme(name?: string): string;
  themeButton(): HTMLElement;
  // charts
  table(head: Child[], rows: Row[], o?: { numbers?: number; words?: number; caption?: string; class?: string }): HTMLTableElement;
  wide(label: string, table: Node): HTMLElement;
  fold(summary: Child, ...children: Child[]): HTMLDetailsElement;
  rows(label: string, what: string, n: number, table: Node): HTMLElement;
  empty(why: string, ...how: Child[]): HTMLElement;
  drop(holder: HTMLElement): void;
}

/** Each page says with which members of its own. */
interface Taillight extends Basics {}
interface Window { Taillight: Taillight }
