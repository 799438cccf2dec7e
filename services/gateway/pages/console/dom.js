// Small helpers: elements, announcements, and how numbers and times read.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name in element && typeof value !== "string" && element.namespaceURI !== SVG) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element: `h("a", {href: "#x", onclick: f}, "text", child)`; null and false children are left out. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const replace = (parent, ...children) => parent.replaceChildren(...children.flat(Infinity).filter(Boolean));

/** Says a sentence to screen readers. */
export const announce = (text) => { document.getElementById("announce").textContent = text; };

let lastId = 0;
export const freshId = (prefix) => `${prefix}-${++lastId}`;

export const seconds = (value) =>
  value >= 3600 ? `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`
    : value >= 60 ? `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`
      : `${value < 10 ? value.toFixed(2) : value.toFixed(1)} s`;

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${(value / 1024 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
}

export function age(moment) {
  const past = (Date.now() - Date.parse(moment)) / 1000;
  if (past < 5) return "just now";
  if (past < 60) return `${Math.floor(past)} s ago`;
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86400) return `${Math.floor(past / 3600)} h ago`;
  return `${Math.floor(past / 86400)} d ago`;
}

export const time = (moment) =>
  h("time", { datetime: moment, title: new Date(moment).toLocaleString() }, age(moment));

/** A button that puts a text on the clipboard and says so. */
export function copyButton(text, label = "Copy") {
  const button = h("button", { type: "button", class: "small" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it and press Ctrl+C";  // the clipboard needs https or localhost
    }
    announce(button.textContent);
    setTimeout(() => { button.textContent = label; }, 2000);
  });
  return button;
}
