"""Accuracy of forecast segmentations, compared with copying and warping the last frame."""

from itertools import product
from typing import Any

import torch
from skimage.registration import optical_flow_ilk
from torch import Tensor
from torch.nn.functional import grid_sample
from torchmetrics.functional.classification import multiclass_confusion_matrix

from zoo.media.video import split_frames
from zoo.metrics import clips

IGNORED = 255  # the label of pixels that are not scored
STEPS = (1, 3)  # frames ahead
RADIUS = 3  # radius of the windows for optical flow


def overlaps(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the confusion matrix (K, K): rows are `labels`, columns are `predicted`."""
    return multiclass_confusion_matrix(predicted, labels, classes, ignore_index=IGNORED)


def ious(counts: Tensor) -> Tensor:
    """Return the intersection over union (K,) of each class; NaN for a class without pixels."""
    both = counts.diagonal()
    return both / (counts.sum(dim=0) + counts.sum(dim=1) - both)


def flow(past: Tensor) -> Tensor:
    """Estimate the optical flow from each pixel of the last frame to the frame before.

    It uses iterative Lucas-Kanade on gray levels, with windows of 7 pixels.

    Args:
        past: Videos (N, T, C, H, W), T at least 2.

    Returns:
        (N, H, W, 2), downwards and to the right, in pixels.
    """
    grey = past[:, -2:].mean(dim=2).cpu().double().numpy()
    flows = [
        optical_flow_ilk(last, before, radius=RADIUS) for before, last in grey
    ]  # (2, H, W) each
    return torch.stack([torch.from_numpy(f).movedim(0, -1) for f in flows]).to(past)


def warped(maps: Tensor, offset: Tensor) -> Tensor:
    """Sample maps (N, K, H, W) at each pixel's position plus an offset (N, H, W, 2)."""
    height, width = maps.shape[2:]
    y, x = (torch.arange(side, device=maps.device) for side in (height, width))
    places = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1) + offset
    places = places.flip(-1) * 2 / torch.tensor([width - 1, height - 1]).to(places) - 1
    return grid_sample(maps, places, padding_mode="border", align_corners=True)


def forecast_scores(model: Any, data: Any, split: str) -> dict[str, float]:
    """Measure forecast segmentations 1 and 3 frames ahead, if videos are long enough.

    Args:
        model: A segmentation_forecast model.
        data: The data module.
        split: "val" or "test".

    Returns:
        {name: number}; {} without videos. The pixels of all videos are pooled.
        iou_gt_moving_frame1_SPLIT is the intersection over union with the labels, averaged over all
        classes but the first, the background. iou_gt_frame1_SPLIT includes the background.
        iou_seg_... uses the segmenter's output on the real frame as labels. copy_... is the
        segmenter's output on the last past frame, flow_... this output warped by optical flow, and
        oracle_... the segmenter's output on the real frame.
    """
    counts: dict[tuple[str, str, int], Any] = {}
    for batch in clips.batches(model, data, split, "forecasts"):
        past, future = split_frames(batch["video"], model.hparams.past)
        truths = {"iou_gt": batch["segmentation"][:, past.shape[1] :]}
        truths["iou_seg"] = model.segment(future).argmax(dim=2)
        guesses = forecast_classes(model, past, future.shape[1]) | {"oracle_": truths["iou_seg"]}
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


def forecast_classes(model: Any, past: Tensor, count: int) -> dict[str, Tensor]:
    """Return {prefix: classes (N, count, H, W)} of the frames after `past` (N, T, C, H, W)."""
    last, offset = model.segment(past[:, -1:])[:, 0].softmax(dim=1), flow(past)
    maps = {
        "": model.forecast(past, count),
        "copy_": last[:, None].expand(-1, count, -1, -1, -1),
        "flow_": torch.stack([warped(last, step * offset) for step in range(1, count + 1)], dim=1),
    }
    return {whose: shares.argmax(dim=2) for whose, shares in maps.items()}
