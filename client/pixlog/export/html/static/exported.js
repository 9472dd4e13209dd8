// Where the answers come from when the page is a folder on a disk: scripts that lie beside it, loaded when needed.
//
// A page that was opened as a file may not fetch other files, and pixels of an <img> from a file cannot be read. It may
// load scripts. So everything is in scripts of one form, pixlog("name", "bytes in base64"): the table of rows, the rows
// in chunks, and the media one behind the other in packs. A place [pack, offset, nbytes] tells where a file's bytes are.

import { Cache } from "./cache.js";
import { parseExpression, rowValue } from "./expression.js";
import { unpack } from "./packed.js";
import { decodePng } from "./png.js";

export const isLive = false;

export class ApiError extends Error {}

export function setMark() {}

const MIB = 1 << 20;
const packs = new Cache(96 * MIB, (bytes) => bytes.byteLength);
const chunks = new Cache(64);
const PART = /^data\/[a-z]+(-\d+)*\.js$/;

// Only names of our own form become addresses of scripts, whatever a row says.
const policy = globalThis.trustedTypes?.createPolicy("pixlog", { createScriptURL: checked }) ?? { createScriptURL: checked };

function checked(address) {
  if (!PART.test(address)) throw new TypeError(`not a part of this export: ${address}`);
  return address;
}

const delivered = new Map();
globalThis.pixlog = (name, text) => delivered.set(name, text);

const loading = new Map();

/** The bytes of a part; each script is loaded once at a time and let go when its bytes are taken out. */
function load(name) {
  let promise = loading.get(name);
  if (!promise) {
    promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const leave = () => {
        script.remove();
        const text = delivered.get(name);
        delivered.delete(name);
        return text;
      };
      script.onload = () => {
        const text = leave();
        text === undefined ? reject(new ApiError(`data/${name}.js is damaged`)) : resolve(bytesOf(text));
      };
      script.onerror = () => (leave(), reject(new ApiError(`data/${name}.js is missing: this page needs the folder data beside it`)));
      script.src = policy.createScriptURL(`data/${name}.js`);
      document.head.append(script);
    }).finally(() => loading.delete(name));
    loading.set(name, promise);
  }
  return promise;
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

