r"""PCB+RPP: PCB whose network says itself what belongs to a part (refined part pooling).

PCB cuts all images alike, although a person may stand higher or lower in the box. RPP replaces the stripes by a part
classifier: a linear layer and a softmax give the probability that the vector f of a position belongs to each part.
Nobody labels the parts. The order of the stages gives the part classifier its parts:

    stage                                                                      trained
    1. stripes      layer4 -- stripes ----------- g_1 .. g_p -- PCB's head     PCB, all of it
    2. induction    layer4 -- softmax(W f + b) -- g_1 .. g_p -- PCB's head     W and b alone
    3. refinement   layer4 -- softmax(W f + b) -- g_1 .. g_p -- PCB's head     everything

In the induction each classifier still knows people by the stripe that it was trained with. So W learns to give it the
positions that look like this stripe.

Source: Y. Sun, L. Zheng, Y. Yang, Q. Tian and S. Wang, "Beyond Part Models: Person Retrieval with Refined Part Pooling
(and a Strong Convolutional Baseline)", ECCV 2018, arXiv 1711.09349. The authors' code is public, for academic use only;
no code was taken. The paper itself was not at hand: the stages are those of later accounts. The authors' code has no
induction. It trains PCB for 20 epochs, then everything for 30, and W sees averages of eight channels, less their mean
over the image.

Paper B quotes its rank-1 / mAP: Market-1501 93.8 / 81.6, DukeMTMC-reID 83.3 / 69.2.

Three controls take as many epochs: stripes to the end, no induction, and a part classifier that stays as it was drawn.
"""

from typing import ClassVar, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from reid_lab.methods import bench
from reid_lab.methods.fields import Count, Positive, unconfirmed
from reid_lab.methods.pcb import PCB, PCBRecipe
from reid_lab.methods.stage import Stage

PCB_GROUPS = ("backbone", "head")  # the groups of parameters that PCB has


@dataclass(frozen=True, kw_only=True)
class RPPRecipe(PCBRecipe):
    """PCB's numbers, whose ``epochs`` are those of the first stage, and those of the stages that follow."""

    method: ClassVar = "rpp"

    # "induced": as published. "direct": all is trained at once, without induction. "frozen": the part classifier stays
    # as it was drawn. "none": the stripes stay, so this is PCB with the same epochs and rates.
    refinement: Literal["induced", "direct", "frozen", "none"] = unconfirmed("induced", "W alone, then everything")
    induction_epochs: Count = unconfirmed(3, "10 epochs after PCB's; how many of them are the induction is open")
    induction_lr: Positive = unconfirmed(0.1, "0.01 in these 10 epochs")  # factor on lr
    refinement_epochs: Count = unconfirmed(7, "10 epochs after PCB's; how many of them are the induction is open")
    refinement_lr: Positive = unconfirmed(0.1, "0.01 in these 10 epochs, as in the authors' code")  # factor on lr

    sizes: ClassVar = {
        "paper": PCBRecipe.sizes["paper"],
        "full": PCBRecipe.sizes["full"],
        "classroom": dict(
            PCBRecipe.sizes["classroom"],
            induction_epochs=1,
            induction_lr=3.0,  # W alone learns, from random values, in one epoch
            refinement_epochs=2,
        ),
        "smoke": dict(PCBRecipe.sizes["smoke"], induction_epochs=1, induction_lr=3.0, refinement_epochs=1),
    }

    from_random: ClassVar = bench.FROM_RANDOM | dict(induction_epochs=3, refinement_epochs=6)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """PCB, then the induction and the refinement, or a control that lasts as long as both."""
        stripes = Stage("stripes", self.epochs, self.lr, self.milestones, train=PCB_GROUPS)
        induction = Stage("induction", self.induction_epochs, self.lr * self.induction_lr, train=("part classifier",))
        lr, both = self.lr * self.refinement_lr, self.induction_epochs + self.refinement_epochs
        match self.refinement:
            case "induced":
                return stripes, induction, Stage("refinement", self.refinement_epochs, lr)
            case "direct":
                return stripes, Stage("refinement", both, lr)
            case "frozen":
                return stripes, Stage("refinement", both, lr, train=PCB_GROUPS)
            case _:
                return stripes, Stage("more stripes", both, lr, train=PCB_GROUPS)

    def network(self, num_pids: int) -> "RPP":
        """The network, its weights drawn from torch's generator."""
        return RPP(self, num_pids)


class RPP(PCB):
    """PCB, and a part classifier that takes the place of the stripes after the first stage."""

    refined: Tensor  # whether it has: a truth value, kept with the weights

    def __init__(self, recipe: RPPRecipe, num_pids: int) -> None:
        super().__init__(recipe, num_pids)
        self.part_classifier = nn.Linear(self.backbone.channels[1], recipe.parts)  # W and b
        nn.init.kaiming_normal_(self.part_classifier.weight)
        nn.init.zeros_(self.part_classifier.bias)
        self.register_buffer("refined", torch.tensor(False))

    def membership(self, vectors: Tensor, h: int, w: int) -> Tensor:
        """P(part | f) of each position: the stripes' 0 or 1 in the first stage, then the part classifier's softmax.

        A part is no longer as large as any other. Its g is still the sum of its positions times parts / positions, as
        in the authors' code: where the part classifier answers as the stripes do, g is that of PCB.

        Args:
            vectors: The map's vectors f, position by position: (batch, h * w, c).
            h: Rows of the map.
            w: Columns of the map.

        Returns:
            (batch, parts, h * w), of sum 1 over the parts.
        """
        probabilities = self.part_classifier(vectors).softmax(dim=2).transpose(1, 2)
        return torch.where(self.refined, probabilities, super().membership(vectors, h, w))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """PCB's "backbone" and "head", and the "part classifier"."""
        own = list(self.part_classifier.parameters())
        groups = super().groups()
        groups["head"] = [parameter for parameter in groups["head"] if all(parameter is not one for one in own)]
        return groups | {"part classifier": own}

    def enter(self, stage: str) -> None:
        """Let the part classifier take the stripes' place in the stages that are about it."""
        if stage in ("induction", "refinement"):
            self.refined.fill_(True)
