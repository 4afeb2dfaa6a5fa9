// Which part is shown, and its state, stand in the address behind the "#": view/what?key=value.
const ROUTES = {}; // view → what to do when it is shown, given what stands behind the slash

function address() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const [view, ...rest] = path.split("/");
  return { view, what: rest.map(decodePart).join("/"), state: new URLSearchParams(query) };
}

function decodePart(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function keepState(state) {
  const query = state.toString();
  const path = location.hash.slice(1).split("?")[0] || "explorer";
  history.replaceState(null, "", `#${path}${query ? `?${query}` : ""}`);
}

function views() {
  return [...document.querySelectorAll("[data-view]")];
}

function show({ focus = false } = {}) {
  const names = views().map((view) => view.dataset.view);
  const { view, what, state } = address();
  const chosen = names.includes(view) ? view : names[0];
  for (const one of views()) one.hidden = one.dataset.view !== chosen;
  for (const link of document.querySelectorAll("[data-to]")) {
    if (link.dataset.to === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  tip("");
  if (ROUTES[chosen]) ROUTES[chosen](what, state);
  const anchor = chosen === "findings" && what ? byId(what) : null;
  if (anchor) anchor.scrollIntoView();
  else if (focus) scrollTo({ top: 0, behavior: "instant" });
  if (focus && !(document.activeElement && byId("main").contains(document.activeElement))) byId("main").focus({ preventScroll: true });
}

ROUTES.sets = (what) => {
  const sections = [...document.querySelectorAll("[data-shown]")];
  const known = sections.map((section) => section.dataset.shown);
  const chosen = known.includes(what) ? what : known[0];
  for (const section of sections) section.hidden = section.dataset.shown !== chosen;
  for (const link of document.querySelectorAll("[data-set]")) {
    if (link.dataset.set === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
};

addEventListener("hashchange", () => show({ focus: true }));
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
