// Charts that the script draws: a frame with axes, in pixels of the place that it has, drawn again when that changes.
const MARGIN = { left: 52, right: 14, top: 28, bottom: 40 };

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough * (1 - 1e-9));
}

function scaleOf(values, { log = false, air = 0.05 } = {}) {
  const known = values.filter((value) => Number.isFinite(value) && (!log || value > 0)).map((v) => (log ? Math.log10(v) : v));
  let low = known.reduce((a, b) => Math.min(a, b), Infinity);
  let high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!(high >= low)) [low, high] = [0, 1];
  const room = Math.max((high - low) * air, high === low ? Math.abs(high) * 0.1 || 0.5 : 0);
  return { low: low - room, high: high + room, log };
}

function ticksOf(scale, most) {
  const least = scale.whole ? 1 : 0;
  if (scale.log) {
    const found = [];
    for (let power = Math.ceil(scale.low); power <= scale.high; power += 1) found.push(10 ** power);
    if (found.length > 1) return found.filter((_, place) => place % Math.ceil(found.length / most) === 0);
    return [scale.low, (scale.low + scale.high) / 2, scale.high].map((v) => Number((10 ** v).toPrecision(2)));
  }
  const step = Math.max(least, niceStep((scale.high - scale.low) / most));
  const found = [];
  for (let place = Math.ceil(scale.low / step - 1e-9); place * step <= scale.high + 1e-9; place += 1) found.push(Number((place * step).toPrecision(10)));
  return found;
}

function frame(holder, { x, y, xLabel, yLabel, xText = String, yText = String, height = 320, label }) {
  const width = Math.max(holder.clientWidth - 2, 240);
  const place = (scale, value, from, to) => from + (((scale.log ? Math.log10(value) : value) - scale.low) / (scale.high - scale.low)) * (to - from);
  const at = {
    x: (value) => place(x, value, MARGIN.left, width - MARGIN.right),
    y: (value) => place(y, value, height - MARGIN.bottom, MARGIN.top),
  };
  const svg = make("svg", { class: "drawing", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
  for (const tick of ticksOf(y, 5)) {
    svg.append(make("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: at.y(tick), y2: at.y(tick) }));
    svg.append(make("text", { class: "label tick", x: MARGIN.left - 8, y: at.y(tick) + 4, "text-anchor": "end" }, yText(tick)));
  }
  for (const tick of ticksOf(x, Math.max(2, Math.floor(width / 110)))) {
    svg.append(make("text", { class: "label tick", x: at.x(tick), y: height - MARGIN.bottom + 16, "text-anchor": "middle" }, xText(tick)));
  }
  svg.append(make("text", { class: "label tick", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel));
  svg.append(make("text", { class: "label tick", x: 2, y: 11, "text-anchor": "start" }, yLabel));
  return { svg, at, width, height };
}

function polyline(points, at, kind) {
  const places = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)).map(([x, y]) => `${at.x(x).toFixed(1)},${at.y(y).toFixed(1)}`);
  return make("polyline", { class: kind, points: places.join(" ") });
}

function mark(x, y, hue, glyph, text, open) {
  const inside = make("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: `point hue${hue}`, tabindex: "0", role: "button", "aria-label": text }, make("use", { href: `#${glyph}` }));
  const say = () => tip(text, inside.getBoundingClientRect());
  inside.addEventListener("mouseenter", say);
  inside.addEventListener("focus", say);
  inside.addEventListener("mouseleave", () => tip(""));
  inside.addEventListener("blur", () => tip(""));
  inside.addEventListener("click", open);
  inside.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } });
  return inside;
}

// Drawings that are made again when their place gets another width; each place has one.
const DRAWN = new Map();
const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const known = DRAWN.get(target);
    if (known && target.clientWidth && known.width !== target.clientWidth) redraw(target);
  }
});

function drawn(holder, draw) {
  DRAWN.set(holder, { draw, width: 0 });
  watcher.observe(holder);
  redraw(holder);
}

function redraw(holder) {
  if (!holder.clientWidth) return;
  const known = DRAWN.get(holder);
  known.width = holder.clientWidth;
  holder.replaceChildren(known.draw(holder));
}
