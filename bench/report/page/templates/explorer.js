// The explorer: rows of data, filtered, sorted and paged; what is chosen stands in the address.
const PAGE_ROWS = 100;
const HEADS = {
  method: "Method", family: "Family", preset: "Preset", backbone: "Backbone", train: "Trained on", test: "Tested on", setting: "Setting",
  splits: "Splits", failed: "Failed", srcc: "SRCC", low: "95% from", high: "95% to", plcc: "PLCC", plcc_raw: "Raw PLCC", krcc: "KRCC", rmse: "RMSE",
  trainable: "Trainable", total: "Total", disk: "On disk", seconds: "Training s", speed: "Images/s", gflops: "GFLOPs", memory: "Peak memory",
};
const ALWAYS_HIDDEN = ["family", "failed", "plcc_raw", "krcc", "rmse", "total", "disk", "gflops"];
const TELLING = ["preset", "backbone", "setting"]; // shown at first only where rows differ in them
const SHOWN_AS = { trainable: counts, total: counts, disk: bytes, memory: bytes, seconds: plain, speed: plain, gflops: plain, splits: String, failed: String };
const LESS_IS_BETTER = ["rmse", "failed", "trainable", "total", "disk", "seconds", "gflops", "memory"];
const FILTERS = ["family", "set", "backbone", "preset"];
const explorer = { rows: [], names: [], words: [], most: PAGE_ROWS, opened: null };

function readExplorer() {
  const data = dataOf("explorer");
  if (!data) return;
  explorer.words = data.words;
  explorer.names = data.columns.filter((name) => name in HEADS);
  explorer.rows = data.rows.map((cells, number) => {
    const row = { number };
    data.columns.forEach((name, place) => { row[name] = data.words.includes(name) ? data.texts[cells[place]] : cells[place]; });
    row.glyph = data.texts[row.look[1]];
    row.id = data.words.map((name) => row[name]).join("\n"); // what it is: its number changes as runs arrive
    row.all = data.words.map((name) => row[name]).join(" ").toLowerCase();
    return row;
  });
  explorer.hiddenAtFirst = [...ALWAYS_HIDDEN, ...TELLING.filter((name) => new Set(explorer.rows.map((row) => row[name])).size < 2)];
  fillFilters();
}

function valuesOf(filter) {
  const found = new Set();
  for (const row of explorer.rows) for (const name of filter === "set" ? ["train", "test"] : [filter]) found.add(row[name]);
  found.delete(""); // a method without a backbone
  return [...found].sort((a, b) => a.localeCompare(b));
}

function fillFilters() {
  for (const name of FILTERS) {
    const select = byId("filters").elements[name];
    const before = select.value;
    select.replaceChildren(make("option", { value: "" }, "All"), ...valuesOf(name).map((value) => make("option", { value }, value)));
    select.value = before;
  }
  for (const axis of ["x", "y"]) {
    const select = byId("axes").elements[axis];
    const numbers = explorer.names.filter((name) => !explorer.words.includes(name));
    select.replaceChildren(...numbers.map((name) => make("option", { value: name }, HEADS[name])));
  }
}

// State ---------------------------------------------------------------------------------------------------------------

function stateOf(query) {
  const hidden = query.has("hide") ? query.get("hide").split(",").filter(Boolean) : explorer.hiddenAtFirst;
  const sort = query.get("sort") || "-srcc";
  const column = sort.replace(/^-/, "");
  return {
    q: query.get("q") || "",
    filters: Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || ""])),
    hidden: hidden.filter((name) => explorer.names.includes(name) && name !== "method"),
    sort: explorer.names.includes(column) ? column : "srcc",
    down: sort.startsWith("-"),
    x: explorer.names.includes(query.get("x")) ? query.get("x") : "trainable",
    y: explorer.names.includes(query.get("y")) ? query.get("y") : "srcc",
    log: query.get("log") !== "no",
  };
}

