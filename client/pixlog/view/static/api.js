// Everything that is asked of the server, and what is kept of its answers: bounded, oldest out first.

let mark = "";

export class ApiError extends Error {}

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

const MIB = 1 << 20;
const rows = new Cache(8000);
const pictures = new Cache(192 * MIB, (bitmap) => bitmap.width * bitmap.height * 4);
const values = new Cache(128 * MIB, (packed) => packed.values.byteLength);
const masks = new Cache(64 * MIB, (packed) => packed.ids.byteLength);
const overlays = new Cache(2000);
const caches = [rows, pictures, values, masks, overlays];

/** Forget everything if the server was started anew: rows may have other numbers now. Returns whether it was. */
export function setMark(next) {
  if (mark === next) return false;
  const restarted = mark !== "";
  mark = next;
  for (const cache of caches) cache.clear();
  return restarted;
}

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  if (!response.ok) {
    let said = `${response.status}`;
    try {
      said = (await response.json()).error;
    } catch {
      // Not ours: a proxy's page, say.
    }
    throw new ApiError(said);
  }
  return response;
}

async function json(path, options) {
  return (await ask(path, options)).json();
}

const VIEWS = { i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

/** Read a header and its arrays, which lie 8-aligned behind it, without copying them. */
export function unpack(buffer) {
  const headNbytes = new DataView(buffer).getUint32(0, true);
  const packed = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headNbytes)));
  let at = Math.ceil((4 + headNbytes) / 8) * 8;
  for (const [name, kind, length] of packed.arrays) {
    const View = VIEWS[kind];
    packed[name] = new View(buffer, at, length);
    packed[`${name}Kind`] = kind;
    at += Math.ceil((length * View.BYTES_PER_ELEMENT) / 8) * 8;
  }
  return packed;
}

async function packed(path) {
  return unpack(await (await ask(path)).arrayBuffer());
}

const query = (params) => new URLSearchParams(params).toString();

export const getState = () => json("api/state");
export const getChanges = (signal) => json("api/changes", { signal });
export const getTable = (run, from, keys, clients) => packed(`api/runs/${run}/table?${query({ from, keys, clients })}`);
export const getMetaNames = (run) => json(`api/runs/${run}/meta-names`);
export const getMeta = (run, name, from) => packed(`api/runs/${run}/meta?${query({ name, from })}`);
export const getMatches = (run, where, from) => packed(`api/runs/${run}/matches?${query({ where, from })}`);
export const getFilterError = (where) => json(`api/filter-error?${query({ where })}`);
export const getOrder = (run, by) => packed(`api/runs/${run}/order?${query({ by })}`);

export async function getLinked(run, id) {
  const found = await json(`api/runs/${run}/linked?id=${id}`);
  for (const row of found) rows.set(`${run}/${row.id}`, row);
  return found;
}

// Rows that are asked for in the same frame go out as one request.
const wanted = new Map();

/** The row of a run by its number, from what is kept if it is there. */
export function getRow(run, id) {
  const kept = rows.get(`${run}/${id}`);
  if (kept) return Promise.resolve(kept);
  let batch = wanted.get(run);
  if (!batch) {
    batch = new Map();
    wanted.set(run, batch);
    setTimeout(() => {
      wanted.delete(run);
      fetchRows(run, batch);
    }, 4);
  }
  let entry = batch.get(id);
  if (!entry) {
    entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    batch.set(id, entry);
  }
  return entry.promise;
}

export const keptRow = (run, id) => rows.get(`${run}/${id}`);

const ROWS_AT_ONCE = 200;

async function fetchRows(run, batch) {
  const ids = [...batch.keys()];
  for (let first = 0; first < ids.length; first += ROWS_AT_ONCE) {
    const part = ids.slice(first, first + ROWS_AT_ONCE);
    try {
      for (const row of await json(`api/runs/${run}/rows?ids=${part.join(",")}`)) {
        rows.set(`${run}/${row.id}`, row);
        batch.get(row.id)?.resolve(row);
      }
      for (const id of part) batch.get(id).reject(new ApiError("this row is damaged"));
    } catch (error) {
      for (const id of part) batch.get(id).reject(error);
    }
  }
}

export const mediaUrl = (run, id, image, download = false) => `media/${run}/${id}/${image}?${download ? "download&" : ""}v=${mark}`;

/** Call `make` once per key, however many ask while it runs. */
const running = new Map();
function once(cache, key, make) {
  const kept = cache.get(key);
  if (kept !== undefined) return Promise.resolve(kept);
  let promise = running.get(key);
  if (!promise) {
    promise = make()
      .then((value) => {
        cache.set(key, value);
        return value;
      })
      .finally(() => running.delete(key));
    running.set(key, promise);
  }
  return promise;
}

async function bitmap(path) {
  const blob = await (await ask(path)).blob();
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw new ApiError("this file does not decode");
  }
}

/** The whole picture as a bitmap. */
export const getPicture = (run, id, image) => once(pictures, `picture ${run}/${id}/${image}`, () => bitmap(`picture/${run}/${id}/${image}?v=${mark}`));

const SIDES = [128, 256, 512, 1024];

/** A bitmap for a box whose longer side is `px` device pixels: the picture itself where that is small. */
export function getThumbnail(run, id, image, px) {
  const { width, height, isDeep } = image;
  if (width && height && !isDeep && Math.max(width, height) <= 256) return getPicture(run, id, image.index);
  const side = SIDES.find((candidate) => candidate >= px) ?? SIDES.at(-1);
  return once(pictures, `thumbnail ${run}/${id}/${image.index}/${side}`, () => bitmap(`thumbnail/${run}/${id}/${image.index}/${side}?v=${mark}`));
}

/** Stored pixel values: {width, height, channels, values}. */
export const getValues = (run, id, image) => once(values, `values ${run}/${id}/${image}`, () => packed(`api/runs/${run}/values?${query({ id, image, v: mark })}`));

/** Class ids of a mask: {width, height, ids}. */
export const getMask = (run, id, image, group) => once(masks, `mask ${run}/${id}/${image}/${group}`, () => packed(`api/runs/${run}/mask?${query({ id, image, group, v: mark })}`));

/** Boxes, polygons and keypoints by kind and group. */
export const getOverlays = (run, id, image) => once(overlays, `overlays ${run}/${id}/${image}`, () => json(`api/runs/${run}/overlays?${query({ id, image, v: mark })}`));
