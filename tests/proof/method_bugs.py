"""Bugs in the heart of each system: what one gets wrong who builds it from its paper. Scores stay plausible with each.

They belong to ``quiet_bugs.py``: no notebook is asked about them.
"""

from bugs import Bug, quiet

# What is not in a method's own file, or not watched by that file's own tests: where it is, and who should notice.
PLACES = {
    "ghosts": ("data/unlabelled.py", "data/test_unlabelled.py"),
    "codes": ("retrieval/codes.py", "retrieval/test_codes.py"),
    "thresholds": ("retrieval/code_thresholds.py", "retrieval/test_codes.py"),
    "refined parts": ("methods/pcb.py", "methods/test_rpp.py"),
    "vision_transformer": ("methods/vision_transformer.py", "models/test_transformers.py"),
    "tokens": ("models/transformers.py", "models/test_transformers.py"),
}
START = "models.backbone(recipe.backbone, recipe.last_stride, recipe.weights) for _ in range(2)"
ELSEWHERE = "models.backbone(recipe.backbone, recipe.last_stride, start) for start in (recipe.weights, None)"
RETINEX = "(retinex(pixels) if self.recipe.retinex else pixels)"


def of(place: str, name: str, was: str, becomes: str) -> Bug:
    """A bug of a method, by the method's name, or of one of PLACES."""
    file, tests = PLACES.get(place, (f"methods/{place}.py", f"methods/test_{place}.py"))
    return quiet(name, file, was, becomes, tests)


CLOSED_FORMS = (
    of(
        *("bow", "a vote for a word falls with the squared distance"),
        *("torch.exp(-nearest.sqrt() / self.recipe.sigma**2)", "torch.exp(-nearest / self.recipe.sigma**2)"),
    ),
    of(
        *("bow", "burstiness counts the votes of a strip, not of the image"),
        *("chosen.sum(dim=1, keepdim=True).clamp(min=1)", "chosen.unflatten(1, (strips, -1)).sum(dim=2).clamp(min=1)"),
    ),
    of(
        *("bow", "words are cells drawn at random, not means of clusters"),
        *(
            'kmeans2(some, words, minit="++", seed=random)[0].astype',
            "some[random.choice(len(some), words, replace=False)].astype",
        ),
    ),
    of("lomo", "LOMO takes the mean of the windows of a row", ".amax(dim=2).flatten(1)", ".mean(dim=2).flatten(1)"),
    of(
        *("lomo", "SILTP's tolerance is that of the neighbour"),
        *("neighbour > (1 + TAU) * greys", "greys < (1 - TAU) * neighbour"),
    ),
    of(
        *("lomo", "texture is taken from what Retinex made of the image"),
        *(
            f"colours, greys = hsv_codes{RETINEX}.float(), grey(pixels)",
            f"pixels = {RETINEX[1:-1]}\n        colours, greys = hsv_codes(pixels).float(), grey(pixels)",
        ),
    ),
    of(
        *("pair_metrics", "pairs of one person and one camera are taken away twice"),
        *("[*different, (-1, camids), (1, both)]", "[*different, (-1, camids)]"),
    ),
    of(
        *("pair_metrics", "KISSME's negative eigenvalues are turned, not cut"),
        *(
            "    kept = values > NOTHING * values[-1]\n    return (np.sqrt(values[kept])",
            "    kept = abs(values) > NOTHING * values[-1]\n    return (np.sqrt(abs(values[kept]))",
        ),
    ),
    of("pair_metrics", "XQDA does not weigh its directions", "return (W * np.sqrt(1 - 1 / values)).T", "return W.T"),
)

