"""How the command presents itself: help in groups with examples, in plain text (Typer's own loads a Markdown reader).

Which group an option is in goes by its name, so that the same option stands in the same place in every command.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from typer.core import TyperCommand, TyperGroup

from bench.cli.completion import add_completion, choices_of, keep_words
from bench.cli.config import SETTINGS
from bench.cli.typed import checked
from bench.core.errors import closest
from bench.core.spec import recipe_options

GROUPS: Mapping[str, tuple[str, ...]] = {
    "What": (
        "method", "protocol", "preset", "backbone", "weights", "cnn_weights", "budget", "overwrite", "check_overlap",
        "dry_run", "steps", "protocol_costs", "image", "views", "list_them", "run", "best",
        "model", "scale", "key", "format_", "hub", "one_run", "plugin", "config_file",
    ),
    "Data": (
        "dataset", "on", "labels", "image_column", "score_column", "group_column", "lower_is_better", "train_on",
        "test_on", "splits", "split_rule", "check", "seeds", "limit", "partial", "smoke", "with_",
    ),
    "Recipe": ("settings", "recipe", "selection", "precision", "rates", "option", "batch", "size"),
    "Machine": ("device", "jobs", "threads", "pack", "compile_steps", "graphs", "no_cache"),
    "Clusters": ("executor", "address", "emit_slurm", "slurm_tasks"),
    "Output": (
        "serve", "port", "zipped", "pictures", "results", "log", "quiet", "sort", "top", "csv", "as_json", "explain",
        "to", "out", "formats", "cost", "intervals", "plcc", "notes", "strict", "plain", "name", "remark", "replace",
        "against", "tolerance", "help",
    ),
}  # fmt: skip
"""In which group of a long help an option stands."""
SHORT = 9
"""A command of so few options needs no groups."""

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "Run": ("run", "status", "tune", "profile"),
    "Use a model": ("predict", "finetune", "export", "push"),
    "Look at results": ("report", "table", "figure", "compare", "verify", "merge", "import", "cite"),
    "See what there is": ("methods", "protocols", "datasets", "splits", "config"),
    "Data and disk": ("data", "cache"),
    "Extend": ("new",),
}
"""The commands in the order a newcomer meets them."""

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("bench run -m glia,linear_probe -p cross", "start here: a few minutes, nothing to prepare"),
        ("bench report", "the results, as a page to look at"),
    ),
    "run": (
        ("bench run -m glia,lora -p main -d koniq10k --dry-run", "what would be run, and how long"),
        ("bench run -m all -p main --limit 40 --splits 1 --set epochs=1", "a smoke run of everything"),
        ("bench run -m glia --set glia.rank=32 --set lr=1e-3", "a changed option is another run"),
    ),
    "report": (
        ("bench report", "what was found, as a page to open in a browser"),
        ("bench report --serve", "the same, kept up to date while runs go on"),
        ("bench report --zip", "and a zip for a colleague: page, records, predictions"),
    ),
    "table": (
        ("bench table", "every table there are records for"),
        ("bench table main -m glia,lora -d koniq10k", "only these rows and columns"),
        ("bench table main --plcc raw --cost", "PLCC of the raw scores, and what each method costs"),
    ),
    "figure": (("bench figure scatter -d koniq10k --plain --format pdf", "for a paper"),),
    "predict": (
        ("bench predict ~/Pictures/holiday --sort", "with the one model there is, best pictures first"),
        ("bench predict *.jpg --best koniq10k/glia --csv scores.csv", "the mean and the spread of all its splits"),
        ("bench predict - --model sharp.safetensors --json", "names from the input (find -print0), any model"),
    ),
    "finetune": (
        ("bench finetune ~/holiday --dry-run", "what it would train, on what, and how long"),
        ("bench finetune ~/holiday --csv votes.csv --score-column mos -m lora", "its csv and columns by name"),
    ),
    "export": (("bench export 6f9b5b3a --to sharp.safetensors", "one file, for bench predict --model anywhere"),),
    "compare": (("bench compare glia lora,rank=16", "a method may carry options"),),
    "cite": (("bench cite main -d koniq10k --out refs.bib", "for the paper that shows this table"),),
    "tune": (
        ("bench tune glia -d koniq10k --option rank=32,64", "four rates with two ranks in each split"),
        ("bench tune glia,lora --dry-run", "what would be tried, and about how long"),
    ),
    "profile": (("bench profile glia lora --name today --against results/profiles/profile.json", "what got slower?"),),
    "import": (("bench import qalign.csv --name q-align --on koniq10k", "a language model's scores beside the runs"),),
    "merge": (("bench merge ../colleague/results", "take over what a colleague has run"),),
    "methods": (("bench methods show glia", "what its options mean"),),
    "protocols": (("bench protocols show cross", "what it runs, and its tables"),),
    "config": (("bench config --all", "every setting and recipe field, with what it means"),),
}

SHOWN_AS: Mapping[str, str] = {
    **dict.fromkeys(("method", "protocol", "dataset", "train_on", "test_on"), "NAMES"),
    **dict.fromkeys(("results", "out", "photos", "folder", "explain"), "DIR"),
    **dict.fromkeys(("plugin", "cnn_weights", "config_file", "emit_slurm", "export", "against", "bib"), "FILE"),
    **dict.fromkeys(("csv", "model"), "FILE"),
    **dict.fromkeys(("backbone", "name", "on", "image_column", "score_column"), "NAME"),
    "settings": "KEY=VALUE", "weights": "pretrained|random|FILE", "budget": "N", "formats": "FORMATS",
    "log": "TRACKER", "rates": "X,X…", "option": "NAME=VALUE,VALUE…", "address": "HOST:PORT", "image": "PICTURE",
    "run": "KEYS", "one_run": "KEY", "best": "SET[/METHOD]", "jobs": "N|auto",
}  # fmt: skip
"""What stands for a value, where its type alone says too little."""
WIDEST_NAME = 34
"""Columns that names and values of options may take before their help begins a line below."""
NARROW_NAME = 16
"""The same on a narrow terminal."""
KINDS: Mapping[Any, str] = {int: "N", float: "X", str: "TEXT", Path: "PATH"}

CONFIGURED = ("run", "tune", "profile", "prepare")
"""The commands whose flags go before settings of bench.toml: what these are without either is their default."""


class HelpCommand(TyperCommand):
    """A command whose help comes in groups, and whose values can be completed."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        add_completion(self)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what is typed."""
        keep_words(self, ctx)
        with checked(self, ctx, args):
            return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Options, then the arguments as the help below calls them."""
        parameters: list[Any] = self.get_params(ctx)
        arguments = [one for one in parameters if one.param_type_name == "argument" and not one.hidden]
        return ["[OPTIONS]", *(_argument_name(one) for one in arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, options in groups, examples."""
        write_parameters(self, ctx, formatter)
        write_examples(self.name or "", formatter)


