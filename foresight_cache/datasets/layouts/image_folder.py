"""Any folder of images, in folders per split and per class, per class alone, or without either.

    ROOT/train/<class>/<image>      splits: train, training, val, valid, validation, test, eval
    ROOT/<class>/<image>            one split, `all`
    ROOT/<image>                    one split, no classes

A folder below a class folder belongs to the class. Files that are no images are passed over.
"""

from pathlib import Path

from foresight_cache.datasets.parts.class_folders import ClassFolders, walk

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Reader(ClassFolders):
    """Reader of the dataset family `image_folder`; see `ClassFolders` for ids."""

    media = "image"
    kind = "images"

    def media_names(self, folder: Path) -> tuple[list[str], list[str]]:
        """Returns paths of image files, and of links to folders."""
        images: list[str] = []
        linked: list[str] = []
        for prefix, folders, files in walk(folder):
            linked += [prefix + name for name in folders if (folder / prefix / name).is_symlink()]
            images += [prefix + name for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
        return images, linked
