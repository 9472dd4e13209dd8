// What was fetched is kept as long as there is room for it.

/** A map that forgets what was used longest ago once it holds more than `limit`, by `sizeOf` each entry. */
export class Cache {
  constructor(limit, sizeOf = () => 1, onDrop = () => {}) {
    Object.assign(this, { limit, sizeOf, onDrop, held: 0, entries: new Map() });
  }

  get(key) {
    const entry = this.entries.get(key);
    if (entry !== undefined) {
      this.entries.delete(key);
      this.entries.set(key, entry);
    }
    return entry?.value;
  }

  set(key, value) {
    this.delete(key);
    const size = this.sizeOf(value);
    this.entries.set(key, { value, size });
    this.held += size;
    for (const [oldest, entry] of this.entries) {
      if (this.held <= this.limit || oldest === key) break;
      this.delete(oldest);
      this.onDrop(entry.value);
    }
  }

  delete(key) {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    this.held -= entry.size;
  }

  clear() {
    this.entries.clear();
    this.held = 0;
  }
}
