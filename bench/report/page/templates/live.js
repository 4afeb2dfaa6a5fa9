// Begin; and where the page is served, ask for news and change only the parts that have changed.
function readAll() {
  readExplorer();
  readRuns();
}

const EVERY = 2000;
let hashes = JSON.parse(document.body.dataset.live || "{}");  // of the parts that are shown

async function askForNews() {
  const answer = await fetch("/parts.json", { cache: "no-store" });
  const news = await answer.json();
  const changed = Object.keys(news.parts).filter((name) => hashes[name] !== news.parts[name]);
  byId("live-state").textContent = news.said;
  for (const name of changed) await takePart(name);
  hashes = news.parts;
  if (changed.length) {
    readAll();
    show();
  }
}

async function takePart(name) {
  const text = await (await fetch(`/part/${name}`, { cache: "no-store" })).text();
  const holder = document.querySelector(`[data-part="${name}"]`);
  if (!holder) return;
  if (holder.tagName === "SCRIPT") holder.textContent = text;
  else holder.innerHTML = text;
}

async function live() {
  try { await askForNews(); } catch { byId("live-state").textContent = "The server has gone; what is shown is the last it said."; }
  setTimeout(live, EVERY);
}

readAll();
show();
addEventListener("beforeprint", () => { for (const holder of DRAWN.keys()) redraw(holder); });
if (document.body.dataset.live) live();