class HelpGroup(TyperGroup):
    """A command with commands below it, listed in an order that makes sense."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        add_completion(self)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what is typed."""
        keep_words(self, ctx)
        with checked(self, ctx, args):
            return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of `COMMANDS`; others behind, as they were registered."""
        order = [name for names in COMMANDS.values() for name in names]
        return sorted(self.commands, key=lambda name: order.index(name) if name in order else len(order))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Commands first where there is a choice of many, then options, then examples."""
        whole = ctx.parent is None
        for title, names in (COMMANDS if whole else {}).items():
            self._write_commands(title, [name for name in names if name in self.commands], ctx, formatter)
        grouped = {name for names in COMMANDS.values() for name in names} if whole else set()
        rest = [name for name in self.list_commands(ctx) if name not in grouped]
        self._write_commands("More" if whole else "Commands", rest, ctx, formatter)
        write_parameters(self, ctx, formatter)
        write_examples("" if whole else self.name or "", formatter)

    def _write_commands(self, title: str, names: Sequence[str], ctx: Any, formatter: Any) -> None:
        rows = [(name, self.commands[name].get_short_help_str(formatter.width)) for name in names]
        _write_section(title, rows, formatter)


class NamesGroup(HelpGroup):
    """A listing with commands below it: a name where a command should stand is answered with `show`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command meant; for a method's or protocol's name, an error that says how to see it."""
        from bench.core.registry import METHODS, PROTOCOLS

        registry = METHODS if self.name == "methods" else PROTOCOLS
        word = args[0] if args else ""
        if word and word not in self.commands and not closest(word, self.commands):
            meant = [word] if word in registry else closest(word, registry, count=1)
            hint = f"Did you mean: bench {self.name} show {meant[0]}?" if meant else f"See bench {self.name} --help."
            ctx.fail(f"bench {self.name} has no command {word!r}. {hint}")
        return super().resolve_command(ctx, args)


