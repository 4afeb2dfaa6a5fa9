// Two columns of the explorer against one another, and the rows that no other beats in both.
const MOST_POINTS = 1500; // of more rows so many are drawn, evenly as they are sorted, and all of the front

function scatter(holder, rows, state) {
  const known = rows.filter((row) => Number.isFinite(row[state.x]) && Number.isFinite(row[state.y]));
  const spread = known.map((row) => row[state.x]).filter((value) => value > 0);
  const log = state.log && spread.length > 0 && most(spread) > 20 * least(spread);
  const placed = known.filter((row) => !log || row[state.x] > 0);
  const best = front(placed, state);
  const points = evenly(placed, MOST_POINTS, new Set(best));
  const text = (name) => (value) => (SHOWN_AS[name] || ((v) => String(Number(v.toPrecision(3))).replace("-", "−")))(value);
  const { svg, at } = frame(holder, {
    x: scaleOf(placed.map((row) => row[state.x]), { log }), y: scaleOf(placed.map((row) => row[state.y])),
    xLabel: HEADS[state.x], yLabel: HEADS[state.y], xText: text(state.x), yText: text(state.y), height: 380,
    label: `${HEADS[state.y]} against ${HEADS[state.x]}`,
  });
  svg.append(polyline(best.map((row) => [row[state.x], row[state.y]]), at, "front-line"));
  for (const row of points) svg.append(pointOf(row, at, state, best.includes(row)));
  byId("scatter-words").textContent = scatterWords(rows.length, placed.length, points.length, best.length, state);
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

function scatterWords(all, placed, drawnRows, best, state) {
  const better = (name) => (LESS_IS_BETTER.includes(name) ? "less" : "more");
  const some = placed > drawnRows ? `${drawnRows} of ${placed} rows, evenly as they are sorted` : `${placed} rows`;
  const left = all > placed ? ` ${all - placed} further rows lack one of the two.` : "";
  return `${some}; the dashed line is the Pareto front, ${best} that no other beats in both (${better(state.x)} ${HEADS[state.x]}, ${better(state.y)} ${HEADS[state.y]}).${left}`;
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
