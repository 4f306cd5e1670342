"""The pages in a real browser: at a desk, on a phone, in the dark, on paper."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from shown import confusion, fabricated_trials, write_run, write_seeds, write_study

from gacsnn.report import trial_table
from gacsnn.report.by_class import write_by_class
from gacsnn.report.charts import charts_of
from gacsnn.report.importance import Importance
from gacsnn.report.run_page import write_page
from gacsnn.report.study import show
from gacsnn.report.study_page import study_page
from gacsnn.report.trials import tried

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
SEEN = Path(__file__).with_name("seen.js").read_text()
MANY = 5000

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser on the path ({', '.join(BROWSERS)}): apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study, one with seeds, one of thousands of trials, one whose names are hostile, and a run."""
    root = tmp_path_factory.mktemp("pages")
    write_study(root / "study", 40, runs=True)
    write_seeds(root / "seeds")
    write_study(root / "hostile", 8, name="<script>document.title='taken'</script><img src=http://127.0.0.1:9/x>")
    found = {}
    for name in ("study", "seeds", "hostile"):
        show(root / name)
        found[name] = root / name / "report" / "study.html"
    large = root / "large.html"
    large.write_text(large_page(root))
    odd = [{"layer": "stages.0.0.lif1", "step": 1, "rate": 0.0}]
    run_dir = write_run(root / "a run", 60, silent=odd)
    write_by_class(confusion(10), run_dir)
    write_page(run_dir, ["T", "optimizer"])
    classes = write_run(root / "classes")
    write_by_class(confusion(130), classes)
    write_page(classes, [])
    return {**found, "large": large, "run": run_dir.page_path, "classes": classes.page_path}


def large_page(folder: Path) -> str:
    """As `show` makes it, but of trials that no database has had to take in."""
    study = optuna.create_study(study_name="large", direction="maximize")
    known = tried(fabricated_trials(MANY), ["validation_top1"], folder)
    rows = [trial_table.row(one, ["validation_top1"], best=False) for one in known]
    charts = charts_of(known, ["validation_top1"], [True], [])
    importance = Importance({"T": 1.0}, MANY)
    return study_page(study, "study.db", ["validation_top1"], known, rows, [known[0].trial], [], charts, importance)


@pytest.fixture
def show_page(browser: Any, pages: dict[str, Path]) -> Iterator[Open]:
    """Opens a page, which must say nothing on the console and ask for nothing but itself."""
    said: list[str] = []
    opened: list[Any] = []

    def open_page(name: str, width: int = 1280, **options: Any) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        opened.append(page)
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: said.append(f"request: {request.url}"))
        page.goto(pages[name].as_uri())
        page.evaluate(SEEN)
        return page

    yield open_page
    for page in opened:
        page.close()
    requests = [line for line in said if line.startswith("request: file:")]
    assert len(requests) == len(opened)
    assert [line for line in said if line not in requests] == []


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["study", "seeds", "hostile", "large", "run", "classes"])
def test_nothing_overlaps_and_nothing_is_cut(show_page: Open, name: str, width: int) -> None:
    page = show_page(name, width)
    assert page.locator(".chart").count() >= 3
    assert page.evaluate("seen.overlaps()") == []
    assert page.evaluate("seen.cut()") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself does not scroll sideways"


def test_what_lies_over_something_is_found(show_page: Open) -> None:
    page = show_page("study")
    page.evaluate("document.querySelectorAll('.chart text.entry')[1].setAttribute('y', 100)")
    page.evaluate("document.querySelectorAll('.chart text.entry')[2].setAttribute('x', 390)")
    page.evaluate("document.querySelectorAll('.tiles div')[1].style.marginLeft = '-20px'")
    found = "\n".join(page.evaluate("seen.overlaps()"))
    for said in ("over the axes", "beyond its figure", 'div "trials'):
        assert said in found


