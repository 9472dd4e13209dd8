// All images of one key as tiles: a row of several has a tile for each. Only the tiles on the screen exist; the tables say how many there are in all.

import { getLengths, getOrder, keptRow } from "./api.js";
import { titleParts } from "./board.js";
import { Cell } from "./cell.js";
import { fill, h, iconButton, perFrame, settled } from "./dom.js";
import { axisName, axisValue, plural } from "./format.js";
import { allKeys } from "./keys.js";
import { openLightbox } from "./lightbox.js";
import { runsOn, state, update, watch } from "./state.js";
import { position } from "./timeline.js";

const GAP_PX = 10;
const TAG_PX = 20;

const key = h("select", { id: "gallery-key", "aria-label": "Key", on: { change: () => update({ galleryKey: key.value }) } });
const sort = h("select", { id: "sort", "aria-label": "Sort by", on: { change: () => update({ sort: sort.value }) } });
const direction = h("button", { type: "button", id: "direction", class: "chip", on: { click: () => update({ descending: !state.descending }) } });
const caption = h("input", { id: "caption", type: "search", placeholder: "Caption contains", "aria-label": "Caption contains", autocomplete: "off", on: { input: settled(() => update({ caption: caption.value }), 350) } });
const counted = h("span", { class: "dim tabular", id: "gallery-count", role: "status" });
const title = h("h2", { class: "gallery-title" });
const sheet = h("div", { class: "sheet" });
const scroller = h("div", { class: "scroller", tabIndex: -1, on: { scroll: () => showTiles() } }, sheet);

export const gallery = h("section", { class: "gallery", "aria-label": "Gallery", hidden: true }, h("div", { class: "gallery-head" }, iconButton("previous", "Back to the board (g)", () => update({ view: "board" })), title, key, h("span", { class: "dim", text: "sort" }), sort, direction, caption, counted), scroller);

let held = null; // {anchor, offset, scrollTop}: the tile that the last change kept in its place, and where that was
let rows = []; // {run, id, value}
let items = []; // {run, id, image, value}
let lengths = new Map(); // "run/id" → images of a row that has several
let shape = { columns: 1, width: 1, height: 1 };
let aspect = 1;
const tiles = new Map(); // place in items → Cell
const spare = [];

/** The rows of the key in the order asked for. */
async function collect() {
  if (state.view !== "gallery") return;
  const keys = allKeys();
  if (state.galleryKey === null && keys.length) return void update({ galleryKey: keys[0] });
  const found = [];
  for (const run of runsOn()) {
    const { table } = run;
    const order = state.sort === "caption" ? (await getOrder(run.index, "caption")).order : null;
    const value = (id) => (order ? order[id] : state.sort === "axis" ? table.value(id) : state.sort === "rank" ? table.columns.rank[id] : table.columns[state.sort][id]);
    for (const { ids } of table.seriesOf(state.galleryKey).values()) for (const id of ids) found.push({ run: run.index, id, value: value(id) });
  }
  const sign = state.descending ? -1 : 1;
  found.sort((a, b) => sign * (a.value - b.value) || a.run - b.run || sign * (a.id - b.id));
  const before = state.galleryKey === shownKey ? lengths : new Map();
  shownKey = state.galleryKey;
  show(found, before);
  showHead(keys);
  const known = await lengthsOf(state.galleryKey ?? "");
  if (rows !== found || (known.size === 0 && before.size === 0)) return;
  show(found, known);
  showHead(keys);
}

let shownKey = null;

function show(found, known) {
  [rows, lengths] = [found, known];
  const expanded = found.flatMap((row) => Array.from({ length: known.get(`${row.run}/${row.id}`) ?? 1 }, (_, image) => ({ ...row, image })));
  keepPlace(() => (items = expanded));
}

