"""AGIQA-3K: 2,982 generated pictures of 300 prompts by ten models and settings, labelled in one csv."""

from __future__ import annotations

import re
from typing import ClassVar

from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet, read_csv
from bench.data.labels.match import Labels, Row, assemble, label_file, pictures_by_name
from bench.data.labels.tree import find_tree

_NAME = re.compile(r"(?P<model>.+)_(?P<prompt>\d{3})\.(?:jpg|png)", re.IGNORECASE)


class Agiqa3k(DatasetSource):
    """AGIQA-3K: pictures generated from prompts; mean opinions of their quality from 0 to 5, higher is better."""

    name = "agiqa3k"
    title: ClassVar[str] = "AGIQA-3K"
    images: ClassVar[int] = 2982
    groups: ClassVar[int] = 300
    score_range: ClassVar[tuple[float, float]] = (0.0, 5.0)
    kind: ClassVar[str] = "generated"
    folders: ClassVar[tuple[str, ...]] = ("AGIQA-3K", "AGIQA3K", "agiqa-3k", "agiqa3k")
    obtain: ClassVar[str] = (
        "the GitHub page of AGIQA-3K's authors (Li, Zhang and others): the zip, and data.csv beside it"
    )
    layout: ClassVar[str] = "AGIQA-3K/data.csv, and AGIQA-3K/*.jpg or a folder of them below"

    def load(self) -> Dataset:
        """All pictures; how well one fits its prompt (mos_align) is another question and is not read."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """`name,prompt,…,mos_quality,std_quality,…`; a picture's content is its prompt, whose number is in its name."""
        tree = find_tree(self.name, self.place.path, [("data.csv",)], self.layout, self.obtain)
        sheet = read_csv(self.name, label_file(self, tree, "data.csv"))
        scores, stds = sheet.numbers_of("mos_quality", *self.score_range), sheet.deviations("std_quality")
        names = sheet.names("name")
        pictures = pictures_by_name(self, tree, names)
        prompts, models = _prompts(sheet, names)
        rows = [
            Row(pictures.paths[i], scores[i], sheet.where(i), prompts[i], stds[i], models[i]) for i in range(len(sheet))
        ]
        return Labels(tree, rows, sheet, grouped=True, complete=pictures.folders, notes=pictures.notes)


def _prompts(sheet: Sheet, names: list[str]) -> tuple[list[str], list[str]]:
    """(the number of each picture's prompt, its model); a number stands for one prompt, and a prompt for one number."""
    texts, numbers, models = sheet.text("prompt"), [], []
    text_of: dict[str, str] = {}
    number_of: dict[str, str] = {}
    for i, name in enumerate(names):
        parsed = _NAME.fullmatch(name.rpartition("/")[2])
        if parsed is None:
            raise sheet.wrong(i, f"{name!r} is not of the form MODEL_NNN.jpg")
        number, text = parsed["prompt"], " ".join(texts[i].lower().split())
        if text_of.setdefault(number, text) != text:
            raise sheet.wrong(i, f"prompt {number} is {texts[i]!r}, and elsewhere {text_of[number]!r}")
        if number_of.setdefault(text, number) != number:
            raise sheet.wrong(i, f"the prompt {texts[i]!r} has the numbers {number_of[text]} and {number}")
        numbers.append(number)
        models.append(parsed["model"])
    return numbers, models
