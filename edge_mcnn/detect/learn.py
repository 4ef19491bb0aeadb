"""`edge-mcnn learn`. From Python: `device.learning.learner.Learner`."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device.errors import AudioError, RecordingError
from device.system.display import counted, displayable, shell_quoted, shortened
from edge_mcnn.guided_session import has_keyboard, run_session
from edge_mcnn.options import (
    Config,
    Json,
    Microphone,
    Model,
    limit_arithmetic_threads,
    load_settings,
    require_memory_for_speech,
)
from edge_mcnn.output import out
from edge_mcnn.paths import input_file, input_path, output_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from device.adaptation.profile import Example, Profile
    from device.bundle import Bundle
    from device.learning.gain import Gain
    from device.learning.learner import Learner, Use
    from device.recognition.classifier import Classifier
    from device.settings.schema import Settings

_CLIPS = 3


def learn_command(
    recordings: Annotated[
        Path | None,
        typer.Argument(
            metavar="TABLE.csv|FOLDER",
            parser=input_path("give a CSV table, a folder with clips.csv, or a folder with a folder per class"),
            help="Learn from these recordings instead of the microphone: a CSV table with the columns audio and label, "
            "as `edge-mcnn record` writes it; a folder that contains such a table, clips.csv; or a folder that "
            "contains one folder of recordings per class.",
            show_default=False,
        ),
    ] = None,
    clips: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Number of sentences to speak for each class.", show_default=str(_CLIPS)),
    ] = None,
    microphone: Microphone = None,
    status: Annotated[
        bool, typer.Option("--status", help="Show what the voice profile contains, whether it is used, and its gain.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Remove examples: with --last N, --class NAME or --all. Nothing is confirmed."),
    ] = False,
    last: Annotated[
        str | None,
        typer.Option(
            "--last",
            metavar="CLASS|N",
            help="Correct the last prediction of the running service, or of your own `listen`: it should have been "
            "CLASS. With --forget: the last N examples.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="With --forget: all examples of a class.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="With --forget: the complete voice profile.")] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", parser=output_file(), help="Write a copy of the voice profile to this file."
        ),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            parser=input_file("name a voice profile that `edge-mcnn learn` wrote"),
            help="Add the examples of another voice profile of the same model, or of another conversion of it.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            parser=output_file(),
            help="Use this file as the voice profile. Default: that of `edge-mcnn listen` of this user; for root, "
            "where the service is installed, that of the service.",
        ),
    ] = None,
    json: Json = False,
    model: Model = None,
    config: Config = None,
) -> None:
    """Adapt the predictions to your voice.

    Speak a few sentences for each class as you would in that mood, then pause. After each one you see what the model
    predicts: press Enter to accept the sentence as an example, r to repeat it, n to go to the next class, or q to
    quit. At the end a table shows how many of your examples are predicted right without and with adaptation; each is
    predicted from the others. Examples that do not help are stored, but not used until others show a gain. If standard
    input is not a terminal, every sentence is accepted and the result is used.

    Was a prediction of the running device wrong? `edge-mcnn learn --last negative` corrects the last one, and the next
    one is adapted already. In the terminal of `edge-mcnn listen` the number of the class does the same.

    **Audio stays in memory and is never written to the disk.** The voice profile contains a few numbers for each
    example, its class and the day, and only its owner can read it.

    For example:

        edge-mcnn learn
        edge-mcnn learn --clips 5 --model emotions
        edge-mcnn learn my-voice/clips.csv
        edge-mcnn learn --last negative
        edge-mcnn learn --status
        edge-mcnn learn --forget --last 1
        edge-mcnn learn --forget --all
        edge-mcnn learn --export voice.json
        sudo edge-mcnn learn --import voice.json
    """
    tasks = {
        "the recordings": recordings is not None, "--status": status, "--forget": forget,
        "--export": export is not None, "--import": import_ is not None,
        "--last CLASS": last is not None and not forget,
    }  # fmt: skip
    chosen = [name for name, is_chosen in tasks.items() if is_chosen]
    if len(chosen) > 1:
        raise typer.BadParameter(f"{' and '.join(chosen)} exclude each other: give one of them")
    number = _check_forget(forget=forget, last=last, label=label, every=every)
    for option, value in (("--clips", clips), ("--microphone", microphone)):
        if chosen and value is not None:
            raise typer.BadParameter(f"{option} is for a session with the microphone, not for {chosen[0]}: omit it")

    limit_arithmetic_threads()
    if last is not None and not forget:
        for option, given in (("--output", output), ("--model", model), ("--config", config)):
            if given is not None:
                raise typer.BadParameter(f"{option} has no effect on a running daemon, which --last corrects: omit it")
        _correct(last, json=json)
        return
    if not chosen or recordings is not None:
        require_memory_for_speech()
    settings, path = _settings_and_profile(output, config, model, microphone)
    if forget:
        _forget(path, number, label, json=json)
    elif export is not None:
        _export(path, export, json=json)
    elif status:
        _status(settings, path, json=json)
    elif import_ is not None:
        _import(settings, path, import_, json=json)
    elif recordings is not None:
        _learn_from_recordings(settings, path, recordings, json=json)
    else:
        _learn_from_microphone(settings, path, clips or _CLIPS, json=json)


def _check_forget(*, forget: bool, last: str | None, label: str | None, every: bool) -> int | None:
    """Check the options of --forget, and return the number of --last."""
    selected = {"--last N": last is not None and forget, "--class NAME": label is not None, "--all": every}
    chosen = [name for name, is_chosen in selected.items() if is_chosen]
    if not forget and chosen:
        raise typer.BadParameter(f"{chosen[0]} is for --forget: add it")
    if forget and len(chosen) != 1:
        reason = f"{' and '.join(chosen)} exclude each other" if chosen else "it is not clear what to forget"
        raise typer.BadParameter(f"{reason}: give --forget with one of {', '.join(selected)}")
    if last is None or not forget:
        return None
    if not (last.isascii() and last.isdigit() and int(last) > 0):
        raise typer.BadParameter(f"--last needs a positive number of examples with --forget, not {shortened(last)}")
    return int(last)


def _settings_and_profile(
    output: Path | None, config: Path | None, model: Path | None, microphone: str | None
) -> "tuple[Settings, Path]":
    """Return the settings and the path of the profile: for root those of the service, unless a file is named."""
    from device.learning.learner import chosen_profile_path, learns_for_service
    from device.service.install import CONFIG

    of_service = output is None and config is None and learns_for_service()
    if of_service and CONFIG.exists():
        out.announce(f"for the service, with its settings {CONFIG}")
        config = CONFIG
    settings = load_settings(config, model=model, microphone=microphone)
    return settings, output or chosen_profile_path(settings, of_service=of_service)


def _correct(label: str, *, json: bool) -> None:
    from dataclasses import asdict

    from device.daemon.control import correct_last
    from device.outputs.corrections import outcome

    learnt = correct_last(label)
    if json:
        out.json({"label": label, **asdict(learnt)})
    else:
        out.line(outcome(label, learnt))


def _open_model(settings: "Settings") -> "tuple[Bundle, Classifier]":
    from device.loading import open_bundle
    from device.recognition.classifier import Classifier

    bundle = open_bundle(settings)
    return bundle, Classifier(bundle, runtime=settings.classifier.runtime, threads=settings.classifier.threads)


def _learn_from_microphone(settings: "Settings", path: Path, clips: int, *, json: bool) -> None:
    from device.learning.example_collection import ExampleCollection
    from device.learning.learner import Learner
    from device.loading import load_transcriber
    from device.recorder.ui import RecorderDisplay
    from device.system.streams.stderr import silence_c_libraries

    bundle, network = _open_model(settings)
    learner = Learner(bundle, network, path, repeats=False)
    _announce_remarks(learner)
    if not logging.getLogger().isEnabledFor(logging.INFO):
        silence_c_libraries()
    console = _console(json=json)
    display = RecorderDisplay(console)
    display.print(
        f"Your audio stays in memory and is never written to disk; {path} gets a few numbers for each example.",
        "bold yellow",
    )
    if has_keyboard():
        display.print("After each sentence: Enter accepts it, r repeats it, n goes to the next class, q quits.")
    transcriber = load_transcriber(settings, out.announce)
    collection = ExampleCollection(learner.classifier, bundle.companions, clips)
    fault = run_session(settings, collection, transcriber, display)
    if collection.examples:
        _conclude(learner, collection.examples, console, json=json)
    elif fault is None:
        out.announce("nothing was accepted, so nothing was learnt")
    if fault is not None:
        fault.exit()


def _learn_from_recordings(settings: "Settings", path: Path, source: Path, *, json: bool) -> None:
    from rich.progress import Progress

    from device.learning.learner import Learner
    from device.learning.recordings import as_learnt, examples_of, find_recordings
    from device.loading import LoadedModels, load_transcriber

    bundle, network = _open_model(settings)
    found = find_recordings(source, bundle.companions.labels)
    learner = Learner(bundle, network, path, repeats=True)
    _announce_remarks(learner)
    for remark in found.remarks:
        out.announce(f"{source}: {remark}")
    transcriber = load_transcriber(settings, out.announce)
    models = LoadedModels(as_learnt(settings), bundle.companions, transcriber, network, learner.classifier)
    examples: list[Example] = []
    skipped: list[AudioError] = []
    with Progress(console=out.progress_console()) as progress:
        for recording in progress.track(found.recordings, description="learning from recordings"):
            try:
                examples += examples_of(models, recording)
            except AudioError as error:
                skipped.append(error)
                progress.console.print(f"skipped: {error.message}", soft_wrap=True)
    if not examples:
        raise RecordingError(
            f"{displayable(source)}: none of its {len(found.recordings)} recordings can be learnt from",
            fix="the lines above name the reasons",
        )
    _conclude(
        learner, examples, _console(json=json), json=json,
        more={"recordings": len(found.recordings), "skipped": len(skipped)},
    )  # fmt: skip


def _import(settings: "Settings", path: Path, source: Path, *, json: bool) -> None:
    from device.learning.learner import Learner

    learner = Learner(*_open_model(settings), path, repeats=True)
    _announce_remarks(learner)
    examples = learner.examples_of(source)
    outcome = learner.outcome(examples)
    gain = learner.learn(examples)
    if not json:
        known = len(examples) - outcome.added
        note = f", which had {known} of them before" if known else ""
        out.line(f"added {counted(outcome.added, 'example')} to {path}{note}")
    _print_result(learner, gain, outcome.added, json=json)


def _conclude(
    learner: "Learner",
    examples: "Sequence[Example]",
    console: "Console",
    *,
    json: bool,
    more: dict[str, Any] | None = None,
) -> None:
    """Print what examples gain, and learn them unless the user declines."""
    outcome = learner.outcome(examples)
    if outcome.gain is not None:
        console.print(gain_table(outcome.gain))
    console.print(verdict(outcome.gain), soft_wrap=True)
    verb = "Use" if outcome.gain is not None and outcome.gain.helps else "Store"
    if has_keyboard() and not out.confirm(f"{verb} {counted(len(examples), 'example')}?"):
        out.announce(f"discarded; {learner.path} is unchanged")
        return
    gain = learner.learn(examples)
    if not json and outcome.added < len(examples):
        known = len(examples) - outcome.added
        out.line(f"{known} of {counted(len(examples), 'example')} had been learnt before; each counts once")
    _print_result(learner, gain, outcome.added, json=json, more=more)


def _print_result(
    learner: "Learner", gain: "Gain | None", added: int, *, json: bool, more: dict[str, Any] | None = None
) -> None:
    """Print what the profile is after a change."""
    from device.learning.learner import Use

    profile = learner.classifier.profile
    use = Use(None, gain)
    if json:
        out.json({**_contents(learner.path, profile), **_as_json(use), "added": added, **(more or {})})
    else:
        state = "predictions are adapted to them" if use.used else "they do not change predictions yet"
        out.line(f"wrote {learner.path}: {counted(len(profile.examples), 'example')}, {state}")
    _hint_at_service(learner.path)


def _forget(path: Path, last: int | None, label: str | None, *, json: bool) -> None:
    from device.adaptation.profile import read_profile
    from device.learning.learner import forget, forget_all

    if not os.path.lexists(path):
        out.announce(f"{path}: there is no voice profile, so there is nothing to forget")
        if json:
            out.json(_contents(path, None))
        return
    if last is None and label is None:
        forget_all(path)
        profile = None
    else:
        before = len(read_profile(path).examples)
        profile = forget(path, last=last, label=label)
        if not json:
            out.line(f"removed {counted(before - len(profile.examples), 'example')}")
    if json:
        out.json(_contents(path, profile))
    elif profile is None or not profile.examples:
        out.line(f"nothing is left: {path} was removed")
    else:
        out.line(f"left in {path}: {_counts(profile)}")
    _hint_at_service(path)


def _export(path: Path, copy: Path, *, json: bool) -> None:
    from device.learning.learner import export

    profile = export(path, copy)
    if json:
        out.json({**_contents(path, profile), "copy": str(copy)})
    else:
        out.line(f"wrote {copy}: {counted(len(profile.examples), 'example')} of {path}")


def _status(settings: "Settings", path: Path, *, json: bool) -> None:
    from device.adaptation.profile import read_profile
    from device.learning.learner import Use, use

    profile, found = None, Use(None, None)
    if os.path.lexists(path):
        profile = read_profile(path)
        found = use(profile, path, *_open_model(settings))
    if json:
        out.json({**_contents(path, profile), **_as_json(found)})
        return
    if profile is None:
        out.line(f"no voice profile: {path} does not exist; to learn one, run: edge-mcnn learn")
        return
    console = out.console()
    console.print(status_table(path, profile, found))
    if found.gain is not None:
        console.print()
        console.print(gain_table(found.gain))


def status_table(path: Path, profile: "Profile", use: "Use") -> "Table":
    """Return what a profile contains, and whether it is used, as a table with a name and a value per row."""
    from rich.table import Table

    from device.learning.learner import days, sources

    if use.refusal is not None:
        used = f"no: {use.refusal.message}; {use.refusal.fix}"
    else:
        used = f"{'yes' if use.used else 'no'}: {verdict(use.gain)}"
    first_last = days(profile)
    rows = {
        "voice profile": displayable(path),
        "model": displayable(profile.identity.model),
        "examples": _counts(profile),
        "sources": ", ".join(f"{count} {source}" for source, count in sources(profile).items()) or "-",
        "days": "-" if first_last is None else " to ".join(dict.fromkeys(first_last)),
        "used": used,
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def gain_table(gain: "Gain") -> "Table":
    """Return how many examples of each class are predicted right without and with adaptation."""
    from rich.table import Table

    table = Table("class", box=None)
    for name in ("examples", "right without adaptation", "right with adaptation"):
        table.add_column(name, justify="right")
    for label, count in [*gain.classes.items(), ("all", gain.total)]:
        table.add_row(displayable(label), *map(str, (count.examples, count.right, count.right_adapted)))
    return table


def verdict(gain: "Gain | None") -> str:
    """Return in a sentence whether examples help."""
    if gain is None:
        return "fewer than two examples show no gain, so predictions stay as they are"
    total = gain.total
    numbers = (
        f"{total.right_adapted} of {total.examples} are predicted right with adaptation, {total.right} without it; the "
        f"right class has a probability of {gain.probability_adapted:.0%} instead of {gain.probability:.0%} (geometric "
        "mean)"
    )
    if gain.helps:
        return f"the examples help: {numbers}"
    return f"the examples do not help, so predictions stay as they are until more examples do: {numbers}"


def _console(*, json: bool) -> "Console":
    """Return the console of a session: standard output, unless that is for JSON only."""
    return out.progress_console() if json else out.console(highlight=False)


def _announce_remarks(learner: "Learner") -> None:
    for remark in learner.remarks:
        out.announce(remark)


def _hint_at_service(path: Path) -> None:
    from device.learning.learner import service_is_installed

    if os.geteuid() != 0 and service_is_installed() and path.exists():
        out.announce(
            "the service has a voice profile of its own; to give it this one, run: sudo edge-mcnn learn --import "
            f"{shell_quoted(path.absolute())}"
        )


def _counts(profile: "Profile") -> str:
    counts = ", ".join(f"{count} {displayable(label)}" for label, count in profile.counts().items())
    return f"{len(profile.examples)} ({counts})"


def _contents(path: Path, profile: "Profile | None") -> dict[str, Any]:
    """Return what a profile contains, for JSON."""
    from device.learning.learner import days, sources

    first, last = (profile and days(profile)) or (None, None)
    return {
        "profile": str(path),
        "model": None if profile is None else profile.identity.model,
        "examples": 0 if profile is None else len(profile.examples),
        "classes": {} if profile is None else profile.counts(),
        "sources": {} if profile is None else sources(profile),
        "first_day": first,
        "last_day": last,
    }


def _as_json(use: "Use") -> dict[str, Any]:
    """Return whether a profile is used, and what it gains, for JSON."""
    from dataclasses import asdict

    refusal = None if use.refusal is None else {"message": use.refusal.message, "fix": use.refusal.fix}
    return {"used": use.used, "problem": refusal, "gain": None if use.gain is None else asdict(use.gain)}
