// The switches of overlays: kinds, groups, classes with their colours, opacity, least scores.

import { fill, h } from "./dom.js";
import { count, number } from "./format.js";
import { KINDS, classesOf, isGroupOn, scoresOf } from "./overlays.js";
import { state, toggled, update } from "./state.js";

const NAMES = { masks: "Masks", boxes: "Boxes", polygons: "Polygons", keypoints: "Keypoints", labels: "Labels" };

export function setOverlay(patch) {
  update({ overlays: { ...state.overlays, ...patch } });
}

/** The switches that hold everywhere. */
export function overlaySwitches(kinds = KINDS) {
  return [
    h(
      "div",
      { class: "chips", role: "group", "aria-label": "Kinds of overlays" },
      [...kinds, "labels"].map((kind) => h("button", { type: "button", class: "chip", data: { kind, focus: `kind ${kind}` }, "aria-pressed": String(state.overlays[kind]), on: { click: () => setOverlay({ [kind]: !state.overlays[kind] }) } }, NAMES[kind])),
    ),
    slider("Opacity", 0, 1, state.overlays.opacity, (value) => setOverlay({ opacity: value }), { "data-name": "opacity", "data-focus": "opacity" }, (value) => `${Math.round(value * 100)} %`),
  ];
}

/** A labelled slider that tells `onValue` while it is dragged. */
export function slider(name, low, high, value, onValue, props = {}, say = (some) => number(some, 3)) {
  const said = h("output", { class: "tabular", text: say(value) });
  const input = h("input", {
    type: "range",
    min: low,
    max: high,
    step: (high - low) / 100 || 0.01,
    "aria-label": name,
    ...props,
    on: {
      input: () => {
        said.textContent = say(Number(input.value));
        onValue(Number(input.value));
      },
    },
  });
  input.value = value;
  return h("label", { class: "slider" }, h("span", { class: "name", text: name }), input, said);
}

const filled = new WeakMap();

/** Fill `panel` with the switches for what lies over one image. */
export function fillOverlayPanel(panel, overlays) {
  const isDragged = panel.contains(document.activeElement) && document.activeElement.matches("input[type=range], input[type=color]");
  if (isDragged && filled.get(panel) === overlays) return showKinds(panel); // what is held by the mouse must stay
  filled.set(panel, overlays);
  const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const classes = classesOf(overlays);
  const kinds = KINDS.filter((kind) => (kind === "masks" ? overlays.masks.length : Object.keys(overlays.shapes[kind]).length));
  const groups = Map.groupBy(classes, ({ kind, group }) => `${kind}/${group}`);
  fill(
    panel,
    overlaySwitches(kinds),
    [...scoresOf(overlays)].map(([name, { low, high }]) => slider(`${name} ≥`, low, high, Math.max(low, state.scores[name] ?? low), (value) => update({ scores: { ...state.scores, [name]: value } }), { "data-score": name, "data-focus": `score ${name}` })),
    [...groups].map(([key, listed]) => groupPart(key, listed)),
  );
  if (focused) [...panel.querySelectorAll("[data-focus]")].find((element) => element.dataset.focus === focused)?.focus();
}

function showKinds(panel) {
  for (const chip of panel.querySelectorAll("[data-kind]")) chip.setAttribute("aria-pressed", String(state.overlays[chip.dataset.kind]));
}

function groupPart(key, listed) {
  const { kind, group } = listed[0];
  const on = isGroupOn(kind, group);
  const allOn = listed.some((one) => one.on);
  return h(
    "fieldset",
    { class: `classes ${on ? "" : "off"}` },
    h("legend", {}, h("label", {}, checkbox(on, `${kind} ${group}`, (checked) => update({ groupsOff: toggled(state.groupsOff, [key], !checked) }), `group ${key}`), h("span", { text: group || kind }), h("span", { class: "dim", text: ` ${kind}` })), h("button", { type: "button", class: "text-button", data: { focus: `all ${key}` }, on: { click: () => setClasses(listed, { on: !allOn }) } }, allOn ? "none" : "all")),
    h("ul", {}, listed.map(classLine)),
  );
}

function classLine(one) {
  const name = `${one.kind}/${one.group}/${one.id}`;
  const color = h("input", { type: "color", class: "swatch", value: one.color, "aria-label": `Colour of ${one.name}`, data: { focus: `color ${name}` }, on: { input: () => setClasses([one], { color: color.value }) } });
  return h("li", {}, color, h("label", {}, checkbox(one.on, one.name, (checked) => setClasses([one], { on: checked }), `class ${name}`), h("span", { class: "name", text: one.name })), h("span", { class: "count", text: one.kind === "masks" ? `${count(one.count)} px` : count(one.count) }));
}

function checkbox(checked, label, onChange, focus) {
  const box = h("input", { type: "checkbox", "aria-label": label, data: { focus }, on: { change: () => onChange(box.checked) } });
  box.checked = checked;
  return box;
}

function setClasses(listed, patch) {
  const classes = { ...state.classes };
  for (const { kind, group, id } of listed) classes[`${kind}/${group}/${id}`] = { ...classes[`${kind}/${group}/${id}`], ...patch };
  update({ classes });
}

/** The small window of switches that the board has. */
export function overlayPopover(anchor) {
  const open = document.querySelector(".overlay-popover");
  if (open) return open.remove();
  const box = h("div", { class: "overlay-popover popover", role: "dialog", "aria-label": "Overlays" });
  const show = () => fill(box, h("h3", { text: "Overlays" }), overlaySwitches());
  show();
  const leave = (event) => {
    if (event.type === "keydown" ? event.key === "Escape" : !box.contains(event.target) && !anchor?.contains(event.target)) {
      box.remove();
      removeEventListener("pointerdown", leave, true);
      removeEventListener("keydown", leave, true);
      if (event.type === "keydown") anchor?.focus();
    } else if (event.type === "pointerdown" || event.type === "keydown") requestAnimationFrame(() => box.querySelectorAll("[data-kind]").forEach((chip) => chip.setAttribute("aria-pressed", String(state.overlays[chip.dataset.kind]))));
  };
  addEventListener("pointerdown", leave, true);
  addEventListener("keydown", leave, true);
  box.addEventListener("click", () => setTimeout(() => box.querySelectorAll("[data-kind]").forEach((chip) => chip.setAttribute("aria-pressed", String(state.overlays[chip.dataset.kind])))));
  document.body.append(box);
  box.querySelector("button")?.focus();
  return box;
}
