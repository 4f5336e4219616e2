"""Decides by its name alone what a file or folder of a raw dataset is: media, or passed over by a rule with a name.

The only place that knows hidden names and suffixes, and how names are compared: suffixes, names of splits and system
names whatever their case, names of classes in one Unicode form.
"""

import re
import unicodedata

from foresight_cache.samples import Media, is_safe_name

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
VIDEO_SUFFIXES = (
    *(".webm", ".mp4", ".avi", ".mkv", ".mov", ".m4v", ".3gp", ".3g2", ".f4v", ".flv", ".wmv", ".asf"),
    *(".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".gif"),
)
"""Suffixes of clips; an animation is one where the media are clips, and an image, its first picture, elsewhere."""
FRAME_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp")
"""Suffixes of the frames in a folder of frames; anything else in it is passed over."""
_UNDECODABLE = {
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".tga", ".psd", ".xcf", ".svg", ".eps"),
    *(".exr", ".hdr", ".dds", ".dcm", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"),
    *(".ogv", ".ogm", ".rm", ".rmvb", ".swf", ".m1v", ".m2v", ".mxf", ".dv"),
}
"""Suffixes of pictures and films that this project does not decode."""
_TEXT = frozenset((".json", ".jsonl", ".csv", ".tsv", ".txt"))
_SYSTEM_NAMES = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "system volume information"),
    *("__macosx", "lost+found", "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "__pycache__"),
}
"""Names, in lower case, that Windows, macOS, drives in a network and Python leave beside data."""
_SUFFIXES: dict[Media, frozenset[str]] = {"image": frozenset(IMAGE_SUFFIXES), "clip": frozenset(VIDEO_SUFFIXES)}
_FRAMES = frozenset(FRAME_SUFFIXES)
_ANY_MEDIA = frozenset((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))

SPLITS = ("train", "training", "val", "valid", "validation", "test", "eval")
"""Names of splits, in order; a folder has one of them in any case."""
_SPLIT_WORDS = "|".join((*SPLITS, "dev", "testing", "evaluation"))
_SET_WORDS = "sets?|data|dataset|images?|imgs?|pictures|videos?|clips?|frames|splits?"
_NEAR_SPLIT = re.compile(
    rf"(?:{_SPLIT_WORDS})(?:[ _.-]?(?:{_SET_WORDS}|\d{{1,4}}))?|(?:{_SET_WORDS})[ _.-](?:{_SPLIT_WORDS})"
)


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is hidden, or left by a system beside the data.

    >>> [name for name in ("._a.jpg", ".Trash-1000", "@eaDir", "THUMBS.DB", "a.jpg", "thumbs") if is_hidden(name)]
    ['._a.jpg', '.Trash-1000', '@eaDir', 'THUMBS.DB']
    """
    return name[0] == "." or name.lower() in _SYSTEM_NAMES


def is_split_file(name: str) -> bool:
    """Returns whether a file or folder may stand for a split of the name: it is safe to use, and not hidden.

    >>> is_split_file("val2017"), is_split_file("._val2017")
    (True, False)
    """
    return is_safe_name(name) and not is_hidden(name)


def suffix_of(name: str) -> str:
    """Returns the suffix of a name with its dot, in lower case; empty where there is none.

    >>> suffix_of("a/b.c/IMG_1.JPG"), suffix_of("README"), suffix_of("v1.2/blob")
    ('.jpg', '', '')
    """
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def is_media(name: str, media: Media) -> bool:
    """Returns whether a file that is not hidden has a suffix of an image, or of a clip in one file."""
    return suffix_of(name) in _SUFFIXES[media]


def is_frame(name: str) -> bool:
    """Returns whether a file may be a frame in a folder of frames: an image that is not hidden.

    >>> is_frame("00001.JPG"), is_frame("._00001.jpg"), is_frame("notes.txt")
    (True, False, False)
    """
    return suffix_of(name) in _FRAMES and not is_hidden(name)


def kind_of_unused(name: str, media: Media, *, listed: bool) -> str:
    """Returns the kind, one of `inventory.KINDS`, under which a file that is no sample of such media is passed over.

    `listed` tells whether annotations list the samples, so that further media are no oversight.

    >>> [kind_of_unused(name, "image", listed=False) for name in ("a.HEIC", "a.mp4", "a.jpg", "a.json")]
    ['undecodable', 'other-media', 'unplaced', 'other']
    """
    suffix = suffix_of(name)
    if suffix in _UNDECODABLE:
        return "undecodable"
    if suffix in _ANY_MEDIA:
        if listed:
            return "not-listed"
        return "unplaced" if suffix in _SUFFIXES[media] else "other-media"
    return "text" if listed and suffix in _TEXT else "other"


def composed(name: str) -> str:
    """Returns a name in Unicode's composed form, NFC: archives made on a Mac have the other, which looks the same.

    >>> composed("Cafe\\u0301") == "Caf\\u00e9"
    True
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def split_name(folder: str) -> str | None:
    """Returns the split that a folder's name is, whatever its case; None for any other name.

    >>> split_name("Train"), split_name("VALIDATION"), split_name("training_set")
    ('train', 'validation', None)
    """
    name = folder.lower()
    return name if name in SPLITS else None


def is_near_split_name(folder: str) -> bool:
    """Returns whether a folder's name is like that of a split, and may be meant so.

    >>> [name for name in ("training_set", "Test1", "images-val", "test tube", "valley") if is_near_split_name(name)]
    ['training_set', 'Test1', 'images-val']
    """
    return bool(_NEAR_SPLIT.fullmatch(folder.lower()))
