"""The errors users meet: each names the thing that is wrong and the remedy."""

from __future__ import annotations

import warnings


class VideoInpaintError(Exception):
    """Base of every error this package raises on purpose. Its text is one line, whatever it quotes."""

    def __str__(self) -> str:
        return " ".join(str(self.args[0]).split()) if self.args else ""


class InputError(VideoInpaintError, ValueError):
    """A clip, mask, action or argument cannot be used; the message names it and says what would be accepted."""


class UnexpectedArgumentError(InputError, TypeError):
    """A keyword argument that is not taken; the message lists those that are."""


class InputWarning(UserWarning):
    """Work goes on, but not all of the input is used or kept as it was; the message names it.

    The command line prints it as one line.
    """


def warn(message: str) -> None:
    """Give an `InputWarning`, at the place that called the package's function which calls this."""
    warnings.warn(message, InputWarning, stacklevel=3)


class DivergedError(InputError):
    """Training came to values that are not finite; the message names the last good checkpoint."""


class UnknownNameError(VideoInpaintError, KeyError):
    """A name that no registry knows; the message lists the names that exist."""


class MissingWeightsError(VideoInpaintError, FileNotFoundError):
    """A weight file is absent; the message names the command that fetches it."""


class CorruptWeightsError(VideoInpaintError, ValueError):
    """A weight file does not hold what its registry entry promises (hash, names or shapes)."""


class MissingPackageError(InputError, ImportError):
    """A package that only an extra installs is absent; the message names the package and the extra."""


class PluginError(VideoInpaintError, RuntimeError):
    """A part of the user's own failed (imported, built, or at work); the message names it, the cause is chained."""
