"""Bugs that make no noise: all runs, scores look plausible, and only a comparison of values with an oracle tells.

No notebook is asked about them: most change a training, of which the notebooks load the finished runs.
"""

from bugs import quiet
from method_bugs import METHOD_BUGS
from option_bugs import OPTION_BUGS

ENGINE, LOOP, SCHEDULE = "training/engine.py", "training/trainer.py", "training/schedule.py"
PLAIN, STAGES, RECIPE = "training/step.py", "training/stages.py", "methods/recipe.py"
VALUES, STEPS = "training/test_optimizer_values.py", "training/test_what_a_step_gets.py"
B, A, SEEN = "methods/residual_pooling.py", "methods/multitask.py", "models/test_seen_data.py"
FEATURES, FILES = "retrieval/features.py", "retrieval/test_descriptors_of_files.py"
ROC, TEST_ROC = "retrieval/roc.py", "retrieval/test_roc.py"
SAMPLERS, FOLDERS = "data/samplers.py", "data/custom/folder.py"
CLAIMS, TEST_CLAIMS = "ablations/claims.py", "ablations/test_claims.py"
MEASURES, TEST_MEASURES = "ablations/measures.py", "ablations/test_measures.py"
TABLES, TEST_TABLES = "ablations/statistics.py", "ablations/test_statistics.py"
TRUTH = "passersby/test_annotations.py"
SGD = "momentum=recipe.momentum, weight_decay=decay"
STEP = "        self.scaler.scale(losses.total).backward()\n"
DECAYED = 'losses.total + sum(self.recipe.weight_decay / 2 * p.square().sum() for p in self.model.groups()["head"])'
FACTOR = '"factor": rates.get(name, 1.0)}'
UNDECAYED = FACTOR + ' | ({"weight_decay": 0.0} if name == "backbone" else {})'
NECKS = "self.fuse(self(images).necks)"
READ = "store = data.image_store(self.images, self.recipe.resize, self.device)"
EDGES = "np.linspace(self.low, self.high, BINS + 1)"
INITIALISED = "        _initialize(self)\n\n    def forward(self, images"
DILATED = """        for module in self.layer4.modules() if last_stride == 1 else ():
            if getattr(module, "padding", 0) == (1, 1):
                module.dilation = module.padding = (2, 2)
"""
MIRRORED = "found = (found + model.embed(images.flip(3), **rows).float()) / 2"


OPTIMISER = (
    quiet("weight decay is doubled", PLAIN, SGD, SGD.replace("=decay", "=2 * decay"), VALUES),
    quiet(
        "AdamW's weight decay is doubled",
        PLAIN,
        "AdamW(groups, lr=lr, weight_decay=decay",
        "AdamW(groups, lr=lr, weight_decay=2 * decay",
        VALUES,
    ),
    quiet("weight decay is applied twice", ENGINE, STEP, STEP.replace("losses.total", DECAYED), VALUES),
    quiet("the backbone has no weight decay", PLAIN, FACTOR, UNDECAYED, VALUES),
    quiet("Adam stands in for AdamW", PLAIN, "torch.optim.AdamW(", "torch.optim.Adam(", VALUES),
    quiet("there is no momentum", PLAIN, "momentum=recipe.momentum,", "momentum=0.0,", VALUES),
    quiet(
        "momentum is Nesterov's",
        PLAIN,
        'nesterov = recipe.optimizer == "nesterov"',
        "nesterov = True",
        VALUES,
    ),
    quiet(
        "gradients add up from step to step",
        ENGINE,
        "        self.optimizer.zero_grad(set_to_none=True)\n" + STEP,
        STEP,
        VALUES,
    ),
    quiet(
        "gradients are clipped",
        ENGINE,
        STEP,
        STEP.replace("\n", "\n        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)\n"),
        VALUES,
    ),
    quiet("the backbone learns at the head's rate", PLAIN, FACTOR, '"factor": 1.0}', VALUES),
    quiet("the padding of the recipe is not used", RECIPE, "self.crop, self.pad,", "self.crop, 0,", VALUES),
    quiet("images are read at the size of the crop", LOOP, READ, READ.replace("recipe.resize", "recipe.crop"), STEPS),
    quiet(
        "identities are numbered as they appear",
        PLAIN,
        "known = np.unique(pids[pids != data.JUNK])",
        "known = np.array([*dict.fromkeys(pids)])\n    return len(known), (pids[:, None] == known).argmax(1), camids",
        STEPS,
    ),
    quiet("networks are trained in evaluation mode", STAGES, "    network.train()\n", "    network.eval()\n", STEPS),
    quiet(
        "every epoch augments as the first",
        PLAIN,
        "SeedSequence([seed, epoch, step])",
        "SeedSequence([seed, 0, step])",
        STEPS,
    ),
    quiet(
        "the rate stands still within an epoch",
        LOOP,
        "set_lr(epoch + step / len(self.sampler))",
        "set_lr(epoch)",
        STEPS,
    ),
    quiet(
        "the rate always drops by ten",
        SCHEDULE,
        "decay = recipe.decay **",
        "decay = 0.1 **",
        "training/test_schedule.py",
    ),
    quiet(
        "a cosine waits for a warm-up that there is not",
        SCHEDULE,
        '0 if index or recipe.warmup == "none" else',
        "0 if index else",
        "training/test_schedule.py",
    ),
)

