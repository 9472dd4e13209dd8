// One image, large: its pixels, its overlays, everything known of it, and the rows before and after.

import { getLinked, getPicture, getRow, getValues } from "./api.js";
import { titleParts } from "./board.js";
import { choose, sameRef } from "./cell.js";
import { openCompare } from "./compare.js";
import { copy, download, fillDetails } from "./details.js";
import { fill, h, iconButton } from "./dom.js";
import { axisName, axisValue, caption, count, number } from "./format.js";
import { fillHistogram } from "./histogram.js";
import { fillOverlayPanel, setOverlay } from "./overlay-panel.js";
import { classesAt, hasOverlays, loadOverlays } from "./overlays.js";
import { Stage, valuesAt } from "./stage.js";
import { state, update, watch } from "./state.js";

const VALUES_AFTER_MS = 120;

let open = null;

/** Show the image again that the address names, if the runs have it. */
export function reopen() {
  const said = state.opened;
  const table = state.runs[said?.run]?.table;
  const id = table?.idOf(said.key, said.rank, said.time);
  if (id === undefined) return update({ opened: null });
  openLightbox(() => Array.from(table.seriesOf(said.key).get(said.rank)?.ids ?? [id], (one) => ({ run: said.run, id: one })), { run: said.run, id, image: said.image }, null);
}

/** Show an image; `source()` gives the rows that the arrow keys go through, as {run, id}. */
export function openLightbox(source, ref, opener) {
  open?.dialog.close();
  open = new Lightbox(source, ref, opener);
}

class Lightbox {
  constructor(source, ref, opener) {
    Object.assign(this, { source, ref, opener, row: null, image: null, overlays: null, turn: 0 });
    this.stage = new Stage("Image", { onCursor: (at) => this.showCursor(at), onView: () => this.showZoom(), onResize: () => this.showZoom() });
    this.title = h("h2", {});
    this.where = h("span", { class: "where tabular", id: "lightbox-where" });
    this.zoomText = h("button", { type: "button", class: "chip tabular", id: "zoom", title: "Fit (0)", on: { click: () => this.stage.fit() } });
    this.readout = h("output", { class: "readout tabular", id: "readout", hidden: true });
    this.problem = h("p", { class: "problem", hidden: true });
    this.overlayPanel = h("div", { class: "overlay-panel" });
    this.overlayPart = h("section", { "aria-label": "Overlays" }, h("h3", { text: "Overlays" }), this.overlayPanel);
    this.histogram = h("div", {});
    this.histogramPart = h("section", { "aria-label": "Histogram" }, h("h3", { text: "Histogram" }), this.histogram);
    this.details = h("div", { class: "details" });
    this.caption = h("p", { class: "caption" });
    this.range = h("input", { type: "range", min: 0, max: 0, step: 1, id: "lightbox-slider", "aria-label": "Row", on: { input: () => this.go(Number(this.range.value) - this.place()) } });
    this.images = h("div", { class: "chips images", role: "group", "aria-label": "Images of this row" });
    this.compareButton = iconButton("plus", "Choose for comparing (c)", () => choose(this.ref), { id: "choose" });
    this.linkedButton = iconButton("group", "Compare all images of the same log call (x)", () => this.compareLinked(), { id: "linked" });
    this.pathButton = iconButton("copy", "Copy path (p)", () => this.copyPath(), { id: "copy-path" });
    this.dialog = h(
      "dialog",
      { class: "lightbox", "aria-label": "Image" },
      h(
        "header",
        {},
        h("div", { class: "titles" }, this.title, this.where),
        h("div", { class: "spring" }),
        h("div", { class: "row tight" }, iconButton("previous", "Row before (←)", () => this.go(-1)), iconButton("next", "Row after (→)", () => this.go(1))),
        h("div", { class: "row tight" }, this.zoomText, h("button", { type: "button", class: "chip", id: "one-to-one", title: "One image pixel per screen pixel (1)", on: { click: () => this.stage.oneToOne() } }, "1:1")),
        h("div", { class: "row tight" }, this.compareButton, this.linkedButton, this.pathButton, iconButton("download", "Download (d)", () => this.save(), { id: "download" })),
        iconButton("close", "Close (Esc)", () => this.dialog.close()),
      ),
      h("div", { class: "body" }, h("div", { class: "stage-frame" }, this.stage.canvas, this.problem, this.readout, this.images), h("aside", { class: "panel", tabIndex: 0, "aria-label": "About this image" }, this.caption, this.overlayPart, this.histogramPart, this.details)),
      h("footer", {}, this.range),
    );
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("close", () => this.close());
    this.unwatch = [
      watch("overlays classes groupsOff scores", () => this.showOverlays()),
      watch("data", () => this.showPlace()),
      watch("compared", () => this.showChosen()),
    ];
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.stage.canvas.focus();
    this.load();
  }

