// One image as a button with a canvas: a thumbnail and its overlays, drawn together so that they never disagree.

import { getRow, getThumbnail, keptRow } from "./api.js";
import { h } from "./dom.js";
import { axisName, axisValue, caption } from "./format.js";
import { drawOverlays, loadOverlays, wantsOverlays } from "./overlays.js";
import { state, update } from "./state.js";

export class Cell {
  /** `onOpen(ref, event)` is called for a click; a ref is {run, id, image}. */
  constructor(onOpen) {
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.note = h("span", { class: "note", hidden: true });
    this.tag = h("span", { class: "tag" });
    this.element = h("button", { type: "button", class: "cell", on: { click: (event) => this.ref && (event.shiftKey || event.ctrlKey || event.metaKey ? choose(this.ref) : onOpen(this.ref, event)) } }, h("span", { class: "frame" }, this.canvas, this.note), this.tag);
    this.turn = 0;
    this.ref = null;
  }

  /** Show another image; the old one stays until the new one is there. */
  async show(ref, tag) {
    const turn = ++this.turn;
    const isSame = this.ref && this.ref.run === ref.run && this.ref.id === ref.id && this.ref.image === ref.image;
    this.ref = ref;
    this.element.dataset.row = ref.id;
    this.element.classList.toggle("compared", state.compared.some((one) => sameRef(one, ref)));
    this.tagText = tag;
    if (!isSame) this.element.classList.add("waiting");
    try {
      const row = keptRow(ref.run, ref.id) ?? (await getRow(ref.run, ref.id));
      if (turn !== this.turn) return;
      this.describe(row, ref);
      const image = row.images.find((one) => one.index === ref.image);
      if (row.state !== "saved") return this.say(row.state, `${row.state}: ${row.reason ?? "no reason given"}`);
      if (!image) return this.say("failed", row.reason ?? "no image");
      if (image.path === null) return this.say("reference", `stored elsewhere: ${image.url}`);
      const [width, height] = this.sizePx();
      const [picture, overlays] = await Promise.all([getThumbnail(ref.run, ref.id, image, Math.max(width, height)), wantsOverlays(image) ? loadOverlays(ref.run, row, image) : null]);
      if (turn !== this.turn) return;
      this.draw(picture, overlays, image);
    } catch (error) {
      if (turn === this.turn) this.say("failed", error.message);
    }
  }

  sizePx() {
    const ratio = devicePixelRatio || 1;
    const frame = this.canvas.parentElement;
    return [Math.max(1, Math.round(frame.clientWidth * ratio)), Math.max(1, Math.round(frame.clientHeight * ratio))];
  }

  draw(picture, overlays, image) {
    const { canvas } = this;
    const [width, height] = this.sizePx();
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const scale = Math.min(width / picture.width, height / picture.height);
    const [w, h] = [picture.width * scale, picture.height * scale];
    const place = { x: Math.round((width - w) / 2), y: Math.round((height - h) / 2), scale };
    context.imageSmoothingEnabled = scale < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, place.x, place.y, w, h);
    if (overlays) {
      // Overlays say where they are in pixels of the image, which the thumbnail may have fewer of.
      const full = sizeOf(image, overlays) ?? picture;
      const ratio = devicePixelRatio || 1;
      drawOverlays(context, overlays, full, { ...place, scale: w / full.width }, { ratio, labels: state.overlays.labels && width / ratio >= 220 });
    }
    canvas.hidden = false;
    this.note.hidden = true;
    this.element.classList.remove("waiting", "failed", "dropped", "reference");
    this.element.dataset.drawn = `${this.ref.run}/${this.ref.id}/${this.ref.image}`;
  }

  say(kind, text) {
    this.canvas.hidden = true;
    this.note.hidden = false;
    this.note.textContent = text;
    this.element.classList.remove("waiting", "failed", "dropped", "reference");
    this.element.classList.add(kind);
    this.element.dataset.drawn = `${this.ref.run}/${this.ref.id}/${this.ref.image}`;
  }

  describe(row, ref) {
    const image = row.images.find((one) => one.index === ref.image);
    const said = caption(image?.caption);
    const where = this.tagText?.(row, ref) ?? "";
    this.tag.replaceChildren(...(where ? [h("span", { class: "where", text: where })] : []), ...(said ? [h("span", { class: "said", text: said })] : []), ...(ref.numbered && row.images.length > 1 ? [h("span", { class: "stack", title: `${row.images.length} images in this row`, text: `${ref.image + 1}/${row.images.length}` })] : []));
    this.tag.hidden = !this.tag.textContent;
    const many = row.images.length > 1 ? `, image ${ref.image + 1} of ${row.images.length}` : "";
    const name = `${row.key}, ${axisName(state.axis)} ${axisValue(state.axis, state.runs[ref.run].table.value(ref.id))}, rank ${row.rank}${many}${said ? `, ${said}` : ""}${row.state === "saved" ? "" : `, ${row.state}`}`;
    this.element.setAttribute("aria-label", name);
    this.element.title = said;
  }
}

/** The size of the stored image; undefined where neither its row nor its overlays tell it. */
function sizeOf(image, { shapes }) {
  const [width, height] = shapes.size ?? [image.width, image.height];
  return width && height ? { width, height } : undefined;
}

/** Choose an image for comparing, or let it go again. */
export function choose(ref) {
  const isChosen = state.compared.some((one) => sameRef(one, ref));
  const { run, id, image } = ref;
  update({ compared: isChosen ? state.compared.filter((one) => !sameRef(one, ref)) : [...state.compared, { run, id, image }] });
}

export function sameRef(one, other) {
  return one.run === other.run && one.id === other.id && one.image === other.image;
}
