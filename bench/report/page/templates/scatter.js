// Two columns of the explorer against one another, and the rows that no other beats in both.
const MOST_POINTS = 1500; // of more rows so many are drawn, evenly as they are sorted, and all of the front
const MOST_FRONTS = 8; // more lines than that nobody follows

function scatter(holder, rows, state) {
  const known = rows.filter((row) => Number.isFinite(row[state.x]) && Number.isFinite(row[state.y]));
  const spread = known.map((row) => row[state.x]).filter((value) => value > 0);
  const log = state.log && spread.length > 0 && most(spread) > 20 * least(spread);
  const placed = known.filter((row) => !log || row[state.x] > 0);
  const fronts = frontsOf(placed, state);
  const best = fronts.flat();
  const points = evenly(placed, MOST_POINTS, new Set(best));
  const text = (name) => (value) => (SHOWN_AS[name] || ((v) => String(Number(v.toPrecision(3))).replace("-", "−")))(value);
  const { svg, at } = frame(holder, {
    x: scaleOf(placed.map((row) => row[state.x]), { log }), y: scaleOf(placed.map((row) => row[state.y])),
    xLabel: HEADS[state.x], yLabel: HEADS[state.y], xText: text(state.x), yText: text(state.y), height: 380,
    label: `${HEADS[state.y]} against ${HEADS[state.x]}`,
  });
  for (const line of fronts) svg.append(polyline(line.map((row) => [row[state.x], row[state.y]]), at, "front-line"));
  for (const row of points) svg.append(pointOf(row, at, state, best.includes(row)));
  const counts = { lacking: rows.length - known.length, zero: known.length - placed.length, placed: placed.length, drawn: points.length, unranked: placed.filter((row) => !row.ranked).length };
  byId("scatter-words").textContent = scatterWords(counts, fronts, state);
  return svg;
}

const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);

function evenly(rows, count, always) {
  if (rows.length <= count) return rows;
  const step = rows.length / count;
  return rows.filter((row, place) => always.has(row) || Math.floor(place / step) !== Math.floor((place - 1) / step));
}

function pointOf(row, at, state, isBest) {
  const on = row.train === row.test ? row.test : `${row.train} → ${row.test}`;
  const words = `${row.method}, ${on}: ${HEADS[state.x]} ${shown(row, state.x)}, ${HEADS[state.y]} ${shown(row, state.y)}${isBest ? " (Pareto front)" : ""}`;
  const point = mark(at.x(row[state.x]), at.y(row[state.y]), row.look[0], row.glyph, words, () => focusRow(row));
  point.dataset.point = row.number;
  if (isBest) point.dataset.front = "yes";
  return point;
}

function scatterWords({ lacking, zero, placed, drawn, unranked }, fronts, state) {
  const better = (name) => (LESS_IS_BETTER.includes(name) ? "less" : "more");
  const rows = (number) => `${number} row${number === 1 ? "" : "s"}`;
  const said = [placed > drawn ? `${drawn} of ${rows(placed)}, evenly as they are sorted` : rows(placed)];
  const ways = `${better(state.x)} ${HEADS[state.x]}, ${better(state.y)} ${HEADS[state.y]}`;
  const best = `${fronts.flat().length} that no other beats in both (${ways})`;
  if (fronts.length === 1) said.push(`the dashed line is the Pareto front, ${best}`);
  else said.push(fronts.length ? `the dashed lines are the Pareto fronts, ${best} on the same sets` : `Pareto fronts are drawn for at most ${MOST_FRONTS} pairs of sets: choose a set`);
  const left = [unranked && fronts.length ? `${rows(unranked)} that tables do not rank ${unranked === 1 ? "is" : "are"} in none.` : "", lacking ? `${rows(lacking)} lack${lacking === 1 ? "s" : ""} one of the two.` : "", zero ? `${rows(zero)} with 0 ${zero === 1 ? "has" : "have"} no place on a logarithmic axis.` : ""];
  return [`${said.join("; ")}.`, ...left].filter(Boolean).join(" ");
}

// A front for all rows that were trained and tested alike: others do not compete, nor what tables leave unranked.
function frontsOf(rows, state) {
  const groups = new Map();
  for (const row of rows.filter((one) => one.ranked)) {
    const name = [row.train, row.test, row.preset, row.setting].join("\n");
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  return groups.size > MOST_FRONTS ? [] : [...groups.values()].map((group) => front(group, state));
}

// Rows that no other is at least as good as in both columns and better in one, from the cheap end on.
function front(points, { x, y }) {
  const sign = (name) => (LESS_IS_BETTER.includes(name) ? 1 : -1);
  const order = [...points].sort((a, b) => sign(x) * (a[x] - b[x]) || sign(y) * (a[y] - b[y]));
  const found = [];
  for (const row of order) {
    const last = found[found.length - 1];
    if (!last || sign(y) * row[y] < sign(y) * last[y] || (row[y] === last[y] && row[x] === last[x])) found.push(row);
  }
  return found;
}

function focusRow(row) {
  let found = byId("results").querySelector(`[data-row="${row.number}"]`);
  while (!found && !byId("more").hidden) {
    byId("more").click();
    found = byId("results").querySelector(`[data-row="${row.number}"]`);
  }
  explorer.opened = null;
  openRow(row.number);
  byId("results").querySelector(`[data-row="${row.number}"]`)?.scrollIntoView({ block: "center" });
}