PARTS = (
    of("pcb", "PCB averages its losses instead of adding them", "total=entropies.sum(),", "total=entropies.mean(),"),
    of(
        *("pcb", "PCB's parts are brought to one length together"),
        *(
            "F.normalize(self._described(images), dim=2).flatten(1) / self.recipe.parts**0.5",
            "F.normalize(self._described(images).flatten(1), dim=1)",
        ),
    ),
    of(
        *("pcb", "PCB's random parts are drawn anew for each batch"),
        *("self.order[: h * w].argsort() * parts", "torch.randperm(h * w, device=vectors.device) * parts"),
    ),
    of("rpp", "RPP's softmax is over positions", ".softmax(dim=2)", ".softmax(dim=1)"),
    of(
        *("rpp", "RPP's induction trains everything"),
        *('self.lr * self.induction_lr, train=("part classifier",)', "self.lr * self.induction_lr, train=()"),
    ),
    of(
        *("rpp", "the part classifier's gradient stops at the map"),
        *("self.part_classifier(vectors).softmax", "self.part_classifier(vectors.detach()).softmax"),
    ),
    of(
        *("refined parts", "a refined part is divided by its own size"),
        *(
            "membership @ vectors * (self.recipe.parts / vectors.shape[1])",
            "membership @ vectors / membership.sum(dim=2, keepdim=True)",
        ),
    ),
    of("glad", "GLAD's head begins at its middle", "torch.stack([2 * head - neck, neck,", "torch.stack([head, neck,"),
    of(
        *("glad", "GLAD's lower body begins at the lower hip"),
        *("torch.stack(hips, dim=1).nanmean(dim=1)", "torch.fmax(*hips)"),
    ),
    of(
        *("glad", "a noisy pose is noisy in training alone"),
        *(
            "return self.recipe.joints(benchmark, records, self.input_size)",
            "return self.recipe.replace(pose_noise=0.0).joints(benchmark, records, self.input_size)",
        ),
    ),
    of(
        *("part_aligned", "PAR's maps compete"),
        *("torch.sigmoid(self.detect(layer))", "torch.softmax(self.detect(layer), dim=1)"),
    ),
    of(
        *("part_aligned", "the gradient of PAR's maps stops at the layer"),
        *("torch.sigmoid(self.detect(layer))", "torch.sigmoid(self.detect(layer.detach()))"),
    ),
    of(
        *("part_aligned", "PAR's parts are divided by the sizes of their maps"),
        *("/ (layer.shape[2] * layer.shape[3])", "/ maps.sum(dim=(2, 3))[:, :, None]"),
    ),
    of(
        *("part_aligned", "PAR's classifier stands before its BNNeck"),
        *("self.classifier(self.neck(vector))", "self.classifier(vector)"),
    ),
    of(
        *("alignment", "PAN moves the map by theta instead of the grid"),
        *(
            "scale[:, None] * (positions - middle) + (shift[:, None] + 1) * middle",
            "(positions - (shift[:, None] + 1) * middle) / scale[:, None] + middle",
        ),
    ),
    of(
        *("alignment", "PAN's alignment teaches the layers below nothing"),
        *("sample(layer1.float(),", "sample(layer1.detach().float(),"),
    ),
    of(
        *("alignment", "PAN's theta teaches the layers below nothing"),
        *("self.locator(layer3)", "self.locator(layer3.detach())"),
    ),
    of(
        *("alignment", "PAN's second branch begins at random"),
        *(
            "self.recipe, other, channels = recipe, backbone(),",
            "self.recipe, other, channels = recipe, models.backbone(recipe.backbone, recipe.last_stride),",
        ),
    ),
)

BRANCHES = (
    of(
        *("feature_erasing", "each image of a batch loses rows of its own"),
        *('self.drawn[:batch, None] if self.drop == "image" else self.drawn[0]', "self.drawn[:batch, None]"),
    ),
    of(
        *("feature_erasing", "rows are erased before the block"),
        *("self.erasing(self.block(layer4))", "self.block(self.erasing(layer4))"),
    ),
    of(
        *("feature_erasing", "the hardest images of feature erasing are those of one process"),
        *("self.triplet_loss(gather(vectors), everyone)", "self.triplet_loss(vectors, pids)"),
    ),
    of(
        *("multi_scale", "DPFL's consensus learns from its pupils"),
        *("teacher = outputs.fused.detach().softmax(dim=1)", "teacher = outputs.fused.softmax(dim=1)"),
    ),
    of(
        *("multi_scale", "DPFL's fusion teaches its networks nothing"),
        *(
            "self.fusion(self.dropout(torch.cat(pooled, dim=1)))",
            "self.fusion(self.dropout(torch.cat(pooled, dim=1).detach()))",
        ),
    ),
    of("multi_scale", "DPFL's small images are aliased", 'mode="bilinear", antialias=True', 'mode="bilinear"'),
    of(
        *("multi_loss", "JLML's group lasso groups outputs"),
        *("group_lasso(self.w_g.weight.T)", "group_lasso(self.w_g.weight)"),
    ),
    of(
        *("multi_loss", "JLML's stripes are taken for images"),
        *("pooled[1].unflatten(0, (-1, streams)).unbind(dim=1)", "pooled[1].unflatten(0, (streams, -1)).unbind(dim=0)"),
    ),
    of("multi_loss", "JLML's local branch begins at random", START, ELSEWHERE),
    of("svdnet", "SVDNet replaces W by U instead of U S", "new = s[:, None] * u", "new = u"),
    of(
        *("svdnet", "SVDNet's restraint trains W, too"),
        *('restrained = ("backbone", "still", "head")', 'restrained = ("backbone", "still", "eigen", "head")'),
    ),
    of(
        *("svdnet", "SVDNet's rounds have the milestones of the base"),
        *("how = self.lr * rate, self.round_milestones", "how = self.lr * rate, self.milestones"),
    ),
    of(
        *("attributes", "unknown attributes are left out of the mean"),
        *(
            "return torch.stack(terms).mean()",
            "return torch.stack(terms).sum() / (labels != UNKNOWN).sum().clamp(min=1)",
        ),
    ),
    of(
        *("attributes", "APR learns what an image cannot show"),
        *(', self.attributes, visible=self.labels == "visible")', ", self.attributes)"),
    ),
    of(
        *("attributes", "APR's features hold confidences, not attributes"),
        *(
            "torch.sigmoid(self.confidence(probabilities)) * probabilities",
            "torch.sigmoid(self.confidence(probabilities))",
        ),
    ),
    of("attributes", "APR has no dropout", "self.classifier(self.dropout(embedding))", "self.classifier(embedding)"),
)

