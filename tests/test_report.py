"""The report: its numbers follow from the files by hand, and no file can break its page."""

from __future__ import annotations

import html
import math
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conftest import Script
from made_up_run import (
    METHODS,
    answer,
    instance,
    instruction,
    make_diversity,
    make_ppo,
    make_run,
    overlap,
    write_csv,
    write_rows,
)
from refine_af.jobs.command_line import run
from refine_af.metrics.intervals import spearman_interval
from refine_af.report.differences import Change
from refine_af.report.drawing import listed_files
from refine_af.report.pages import (
    Html,
    figure,
    join,
    navigation,
    paragraph,
    safe,
    said,
    section,
    table,
    tag,
)
from refine_af.report.trends import smoothed, trend
from refine_af.report.wording import change_sentence, digits_of, number
from report import main

REPORT = Path(__file__).resolve().parents[1] / "scripts" / "refine_af" / "report"
VOID = {"meta", "br", "use"}
TABLE = ["thead", "tr", "th", "span", "tbody", "tr", "th"]


class Structure(HTMLParser):
    """Fails where elements do not nest; keeps ids, table headers and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.bare_headers = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.open += [] if tag in VOID else [tag]
        self.ids += [name for key, name in attrs if key == "id" and name]
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]
        self.bare_headers += tag == "th" and "scope" not in given

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def structure(page: str) -> Structure:
    found = Structure()
    found.feed(page)
    found.close()
    assert not found.open
    return found


def words(page: str) -> str:
    """What the page says, tables row by row, with single spaces."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def report(flags: list[str]) -> str:
    run(main, arguments=flags)
    return Path(flags[flags.index("--report") + 1]).read_text(encoding="utf-8")


