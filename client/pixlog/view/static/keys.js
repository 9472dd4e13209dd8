// Which keys there are and which are shown.

import { runsOn, state } from "./state.js";

/** Every key of the runs that are on, sorted so that 2 comes before 10. */
export function allKeys() {
  const names = new Set();
  for (const run of runsOn()) for (const key of run.table.keys) names.add(key);
  return [...names].sort(collator.compare);
}

const collator = new Intl.Collator("en", { numeric: true });

/** Whether a key fits the search: every word of it occurs in the key. */
export function fitsSearch(key) {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  const name = key.toLowerCase();
  return words.every((word) => name.includes(word));
}

/** The keys on the board: found by the search, not hidden, pinned ones first. */
export function shownKeys() {
  const keys = allKeys().filter((key) => fitsSearch(key) && !state.keysOff.has(key));
  return [...keys.filter((key) => state.pinned.has(key)), ...keys.filter((key) => !state.pinned.has(key))];
}
