// Puts the page together.

import { board } from "./board.js";
import { reopenCompare } from "./compare.js";
import { h, iconButton } from "./dom.js";
import { gallery } from "./gallery.js";
import { listen } from "./hotkeys.js";
import { reopen } from "./lightbox.js";
import { start } from "./live.js";
import { overlayPopover } from "./overlay-panel.js";
import { readAddress, state, update, watch } from "./state.js";
import { timeline } from "./timeline.js";
import { toolbar } from "./toolbar.js";
import { tray } from "./tray.js";
import { keyTree } from "./tree.js";

readAddress();
const overlaysButton = iconButton("layers", "Overlays (o)", () => overlayPopover(overlaysButton), { id: "overlays" });
toolbar.querySelector("#larger").before(overlaysButton);
const boardFrame = h("div", { class: "board-frame" }, board);
const main = h("main", {}, boardFrame, gallery);
document.body.replaceChildren(toolbar, h("nav", { class: "sidebar", "aria-label": "Keys" }, keyTree), main, tray, timeline);
watch("view", () => (boardFrame.hidden = state.view !== "board"));
watch("runs", () => (document.title = `${state.runs.map((run) => run.name).join(", ")} · pixlog`));
listen();
update({ view: state.view, sidebar: state.sidebar });
// The page itself only ever replaces its address; one that was typed or pasted is another place.
addEventListener("hashchange", () => location.reload());
start().then(reopen).then(reopenCompare).catch((error) => main.append(h("p", { class: "empty failed", role: "alert", text: `The viewer does not answer: ${error.message}` })));
