// Everything that is asked of the run, and what is kept of the answers: bounded, oldest out first.

import { Cache } from "./cache.js";
import * as server from "./server.js";

export const ApiError = server.ApiError;
export const isLive = server.isLive;
export const getState = server.state;
export const getChanges = server.changes;
export const getTable = server.table;
export const getMetaNames = server.metaNames;
export const getMeta = server.meta;
export const getMatches = server.matches;
export const getFilterError = server.filterError;
export const getOrder = server.order;
export const getLengths = server.lengths;
export const getDownload = server.download;

const MIB = 1 << 20;
const rows = new Cache(8000);
const pictures = new Cache(192 * MIB, (bitmap) => bitmap.width * bitmap.height * 4);
const values = new Cache(128 * MIB, (packed) => packed.values.byteLength);
const masks = new Cache(64 * MIB, (packed) => packed.ids.byteLength);
const overlays = new Cache(2000);
const caches = [rows, pictures, values, masks, overlays];

let mark = "";

/** Forget everything if the server was started anew: rows may have other numbers now. Returns whether it was. */
export function setMark(next) {
  if (mark === next) return false;
  const restarted = mark !== "";
  mark = next;
  server.setMark(next);
  for (const cache of caches) cache.clear();
  return restarted;
}

export async function getLinked(run, id) {
  const found = await server.linked(run, id);
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
      for (const row of await server.rows(run, part)) {
        rows.set(`${run}/${row.id}`, row);
        batch.get(row.id)?.resolve(row);
      }
      for (const id of part) batch.get(id).reject(new ApiError("this row is damaged"));
    } catch (error) {
      for (const id of part) batch.get(id).reject(error);
    }
  }
}

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

/** The whole picture as a bitmap. */
export const getPicture = (run, id, image) => once(pictures, `picture ${run}/${id}/${image}`, () => server.picture(run, id, image));

const SIDES = [128, 256, 512, 1024];

/** A bitmap for a box whose longer side is `px` device pixels: the picture itself where that is small. */
export function getThumbnail(run, id, image, px) {
  const { width, height, isDeep } = image;
  if (width && height && !isDeep && Math.max(width, height) <= 256) return getPicture(run, id, image.index);
  const side = SIDES.find((candidate) => candidate >= px) ?? SIDES.at(-1);
  return once(pictures, `thumbnail ${run}/${id}/${image.index}/${side}`, () => server.thumbnail(run, id, image.index, side));
}

/** Stored pixel values: {width, height, channels, dtype, values}; dtype is the name that NumPy has for the stored one. */
export const getValues = (run, id, image) => once(values, `values ${run}/${id}/${image}`, () => server.values(run, id, image));

/** Class ids of a mask: {width, height, ids}. */
export const getMask = (run, id, image, group) => once(masks, `mask ${run}/${id}/${image}/${group}`, () => server.mask(run, id, image, group));

/** Boxes, polygons and keypoints by kind and group. */
export const getOverlays = (run, id, image) => once(overlays, `overlays ${run}/${id}/${image}`, () => server.overlays(run, id, image));
