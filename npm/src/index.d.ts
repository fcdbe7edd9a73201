/** How the tracker is set up. */
export interface Options {
  /** The project's public key, `wk_…`. */
  writeKey: string;
  /** The collector's address, `https://analytics.example`. The page's own origin unless given. */
  host?: string;
  /** Events that are sent together at most; 50 unless given. */
  batchSize?: number;
  /** Milliseconds that an event waits for others at most; 2000 unless given. */
  batchIntervalMs?: number;
  /** `false` where the site calls `page` by itself. Otherwise views are counted on load and navigation. */
  autoPageview?: boolean;
  /**
   * Where ids and unsent events are kept: `localStorage` unless given. With `none` nothing is written to
   * the device, and events name neither visitor nor person; so it is, too, for visitors whose browser asks
   * not to be tracked (Global Privacy Control, Do Not Track).
   */
  persistence?: "localStorage" | "none";
}

/** Properties of an event: whatever `JSON.stringify` takes, as an object. */
export type Props = Record<string, unknown>;

/** Starts the tracker. Only the first call counts; calls of the other functions may come before it. */
export function init(options: Options): void;

/** Counts an event. */
export function track(name: string, props?: Props): void;

/** Counts a view of the current address. Views are counted by themselves unless `autoPageview` is off. */
export function page(props?: Props): void;

/** Says who the visitor is, from here on until `reset`. */
export function identify(userId: string, traits?: Props): void;

/** Forgets who the visitor is: from here on it is another visitor in another session. For signing out. */
export function reset(): void;

/** Sends what waits now. */
export function flush(): void;
