// The one slider: every distinct value that a shown key has on the axis is a stop, and none is left out.

import { getMetaNames } from "./api.js";
import { fill, h, iconButton, perFrame } from "./dom.js";
import { axisName, axisValue, count } from "./format.js";
import { shownKeys } from "./keys.js";
import { runsOn, state, toggled, update, watch } from "./state.js";
import { stopsOf, upperBound } from "./table.js";

const PLAY_MS = [1000, 500, 250, 125, 60];
const WAIT_MS = 2000;

let stops = new Float64Array(0);
let timer = 0;
let speed = 2;

const axis = h("select", { id: "axis", "aria-label": "Axis of the slider", on: { change: () => chooseAxis(axis.value) } });
const range = h("input", { id: "slider", type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "Position", on: { input: () => goToStop(Number(range.value)) } });
const ticks = h("canvas", { class: "ticks", "aria-hidden": "true" });
const field = h("input", { id: "position", class: "number", type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": "Go to a value on the axis", on: { change: () => goToText(field.value), focus: () => field.select(), keydown: (event) => event.key === "Enter" && setTimeout(() => field.blur()) } });
const where = h("span", { class: "dim tabular", id: "stop-count" });
const playButton = iconButton("play", "Play (Space)", () => play(!state.playing), { id: "play" });
const newest = h("button", { type: "button", id: "newest", class: "chip", title: "Stay at the newest image (End)", on: { click: () => goToNewest() } }, "newest");
const rate = h("select", { id: "speed", "aria-label": "Speed of playing", on: { change: () => setSpeed(Number(rate.value)) } }, PLAY_MS.map((ms, index) => h("option", { value: index }, `${Math.round(1000 / ms)}/s`)));

export const timeline = h(
  "footer",
  { class: "timeline", "aria-label": "Position" },
  h("div", { class: "row tight" }, iconButton("previous", "Step back (←)", () => stepBy(-1)), playButton, iconButton("next", "Step on (→)", () => stepBy(1)), rate),
  axis,
  field,
  h("div", { class: "track" }, ticks, range),
  where,
  newest,
);

/** The position on the axis that the page shows now. */
export function position() {
  if (state.at !== null) return state.at;
  return stops.length ? stops.at(-1) : Infinity;
}

/** Move by so many stops; beyond the last one the page stays at the newest image. */
export function stepBy(distance) {
  if (!stops.length) return;
  const here = upperBound(stops, position()) - 1;
  const isBetween = here >= 0 && stops[here] !== position();
  goToStop(here + distance + (isBetween && distance < 0 ? 1 : 0));
}

export function goToFirst() {
  goToStop(0);
}

export function goToNewest() {
  update({ at: null });
}

function goToStop(index) {
  if (!stops.length) return;
  const to = Math.max(0, Math.min(stops.length - 1, index));
  // Whoever goes to the last stop of a live run by hand stays at that image; "newest" follows.
  update({ at: stops[to] });
}

function goToText(text) {
  const value = Number(text);
  if (text.trim() && Number.isFinite(value) && state.axis !== "time") update({ at: value });
  else show();
}

export function play(on) {
  clearInterval(timer);
  if (on && upperBound(stops, position()) >= stops.length) goToFirst();
  if (on) timer = setInterval(advance, PLAY_MS[speed]);
  update({ playing: on });
}

let advancedMs = 0;
function advance() {
  // What is not drawn yet is waited for, so that a slow line plays slowly and leaves nothing out.
  const now = performance.now();
  if (now - advancedMs < WAIT_MS && document.querySelector(".cell.waiting:not([hidden])")) return;
  advancedMs = now;
  if (upperBound(stops, position()) >= stops.length) play(false);
  else stepBy(1);
}

function setSpeed(next) {
  speed = next;
  if (state.playing) play(true);
}

async function chooseAxis(name) {
  update({ axis: name, at: null, detached: new Map() });
}

/** Offer the numeric meta entries of the runs as axes. */
export async function offerAxes() {
  const found = await Promise.all(state.runs.map((run) => getMetaNames(run.index)));
  const names = [...new Set(found.flat())];
  const chosen = state.axis.startsWith("meta:") ? [state.axis.slice(5)] : [];
  fill(
    axis,
    h("option", { value: "step" }, "step"),
    h("option", { value: "time" }, "time"),
    [...new Set([...names, ...chosen])].map((name) => h("option", { value: `meta:${name}` }, name)),
  );
  axis.value = state.axis;
  offered = names;
}

// Names of the numeric meta entries.
let offered = [];

function collect() {
  stops = stopsOf(runsOn(), state.view === "gallery" && state.galleryKey !== null ? [state.galleryKey] : shownKeys());
  range.max = Math.max(0, stops.length - 1);
  show();
  drawTicks();
}

function show() {
  const here = Math.max(0, upperBound(stops, position()) - 1);
  range.value = here;
  range.disabled = stops.length < 2;
  const text = stops.length ? axisValue(state.axis, state.at ?? stops[here]) : "–";
  range.setAttribute("aria-valuetext", `${axisName(state.axis)} ${text}`);
  if (document.activeElement !== field) field.value = text;
  field.readOnly = state.axis === "time";
  field.classList.toggle("wide", state.axis === "time");
  axis.value = state.axis;
  rate.value = speed;
  where.textContent = stops.length ? `${count(here + 1)} / ${count(stops.length)}` : "nothing to show";
  newest.setAttribute("aria-pressed", String(state.at === null));
  fill(playButton, iconButton(state.playing ? "pause" : "play", "").firstChild);
  playButton.setAttribute("aria-label", state.playing ? "Pause (Space)" : "Play (Space)");
}

// Below the track: where along it images lie, so that gaps and bursts are seen before one goes there.
const drawTicks = perFrame(() => {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(ticks.clientWidth * ratio);
  const height = Math.round(ticks.clientHeight * ratio);
  if (!width || !height) return;
  Object.assign(ticks, { width, height });
  const context = ticks.getContext("2d");
  context.fillStyle = getComputedStyle(ticks).color;
  const places = Math.min(stops.length, width);
  if (stops.length < 2 || stops.length > width / 4) return;
  const inset = 7 * ratio;
  for (let at = 0; at < places; at++) {
    const x = inset + ((width - 2 * inset) * at) / (stops.length - 1);
    context.fillRect(Math.round(x - ratio / 2), 0, Math.max(1, Math.round(ratio)), height);
  }
});

watch("data search keysOff ranksOff view galleryKey", collect);
watch("at playing", show);
watch("data", () => {
  if (axis.options.length === 0 || (!offered.length && state.data % 10 === 0)) offerAxes().catch(() => {});
});
addEventListener("resize", drawTicks);

/** Let a key stay where it is while the others move, or join them again. */
export function detach(key, on) {
  const detached = new Map(state.detached);
  if (on) detached.set(key, position());
  else detached.delete(key);
  update({ detached });
}

export function setDetached(key, value) {
  update({ detached: new Map(state.detached).set(key, value) });
}

export const pin = (key) => update({ pinned: toggled(state.pinned, [key], !state.pinned.has(key)) });
