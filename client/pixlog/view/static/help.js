// The keys that the page knows, in one dialog.

import { h, iconButton } from "./dom.js";

const KEYS = {
  "Everywhere": [
    ["← →", "one stop back or on"],
    ["Shift ← →", "ten stops"],
    ["Home End", "first stop, newest image"],
    ["Space", "play or pause"],
    ["g", "board or gallery"],
    ["/", "search keys"],
    ["f", "filter rows"],
    ["+ −", "larger or smaller images"],
    ["m b", "masks, boxes on or off"],
    ["o", "overlay settings"],
    ["Shift click", "choose an image for comparing"],
    ["v", "compare what was chosen"],
    ["[", "key list"],
    ["t", "light or dark"],
  ],
  "With one image open": [
    ["← →", "previous or next row"],
    ["↑ ↓", "other image of the same row"],
    ["1 0", "one image pixel per screen pixel, fit"],
    ["+ −", "zoom; also wheel, drag to pan"],
    ["c", "choose for comparing"],
    ["x", "compare all images of the same log call"],
    ["p d", "copy path, download"],
    ["Esc", "close"],
  ],
  "Comparing": [
    ["1 2 3 4", "side by side, swipe, flicker, difference"],
    ["← →", "all images one row back or on"],
    ["Space", "hold the flicker"],
    ["+ −", "zoom"],
  ],
};

/** Show the list of keys. */
export function showHelp() {
  if (document.querySelector("dialog.help")) return;
  const dialog = h(
    "dialog",
    { class: "help", "aria-label": "Keys" },
    h("header", {}, h("h2", { text: "Keys" }), iconButton("close", "Close (Esc)", () => dialog.close())),
    h("div", { class: "columns" }, Object.entries(KEYS).map(([title, keys]) => h("section", {}, h("h3", { text: title }), h("dl", {}, keys.map(([key, meaning]) => [h("dt", {}, key.split(" ").map((one) => h("kbd", { text: one }))), h("dd", { text: meaning })]))))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
