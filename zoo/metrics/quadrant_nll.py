"""How well hidden quadrants of images are predicted, beside simpler predictions."""

from zoo.metrics.nearest_neighbours import neighbours


def completion_errors(model, data, split):
    """{what: number} of the hidden pixels of a split's images; {} of none. For a QuadrantVAE.

    nats_baseline_given_quadrants1_SPLIT, with one known: those of the model's first guess, a
    network without latents. wrong_...: the share of pixels whose nearest level another
    has, of the nearest training image in the known pixels, of the guess, and of one sample.
    """
    hidden = model.hidden.cpu()

    def known(images):
        return images.masked_fill(hidden, 0)

    train = data.source("train")
    nll, wrong, count = 0.0, {"neighbour": 0, "guess": 0, "sample": 0}, 0
    for batch in data.loader(split):
        images = batch["image"]
        references = (known(b["image"]) for b in data.loader("train"))
        _, nearest = neighbours(known(images), references)
        real = data.prepare_batch(batch, model)["image"]
        found = {
            "neighbour": data.prepare_batch(train[nearest[:, 0]], model)["image"],
            "guess": model.guess(real),
            "sample": model.sample(len(real), {"image": real}),
        }
        for name, predicted in found.items():
            differs = (predicted > 0) != (real > 0)
            wrong[name] += int((differs & model.hidden).sum())
        nll += model.baseline_nll({"image": real}).sum().item()
        count += len(images)
    if not count:
        return {}
    numbers = {"nats_baseline": nll / count}
    numbers |= {f"wrong_{name}": w / (count * model.dimensions) for name, w in wrong.items()}
    condition = "_".join(model.condition_parts)
    return {f"{name}_given_{condition}_{split}": number for name, number in numbers.items()}
