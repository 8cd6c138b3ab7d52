"""Draw images: python -m zoo.sample checkpoint=wgan_digits count=64"""

from pathlib import Path

CHUNK = 100  # samples drawn at once; chunk c depends on the seed and on c, on nothing else


def draw(model, count, seed=0, given=None, rank=0, world_size=1):
    """Yields uint8 images (n, C, H, W), `count` in all over the processes; use it in evaluating().

    Chunk c belongs to process c mod world_size, so the images do not depend on how many processes
    draw them. `given`: a batch of `count` conditions.
    """
    from zoo.base import reseed
    from zoo.images import to_uint8

    for chunk, start in enumerate(range(0, count, CHUNK)):
        if chunk % world_size != rank:
            continue
        stop = min(start + CHUNK, count)
        conditions = given and {name: values[start:stop] for name, values in given.items()}
        reseed(model.device, seed, chunk)
        yield to_uint8(model.sample(stop - start, conditions))


def sample(
    checkpoint: str,
    count: int = 64,
    seed: int = 0,
    label: int | None = None,
    given: str | None = None,
    out: str = "samples",
    separate: bool = False,
    device: str = "cpu",
):
    """Draws images from a model and writes them as PNG.

    checkpoint: name of a pretrained model, a run's folder, or a checkpoint file
    label: class to draw, for a conditional model
    given: safetensors file that holds a batch of conditions (`count` is then its length)
    out: <out>.png is a grid; with separate=true, <out>/ gets one file an image
    """
    import torch

    from zoo.checkpoints import load_on
    from zoo.errors import UserError
    from zoo.images import grid, save_png

    model = load_on(checkpoint, device)
    out = out.removesuffix(".png")
    conditions = read_conditions(model, count, label, given)
    if conditions:
        count = len(next(iter(conditions.values())))
    if count < 1:
        raise UserError(f"count={count} must be at least 1.")
    with model.evaluating():
        chunks = draw(model, count, seed, conditions)
        if separate:
            images = (image for chunk in chunks for image in chunk)
            for number, image in enumerate(images):
                save_png(image, Path(out, f"{number:06d}.png"))
        else:
            save_png(grid(torch.cat(list(chunks))), f"{out}.png")
    print(f"{count} images in {out}/" if separate else f"{count} images in {out}.png")


def read_conditions(model, count, label, given):
    """The batch of conditions for `sample`, or None; UserError if the model takes none."""
    import torch
    from safetensors.torch import load_file

    from zoo.errors import UserError

    if label is None and given is None:
        return None
    conditions = {"label": torch.full((count,), label)} if given is None else load_file(given)
    unknown = [name for name in conditions if name not in model.needs]
    if unknown:
        raise UserError(
            f"{type(model).__name__} takes no {unknown[0]}: it is trained on "
            f"{', '.join(model.needs)}."
        )
    return {name: values.to(model.device) for name, values in conditions.items()}


if __name__ == "__main__":
    from zoo.cli import main

    main(sample)
