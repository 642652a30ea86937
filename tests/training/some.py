"""A part of Passersby on which an epoch of training takes three steps, or six of pairs."""

from reid_lab import data


def few_of(bench):
    """Eight of its people to train on, six images each, and four others to look for."""

    def people(records, count):
        return sorted({record.pid for record in records})[:count]

    chosen = {*people(bench.train, 8), *people(bench.query, 4)}
    splits = [[record for record in split if record.pid in chosen] for split in bench.splits.values()]
    return data.Benchmark("few", *splits, annotations=bench.annotations, root=bench.root)
