// What the page shows, in one object; whoever shows a part of it is told when that part changes.
// What makes up a place goes into the address, images that are shown large or compared included; what is taste into localStorage.

import { joined, split } from "./address.js";

const TASTE = "pixlog-view";
const taste = readTaste();

export const state = {
  runs: [], // {index, name, path, color, on, table, daemon, problems}
  view: "board", // or "gallery"
  galleryKey: null, // of no key until one is chosen; the empty text is a key
  axis: "step", // or "time", or "meta:<name>"
  at: null, // the position on the axis; null is "the newest, whatever comes"
  where: "",
  whereError: "",
  isFiltering: false,
  caption: "",
  sort: "axis",
  descending: false,
  ranksOff: new Set(),
  keysOff: new Set(),
  pinned: new Set(taste.pinned ?? []),
  detached: new Map(), // key → position
  search: "",
  playing: false,
  data: 0, // grows whenever rows, filters or axis values changed
  compared: [], // {run, id, image}
  opened: null, // {run, key, rank, time, image} of the image that is shown large; rows have other numbers in another viewer
  comparing: null, // {mode, images} while images are compared, each as in `opened`
  theme: taste.theme ?? "auto",
  cellPx: taste.cellPx ?? 176,
  sidebar: taste.sidebar ?? innerWidth > 760,
  overlays: taste.overlays ?? { masks: true, boxes: true, polygons: true, keypoints: true, labels: true, opacity: 0.5 },
  classes: {}, // "kind/group/id" → {on, color}
  groupsOff: new Set(), // "kind/group"
  scores: {}, // score name → least value that is shown
};

const listeners = [];
let changed = null;

/** Change parts of the state and tell whoever watches them, once, after the running code is through. */
export function update(patch) {
  Object.assign(state, patch);
  if (changed === null) {
    changed = new Set();
    queueMicrotask(tell);
  }
  for (const name of Object.keys(patch)) changed.add(name);
}

/** Call `listener` after any of the `names` changed. */
export function watch(names, listener) {
  const entry = { names: new Set(names.split(" ")), listener };
  listeners.push(entry);
  return () => listeners.splice(listeners.indexOf(entry), 1);
}

function tell() {
  const names = changed;
  changed = null;
  for (const entry of [...listeners]) {
    for (const name of names) {
      if (entry.names.has(name)) {
        entry.listener();
        break;
      }
    }
  }
}

/** Turn the entries of a set of the state on or off. */
export function toggled(set, names, on) {
  const next = new Set(set);
  for (const name of names) on ? next.add(name) : next.delete(name);
  return next;
}

export function runsOn() {
  return state.runs.filter((run) => run.on);
}

function readTaste() {
  try {
    return JSON.parse(localStorage.getItem(TASTE) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

watch("pinned theme cellPx sidebar overlays", () => {
  const { theme, cellPx, sidebar, overlays } = state;
  try {
    localStorage.setItem(TASTE, JSON.stringify({ theme, cellPx, sidebar, overlays, pinned: [...state.pinned] }));
  } catch {
    // A browser that keeps nothing shows the page all the same.
  }
});

const ADDRESSED = { view: "board", galleryKey: null, axis: "step", where: "", caption: "", sort: "axis", search: "" };

/** Take over what the address says. */
export function readAddress() {
  const given = split(location.hash.slice(1));
  const first = (name) => given.get(name)?.[0];
  for (const name of Object.keys(ADDRESSED)) if (given.has(name)) state[name] = first(name);
  if (given.has("at") && Number.isFinite(Number(first("at")))) state.at = Number(first("at"));
  if (given.has("ranksOff")) state.ranksOff = new Set(first("ranksOff").split(",").map(Number));
  if (given.has("hide")) state.keysOff = new Set(given.get("hide"));
  state.descending = given.has("descending");
  state.opened = readImage(`${first("image")} ${first("key")}`);
  const images = (given.get("compare") ?? []).map(readImage);
  if (images.length && !images.includes(null)) state.comparing = { mode: first("mode") ?? "side", images };
}

/** The image that "run rank time image key" names; null if it names none. */
function readImage(text) {
  const [, ...said] = /^(\S+) (\S+) (\S+) (\S+) (.*)$/s.exec(text) ?? [];
  const [run, rank, time, image] = said.slice(0, 4).map(Number);
  return said.length && [run, rank, time, image].every(Number.isFinite) ? { run, rank, time, image, key: said[4] } : null;
}

const numbersOf = ({ run, rank, time, image }) => [run, rank, time, image].join(" ");

watch("view galleryKey axis where caption sort search at ranksOff keysOff descending opened comparing", () => {
  const said = Object.entries(ADDRESSED).flatMap(([name, usual]) => (state[name] === usual ? [] : [[name, state[name]]]));
  if (state.at !== null) said.push(["at", state.at]);
  if (state.ranksOff.size) said.push(["ranksOff", [...state.ranksOff].join(",")]);
  if (state.keysOff.size <= 100) for (const key of state.keysOff) said.push(["hide", key]);
  if (state.descending) said.push(["descending", ""]);
  if (state.opened) said.push(["key", state.opened.key], ["image", numbersOf(state.opened)]);
  if (state.comparing) {
    said.push(["mode", state.comparing.mode]);
    for (const image of state.comparing.images) said.push(["compare", `${numbersOf(image)} ${image.key}`]);
  }
  history.replaceState(null, "", `#${joined(said)}`);
});
