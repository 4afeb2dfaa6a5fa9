"""The page in a real browser: it sorts, filters, plots, remembers, fits every width, and breaks on no name."""

import json
import threading

import pytest

from bench.records.store import Store
from bench.report.page.render import Ask
from bench.report.page.serve import LivePage, Watcher, server
from tests.report.page.worlds import EVIL_SET
from tests.report.records import body_of, predictions
from tests.report.results import specs_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VIEWS = ("findings", "explorer", "sets", "runs", "pairs", "published")
WIDTHS = (360, 768, 1440)


def column(page, name):
    """The texts of a column of the explorer."""
    heads = page.locator("#results thead th").all_inner_texts()
    place = next(i for i, head in enumerate(heads) if head.split(" ↑")[0].split(" ↓")[0] == name)
    return [row.locator("th, td").nth(place).inner_text() for row in page.locator("#results tbody tr[data-row]").all()]


def address_says(page, words):
    """Wait until the browser has told its driver of the new address, a moment after the page has set it."""
    page.wait_for_url(lambda address: words in address, timeout=5000)


def rows(page):
    return page.locator("#results tbody tr[data-row]").count()


# --- what is seen first --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_the_first_sentence_is_on_the_first_screen(visit, width):
    page = visit("demo", width=width)
    box = page.locator("blockquote").first.bounding_box()
    assert box["y"] + box["height"] < 900
    assert page.locator("blockquote").first.inner_text().endswith("splits.")


def test_a_sentence_is_copied_whole(visit):
    page = visit("demo")
    said = page.locator("blockquote").first.inner_text()
    label = "button => { button.click(); return button.textContent; }"  # read at once: it changes back
    assert page.locator("button.copy").first.evaluate(label).startswith("Copied")
    assert page.locator("button.copy").first.get_attribute("data-copy") == said


def test_look_closer_leads_to_the_set(visit):
    page = visit("paper")
    page.locator("article a", has_text="Look closer").first.click()
    assert page.locator(".set:visible h2").first.inner_text() == page.locator("article h3").first.text_content()


# --- the explorer --------------------------------------------------------------------------------------------------


def test_a_heading_sorts_and_the_address_keeps_it(visit):
    page = visit("paper", "#explorer")
    scores = column(page, "SRCC")
    assert scores == sorted(scores, reverse=True)
    page.locator("#results thead button", has_text="Trainable").click()
    assert page.locator("#results th[aria-sort]").inner_text().startswith("Trainable")
    address_says(page, "sort=trainable")
    page.locator("#results thead button", has_text="Trainable").click()
    address_says(page, "sort=-trainable")
    assert column(page, "Trainable")[0] == "8.04M"


def test_filters_and_the_search_leave_what_was_asked_for(visit):
    page = visit("paper", "#explorer")
    page.locator("select[name=family]").select_option("LoRA")
    assert set(column(page, "Method")) == {"LoRA"}
    page.locator("select[name=set]").select_option("LIVEC")
    tested = list(zip(column(page, "Trained on"), column(page, "Tested on"), strict=True))
    assert tested
    assert all("LIVEC" in pair for pair in tested)
    page.locator("input[name=q]").fill("40%")
    assert page.locator("#count").inner_text().startswith(f"{rows(page)} of ")
    page.locator("#clear").click()
    assert rows(page) > len(tested)


def test_columns_can_be_hidden_and_come_back(visit):
    page = visit("paper", "#explorer")
    page.locator("details.columns summary").click()
    page.locator("#columns input[name=plcc]").uncheck()
    assert "PLCC" not in page.locator("#results thead").inner_text()
    page.locator("#columns input[name=krcc]").check()
    assert "KRCC" in page.locator("#results thead").inner_text()


def test_an_address_that_was_sent_shows_the_same_view(visit):
    page = visit("paper", "#explorer")
    page.locator("select[name=family]").select_option("GLIA")
    page.locator("#results thead button", has_text="Tested on").click()
    page.locator("select[name=x]").select_option("seconds")
    sent = page.url.partition("#")[2]
    other = visit("paper", f"#{sent}")
    assert column(other, "Tested on") == column(page, "Tested on")
    assert set(column(other, "Method")) == {"GLIA"}
    assert other.locator("select[name=x]").input_value() == "seconds"


