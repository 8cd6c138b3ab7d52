"""Train the digits feature extractor: python -m experiments.train_digits_extractor --out FILE."""

import argparse

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from zoo.metrics.extractors import DigitsExtractor


def shift(images: Tensor) -> Tensor:
    """Move each image (N, C, 8, 8) by -1, 0 or 1 pixel both ways, black coming in."""
    windows = pad(images, (1, 1, 1, 1)).unfold(2, 8, 1).unfold(3, 8, 1)  # (N, C, 3, 3, 8, 8)
    rows, columns = torch.randint(3, (2, len(images)))
    return windows[torch.arange(len(images)), :, rows, columns]


def train(images: Tensor, labels: Tensor, epochs: int, seed: int, lr=2e-3, wd=1e-2, ls=0.1, bs=64, drop=0.) -> DigitsExtractor:
    torch.manual_seed(seed)
    extractor = DigitsExtractor().train()
    optimizer = torch.optim.AdamW(extractor.parameters(), lr=lr, weight_decay=wd)
    steps = epochs * (len(images) // bs)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(bs):
            if len(chosen) < bs: continue
            logits = extractor.logits(shift(images[chosen]))
            loss = cross_entropy(logits, labels[chosen], label_smoothing=ls)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return extractor.eval()

@torch.no_grad()
def accuracy(extractor, images, labels):
    return (extractor.logits(images).argmax(1) == labels).float().mean().item()

if __name__ == "__main__":
    import time, sys
    torch.set_num_threads(1)
    d = load_digits()
    im = torch.from_numpy((d.images*255/16).round()).to(torch.uint8)[:,None]; lab=torch.from_numpy(d.target)
    g=torch.Generator().manual_seed(0); p=torch.randperm(1797, generator=g)
    tr,va=p[:1150],p[1150:1437]
    print(sum(q.numel() for q in DigitsExtractor().parameters()))
    for ep in (15, 30,60):
      for lr in (2e-3,5e-3):
       for ls in (0.,.1):
        t=time.time()
        a=[accuracy(train(im[tr],lab[tr],ep,s,lr=lr,ls=ls),im[va],lab[va]) for s in range(3)]
        print(ep,lr,ls,[round(x,4) for x in a],sum(a)/3,time.time()-t,flush=True)