/** How many images the rows of a key have that have several; none if that cannot be told now. */
async function lengthsOf(name) {
  const known = new Map();
  const answers = await Promise.allSettled(runsOn().map(async (run) => [run.index, await getLengths(run.index, name)]));
  for (const { value } of answers) value?.[1].id.forEach((id, at) => known.set(`${value[0]}/${id}`, value[1].length[at]));
  return known;
}

/**
 * Change the tiles so that the one at the top of the window stays there, wherever it has gone. Until one scrolls it is
 * the same tile: another one of its line, taken anew at each change, would be moved by a line now and then.
 */
function keepPlace(change) {
  const top = Math.floor(scroller.scrollTop / shape.height) * shape.columns;
  const isUnmoved = held?.scrollTop === scroller.scrollTop;
  const anchor = isUnmoved ? held.anchor : scroller.scrollTop > 0 ? items[top] : null;
  const offset = isUnmoved ? held.offset : scroller.scrollTop - Math.floor(top / shape.columns) * shape.height;
  change();
  measure();
  held = null;
  if (anchor) {
    const at = items.findIndex((item) => item.id === anchor.id && item.run === anchor.run && item.image === Math.min(anchor.image, (lengths.get(`${item.run}/${item.id}`) ?? 1) - 1));
    if (at >= 0) {
      scroller.scrollTop = Math.floor(at / shape.columns) * shape.height + offset;
      held = { anchor, offset, scrollTop: scroller.scrollTop };
    }
  }
  for (const cell of tiles.values()) recycle(cell);
  tiles.clear();
  showTiles();
}

function measure() {
  const first = items.length ? keptRow(items[0].run, items[0].id)?.images[0] : null;
  if (first?.width && first?.height) aspect = Math.max(0.5, Math.min(2.2, first.width / first.height));
  const room = Math.max(1, scroller.clientWidth - GAP_PX);
  const columns = Math.max(1, Math.floor(room / (state.cellPx + GAP_PX)));
  const width = Math.floor(room / columns) - GAP_PX;
  shape = { columns, width, height: Math.round(width / aspect) + TAG_PX + GAP_PX };
  sheet.style.setProperty("height", `${Math.ceil(items.length / columns) * shape.height + GAP_PX}px`);
  sheet.style.setProperty("--tile-width", `${width}px`);
  sheet.style.setProperty("--tile-height", `${Math.round(width / aspect)}px`);
}

const showTiles = perFrame(() => {
  if (state.view !== "gallery") return;
  const first = Math.max(0, Math.floor(scroller.scrollTop / shape.height) - 1) * shape.columns;
  const end = Math.min(items.length, (Math.ceil((scroller.scrollTop + scroller.clientHeight) / shape.height) + 1) * shape.columns);
  for (const [at, cell] of tiles) {
    if (at >= first && at < end) continue;
    recycle(cell);
    tiles.delete(at);
  }
  const many = runsOn().length > 1;
  const ranks = new Set(runsOn().flatMap((run) => [...run.table.seriesOf(state.galleryKey).keys()]));
  for (let at = first; at < end; at++) {
    if (tiles.has(at)) continue;
    const cell = spare.pop() ?? new Cell((ref, event) => openLightbox(() => rows, ref, event.currentTarget));
    tiles.set(at, cell);
    place(cell, at);
    if (cell.element.parentElement !== sheet) sheet.append(cell.element);
    cell.element.hidden = false;
    cell.element.style.setProperty("--run", many ? state.runs[items[at].run].color : "transparent");
    cell.element.classList.toggle("of-run", many);
    load(cell, at, ranks.size > 1);
  }
  for (const element of sheet.children) if (!element.hidden) element.classList.toggle("here", isHere(element));
});

