"""What the two parts of a code hold: by swapping them between images, and by probing them.

For models with `encoder(images)` to identities (N, S), means (N, Z) and log variances, and
`decoder(identities, latents)`.
"""

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from zoo.metrics.cache_key import device_of
from zoo.metrics.compute import count_name
from zoo.metrics.extractors.base import load_extractor

MOST = 2000  # images of each split that are encoded


def measured(model, data, split):
    """{name: number} of the codes of a split's images; call it in `evaluating`.

    accuracy_swap_...: of pairs A and B of these images, decoded from the rest (mean of z) of A and
        the identity s of B, those in which a classifier of real images sees the identity of B, and,
        where the data know of positions, the position of A.
    accuracy_IDENTITY_from_s, accuracy_POSITION_from_z: what a small network (MLP, 64 hidden units),
        trained on codes of training images, says right about those of these images;
    leak_identity_from_z, leak_position_from_s: what it should not.
    """
    if data.classes != model.hparams.classes or not len(data.source(split)):
        return {}
    train, test = codes(model, data, "train"), codes(model, data, split)
    protocol = f"{data.name}_{count_name(len(test['s']))}_{split}"
    numbers = {
        f"{what}_{protocol}": share for what, share in swap_accuracies(model, data, test).items()
    }
    for what in ("identity", "position"):
        if what not in test:
            continue
        for part, own in (("s", "identity"), ("z", "position")):
            kind = "accuracy" if what == own else "leak"
            share = probe(train[part], train[what], test[part], test[what])
            numbers[f"{kind}_{what}_from_{part}_{protocol}"] = share
    return numbers


def codes(model, data, split):
    """s, z (its mean), identity and, where the data know it, position of up to MOST images."""
    source = data.source(split)
    chosen = torch.arange(min(MOST, len(source)))
    parts = []
    for positions in chosen.split(500):
        batch = data.prepare_batch(source[positions], model)
        parts.append((*model.encoder(batch["image"])[:2], batch["label"].cpu()))
    s, z, identity = map(torch.cat, zip(*parts, strict=True))
    known = {"s": s, "z": z, "identity": identity}
    if hasattr(data, "attributes"):
        known["position"] = data.attributes(split)["position"][chosen]
    return known


def swap_accuracies(model, data, test):
    """{what: share} that keep the position of A and the identity of B, the image after A."""
    condition = test["s"].roll(-1, dims=0)
    images = [
        data.denormalize(model.decoder(s, z)).cpu()
        for s, z in zip(condition.split(500), test["z"].split(500), strict=True)
    ]
    seen = see(data, torch.cat(images))
    wanted = {"identity": test["identity"].roll(-1), "position": test.get("position")}
    return {
        f"accuracy_swap_{what}": (seen[what] == wanted[what]).double().mean().item()
        for what in seen
    }


def see(data, images):
    """{identity, position: (N,)} that classifiers of real images see in raw images."""
    if hasattr(data, "read_attributes"):
        read = data.read_attributes(images)
        return {"identity": data.identity(read), "position": read["position"]}
    if data.extractor is None:
        return {}
    extractor = load_extractor(data.extractor)
    if not hasattr(extractor, "classify"):
        return {}
    chances = extractor.classify(extractor(images.to(device_of(extractor))))  # (N, K)
    return {"identity": chances.argmax(dim=1).cpu()} if chances.shape[1] == data.classes else {}


def probe(codes, targets, test_codes, test_targets):
    """The share of test_targets that an MLP tells from test_codes, trained on the others.

    Codes are taken as they are: standardised, the parts of z that carry next to nothing, and that
    the noise of z hides from the decoder, would count as much as the others.
    """
    classifier = MLPClassifier((64,), max_iter=100, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(codes.cpu().double().numpy(), targets.numpy())
    told = classifier.predict(test_codes.cpu().double().numpy())
    return (torch.from_numpy(told) == test_targets).double().mean().item()
