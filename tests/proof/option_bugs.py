"""Bugs in what is computed only with another value than the default, or for the second of several: they make no noise.

They belong to ``quiet_bugs.py``: no notebook is asked about them.
"""

from bugs import quiet

LOOP, ENGINE, PROGRESS = "training/trainer.py", "training/engine.py", "training/progress.py"
STEPS = "training/test_what_a_step_gets.py"
TABLES, CLAIMS = "ablations/statistics.py", "ablations/claims.py"
CONDITIONS, BACKGROUNDS = "analysis/conditions.py", "analysis/backgrounds.py"
VERIFICATION, TEST_VERIFICATION = "retrieval/verification.py", "retrieval/test_verification.py"
WAIT = "    synchronize(image.device)  # a GPU's calls return before the work is done\n"
READ = "    return 1000 * (time.perf_counter() - began)"
BEST = "[metric].mean().idxmax()"


OPTION_BUGS = (
    quiet(
        "a resumed run has forgotten its minutes",
        PROGRESS,
        'about["minutes"], about["threads"]',
        '0.0, about["threads"]',
        STEPS,
    ),
    quiet(
        "a resumed run chooses its threads again",
        PROGRESS,
        'about["minutes"], about["threads"]',
        'about["minutes"], None',
        STEPS,
    ),
    quiet(
        "speed counts the steps before an interruption",
        LOOP,
        "taken = self.progress.step - first",
        "taken = self.progress.step",
        STEPS,
    ),
    quiet(
        "choosing the threads moves batch norms",
        ENGINE,
        "trial.model = copy.deepcopy(self.model)",
        "trial.model = self.model",
        "training/test_optimizer_values.py",
    ),
    quiet(
        "a margin counts where there is no triplet",
        "methods/variants.py",
        " if self.in_triplets else 0.0",
        "",
        "training/test_guards.py",
    ),
    quiet(
        "every score is compared as mAP",
        TABLES,
        "difference(rows, size, one, reference, metric) for",
        "difference(rows, size, one, reference) for",
        "ablations/test_statistics.py",
    ),
    quiet(
        "the worse of two baselines is judged",
        CLAIMS,
        BEST,
        BEST.replace("idxmax", "idxmin"),
        "ablations/test_claims.py",
    ),
    quiet(
        "an interval resamples queries, not people",
        CONDITIONS,
        'part["pid"].to_numpy())\n            line',
        "part.index.to_numpy())\n            line",
        "analysis/test_conditions.py",
    ),
    quiet(
        "bins of occlusion are always the same",
        CONDITIONS,
        '"occluded", upper)',
        '"occluded", HIDDEN)',
        "analysis/test_conditions.py",
    ),
    quiet(
        "the donors of backgrounds keep their people",
        BACKGROUNDS,
        "_without(_pixels(given), _masks(given))",
        "_pixels(given)",
        "analysis/test_backgrounds.py",
    ),
    quiet(
        "histograms of the person have six stripes",
        BACKGROUNDS,
        "histogram_features(records, stripes, _masks",
        "histogram_features(records, 6, _masks",
        "analysis/test_backgrounds.py",
    ),
    quiet(
        "verification describes images by default",
        VERIFICATION,
        "extract(model, records, device, **extraction)",
        "extract(model, records, device)",
        TEST_VERIFICATION,
    ),
    quiet(
        "verification draws with seed 0",
        VERIFICATION,
        "genuine_pairs(protocol, pairs, seed), impostor_pairs(protocol, pairs, seed)",
        "genuine_pairs(protocol, pairs, 0), impostor_pairs(protocol, pairs, 0)",
        TEST_VERIFICATION,
    ),
    quiet(
        "a GPU is waited for when the clock has stopped",
        "analysis/cost.py",
        WAIT + READ,
        READ.replace("return", "took =") + "\n" + WAIT + "    return took",
        "analysis/test_cost.py",
    ),
    quiet(
        "the only query of somebody is of the first camera",
        "data/custom/folder.py",
        "[drawn[random.choice(sorted(drawn))]]",
        "[drawn[min(drawn)]]",
        "data/test_folders.py",
    ),
    quiet(
        "train forgets --deterministic",
        "cli/training.py",
        "deterministic=deterministic",
        "deterministic=False",
        "cli/test_options.py",
    ),
)
