"""How well the classes of future pixels are forecast, beside copies and warps of the present's."""

from itertools import product

import torch
from skimage.registration import optical_flow_ilk
from torch import Tensor
from torch.nn.functional import grid_sample
from torchmetrics.functional.classification import multiclass_confusion_matrix

from zoo.engine.seeds import keyed_permutation
from zoo.media import video as clips

IGNORED = 255  # the label of pixels that do not count
STEPS = (1, 3)  # frames ahead
RADIUS = 3  # of the flow's windows
MOST = 1000  # clips that are forecast, a fixed choice
CHUNK = 100  # of them at once


def overlaps(seen: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Pixels (K, K) of each class of `labels` (...) that are seen as each class."""
    return multiclass_confusion_matrix(seen, labels, classes, ignore_index=IGNORED)


def ious(counts: Tensor) -> Tensor:
    """Intersection over union (K,) of each class of `overlaps`; NaN of one that is nowhere."""
    both = counts.diagonal()
    return both / (counts.sum(dim=0) + counts.sum(dim=1) - both)


def flow(past: Tensor) -> Tensor:
    """Where in the frame before the last one each pixel of the last one was, less where it is.

    Of grey levels of videos (N, T, C, H, W), T at least 2, by iterative Lucas-Kanade in windows of
    7 pixels: (N, H, W, 2), downwards and to the right, in pixels.
    """
    grey = past[:, -2:].mean(dim=2).cpu().double().numpy()
    flows = [
        optical_flow_ilk(last, before, radius=RADIUS) for before, last in grey
    ]  # (2, H, W) each
    return torch.stack([torch.from_numpy(f).movedim(0, -1) for f in flows]).to(past)


def warped(maps: Tensor, offset: Tensor) -> Tensor:
    """Maps (N, K, H, W) read at each pixel's place + offset (N, H, W, 2), or at the edge."""
    height, width = maps.shape[2:]
    y, x = (torch.arange(side, device=maps.device) for side in (height, width))
    places = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1) + offset
    places = places.flip(-1) * 2 / torch.tensor([width - 1, height - 1]).to(places) - 1
    return grid_sample(maps, places, padding_mode="border", align_corners=True)


def forecasts(model, data, split) -> dict[str, float]:
    """{what: number} of the frames 1 and 3 after the past of videos of a split, where it has such.

    iou_gt_moving_frame1_SPLIT: mean intersection over union of all classes but the first, the
    background, with the exact labels; iou_gt_frame1_SPLIT: of all classes; iou_seg_...: with what
    the model's segmenter sees in the real frame, as if that were right. copy_...: of what it sees
    in the last past frame; flow_...: of that, carried on by the optical flow into it; oracle_...:
    of what it sees in the real frame. Pixels of all videos count as one picture. {} without
    videos.
    """
    source, counts = data.source(split), {}
    chosen = keyed_permutation(len(source), "forecasts")[:MOST]
    for positions in chosen.split(CHUNK) if len(chosen) else ():
        batch = data.prepare_batch(source[positions], model)
        past, future = clips.split_frames(batch["video"], model.hparams.past)
        truths = {"iou_gt": batch["segmentation"][:, past.shape[1] :]}
        truths["iou_seg"] = model.segment(future).argmax(dim=2)
        guesses = guessed(model, past, future.shape[1]) | {"oracle_": truths["iou_seg"]}
        for (what, truth), (whose, guess) in product(truths.items(), guesses.items()):
            for step in (step for step in STEPS if step <= future.shape[1]):
                pair = guess[:, step - 1], truth[:, step - 1]
                found = overlaps(*pair, model.hparams.classes)
                counts[whose, what, step] = counts.get((whose, what, step), 0) + found
    return {
        f"{whose}{what}{which}_frame{step}_{split}": ious(found)[first:].nanmean().item()
        for (whose, what, step), found in counts.items()
        for which, first in (("_moving", 1), ("", 0))
        if (whose, what) != ("oracle_", "iou_seg")
    }


def guessed(model, past, count):
    """{whose: classes (N, count, H, W)} of the frames after (N, T, C, H, W)."""
    last, offset = model.segment(past[:, -1:])[:, 0].softmax(dim=1), flow(past)
    maps = {
        "": model.forecast(past, count),
        "copy_": last[:, None].expand(-1, count, -1, -1, -1),
        "flow_": torch.stack([warped(last, step * offset) for step in range(1, count + 1)], dim=1),
    }
    return {whose: shares.argmax(dim=2) for whose, shares in maps.items()}
