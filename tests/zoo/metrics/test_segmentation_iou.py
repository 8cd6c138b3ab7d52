"""Intersections over unions by hand, and baselines whose numbers are known."""

import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.nn.functional import one_hot

from datamodules.loading.sources import TensorSource
from zoo.metrics.segmentation_iou import flow, forecast_scores, ious, overlaps, warped


def test_iou_by_hand_without_what_is_ignored():
    labels = torch.tensor([[0, 0, 1], [1, 1, 2], [255, 255, 2]])
    seen = torch.tensor([[0, 1, 1], [1, 0, 2], [1, 2, 0]])
    counts = overlaps(seen, labels, 4)
    assert counts.sum() == 7
    expected = torch.tensor([1 / 4, 2 / 4, 1 / 2, torch.nan])
    torch.testing.assert_close(ious(counts), expected, equal_nan=True)
    assert ious(counts)[1:].nanmean() == 0.5, "of what moves"
    torch.testing.assert_close(ious(2 * counts), expected, equal_nan=True)


def textured(seed=0, size=24):
    """A smooth picture that is not the same anywhere, (size + 12,) * 2."""
    noise = torch.rand(1, 1, size // 2, size // 2, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (size + 12,) * 2, mode="bicubic")[0, 0]


def test_flow_says_where_pixels_came_from():
    figure = textured()
    before, last = figure[6:30, 6:30], figure[5:29, 7:31]  # it moves down, and to the left
    past = torch.stack([torch.zeros_like(last), before, last])[None, :, None]
    offset = flow(past)
    assert offset.shape == (1, 24, 24, 2)
    inner = offset[0, 6:-6, 6:-6]
    torch.testing.assert_close(inner.mean(dim=(0, 1)), torch.tensor([-1.0, 1.0]), atol=0.1, rtol=0)
    carried = warped(before[None, None], offset)[0, 0]
    assert (carried - last)[6:-6, 6:-6].abs().max() < 0.1


def test_warps_are_those_of_scipy():
    maps, offset = torch.rand(2, 3, 6, 9), 3 * torch.randn(2, 6, 9, 2)
    places = torch.stack(torch.meshgrid(torch.arange(6), torch.arange(9), indexing="ij"))
    for n in range(2):
        for k in range(3):
            at = (places + offset[n].movedim(-1, 0)).numpy()
            expected = map_coordinates(maps[n, k].numpy(), at, order=1, mode="nearest")
            found = warped(maps, offset)[n, k].numpy()
            assert found == pytest.approx(expected, abs=1e-4)


class Clips:
    """Test videos and their labels, as they are."""

    def __init__(self, video, labels):
        self.tensors = TensorSource(video=video, segmentation=labels)

    def source(self, split):
        return self.tensors if split == "test" else None

    def prepare_batch(self, batch, model):
        return batch


class Reader:
    """Reads a pixel's class off its level; forecasts that all is of class 1."""

    device = torch.device("cpu")

    class hparams:
        past, classes = 2, 3

    def segment(self, video):
        return 9.0 * one_hot(video[:, :, 0].round().long(), 3).movedim(-1, 2)

    def forecast(self, past, count):
        scores = torch.zeros(len(past), count, *past.shape[2:]).repeat(1, 1, 3, 1, 1)
        scores[:, :, 1] = 1
        return scores


def levels(frames):
    """Labels (2, T, 6, 8) of stripes that are a column further in each frame, from the left."""
    at = torch.arange(8)
    rows = torch.stack([((at - t) % 8 < 3) * 1 + ((at - t) % 8 == 3) * 2 for t in range(frames)])
    return rows[None, :, None].repeat(2, 1, 6, 1)


def test_copies_of_a_still_clip_are_right():
    labels = levels(1).repeat(1, 5, 1, 1)
    found = forecast_scores(Reader(), Clips(labels[:, :, None].float(), labels), "test")
    for name, value in found.items():
        if name.startswith(("copy_", "oracle_", "flow_")):
            assert value == 1, name
    assert found["iou_gt_moving_frame1_test"] == pytest.approx((3 / 8 + 0) / 2)
    assert found["iou_gt_frame3_test"] == pytest.approx((3 / 8 + 0 + 0) / 3)


def test_frames_are_those_after_the_past():
    """The stripes are a column, and three columns, further than the last of the past."""
    labels = levels(5)
    found = forecast_scores(Reader(), Clips(labels[:, :, None].float(), labels), "test")
    assert found["copy_iou_gt_moving_frame1_test"] == pytest.approx((2 / 4 + 0) / 2)
    assert found["copy_iou_gt_frame1_test"] == pytest.approx((2 / 4 + 0 + 3 / 5) / 3)
    assert found["copy_iou_gt_moving_frame3_test"] == 0
    assert found["oracle_iou_gt_moving_frame3_test"] == 1
    short = forecast_scores(Reader(), Clips(labels[:, :4, None].float(), labels[:, :4]), "test")
    assert {name for name in found if "frame1" in name} == set(short)


def test_the_flow_carries_what_is_seen_to_where_it_moves():
    """A picture that moves down and to the left: the flow is nearer to it the longer it moves."""
    picture = textured()
    picture = 2 * (picture - picture.min()) / (picture.max() - picture.min())
    frames = [picture[9 - t : 33 - t, 3 + t : 27 + t] for t in range(5)]
    video = torch.stack(frames)[None, :, None]
    found = forecast_scores(Reader(), Clips(video, video[:, :, 0].round().long()), "test")
    for step, least in ((1, 0.9), (3, 0.7)):
        assert found[f"flow_iou_gt_frame{step}_test"] > least
    assert found["copy_iou_gt_frame3_test"] < 0.3


def test_the_segmenters_view_is_another_truth():
    labels = levels(3)
    seen = labels.clone()
    seen[:, 2] = 1  # all of the future is of class 1 to the segmenter
    found = forecast_scores(Reader(), Clips(seen[:, :, None].float(), labels), "test")
    assert found["iou_seg_moving_frame1_test"] == 1
    assert found["iou_gt_moving_frame1_test"] == pytest.approx(3 / 16)
    assert found["oracle_iou_gt_moving_frame1_test"] == pytest.approx(3 / 16)
    assert "oracle_iou_seg_moving_frame1_test" not in found


def test_without_test_videos_nothing_is_reported():
    empty = Clips(torch.zeros(0, 4, 1, 6, 8), torch.zeros(0, 4, 6, 8).long())
    assert forecast_scores(Reader(), empty, "test") == {}