def test_the_scatter_names_its_points_and_draws_the_front(visit):
    page = visit("demo", "#explorer")
    points = page.locator("#scatter .point")
    assert points.count() == rows(page)
    best = page.locator("#scatter .point[data-front=yes]").all()
    assert best
    cheapest = min(best, key=lambda point: point.bounding_box()["x"])
    assert "Linear probe" in cheapest.get_attribute("aria-label")
    points.first.focus()
    assert page.locator("#tip").inner_text() == points.first.get_attribute("aria-label")
    points.nth(1).hover()
    assert page.locator("#tip").inner_text() == points.nth(1).get_attribute("aria-label")


def test_a_front_is_what_no_row_of_the_same_sets_beats_in_both_and_an_oracle_is_in_none(visit):
    page = visit("odd", "#explorer?x=seconds&y=srcc")
    read = "p => [p.ariaLabel, p.dataset.front === 'yes', p.getBoundingClientRect().x, p.getBoundingClientRect().y]"
    data = page.evaluate(f"[...document.querySelectorAll('#scatter .point')].map({read})")
    on = {label: label.split(":")[0].rpartition(", ")[2] for label, *_ in data}
    competing = [point for point in data if not point[0].startswith("Distortion oracle")]
    assert len(set(on.values())) > 1
    assert len(competing) < len(data)
    for label, front, x, y in competing:
        rivals = [(a, b) for other, _, a, b in competing if on[other] == on[label]]
        assert front == (not any(a <= x and b <= y and (a, b) != (x, y) for a, b in rivals))
    assert not any(front for label, front, *_ in data if label.startswith("Distortion oracle"))
    assert page.locator("#scatter .front-line").count() == len(set(on.values()))
    assert (
        f"{len(data) - len(competing)} rows that tables do not rank are in none."
        in page.locator("#scatter-words").inner_text()
    )


def test_more_fronts_than_can_be_followed_are_not_drawn_and_what_is_left_out_is_counted(visit):
    page = visit("paper", "#explorer")
    assert page.locator("#scatter .front-line").count() == 0
    assert "choose a set" in page.locator("#scatter-words").inner_text()
    page.locator("select[name=set]").select_option("LIVEC")
    assert page.locator("#scatter .front-line").count() > 0
    assert (
        "no other beats in both (less Trainable, more SRCC) on the same sets"
        in page.locator("#scatter-words").inner_text()
    )


def test_a_method_without_a_backbone_makes_no_nameless_choice(visit):
    page = visit("odd", "#explorer")
    assert page.locator("select[name=backbone] option").all_inner_texts()[0] == "All"
    assert "" not in page.locator("select[name=backbone] option").all_inner_texts()


def test_a_row_opens_to_its_runs_and_a_run_to_its_details(visit):
    page = visit("paper", "#explorer")
    page.locator("#results .runs-of").first.click()
    assert page.locator("#results .opened a").count() == 10
    page.locator("#results .opened a").first.click()
    page.locator("#run h2").wait_for()
    assert page.locator("#run svg .spot").count() > 50
    assert page.locator("#run table").first.locator("tbody tr").count() == 10
    assert page.locator("#run pre").first.inner_text().startswith("bench run -m ")


def test_a_runs_chosen_epoch_is_counted_as_its_axis_is(visit):
    page = visit("odd", "#runs")
    page.locator("#run h2").wait_for()
    assert "epoch 2 was tested" in page.locator("#run").inner_text()


