// Small helpers of all parts: elements made without HTML texts, data parts, numbers as they are shown.
const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, ...content) {
  const svg = ["svg", "use", "line", "text", "path", "circle", "g", "title", "polyline"].includes(name);
  const made = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...content.filter((part) => part !== null && part !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);
const dataOf = (name) => {
  const found = document.querySelector(`script[data-part="${name}"]`);
  return found ? JSON.parse(found.textContent) : null;
};

function units(value, steps) {
  const found = steps.find(([size]) => Math.abs(value) >= size) || [1, ""];
  return `${Number((value / found[0]).toPrecision(3))}${found[1]}`;
}
const counts = (value) => units(value, [[1e9, "G"], [1e6, "M"], [1e3, "K"]]);
const bytes = (value) => units(value, [[2 ** 30, " GB"], [2 ** 20, " MB"], [2 ** 10, " KB"], [1, " B"]]);
const plain = (value) => (Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));
const score = (value) => value.toFixed(3).replace("-", "−");

function swatch(hue, glyph) {
  return make("svg", { class: `swatch hue${hue}`, "aria-hidden": "true" }, make("use", { href: `#${glyph}` }));
}

// What a point says where a pointer or the keyboard rests on it.
function tip(text, box) {
  const shown = byId("tip");
  shown.hidden = !text;
  if (!text) return;
  shown.textContent = text;
  const own = shown.getBoundingClientRect();
  const left = Math.min(Math.max(box.left + box.width / 2 - own.width / 2, 8), innerWidth - own.width - 8);
  shown.style.left = `${left}px`;
  shown.style.top = `${box.top - own.height - 8 < 8 ? box.bottom + 8 : box.top - own.height - 8}px`;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  copy(button.dataset.copy);
  const before = button.firstChild.textContent;
  button.firstChild.textContent = "Copied";
  setTimeout(() => { button.firstChild.textContent = before; }, 1600);
});

function copy(text) {
  if (navigator.clipboard && isSecureContext) {
    navigator.clipboard.writeText(text).catch(() => copyByHand(text));
  } else copyByHand(text);
}

function copyByHand(text) {
  const field = make("textarea", { class: "unseen", readonly: true });
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

// Light, dark, or as the system has it; kept where the browser keeps anything.
const THEMES = { "": "Auto", light: "Light", dark: "Dark" };

function showTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  byId("theme").lastElementChild.textContent = THEMES[theme];
}

function keptTheme() {
  try { return localStorage.getItem("glia-bench-theme") || ""; } catch { return ""; }
}

byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const theme = names[(names.indexOf(document.documentElement.dataset.theme || "") + 1) % names.length];
  try { localStorage.setItem("glia-bench-theme", theme); } catch { /* shown all the same */ }
  showTheme(theme);
});
showTheme(keptTheme() in THEMES ? keptTheme() : "");
