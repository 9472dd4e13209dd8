// Masks, boxes, polygons and keypoints, drawn over an image from their data; the pixels stay as they were logged.

import { getMask, getOverlays } from "./api.js";
import { number } from "./format.js";
import { state } from "./state.js";

const PALETTE = ["#ff6361", "#58c4dd", "#ffc857", "#7ed97e", "#be8cff", "#ff96c8", "#50dcb4", "#ffa050", "#8caaff", "#c8dc5a", "#c0504d", "#2e93ad", "#c99a2e", "#4ea84e", "#8a55d0", "#c95f93", "#1fa884", "#c87020", "#5578d8", "#96aa28"];
const LABEL_LENGTH = 40;
const DATA_NAMES = { boxes: "box_data", polygons: "polygon_data", keypoints: "keypoint_data" };
const CAPTION_NAMES = { boxes: "box_caption", polygons: "polygon_caption", keypoints: "keypoint_caption" };
export const KINDS = ["masks", "boxes", "polygons", "keypoints"];

/** Whether an image of a row has anything to draw of the kinds that are on. */
export function wantsOverlays(image) {
  const { mask, boxes, polygons, keypoints } = image.overlays;
  const on = state.overlays;
  return (on.masks && mask.length > 0) || (on.boxes && boxes.length > 0) || (on.polygons && polygons.length > 0) || (on.keypoints && keypoints.length > 0);
}

export function hasOverlays(image) {
  return Object.values(image.overlays).some((groups) => groups.length > 0);
}

/** Fetch what lies over an image: {masks: [{group, width, height, ids}], shapes: {kind: {group: value}}, image}. */
export async function loadOverlays(run, row, image) {
  const { mask, ...shapes } = image.overlays;
  const hasShapes = Object.values(shapes).some((groups) => groups.length > 0);
  const [found, ...masks] = await Promise.all([
    hasShapes ? getOverlays(run, row.id, image.index) : { boxes: {}, polygons: {}, keypoints: {} },
    ...mask.map(async (group) => ({ group, ...(await getMask(run, row.id, image.index, group)) })),
  ]);
  return { image, shapes: found, masks: masks.map((one) => ({ ...one, distinct: distinctOf(one.ids) })) };
}

const distinctIds = new WeakMap();
function distinctOf(ids) {
  let found = distinctIds.get(ids);
  if (!found) {
    const counts = new Map();
    for (let at = 0; at < ids.length; at++) counts.set(ids[at], (counts.get(ids[at]) ?? 0) + 1);
    distinctIds.set(ids, (found = new Map([...counts].sort((a, b) => a[0] - b[0]))));
  }
  return found;
}

const classKey = (kind, group, id) => `${kind}/${group}/${id}`;

/** Whether a class is drawn; 0 of a mask is taken for background unless it was switched on. */
export function isClassOn(kind, group, id) {
  return state.classes[classKey(kind, group, id)]?.on ?? !(kind === "masks" && id === 0);
}

export function isGroupOn(kind, group) {
  return state.overlays[kind] && !state.groupsOff.has(`${kind}/${group}`);
}

export function classColor(overlays, kind, group, id) {
  const chosen = state.classes[classKey(kind, group, id)]?.color;
  return chosen ?? overlays.image.classes.find((one) => one.id === id)?.color ?? PALETTE[((Math.trunc(Number(id)) % PALETTE.length) + PALETTE.length) % PALETTE.length] ?? PALETTE[0];
}

export function className(overlays, kind, group, id) {
  const labels = kind === "masks" ? overlays.image.maskLabels[group] : overlays.shapes[kind][group]?.class_labels;
  const name = labels?.[id] ?? overlays.image.classes.find((one) => one.id === id)?.name;
  return name === undefined || name === null ? `class ${id}` : String(name);
}

/** The items of a group of shapes. */
export function itemsOf(overlays, kind, group) {
  const items = overlays.shapes[kind]?.[group]?.[DATA_NAMES[kind]];
  return Array.isArray(items) ? items.filter((item) => item && typeof item === "object") : [];
}

/** Whether a shape passes the class switches and score thresholds. */
export function isItemOn(kind, group, item) {
  if (!isClassOn(kind, group, item.class_id ?? null)) return false;
  return Object.entries(item.scores ?? {}).every(([name, score]) => !(score < (state.scores[name] ?? -Infinity)));
}

/**
 * Draw into `context`, where the image's left upper pixel lies at (x, y) and one of its pixels is `scale` wide.
 * `ratio` is the number of device pixels in a CSS pixel; `labels` says whether names are written.
 */
export function drawOverlays(context, overlays, size, { x, y, scale }, { ratio = 1, labels = state.overlays.labels } = {}) {
  context.save();
  for (const mask of overlays.masks) {
    if (!isGroupOn("masks", mask.group)) continue;
    context.globalAlpha = state.overlays.opacity;
    context.imageSmoothingEnabled = false;
    context.drawImage(tinted(overlays, mask), x, y, size.width * scale, size.height * scale);
  }
  context.globalAlpha = 1;
  context.lineWidth = (scale * size.width < 260 * ratio ? 1.25 : 2) * ratio;
  context.lineJoin = "round";
  const tags = [];
  for (const kind of ["polygons", "boxes", "keypoints"]) {
    for (const group of Object.keys(overlays.shapes[kind])) {
      if (!isGroupOn(kind, group)) continue;
      for (const item of itemsOf(overlays, kind, group)) {
        if (!isItemOn(kind, group, item)) continue;
        const color = classColor(overlays, kind, group, item.class_id ?? 0);
        const place = (point) => [x + point[0] * scale, y + point[1] * scale];
        const corner = DRAW[kind](context, item, size, place, color, ratio, overlays.shapes[kind][group]);
        if (labels && corner) tags.push([corner, labelOf(overlays, kind, group, item), color]);
      }
    }
  }
  for (const [corner, text, color] of tags) drawTag(context, corner, text, color, ratio);
  context.restore();
}

const DRAW = { boxes: drawBox, polygons: drawPolygon, keypoints: drawKeypoints };

/** The corners of a box in pixels of the image; undefined if it has no position. */
export function boxCorners(box, size) {
  const at = box.position;
  if (!at || typeof at !== "object") return undefined;
  const isMiddle = Array.isArray(at.middle);
  const [width, height] = isMiddle ? [at.width, at.height] : [at.maxX - at.minX, at.maxY - at.minY];
  const [cx, cy] = isMiddle ? at.middle : [(at.minX + at.maxX) / 2, (at.minY + at.maxY) / 2];
  if (![width, height, cx, cy].every((value) => Number.isFinite(value))) return undefined;
  const [sx, sy] = box.domain === "pixel" ? [1, 1] : [size.width, size.height];
  const angle = ((isMiddle && Number.isFinite(at.rotation_deg) ? at.rotation_deg : 0) * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([right, down]) => {
    const [dx, dy] = [(right * width * sx) / 2, (down * height * sy) / 2];
    return [cx * sx + dx * cos - dy * sin, cy * sy + dx * sin + dy * cos];
  });
}

function drawBox(context, box, size, place, color) {
  const corners = boxCorners(box, size)?.map(place);
  if (!corners) return undefined;
  outline(context, [corners]);
  context.strokeStyle = color;
  context.stroke();
  return corners.reduce((best, corner) => (corner[1] < best[1] ? corner : best));
}

/** Points in pixels of the image, each at its own number; undefined for one without a place. */
function pointsOf(item, points, size) {
  const [sx, sy] = item.domain === "pixel" ? [1, 1] : [size.width, size.height];
  return (Array.isArray(points) ? points : []).map((point) => (Number.isFinite(point?.[0]) && Number.isFinite(point?.[1]) ? [point[0] * sx, point[1] * sy, point[2]] : undefined));
}

function drawPolygon(context, polygon, size, place, color) {
  const rings = [polygon.points, ...(Array.isArray(polygon.holes) ? polygon.holes : [])].map((ring) => pointsOf(polygon, ring, size).filter(Boolean).map(place)).filter((ring) => ring.length > 1);
  if (!rings.length) return undefined;
  outline(context, rings);
  context.globalAlpha = state.overlays.opacity * 0.6;
  context.fillStyle = color;
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.strokeStyle = color;
  context.stroke();
  return rings[0].reduce((best, point) => (point[1] < best[1] ? point : best));
}

function drawKeypoints(context, item, size, place, color, ratio, group) {
  const points = pointsOf(item, item.points, size);
  const isSeen = (point) => point && point[2] !== 0;
  context.strokeStyle = color;
  context.fillStyle = color;
  for (const bone of Array.isArray(group.skeleton) ? group.skeleton : []) {
    const [from, to] = [points[bone?.[0]], points[bone?.[1]]];
    if (isSeen(from) && isSeen(to)) {
      context.beginPath();
      context.moveTo(...place(from));
      context.lineTo(...place(to));
      context.stroke();
    }
  }
  for (const point of points.filter(isSeen)) {
    const [px, py] = place(point);
    context.beginPath();
    context.arc(px, py, 3 * ratio, 0, 2 * Math.PI);
    point[2] === 1 ? context.stroke() : context.fill();
  }
  const first = points.find(isSeen);
  return first && place(first);
}

