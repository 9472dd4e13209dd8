// One canvas with pan and zoom. What lies on it are layers: pictures of one size, each with its overlays.
//
// The view says which point of the image is in the middle of the canvas, as fractions, and how many device pixels
// wide the image is shown; so images of unlike sizes can share one view. At 1:1 an image pixel is a device pixel.

import { h, perFrame } from "./dom.js";
import { drawOverlays } from "./overlays.js";

const MAX_SCALE = 64;
const GRID_FROM_SCALE = 14;
const NUMBERS_FROM_SCALE = 44;
const CHECK_PX = 8;

export class Stage {
  constructor(label, { onView = () => {}, onCursor = () => {}, onResize = () => {} } = {}) {
    this.canvas = h("canvas", { class: "stage", role: "img", "aria-label": label, tabIndex: 0 });
    Object.assign(this, { onView, onCursor, onResize, layers: [], view: null, isFitted: true, split: null, values: null, isTranslucent: false });
    this.draw = perFrame(() => this.paint());
    this.listen();
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.canvas);
  }

  close() {
    this.observer.disconnect();
  }

  /** Show layers: [{picture, overlays, opacity}]; the first one's size is the image's. */
  show(layers, { keepView = true } = {}) {
    const before = this.size;
    this.layers = layers;
    const size = this.size;
    const isOther = !before || !size || before.width !== size.width || before.height !== size.height;
    if (!keepView || this.isFitted || !this.view) this.fit(true);
    else if (isOther) this.setView(this.view, true);
    this.draw();
  }

  get size() {
    const picture = this.layers[0]?.picture;
    return picture ? { width: picture.width, height: picture.height } : null;
  }

  get ratio() {
    return devicePixelRatio || 1;
  }

  get scale() {
    return this.view && this.size ? this.view.width / this.size.width : 1;
  }

  /** Show all of the image; small images by whole factors, so that their pixels stay alike. */
  fit(silent = false) {
    const { size } = this;
    if (!size) return;
    const room = { width: this.canvas.width - 16 * this.ratio, height: this.canvas.height - 16 * this.ratio };
    let scale = Math.min(room.width / size.width, room.height / size.height);
    if (scale > 4) scale = Math.floor(scale);
    this.setView({ cx: 0.5, cy: 0.5, width: Math.max(1, size.width * Math.min(MAX_SCALE, Math.max(scale, 1e-3))) }, silent);
    this.isFitted = true;
  }

  oneToOne() {
    if (this.size) this.setView({ ...(this.view ?? { cx: 0.5, cy: 0.5 }), width: this.size.width });
  }

  setView(view, silent = false) {
    const { size } = this;
    if (!size) return;
    const width = Math.max(Math.min(size.width, 8), Math.min(size.width * MAX_SCALE, view.width));
    this.view = { cx: Math.max(0, Math.min(1, view.cx)), cy: Math.max(0, Math.min(1, view.cy)), width };
    this.isFitted = false;
    this.draw();
    if (!silent) this.onView(this.view);
  }

  /** Zoom so that the image's point below (px, py), in device pixels, stays there. */
  zoom(factor, px = this.canvas.width / 2, py = this.canvas.height / 2) {
    const { size, view } = this;
    if (!size || !view) return;
    const at = this.toImage(px, py);
    const width = Math.max(Math.min(size.width, 8), Math.min(size.width * MAX_SCALE, view.width * factor));
    const scale = width / size.width;
    this.setView({ cx: (at.x - (px - this.canvas.width / 2) / scale) / size.width, cy: (at.y - (py - this.canvas.height / 2) / scale) / size.height, width });
  }

  origin() {
    const { size, view, scale } = this;
    return { x: Math.round(this.canvas.width / 2 - view.cx * size.width * scale), y: Math.round(this.canvas.height / 2 - view.cy * size.height * scale), scale };
  }

  /** The image's coordinates of a device pixel of the canvas. */
  toImage(px, py) {
    const { x, y, scale } = this.origin();
    return { x: (px - x) / scale, y: (py - y) / scale };
  }

  resized() {
    const box = this.canvas.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * this.ratio));
    const height = Math.max(1, Math.round(box.height * this.ratio));
    if (width === this.canvas.width && height === this.canvas.height) return;
    Object.assign(this.canvas, { width, height });
    if (this.isFitted) this.fit(true);
    this.paint();
    this.onResize();
  }

  paint() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const { size, view, ratio } = this;
    if (!size || !view) return;
    const place = this.origin();
    if (this.isTranslucent) this.paintChecks(context, place);
    this.layers.forEach((layer, index) => {
      context.save();
      if (index === 1 && this.split !== null) {
        context.beginPath();
        context.rect(Math.round(this.split * this.canvas.width), 0, this.canvas.width, this.canvas.height);
        context.clip();
        context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      }
      // Pixels stay squares from 2:1 on and at 1:1; between, squares of one and two pixels would look like a pattern.
      context.imageSmoothingEnabled = place.scale < 2 && place.scale !== 1;
      context.imageSmoothingQuality = "high";
      context.drawImage(layer.picture, place.x, place.y, size.width * place.scale, size.height * place.scale);
      if (layer.overlays) drawOverlays(context, layer.overlays, size, place, { ratio });
      context.restore();
    });
    if (place.scale / ratio >= GRID_FROM_SCALE) this.paintGrid(context, place);
  }

  /** What is translucent lies over gray squares, so that it does not pass for dark or pale. */
  paintChecks(context, { x, y, scale }) {
    const { size, canvas } = this;
    const side = Math.round(CHECK_PX * this.ratio);
    const [left, top] = [Math.max(0, x), Math.max(0, y)];
    const [right, bottom] = [Math.min(canvas.width, Math.round(x + size.width * scale)), Math.min(canvas.height, Math.round(y + size.height * scale))];
    context.fillStyle = "#b4b4b4";
    context.fillRect(left, top, right - left, bottom - top);
    context.fillStyle = "#8c8c8c";
    for (let row = top; row < bottom; row += side) {
      for (let column = left + (((row - top) / side) % 2) * side; column < right; column += 2 * side) context.fillRect(column, row, Math.min(side, right - column), Math.min(side, bottom - row));
    }
  }

  paintGrid(context, { x, y, scale }) {
    const { size, canvas } = this;
    const [left, top] = [Math.max(0, Math.floor(-x / scale)), Math.max(0, Math.floor(-y / scale))];
    const [right, bottom] = [Math.min(size.width, Math.ceil((canvas.width - x) / scale)), Math.min(size.height, Math.ceil((canvas.height - y) / scale))];
    context.fillStyle = "rgba(128, 128, 128, 0.35)";
    for (let column = left; column <= right; column++) context.fillRect(Math.round(x + column * scale), Math.round(y + top * scale), 1, Math.round((bottom - top) * scale));
    for (let row = top; row <= bottom; row++) context.fillRect(Math.round(x + left * scale), Math.round(y + row * scale), Math.round((right - left) * scale), 1);
    if (!this.values || scale / this.ratio < NUMBERS_FROM_SCALE) return;
    context.font = `${Math.min(11, scale / this.ratio / 5) * this.ratio}px ui-monospace, monospace`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const lines = valuesAt(this.values, column, row);
        const [cx, cy] = [x + (column + 0.5) * scale, y + (row + 0.5) * scale];
        const step = (scale / (lines.length + 1)) * 0.9;
        lines.forEach((line, at) => {
          const text = Number.isInteger(line) ? String(line) : Number(line).toPrecision(3);
          context.lineWidth = 2.5 * this.ratio;
          context.strokeStyle = "rgba(0, 0, 0, 0.75)";
          context.strokeText(text, cx, cy + (at - (lines.length - 1) / 2) * step);
          context.fillStyle = "#ffffff";
          context.fillText(text, cx, cy + (at - (lines.length - 1) / 2) * step);
        });
      }
    }
    context.textAlign = "start";
  }

  listen() {
    const { canvas } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio];
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [px, py] = at(event);
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : event.ctrlKey ? 0.01 : 0.0018)), px, py);
    }, { passive: false });
    const held = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, at(event));
      canvas.classList.add("grabbed");
    });
    canvas.addEventListener("pointermove", (event) => {
      const [px, py] = at(event);
      const from = held.get(event.pointerId);
      if (from && this.view && this.size) {
        const others = [...held].filter(([id]) => id !== event.pointerId);
        held.set(event.pointerId, [px, py]);
        if (others.length) {
          const [ox, oy] = others[0][1];
          this.zoom(Math.hypot(px - ox, py - oy) / (Math.hypot(from[0] - ox, from[1] - oy) || 1), ox, oy);
        } else {
          const { scale, size, view } = this;
          this.setView({ ...view, cx: view.cx - (px - from[0]) / scale / size.width, cy: view.cy - (py - from[1]) / scale / size.height });
        }
      }
      if (!this.size || !this.view) return;
      const { x, y } = this.toImage(px, py);
      const [column, row] = [Math.floor(x), Math.floor(y)];
      const isInside = column >= 0 && row >= 0 && column < this.size.width && row < this.size.height;
      this.onCursor(isInside ? { x: column, y: row } : null);
    });
    const release = (event) => {
      held.delete(event.pointerId);
      canvas.classList.remove("grabbed");
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => this.onCursor(null));
    canvas.addEventListener("dblclick", () => (Math.abs(this.scale - 1) < 1e-6 ? this.fit() : this.oneToOne()));
  }
}

/** The stored values of one pixel, one for each channel. */
export function valuesAt({ width, channels, values }, x, y) {
  const at = (y * width + x) * channels;
  return [...values.subarray(at, at + channels)];
}
