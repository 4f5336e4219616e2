"""Clips in tars of the WebDataset convention, each in a video file, beside its caption and its class.

The layout is that of the family `webdataset`, with `mp4`, `webm` and their kin in place of images.
"""

from foresight_cache.datasets.parts.webdataset_reader import WebDatasetReader


class Reader(WebDatasetReader):
    """Reader of the dataset family `webdataset_clips`; see `WebDatasetReader` for ids."""

    media = "clip"
    other_family = "'webdataset'"
