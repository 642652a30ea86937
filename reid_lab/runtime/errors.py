"""Errors a user can act on. Each message is a sentence that names the thing, the place and the cure.

The command line prints them without a traceback; everything else that is raised is a bug of ours.
"""


class ReidLabError(Exception):
    """Base of every error that the user, not the package, can mend."""


class DataError(ReidLabError):
    """A data folder, an image or a list of records is not what it should be."""


class NoMatchError(DataError):
    """No element of a benchmark has a counterpart that it could be compared with."""


class RecipeError(ReidLabError):
    """A recipe has an unknown field or a value that cannot work."""


class CheckpointError(ReidLabError):
    """A run folder or a file of weights is damaged, foreign or cannot be written."""


class DeviceError(ReidLabError):
    """A device was asked for that this machine does not have."""


class WeightsError(ReidLabError):
    """Pre-trained weights could not be had, or belong to another architecture."""


class FeatureError(ReidLabError):
    """Features cannot be compared: wrong shape, wrong type, or not finite."""


class TrainingError(ReidLabError):
    """Training cannot go on: a loss is not finite, or the features have collapsed."""


class WorkerError(ReidLabError):
    """A worker process of a pool ended early."""


class CourseError(ReidLabError):
    """A notebook asks for what does not exist: an exercise, a figure, an answer to choose from."""