  close() {
    for (const stop of this.unwatch) stop();
    this.stage.close();
    this.dialog.remove();
    clearTimeout(this.timer);
    this.turn++;
    if (open === this) {
      open = null;
      update({ opened: null });
    }
    this.opener?.focus();
  }

  place() {
    return Math.max(0, this.source().findIndex((item) => item.run === this.ref.run && item.id === this.ref.id));
  }

  /** Go so many rows on. */
  go(distance) {
    const items = this.source();
    const item = items[Math.max(0, Math.min(items.length - 1, this.place() + distance))];
    if (!item || (item.id === this.ref.id && item.run === this.ref.run)) return;
    this.ref = { ...item, image: this.ref.image };
    this.load();
  }

  goImage(distance) {
    const images = this.row?.images ?? [];
    const to = images[images.findIndex((one) => one.index === this.ref.image) + distance];
    if (!to) return;
    this.ref = { ...this.ref, image: to.index };
    this.load();
  }

  async load() {
    const turn = ++this.turn;
    const { run, id } = this.ref;
    clearTimeout(this.timer);
    try {
      const row = await getRow(run, id);
      if (turn !== this.turn) return;
      const image = row.images.find((one) => one.index === this.ref.image) ?? row.images[0] ?? null;
      if (image) this.ref = { run, id, image: image.index };
      Object.assign(this, { row, image });
      update({ opened: { run, key: row.key, rank: row.rank, time: row.time, image: image?.index ?? 0 } });
      this.showHead();
      fillDetails(this.details, run, row, image);
      this.caption.textContent = caption(image?.caption);
      this.caption.hidden = !this.caption.textContent;
      if (!image || image.path === null) return this.showNoPicture(row.reason ? `${row.state}: ${row.reason}` : image?.url ? `Stored elsewhere: ${image.url}` : row.state, row.state !== "saved" || !image?.url);
      const [picture, overlays] = await Promise.all([getPicture(run, id, image.index), hasOverlays(image) ? loadOverlays(run, row, image) : null]);
      if (turn !== this.turn) return;
      Object.assign(this, { overlays, picture });
      this.problem.hidden = true;
      this.histogramPart.hidden = false;
      this.stage.values = null;
      this.stage.show([{ picture, overlays }]);
      this.stage.canvas.setAttribute("aria-label", `${row.key}, ${this.where.textContent}`);
      this.dialog.dataset.shown = `${run}/${id}/${image.index}`;
      this.showOverlays();
      this.showZoom();
      this.timer = setTimeout(() => {
        this.loadValues(turn);
        this.fetchNeighbours();
      }, VALUES_AFTER_MS);
    } catch (error) {
      if (turn === this.turn) this.showNoPicture(error.message);
    }
  }

  /** Say why there is no picture; it is a problem unless the image is one that was logged as a URL. */
  showNoPicture(text, isProblem = true) {
    Object.assign(this, { overlays: null, picture: null });
    this.stage.show([]);
    this.problem.hidden = false;
    this.problem.classList.toggle("dim", !isProblem);
    this.problem.textContent = text;
    this.overlayPart.hidden = true;
    this.histogramPart.hidden = true;
    fill(this.histogram);
    this.dialog.dataset.shown = `${this.ref.run}/${this.ref.id}/${this.ref.image}`;
  }

  /** Have the rows before and after at hand by the time the arrow key is pressed. */
  fetchNeighbours() {
    const items = this.source();
    for (const item of [items[this.place() - 1], items[this.place() + 1]]) {
      if (!item) continue;
      getRow(item.run, item.id)
        .then((row) => row.images[0]?.path && getPicture(item.run, item.id, (row.images.find((one) => one.index === this.ref.image) ?? row.images[0]).index))
        .catch(() => {});
    }
  }

  async loadValues(turn) {
    try {
      const values = await getValues(this.ref.run, this.ref.id, this.ref.image);
      if (turn !== this.turn) return;
      this.stage.values = values;
      this.stage.isTranslucent = values.channels === 2 || values.channels === 4;
      this.stage.draw();
      fillHistogram(this.histogram, values);
      if (this.cursor) this.showCursor(this.cursor);
    } catch (error) {
      if (turn === this.turn) fill(this.histogram, h("p", { class: "dim", text: error.message }));
    }
  }

