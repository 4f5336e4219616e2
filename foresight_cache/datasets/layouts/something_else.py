"""Something-Else: clips of Something-Something v2 with the boxes of hands and things in each frame.

    ROOT                                          as of the family `ssv2`, with its own splits or with Something-Else's
    ROOT/bounding_box_smthsmth_part{1,2,3,4}.json or one file `bounding_box….json` or `something-else….json`

The files of boxes lie in ROOT or in its folder `labels` or `annotations`.
"""

from foresight_cache.datasets.layouts import ssv2


class Reader(ssv2.Reader):
    """Reader of the dataset family `something_else`: that of `ssv2` where boxes have to be there."""

    needs_boxes = True