def test_a_set_page_is_as_wide_as_the_screen_whatever_its_hashes_and_names(visit):
    page = visit("odd", "#sets/demo/demo_a", width=360)
    page.locator(".set:visible h2").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_of_very_many_rows_the_front_is_whole_and_the_table_is_paged(visit, pages, tmp_path):
    html = pages["paper"].read_text()
    begin = html.index('data-part="explorer">') + len('data-part="explorer">')
    end = html.index("</script>", begin)
    data = json.loads(html[begin:end])
    cheap, good = (data["columns"].index(name) for name in ("trainable", "srcc"))
    first = data["rows"][0]
    data["rows"] = [[*first] for _ in range(10_000)]
    for number, row in enumerate(data["rows"]):
        row[cheap], row[good] = 1000 + number % 97, 0.5
    data["rows"][7777][cheap], data["rows"][7777][good] = 1, 0.1
    pages["many"] = tmp_path / "many.html"
    pages["many"].write_text(html[:begin] + json.dumps(data) + html[end:])
    page = visit("many", "#explorer")
    assert page.locator("#count").inner_text() == "10,000 of 10,000 rows"
    assert rows(page) == 100
    page.locator("#more").click()
    assert rows(page) == 600
    assert page.locator("#scatter .point[data-point='7777'][data-front=yes]").count() == 1
    assert page.locator("#scatter .point").count() < 1800


# --- keyboard ------------------------------------------------------------------------------------------------------


def test_everything_is_reached_and_done_by_keyboard(visit):
    page = visit("demo")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("nav a", has_text="Explorer").focus()
    page.keyboard.press("Enter")
    page.locator("#results").wait_for()  # the browser follows a link a moment after the key
    page.locator("#results thead button", has_text="PLCC").focus()
    page.keyboard.press("Enter")
    address_says(page, "sort=-plcc")
    assert page.evaluate("document.activeElement.textContent") == "PLCC"
    page.locator("#scatter .point").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#results .opened").count() == 1