/** Tiles that fly by while one scrolls fast are not asked for. */
function load(cell, at, showRank) {
  const item = items[at];
  const tag = (row) => `${axisValue(state.axis, state.runs[item.run].table.value(item.id))}${showRank ? ` · r${row.rank}` : ""}`;
  cell.ref = null;
  clearTimeout(cell.timer);
  cell.canvas.hidden = true;
  cell.note.hidden = true;
  cell.tag.replaceChildren();
  cell.timer = setTimeout(
    async () => {
      if (tiles.get(at) !== cell) return;
      await cell.show({ run: item.run, id: item.id, image: item.image, numbered: true }, tag);
      const known = keptRow(item.run, item.id)?.images[0];
      if (at === 0 && known?.width && Math.abs(Math.max(0.5, Math.min(2.2, known.width / known.height)) - aspect) > 0.01) keepPlace(() => {});
    },
    isFast() ? 90 : 0,
  );
}

let lastTop = 0;
let lastMs = 0;
function isFast() {
  const now = performance.now();
  const speed = Math.abs(scroller.scrollTop - lastTop) / Math.max(1, now - lastMs);
  if (now - lastMs > 8) [lastTop, lastMs] = [scroller.scrollTop, now];
  return speed > 3;
}

function isHere(element) {
  const cell = [...tiles.values()].find((one) => one.element === element);
  return state.at !== null && cell?.ref && state.runs[cell.ref.run].table.value(cell.ref.id) === position();
}

function place(cell, at) {
  const [column, line] = [at % shape.columns, Math.floor(at / shape.columns)];
  cell.element.classList.add("tile");
  cell.element.style.setProperty("transform", `translate(${GAP_PX + column * (shape.width + GAP_PX)}px, ${GAP_PX + line * shape.height}px)`);
}

function recycle(cell) {
  cell.turn++;
  clearTimeout(cell.timer);
  cell.element.hidden = true;
  spare.push(cell);
}

function showHead(keys) {
  fill(title, ...titleParts(state.galleryKey ?? ""));
  fill(key, keys.map((name) => h("option", { value: name }, name)));
  key.value = state.galleryKey;
  const along = axisName(state.axis);
  fill(sort, [...new Map([["axis", along], ["step", "step"], ["time", "time"], ["rank", "rank"], ["caption", "caption"], ["state", "state"]])].filter(([value]) => value !== along).map(([value, text]) => h("option", { value }, text)));
  sort.value = state.sort;
  fill(direction, state.descending ? "newest first" : "oldest first");
  direction.textContent = state.descending ? "descending" : "ascending";
  direction.setAttribute("aria-pressed", String(state.descending));
  if (document.activeElement !== caption) caption.value = state.caption;
  counted.textContent = plural(rows.length, "row") + (items.length > rows.length ? `, ${plural(items.length, "image")}` : "");
}

/** Bring the tile at the slider's position to where it is seen. */
function goTo() {
  if (state.view !== "gallery" || state.sort !== "axis" || !items.length) return;
  const values = items.map((item) => item.value);
  const at = position();
  let best = 0;
  for (let place = 0; place < values.length; place++) if (values[place] <= at && (values[best] > at || values[place] > values[best])) best = place;
  const top = Math.floor(best / shape.columns) * shape.height;
  if (state.at !== null && (top < scroller.scrollTop || top + shape.height > scroller.scrollTop + scroller.clientHeight)) scroller.scrollTop = Math.max(0, top - shape.height);
  showTiles();
}

function redraw() {
  for (const [at, cell] of tiles) if (cell.ref) cell.show(cell.ref, cell.tagText) && at;
}

watch("view", () => {
  gallery.hidden = state.view !== "gallery";
  if (state.view === "gallery") requestAnimationFrame(collect);
});
watch("data galleryKey sort descending", collect);
watch("galleryKey", () => (scroller.scrollTop = 0));
watch("at", goTo);
watch("cellPx", () => state.view === "gallery" && keepPlace(() => {}));
watch("overlays classes groupsOff scores compared", redraw);
new ResizeObserver(() => state.view === "gallery" && keepPlace(() => {})).observe(scroller);