async function inflate(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

const json = async (name) => JSON.parse(new TextDecoder().decode(await inflate(await load(name))));

/** The bytes of a file that lies in a pack. */
async function at([number, offset, nbytes]) {
  let bytes = packs.get(number);
  if (!bytes) packs.set(number, (bytes = await load(`pack-${number}`)));
  return bytes.subarray(offset, offset + nbytes);
}

let columns;
async function head() {
  columns ??= load("run").then(inflate).then(unpack);
  return columns;
}

export async function state() {
  const { name, version, exported, count } = await head();
  return { version, mark: "export", runs: [{ name, path: name, rows: count, exported }] };
}

export async function table() {
  const { keys, key, step, rank, state: states, time } = await head();
  return { first: 0, keys, clients: [], key, step, rank, state: states, time };
}

export const metaNames = async () => (await head()).metaNames;

export async function meta(run, name) {
  const { metaNames: names, count } = await head();
  const number = names.indexOf(name);
  return number < 0 ? { value: new Float64Array(count).fill(NaN) } : unpack(await inflate(await load(`meta-${number}`)));
}

async function chunk(number) {
  let promise = chunks.get(number);
  if (!promise) {
    promise = json(`rows-${number}`);
    chunks.set(number, promise);
    promise.catch(() => chunks.delete(number));
  }
  return promise;
}

async function row(id) {
  const { rowsAChunk } = await head();
  return (await chunk(Math.floor(id / rowsAChunk)))[id % rowsAChunk];
}

export const rows = (run, ids) => Promise.all(ids.map(row));

async function* allRows() {
  const { count, rowsAChunk } = await head();
  for (let number = 0; number * rowsAChunk < count; number++) yield* await chunk(number);
}

export async function lengths(run, name) {
  const { keys, key, images } = await head();
  const number = keys.indexOf(name);
  const id = [];
  images.forEach((one, at) => one > 1 && key[at] === number && id.push(at));
  return { id, length: id.map((at) => images[at]) };
}

export async function linked(run, id) {
  const { call } = await head();
  const found = [];
  call.forEach((one, other) => (call[id] < 0 ? other === id : one === call[id]) && found.push(other));
  const rowsOfCall = await rows(run, found);
  return rowsOfCall.sort((a, b) => a.seq - b.seq);
}

export async function filterError(where) {
  try {
    parseExpression(where);
    return { error: "" };
  } catch (error) {
    return { error: error.message };
  }
}

export async function matches(run, where) {
  const passes = parseExpression(where);
  const match = new Uint8Array((await head()).count);
  for await (const one of allRows()) match[one.id] = passes(one) ? 1 : 0;
  return { match };
}

export async function order(run, by) {
  const texts = [];
  for await (const one of allRows()) texts[one.id] = String(rowValue(one, [by]) ?? "\u{10ffff}").toLowerCase();
  const places = new Map([...new Set(texts)].sort().map((text, place) => [text, place]));
  return { order: Float64Array.from(texts, (text) => places.get(text)) };
}

async function imageOf(id, index) {
  const found = (await row(id)).images.find((one) => one.index === index);
  if (!found) throw new ApiError("this row has no such image");
  if (found.trouble) throw new ApiError(found.trouble);
  return found;
}

async function bitmap(place) {
  try {
    return await createImageBitmap(new Blob([await at(place)]), { colorSpaceConversion: "none" });
  } catch (error) {
    throw error instanceof ApiError ? error : new ApiError("this file does not decode");
  }
}

export async function picture(run, id, index) {
  const { files } = await imageOf(id, index);
  return bitmap(files.shown ?? files.stored);
}

export async function thumbnail(run, id, index, side) {
  const { files, thumbnailPx } = await imageOf(id, index);
  return bitmap(files.thumbnail && side <= thumbnailPx ? files.thumbnail : (files.shown ?? files.stored));
}

export async function values(run, id, index) {
  const { files } = await imageOf(id, index);
  return files.values ? unpack(await inflate(await at(files.values))) : samplesAt(files.stored);
}

async function samplesAt(place) {
  return (await decodePng(await at(place), inflate)) ?? drawnValues(await bitmap(place));
}

/** What a canvas gives back of a picture; exact unless the picture is translucent, which no PNG here goes through. */
function drawnValues(picture) {
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  let isOpaque = true;
  for (let pixel = 3; pixel < data.length && isOpaque; pixel += 4) isOpaque = data[pixel] === 255;
  if (!isOpaque) return { width, height, channels: 4, values: new Uint8Array(data.buffer), dtype: "uint8" };
  const colors = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) colors.set(data.subarray(4 * pixel, 4 * pixel + 3), 3 * pixel);
  return { width, height, channels: 3, values: colors, dtype: "uint8" };
}

export async function mask(run, id, index, group) {
  const { files } = await imageOf(id, index);
  const place = new Map(files.masks).get(group);
  if (!place) throw new ApiError("this mask cannot be read");
  const { width, height, channels, values } = await samplesAt(place);
  return { width, height, ids: channels === 1 ? values : values.filter((one, at) => at % channels === 0) };
}

export async function overlays(run, id, index) {
  const { files } = await imageOf(id, index);
  if (!files.shapes) return { boxes: {}, polygons: {}, keypoints: {} };
  return JSON.parse(new TextDecoder().decode(await at(files.shapes)));
}

export async function download(run, id, index) {
  const { files, path } = await imageOf(id, index);
  const href = URL.createObjectURL(new Blob([await at(files.stored)]));
  return { href, name: path.slice(path.lastIndexOf("/") + 1), release: () => setTimeout(() => URL.revokeObjectURL(href), 60_000) };
}