function write(change) {
  const { state: query } = address();
  for (const [name, value] of Object.entries(change)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  keepState(query);
  explorer.most = PAGE_ROWS;
  showExplorer(query);
}

function chosenRows(state) {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = explorer.rows.filter((row) => words.every((word) => row.all.includes(word))
    && FILTERS.every((name) => !state.filters[name] || (name === "set" ? [row.train, row.test] : [row[name]]).includes(state.filters[name])));
  const sign = state.down ? -1 : 1;
  return kept.sort((a, b) => compare(a[state.sort], b[state.sort], sign) || a.number - b.number);
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null); // what is not known stands last either way
  return sign * (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
}

// Table ---------------------------------------------------------------------------------------------------------------

function showExplorer(query) {
  const state = stateOf(query);
  const form = byId("filters").elements;
  if (form.q !== document.activeElement) form.q.value = state.q;
  for (const name of FILTERS) form[name].value = state.filters[name];
  const axes = byId("axes").elements;
  [axes.x.value, axes.y.value, axes.log.checked] = [state.x, state.y, state.log];
  const rows = chosenRows(state);
  const columns = explorer.names.filter((name) => !state.hidden.includes(name));
  byId("columns").replaceChildren(...explorer.names.filter((name) => name !== "method").map((name) => columnBox(name, state)));
  heads(columns, state);
  body(rows, columns);
  byId("count").textContent = `${rows.length.toLocaleString("en")} of ${explorer.rows.length.toLocaleString("en")} rows`;
  byId("more").hidden = rows.length <= explorer.most;
  drawn(byId("scatter"), (holder) => scatter(holder, rows, state));
}

function columnBox(name, state) {
  const box = make("input", { type: "checkbox", name, onchange: (event) => toggle(name, event.target.checked, state) });
  box.checked = !state.hidden.includes(name);
  return make("label", {}, box, HEADS[name]);
}

function toggle(name, shown, state) {
  const hidden = shown ? state.hidden.filter((other) => other !== name) : [...state.hidden, name];
  write({ hide: hidden.length ? hidden.join(",") : "," });
  byId("columns").querySelector(`[name="${name}"]`).focus();
}

function heads(columns, state) {
  const cells = columns.map((name) => {
    const sorted = state.sort === name ? (state.down ? "descending" : "ascending") : null;
    const number = explorer.words.includes(name) ? "" : "number";
    return make("th", { scope: "col", class: number, "aria-sort": sorted }, make("button", { type: "button", "data-sort": name }, HEADS[name]));
  });
  const head = byId("results").tHead;
  const focused = head.contains(document.activeElement) ? document.activeElement.dataset.sort : null;
  head.replaceChildren(make("tr", {}, ...cells));
  if (focused) head.querySelector(`[data-sort="${focused}"]`)?.focus();
}

function body(rows, columns) {
  const made = [];
  for (const row of rows.slice(0, explorer.most)) {
    made.push(make("tr", { "data-row": row.number }, ...columns.map((name) => cell(row, name))));
    if (explorer.opened === row.id) made.push(openedRow(row, columns.length));
  }
  byId("results").tBodies[0].replaceChildren(...made);
}

function cell(row, name) {
  if (name === "method") return make("th", { scope: "row", class: "words" }, make("span", { class: "who" }, swatch(row.look[0], row.glyph), make("span", {}, row.method)));
  if (name === "splits") {
    const button = make("button", { type: "button", class: "runs-of", "aria-expanded": String(explorer.opened === row.id), "aria-label": `${row.splits} splits: show the runs of ${row.method} on ${row.test}`, "data-open": row.number }, String(row.splits));
    return make("td", { class: "number" }, button);
  }
  return make("td", { class: explorer.words.includes(name) ? "words" : "number" }, shown(row, name));
}

function shown(row, name) {
  if (explorer.words.includes(name)) return row[name];
  return row[name] === null ? "–" : (SHOWN_AS[name] || score)(row[name]);
}

function openedRow(row, span) {
  const items = row.runs.map(([name, key, value]) => make("li", {}, make("a", { href: `#runs/${key}` }, name), ` ${value === null ? "failed" : score(value)}`));
  return make("tr", { class: "opened" }, make("td", { colspan: span }, make("ul", {}, ...items)));
}

// Events --------------------------------------------------------------------------------------------------------------

ROUTES.explorer = (_what, query) => { if (explorer.rows.length) showExplorer(query); else byId("count").textContent = "No rows."; };

if (byId("filters")) {
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("input", (event) => write({ [event.target.name]: event.target.value }));
  byId("axes").addEventListener("submit", (event) => event.preventDefault());
  byId("axes").addEventListener("input", (event) => write({ [event.target.name]: event.target.name === "log" ? (event.target.checked ? "" : "no") : event.target.value }));
  byId("clear").addEventListener("click", () => write(Object.fromEntries(["q", ...FILTERS].map((name) => [name, ""]))));
  byId("more").addEventListener("click", () => { explorer.most += 5 * PAGE_ROWS; showExplorer(address().state); });
  byId("results").addEventListener("click", (event) => {
    const sort = event.target.closest("[data-sort]");
    const open = event.target.closest("[data-open]");
    if (sort) sortBy(sort.dataset.sort);
    if (open) openRow(Number(open.dataset.open));
  });
}

function sortBy(name) {
  const state = stateOf(address().state);
  const first = !explorer.words.includes(name) && !LESS_IS_BETTER.includes(name); // a number's best end comes first
  const down = state.sort === name ? !state.down : first;
  write({ sort: `${down ? "-" : ""}${name}` });
}

function openRow(number) {
  const { id } = explorer.rows[number];
  explorer.opened = explorer.opened === id ? null : id;
  showExplorer(address().state);
  byId("results").querySelector(`[data-open="${number}"]`)?.focus();
}
