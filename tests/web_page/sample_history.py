"""A history with plausible days: quiet nights, talk at meals, and a warm afternoon."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from device.history.store import History
from tests.web_page.scripted_daemon import LABELS, Event, health, prediction

_TALKATIVE = {7: 2, 8: 4, 9: 1, 12: 4, 13: 3, 16: 1, 17: 2, 18: 5, 19: 6, 20: 4, 21: 2}
"""Mean number of predictions in an hour."""
_WORDS = {
    "negative": ("no i hate this", "i am late again", "the train was cancelled once more", "it is broken"),
    "neutral": (
        "could you pass me the butter",
        "we should call them tomorrow",
        "where did you put the keys",
        "at half past",
    ),
    "positive": (
        "good morning did you sleep well",
        "oh that is wonderful",
        "thank you so much",
        "what a lovely evening",
    ),
}


def fill(path: Path, now: datetime, days: int, labels: Sequence[str] = LABELS) -> list[Event]:
    """Store predictions of the last days, and the health of the last one; return those of today, the latest last."""
    rng = random.Random(1)
    clock = [now]
    today: list[Event] = []
    with History(path, keep_days=366, max_mb=200, words=True, clock=lambda: clock[0]) as history:
        times = sorted(
            now.replace(hour=hour, minute=0, second=0) - timedelta(days=day) + timedelta(seconds=rng.uniform(0, 3599))
            for day in range(days)
            for hour, mean in _TALKATIVE.items()
            for _ in range(rng.randrange(mean, 3 * mean + 1))
        )
        for number, time in enumerate((each for each in times if each < now), 1):
            label = rng.choices(labels, [3 if time.hour > 16 else 1, 5, 3, 2, 2, 1, 1][: len(labels)])[0]
            event = _prediction(rng, number, label, time, labels)
            history.add(event, "b" * 32)
            if number % 17 == 0:
                history.correct(event["daemon"], number, labels[number % len(labels)])
            if time.date() == now.date():
                today.append(event)
        for minute in range(24 * 60, 0, -5):
            clock[0] = now - timedelta(minutes=minute)
            warm = 9 if 13 <= clock[0].hour < 17 else 0
            history.add_health(
                health(
                    temperature_c=47 + warm + rng.uniform(-1, 1), memory_mb=228 + rng.uniform(0, 3),
                    low_voltage=clock[0].hour == 15 and clock[0].minute < 20,
                )
            )  # fmt: skip
    return today


def _prediction(rng: random.Random, number: int, label: str, time: datetime, labels: Sequence[str]) -> Event:
    share = rng.uniform(0.42, 0.96)
    by_words = rng.choice(labels) if rng.random() < 0.4 else label
    others = {each: rng.uniform(0, 1) for each in labels if each != by_words}
    scale = 0.4 / sum(others.values())
    text_only = {"label": by_words, "probabilities": {by_words: 0.6, **{k: v * scale for k, v in others.items()}}}
    confident = share > 0.5
    return prediction(
        number, label, time, share, labels=labels, confident=confident, light=label if confident else None,
        seconds=round(rng.uniform(0.9, 4), 2), text=rng.choice(_WORDS.get(label, (label,))), text_only=text_only,
    )  # fmt: skip
