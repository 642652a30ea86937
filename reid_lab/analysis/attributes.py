"""How well a network tells attributes, beside what a guess gives that looks at no image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from reid_lab.data import Benchmark, Record, image_store, normalize
from reid_lab.data.attributes import UNKNOWN, attributes, vocabulary
from reid_lab.methods import Attributes
from reid_lab.models.network import evaluating
from reid_lab.runtime.device import exact_float32


def accuracy(model: Attributes, benchmark: Benchmark, visible: bool = False, batch_size: int = 64) -> pd.DataFrame:
    """Tabulate how often each attribute of a test image is told rightly. No one in these images was trained on.

    Args:
        model: The trained network, which stays where it is.
        benchmark: Its query and gallery images are looked at, its training images are counted.
        visible: Leave out images that cannot show the attribute (see :func:`reid_lab.data.attributes.attributes`).
        batch_size: Images at a time.

    Returns:
        One row for each attribute, in percent: "accuracy"; "majority", the accuracy of always guessing the training
        images' most frequent class; "balanced", the mean over the classes of how often each is told rightly, for which
        such a guess gives 100 / classes. ``images`` are those whose attribute is known, ``classes`` those among them.

    Raises:
        DataError: The benchmark has no attributes.
    """
    records = [*benchmark.query, *benchmark.gallery]
    name = model.recipe.attributes
    common = [_most_frequent(true) for true in attributes(benchmark, benchmark.train, name, visible).T]
    truth = attributes(benchmark, records, name, visible)
    told = predictions(model, records, batch_size)
    rows = {
        attribute: _row(truth[:, column], told[:, column], common[column])
        for column, attribute in enumerate(vocabulary(name))
    }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"images": int, "classes": int}).rename_axis("attribute")


def predictions(model: Attributes, records: list[Record], batch_size: int = 64) -> np.ndarray:
    """Find the class of each attribute that the network takes for the likeliest: int64 (N, M)."""
    device = next(model.parameters()).device
    store, found = image_store(records, model.input_size, device), []
    with evaluating(model), torch.inference_mode(), exact_float32():
        for indices in torch.arange(len(store)).split(batch_size):
            logits = model.attribute_logits(normalize(store.batch(indices)))
            found.append(torch.stack([some.argmax(dim=1) for some in logits], dim=1))
    return torch.cat(found).cpu().numpy()


def _most_frequent(labels: np.ndarray) -> int:
    """The most frequent class; 0 where no label is known."""
    known = labels[labels != UNKNOWN]
    return int(np.bincount(known).argmax()) if len(known) else 0


def _row(true: np.ndarray, told: np.ndarray, common: int) -> dict[str, float]:
    known = true != UNKNOWN
    true, told = true[known], told[known]
    recalls = [np.mean(told[true == label] == label) for label in np.unique(true)]
    shares = {"accuracy": true == told, "majority": true == common, "balanced": np.array(recalls)}
    means = {name: 100 * float(np.mean(share)) if len(share) else np.nan for name, share in shares.items()}
    return {"classes": len(recalls), "images": len(true), **means}
