// Elements: small functions that build the page. Text is always set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

// Outlines on a grid of 24; drawn here so that nothing is fetched for them.
const ICONS = {
  open: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z",
  approved: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM7.8 12.4l2.9 2.9 5.6-5.9",
  proposed: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM12 7.5v5l3.2 2",
  rejected: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM8.6 8.6l6.8 6.8M15.4 8.6l-6.8 6.8",
  making: "M20 12a8 8 0 1 1-2.4-5.7M20 3v4.4h-4.4",
  undo: "M8 5 4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11h-3",
  redo: "m16 5 4 4-4 4M20 9H10a5.5 5.5 0 0 0 0 11h3",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM9.3 9.4a2.8 2.8 0 1 1 4.2 2.6c-1 .6-1.5 1.1-1.5 2.1M12 17v.2",
  stack: "M12 4 3.5 8.5 12 13l8.5-4.5L12 4ZM4 12.5l8 4.2 8-4.2M4 16.3l8 4.2 8-4.2",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5c.6-3.8 3.7-6 7.5-6s6.9 2.2 7.5 6",
  warn: "M12 4 2.8 20h18.4L12 4ZM12 10v4.5M12 17.2v.2",
  refresh: "M20 12a8 8 0 1 1-2.4-5.7M20 3v4.4h-4.4",
  close: "M6 6l12 12M18 6 6 18",
  left: "m14.5 5-7 7 7 7",
  right: "m9.5 5 7 7-7 7",
};

const WORDS = {
  open: "To review",
  proposed: "Proposed",
  approved: "Approved",
  rejected: "Rejected",
  making: "Being made",
};

function h(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function button(label, given = {}, ...children) {
  return h("button", { type: "button", "aria-label": label, title: label, ...given }, ...children);
}

function key(letters) {
  return h("kbd", {}, letters);
}

// What a person calls an item: its row, its variant's values, its format.
function nameOf(item) {
  const variant = Object.values(item.variant || {}).map(String).join(", ");
  return [item.title || item.row, variant, item.format].filter(Boolean).join(" · ");
}

function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // plain http has no randomUUID
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
