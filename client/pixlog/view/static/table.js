// The rows of a run in columns, as the server's index has them, and each key's rows along the chosen axis.
//
// A series is one key of one run: for each rank the rows' ids in order of the axis, so that the row nearest below a
// position is a binary search. Series are made when they are looked at, and anew when rows or filters changed.

import { state } from "./state.js";

export const STATES = ["saved", "failed", "dropped", "damaged"];
const DAMAGED = 3;

export class RunTable {
  constructor() {
    this.clear();
  }

  clear() {
    this.count = 0;
    this.keys = [];
    this.clients = 0;
    this.columns = { key: new Int32Array(1024), step: new Float64Array(1024), rank: new Int32Array(1024), state: new Uint8Array(1024), time: new Float64Array(1024) };
    this.idsOfKey = []; // {ids: Int32Array, count, states: [n, n, n, n]}
    this.numberOfKey = new Map();
    this.ranks = new Set();
    this.matches = null; // Uint8Array, or null without a filter
    this.axisValues = null; // Float64Array, for an axis of meta
    this.scanned = null; // {where, axis} that these two were asked for; they may end before the table does
    this.newestS = 0;
    this.series = new Map();
  }

  /** Take in rows that came; returns how many. */
  append(part) {
    if (part.first !== this.count) throw new Error(`rows from ${part.first} do not follow ${this.count}`);
    for (const name of part.keys) {
      this.numberOfKey.set(name, this.keys.length);
      this.keys.push(name);
      this.idsOfKey.push({ ids: new Int32Array(16), count: 0, states: [0, 0, 0, 0] });
    }
    this.clients += part.clients.length;
    const added = part.key.length;
    for (const [name, column] of Object.entries(this.columns)) {
      this.columns[name] = grown(column, this.count + added, this.count);
      this.columns[name].set(part[name], this.count);
    }
    for (let at = 0; at < added; at++) {
      const of = this.idsOfKey[part.key[at]];
      if (of.count === of.ids.length) of.ids = grown(of.ids, of.count + 1, of.count);
      of.ids[of.count++] = this.count + at;
      of.states[part.state[at]]++;
      this.ranks.add(part.rank[at]);
      if (part.time[at] > this.newestS) this.newestS = part.time[at];
    }
    this.count += added;
    return added;
  }

  /** The number of the row of a key that a rank logged at `time`, as the address of an image says; or undefined. */
  idOf(key, rank, time) {
    const of = this.idsOfKey[this.numberOfKey.get(key)];
    return of?.ids.subarray(0, of.count).find((id) => this.columns.time[id] === time && this.columns.rank[id] === rank);
  }

  rowCount(key) {
    return this.idsOfKey[this.numberOfKey.get(key)]?.count ?? 0;
  }

  /** How many rows of a key are saved, failed, dropped, damaged. */
  statesOf(key) {
    return this.idsOfKey[this.numberOfKey.get(key)]?.states ?? [0, 0, 0, 0];
  }

  /** Where a row lies on the axis; NaN if nowhere. */
  value(id, axis = state.axis) {
    if (axis === "step") return this.columns.step[id];
    if (axis === "time") return this.columns.time[id];
    return this.axisValues?.[id] ?? NaN;
  }

  passes(id) {
    const { rank, state: states } = this.columns;
    return states[id] !== DAMAGED && !state.ranksOff.has(rank[id]) && (this.matches === null || this.matches[id] === 1);
  }

  /** Rows of a key along the axis: a map from rank to {ids, at}, both in order. */
  seriesOf(key) {
    const of = this.idsOfKey[this.numberOfKey.get(key)];
    if (!of) return new Map();
    const version = `${of.count} ${state.axis} ${this.filterVersion ?? 0} ${this.matches?.length ?? 0} ${this.axisValues?.length ?? 0} ${[...state.ranksOff]}`;
    const kept = this.series.get(key);
    if (kept?.version === version) return kept.byRank;
    const byRank = this.makeSeries(of);
    this.series.set(key, { version, byRank });
    return byRank;
  }

  makeSeries(of) {
    const lists = new Map();
    for (let at = 0; at < of.count; at++) {
      const id = of.ids[at];
      if (!this.passes(id) || Number.isNaN(this.value(id))) continue;
      const rank = this.columns.rank[id];
      let list = lists.get(rank);
      if (!list) lists.set(rank, (list = []));
      list.push(id);
    }
    const byRank = new Map();
    for (const rank of [...lists.keys()].sort((a, b) => a - b)) {
      const ids = Int32Array.from(lists.get(rank));
      let sorted = true;
      for (let at = 1; at < ids.length && sorted; at++) sorted = this.value(ids[at - 1]) <= this.value(ids[at]);
      if (!sorted) ids.sort((a, b) => this.value(a) - this.value(b) || a - b);
      byRank.set(rank, { ids, at: Float64Array.from(ids, (id) => this.value(id)) });
    }
    return byRank;
  }

  /** The rows of a key that are shown at `position`: per rank all at the nearest value not after it. */
  rowsAt(key, position) {
    const found = [];
    for (const [rank, { ids, at }] of this.seriesOf(key)) {
      const end = upperBound(at, position);
      if (end === 0) continue;
      let first = end - 1;
      while (first > 0 && at[first - 1] === at[end - 1]) first--;
      found.push({ rank, value: at[end - 1], ids: ids.subarray(first, end) });
    }
    return found;
  }
}

function grown(array, needed, used) {
  if (needed <= array.length) return array;
  const larger = new array.constructor(Math.max(needed, array.length * 2));
  larger.set(array.subarray(0, used));
  return larger;
}

/** How many values of an ascending array are not above `value`. */
export function upperBound(array, value) {
  let low = 0;
  let high = array.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (array[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Every distinct value that the rows of these keys have on the axis, ascending. */
export function stopsOf(runs, keys) {
  const parts = [];
  let length = 0;
  for (const run of runs) {
    for (const key of keys) {
      for (const { at } of run.table.seriesOf(key).values()) {
        parts.push(at);
        length += at.length;
      }
    }
  }
  const all = new Float64Array(length);
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  all.sort();
  let count = 0;
  for (let at = 0; at < length; at++) if (at === 0 || all[at] !== all[count - 1]) all[count++] = all[at];
  return all.slice(0, count);
}
