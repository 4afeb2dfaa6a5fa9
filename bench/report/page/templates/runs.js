// One run: drawn from its details when it is asked for.
const runs = { data: null, pictures: { thumbs: {}, note: "" } };
const MOST_LISTED = 200;

function readRuns() {
  runs.data = dataOf("runs");
  runs.pictures = dataOf("pictures") || runs.pictures;
}

const textOf = (number) => runs.data.texts[number];
const mainTest = (run) => run.tests[0];

function lineOf(run) {
  const test = mainTest(run);
  if (run.status !== "done") return `${textOf(run.train)}, split ${run.split}: failed`;
  return `${textOf(run.train)}, split ${run.split}${test && test.metrics.srcc !== null ? `: ${score(test.metrics.srcc)} on ${textOf(test.on)}` : ""}`;
}

function listRuns(chosen) {
  const words = byId("runs-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = runs.data.runs.filter((run) => words.every((word) => `${textOf(run.label)} ${lineOf(run)} ${run.key} ${run.preset}`.toLowerCase().includes(word)));
  const items = all.slice(0, MOST_LISTED).map((run) => {
    const link = make("a", { href: `#runs/${run.key}`, "aria-current": run.key === chosen ? "true" : null }, swatch(...run.look), ` ${textOf(run.label)}`, make("span", {}, lineOf(run)));
    return make("li", {}, link);
  });
  byId("runs-list").replaceChildren(...items);
  const rest = runs.data.all - runs.data.runs.length;
  const said = [all.length > items.length ? `${all.length - items.length} more: search to see them.` : ""];
  if (rest > 0 && !runs.data.only) said.push(`${rest.toLocaleString("en")} further runs have no details here: "bench report --run KEY" makes a page of one. The explorer has their keys.`);
  byId("runs-rest").textContent = said.join(" ").trim();
}

ROUTES.runs = (what) => {
  const known = runs.data ? runs.data.runs : [];
  const chosen = known.find((run) => run.key === what) || (what ? null : known[0]);
  if (runs.data) listRuns(chosen ? chosen.key : "");
  if (chosen) showRun(chosen);
  else byId("run").replaceChildren(missingRun(what));
};

function missingRun(key) {
  if (!key) return make("p", { class: "caution" }, "There is no run here.");
  return make("p", { class: "caution" }, "This run has no details on this page. This makes a page of it: ", make("code", {}, `bench report --run ${key}`));
}

function showRun(run) {
  const parts = [
    make("h2", { class: "as-h1" }, swatch(...run.look), ` ${textOf(run.label)}`),
    make("p", { class: "intro" }, `${textOf(run.train)}, split ${run.split}, preset ${run.preset}. `, make("code", {}, run.key)),
  ];
  if (run.status !== "done") parts.push(make("p", { class: "caution" }, make("strong", {}, "Failed: "), run.error));
  if (run.older) parts.push(make("p", { class: "caution" }, `Made by ${run.older}.`));
  for (const test of run.tests) parts.push(testOf(run, test));
  parts.push(lossOf(run), repeatOf(run), factsOf(run), specOf(run));
  byId("run").replaceChildren(...parts.filter(Boolean));
  for (const holder of byId("run").querySelectorAll(".figure")) redraw(holder);
}

// Tests ---------------------------------------------------------------------------------------------------------------

const METRIC_NAMES = { srcc: "SRCC", plcc: "PLCC", plcc_raw: "raw PLCC", krcc: "KRCC", rmse: "RMSE" };

function testOf(run, test) {
  const numbers = Object.entries(METRIC_NAMES).filter(([name]) => test.metrics[name] !== null).map(([name, title]) => make("div", {}, make("dt", {}, title), make("dd", {}, score(test.metrics[name]))));
  const section = make("section", {}, make("h3", { class: "group" }, textOf(test.on), test.n ? make("span", { class: "faint" }, ` ${test.n.toLocaleString("en")} pictures`) : ""));
  if (numbers.length) section.append(make("dl", { class: "numbers" }, ...numbers));
  if (test.why) section.append(make("p", { class: "caution" }, test.why));
  if (!test.points.length) return section;
  section.append(figure((place) => predictions(place, run, test)), make("p", { class: "key" }, `${test.points.length < test.n ? `${test.points.length} of ${test.n} pictures, evenly by score. ` : ""}${test.curve.length ? "The line is the logistic that PLCC is taken after." : "No logistic could be fitted."}`));
  section.append(errors(test));
  return section;
}

function predictions(holder, run, test) {
  const across = scaleOf(test.points.map(([x]) => x));
  const up = scaleOf([...test.points.map(([, y]) => y), ...test.curve.map(([, y]) => y)]);
  const { svg, at } = frame(holder, { x: across, y: up, xLabel: "predicted", yLabel: "label", xText: short, yText: short, height: 300, label: "Predictions against labels" });
  for (const [x, y] of test.points) svg.append(make("circle", { class: `spot hue${run.look[0]}`, cx: at.x(x).toFixed(1), cy: at.y(y).toFixed(1), r: 3 }));
  if (test.curve.length) svg.append(polyline(test.curve, at, "fit"));
  return svg;
}

const short = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

function errors(test) {
  const half = test.errors.length / 2;
  const note = runs.pictures.note ? [make("p", { class: "key" }, runs.pictures.note)] : [];
  const lists = make("div", { class: "erred" }, errorTable(test, "Most overrated", 0, half), errorTable(test, "Most underrated", half, half));
  return make("div", {}, lists, make("p", { class: "key" }, "The model's scores are on the labels' scale."), ...note);
}

function errorTable(test, title, from, count) {
  const heads = ["Picture", "Model", "Label"].map((name, place) => make("th", { scope: "col", class: place ? "number" : "" }, name));
  const rows = test.errors.slice(from, from + count).map(([judged, human], place) => errorRow(test, textOf(test.names[from + place]), judged, human));
  return make("table", {}, make("caption", {}, title), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
}

function errorRow(test, name, judged, human) {
  const small = runs.pictures.thumbs[`${test.set}/${name}`];
  const shownName = make("span", {}, ...name.split("/").flatMap((part, place) => (place ? ["/", make("wbr"), part] : [part])));
  const picture = make("span", { class: small ? "pictured" : "" }, small ? make("img", { src: small, alt: "" }) : null, shownName);
  return make("tr", {}, make("th", { scope: "row" }, picture), make("td", { class: "number" }, short(judged)), make("td", { class: "number" }, short(human)));
}

// Training and all else -----------------------------------------------------------------------------------------------

function lossOf(run) {
  if (!run.loss.length) return null;
  const steps = run.log.step ? "step by step, as it was noted" : "the mean of each epoch";
  const parts = [figure((place) => trace(place, run.log.step ? run.log.step : epochsOf(run, run.loss.length), run.log.step ? run.log.loss : run.loss, run.log.step ? "step" : "epoch", "loss", [0]))];
  parts.push(make("p", { class: "key" }, `The loss, ${steps}.`));
  const curve = run.chosen.curve;
  if (curve.length) {
    parts.push(figure((place) => trace(place, epochsOf(run, curve.length), curve, "epoch", "SRCC", [])));
    parts.push(make("p", { class: "key" }, `The SRCC that the epoch was chosen by (${run.chosen.rule === "oracle" ? "on the test part: optimistic" : "on contents kept for it"}); epoch ${run.chosen.epoch + 1} was tested.`));
  }
  return make("section", {}, make("h3", { class: "group" }, "Training"), ...parts);
}

function figure(draw) {
  const holder = make("div", { class: "figure" });
  drawn(holder, draw);
  return holder;
}

const epochsOf = (run, count) => [...Array(count).keys()].map((place) => 1 + (count > 1 ? (place * (run.epochs - 1)) / (count - 1) : 0));

function trace(holder, steps, values, xLabel, yLabel, more) {
  const points = steps.map((step, place) => [step, values[place]]);
  const { svg, at } = frame(holder, { x: { ...scaleOf(steps), whole: true }, y: scaleOf([...values, ...more]), xLabel, yLabel, xText: short, yText: short, height: 230, label: `${yLabel} by ${xLabel}` });
  svg.append(polyline(points, at, "loss"));
  if (points.length < 30) for (const [x, y] of points) svg.append(make("circle", { class: "spot hue0", cx: at.x(x), cy: at.y(y), r: 3 }));
  return svg;
}

function repeatOf(run) {
  if (!run.commands.length) return null;
  const lines = run.commands.map((line) => make("div", {}, make("pre", {}, line), make("button", { type: "button", class: "quiet", "data-copy": line }, "Copy", make("span", { class: "unseen" }, " the command"))));
  return make("section", {}, make("h3", { class: "group" }, "Make it again"), ...lines, make("p", { class: "key" }, "It makes the splits up to this one; what is done is not done again unless --overwrite says so."));
}

function pairs(rows) {
  return make("dl", { class: "facts" }, ...rows.map(([name, said]) => make("div", {}, make("dt", {}, name), make("dd", {}, said))));
}

function factsOf(run) {
  return make("section", {}, make("h3", { class: "group" }, "Data, cost and surroundings"), pairs([...run.facts, ["Made on", runs.data.places[run.place]]]));
}

function specOf(run) {
  const { recipe = {}, options = {}, ...rest } = runs.data.specs[run.spec];
  const rows = (data) => Object.entries(data).map(([name, value]) => [name, String(value)]);
  return make("section", {}, make("h3", { class: "group" }, "Description"), make("details", {}, make("summary", {}, "Everything that may change a number"), pairs([...rows(rest), ...rows(options).map(([n, v]) => [`option ${n}`, v]), ...rows(recipe).map(([n, v]) => [`recipe ${n}`, v])])));
}

byId("runs-search").addEventListener("input", () => { if (runs.data) listRuns(address().what); });