def write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    """A command's arguments and options, the latter in groups where there are many."""
    shown = [one for one in command.get_params(ctx) if not one.hidden]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name != "argument"]
    hints = _hints(command.callback)
    _write_section("Arguments", [_row(command, one, hints) for one in arguments], formatter)
    for title, members in grouped(options).items():
        _write_section(title, [_row(command, one, hints) for one in members], formatter)


def grouped(options: Sequence[Any]) -> dict[str, list[Any]]:
    """Options by group, or all together where they are few or one has no group."""
    of = {name: title for title, names in GROUPS.items() for name in names}
    if len(options) <= SHORT or any(one.name not in of for one in options):
        return {"Options": list(options)}
    order = [name for names in GROUPS.values() for name in names]
    groups: dict[str, list[Any]] = {}
    for one in sorted(options, key=lambda one: order.index(one.name)):
        groups.setdefault(of[one.name], []).append(one)
    return groups


def write_examples(name: str, formatter: Any) -> None:
    """Command lines to copy, each with what it is for."""
    with_examples = EXAMPLES.get(name, ())
    if with_examples:
        with formatter.section("Examples"):
            for line, purpose in with_examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
                formatter.write(f"{'':>{formatter.current_indent + 4}}{purpose}\n")


def _write_section(title: str, rows: Sequence[tuple[str, str]], formatter: Any) -> None:
    if rows:
        with formatter.section(title):
            roomy = formatter.width >= 2 * WIDEST_NAME
            formatter.write_dl(rows, col_max=WIDEST_NAME if roomy else NARROW_NAME)


def _row(command: Any, one: Any, hints: Mapping[str, Any]) -> tuple[str, str]:
    """A parameter's names with what stands for its value, and what it does with its default."""
    said = _meaning(command, one)
    value = _value(one, hints.get(one.name))
    if one.param_type_name == "argument":
        return _argument_name(one), said
    names = ", ".join(sorted(one.opts, key=len)) + "".join(f" / {name}" for name in one.secondary_opts)
    default = "" if "\b" in said else _default(command, one)
    ending = "required" if one.required else f"default: {default}" if default else ""
    return f"{names} {value}".strip(), f"{said}  [{ending}]" if ending else said


def _argument_name(one: Any) -> str:
    """An argument as usage shows it: in brackets where it may be left out, with dots where there may be several."""
    name = one.metavar or one.name.upper().removesuffix("S" if one.nargs == -1 else "")
    name = name if one.required or name.startswith("[") else f"[{name}]"
    return name if one.nargs == 1 or name.endswith("...") else f"{name}..."


def _value(one: Any, hint: Any) -> str:
    """What stands for the value: its choices, a word that says what it is, or its type; nothing for a switch."""
    if getattr(one, "is_flag", False) or hint is bool or hint is None:
        return ""
    if choices := choices_of(one.name):
        return f"[{'|'.join(choices)}]"
    return str(one.metavar or SHOWN_AS.get(one.name) or KINDS.get(hint, "TEXT"))


def _meaning(command: Any, one: Any) -> str:
    """An option's help; where its choices are shown, what they choose between, unless it has a line on each."""
    setting = SETTINGS.get(one.name)
    if setting and setting.choices and command.name in CONFIGURED and "\b" not in (one.help or ""):
        return setting.meaning
    return str(one.help or "")


def _default(command: Any, one: Any) -> str:
    """What holds without the option, in words; nothing where its help says it or it is a switch."""
    value = one.default
    if not callable(value) and value not in (None, False, "", 0, (), []) and not getattr(one, "is_flag", False):
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    name = one.name
    if name == "selection" and command.name == "run":
        return str(recipe_options()["selection"].default)
    if name == "results" or (command.name in CONFIGURED and name in SETTINGS):
        unset = "" if SETTINGS[name].unset in (one.help or "") else SETTINGS[name].unset
        return str(SETTINGS[name].default or unset)
    return ""


def _hints(callback: Callable[..., Any] | None) -> dict[str, Any]:
    """The plain type of every parameter: `Optional`, lists and annotations taken off."""
    if callback is None:
        return {}
    known = get_type_hints(inspect.unwrap(callback)) | get_type_hints(callback)
    return {name: _plain(hint) for name, hint in known.items()}


def _plain(hint: Any) -> Any:
    while get_origin(hint) in (Union, list):
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    return hint
