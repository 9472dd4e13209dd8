// Two or more images beside, over, after and minus each other, with one zoom for all.

import { getPicture, getRow, getValues } from "./api.js";
import { difference } from "./difference.js";
import { fill, h, iconButton } from "./dom.js";
import { axisName, axisValue, number } from "./format.js";
import { slider } from "./overlay-panel.js";
import { hasOverlays, loadOverlays } from "./overlays.js";
import { Stage, valuesAt } from "./stage.js";
import { state, update, watch } from "./state.js";

const MODES = { side: "Side by side", swipe: "Swipe", flicker: "Flicker", difference: "|a − b|" };
const FLICKER_MS = 450;

let open = null;

/** Compare images: refs are {run, id, image}. */
export function openCompare(refs, opener, mode = "side") {
  if (!refs.length) return;
  open?.dialog.close();
  open = new Compare(refs.map((ref) => ({ ...ref })), opener, mode);
}

/** Compare the images again that the address names, those that the runs have. */
export function reopenCompare() {
  const said = state.comparing;
  const refs = (said?.images ?? []).map(({ run, key, rank, time, image }) => ({ run, id: state.runs[run]?.table.idOf(key, rank, time), image })).filter(({ id }) => id !== undefined);
  if (!refs.length) return update({ comparing: null });
  openCompare(refs, null, Object.hasOwn(MODES, said.mode) && refs.length > 1 ? said.mode : "side");
}

class Compare {
  constructor(refs, opener, mode) {
    Object.assign(this, { refs, opener, mode, pair: [0, Math.min(1, refs.length - 1)], gain: 4, loaded: [], stages: [], turn: 0, lit: 0, isHeld: false, view: null });
    this.modes = h("div", { class: "segments", role: "group", "aria-label": "How to compare" }, Object.entries(MODES).map(([mode, name], at) => h("button", { type: "button", data: { mode }, title: `${name} (${at + 1})`, on: { click: () => this.setMode(mode) } }, name)));
    this.choices = h("div", { class: "row tight pair" });
    this.options = h("div", { class: "row options" });
    this.facts = h("span", { class: "facts readout tabular", role: "status", id: "difference-facts" });
    this.area = h("div", { class: "compare-area" });
    this.readout = h("output", { class: "readout tabular", hidden: true });
    this.dialog = h(
      "dialog",
      { class: "compare lightbox", "aria-label": "Compare" },
      h("header", {}, this.modes, this.choices, this.options, h("div", { class: "spring" }), h("div", { class: "row tight" }, iconButton("previous", "All one row back (←)", () => this.go(-1)), iconButton("next", "All one row on (→)", () => this.go(1))), h("button", { type: "button", class: "chip", title: "One image pixel per screen pixel (O)", on: { click: () => this.stages[0]?.oneToOne() } }, "1:1"), h("button", { type: "button", class: "chip", title: "Fit (0)", on: { click: () => this.fit() } }, "fit"), iconButton("close", "Close (Esc)", () => this.dialog.close())),
      h("div", { class: "body" }, this.area, this.readout, this.facts),
    );
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("close", () => this.close());
    this.unwatch = watch("overlays classes groupsOff scores", () => this.stages.forEach((stage) => stage.draw()));
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.load();
  }

  close() {
    this.unwatch();
    clearInterval(this.timer);
    this.stages.forEach((stage) => stage.close());
    this.dialog.remove();
    this.turn++;
    if (open === this) {
      open = null;
      update({ comparing: null });
    }
    this.opener?.focus();
  }

  async load() {
    const turn = ++this.turn;
    const loaded = await Promise.all(this.refs.map(loadOne));
    if (turn !== this.turn) return;
    this.loaded = loaded;
    this.build();
  }

  setMode(mode) {
    if (this.refs.length < 2 && mode !== "side") return;
    this.mode = mode;
    this.build();
  }

