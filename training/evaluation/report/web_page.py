"""An evaluation as `report.html`: one page with its plots and images inside, which loads nothing but the recordings."""

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from device.system.display import displayable, displayable_lines
from training.data.reading.linked_files import is_image
from training.evaluation.evaluator import Evaluation
from training.evaluation.report.findings import (
    ABOUT_THRESHOLDS,
    ALL,
    THRESHOLD_HEADINGS,
    about_inputs,
    about_intervals,
    about_skipped,
    remarks,
)
from training.evaluation.report.predictions import ClipPrediction, relative_path, worst_errors
from training.evaluation.score_tables import SUMMARY, class_cells, summary_cells
from training.evaluation.thresholds import Thresholds, about_settings, cells, reasons
from training.images.examples import SILENCE

WORST = 50
"""Largest number of errors on the page, unless the caller sets another."""
_ALT_TEXTS = {
    "Confusion matrix": "Confusion matrix for each input; its counts are in the tables By class.",
    "Reliability": "Accuracy against the confidence of the predictions for each input, with the calibration error; "
    "the calibration error is in the table Metrics.",
    "Spectrograms and predictions": "Some spectrogram images with the predicted class, its probability and the true "
    "class; all predictions are in predictions.csv.",
    "Training curves": "Loss and score by epoch of the training.",
}
_NO_SCRIPTS = "script-src 'none'; object-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'"
"""The policy of the page: even if a name were not escaped, no browser would run it."""
_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --ink: #1f2328; --soft: #57606a; --line: #d0d7de; --bar: #3b6ea5;
  --track: #e6e9ec; --wrong: #a8201a; --box: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --back: #15181c; --ink: #e6e8ea; --soft: #a8b0b8; --line: #3d444d;
  --bar: #7db4f0; --track: #2d333b; --wrong: #ff9a91; --box: #1d2126; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
