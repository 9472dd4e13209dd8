// All keys at once, each at the image nearest before the slider's position.

import { getRow, keptRow } from "./api.js";
import { Cell } from "./cell.js";
import { fill, h, iconButton, perFrame } from "./dom.js";
import { axisName, axisValue, count } from "./format.js";
import { shownKeys } from "./keys.js";
import { openLightbox } from "./lightbox.js";
import { runsOn, state, update, watch } from "./state.js";
import { detach, pin, position, setDetached } from "./timeline.js";
import { stopsOf, upperBound } from "./table.js";

const CELLS_A_CARD = 24;
const MAX_COLUMNS = 6;
const GAP_PX = 12;

export const board = h("div", { class: "board", "aria-label": "Images by key" });
const empty = h("p", { class: "empty", hidden: true });
const cards = new Map();

const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const card = cards.get(target.dataset.key);
      if (!card) continue;
      card.isNear = isIntersecting;
      if (isIntersecting) card.render();
    }
  },
  { rootMargin: "400px" },
);

class Card {
  constructor(key) {
    this.key = key;
    this.cells = [];
    this.columns = 1;
    this.aspect = 0;
    this.isNear = false;
    this.where = h("span", { class: "where tabular" });
    this.pin = iconButton("pin", `Pin ${key}`, () => pin(key), { class: "icon-button quiet" });
    this.link = iconButton("link", `Detach ${key} from the slider`, () => detach(key, !state.detached.has(key)), { class: "icon-button quiet detach" });
    this.own = h("input", { type: "range", min: 0, max: 0, step: 1, class: "own-slider", "aria-label": `Position of ${key}`, hidden: true, on: { input: () => setDetached(key, this.stops[Number(this.own.value)]) } });
    this.more = h("button", { type: "button", class: "text-button more", hidden: true, on: { click: () => update({ view: "gallery", galleryKey: key }) } });
    this.body = h("div", { class: "cells" });
    this.element = h(
      "article",
      { class: "card", "aria-label": key, data: { key } },
      h("header", {}, h("h2", { title: key }, h("button", { type: "button", class: "title", title: `${key}: all of it in the gallery`, on: { click: () => update({ view: "gallery", galleryKey: key }) } }, h("span", { class: "whole" }, ...titleParts(key)))), h("span", { class: "tools" }, this.pin, this.link), this.where),
      this.own,
      this.body,
      this.more,
    );
    near.observe(this.element);
  }

  close() {
    near.unobserve(this.element);
    this.element.remove();
  }

  render() {
    if (!this.isNear) return;
    const { key } = this;
    const isDetached = state.detached.has(key);
    const at = isDetached ? state.detached.get(key) : position();
    this.showHead(isDetached, at);
    const found = runsOn().flatMap((run) => run.table.rowsAt(key, at).flatMap(({ rank, value, ids }) => [...ids.subarray(-CELLS_A_CARD)].map((id) => ({ run, rank, value, id }))));
    const values = [...new Set(found.map(({ value }) => value))];
    this.where.textContent = values.length === 0 ? "nothing yet" : values.length === 1 ? axisValue(state.axis, values[0]) : `${axisValue(state.axis, Math.min(...values))} – ${axisValue(state.axis, Math.max(...values))}`;
    this.where.classList.toggle("earlier", values.length > 0 && Number.isFinite(at) && values.every((value) => value !== at));
    this.where.title = values.length && this.where.classList.contains("earlier") ? `the nearest before ${axisName(state.axis)} ${axisValue(state.axis, at)}` : axisName(state.axis);
    const missing = found.filter(({ run, id }) => !keptRow(run.index, id));
    if (missing.length) {
      const turn = (this.turn = Symbol(key));
      Promise.allSettled(missing.map(({ run, id }) => getRow(run.index, id))).then(() => turn === this.turn && this.showCells(found));
    } else {
      this.turn = null;
      this.showCells(found);
    }
  }

  showHead(isDetached, at) {
    this.element.classList.toggle("pinned", state.pinned.has(this.key));
    this.pin.setAttribute("aria-pressed", String(state.pinned.has(this.key)));
    this.link.setAttribute("aria-pressed", String(isDetached));
    this.link.setAttribute("aria-label", isDetached ? `Let ${this.key} follow the slider again` : `Detach ${this.key} from the slider`);
    this.link.title = this.link.getAttribute("aria-label");
    fill(this.link, iconButton(isDetached ? "unlink" : "link", "").firstChild);
    this.own.hidden = !isDetached;
    if (!isDetached) return;
    this.stops = stopsOf(runsOn(), [this.key]);
    this.own.max = Math.max(0, this.stops.length - 1);
    this.own.value = Math.max(0, upperBound(this.stops, at) - 1);
    this.own.setAttribute("aria-valuetext", `${axisName(state.axis)} ${axisValue(state.axis, at)}`);
  }