  build() {
    clearInterval(this.timer);
    const focusedStage = !this.stages.length || this.area.contains(document.activeElement) || document.activeElement === document.body;
    this.stages.forEach((stage) => stage.close());
    this.stages = [];
    this.facts.textContent = "";
    for (const button of this.modes.children) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
      button.disabled = this.refs.length < 2 && button.dataset.mode !== "side";
    }
    fill(this.options);
    this.showPair();
    ({ side: () => this.buildSide(), swipe: () => this.buildSwipe(), flicker: () => this.buildFlicker(), difference: () => this.buildDifference() })[this.mode]();
    this.dialog.dataset.mode = this.mode;
    update({ comparing: { mode: this.mode, images: this.loaded.filter(({ row }) => row).map(({ ref, row }) => ({ run: ref.run, key: row.key, rank: row.rank, time: row.time, image: ref.image })) } });
    this.dialog.dataset.shown = this.refs.map(({ run, id, image }) => `${run}/${id}/${image}`).join(" ");
    if (focusedStage) this.stages[0]?.canvas.focus();
  }

  showPair() {
    const needsPair = this.mode !== "side" && this.refs.length > 2;
    fill(
      this.choices,
      needsPair &&
        ["a", "b"].map((name, which) => {
          const select = h("select", { "aria-label": `Image ${name}`, on: { change: () => ((this.pair[which] = Number(select.value)), this.build()) } }, this.loaded.map((one, at) => h("option", { value: at }, nameOf(one))));
          select.value = this.pair[which];
          return h("label", {}, h("span", { class: "dim", text: name }), select);
        }),
    );
  }

  stage(label, layers) {
    const stage = new Stage(label, { onView: (view) => this.sync(stage, view), onCursor: (at) => this.showCursor(at) });
    this.stages.push(stage);
    stage.show(layers);
    if (this.view) requestAnimationFrame(() => stage.setView(this.view, true));
    return stage;
  }

  sync(from, view) {
    this.view = view;
    for (const stage of this.stages) if (stage !== from) stage.setView(view, true);
  }

  fit() {
    this.view = null;
    for (const stage of this.stages) stage.fit(true);
  }

  figure(stage, one, at) {
    const remove = this.refs.length > 1 && iconButton("close", `Take ${nameOf(one)} out`, () => this.remove(at), { class: "icon-button quiet" });
    return h("figure", {}, h("figcaption", {}, ...caption(one), h("span", { class: "spring" }), remove), one.picture ? stage.canvas : h("p", { class: "problem", text: one.problem }));
  }

  buildSide() {
    this.area.style.setProperty("--columns", String(this.loaded.length <= 3 ? this.loaded.length : Math.ceil(Math.sqrt(this.loaded.length))));
    fill(this.area, this.loaded.map((one, at) => this.figure(this.stage(nameOf(one), layer(one)), one, at)));
  }

  two() {
    return this.pair.map((at) => this.loaded[Math.min(at, this.loaded.length - 1)]);
  }

  single(stage, ...more) {
    this.area.style.setProperty("--columns", "1");
    const [a, b] = this.two();
    fill(this.area, h("figure", {}, h("figcaption", { class: "both" }, h("span", { class: "side-a" }, ...caption(a)), h("span", { class: "side-b" }, ...caption(b))), h("div", { class: "single" }, stage.canvas, ...more)));
  }

  buildSwipe() {
    const [a, b] = this.two();
    const stage = this.stage("Swipe", [...layer(a), ...layer(b)]);
    stage.split = this.split ?? 0.5;
    const handle = h("div", { class: "divider", role: "slider", tabIndex: 0, "aria-label": "Divider", "aria-valuemin": 0, "aria-valuemax": 100 });
    const move = (part) => {
      this.split = stage.split = Math.max(0, Math.min(1, part));
      handle.style.setProperty("left", `${stage.split * 100}%`);
      handle.setAttribute("aria-valuenow", String(Math.round(stage.split * 100)));
      stage.draw();
    };
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = stage.canvas.getBoundingClientRect();
      move((event.clientX - box.left) / box.width);
    });
    handle.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      move(stage.split + by);
    });
    this.single(stage, handle);
    move(stage.split);
  }

  buildFlicker() {
    const pair = this.two();
    const stage = this.stage("Flicker", layer(pair[this.lit % 2]));
    this.single(stage);
    const show = () => {
      stage.show(layer(pair[this.lit % 2]));
      stage.canvas.dataset.lit = String(this.lit % 2);
      this.area.querySelector(".side-a").classList.toggle("unlit", this.lit % 2 === 1);
      this.area.querySelector(".side-b").classList.toggle("unlit", this.lit % 2 === 0);
    };
    show();
    this.timer = setInterval(() => {
      if (this.isHeld) return;
      this.lit++;
      show();
    }, FLICKER_MS);
  }

  async buildDifference() {
    const [a, b] = this.two();
    const stage = this.stage("Difference", layer(a));
    this.single(stage);
    fill(this.options, slider("gain", 0, 6, Math.log2(this.gain), (power) => ((this.gain = 2 ** power), show()), { id: "gain", step: 0.5 }, (power) => `×${number(2 ** power, 3)}`));
    const turn = this.turn;
    let values;
    try {
      values = await Promise.all([a, b].map((one) => getValues(one.ref.run, one.ref.id, one.ref.image)));
    } catch (error) {
      this.facts.textContent = error.message;
      return;
    }
    const show = () => {
      if (turn !== this.turn || this.mode !== "difference") return;
      const found = difference(...values, this.gain);
      if (found.problem) {
        this.facts.textContent = found.problem;
        return;
      }
      stage.show([{ picture: found.picture, overlays: null }]);
      this.facts.textContent = `max ${number(found.most)}  mean ${number(found.mean, 4)}  PSNR ${psnrText(found.psnr)}  ${(found.share * 100).toFixed(1)} % of pixels differ`;
    };
    show();
  }

  showCursor(at) {
    this.readout.hidden = !at;
    if (!at) return;
    fill(
      this.readout,
      h("span", { class: "place", text: `${at.x}, ${at.y}` }),
      this.loaded.filter((one) => one.values && at.x < one.values.width && at.y < one.values.height).map((one) => h("span", {}, h("span", { class: "dim", text: `${shortName(one)} ` }), valuesAt(one.values, at.x, at.y).map((value) => number(value)).join(" "))),
    );
    for (const one of this.loaded) {
      if (one.values !== undefined || !one.picture) continue;
      one.values = null;
      getValues(one.ref.run, one.ref.id, one.ref.image).then((values) => (one.values = values), () => {});
    }
  }

  /** Every image goes so many rows on in its own series. */
  go(distance) {
    this.refs = this.refs.map((ref) => {
      const { table } = state.runs[ref.run];
      const series = table.seriesOf(table.keys[table.columns.key[ref.id]]).get(table.columns.rank[ref.id]);
      const at = series ? series.ids.indexOf(ref.id) : -1;
      return at < 0 ? ref : { ...ref, id: series.ids[Math.max(0, Math.min(series.ids.length - 1, at + distance))] };
    });
    this.load();
  }

  remove(at) {
    this.refs.splice(at, 1);
    this.pair = [0, Math.min(1, this.refs.length - 1)];
    this.load();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
    const modes = Object.keys(MODES);
    const action = {
      ArrowLeft: () => this.go(-1),
      ArrowRight: () => this.go(1),
      "+": () => this.stages[0]?.zoom(1.5),
      "=": () => this.stages[0]?.zoom(1.5),
      "-": () => this.stages[0]?.zoom(1 / 1.5),
      0: () => this.fit(),
      o: () => this.stages[0]?.oneToOne(),
      " ": () => this.mode === "flicker" && (this.isHeld = !this.isHeld),
      m: () => update({ overlays: { ...state.overlays, masks: !state.overlays.masks } }),
      b: () => update({ overlays: { ...state.overlays, boxes: !state.overlays.boxes } }),
      ...Object.fromEntries(modes.map((mode, at) => [String(at + 1), () => this.setMode(mode)])),
    }[event.key];
    if (!action || (event.key === " " && event.target.matches("button"))) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }
}