a { color: var(--bar); }
pre { background: var(--box); padding: .75rem; white-space: pre-wrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child, .facts td { text-align: left; }
.facts td { overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; background: #ffffff; border-radius: .25rem; }
article { display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: 0 1.25rem; margin: 1rem 0; padding: 1rem;
  border: 1px solid var(--line); border-radius: .5rem; break-inside: avoid; }
article h3 { grid-column: 1 / -1; margin: 0 0 .75rem; font-size: 1.1rem; }
article .image { width: 10rem; height: 10rem; image-rendering: pixelated; border: 1px solid var(--line); }
article audio { width: 100%; margin-top: .5rem; }
blockquote { margin: 0 0 .75rem; padding: .25rem .75rem; border-left: .25rem solid var(--line); }
.wrong { color: var(--wrong); }
.soft { color: var(--soft); font-size: .9rem; margin: .5rem 0; }
.probabilities { width: 100%; max-width: 36rem; }
.probabilities th { text-align: left; }
.probabilities td:last-child { width: 40%; vertical-align: middle; }
.bar { display: block; height: .7rem; background: var(--track); border-radius: .2rem; overflow: hidden; }
.bar span { display: block; height: 100%; background: var(--bar); }
@media (max-width: 36rem) { article { grid-template-columns: minmax(0, 1fr); } }
@media print { :root { color-scheme: light; --back: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb;
  --bar: #3b6ea5; --track: #e6e9ec; --wrong: #a8201a; --box: #f6f8fa; } body { max-width: none; padding: 0; }
  audio { display: none; } .bar span { print-color-adjust: exact; } figure { break-inside: avoid; } }
"""


def web_page(
    evaluation: Evaluation,
    predictions: Sequence[ClipPrediction],
    plots: Mapping[str, bytes],
    command: str,
    folder: Path,
    *,
    worst: int = WORST,
    thresholds: Thresholds | None = None,
) -> str:
    """Return the page: the summary with the plots, then the worst errors, each with a player for its recording.

    A player links to the recording relative to the folder, so that it plays as long as neither is moved alone.

    Args:
        evaluation: the results.
        predictions: the prediction of each clip.
        plots: content of the PNG file of each plot by its title.
        command: command line that repeats the evaluation.
        folder: folder that the page will be in.
        worst: largest number of errors to show.
        thresholds: recommended thresholds to include; None for none.
    """
    name = _shown(evaluation.model.name)
    parts = [
        f"<h1>Evaluation of <bdi>{name}</bdi></h1>",
        f"<pre><code>{_shown(command)}</code></pre>",
        _facts(evaluation),
        "<h2>Metrics</h2>",
        _table(
            "",
            ("input", "rows", *SUMMARY),
            [
                (_shown(query), str(result.scores.rows), *summary_cells(result.scores, result.resampled))
                for query, result in evaluation.results.items()
            ],
        ),
        *(f"<p>{_shown(line)}</p>" for line in (*remarks(evaluation), about_intervals(evaluation), about_inputs())),
    ]
    if thresholds is not None:
        parts += _thresholds(thresholds)
    for title, content in plots.items():
        image = f'<img src="{_data_url(content)}" alt="{_shown(_ALT_TEXTS.get(title, title))}">'
        parts.append(f"<h2>{_shown(title)}</h2>\n<figure>{image}</figure>")
    parts += [_by_class(evaluation), _errors(evaluation, predictions, folder, worst)]
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="{_NO_SCRIPTS}">
<title>Evaluation of {name}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def recording_url(recording: Path, folder: Path) -> str:
    """Return the relative URL of a recording: every byte of its name that has a meaning in a URL is escaped."""
    return quote(os.fsencode(relative_path(recording, folder)))


def _facts(evaluation: Evaluation) -> str:
    rows = [
        ("model", f"<bdi>{_shown(evaluation.model.name)}</bdi>, SHA-256 {evaluation.predictor.sha256}"),
        ("runtime", _shown(evaluation.predictor.runtime)),
        ("table", f"<bdi>{_shown(evaluation.table.name)}</bdi>, split {evaluation.settings.split}"),
        ("clips", str(len(evaluation.data.clips))),
        ("skipped", about_skipped(evaluation)),
        ("missing", f"{len(evaluation.missing)} recordings" if evaluation.missing else "none"),
    ]
    lines = "\n".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f'<div class="wide" tabindex="0"><table class="facts">\n{lines}\n</table></div>'


def _thresholds(thresholds: Thresholds) -> list[str]:
    def name(label: str | None) -> str:
        return ALL if label is None else f"<bdi>{_shown(label)}</bdi>"

    rows = [(name(label), *values) for label, *values in cells(thresholds)]
    return [
        f"<h2>Confidence for a precision of {thresholds.wanted:g}, {_shown(thresholds.query)}</h2>",
        _table("", ("class", *THRESHOLD_HEADINGS[1:]), rows),
        *(f"<p>{name(label)}: {_shown(reason)}.</p>" for label, reason in reasons(thresholds)),
        f"<p>{_shown(ABOUT_THRESHOLDS)}</p>",
        *(
            [f"<p>{about_settings(thresholds)}</p>", f"<pre><code>{_lines(thresholds.toml)}</code></pre>"]
            if thresholds.toml
            else []
        ),
    ]


def _by_class(evaluation: Evaluation) -> str:
    labels = [f"<bdi>{_shown(label)}</bdi>" for label in evaluation.labels]
    parts = ["<h2>By class</h2>"]
    for name, result in evaluation.results.items():
        metrics = zip(labels, class_cells(result.scores, result.resampled), strict=True)
        counts = zip(labels, result.scores.confusion.tolist(), strict=True)
        heading = _shown(f"{name[:1].upper()}{name[1:]}")
        rows = [(label, *cells) for label, cells in metrics]
        parts += [
            f"<details><summary>{heading}</summary>",
            _table(heading, ("class", "precision", "recall", "F1", "rows"), rows),
            _table(
                "Rows are the true class, columns the predicted class",
                ("true", *labels),
                [(label, *map(str, row)) for label, row in counts],
            ),
            "</details>",
        ]
    return "\n".join(parts)


def _errors(evaluation: Evaluation, predictions: Sequence[ClipPrediction], folder: Path, limit: int) -> str:
    shown = worst_errors(predictions, limit)
    wrong = sum(each.is_wrong for each in predictions)
    done = sum(each.probabilities is not None for each in predictions)
    about = f"{wrong} of {done} predictions are wrong."
    if shown:
        about += (
            f" Here are the {len(shown)} whose wrong class has the highest probability."
            if len(shown) < wrong
            else " The one whose wrong class has the highest probability comes first."
        )
        about += " A player works as long as recordings and report are where they were; no recording is copied."
    articles = [_error(number, each, evaluation, folder) for number, each in enumerate(shown, start=1)]
    return "\n".join(["<h2>Worst errors</h2>", f"<p>{about}</p>", *articles])


def _error(number: int, error: ClipPrediction, evaluation: Evaluation, folder: Path) -> str:
    labels, clip = evaluation.labels, error.clip
    assert error.probabilities is not None  # noqa: S101  # an error has a prediction; for the type checker
    predicted = int(error.probabilities.argmax())
    left = []
    if error.image != SILENCE:
        image = _data_url(_png(evaluation.examples.images[error.image]))
        left.append(
            f'<img class="image" src="{image}" alt="Spectrogram image of error {number}" width="160" height="160">'
        )
    if clip.audio is not None and not is_image(clip.audio):
        url = html.escape(recording_url(clip.audio, folder))
        left.append(f'<audio controls preload="none" src="{url}" aria-label="Recording of error {number}"></audio>')
    if not left:
        left.append('<p class="soft">no audio</p>')
    origin = {
        "recording": "" if clip.audio is None else relative_path(clip.audio, folder),
        "speaker": clip.speaker,
        "dialogue": clip.dialogue,
        "ID": clip.id,
    }
    named = ", ".join(f"{name} <bdi>{_shown(value)}</bdi>" for name, value in origin.items() if value)
    words = (
        f'<blockquote dir="auto" lang="">{_lines(clip.text)}</blockquote>'
        if clip.text
        else '<p class="soft">no text</p>'
    )
    if clip.transcript is not None and clip.transcript != clip.text:
        words += f'\n<p class="soft">Vosk: <bdi lang="">{_shown(clip.transcript) or "(no words)"}</bdi></p>'
    single = [
        f"{name}: <bdi>{_shown(labels[int(each.argmax())])}</bdi> {each.max():.0%}"
        for name, each in (("audio only", error.audio_only), ("text only", error.text_only))
        if each is not None
    ]
    return "\n".join(
        [
            f'<article id="error-{number}" aria-labelledby="heading-{number}">',
            f'<h3 id="heading-{number}">{number}. <span class="wrong"><bdi>{_shown(labels[predicted])}</bdi> '
            f"{error.confidence:.0%}</span>, true: <bdi>{_shown(labels[error.label])}</bdi></h3>",
            f"<div>{''.join(left)}</div>",
            f"<div>{words}",
            _probabilities(error, labels, predicted),
            f"<p>{'; '.join(single)}</p>" if single else "",
            f'<p class="soft">{named}</p>' if named else "",
            "</div>\n</article>",
        ]
    )


def _probabilities(error: ClipPrediction, labels: Sequence[str], predicted: int) -> str:
    assert error.probabilities is not None  # noqa: S101  # an error has a prediction; for the type checker
    rows = []
    for place, (label, share) in enumerate(zip(labels, error.probabilities.tolist(), strict=True)):
        remark = " (predicted)" if place == predicted else " (true)" if place == error.label else ""
        bar = f'<span class="bar" aria-hidden="true"><span style="width: {share:.1%}"></span></span>'
        rows.append(
            f'<tr><th scope="row"><bdi>{_shown(label)}</bdi>{remark}</th><td>{share:.1%}</td><td>{bar}</td></tr>'
        )
    heading = '<thead><tr><th scope="col">class</th><th scope="col">probability</th><td></td></tr></thead>'
    return f'<table class="probabilities">{heading}\n<tbody>' + "\n".join(rows) + "</tbody></table>"


def _table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; all cells are HTML."""
    above = f"<caption>{caption}</caption>" if caption else ""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in headings)
    lines = [
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    ]
    body = "<tbody>\n" + "\n".join(lines) + "\n</tbody>"
    return f'<div class="wide" tabindex="0"><table>{above}<thead><tr>{head}</tr></thead>\n{body}</table></div>'


def _shown(text: str) -> str:
    """Return a text from elsewhere as HTML, on one line, also for the value of an attribute."""
    return html.escape(displayable(text))


def _lines(text: str) -> str:
    return html.escape(displayable_lines(text)).replace("\n", "<br>")


def _png(image: NDArray[np.float32]) -> bytes:
    """Return a spectrogram image, shape (height, width, 3), 0 to 1, as the content of a PNG file."""
    content = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(content, "PNG", optimize=True)
    return content.getvalue()


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