SEEN_DATA = (
    quiet(
        "descriptors are taken before the BNNeck",
        B,
        NECKS,
        NECKS.replace("self(images).necks", "[*self(images).contrast.values()]"),
        SEEN,
    ),
    quiet(
        "classifiers stand before the BNNeck",
        B,
        "](neck) for j, neck in enumerate(necks)]",
        "](neck) for j, neck in enumerate(contrast.values())]",
        SEEN,
    ),
    quiet(
        "triplets see the features after the BNNeck",
        B,
        "self.triplet_loss(outputs.pooled, pids, gather)",
        "self.triplet_loss(dict(zip(self.in_triplets, 2 * outputs.necks, strict=False)), pids, gather)",
        SEEN,
    ),
    quiet(
        "paper A's descriptor is taken before its norm",
        A,
        "return self.norm(self.projection(pooled))",
        "return self.projection(pooled)",
        SEEN,
    ),
    quiet(
        "heat is of the features before the BNNeck",
        B,
        "self.fuse(self(images).necks)",
        "self.fuse([*self(images).contrast.values()])",
        "analysis/test_gradcam.py",
    ),
    quiet(
        "the branches stand side by side in another order",
        B,
        "torch.cat(necks, dim=1)",
        "torch.cat(necks[::-1], dim=1)",
        SEEN,
    ),
)

SETTINGS = (
    quiet(
        "at a last stride of 1 Res2Net's last split is not pooled",
        "models/res2net.py",
        "if self.is_stage else nn.Identity()",
        "if self.is_stage and stride == 2 else nn.Identity()",
        "models/test_last_stride.py",
    ),
    quiet(
        "at a last stride of 1 layer4 is dilated",
        "models/backbones.py",
        INITIALISED,
        DILATED + INITIALISED,
        "models/test_last_stride.py",
    ),
    quiet(
        "the flip test turns descriptors, not images",
        FEATURES,
        MIRRORED,
        "found = (found + found.roll(found.shape[1] // 2, 1)) / 2",
        FILES,
    ),
    quiet(
        "test images are not normalized",
        FEATURES,
        "yield normalize(store.batch(indices))",
        "yield (store.batch(indices) / 255)",
        FILES,
    ),
    quiet("every evaluation is in bfloat16", FEATURES, 'if autocast else "float32"', 'if True else "float32"', FILES),
    quiet("thresholds of a curve are one step too strict", ROC, EDGES, f"{EDGES}[[0, *range(BINS)]]", TEST_ROC),
    quiet(
        "thresholds of a curve are one step too loose",
        ROC,
        EDGES,
        f"{EDGES}[[*range(1, BINS + 1), BINS]]",
        TEST_ROC,
    ),
    quiet(
        "anchors come in the same order in every epoch",
        SAMPLERS,
        "random.permutation(len(self._order))",
        "np.arange(len(self._order))",
        "data/test_samplers.py",
    ),
    quiet(
        "a person's images come in the order of the files",
        SAMPLERS,
        "        self.pile = random.permutation(cards)",
        "        self.pile = cards",
        "data/test_samplers.py",
    ),
    quiet(
        "a camera's number has one digit",
        "data/datasets/market.py",
        r'(-?\d+)_c(\d+)"',
        r'(-?\d+)_c(\d)"',
        "data/test_market.py",
    ),
)

STATISTICS = (
    quiet(
        "the score of a claim is another one",
        CLAIMS,
        '("residual" + RERANKED,), "rank-10")',
        '("residual" + RERANKED,), "mAP")',
        TEST_CLAIMS,
    ),
    quiet(
        "heat of the untrained network is judged", CLAIMS, '"network": "trained"', '"network": "untrained"', TEST_CLAIMS
    ),
    quiet(
        "a difference counts the seeds that one variant lacks",
        TABLES,
        "float((shared[one] - shared[other]).mean())",
        "float(values[one].mean() - values[other].mean())",
        TEST_TABLES,
    ),
    quiet(
        "an interval of two divides by n, not n - 1",
        TABLES,
        "return float(high - low) / 2",
        "return float(high - low) / 2 * np.sqrt(1 - 1 / len(one))",
        TEST_TABLES,
    ),
    quiet(
        "heat is laid over an image half a position too far right",
        "analysis/gradcam.py",
        "places = np.minimum(np.arange(pixels) / stride, positions - 1)",
        "places = np.clip((np.arange(pixels) + 0.5) / stride - 0.5, 0, positions - 1)",
        "analysis/test_gradcam.py",
    ),
    quiet(
        "random weights keep the short schedule of a start",
        "methods/base.py",
        'longer = cls.from_random if size == "classroom"',
        'longer = cls.from_random if size == "smoke"',
        "methods/test_recipes.py",
    ),
    quiet(
        "the untrained network of a heat table is the trained one",
        MEASURES,
        '"untrained": _begun(run, None).to(device)}',
        '"untrained": run.model}',
        TEST_MEASURES,
    ),
    quiet(
        "the mask leaves out what the front layer hides",
        "passersby/render.py",
        "return shown if veil is None else shown & (veil < f32(127.5))",
        "return shown",
        TRUTH,
    ),
    quiet(
        "a mask is drawn with seed 0",
        "passersby/annotations.py",
        'made["generator"], made["seed"]',
        'made["generator"], 0 * made["seed"]',
        TRUTH,
    ),
)

QUIET_BUGS = OPTIMISER + SEEN_DATA + SETTINGS + STATISTICS + OPTION_BUGS + METHOD_BUGS