def test_colours_follow_the_system_and_the_button(visit):
    page = visit("demo", scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("#theme").click()
    assert page.evaluate(ground) != dark
    page.locator("#theme").click()
    assert page.evaluate(ground) == dark


# --- every width, every name ---------------------------------------------------------------------------------------


OVERFLOW = """() => {
  const wide = [];
  if (document.documentElement.scrollWidth > innerWidth) wide.push("the page itself");
  for (const one of document.querySelectorAll("main *:not(svg *):not(option)")) {
    if (!one.checkVisibility() || one.closest(".unseen, .scroll, details:not([open])")) continue;
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const box = one.getBoundingClientRect();
    const out = box.right > innerWidth + 1 || box.left < -1;
    if (own && box.width && out) wide.push(one.textContent.trim().slice(0, 40));
    if (own && one.scrollWidth > one.clientWidth + 2 && getComputedStyle(one).display === "block") {
      if (getComputedStyle(one).overflowX === "visible") wide.push("cut: " + one.textContent.trim().slice(0, 40));
    }
  }
  for (const words of document.querySelectorAll("main svg text")) {
    const box = words.getBoundingClientRect();
    const out = box.right > innerWidth + 1 || box.left < -1;
    if (box.width && !words.closest(".scroll") && out) wide.push("drawn: " + words.textContent);
  }
  return wide;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("world", ["paper", "evil", "odd"])
def test_no_text_overflows(visit, world, width, scheme):
    page = visit(world, width=width, scheme=scheme)
    for view in VIEWS:
        page.evaluate(f"location.hash = '{view}'")
        page.locator(f"[data-view={view}]").wait_for()
        assert page.evaluate(OVERFLOW) == [], view


def test_names_from_files_do_nothing(visit):
    page = visit("evil")
    for view in VIEWS:
        page.evaluate(f"location.hash = '{view}'")
        page.locator(f"[data-view={view}]").wait_for()
    assert page.evaluate("window.broken") is None
    assert EVIL_SET in page.locator("article h3").first.text_content()
    tricks = "q=%3Cimg src=x onerror=window.broken=1%3E&sort=__proto__&x=constructor&hide=,"
    page.evaluate(f"location.hash = 'explorer?{tricks}'")
    page.evaluate("location.hash = 'runs/%3Cscript%3Ewindow.broken=1%3C/script%3E%E0%A4%A'")
    page.locator("#run .caution").wait_for()
    assert page.evaluate("window.broken") is None


def test_printed_all_parts_are_there_but_the_controls(visit):
    page = visit("paper")
    page.emulate_media(media="print")
    assert page.locator("[data-view=published]").is_visible()
    assert page.locator("article blockquote").first.is_visible()
    assert not page.locator("header.top").is_visible()
    assert page.locator(".set").count() == len([one for one in page.locator(".set").all() if one.is_visible()])


def test_printed_from_a_dark_screen_marks_are_as_on_a_light_one_and_an_unopened_explorer_is_left_out(visit):
    page = visit("paper", scheme="dark")
    colour = "getComputedStyle(document.documentElement).getPropertyValue('--hue6')"
    dark = page.evaluate(colour)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(colour) != dark
    assert not page.locator("[data-view=explorer]").is_visible()


def test_an_explorer_that_is_open_is_printed_within_the_paper(visit):
    page = visit("paper", "#explorer", width=720)
    page.emulate_media(media="print")
    assert page.locator("#results").evaluate("table => table.getBoundingClientRect().right <= innerWidth")


def test_without_script_the_findings_stand_there(visit):
    page = visit("paper", java_script_enabled=False)
    assert page.locator("article blockquote").count() == 4
    assert page.locator("[data-view=published]").is_visible()


# --- while runs go on ----------------------------------------------------------------------------------------------


def test_a_served_page_shows_new_runs_without_being_asked_and_keeps_its_place(visit, tmp_path):
    store = Store(tmp_path / "results")
    specs = specs_of("main", "demo", "glia,lora", ["demo_a", "demo_b"], splits=3)
    for spec in specs[:3]:
        store.write(body_of(spec), predictions(spec))
    with server(LivePage(Watcher(store), lambda results: results, Ask()), 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        page = visit(f"http://127.0.0.1:{running.server_address[1]}/", "#explorer?sort=plcc")
        page.locator("#live-state", has_text="Live: 3 runs").wait_for()
        before = rows(page)
        for spec in specs[3:]:
            store.write(body_of(spec), predictions(spec))
        page.locator("#live-state", has_text=f"Live: {len(specs)} runs").wait_for()
        page.locator("#results tbody tr[data-row]").nth(before).wait_for()
        address_says(page, "sort=plcc")
        assert column(page, "PLCC") == sorted(column(page, "PLCC"))
        running.shutdown()


def test_a_row_that_was_opened_stays_open_when_others_come_before_it(visit, tmp_path):
    store = Store(tmp_path / "results")
    specs = specs_of("main", "demo", "linear_probe,lora", ["demo_a"], splits=3)
    for spec in (spec for spec in specs if spec.method == "lora"):
        store.write(body_of(spec), predictions(spec))
    with server(LivePage(Watcher(store), lambda results: results, Ask()), 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        page = visit(f"http://127.0.0.1:{running.server_address[1]}/", "#explorer")
        page.locator("#live-state", has_text="Live: 3 runs").wait_for()
        page.locator("#results .runs-of").first.click()
        for spec in (spec for spec in specs if spec.method != "lora"):
            store.write(body_of(spec), predictions(spec))
        page.locator("#live-state", has_text="Live: 6 runs").wait_for()
        page.locator("#results tbody tr[data-row]").nth(1).wait_for()
        opened = page.locator("#results .runs-of[aria-expanded=true]")
        assert opened.count() == 1
        assert "the runs of LoRA" in opened.get_attribute("aria-label")
        running.shutdown()


class JustBefore(LivePage):
    """A folder in which runs end between the making of the page and its first question."""

    def news(self):
        for spec in specs_of("main", "demo", "glia,lora", ["demo_a"], splits=1):
            self.watcher.store.write(body_of(spec), predictions(spec))
        return super().news()


def test_a_run_that_ends_before_the_pages_first_question_is_shown(visit, tmp_path):
    with server(JustBefore(Watcher(Store(tmp_path / "results")), lambda results: results, Ask()), 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        page = visit(f"http://127.0.0.1:{running.server_address[1]}/", "#explorer")
        page.locator("#live-state", has_text="Live: 2 runs").wait_for()
        page.locator("#results tbody tr[data-row]").nth(1).wait_for(timeout=5000)
        running.shutdown()


# --- for everybody -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_serious_fault(visit, axe, view, scheme):
    page = visit("paper", f"#{view}", scheme=scheme)
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)")
    serious = [
        f"{fault['id']}: {fault['nodes'][0]['html'][:160]} {fault['nodes'][0]['failureSummary'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []
