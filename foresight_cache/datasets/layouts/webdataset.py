"""Images in tars of the WebDataset convention, as img2dataset and many others write them.

    ROOT/00000.tar, 00001.tar, …                one split, `all`; ROOT may be a pattern: shards/{00000..00099}.tar
    ROOT/{train,val,test}/00000.tar, …          splits
    ROOT/classnames.txt                         names of numbered classes, a line each

In a tar, members with one key (the name up to its first dot) are a sample: an image, and where they are there a
caption (`txt`, or `caption` in `json`) and a class (`cls`, a number or a name).
"""

from foresight_cache.datasets.parts.webdataset_reader import WebDatasetReader


class Reader(WebDatasetReader):
    """Reader of the dataset family `webdataset`; see `WebDatasetReader` for ids."""

    media = "image"
    other_family = "'webdataset-clips'"
