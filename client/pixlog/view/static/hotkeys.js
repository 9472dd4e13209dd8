// Keys that hold on the whole page; dialogs have their own.

import { showHelp } from "./help.js";
import { overlayPopover, setOverlay } from "./overlay-panel.js";
import { state, update } from "./state.js";
import { goToFirst, goToNewest, play, stepBy } from "./timeline.js";
import { focusFilter, resize, toggleSidebar, toggleTheme } from "./toolbar.js";
import { compareChosen } from "./tray.js";
import { focusSearch } from "./tree.js";

const ACTIONS = {
  ArrowLeft: (event) => stepBy(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => stepBy(event.shiftKey ? 10 : 1),
  Home: goToFirst,
  End: goToNewest,
  " ": () => play(!state.playing),
  g: () => update({ view: state.view === "board" ? "gallery" : "board" }),
  "/": focusSearch,
  f: focusFilter,
  "+": () => resize(1, false),
  "=": () => resize(1, false),
  "-": () => resize(-1, false),
  m: () => setOverlay({ masks: !state.overlays.masks }),
  b: () => setOverlay({ boxes: !state.overlays.boxes }),
  o: () => overlayPopover(document.getElementById("overlays")),
  v: compareChosen,
  "[": toggleSidebar,
  t: toggleTheme,
  "?": showHelp,
};

export function listen() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (target.matches("input:not([type=range]):not([type=checkbox]):not([type=color]), select, textarea")) return;
    if (target.matches("input.own-slider, .overlay-popover input")) return;
    if (event.key === " " && target.matches("button, summary")) return;
    const action = ACTIONS[event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}