function outline(context, rings) {
  context.beginPath();
  for (const ring of rings) {
    ring.forEach(([px, py], at) => (at ? context.lineTo(px, py) : context.moveTo(px, py)));
    context.closePath();
  }
}

function labelOf(overlays, kind, group, item) {
  const name = item[CAPTION_NAMES[kind]] ?? (item.class_id === undefined || item.class_id === null ? "" : className(overlays, kind, group, item.class_id));
  const scores = item[CAPTION_NAMES[kind]] ? [] : Object.values(item.scores ?? {}).map((score) => number(score, 3));
  const text = [String(name), ...scores].filter(Boolean).join(" ");
  return text.length > LABEL_LENGTH ? `${text.slice(0, LABEL_LENGTH - 1)}…` : text;
}

function drawTag(context, [x, y], text, color, ratio) {
  if (!text) return;
  context.font = `500 ${11 * ratio}px system-ui, sans-serif`;
  const width = context.measureText(text).width + 8 * ratio;
  const height = 15 * ratio;
  const top = Math.max(0, y - height);
  const left = Math.max(0, Math.min(x - context.lineWidth / 2, context.canvas.width - width));
  context.fillStyle = color;
  context.fillRect(left, top, width, height);
  context.fillStyle = isLight(color) ? "#14161a" : "#ffffff";
  context.textBaseline = "middle";
  context.fillText(text, left + 4 * ratio, top + height / 2 + 0.5 * ratio);
}

function isLight(color) {
  const [r, g, b] = rgb(color);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

const rgb = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

// A mask as a canvas of its own size: one colour per class, made again only when a switch or a colour changed.
const tints = new WeakMap();
function tinted(overlays, mask) {
  const { ids, distinct, width, height, group } = mask;
  const colors = new Map();
  for (const id of distinct.keys()) if (isClassOn("masks", group, id)) colors.set(id, classColor(overlays, "masks", group, id));
  const version = [...colors].join(" ");
  const kept = tints.get(ids);
  if (kept?.version === version) return kept.canvas;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const words = new Uint32Array(pixels.data.buffer);
  const wordOf = new Map([...colors].map(([id, color]) => [id, ((255 << 24) | (rgb(color)[2] << 16) | (rgb(color)[1] << 8) | rgb(color)[0]) >>> 0]));
  for (let at = 0; at < ids.length; at++) words[at] = wordOf.get(ids[at]) ?? 0;
  context.putImageData(pixels, 0, 0);
  tints.set(ids, { version, canvas });
  return canvas;
}

/** The classes that occur over an image: [{kind, group, id, name, color, count, on}], in order of group and id. */
export function classesOf(overlays) {
  const found = [];
  const add = (kind, group, id, some) => found.push({ kind, group, id, count: some, name: className(overlays, kind, group, id), color: classColor(overlays, kind, group, id), on: isClassOn(kind, group, id) });
  for (const { group, distinct } of overlays.masks) for (const [id, some] of distinct) add("masks", group, id, some);
  for (const kind of ["boxes", "polygons", "keypoints"]) {
    for (const group of Object.keys(overlays.shapes[kind])) {
      const counts = new Map();
      for (const item of itemsOf(overlays, kind, group)) counts.set(item.class_id ?? null, (counts.get(item.class_id ?? null) ?? 0) + 1);
      for (const [id, some] of [...counts].sort((a, b) => a[0] - b[0])) add(kind, group, id, some);
    }
  }
  return found;
}

/** The score names over an image and the range of each. */
export function scoresOf(overlays) {
  const found = new Map();
  for (const kind of ["boxes", "polygons", "keypoints"]) {
    for (const group of Object.keys(overlays.shapes[kind])) {
      for (const item of itemsOf(overlays, kind, group)) {
        for (const [name, score] of Object.entries(item.scores ?? {})) {
          if (!Number.isFinite(score)) continue;
          const range = found.get(name) ?? { low: 0, high: 1 };
          found.set(name, { low: Math.min(range.low, score), high: Math.max(range.high, score) });
        }
      }
    }
  }
  return found;
}

/** What masks say of the pixel (px, py) of an image: [{group, name, color}]. */
export function classesAt(overlays, size, px, py) {
  return overlays.masks.map(({ group, width, height, ids }) => {
    const id = ids[Math.min(height - 1, Math.floor((py * height) / size.height)) * width + Math.min(width - 1, Math.floor((px * width) / size.width))];
    return { group, id, name: className(overlays, "masks", group, id), color: classColor(overlays, "masks", group, id) };
  });
}