  showHead() {
    fill(this.title, ...titleParts(this.row.key));
    this.showPlace();
    this.showChosen();
    this.linkedButton.disabled = this.row.call === null;
    const { images } = this.row;
    fill(this.images, images.length > 1 && images.map((one, at) => h("button", { type: "button", class: "chip", "aria-pressed": String(one.index === this.image?.index), on: { click: () => this.goImage(at - images.indexOf(this.image)) } }, String(at + 1))));
  }

  showPlace() {
    if (!this.row) return;
    const items = this.source();
    const at = this.place();
    const { table, name } = state.runs[this.ref.run];
    this.range.max = Math.max(0, items.length - 1);
    this.range.value = at;
    const text = `${axisName(state.axis)} ${axisValue(state.axis, table.value(this.ref.id))}`;
    this.range.setAttribute("aria-valuetext", text);
    this.where.textContent = [state.runs.length > 1 && name, text, table.ranks.size > 1 && `rank ${this.row.rank}`, `${count(at + 1)} / ${count(items.length)}`].filter(Boolean).join("  ·  ");
  }

  showChosen() {
    const isChosen = state.compared.some((one) => sameRef(one, this.ref));
    this.compareButton.setAttribute("aria-pressed", String(isChosen));
  }

  showOverlays() {
    this.overlayPart.hidden = !this.overlays;
    if (!this.overlays) return;
    fillOverlayPanel(this.overlayPanel, this.overlays);
    this.stage.draw();
  }

  showZoom() {
    const percent = this.stage.scale * 100;
    this.zoomText.textContent = `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
  }

  showCursor(at) {
    this.cursor = at;
    this.readout.hidden = !at;
    if (!at || !this.picture) return;
    const { values } = this.stage;
    const classes = this.overlays ? classesAt(this.overlays, this.stage.size, at.x, at.y) : [];
    fill(
      this.readout,
      h("span", { class: "place", text: `${at.x}, ${at.y}` }),
      h("span", { class: "values", text: values ? valuesAt(values, at.x, at.y).map((value) => number(value)).join("  ") : "…" }),
      classes.map(({ group, id, name, color }) => h("span", { class: "class" }, swatch(color), `${group ? `${group}: ` : ""}${name}${name === String(id) || name === `class ${id}` ? "" : ` (${id})`}`)),
    );
  }

  async compareLinked() {
    if (!this.row || this.row.call === null) return;
    const rows = await getLinked(this.ref.run, this.ref.id);
    const refs = rows.filter((row) => row.images.length).map((row) => ({ run: this.ref.run, id: row.id, image: (row.images.find((one) => one.index === this.ref.image) ?? row.images[0]).index }));
    openCompare(refs, this.linkedButton);
  }

  copyPath() {
    const path = this.image?.absolutePath ?? this.image?.path;
    if (path) copy(path, this.pathButton);
  }

  save() {
    if (this.image?.path) download(this.ref.run, this.row, this.image);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isField = event.target.matches("input:not([type=range]):not([type=checkbox]):not([type=color]), select, textarea");
    if (isField) return;
    const isSlider = event.target.matches("input[type=range]") && event.target !== this.range;
    const arrows = { ArrowLeft: () => this.go(event.shiftKey ? -10 : -1), ArrowRight: () => this.go(event.shiftKey ? 10 : 1), ArrowUp: () => this.goImage(-1), ArrowDown: () => this.goImage(1), Home: () => this.go(-Infinity), End: () => this.go(Infinity) };
    const letters = {
      1: () => this.stage.oneToOne(),
      0: () => this.stage.fit(),
      "+": () => this.stage.zoom(1.5),
      "=": () => this.stage.zoom(1.5),
      "-": () => this.stage.zoom(1 / 1.5),
      c: () => choose(this.ref),
      x: () => this.compareLinked(),
      v: () => state.compared.length > 1 && openCompare(state.compared, this.stage.canvas),
      p: () => this.copyPath(),
      d: () => this.save(),
      m: () => setOverlay({ masks: !state.overlays.masks }),
      b: () => setOverlay({ boxes: !state.overlays.boxes }),
    };
    const action = (isSlider ? undefined : arrows[event.key]) ?? letters[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
    this.showZoom();
  }
}

function swatch(color) {
  const spot = h("span", { class: "dot" });
  spot.style.setProperty("--color", color);
  return spot;
}