@pytest.mark.parametrize("name", ["study", "seeds", "run"])
def test_dark_screens_get_a_dark_page_whose_text_can_be_read(show_page: Open, name: str) -> None:
    for scheme, dark in (("light", False), ("dark", True)):
        page = show_page(name, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert (page.evaluate("seen.luminance(seen.background(document.body))") < 0.1) == dark
        assert page.evaluate("seen.faint()") == []


def test_text_that_cannot_be_read_is_found(show_page: Open) -> None:
    page = show_page("run")
    page.add_style_tag(content="figcaption { color: #aaa !important; } .look1 { color: #eee !important; }")
    found = page.evaluate("seen.faint()")
    assert any("figcaption" in said for said in found)
    assert any("look1" in said for said in found)


@pytest.mark.parametrize("name", ["study", "run"])
def test_paper_is_light_and_has_all_of_it(show_page: Open, name: str) -> None:
    page = show_page(name, 800, color_scheme="dark")
    folded = page.locator("details dd").first
    assert not folded.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("seen.luminance(seen.background(document.body))") > 0.9
    assert page.evaluate("seen.faint()") == []
    assert folded.is_visible()
    for box in page.locator(".box").all():
        assert box.evaluate("box => box.scrollHeight <= box.clientHeight + 1 && box.scrollWidth <= box.clientWidth + 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 800
    assert page.pdf()[:4] == b"%PDF"


def column(page: Any, name: str) -> list[str]:
    return page.evaluate("name => seen.column(document.querySelector('#trials table'), name)", name)


def seconds(text: str) -> float:
    minutes, _, rest = text.partition(" min ")
    return 60 * float(minutes) + float(rest.removesuffix(" s")) if rest else float(text.removesuffix(" s"))


def test_a_click_sorts_numbers_as_numbers_and_durations_by_their_length(show_page: Open) -> None:
    page = show_page("study")
    head = page.locator("#trials th", has_text="validation top-1, %")
    assert head.get_attribute("aria-sort") == "none"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    values = column(page, "validation top-1, %")
    known = [float(value) for value in values if value]
    assert known == sorted(known)
    assert len(set(known)) > 10
    assert values[len(known) :] == [""] * (40 - len(known)), "those without come last"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(value) for value in column(page, "validation top-1, %")[: len(known)]] == known[::-1]
    page.locator("#trials th button", has_text="time").click()
    assert head.get_attribute("aria-sort") == "none"
    took = [seconds(value) for value in column(page, "time")]
    assert took == sorted(took)
    page.locator("#trials th button", has_text="encoder").click()
    assert column(page, "encoder") == sorted(column(page, "encoder"))


def test_the_keyboard_sorts_too(show_page: Open) -> None:
    page = show_page("study")
    page.locator("#trials .box").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.textContent") == "trial"
    assert [int(value) for value in column(page, "trial")] == list(range(40))[::-1]


def test_means_are_sorted_by_the_mean(show_page: Open) -> None:
    page = show_page("seeds")
    button = page.locator("#means th button", has_text="validation top-1 %")
    button.click()
    means = page.evaluate("seen.column(document.querySelector('#means table'), 'validation top-1 %')")
    assert means == ["80.50 ± 0.71", "85.50 ± 0.71"]


def test_thousands_of_trials_stay_usable(show_page: Open) -> None:
    page = show_page("large")
    assert len(column(page, "trial")) == MANY
    page.locator("#trials th button", has_text="optimizer.lr").click()
    rates = [float(value) for value in column(page, "optimizer.lr")]
    assert rates == sorted(rates)


def test_a_stopped_trial_says_when_and_a_point_what_it_is(show_page: Open) -> None:
    page = show_page("study")
    states, notes = column(page, "state"), column(page, "note")
    stopped = [note for state, note in zip(states, notes, strict=True) if state == "stopped early"]
    assert stopped
    assert all(note.startswith("stopped early after epoch ") for note in stopped)
    assert page.locator(".chart title").first.text_content().startswith("trial ")


def test_names_of_users_are_text(show_page: Open) -> None:
    page = show_page("hostile")
    assert page.title().startswith("<script>")
    assert page.locator("img").count() == 0
