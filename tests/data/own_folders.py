"""A folder of somebody's own pictures with a label file, and how it is configured and read."""

from bench.data.locate import load_dataset
from tests.fixtures_data import picture


def own_folder(tmp_path, csv="labels.csv", rows="image,score\na.png,1\nsub/b.png,2\nc.png,3\n"):
    (tmp_path / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "c.png", "unlabelled.png"):
        (tmp_path / name).write_bytes(picture(len(name), ".png"))
    (tmp_path / csv).write_text(rows)
    return tmp_path


def load(config, name="mine", **more):
    return load_dataset(name, config, config.get("cache"), **more)


def mine(path, **settings):
    return {"mine": {"loader": "folder", "path": str(path), **settings}}
