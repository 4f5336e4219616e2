"""Any folder of clips, in folders per split and per class, per class alone, or without either.

    ROOT/train/<class>/<clip>      splits: train, training, val, valid, validation, test, eval, in any case
    ROOT/<class>/<clip>            one split, `all`
    ROOT/<clip>                    one split, no classes

A clip is a video file, or a folder that holds image files, one per frame, and no video.
Other files are passed over, and counted.
"""

from foresight_cache.datasets.parts.class_folders import ClassFolders
from foresight_cache.datasets.parts.file_kinds import is_frame, is_hidden, is_media
from foresight_cache.datasets.parts.folder_walk import WalkedFolder


class Reader(ClassFolders):
    """Reader of the dataset family `video_folder`; see `ClassFolders` for ids."""

    media = "clip"
    kind = "clips"

    def media_names(self, folder: WalkedFolder) -> list[str]:
        """Returns the names of the video files in a folder, or an empty name where it is a folder of frames itself."""
        clips = [name for name in folder.files if is_media(name, "clip") and not is_hidden(name)]
        if clips or not folder.prefix or not any(map(is_frame, folder.files)):
            return clips
        folder.folders.clear()
        return [""]

    @staticmethod
    def stem(name: str) -> str:
        """Returns a path without the suffix of a video; the name of a folder has none."""
        return name.rpartition(".")[0] if is_media(name, "clip") else name
