"""Any folder of images, in folders per split and per class, per class alone, or without either.

    ROOT/train/<class>/<image>      splits: train, training, val, valid, validation, test, eval, in any case
    ROOT/<class>/<image>            one split, `all`
    ROOT/<image>                    one split, no classes

A folder below a class folder belongs to the class. Other files are passed over, and counted.
"""

from foresight_cache.datasets.parts.class_folders import ClassFolders
from foresight_cache.datasets.parts.file_kinds import is_hidden, is_media
from foresight_cache.datasets.parts.folder_walk import WalkedFolder


class Reader(ClassFolders):
    """Reader of the dataset family `image_folder`; see `ClassFolders` for ids."""

    media = "image"
    kind = "images"

    def media_names(self, folder: WalkedFolder) -> list[str]:
        """Returns the names of the image files in a folder."""
        return [name for name in folder.files if is_media(name, "image") and not is_hidden(name)]