async function loadOne(ref) {
  try {
    const row = await getRow(ref.run, ref.id);
    const image = row.images.find((one) => one.index === ref.image) ?? row.images[0];
    if (!image || image.path === null) return { ref, row, picture: null, problem: row.reason ? `${row.state}: ${row.reason}` : image?.url ? `Stored elsewhere: ${image.url}` : "nothing stored" };
    const at = { ...ref, image: image.index };
    const [picture, overlays] = await Promise.all([getPicture(ref.run, ref.id, image.index), hasOverlays(image) ? loadOverlays(ref.run, row, image) : null]);
    return { ref: at, row, image, picture, overlays };
  } catch (error) {
    return { ref, row: null, picture: null, problem: error.message };
  }
}

const layer = ({ picture, overlays }) => (picture ? [{ picture, overlays }] : []);

function shortName({ row, ref }) {
  return row ? row.key.slice(row.key.lastIndexOf("/") + 1) || row.key : String(ref.id);
}

function placeOf({ ref, row }) {
  const run = state.runs[ref.run];
  return [state.runs.length > 1 && run.name, `${axisName(state.axis)} ${axisValue(state.axis, run.table.value(ref.id))}`, run.table.ranks.size > 1 && row && `r${row.rank}`].filter(Boolean).join(" · ");
}

function nameOf(one) {
  return one.row ? `${one.row.key}, ${placeOf(one)}` : `row ${one.ref.id}`;
}

function caption(one) {
  return [h("strong", { text: one.row?.key ?? "" }), h("span", { class: "dim tabular", text: one.row ? placeOf(one) : "" })];
}

function psnrText(db) {
  if (Number.isFinite(db)) return `${db.toFixed(2)} dB`;
  return db > 0 ? "∞" : "–";
}