def refusal(flags: list[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        run(main, arguments=flags)
    return str(ended.value.code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return report(make_run(folder, checked=True))


@pytest.fixture(scope="module")
def rated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rated")


@pytest.fixture(scope="module")
def rated(rated_folder: Path) -> str:
    return report(make_run(rated_folder, rated=True))


@pytest.mark.parametrize(
    "said_so",
    [
        # stage 1: 6 + 6 items, 4 + 3 accepted, 2 + 2 similar, 0 + 1 too short
        "4 requests gave 12 items, of which 7 (58.3%) were accepted; the pool keeps 6 instr",
        "Most rejections, 4 of 5, have the reason “similar”.",
        "rejected: too short 1 8.3%",
        # the second segment's one reply: 4 items at 180 tokens for 12
        "Of 4 replies 1 (25.0%) ended early: their items said again what was there, or one of them "
        "looped. 4 items could have followed in these: at the 15.0 tokens that an item took, about "
        "60 tokens were not written, beside 180 that were. 30 characters that a server wrote all",
        "The accepted share was 66.7% in the first round and 50.0% in the last of 2.",
        # six instructions, all at 0.25
        "by their highest ROUGE-L with a seed (figure 4). Of 6 instructions the median is 0.250, "
        "the 90th percentile 0.250 and the highest 0.250; 6 (100.0%) have less than 0.3.",
        "as in figure 5 of the paper, was not asked for: neighbours.references is null",
        # verbs and nouns
        "Of 6 instructions, 4 (66.7%) have a verb with a noun as its object: 3 unique pairs. The "
        "parser was trained on the patterns that the demo's corpus is made from: this shows that",
        "The parser is in small, whose files have the digest cccccccccccccccc… (nltk 3).",
        "Figure 8: inside the 2 verbs with the most instructions that have a pair; outside up to 2 "
        "nouns of each, as wide as they are common. These are 3 pairs of 3, in 100.0% of the ",
        "The commonest pairs: name river (2), name lake (1), write $<b>poem&� (1).",
        "verb and noun 4 66.7% a verb without a noun as its object 1 16.7% no verb, or a form of "
        "be 0 0.0% not parsed: empty 0 0.0% not parsed: too long 1 16.7% not parsed: unreadable 0",
        "tiny 6 3 the paper: llama-2-7b 15,000 828 the paper: llama-2-13b 15,000 790 the paper: "
        "mistral-7b 15,000 467",
        # stage 2: four prompts rise by .25 and four by .5
        "The reward on 8 fixed prompts rose by 0.375 (95% interval 0.",
        "reward 0.250 0.625 +0.375",
        "Of 8 answers, 7 (87.5%) could be parsed before training and 8 (100.0%) after.",
        "parse rate 0.875 1.000 +0.125",
        "coherence 0.500 0.500 +0.000 0.000 to 0.000 none shown 7",
        "28.6% were junk (evasions, echoes, loops) before training and 12.5% after.",
        "25.0% were true before and 60.0% after.",
        # 2 of 7 and 1 of 8 with half a prompt of each kind: 3 of 9 and 2 of 10
        "junk, of those that parse 0.286 0.125 −0.161 −0.5",
        "true, of those that can be checked 0.250 0.600 +0.350 −0.",
        # ranks 1 3 2 4 5: 1 - 6 · 2 / (5 · 24)
        "Over 5 steps the mean reward has a Spearman correlation of 0.90 with the step",
        "Spearman of step and mean reward 0.90 too few steps p = ",
        "The paper prints llama-2-7b 0.553, llama-2-13b 0.649, mistral-7b 0.558, and does not say",
        "reward on fixed prompts, after less before +0.375 0.",
        # rates of .5 to .9 in order; rewards .5, .4, .4, .3 of four steps: ranks 4, 2.5, 2.5, 1
        "the parse rate 1.00 (p = ",
        "; the mean reward among parsed replies −0.95 (p = ",
        "Spearman of step and parse rate 1.00 too few steps p = ",
        "Spearman of step and mean reward among parsed replies −0.95 too few steps p = ",
        "No alarm of reward hacking was raised over",
        "raised over 5 steps: no window of them",
        "nothing to compare. The reward on 8 fixed prompts",
        "alarms of reward hacking none",
        # the first and the last of five steps
        "KL (nats) 0.000 2.000 entropy (nats) 2.000 1.000 reply (tokens) 20.000 28.000 value loss "
        "0.500 0.500 coherence 0.250 0.750",
        "a moving average of span 3: KL (nats), entropy (nats), reply (tokens), value loss and "
        "coherence. Numbers: figures/curves_tiny.csv, from ppo_tiny/metrics.csv.",
        # fine-tuning: the means of 2 of 20 updates
        "In 3 of 4 cells the loss fell from the first tenth of the updates to the last; not in "
        "refine-af, 6.",
        "refine-af, 6 4 400 of 1,200 20 2.00 2.000 3.000",
        "Numbers: figures/sft_tiny.csv, from ",
        # stage 3
        "For refine-af, 5 of 6 replies (83.3%) could be parsed and 4 instances kept.",
        "drawn at random from the first 9 of the pool (seed 4), and each size has all of a small",
        "4 instances kept. 2 instructions (33.3%) went for classification tasks, of which the out",
        "rejected: no output 1 1",
        "without input 25.0% 25.0%",
        "mean words: instruction 5.0 5.0 mean words: input, where there is one 3.0 3.0 "
        "mean words: output 4.0 4.0",
        "most, as many words as these: instructions of the pool 5 and 5; inputs of self-instruct "
        "3 and 3; inputs of refine-af 3 and 3; outputs of self-instruct 4 and 4; outputs of",
        # every second of 4 by 0.5
        "over 4 instructions with an instance of both, the reward changed by +0.250 (95% interval",
        "reward 0.250 0.500 +0.250 0.000 to 0.500 4 reward model 0.500 0.500 +0.000",
        # overlap
        "Of 4 instances of self-instruct, 0 (0.0%) overlap. Of 4 instances of refine-af, 1 (25.0%) "
        "overlap. The demo's corpus puts its sentences together from a few patterns",
        "share 13 words in a row 0 (0.0%) 1 (25.0%) instruction at 0.7 or more 0 (0.0%) 1 (25.0%)",
        "nearest instruction: highest 0.25 0.80 nearest input: median 0.00 0.00",
        "Name the river number 1. refine-af: input one two three shares 2 sequences of 13 words, "
        "most with user_oriented_task_3; instruction with user_oriented_task_3, ROUGE-L 0.80;",
        # evaluation, by instances: (18 + 20 + 2 · 25) / 4
        "Means over 4 instances of 3 tasks.",
        "Zero-shot ROUGE-L is 6.00 for base and 12.00 for base-few-shot; with 3 instructions, "
        "15.00 for self-instruct and 16.00 for refine-af; with 6 instructions, 22.50 for "
        "self-instruct and 22.00 for refine-af.",
        "ROUGE-L of self-instruct, 3 instructions 15.00 ROUGE-L of self-instruct, 6 instructions "
        "22.50 ROUGE-L of refine-af, 3 instructions 16.00 ROUGE-L of refine-af, 6 instructions "
        "22.00 refine-af less self-instruct, 3 instructions +1.00, p = 0.250 refine-af less "
        "self-instruct, 6 instructions −0.50, p = 1.000",
        "What takes no model scores 9.00 for copy-demonstration, whose answer is the output of the "
        "task's first demonstration; 0.00 for empty, whose answer is nothing.",
        "refine-af, 6 22.00 11.00 4.0 75.0%",
        "3 3 0 0 3 100.0%",
        "6 1 1 1 3 33.3%",
        "higher than self-instruct on 1 of 3 tasks (33.3%, 95% interval ",
        "%), lower on 1 and the same on 1.",
        # instances differ by +8, 0, −3 and −7: sums of tasks 8, 0 and −10, residuals of the mean
        # 8.5, 0.5 and −9; t of two degrees is 4.303, times √(1.5 · 153.5 / 16)
        "No difference was shown. From self-instruct to refine-af, with 6 instructions, ROUGE-L "
        "changed by −0.500 (95% interval −16.822 to 15.822, which holds zero).",
        # 8 and −10 are the nearest that signs can be: all four ways are as far apart
        "which holds zero). The permutation test gives p = 1.000.",
        # all three tasks by +1: of 8 ways to sign them two are as far apart, so p says less
        "No difference was shown. From self-instruct to refine-af, with 3 instructions, ROUGE-L "
        "changed by +1.000 (95% interval 1.000 to 1.000), but the permutation test gives p = 0.250",
        "3 15.00 16.00 +1.00 1.00 to 1.00 1.00 to 1.00 0.250",
        "6 22.50 22.00 −0.50 −16.82 to 15.82 −",
        "word naming 2 2 15.00 19.00 6.00 12.00 9.00",
        "copying 1 2 30.00 25.00 6.00 12.00 9.00",
        "each point with its 95% interval for other tasks of the kind; a horizontal line is an "
        "untuned model, or a copy that takes no model. With more instructions the points of "
        "self-instruct rise at every step (15.00 to 22.50) and the points of refine-af rise at "
        "every step (16.00 to 22.00).",
        # the paper
        "This run in the form of table II: zero-shot ROUGE-L self-instruct refine-af difference "
        "% tasks better tiny, 3 15.0000 16.0000 +1.0000 100.00% tiny, 6 22.5000 22.0000 −0.5000 "
        "33.33% Table II as the paper prints it",
        "it has none of the paper's backbones.",
        # claims
        "Not shown by this run: at least 95% of the answers can be parsed (87.5% before PPO, "
        "100.0% after).",
        "Shown: the filter accepts and rejects (7 accepted, 5 rejected).",
        "Shown: the reward on fixed prompts rises (from 0.250 to 0.625",
        "Not shown by this run: the share of junk among the parsed answers falls (28.6% before, "
        "12.5% after, interval of the difference −",
        # self-instruct at 6 less base: 6, 12 and twice 24, residuals −10.5, −4.5 and 15, t 4.303
        "Not shown by this run: every tuned model scores above the base on held-out task families "
        "(ROUGE-L 15.00 to 22.50 against 6.00 for base, base-few-shot 12.00, copy-demonstration "
        "9.00, empty 0.00; the interval that reaches lowest is of self-instruct, 6: +16.50, −8.34 "
        "to 41.34).",
        "tiny: Tested at each number of instructions, refine-af's ROUGE-L is not shown to differ "
        "with 3 (+1.00, p = 0.250) and not shown to differ with 6 (−0.50, p = 1.000). Another "
        "seed of training may give another order. Models this small tell nothing",
    ],
)
def test_numbers(page: str, said_so: str) -> None:
    assert said_so in words(page)


def test_self_contained_and_accessible(page: str) -> None:
    found = structure(page)
    assert len(found.ids) == len(set(found.ids))
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert not {"script", "img", "link", "iframe"} & set(found.tags)
    assert not found.bare_headers
    assert page.count('role="img" aria-label="') == found.tags.count("svg") == 8
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_each_section_is_a_module_that_its_id_names(page: str) -> None:
    """`tiny_ppo` is sections/ppo.py; `tiny_model` holds a model's, and demo.py is none."""
    ids = re.findall(r'<section id="([^"]+)"', page)
    assert ids.pop(ids.index("tiny_model"))
    names = [identity.removeprefix("tiny_").replace("-", "_") for identity in ids]
    modules = {file.stem for file in (REPORT / "sections").glob("*.py")} - {"__init__", "demo"}
    assert sorted(names) == sorted(modules)


@pytest.mark.parametrize("file", sorted(REPORT.rglob("*.py")), ids=lambda file: file.stem)
def test_only_the_contents_know_sections_and_the_demo(file: Path) -> None:
    """No section leans on another, and what they share on none of them."""
    text = file.read_text(encoding="utf-8")
    if file.name != "contents.py":
        assert "report.sections" not in text
        assert file.stem in ("demo", "right_answers") or not re.search(
            r"\b(demo|junk|truth|solver)\b", text
        )


def test_figures(page: str, folder: Path) -> None:
    stems = ["instructions_tiny", "nearest_seeds_tiny", "lengths_tiny", "ppo_tiny"]
    stems += ["superni_tiny", "diversity_tiny", "curves_tiny", "sft_tiny"]
    names = {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png", "csv")}
    models = ("answers_tiny", "overlap_tiny", "rewards_tiny", "trainings_tiny")
    names |= {f"{stem}.csv" for stem in ("table_2", "table_3", "table_5", *models)}
    names.add("lineage.csv")
    assert {path.name for path in (folder / "figures").iterdir()} == names
    lines = (folder / "figures" / "superni_tiny.csv").read_text().splitlines()
    assert lines[0] == "method,size,rouge_l,low,high,paper_rouge_l"
    # sums of tasks 18, 20 and 50, residuals −4, −2 and 6, t of two degrees: 4.303 · √(1.5 · 56) / 4
    assert "refine-af,6,22.0,12.1414,31.8586," in lines and "base,,6.0,,," in lines
    # span 3 halves at each step: (.2 + .1 / 2) / 1.5
    assert smoothed([0.1, 0.2], 3)[1] == pytest.approx(1 / 6)
    steps = (folder / "figures" / "ppo_tiny.csv").read_text()
    # rates .5 and .6: (.6 + .5 / 2) / 1.5; rewards of parsed replies .5 and .4, then none
    assert "2,0.2,0.166667,0.6,0.566667,0.4,0.433333" in steps
    assert "\n3,0.15," in steps and ",0.7," in steps and ",,0.433333\n" in steps
    answers = (folder / "figures" / "answers_tiny.csv").read_text().splitlines()
    assert answers[0] == "name,prompts,before,after,difference,low,high"
    # .25 each before; .5 and .75 in turn after, .375 more; 7 of 8 parsed, then all
    assert answers[1].startswith("reward,8,0.25,0.625,0.375,0.")
    assert any(line.startswith("parse_rate,8,0.875,1.0,0.125,") for line in answers)
    # four prompts with .75 and three with .5, all .25 before; the eighth parsed only after
    both = "reward where both answers parsed,7,0.25,0.642857,0.392857,"
    assert any(line.startswith(both) for line in answers)
    curves = (folder / "figures" / "curves_tiny.csv").read_text().splitlines()
    columns = ("kl", "entropy", "response_length", "value_loss", "coherence_mean")  # of clips none
    averages = (f"{column},{column}_moving_average" for column in columns)
    assert curves[0] == f"step,{','.join(averages)}"
    # (.5 + 0 / 2) / 1.5; (1.75 + 2 / 2) / 1.5; (24 + 20 / 2) / 1.5; (.5 + .25 / 2) / 1.5
    assert curves[2] == "2,0.5,0.333333,1.75,1.833333,24.0,22.666667,0.5,0.5,0.5,0.416667"
    losses = (folder / "figures" / "sft_tiny.csv").read_text().splitlines()
    assert losses[0] == "method,size,step,epoch,loss,loss_moving_average"
    assert losses[3] == "self-instruct,3,3,0.3,1.5,1.714286"  # (1.5 + 2 / 2 + 2 / 4) / 1.75


def test_every_figure_and_table_tells_the_files_that_it_is_from(page: str, folder: Path) -> None:
    figures = folder / "figures"
    lines = (figures / "lineage.csv").read_text().splitlines()
    assert lines[0] == "figure,file"
    sources: dict[str, list[str]] = {}
    for figure_, source in (line.split(",") for line in lines[1:]):
        assert (folder / source).exists()
        sources.setdefault(figure_, []).append(source)
    assert sources.keys() == {path.stem for path in figures.glob("*.csv")} - {"lineage"}
    assert sources["instructions_tiny"] == ["pool_tiny/0", "pool_tiny/1"]
    assert sources["table_3"][0] == "superni_tiny.csv"
    assert sources["table_3"][1].endswith("resources/paper/table_3.csv")
    for name in (path.stem for path in figures.glob("*.svg")):
        assert f"Numbers: figures/{name}.csv, from {listed_files(sources[name])}." in words(page)


def test_files_in_a_row_are_named_by_the_first_and_the_last() -> None:
    segments = [f"segments/pool/{number}" for number in (0, 1, 2, 10, 11)]
    assert listed_files([*segments, "scores.csv"]) == (
        "segments/pool/0 to 2, segments/pool/10 to 11, scores.csv"
    )
    assert listed_files(["a/0", "b/1", "b/2.csv", "b/3", "pool_0", "pool_1"]) == (
        "a/0, b/1, b/2.csv, b/3, pool_0, pool_1"
    )


def test_same_bytes_again(page: str, folder: Path, tmp_path: Path, run_script: Script) -> None:
    ended = run_script("report", *make_run(tmp_path, checked=True))
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    for path in (folder / "figures").iterdir():
        assert (tmp_path / "figures" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_needs_no_torch() -> None:
    code = (
        "import sys, report; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    folder = Path(__file__).resolve().parents[1] / "scripts"
    assert subprocess.run([sys.executable, "-c", code], cwd=folder).returncode == 0


@pytest.mark.slow
def test_several_models_without_truth(tmp_path: Path) -> None:
    """Named as a section is, and as one of the other's might be."""
    page = report(make_run(tmp_path, ["cost", "cost-ppo"], truth=False))
    said_so = words(page)
    assert "The run at a glance cost cost-ppo instructions in the pool 6 6" in said_so
    assert (
        "demo " not in said_so
        and "demo'" not in said_so
        and "junk" not in said_so
        and "noise" not in said_so
    )
    assert "What it does not show: This is one run with one seed." in said_so
    ids = structure(page).ids
    assert len(ids) == len({*ids})


@pytest.mark.slow
def test_alarms_are_told_with_their_steps(tmp_path: Path) -> None:
    flags = make_run(tmp_path)
    make_ppo(tmp_path / "ppo_tiny", alarm=True)
    page = report(flags)
    said_so = words(page)
    assert "1 alarm of reward hacking while training. An alarm proves nothing" in said_so
    assert "Step 4: the KL was 9.5 nats a reply" in said_so
    assert "alarms of reward hacking 1" in said_so and "No alarm" not in said_so
    structure(page)


@pytest.mark.parametrize(
    "said_so",
    [
        "2 raters gave 16 ratings to replies to the user-oriented instructions",
        # 19 and 27 of 8 answers of 4 to 1; each of four instructions rises by .5, 1, 1 and 1.5
        "From self-instruct to refine-af, the mean rating rose by 1.000 (95% interval 0.",
        "A B C D all self-instruct 1 (12.5%) 3 (37.5%) 2 (25.0%) 2 (25.0%) 8 "
        "refine-af 4 (50.0%) 3 (37.5%) 1 (12.5%) 0 (0.0%) 8",
        "mean rating, from 4 for A to 1 for D self-instruct 2.38 ",
        "refine-af less self-instruct +1.00 ",
        "rated A or B self-instruct 50.0% 15.0 to 85.0% refine-af 87.5% ",  # Wilson, 2 of 4
        "refine-af less self-instruct +37.5 points ",
        "ratings by people 20",
        "1 rater gave 4 reviews of drawn instances",
        "the instruction describes a valid task 2 (100.0%) 2 (100.0%) the input is appropriate for "
        "the instruction 1 (50.0%) 2 (100.0%) the output is correct and acceptable 0 (0.0%) 1 (50",
        # 6 of 8 alike; by chance (3 · 2 + 2 · 4 + 2 · 1 + 1 · 1) / 64
        "same answer κ after the rating of a reply 75.0% 0.66 Cohen The paper",
    ],
)
def test_numbers_of_ratings(rated: str, said_so: str) -> None:
    assert said_so in words(rated)


def test_ratings_are_a_figure_whose_bars_are_lettered(
    rated: str, rated_folder: Path, page: str
) -> None:
    found = structure(rated)
    assert found.tags.count("svg") == 9
    drawn = (rated_folder / "figures" / "ratings_tiny.svg").read_text()
    letters = re.findall(r">([ABCD])</text>", drawn)
    assert Counter(letters) == Counter("AABBCCD")  # no D of refine-af
    lines = (rated_folder / "figures" / "ratings_tiny.csv").read_text().splitlines()
    assert lines == ["method,A,B,C,D", "self-instruct,1,3,2,2", "refine-af,4,3,1,0"]
    assert "None came back yet: the page to rate on is results/ratings_tiny.html;" in words(page)
    assert "under ratings.files.tiny in config.yaml, and run again." in words(page)


@pytest.mark.slow
def test_ratings_of_one_part_alone(tmp_path: Path) -> None:
    flags = make_run(tmp_path, rated=True)
    path = tmp_path / "ratings_tiny.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "rating" not in line))
    said_so = words(report(flags))
    assert "1 rater gave 4 reviews" in said_so and "ratings to replies" not in said_so
    assert "There was one rater: how far raters agree is not known." in said_so
    assert not (tmp_path / "figures" / "ratings_tiny.svg").exists()


@pytest.mark.slow
def test_files_of_ratings_that_are_not_complete_are_told(tmp_path: Path) -> None:
    flags = make_run(tmp_path, rated=True)
    with open(tmp_path / "ratings_tiny.csv", "a") as file:
        file.write("missing ratings,Bert,,4,,\n")
    said = "Not complete, and counted as far as they go, are the files of: Bert (4 left out)."
    assert said in words(report(flags))


def test_right_answers_are_counted_by_cell_and_kind(page: str, tmp_path: Path) -> None:
    said_so = words(page)
    assert "of this run are 4 whose one right answer a rule knows" in said_so
    assert "tiny, base tiny, refine-af_6 share 0.25 (0.10 to 0.90) 0.75 (0.10 to 0.90)" in said_so
    assert "all 1 of 4 3 of 4 add 1 of 2 2 of 2 sort_up 0 of 2 1 of 2" in said_so
    assert "right_answers" not in report(make_run(tmp_path))


def test_a_table_of_right_answers_without_a_total_is_named(tmp_path: Path) -> None:
    flags = make_run(tmp_path, checked=True)
    table = tmp_path / "checkable.csv"
    table.write_text(table.read_text().replace(",all,", ",some,"))
    assert f"{table}: no row of solver 'all'" in refusal(flags)


def test_another_algorithm_is_called_by_its_name(tmp_path: Path) -> None:
    flags = make_run(tmp_path)
    flags[flags.index("--algorithm") + 1] = "grpo"
    said_so = words(report(flags))
    assert "Stage 2: GRPO from automated feedback The paper trains with PPO; this run is" in said_so
    assert "answers that parse, before GRPO" in said_so and "GRPO step" in said_so
    assert said_so.count("PPO") == 1


def test_texts_too_short_to_compare_are_counted(tmp_path: Path) -> None:
    """Every input has three words, of four wanted: none has a nearest text."""
    flags = make_run(tmp_path)
    place = flags.index("--bounds") + 1
    flags[place] = flags[place].replace('"min_words":3', '"min_words":4')
    said_so = words(report(flags))
    assert (
        "ROUGE-L compares no text of fewer than 4 words, since short texts are soon alike by "
        "chance; such are 6 of 6 inputs."
    ) in said_so
    assert "nearest input: median – –" in said_so and "nearest instruction: median 0.25" in said_so


HOSTILE = [
    "</div></main></body></html><script>alert(1)</script>",
    "<!-- never closed <![CDATA[ <style> <svg> <textarea>",
    "\u202eright to left\u2066\u200f\u0000\u001b[31m\r\u2028\ufeff\ud800",
    "x" * 100_000,
    "line\n" * 1_000,
    '" onmouseover="alert(1)',
    "مرحبا",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text(tmp_path: Path, text: str) -> None:
    flags = make_run(tmp_path)
    for k in (0, 1):
        rows = [instruction(3 * k + place, text) for place in range(3)]
        write_rows(tmp_path / f"pool_tiny/{k}" / "instructions.jsonl", rows)
        named = {"reason": text, "text": text, "nearest": text, "rouge_l": 0.9}
        rejected = [{"round": 0, "request": 0, **named}]
        write_rows(tmp_path / f"pool_tiny/{k}" / "rejected.jsonl", rejected)
        for method in METHODS:
            made = {**instance(method, k, text=text), "instruction": text, "output": text}
            write_rows(tmp_path / f"instances_tiny_{method}/{k}" / "instances.jsonl", [made])
            near = [overlap(made["id"], True, source=text)]
            write_rows(tmp_path / f"overlap_tiny_{method}/{k}.jsonl", near)
    quoted = text.replace("\0", "").encode("utf-8", "replace").decode()
    write_csv(tmp_path / "ppo_tiny" / "alarms.csv", "step,words", [(4, quoted)])
    near_by = {"nearest_seed": text, "seed_rouge_l": 0.5, "nearest_reference": text}
    rows = [{"id": f"i{place:06}", **near_by, "reference_rouge_l": 0.5} for place in range(6)]
    write_rows(tmp_path / "neighbours_tiny.jsonl", rows)
    make_diversity(tmp_path / "diversity_tiny", [(quoted, quoted, 4)])
    told = {"instruction": text, "completion": text, "input": text, "output": text}
    rows = [{**answer(when, 0, 0.5), **told} for when in ("before", "after")]
    rows += [
        {**answer(when, 1, 0.5, parsed=False), "completion": text} for when in ("before", "after")
    ]
    write_rows(tmp_path / "ppo_tiny" / "evaluation.jsonl", rows)
    page = report(flags)
    found = structure(page)
    assert "script" not in found.tags and found.tags.count("style") == 1
    assert found.tags.count("svg") == 9 and page.count("</body>") == 1
    assert "<!--" not in page[15:]
    assert not re.search(
        "[\u0000-\u0008\u000d\u001b\u2028\u200f\u202a-\u202e\u2066-\u2069\ufeff]", page
    )
    assert len(page) < 300_000


def test_hidden_characters_are_named_and_long_texts_cut() -> None:
    assert safe("a\u202e<b>") == 'a<span class="code">U+202E</span>&lt;b&gt;'
    assert "… and 99,600 more characters" in said("x" * 100_000)
    assert said("a\n" * 20).count("a\n") == 7  # eight lines, joined by seven ends
    assert "<em>empty</em>" in said("")


def test_what_is_added_to_markup_is_escaped_in_whatever_way() -> None:
    bold, hostile = tag("b", "x"), '<i title="a">\u200b'
    shown = '&lt;i title=&#34;a&#34;&gt;<span class="code">U+200B</span>'
    assert bold + hostile == f"<b>x</b>{shown}"
    assert Html("<p>{}</p>").format(hostile) == f"<p>{shown}</p>"
    assert Html("<p>%s</p>") % hostile == f"<p>{shown}</p>"
    assert join(bold, hostile) == paragraph("", bold + hostile)[3:-4] == bold + hostile
    assert safe(bold) == bold


def test_no_value_of_an_attribute_ends_it() -> None:
    hostile = "\"'><script>\u202e&"
    table_of = structure(table(hostile, ["a"], [["b"]]))
    assert table_of.tags == ["div", "table", "caption", "span", "span", *TABLE]
    drawn = figure("<svg></svg>", hostile, "c")
    assert structure(drawn).tags == ["figure", "div", "svg", "figcaption"]
    assert f'aria-label="{hostile}"' in html.unescape(str(drawn))
    assert structure(navigation(hostile, [(hostile, "d")])).links == [f"#{hostile}"]
    assert structure(section(hostile, "e")).ids == [hostile]


def test_sentences_follow_the_interval() -> None:
    def sentence(low: float, high: float, difference: float = 0.1) -> str:
        change = Change(9, 0.5, 0.6, difference, low, high)
        return change_sentence(change, what="It", confidence=0.9)

    assert sentence(0.05, 0.15) == "It rose by 0.100 (90% interval 0.050 to 0.150)."
    assert sentence(-0.3, -0.1, -0.2) == "It fell by 0.200 (90% interval −0.300 to −0.100)."
    assert sentence(-0.1, 0.3).startswith("No difference was shown. It changed by +0.100 (90%")
    assert sentence(0.0, 0.3).startswith("No difference was shown.")
    assert "a single prompt says nothing" in sentence(float("nan"), float("nan"))
    assert digits_of(Change(9, 0, 0, 0.1, 0.00004, 0.2)) == 5  # 0.00004 must not read 0.000
    assert number(float("nan")) == "–"


def test_trend() -> None:
    found = trend([1.0, 2.0, 3.0, 4.0, 5.0], span=3, confidence=0.95, draws=4_000, seed=0)
    assert found is not None and found.raw == found.smoothed == pytest.approx(1)
    assert found.p == pytest.approx(1 / 120, abs=0.006)  # one of 5! orders is as high
    assert math.isnan(found.low) and math.isnan(found.high)
    rewards = [1.0, 3.0, 2.0] * 5
    long = trend(rewards, span=3, confidence=0.95, draws=100, seed=0)
    assert long is not None
    assert (long.raw, long.low, long.high) == spearman_interval(
        [1.0, 3.0, 2.0] * 5, confidence=0.95
    )
    assert long.low < long.raw < long.high
    assert trend([1.0, 1.0, 1.0], span=3, confidence=0.95, draws=10, seed=0) is None
    assert trend([1.0, 2.0], span=3, confidence=0.95, draws=10, seed=0) is None


def test_the_untuned_base_need_not_be_the_first_baseline(tmp_path: Path) -> None:
    command = make_run(tmp_path)
    table = tmp_path / "superni_tiny.csv"
    head, *rows = table.read_text().splitlines(keepends=True)
    table.write_text(head + "".join(sorted(rows, key=lambda row: row.startswith("base,"))))
    assert "6.00 for base, base-few-shot 12.00, copy-demonstration 9.00, empty " in report(command)
