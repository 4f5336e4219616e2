"""Any folder of clips, in folders per split and per class, per class alone, or without either.

    ROOT/train/<class>/<clip>      splits: train, training, val, valid, validation, test, eval
    ROOT/<class>/<clip>            one split, `all`
    ROOT/<clip>                    one split, no classes

A clip is a video file, or a folder that holds image files, one per frame. Other files are passed over.
"""

from pathlib import Path

from foresight_cache.datasets.parts.class_folders import ClassFolders, walk
from foresight_cache.datasets.parts.clip_files import VIDEO_SUFFIXES, is_folder_of_frames


class Reader(ClassFolders):
    """Reader of the dataset family `video_folder`; see `ClassFolders` for ids."""

    media = "clip"
    kind = "clips"

    def media_names(self, folder: Path) -> tuple[list[str], list[str]]:
        """Returns paths of video files and of folders of frames, and of links to folders."""
        clips: list[str] = []
        linked: list[str] = []
        for prefix, folders, files in walk(folder):
            linked += [prefix + name for name in folders if (folder / prefix / name).is_symlink()]
            if prefix and is_folder_of_frames(folder / prefix):
                clips.append(prefix[:-1])
                folders.clear()
                continue
            clips += [prefix + name for name in files if name.lower().endswith(VIDEO_SUFFIXES) and name[0] != "."]
        return clips, linked

    @staticmethod
    def stem(name: str) -> str:
        """Returns a path without the suffix of a video; the name of a folder has none."""
        return name.rpartition(".")[0] if Path(name).suffix.lower() in VIDEO_SUFFIXES else name
