"""Data, one LightningDataModule a file; `data=<file name>`."""
