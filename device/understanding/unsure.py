"""What is shown of an answer that is less probable than the settings ask for."""

from collections.abc import Sequence

from device.errors import SettingsError
from device.settings import ClassifierSettings

NEUTRAL = "neutral"


def shown_instead(settings: ClassifierSettings, labels: Sequence[str]) -> str | None:
    """The class that is shown of an unsure answer; None for none.

    Args:
        settings: whether there are unsure answers, and what is shown of them.
        labels: classes of the model.

    Raises:
        SettingsError: it is to be a class that the model does not have.
    """
    if settings.confidence == 0 or settings.unsure == "dark":
        return None
    if NEUTRAL not in labels:
        raise SettingsError(
            f'classifier.unsure is "neutral", and the model has no such class (it has {", ".join(labels)}); '
            'write unsure = "dark" under [classifier]'
        )
    return NEUTRAL
