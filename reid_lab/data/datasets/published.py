"""What the published data sets hold, and whether a copy of one is full, partial or altered.

Market-1501: Zheng et al., ICCV 2015. DukeMTMC-reID: Zheng, Zheng and Yang, ICCV 2017; withdrawn by its
authors in 2019, so the loader only serves people who hold a copy lawfully, and nothing downloads it.
MSMT17: Wei, Zhang, Gao and Tian, CVPR 2018. Counts as in the papers and in the folders themselves.
"""

from collections.abc import Mapping, Sequence

from reid_lab.data.finding import Finding
from reid_lab.data.records import DISTRACTOR, JUNK, Record, Splits

# (images without junk, identities) of each split
COUNTS: dict[str, dict[str, tuple[int, int]]] = {
    "Market-1501": {"train": (12_936, 751), "query": (3_368, 750), "gallery": (15_913, 750)},
    "DukeMTMC-reID": {"train": (16_522, 702), "query": (2_228, 702), "gallery": (17_661, 1_110)},
    "MSMT17": {"train": (32_621, 1_041), "query": (11_659, 3_060), "gallery": (82_161, 3_060)},
}
SUFFIX = ".jpg"  # all three were published as JPEG


def verdict(
    name: str,
    splits: Splits,
    expected: Mapping[str, tuple[int, int]] | None = None,
) -> Finding:
    """Find out whether a copy is full, partial or altered.

    Args:
        name: The data set, a key of ``COUNTS``.
        splits: The records of the copy.
        expected: (images, identities) of each split; None: the published ones.
    """
    expected = COUNTS[name] if expected is None else expected
    found = {split: _count(records) for split, records in splits.items()}
    differences = [
        f"{split} {_say(found[split])} instead of {_say(expected[split])}"
        for split in expected
        if found[split] != expected[split]
    ]
    suffixes = {record.path.suffix.lower() for records in splits.values() for record in records}
    if not differences and suffixes == {SUFFIX}:
        counts = ", ".join(f"{split} {_say(expected[split])}" for split in expected)
        return Finding("note", f"This is a full copy of {name}: {counts}.", "copy")
    if not differences:
        others = ", ".join(sorted(suffixes - {SUFFIX}))
        return Finding(
            "warning",
            f"This is an altered copy of {name}: every count is right, but files end in {others} instead of "
            f"{SUFFIX}, so they were saved again and may differ: use the original files to compare "
            "with published numbers.",
            "copy",
        )
    less = all(mine <= theirs for split in expected for mine, theirs in zip(found[split], expected[split], strict=True))
    kind = "a partial copy" if less else "an altered copy"
    return Finding(
        "warning",
        f"This is {kind} of {name}, or a data set of your own in its layout: {'; '.join(differences)}. "
        "Its scores cannot be compared with published ones: unpack the original archive again for those.",
        "copy",
    )


def _count(records: Sequence[Record]) -> tuple[int, int]:
    people = {record.pid for record in records} - {JUNK, DISTRACTOR}
    return sum(record.pid != JUNK for record in records), len(people)


def _say(count: tuple[int, int]) -> str:
    return f"{count[0]:,} images of {count[1]:,} identities"
