"""`edge-mcnn inspect`. From Python: `convert.tflite_model.inspection.inspect_bundle`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from device.recognition.runtimes import DISPLAY_NAMES, LITERT, TFLITE_RUNTIME
from edge_mcnn.options import Json
from edge_mcnn.output import out
from edge_mcnn.paths import model_file

if TYPE_CHECKING:
    from rich.console import Console

    from convert.tflite_model.inspection import Inspection

_RUNTIMES = {TFLITE_RUNTIME: f"{DISPLAY_NAMES[TFLITE_RUNTIME]} 2.14", LITERT: DISPLAY_NAMES[LITERT]}
"""Runtimes by the name that the inspection uses, and as they are printed."""


def inspect_command(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="NAME|FILE",
            parser=model_file(),
            help="A Model.tflite that `edge-mcnn convert` wrote, or a model that ships with edge-mcnn: sentiment (the "
            "default) or emotions.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show what a Model.tflite contains and where it runs.

    The output lists sizes, compatible runtimes, inputs and outputs, operators, labels, vocabulary, front end, model
    card, and what it needs to adapt to a voice. The model is not executed, so no TFLite runtime is needed.

    Example: `edge-mcnn inspect Model.tflite`
    """
    from convert.tflite_model.inspection import inspect_bundle
    from device.bundle import DEFAULT_BUNDLE, SHIPPED_BUNDLES

    inspection = inspect_bundle(SHIPPED_BUNDLES.get(str(model), model) or DEFAULT_BUNDLE)
    if json:
        out.json(inspection.as_dict())
        return
    show(inspection, out.console())


def show(inspection: "Inspection", console: "Console") -> None:
    """Print the inspection as sections with tables, within the width of the console."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from device.bundle import FLATBUFFER_SUM
    from device.system.display import displayable, displayable_lines

    def section(title: str) -> None:
        console.print()
        console.print(Text(title, "bold"))

    def pairs(rows: Mapping[str, str]) -> None:
        table = Table("", "", box=None, show_header=False, pad_edge=False)
        table.columns[1].overflow = "fold"
        for name, value in rows.items():
            table.add_row(Text(displayable(name)), Text(displayable_lines(value)))
        console.print(Padding(table, (0, 0, 0, 2), expand=False))

    def listed(headers: list[str], rows: list[list[str]], right: tuple[int, ...] = ()) -> None:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for index, header in enumerate(headers):
            justify: Literal["left", "right"] = "right" if index in right else "left"
            table.add_column(Text(displayable(header)), justify=justify, overflow="fold")
        for row in rows:
            table.add_row(*(Text(displayable(cell)) for cell in row))
        console.print(Padding(table, (0, 0, 0, 2), expand=False))

    console.print(Text(displayable(inspection.file), "bold"), soft_wrap=True)
    model, companions = inspection.flatbuffer_bytes, inspection.bytes - inspection.flatbuffer_bytes
    pairs(
        {
            "size": f"{_size(inspection.bytes)} = model {_size(model)} + companions {_size(companions)}",
            "weights": _shares(inspection.weights_bytes, inspection.stored),
            "runs on": runs_on(inspection.runtimes),
            "requires": "any TFLite runtime" if inspection.requires is None else str(inspection.requires),
            "file sha256": inspection.sha256,
            "model sha256": inspection.flatbuffer_sha256,
        }
    )
    section("Inputs and outputs")
    rows = [
        [what, each["name"], " x ".join(map(str, each["shape"])) or "one number", each["dtype"]]
        for what, tensors in (("in", inspection.inputs), ("out", inspection.outputs))
        for each in tensors
    ]
    if rows:
        listed(["-", "name", "shape", "type"], rows)
    else:
        console.print("  none: edge-mcnn cannot run a model without the signature serving_default", highlight=False)
    section(f"Operators, {sum(group.count for group in inspection.operators)}")
    listed(
        ["operator", "version", "count", "weights", "stored"],
        [[g.name, str(g.version), str(g.count), _size(g.bytes), ", ".join(g.stored)] for g in inspection.operators],
        right=(1, 2, 3),
    )
    section("Labels and vocabulary")
    words, first = inspection.vocabulary["size"], inspection.vocabulary["first"]
    more = [] if words == len(first) else ["..."]
    pairs({"labels": ", ".join(inspection.labels), "words": f"{words}: {', '.join([*first, *more])}"})
    section("Front end")
    pairs({name: _plain(value) for name, value in inspection.front_end.items()})
    if inspection.transitions is not None:
        section("Conversation: share of each class after a class (row), and in general")
        names = [*inspection.labels, "in general"]
        shares = [*inspection.transitions["following"], inspection.transitions["frequencies"]]
        table = [[name, *(f"{value:.0%}" for value in row)] for name, row in zip(names, shares, strict=True)]
        listed(["after", *inspection.labels], table, right=tuple(range(1, len(names))))
    section("Adapting to a voice")
    variation = inspection.speaker_variation
    if variation is not None:
        kinds = f"{variation['kinds']} in {len(inspection.labels)} classes"
        features = f"{variation['features']}, of the layer {variation['layer']}"
        pairs({"features": features, "kinds of speech": kinds})
    elif any(each["name"] == "embedding" for each in inspection.outputs):
        console.print(
            "  by the probabilities alone: the speakers of its training corpus are not known", highlight=False
        )
    else:
        console.print("  by the probabilities alone: convert it again for an embedding", highlight=False)
    section("Model card")
    for depth, line in _indented({name: value for name, value in inspection.card.items() if name != FLATBUFFER_SUM}):
        margin = " " * min(2 + 2 * depth, 40)
        for part in wrap(displayable(line), console.width, initial_indent=margin, subsequent_indent=margin + "  "):
            console.print(Text(part))


def runs_on(runtimes: Mapping[str, list[dict[str, Any]]]) -> str:
    """Return one line: the runtimes that can run the model, and the operators that the others lack."""
    compatible = [_RUNTIMES[name] for name, lacks in runtimes.items() if not lacks]
    if len(compatible) == len(runtimes):
        return " and ".join(compatible)
    lacking = "; ".join(
        ", ".join(f"{each['name']} version {each['version']}" for each in lacks)
        + f" ({_RUNTIMES[name]} supports {', '.join(str(each['newest'] or 'none') for each in lacks)})"
        for name, lacks in runtimes.items()
        if lacks
    )
    return f"{' and '.join(compatible)} only: {lacking}" if compatible else f"no supported runtime: {lacking}"


def _indented(table: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[int, str]]:
    """Yield the depth and the text of each line of nested tables and lists."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield depth, str(name)
            yield from _indented(value, depth + 1)
        elif isinstance(value, list) and value:
            yield depth, str(name)
            yield from _items(value, depth + 1)
        else:
            yield depth, f"{name}: {_plain(value)}"


def _items(values: list[Any], depth: int) -> Iterator[tuple[int, str]]:
    for value in values:
        if isinstance(value, Mapping) and value:
            lines = list(_indented(value))
            yield depth, f"- {lines[0][1]}"
            yield from ((depth + 1 + below, line) for below, line in lines[1:])
        elif isinstance(value, list):
            yield depth, f"- {', '.join(map(_plain, value))}"
        else:
            yield depth, f"- {_plain(value)}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == [] or value == {}:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _shares(total: int, stored: Mapping[str, int]) -> str:
    return "\n".join(f"{_size(size):>8} {name}" for name, size in [("total", total), *stored.items()])


def _size(size: int) -> str:
    for unit, scale in (("MB", 1_000_000), ("kB", 1000)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
