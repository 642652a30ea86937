"""Solutions of notebook 03: Res2Net's ladder, the gradient of the square layer, a verifier under another prior."""

import torch


def ladder_of(splits, convolutions):
    """The outputs of a Res2Net block's splits: y_1 = K_1(x_1), y_i = K_i(x_i + y_(i-1)), and the last as it came.

    splits is a list of s tensors, convolutions a list of s - 1 functions from tensor to tensor. Returns a list of s
    tensors.
    """
    # solution
    outputs = [convolutions[0](splits[0])]
    for x, convolution in zip(splits[1:-1], convolutions[1:], strict=True):
        outputs.append(convolution(x + outputs[-1]))
    return [*outputs, splits[-1]]
    # end


def check_ladder_of(answer):
    splits = [torch.tensor(value) for value in (1.0, 10.0, 100.0, 1000.0)]
    found = [float(y) for y in answer(splits, [lambda x: 2 * x, lambda x: 3 * x, lambda x: 5 * x])]
    if len(found) != 4:
        yield f"four splits have four outputs, but the answer has {len(found)}"
        return
    for i, (y, expected) in enumerate(zip(found, (2.0, 36.0, 680.0, 1000.0), strict=True), start=1):
        if y != expected:
            yield (
                f"splits 1, 10, 100, 1000 and convolutions that multiply by 2, 3, 5: y_{i} should be {expected:g}, "
                f"but is {y:g}"
            )
    found = [float(y) for y in answer(splits[:3], [lambda x: x, lambda x: -x])]
    if found != [1, -11, 100]:
        yield f"three splits 1, 10, 100 with x -> x and x -> -x should give 1, -11, 100, but give {found}"


def wrong_ladder_of_no_ladder(splits, convolutions):
    return [*(k(x) for k, x in zip(convolutions, splits, strict=False)), splits[-1]]


def wrong_ladder_of_inputs_added(splits, convolutions):
    outputs = [convolutions[0](splits[0])]
    for i in range(1, len(convolutions)):
        outputs.append(convolutions[i](splits[i] + splits[i - 1]))
    return [*outputs, splits[-1]]


def wrong_ladder_of_first_untouched(splits, convolutions):
    outputs = [convolutions[0](splits[1])]
    for x, convolution in zip(splits[2:], convolutions[1:], strict=True):
        outputs.append(convolution(x + outputs[-1]))
    return [splits[0], *outputs]


def gradient(f1, f2, theta, same):
    """The gradient of paper A's eq. 5 with respect to f1, for one pair.

    f1 and f2 are (d,), theta is (2, d) with the rows "same" and "different", same is True or False. Returns (d,).
    """
    # solution
    q = torch.tensor([1.0, 0.0] if same else [0.0, 1.0], dtype=f1.dtype)
    q_hat = torch.softmax(theta @ (f1 - f2) ** 2, dim=0)
    return 2 * (f1 - f2) * (theta.T @ (q_hat - q))
    # end


def check_gradient(answer):
    f1 = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    f2 = torch.tensor([0.5, 0.0, 1.5], dtype=torch.float64)
    theta = torch.tensor([[1.0, -0.5, 0.2], [0.0, 0.4, 0.9]], dtype=torch.float64)
    for same in (True, False):
        variable = f1.clone().requires_grad_()
        loss = -(theta @ (variable - f2) ** 2).log_softmax(dim=0)[0 if same else 1]
        (expected,) = torch.autograd.grad(loss, variable)
        found = torch.as_tensor(answer(f1, f2, theta, same)).detach()
        if tuple(found.shape) != (3,):
            yield f"for descriptors of three numbers three are expected, but the shape is {tuple(found.shape)}"
        elif not torch.allclose(found.double(), expected, atol=1e-6):
            told = [round(value, 3) for value in expected.tolist()]
            yield (
                f"for f1 = (0.5, -1, 2), f2 = (0.5, 0, 1.5), theta = ((1, -0.5, 0.2), (0, 0.4, 0.9)) and same = {same} "
                f"autograd gives {told}, the answer {[round(value, 3) for value in found.tolist()]}"
            )


def wrong_gradient_no_two(f1, f2, theta, same):
    return gradient(f1, f2, theta, same) / 2


def wrong_gradient_of_f2(f1, f2, theta, same):
    return -gradient(f1, f2, theta, same)


def wrong_gradient_classes_swapped(f1, f2, theta, same):
    return gradient(f1, f2, theta, not same)


def corrected(probability, trained, real):
    """The probability of "same" under another share of positive pairs, by Bayes' rule.

    All three are between 0 and 1, ends excluded. The odds p / (1 - p) are multiplied by the prior odds of ``real`` and
    divided by those of ``trained``. Returns a float.
    """
    # solution
    odds = probability / (1 - probability)
    odds *= real / (1 - real) * (1 - trained) / trained
    return odds / (1 + odds)
    # end


def check_corrected(answer):
    expected = {(0.7, 0.2, 0.2): 0.7, (0.5, 0.5, 0.2): 0.2, (0.9, 0.2, 0.5): 36 / 37, (0.5, 0.2, 0.01): 4 / 103}
    for (probability, trained, real), right in expected.items():
        found = float(answer(probability, trained, real))
        if abs(found - right) > 1e-9:
            yield (
                f"a probability of {probability} with share {trained} in training and {real} in the street should be "
                f"{right:.4f}, but the answer is {found:.4f}"
            )


def wrong_corrected_nothing(probability, trained, real):
    return probability


def wrong_corrected_no_odds(probability, trained, real):
    return probability * real / trained


def wrong_corrected_inverted(probability, trained, real):
    return corrected(probability, real, trained)