TEACHERS = (
    of(
        *("lsro", "generated images teach nothing where nothing is smoothed"),
        *(
            "torch.where(known, (1 - smoothing) * p + smoothing / identities, 1 / identities)",
            "(1 - smoothing) * p * known + smoothing / identities",
        ),
    ),
    of(
        *("lsro", "generated images weigh as much as real ones together"),
        *("total=each.mean(),", "total=_mean(each, known) + _mean(each, ~known),"),
    ),
    of(
        *("ghosts", "ghosts have the components of images that are not centred"),
        *("torch.svd_lowrank(small - mean, components, PASSES)", "torch.svd_lowrank(small, components, PASSES)"),
    ),
    of(
        *("coarse_to_fine", "CtF's teacher learns from its pupils"),
        *("difference(code, teacher.detach()) for", "difference(code, teacher) for"),
    ),
    of(
        *("coarse_to_fine", "CtF's codes change the backbone"),
        *("levels[-1].detach() if self.training else levels[-1]", "levels[-1]"),
    ),
    of(
        *("codes", "an image on a code's threshold is not compared further"),
        *("near[distances <= thresholds.get(length, -1)]", "near[distances < thresholds.get(length, -1)]"),
    ),
    of(
        *("thresholds", "a threshold's second Gaussian is that of all pairs"),
        *("map(_gaussian, (matching, others))", "map(_gaussian, (matching, matching + others))"),
    ),
    of("dgnet", "DG-Net takes the owner of the clothes for the body", "bodies, owners = pids", "owners, bodies = pids"),
    of(
        *("dgnet", "DG-Net's teacher is asked to agree with its pupil"),
        *(
            'F.kl_div(F.log_softmax(dressed.float(), dim=1), outputs.soft, reduction="batchmean")',
            'F.kl_div(outputs.soft.clamp(min=1e-6).log(), F.softmax(dressed.float(), dim=1), reduction="batchmean")',
        ),
    ),
    of(
        *("dgnet", "DG-Net's heads have each other's dropout"),
        *(
            "[nn.Dropout(recipe.dropout_primary), nn.Dropout(recipe.dropout_fine)]",
            "[nn.Dropout(recipe.dropout_fine), nn.Dropout(recipe.dropout_primary)]",
        ),
    ),
)

BASELINES = (
    of(
        *("classification", "the baseline's features stand before its BNNeck"),
        *("return self(images).neck", "return self(images).pooled"),
    ),
    of(
        *("classification", "the classifier behind the BNNeck has a bias"),
        *(
            "heads.classifier(self.backbone.channels[1], num_pids, bias=False)",
            "heads.classifier(self.backbone.channels[1], num_pids, bias=True)",
        ),
    ),
    of(
        *("strong_baseline", "the triplet loss stands behind the BNNeck"),
        *("gather(outputs.pooled)", "gather(outputs.neck)"),
    ),
    of(
        *("strong_baseline", "without the triplet loss there are other batches"),
        *(
            "return data.PKSampler(labels, self.identities, self.images, seed)",
            "sampler = data.PKSampler(labels, self.identities, self.images, seed)\n"
            "        return sampler if self.triplet else data.ShuffleSampler(labels, self.batch, seed)",
        ),
    ),
    of(
        *("vision_transformer", "the transformer's BNNeck is a layer norm"),
        *("heads.BNNeck(self.backbone.channels[1])", "nn.LayerNorm(self.backbone.channels[1])"),
    ),
    of("tokens", "tokens leave the transformer without its last norm", "indices, norm=True,", "indices, norm=False,"),
)

METHOD_BUGS = CLOSED_FORMS + PARTS + BRANCHES + TEACHERS + BASELINES
