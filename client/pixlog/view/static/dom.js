// Elements without markup: every text that comes from a run goes through here as a text node or an attribute.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "min", "max", "step", "type", "hidden", "tabIndex"]);

/** Make an element. `on` holds listeners, `data` the dataset, `text` its text; null and false are left out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Replace all children of `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  play: "M5 3.5v9l7.5-4.5z",
  pause: "M5 3.5v9M11 3.5v9",
  first: "M4 3.5v9M12 3.5 6.5 8l5.5 4.5",
  last: "M12 3.5v9M4 3.5 9.5 8 4 12.5",
  previous: "M10 3.5 5.5 8l4.5 4.5",
  next: "M6 3.5 10.5 8 6 12.5",
  close: "M4 4l8 8M12 4l-8 8",
  pin: "M6 2.5h4l-.5 4 2.5 2.5v1H4V9l2.5-2.5zM8 10v4",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4",
  hidden: "M2 2l12 12M6.6 3.7A6.6 6.6 0 0 1 8 3.5C12 3.5 14.5 8 14.5 8a11 11 0 0 1-2 2.5M4 5a11 11 0 0 0-2.5 3S4 12.5 8 12.5a6 6 0 0 0 2-.3",
  link: "M6.5 9.5l3-3M7 4.8l1.6-1.6a2.6 2.6 0 0 1 3.7 3.7L10.700 8.500M9 11.200l-1.600 1.600a2.600 2.600 0 0 1-3.700-3.700L5.300 7.500",
  unlink: "M3 3l10 10M7.500 4.300l1.100-1.100a2.600 2.600 0 0 1 3.700 3.700l-1.100 1.100M8.500 11.700l-1.100 1.100a2.600 2.600 0 0 1-3.700-3.700l1.100-1.100",
  download: "M8 2.500v7.500M4.500 7 8 10.500 11.500 7M3 13.500h10",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  theme: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  grid: "M2.500 2.500h4.500v4.500H2.500zM9 2.500h4.500v4.500H9zM2.500 9h4.500v4.500H2.500zM9 9h4.500v4.500H9z",
  compare: "M2.500 3h11v10h-11zM8 1.500v13",
  layers: "M8 2 14 5.500 8 9 2 5.500zM2 8.500 8 12l6-3.500M2 11.500 8 15l6-3.500",
  chevron: "M6 4l4 4-4 4",
  sidebar: "M2 3h12v10H2zM6 3v10",
  help: "M6 6.200a2 2 0 1 1 2.900 1.800c-.6.300-.9.700-.9 1.500M8 11.800v.2",
  group: "M2.500 4h3v8h-3zM6.500 4h3v8h-3zM10.500 4h3v8h-3z",
  plus: "M8 3.500v9M3.500 8h9",
  check: "M3 8.500l3 3 7-7",
  dots: "M3.500 8h.01M8 8h.01M12.500 8h.01",
};

/** Make a 16-pixel line icon. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Make a button that shows an icon; `label` is its name, its tooltip, and says its key. */
export function iconButton(name, label, onClick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: onClick }, ...props }, icon(name));
}

/** Run `work` once per frame, however often it is asked for. */
export function perFrame(work) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      work();
    });
  };
}

/** Run `work` once nothing has asked for `delayMs`. */
export function settled(work, delayMs) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(work, delayMs, ...args);
  };
}