  showCells(found) {
    const refs = [];
    for (const { run, rank, id } of found) {
      const row = keptRow(run.index, id);
      const images = row?.images.length ? row.images.map((image) => image.index) : [0];
      for (const image of images) refs.push({ run: run.index, rank, id, image });
      const size = row?.images[0];
      if (!this.aspect && size?.width && size?.height) this.aspect = Math.max(0.5, Math.min(2.2, size.width / size.height));
    }
    const shown = refs.slice(0, CELLS_A_CARD);
    const most = Math.min(MAX_COLUMNS, boardColumns);
    const columns = shown.length ? Math.ceil(shown.length / Math.ceil(shown.length / most)) : 1;
    // A card keeps the most columns it has had, so that nothing moves while one scrubs.
    this.columns = Math.max(Math.min(this.columns, boardColumns), Math.min(columns, boardColumns));
    this.element.style.setProperty("--columns", String(this.columns));
    this.element.style.setProperty("--aspect", String(this.aspect || 1));
    while (this.cells.length < shown.length) {
      const cell = new Cell((ref, event) => this.open(ref, event));
      this.cells.push(cell);
      this.body.append(cell.element);
    }
    for (const [at, cell] of this.cells.entries()) cell.element.hidden = at >= shown.length;
    const manyRuns = runsOn().length > 1;
    const ranks = new Set(shown.map(({ rank }) => rank));
    shown.forEach((ref, at) => {
      const cell = this.cells[at];
      cell.element.style.setProperty("--run", manyRuns ? state.runs[ref.run].color : "transparent");
      cell.element.classList.toggle("of-run", manyRuns);
      cell.show({ run: ref.run, id: ref.id, image: ref.image }, (row) => (ranks.size > 1 ? `r${row.rank}` : ""));
    });
    this.more.hidden = refs.length <= CELLS_A_CARD;
    this.more.textContent = `${count(refs.length - CELLS_A_CARD)} more images here`;
  }

  open(ref, event) {
    const run = state.runs[ref.run];
    const rank = run.table.columns.rank[ref.id];
    openLightbox(() => Array.from(run.table.seriesOf(this.key).get(rank)?.ids ?? [ref.id], (id) => ({ run: ref.run, id })), ref, event.currentTarget);
  }
}

/** A key with its folders dimmed. */
export function titleParts(key) {
  const cut = key.lastIndexOf("/") + 1;
  return [cut > 0 && h("span", { class: "folders", text: key.slice(0, cut) }), h("span", { text: key.slice(cut) || key })].filter(Boolean);
}

let boardColumns = 1;

/** Divide the width into columns of about the size asked for; every card spans some of them. */
function measure() {
  const room = board.clientWidth;
  if (!room) return;
  const columns = Math.max(1, Math.floor((room + GAP_PX) / (state.cellPx + GAP_PX)));
  if (columns === boardColumns) return;
  boardColumns = columns;
  board.style.setProperty("--board-columns", String(columns));
  for (const card of cards.values()) card.columns = 1;
}

const layOut = perFrame(() => {
  if (state.view !== "board") return;
  const keys = shownKeys();
  for (const [key, card] of cards) {
    if (keys.includes(key)) continue;
    card.close();
    cards.delete(key);
  }
  keys.forEach((key, at) => {
    let card = cards.get(key);
    if (!card) cards.set(key, (card = new Card(key)));
    if (board.children[at] !== card.element) board.insertBefore(card.element, board.children[at] ?? null);
  });
  const hasKeys = state.runs.some((run) => run.table.keys.length);
  empty.hidden = keys.length > 0 || !state.runs.length;
  empty.textContent = !hasKeys ? "Nothing is logged here yet. Images appear as soon as they are." : "No key is shown: clear the search or switch keys on.";
  if (!empty.parentElement) board.after(empty);
  renderAll();
});

const renderAll = perFrame(() => {
  if (state.view !== "board") return;
  measure();
  for (const card of cards.values()) card.render();
});

watch("data search keysOff pinned view", layOut);
watch("at detached overlays classes groupsOff scores compared", renderAll);
new ResizeObserver(renderAll).observe(board);
watch("cellPx", renderAll);
